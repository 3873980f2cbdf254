//! Trace context that a request carries: W3C Trace Context, B3, Jaeger, Datadog.

/// Remote parent of a request, as the request itself states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// 16 bytes, never all zero.
    pub trace_id: [u8; 16],
    /// The parent span, never all zero.
    pub span_id: [u8; 8],
    /// W3C trace flags; bit 0 is *sampled*.
    pub flags: u8,
    /// `tracestate`, possibly empty.
    pub trace_state: Box<str>,
}

impl TraceContext {
    /// Whether the sender records this trace.
    pub fn sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}
