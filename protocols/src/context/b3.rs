//! B3 (<https://github.com/openzipkin/b3-propagation>): one `b3` header, or several `X-B3-*` headers.
//!
//! A decision that comes without ids (`b3: 0`) names no parent, so it yields no context.

use super::{TraceContext, hex, hex64};

/// `{trace}-{span}[-{sampled}[-{parent}]]`.
pub(super) fn single(header: &str) -> Option<TraceContext> {
    let mut fields = header.split('-');
    let (trace, span) = (trace_id(fields.next()?)?, span_id(fields.next()?)?);
    let sampled = match fields.next() {
        None | Some("1" | "d") => true,
        Some("0") => false,
        Some(_) => return None,
    };
    if let Some(parent) = fields.next() {
        span_id(parent)?;
    }
    if fields.next().is_some() {
        return None;
    }
    TraceContext::new(trace, span, sampled)
}

/// `X-B3-TraceId`, `X-B3-SpanId`, `X-B3-Sampled`, `X-B3-Flags`. Debug implies sampled; no decision counts as sampled.
pub(super) fn multi(trace: &str, span: &str, sampled: Option<&str>, flags: Option<&str>) -> Option<TraceContext> {
    let debug = flags == Some("1");
    // Old tracers wrote "true" and "false".
    let denied = sampled.is_some_and(|s| s == "0" || s.eq_ignore_ascii_case("false"));
    TraceContext::new(trace_id(trace)?, span_id(span)?, debug || !denied)
}

/// 32 digits, or 16 that are the lower half.
fn trace_id(digits: &str) -> Option<u128> {
    matches!(digits.len(), 16 | 32).then(|| hex(digits, 32)).flatten()
}

fn span_id(digits: &str) -> Option<u64> {
    (digits.len() == 16).then(|| hex64(digits)).flatten()
}
