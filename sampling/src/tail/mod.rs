//! Tail sampling: what is decided about a trace when it is there as a whole, by the policies of the Collector's processor
//! `tail_sampling`, whose block of configuration is understood key by key.

mod limiter;
mod policy;
mod read;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use policy::Subject;

use policy::{Policy, Verdict};

/// What was asked for, with policies that have decided nothing yet.
#[derive(Debug)]
pub struct Tail {
    /// How long after its first spans a trace is decided about. Not said: when its hold is over.
    pub wait: Duration,
    /// How long after its root, if that is sooner.
    pub wait_after_root: Option<Duration>,
    /// The most traces that may wait.
    pub traces: usize,
    /// The most bytes that one trace may have, before it is dropped.
    pub trace_bytes: Option<usize>,
    /// How many decisions are remembered for spans that come late.
    pub remembered: usize,
    /// At the exit, what waits is dropped instead of decided about.
    pub drop_pending: bool,
    first_match: bool,
    /// Those that drop stand before all others.
    policies: Vec<Policy>,
}

impl Tail {
    /// Whether a trace is kept: dropped if one policy drops it, else kept if one wants it. All are asked, so that limits are
    /// used up alike, whatever others say.
    pub fn keeps(&mut self, trace: &Subject<'_>) -> bool {
        let mut sampled = false;
        for policy in &mut self.policies {
            match policy.evaluate(trace) {
                Verdict::Dropped => return false,
                Verdict::NotSampled => {}
                Verdict::Sampled => {
                    sampled = true;
                    if self.first_match {
                        break;
                    }
                }
            }
        }
        sampled
    }
}
