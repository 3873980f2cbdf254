//! Datadog (<https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/>): `x-datadog-*`.

use super::{TraceContext, hex64};

/// Decimal ids of 64 bits; the upper half of the trace id is the tag `_dd.p.tid`. A priority above 0 keeps the trace;
/// none counts as keep.
pub(super) fn parse(trace: &str, parent: &str, priority: Option<&str>, tags: Option<&str>) -> Option<TraceContext> {
    let (low, span) = (decimal(trace)?, decimal(parent)?);
    if low == 0 {
        return None;
    }
    let tid = tags.and_then(|tags| tags.split(',').find_map(|tag| tag.trim().strip_prefix("_dd.p.tid=")));
    let high = tid.filter(|t| t.len() == 16).and_then(hex64).unwrap_or(0);
    let sampled = priority.and_then(|p| p.parse::<i32>().ok()).is_none_or(|p| p > 0);
    TraceContext::new(u128::from(high) << 64 | u128::from(low), span, sampled)
}

/// (`parse` alone would take a sign.)
fn decimal(digits: &str) -> Option<u64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
