//! The bound on what an exporter holds, counted in spans and in bytes: whatever stage a span is in, queued, encoded or in
//! flight.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::memory::Account;

/// A number of spans, and a number of bytes, that may not be exceeded.
#[derive(Debug)]
pub struct Admission {
    limit: usize,
    held: AtomicUsize,
    bytes: Account,
    full: AtomicBool,
    turned_away: AtomicU64,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are too many spans.
    Spans,
    /// There are too many bytes.
    Bytes,
}

impl Admission {
    /// Room for `limit` spans, and for as many bytes as the account has.
    pub fn new(limit: usize, bytes: Account) -> Self {
        Self { limit, held: AtomicUsize::new(0), bytes, full: AtomicBool::new(false), turned_away: AtomicU64::new(0) }
    }

    /// Takes room for `spans` that are `bytes` if there is that much. A trace larger than the whole queue is let in when the
    /// queue is empty, lest it never could be.
    ///
    /// # Errors
    /// What there is not enough of.
    pub fn enter(&self, spans: usize, bytes: usize) -> Result<(), Full> {
        let fits = |held: usize| (held == 0 || held + spans <= self.limit).then_some(held + spans);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Full::Spans)?;
        if self.bytes.try_take(bytes) {
            return Ok(());
        }
        self.held.fetch_sub(spans, Ordering::Relaxed);
        Err(Full::Bytes)
    }

    /// Gives back the room of `spans` that are `bytes`.
    pub fn leave(&self, spans: usize, bytes: usize) {
        self.held.fetch_sub(spans, Ordering::Relaxed);
        self.bytes.give(bytes);
    }

    /// What was `before` bytes is `after` bytes now: spans were encoded.
    pub fn becomes(&self, before: usize, after: usize) {
        self.bytes.take(after);
        self.bytes.give(before);
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
        let room = self.held() <= self.limit / 2 && self.bytes.held() <= self.bytes.limit() / 2;
        let over = room && self.full.swap(false, Ordering::Relaxed);
        over.then(|| self.turned_away.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(spans: usize, bytes: usize) -> Admission {
        Admission::new(spans, Account::new(bytes))
    }

    #[test]
    fn no_more_enters_than_fits_and_what_leaves_makes_room() {
        let admission = admission(10, 1000);
        assert!(admission.enter(6, 1).is_ok());
        assert_eq!(admission.enter(5, 1), Err(Full::Spans));
        assert!(admission.enter(4, 1).is_ok());
        admission.leave(6, 1);
        assert!(admission.enter(5, 1).is_ok());
        assert_eq!(admission.held(), 9);
    }

    #[test]
    fn few_spans_may_be_too_many_bytes() {
        let admission = admission(10, 1000);
        assert!(admission.enter(1, 900).is_ok());
        assert_eq!(admission.enter(1, 200), Err(Full::Bytes));
        assert_eq!(admission.held(), 1, "what found no room is not counted");
        admission.becomes(900, 100);
        assert!(admission.enter(1, 200).is_ok());
        admission.leave(1, 100);
        admission.leave(1, 200);
        assert_eq!((admission.held(), admission.bytes.held()), (0, 0));
    }

    #[test]
    fn a_trace_larger_than_the_queue_passes_when_it_is_empty() {
        let admission = admission(10, 1000);
        assert!(admission.enter(25, 5000).is_ok());
        assert!(admission.enter(1, 1).is_err());
        admission.leave(25, 5000);
        assert_eq!(admission.held(), 0);
    }

    #[test]
    fn a_time_of_overflow_is_reported_once_at_its_start_and_once_at_its_end() {
        let admission = admission(10, 1000);
        assert!(admission.enter(10, 1).is_ok());
        assert!(admission.overflows(3));
        assert!(!admission.overflows(4));
        assert_eq!(admission.overflow_ended(), None, "still full");
        admission.leave(10, 1);
        assert_eq!(admission.overflow_ended(), Some(7));
        assert_eq!(admission.overflow_ended(), None);
    }
}
