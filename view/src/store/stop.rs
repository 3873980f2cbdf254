//! When somebody who asks is not worked for any longer: they left, or it takes too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Asked between two steps of a long work.
#[derive(Clone, Debug)]
pub struct Stop {
    left: Arc<AtomicBool>,
    until: Option<Instant>,
}

/// Why a work was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Nobody waits for it.
    #[error("nobody waits for the answer")]
    Left,
    /// It takes too long.
    #[error("it takes too long")]
    TooLong,
}

/// Says, when it is dropped, that nobody waits any more.
#[derive(Debug)]
pub struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stop {
    /// For a work that is waited for, and may take this long from now on.
    pub fn after(patience: Duration) -> (Self, Waiting) {
        let left = Arc::new(AtomicBool::new(false));
        (Self { left: Arc::clone(&left), until: Instant::now().checked_add(patience) }, Waiting(left))
    }

    /// For a work that is done in any case.
    pub fn never() -> Self {
        Self { left: Arc::default(), until: None }
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.left.load(Ordering::Relaxed) {
            return Err(Stopped::Left);
        }
        match self.until {
            Some(until) if Instant::now() >= until => Err(Stopped::TooLong),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_ends_when_nobody_waits_or_its_time_is_over() {
        let (stop, waiting) = Stop::after(Duration::from_secs(3600));
        assert_eq!(stop.check(), Ok(()));
        drop(waiting);
        assert_eq!(stop.check(), Err(Stopped::Left));
        let (late, _waiting) = Stop::after(Duration::ZERO);
        assert_eq!(late.check(), Err(Stopped::TooLong));
        assert_eq!(Stop::never().check(), Ok(()));
    }
}
