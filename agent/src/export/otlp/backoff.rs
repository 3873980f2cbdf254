//! How long to leave an endpoint alone that does not take spans.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);

/// Short enough that a collector which comes back hears from the agent soon, long enough not to hinder its start.
const LONGEST: Duration = Duration::from_secs(10);

/// While the exporter stops, there is no time for more.
const STOPPING: Duration = Duration::from_millis(200);

/// Exponential backoff with jitter.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure: 1 s, 2 s, 4 s, 8 s, then 10 s, each ± 25 % so that agents which lost the same
    /// collector do not return in step.
    pub(crate) fn next(&mut self, stopping: bool) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let pause = if stopping { STOPPING } else { pause };
        pause.mul_f64(0.75 + 0.5 * fastrand::f64())
    }

    /// The endpoint works.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The last request failed.
    pub(crate) fn active(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_start_anew_after_success() {
        let mut backoff = Backoff::default();
        for expected in [1.0, 2.0, 4.0, 8.0, 10.0, 10.0] {
            let pause = backoff.next(false).as_secs_f64();
            assert!((expected * 0.75..=expected * 1.25).contains(&pause), "{pause} for {expected}");
        }
        backoff.reset();
        assert!(!backoff.active());
        assert!(backoff.next(false) <= Duration::from_millis(1250));
    }

    #[test]
    fn pauses_are_short_while_stopping() {
        let mut backoff = Backoff { failures: 9 };
        assert!(backoff.next(true) <= Duration::from_millis(250));
    }
}
