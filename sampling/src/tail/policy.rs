//! Policies: what each says of a trace, as the Collector's processor `tail_sampling` does.

use regex::Regex;
use rustc_hash::FxHashSet;
use wirespan_signals::{KeyValue, Span, Status, Value};

use super::limiter::Limiter;
use crate::threshold;

/// What a policy says of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Keep it.
    Sampled,
    /// Not for this policy's sake.
    NotSampled,
    /// Drop it, whatever others say.
    Dropped,
}

impl From<bool> for Verdict {
    fn from(sampled: bool) -> Self {
        if sampled { Self::Sampled } else { Self::NotSampled }
    }
}

/// A trace, as policies see it: its spans, in the order of their arrival.
pub struct Subject<'a> {
    /// Its id.
    pub trace_id: [u8; 16],
    /// All that is here of it.
    pub spans: Vec<&'a Span>,
    /// Nanoseconds of a clock that never goes back.
    pub now: u64,
}

/// Which values of an attribute match.
#[derive(Debug)]
pub(super) enum Matcher {
    Exact(FxHashSet<String>),
    Patterns(Vec<Regex>),
}

impl Matcher {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(values) => values.contains(text),
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
        }
    }
}

/// A policy of a `composite`, and the spans that it may have in a second.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) policy: Policy,
    pub(super) allocated: u64,
    pub(super) taken: u64,
}

/// One policy.
#[derive(Debug)]
pub(super) enum Policy {
    AlwaysSample,
    Latency { above_ms: i64, up_to_ms: i64 },
    Numeric { key: String, min: i64, max: i64, invert: bool },
    Probabilistic { salt: String, threshold: u64 },
    StatusCode { ok: bool, error: bool, unset: bool },
    Text { key: String, matcher: Matcher, invert: bool },
    Boolean { key: String, value: bool, invert: bool },
    RateLimiting(Limiter),
    SpanCount { min: u64, max: u64 },
    TraceState { key: String, values: FxHashSet<String> },
    TraceFlags,
    And(Vec<Policy>),
    Not(Box<Policy>),
    Drop(Vec<Policy>),
    Composite { per_second: u64, second: u64, parts: Vec<Part> },
}

impl Policy {
    pub(super) fn is_drop(&self) -> bool {
        matches!(self, Self::Drop(_))
    }

    /// What it says of a trace. Limits are used up by every trace that they let pass, whatever other policies say.
    pub(super) fn evaluate(&mut self, trace: &Subject<'_>) -> Verdict {
        match self {
            Self::AlwaysSample => Verdict::Sampled,
            Self::Latency { above_ms, up_to_ms } => latency(trace, *above_ms, *up_to_ms).into(),
            Self::Numeric { key, min, max, invert } => {
                // (An attribute of another type counts as 0, as the Collector has it.)
                let matches = |value: &Value| (*min..=*max).contains(&if let Value::Int(n) = value { *n } else { 0 });
                by_attribute(trace, key, *invert, matches, matches)
            }
            Self::Probabilistic { salt, threshold } => (hash(salt, &trace.trace_id) <= *threshold).into(),
            Self::StatusCode { ok, error, unset } => {
                let wanted = |span: &&Span| match span.status {
                    Status::Ok => *ok,
                    Status::Error(_) => *error,
                    Status::Unset => *unset,
                };
                trace.spans.iter().any(wanted).into()
            }
            Self::Text { key, matcher, invert } => {
                let of_resource = |value: &Value| matcher.matches(text(value));
                let of_span = |value: &Value| !text(value).is_empty() && matcher.matches(text(value));
                by_attribute(trace, key, *invert, of_resource, of_span)
            }
            Self::Boolean { key, value, invert } => {
                let matches = |found: &Value| matches!(found, Value::Bool(true)) == *value;
                by_attribute(trace, key, *invert, matches, matches)
            }
            Self::RateLimiting(limiter) => limiter.allow(trace.spans.len() as u64, trace.now).into(),
            Self::SpanCount { min, max } => {
                let spans = trace.spans.len() as u64;
                (spans >= *min && (*max == 0 || spans <= *max)).into()
            }
            Self::TraceState { key, values } => {
                let stated =
                    |span: &&Span| threshold::member(&span.trace_state, key).is_some_and(|v| values.contains(v));
                trace.spans.iter().any(stated).into()
            }
            Self::TraceFlags => trace.spans.iter().any(|span| span.flags & 1 == 1).into(),
            Self::And(parts) => all(parts, trace).into(),
            Self::Not(policy) => match policy.evaluate(trace) {
                Verdict::Sampled => Verdict::NotSampled,
                Verdict::NotSampled => Verdict::Sampled,
                Verdict::Dropped => Verdict::Dropped,
            },
            Self::Drop(parts) => {
                if all(parts, trace) {
                    Verdict::Dropped
                } else {
                    Verdict::NotSampled
                }
            }
            Self::Composite { per_second, second, parts } => composite(trace, *per_second, second, parts).into(),
        }
    }
}

/// Whether all say that it is to be kept; who comes after one that does not is not asked.
fn all(parts: &mut [Policy], trace: &Subject<'_>) -> bool {
    parts.iter_mut().all(|part| part.evaluate(trace) == Verdict::Sampled)
}

/// Whether it took so many milliseconds from the first start to the last end. With an upper limit, the Collector asks after
/// each span whether what was seen until then lies between the two.
fn latency(trace: &Subject<'_>, above_ms: i64, up_to_ms: i64) -> bool {
    let (mut start, mut end) = (u64::MAX, 0);
    trace.spans.iter().any(|span| {
        (start, end) = (start.min(span.start_unix_nano), end.max(span.end_unix_nano));
        let millis = (end.saturating_sub(start) / 1_000_000) as i64;
        millis > above_ms && (up_to_ms == 0 || millis <= up_to_ms)
    })
}

/// Whether an attribute of any span or its process matches; inverted: whether none does.
fn by_attribute(
    trace: &Subject<'_>,
    key: &str,
    invert: bool,
    of_resource: impl Fn(&Value) -> bool,
    of_span: impl Fn(&Value) -> bool,
) -> Verdict {
    let find = |attributes: &[KeyValue], matches: &dyn Fn(&Value) -> bool| {
        attributes.iter().find(|attribute| attribute.key == key).is_some_and(|attribute| matches(&attribute.value))
    };
    let matches = |span: &&Span| find(&span.resource.attributes, &of_resource) || find(&span.attributes, &of_span);
    (trace.spans.iter().any(matches) != invert).into()
}

fn text(value: &Value) -> &str {
    match value {
        Value::Str(text) => text,
        _ => "",
    }
}

/// Spans are counted by the second, for each policy by itself; the first that wants the trace decides.
fn composite(trace: &Subject<'_>, per_second: u64, second: &mut u64, parts: &mut [Part]) -> bool {
    let now = trace.now / 1_000_000_000;
    if *second != now {
        *second = now;
        parts.iter_mut().for_each(|part| part.taken = 0);
    }
    for part in parts {
        if part.policy.evaluate(trace) == Verdict::Sampled {
            let taken = part.taken + trace.spans.len() as u64;
            let fits = taken <= part.allocated && taken <= per_second;
            if fits {
                part.taken = taken;
            }
            return fits;
        }
    }
    false
}

/// FNV-1a, 64 bits, over the salt and the trace's id.
fn hash(salt: &str, trace_id: &[u8; 16]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    salt.as_bytes().iter().chain(trace_id).fold(0xcbf2_9ce4_8422_2325, step)
}

/// This part of all hashes, as the Collector reckons it: in numbers of 64 binary digits.
pub(super) fn part_of_hashes(ratio: f64) -> u64 {
    if ratio.is_nan() || ratio <= 0.0 {
        return 0;
    }
    if ratio >= 1.0 {
        return u64::MAX;
    }
    let bits = ratio.to_bits();
    let (exponent, fraction) = ((bits >> 52) as i32, bits & ((1 << 52) - 1));
    let (mantissa, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let product = u128::from(u64::MAX) * u128::from(mantissa);
    // Rounded to 64 digits, to even where it is in the middle.
    let surplus = (128 - product.leading_zeros()).saturating_sub(64);
    let (cut, rest) = (product >> surplus, product & ((1 << surplus) - 1));
    let half = if surplus == 0 { 0 } else { 1u128 << (surplus - 1) };
    let up = surplus > 0 && (rest > half || (rest == half && cut & 1 == 1));
    let shift = -(exponent + surplus as i32);
    u32::try_from(shift)
        .map_or(u64::MAX, |shift| if shift >= 128 { 0 } else { ((cut + u128::from(up)) >> shift) as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_all_hashes_is_what_go_reckons() {
        // Printed by the Collector's own `calculateThreshold`.
        for (ratio, expected) in [
            (-1.0, 0),
            (0.0, 0),
            (1e-09, 18446744073),
            (0.01, 184467440737095519),
            (0.1, 1844674407370955263),
            (0.123456789, 2277375790844960511),
            (0.25, 4611686018427387903),
            (0.333, 6142765776545281023),
            (0.5, 9223372036854775807),
            (0.75, 13835058055282163711),
            (0.999, 18428297329635842047),
            (1.0, u64::MAX),
            (2.0, u64::MAX),
        ] {
            assert_eq!(part_of_hashes(ratio), expected, "{ratio}");
        }
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        let hash_of = |text: &str| {
            text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
        };
        assert_eq!(hash_of("foobar"), 0x8594_4171_f739_67e8, "as its authors say");
        assert_eq!(hash("foobar", b"0123456789abcdef"), hash_of("foobar0123456789abcdef"));
    }
}
