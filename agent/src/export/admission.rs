//! The bound on what an exporter holds, counted in spans: whatever stage a span is in, queued, encoded or in flight.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// A number of spans that may not be exceeded.
#[derive(Debug)]
pub struct Admission {
    limit: usize,
    held: AtomicUsize,
    full: AtomicBool,
    turned_away: AtomicU64,
}

impl Admission {
    /// Room for `limit` spans.
    pub fn new(limit: usize) -> Self {
        Self { limit, held: AtomicUsize::new(0), full: AtomicBool::new(false), turned_away: AtomicU64::new(0) }
    }

    /// Takes room for `spans` if there is that much. A trace larger than the whole queue is let in when the queue is
    /// empty, lest it never could be.
    pub fn enter(&self, spans: usize) -> bool {
        let fits = |held: usize| (held == 0 || held + spans <= self.limit).then_some(held + spans);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Gives back the room of `spans`.
    pub fn leave(&self, spans: usize) {
        self.held.fetch_sub(spans, Ordering::Relaxed);
    }

    /// Spans inside.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Spans that fit.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Notes that `spans` were turned away; true if that begins a time of overflow, which is worth one log line.
    pub fn overflows(&self, spans: usize) -> bool {
        self.turned_away.fetch_add(spans as u64, Ordering::Relaxed);
        !self.full.swap(true, Ordering::Relaxed)
    }

    /// The number of spans turned away, once, when a time of overflow is over: half of the room is free again.
    pub fn overflow_ended(&self) -> Option<u64> {
        let over = self.held() <= self.limit / 2 && self.full.swap(false, Ordering::Relaxed);
        over.then(|| self.turned_away.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_enters_than_fits_and_what_leaves_makes_room() {
        let admission = Admission::new(10);
        assert!(admission.enter(6));
        assert!(!admission.enter(5));
        assert!(admission.enter(4));
        admission.leave(6);
        assert!(admission.enter(5));
        assert_eq!(admission.held(), 9);
    }

    #[test]
    fn a_trace_larger_than_the_queue_passes_when_it_is_empty() {
        let admission = Admission::new(10);
        assert!(admission.enter(25));
        assert!(!admission.enter(1));
        admission.leave(25);
        assert_eq!(admission.held(), 0);
    }

    #[test]
    fn a_time_of_overflow_is_reported_once_at_its_start_and_once_at_its_end() {
        let admission = Admission::new(10);
        assert!(admission.enter(10));
        assert!(admission.overflows(3));
        assert!(!admission.overflows(4));
        assert_eq!(admission.overflow_ended(), None, "still full");
        admission.leave(10);
        assert_eq!(admission.overflow_ended(), Some(7));
        assert_eq!(admission.overflow_ended(), None);
    }
}
