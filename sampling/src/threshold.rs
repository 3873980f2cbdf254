//! Consistent probability sampling, as the specification has it (*TraceState: Probability Sampling*): a trace is kept if its
//! randomness is not below a threshold, and the threshold travels with the spans as `ot=th:` of their `tracestate`. Whoever
//! counts what was kept knows from it for how many each stands, and all who decide about one trace by the same threshold
//! decide alike.

use std::fmt;

/// Randomness and thresholds have so many bits.
const BITS: u32 = 56;
const WHOLE: u64 = 1 << BITS;
/// Hexadecimal digits of a threshold.
const DIGITS: usize = 14;
/// Digits that are kept behind those that say that it is close to 1: the specification's proposal.
const PRECISION: u32 = 4;
/// Longest value of a member of `tracestate`.
const MAX_MEMBER: usize = 256;
/// Our key in `tracestate`: OpenTelemetry's.
const KEY: &str = "ot";

/// What a trace's randomness is compared with: 0 keeps everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(u64);

impl Threshold {
    /// Keeps every trace.
    pub const ALWAYS: Self = Self(0);
    /// Keeps none.
    pub const NEVER: Self = Self(WHOLE);

    /// The threshold that keeps this part of all traces.
    pub fn of(probability: f64) -> Self {
        if probability >= 1.0 {
            return Self::ALWAYS;
        }
        // What is smaller than the smallest that can be said is as good as none.
        if probability.is_nan() || probability < 1.0 / WHOLE as f64 {
            return Self::NEVER;
        }
        let exact = WHOLE - (probability * WHOLE as f64).round() as u64;
        // Leading digits `f` say how rare it is; so many digits behind them say how exactly.
        let leading = (exact << (64 - BITS)).leading_ones() / 4;
        let kept = (leading + PRECISION) * 4;
        let unit = if kept >= BITS { 1 } else { 1 << (BITS - kept) };
        Self(((exact + unit / 2) / unit * unit).min(WHOLE - 1))
    }

    /// The part of all traces that it keeps.
    pub fn probability(self) -> f64 {
        (WHOLE - self.0) as f64 / WHOLE as f64
    }

    /// Whether a trace of this randomness is kept.
    pub fn keeps(self, randomness: u64) -> bool {
        self.0 < WHOLE && randomness >= self.0
    }

    /// Reads the value of `th`.
    fn parse(text: &str) -> Option<Self> {
        let sound = (1..=DIGITS).contains(&text.len()) && is_hex(text);
        let digits = sound.then(|| u64::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(digits << (4 * (DIGITS - text.len()))))
    }
}

impl fmt::Display for Threshold {
    /// As `th` has it: without zeroes at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:014x}", self.0.min(WHOLE - 1));
        match digits.trim_end_matches('0') {
            "" => f.write_str("0"),
            short => f.write_str(short),
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The value of a member of a `tracestate`.
pub(crate) fn member<'a>(state: &'a str, key: &str) -> Option<&'a str> {
    state.split(',').find_map(|member| member.trim().strip_prefix(key)?.strip_prefix('='))
}

/// What OpenTelemetry's member of a `tracestate` says.
fn fields(state: &str) -> impl Iterator<Item = (&str, &str)> {
    member(state, KEY).unwrap_or_default().split(';').filter_map(|field| field.split_once(':'))
}

/// The randomness of a trace: what its `tracestate` says (`rv`), else the end of its id.
pub fn randomness(trace_id: &[u8; 16], state: &str) -> u64 {
    let stated = fields(state).find(|(key, value)| *key == "rv" && value.len() == DIGITS && is_hex(value));
    if let Some(stated) = stated.and_then(|(_, value)| u64::from_str_radix(value, 16).ok()) {
        return stated;
    }
    let end: [u8; 8] = trace_id[8..].try_into().unwrap_or_default();
    u64::from_be_bytes(end) & (WHOLE - 1)
}

/// The threshold by which a trace was kept before it came here.
pub fn stated(state: &str) -> Option<Threshold> {
    fields(state).find(|(key, _)| *key == "th").and_then(|(_, value)| Threshold::parse(value))
}

/// The `tracestate` of a span that is kept by `threshold`. One by which fewer are kept stays: a trace that passes two
/// thresholds passes the higher one.
pub fn write(state: &str, threshold: Threshold) -> Box<str> {
    if stated(state).is_some_and(|before| before >= threshold) {
        return state.into();
    }
    let mut own = format!("{KEY}=th:{threshold}");
    for (key, value) in fields(state).filter(|(key, _)| *key != "th") {
        if own.len() + key.len() + value.len() + 2 <= MAX_MEMBER {
            own.extend([";", key, ":", value]);
        }
    }
    let of_others = |member: &&str| !member.is_empty() && !member.starts_with("ot=");
    for member in state.split(',').map(str::trim).filter(of_others) {
        own.extend([",", member]);
    }
    own.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_written_as_the_specification_writes_them() {
        let written = |p: f64| Threshold::of(p).to_string();
        assert_eq!(written(1.0), "0");
        assert_eq!(written(0.5), "8");
        assert_eq!(written(0.25), "c");
        assert_eq!(written(0.1), "e666");
        assert_eq!(written(0.01), "fd70a");
        assert_eq!(written(0.001), "ffbe77");
        assert!((Threshold::of(0.003).probability() - 0.003).abs() < 1e-7);
        assert_eq!(Threshold::of(0.0), Threshold::NEVER);
        assert_eq!(Threshold::of(f64::NAN), Threshold::NEVER);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for p in [1.0, 0.75, 0.5, 0.333, 0.1, 0.01, 1e-6, 1e-12] {
            let threshold = Threshold::of(p);
            assert_eq!(stated(&write("", threshold)), Some(threshold), "{p}");
            assert!((threshold.probability() / p - 1.0).abs() < 1e-4, "{p}");
        }
    }

    #[test]
    fn randomness_is_the_end_of_the_id_unless_it_is_stated() {
        let id = [0xff, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(randomness(&id, "a=b"), 7);
        assert_eq!(randomness(&id, "a=b,ot=th:8;rv:00000000000009"), 9);
        assert_eq!(randomness(&id, "ot=rv:9"), 7, "that is no randomness");
        assert!(Threshold::of(0.5).keeps(1 << 55) && !Threshold::of(0.5).keeps((1 << 55) - 1));
        assert!(!Threshold::NEVER.keeps(u64::MAX >> 8) && Threshold::ALWAYS.keeps(0));
    }

    #[test]
    fn the_higher_threshold_stays_and_what_others_say_too() {
        let half = Threshold::of(0.5);
        assert_eq!(&*write("", half), "ot=th:8");
        assert_eq!(&*write("a=b, c=d", half), "ot=th:8,a=b,c=d");
        assert_eq!(&*write("a=b,ot=rv:00000000000009;th:4,c=d", half), "ot=th:8;rv:00000000000009,a=b,c=d");
        assert_eq!(&*write("ot=th:c", half), "ot=th:c");
    }
}
