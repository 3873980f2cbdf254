//! Doubt, and the way back: what was seen of a unit or a process counts against it until it has shown otherwise for long
//! enough. Each relapse doubles what is asked. What was ever in doubt remains marked, for exact rules.

/// So many requests in a row must go as they should.
const CALM: u32 = 32;
/// For so long at least, nanoseconds; twice as long after each relapse.
const CALM_FOR: u64 = 10_000_000_000;
/// Relapses beyond which it takes no longer: some ten minutes.
const MAX_DOUBLINGS: u32 = 6;

/// One thing that may be held against somebody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doubt {
    /// Since when, while it is held, `CLOCK_BOOTTIME` nanoseconds.
    since: Option<u64>,
    /// How often it was raised.
    raised: u32,
    /// Requests that went as they should since the last that did not.
    calm: u32,
    /// When the last did not.
    last: u64,
}

impl Doubt {
    /// It was seen, at `now`.
    pub fn raise(&mut self, now: u64) {
        if self.since.is_none() {
            self.since = Some(now);
            self.raised += 1;
        }
        (self.calm, self.last) = (0, now);
    }

    /// A request went as it should. Whether the doubt has passed with that.
    pub fn calm(&mut self, now: u64) -> bool {
        if self.since.is_none() {
            return false;
        }
        self.calm += 1;
        let doublings = (self.raised - 1).min(MAX_DOUBLINGS);
        let passed = self.calm >= CALM && now.saturating_sub(self.last) >= CALM_FOR << doublings;
        if passed {
            self.since = None;
        }
        passed
    }

    /// Whether it is held now.
    pub fn is_held(&self) -> bool {
        self.since.is_some()
    }

    /// Since when it is held.
    pub fn since(&self) -> Option<u64> {
        self.since
    }

    /// Whether it ever was.
    pub fn was_ever(&self) -> bool {
        self.raised > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes until the doubt passes, if all goes as it should ten times a second.
    fn passes(doubt: &mut Doubt, from: u64) -> u64 {
        (1..).map(|n| from + n * 100_000_000).find(|now| doubt.calm(*now)).unwrap()
    }

    #[test]
    fn doubt_passes_and_takes_twice_as_long_after_each_relapse_up_to_a_bound() {
        let mut doubt = Doubt::default();
        let mut now = 0;
        for n in 0..10 {
            doubt.raise(now);
            assert!(doubt.is_held() && doubt.was_ever());
            let passed = passes(&mut doubt, now);
            assert_eq!(passed - now, CALM_FOR << n.min(MAX_DOUBLINGS));
            assert!(!doubt.is_held() && doubt.was_ever());
            now = passed;
        }
    }

    #[test]
    fn it_does_not_pass_by_time_alone_nor_while_it_goes_on() {
        let mut doubt = Doubt::default();
        doubt.raise(0);
        assert!(!doubt.calm(1000 * CALM_FOR));
        for n in 0..1000 {
            doubt.raise(n * CALM_FOR);
            assert!(!doubt.calm(n * CALM_FOR + 1));
        }
        assert_eq!(doubt.since(), Some(0));
    }
}
