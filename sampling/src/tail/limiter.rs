//! A bucket of tokens, as Go's `golang.org/x/time/rate` keeps one.

/// Tokens that come at a rate and are taken, as many as fit the bucket.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    per_second: f64,
    burst: f64,
    tokens: f64,
    /// When `tokens` was so, nanoseconds.
    last: u64,
}

impl Limiter {
    /// A full bucket.
    pub(super) fn new(per_second: u64, burst: u64) -> Self {
        Self { per_second: per_second as f64, burst: burst as f64, tokens: burst as f64, last: 0 }
    }

    /// Takes `n` at `now` if there are as many.
    pub(super) fn allow(&mut self, n: u64, now: u64) -> bool {
        if self.last == 0 {
            self.last = now;
        }
        let elapsed = now.saturating_sub(self.last) as f64 / 1e9;
        let tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        let left = tokens - n as f64;
        if n as f64 > self.burst || left < 0.0 {
            return false;
        }
        (self.tokens, self.last) = (left, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_pass_as_the_bucket_has_and_what_comes_later() {
        let mut limiter = Limiter::new(10, 20);
        let second = 1_000_000_000;
        assert_eq!((0..30).filter(|_| limiter.allow(1, second)).count(), 20);
        assert!(limiter.allow(10, 2 * second) && !limiter.allow(1, 2 * second));
        assert!(!limiter.allow(21, 100 * second), "more than it ever holds");
        assert!(limiter.allow(20, 100 * second));
    }
}
