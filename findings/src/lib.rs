//! What somebody who knows such programs would point at in a trace: each with its evidence and where it is, the dearest
//! first, and none on a guess. A finding that is false is worse than none, so what cannot be proven by what passed is not
//! told, however likely it is.
//!
//! | module | tells |
//! |---|---|
//! | `calls` | what a request asked for, in order |
//! | `repeats` | `n_plus_one`, `repeated_call` |
//! | `failures` | `retries`, `error_swallowed` |
//! | `slow` | `slow_statement` |
//! | `opened` | `connection_per_call` |
//! | `queued` | `run_queue` |
//!
//! `docs/findings.md` says what each rests on, and what is not told and why.
#![forbid(unsafe_code)]

mod calls;
mod failures;
mod opened;
mod queued;
mod repeats;
mod slow;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use wirespan_signals::{KeyValue, Trace, Value, hex};

use calls::Calls;

/// Attribute of a root: which findings there are in its trace, the dearest first.
pub const FINDINGS: &str = "wirespan.findings";
/// What the attribute of each begins with; its kind follows. Its value is the evidence.
pub const PREFIX: &str = "wirespan.finding.";
/// Most findings of one trace.
const MAX_FINDINGS: usize = 8;

/// What is pointed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One statement, or call, for each of many things that one could have asked for.
    NPlusOne,
    /// The very same was asked for again, though the answer was known.
    RepeatedCall,
    /// The same was tried again after a failure.
    Retries,
    /// A statement took longer than it may.
    SlowStatement,
    /// A call failed, and the request that it was made for was answered as if nothing had.
    ErrorSwallowed,
    /// A connection was opened for each of several calls to one place.
    ConnectionPerCall,
    /// A thread had work, and no CPU.
    RunQueue,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NPlusOne,
        Self::RepeatedCall,
        Self::Retries,
        Self::SlowStatement,
        Self::ErrorSwallowed,
        Self::ConnectionPerCall,
        Self::RunQueue,
    ];

    /// As it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::NPlusOne => "n_plus_one",
            Self::RepeatedCall => "repeated_call",
            Self::Retries => "retries",
            Self::SlowStatement => "slow_statement",
            Self::ErrorSwallowed => "error_swallowed",
            Self::ConnectionPerCall => "connection_per_call",
            Self::RunQueue => "run_queue",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// What was seen, in a sentence.
    pub evidence: String,
    /// Where to look.
    pub span_id: [u8; 8],
    /// The time that it is about, nanoseconds.
    pub cost: u64,
}

/// What counts as too long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A statement that takes at least so long is slow.
    pub slow_statement: Duration,
}

/// What there is to point at in a piece of a trace, the dearest first.
pub fn find(trace: &Trace, limits: &Limits) -> Vec<Finding> {
    let mut found = Vec::new();
    slow::find(trace, limits, &mut found);
    queued::find(trace, &mut found);
    if trace.spans.len() > 1 {
        for calls in Calls::of(&trace.spans) {
            repeats::find(&calls, &mut found);
            failures::find(&calls, &mut found);
            opened::find(&calls, &mut found);
        }
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.cost));
    found.truncate(MAX_FINDINGS);
    found
}

/// Writes what there is to point at on the root of a piece: its kinds, and the evidence of the dearest of each. Returns
/// whether there is anything.
pub fn mark(trace: &mut Trace, limits: &Limits) -> bool {
    let found = find(trace, limits);
    let Some(root) = trace.spans.first_mut().filter(|_| !found.is_empty()) else { return false };
    let mut kinds: Vec<Cow<'static, str>> = Vec::new();
    for finding in found {
        if kinds.iter().any(|kind| kind == finding.kind.name()) {
            continue;
        }
        kinds.push(finding.kind.name().into());
        let evidence = format!("{} (span {})", finding.evidence, hex(&finding.span_id));
        let key = format!("{PREFIX}{}", finding.kind.name()).into();
        root.attributes.push(KeyValue { key, value: Value::Str(evidence.into()) });
    }
    root.attributes.push(KeyValue { key: FINDINGS.into(), value: Value::StrArray(kinds) });
    true
}

/// Nanoseconds as people write them.
fn time(nanos: u64) -> String {
    match nanos {
        n if n >= 1_000_000_000 => format!("{:.2} s", n as f64 / 1e9),
        n if n >= 1_000_000 => format!("{:.1} ms", n as f64 / 1e6),
        n => format!("{} µs", n / 1000),
    }
}
