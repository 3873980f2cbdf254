//! Trace context that a request carries: W3C Trace Context, B3, Jaeger, Datadog.
//!
//! One file per format. A request may carry several: the first valid one wins, in that order. A header that its
//! specification calls invalid counts as absent, so a broken `traceparent` does not hide a sound `b3`.

mod b3;
mod datadog;
mod jaeger;
mod w3c;

/// W3C trace flag: the sender records this trace.
pub const SAMPLED: u8 = 1;

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
        self.flags & SAMPLED == SAMPLED
    }

    /// A context of a format that knows no `tracestate`; `None` if an id is all zero.
    fn new(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        if trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(Self {
            trace_id: trace_id.to_be_bytes(),
            span_id: span_id.to_be_bytes(),
            flags: if sampled { SAMPLED } else { 0 },
            trace_state: "".into(),
        })
    }
}

/// Collects the headers that may hold a trace context, in one pass over a request's headers and without copying.
///
/// ```
/// # use wirespan_protocols::context::Carrier;
/// let mut carrier = Carrier::default();
/// carrier.offer("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
/// assert!(carrier.context().unwrap().sampled());
/// ```
#[derive(Debug, Default)]
pub struct Carrier<'a> {
    traceparent: Option<&'a [u8]>,
    /// More than one `traceparent`: none can be trusted (W3C Trace Context §3.2.1).
    traceparent_repeated: bool,
    tracestate: Vec<&'a [u8]>,
    b3: Option<&'a [u8]>,
    b3_trace_id: Option<&'a [u8]>,
    b3_span_id: Option<&'a [u8]>,
    b3_sampled: Option<&'a [u8]>,
    b3_flags: Option<&'a [u8]>,
    jaeger: Option<&'a [u8]>,
    datadog_trace_id: Option<&'a [u8]>,
    datadog_parent_id: Option<&'a [u8]>,
    datadog_priority: Option<&'a [u8]>,
    datadog_tags: Option<&'a [u8]>,
}

impl<'a> Carrier<'a> {
    /// Looks at one header, and says whether it belongs to a trace context. Names are compared without regard to case.
    pub fn offer(&mut self, name: &str, value: &'a [u8]) -> bool {
        // Nearly all headers are of no interest, and their length already says so.
        let slot = match name.len() {
            2 if name.eq_ignore_ascii_case("b3") => &mut self.b3,
            10 if name.eq_ignore_ascii_case("tracestate") => {
                self.tracestate.push(value);
                return true;
            }
            10 if name.eq_ignore_ascii_case("x-b3-flags") => &mut self.b3_flags,
            11 if name.eq_ignore_ascii_case("traceparent") => {
                self.traceparent_repeated |= self.traceparent.is_some();
                &mut self.traceparent
            }
            11 if name.eq_ignore_ascii_case("x-b3-spanid") => &mut self.b3_span_id,
            12 if name.eq_ignore_ascii_case("x-b3-traceid") => &mut self.b3_trace_id,
            12 if name.eq_ignore_ascii_case("x-b3-sampled") => &mut self.b3_sampled,
            13 if name.eq_ignore_ascii_case("uber-trace-id") => &mut self.jaeger,
            14 if name.eq_ignore_ascii_case("x-datadog-tags") => &mut self.datadog_tags,
            18 if name.eq_ignore_ascii_case("x-datadog-trace-id") => &mut self.datadog_trace_id,
            19 if name.eq_ignore_ascii_case("x-datadog-parent-id") => &mut self.datadog_parent_id,
            27 if name.eq_ignore_ascii_case("x-datadog-sampling-priority") => &mut self.datadog_priority,
            _ => return false,
        };
        slot.get_or_insert(value);
        true
    }

    /// The context that the headers state: W3C before B3 before Jaeger before Datadog.
    pub fn context(&self) -> Option<TraceContext> {
        self.w3c().or_else(|| self.b3()).or_else(|| self.jaeger()).or_else(|| self.datadog())
    }

    /// Whether the sender said that the trace is not recorded without naming it, as B3 and Datadog can.
    pub fn denies_sampling(&self) -> bool {
        let says = |value: Option<&[u8]>, denials: &[&str]| {
            value.and_then(text).is_some_and(|v| denials.iter().any(|d| v.eq_ignore_ascii_case(d)))
        };
        says(self.b3, &["0"])
            || says(self.b3_sampled, &["0", "false"])
            || self.datadog_priority.and_then(text).and_then(|p| p.parse::<i32>().ok()).is_some_and(|p| p <= 0)
    }

    fn w3c(&self) -> Option<TraceContext> {
        let traceparent = self.traceparent.filter(|_| !self.traceparent_repeated)?;
        w3c::parse(text(traceparent)?, &self.tracestate)
    }

    fn b3(&self) -> Option<TraceContext> {
        let single = self.b3.and_then(text).and_then(b3::single);
        single.or_else(|| {
            let (trace, span) = (text(self.b3_trace_id?)?, text(self.b3_span_id?)?);
            b3::multi(trace, span, self.b3_sampled.and_then(text), self.b3_flags.and_then(text))
        })
    }

    fn jaeger(&self) -> Option<TraceContext> {
        jaeger::parse(text(self.jaeger?)?)
    }

    fn datadog(&self) -> Option<TraceContext> {
        let (trace, parent) = (text(self.datadog_trace_id?)?, text(self.datadog_parent_id?)?);
        datadog::parse(trace, parent, self.datadog_priority.and_then(text), self.datadog_tags.and_then(text))
    }
}

/// A header's value as text. Every format here is ASCII.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|v| v.is_ascii()).map(|v| v.trim_matches([' ', '\t']))
}

/// Reads between 1 and `max_digits` (at most 32) hexadecimal digits, of either case; fewer are as good as padded with
/// zeroes on the left.
fn hex(digits: &str, max_digits: usize) -> Option<u128> {
    if !(1..=max_digits).contains(&digits.len()) {
        return None;
    }
    let (high, low) = digits.split_at(digits.len().saturating_sub(16));
    Some(u128::from(hex64_or_empty(high)?) << 64 | u128::from(hex64_or_empty(low)?))
}

/// [`hex`] of a 64-bit number.
fn hex64(digits: &str) -> Option<u64> {
    (1..=16).contains(&digits.len()).then(|| hex64_or_empty(digits)).flatten()
}

/// The value of each byte as a hexadecimal digit. A table, since this runs for each request that carries a context.
static DIGITS: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};
const NO_DIGIT: u8 = 0xff;

fn hex64_or_empty(digits: &str) -> Option<u64> {
    let (mut number, mut seen) = (0, 0);
    for digit in digits.bytes() {
        let value = DIGITS[usize::from(digit)];
        seen |= value;
        number = number << 4 | u64::from(value & 15);
    }
    (seen < 16).then_some(number)
}
