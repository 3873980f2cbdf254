//! The bound on what an exporter holds, counted in spans and in bytes: whatever stage a span is in, queued, encoded or in
//! flight.
//!
//! A service that floods is turned away before the others are: what each asked for lately tells what part of the queue is
//! its own, and that may be three times what is free. (What is queued is encoded in common batches, out of which nothing can
//! be taken any more, so it must be decided at the door.) A queue for which nobody else asks is one service's own.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::account::Account;

/// Services are told apart by so many places; two may have to share one.
const PLACES: usize = 256;
/// One may hold so many times what is free.
const TIMES_FREE: f64 = 3.0;
/// *Lately* is as much as the queue holds, or this many bytes.
const LATELY: usize = 64 << 20;

/// A number of spans, and a number of bytes, that may not be exceeded.
#[derive(Debug)]
pub struct Admission {
    limit: usize,
    held: AtomicUsize,
    bytes: Account,
    asked: Mutex<Asked>,
    full: AtomicBool,
    turned_away: AtomicU64,
}

/// What was asked for lately, in bytes. As new comes, what was before counts less and less.
#[derive(Debug)]
struct Asked {
    hasher: RandomState,
    by_place: [usize; PLACES],
    sum: usize,
    lately: usize,
}

impl Asked {
    /// A service asks for room. Returns its part of what was asked for, itself included.
    fn note(&mut self, service: &str, bytes: usize) -> f64 {
        if self.sum > self.lately {
            self.by_place.iter_mut().for_each(|asked| *asked /= 2);
            self.sum = self.by_place.iter().sum();
        }
        let place = self.place(service);
        self.by_place[place] = self.by_place[place].saturating_add(bytes);
        self.sum = self.sum.saturating_add(bytes);
        self.by_place[place] as f64 / self.sum.max(1) as f64
    }

    fn place(&self, service: &str) -> usize {
        (self.hasher.hash_one(service) % PLACES as u64) as usize
    }
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
        let lately = bytes.limit().min(LATELY);
        let asked = Asked { hasher: RandomState::new(), by_place: [0; PLACES], sum: 0, lately };
        let (full, turned_away) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { limit, held: AtomicUsize::new(0), bytes, asked: Mutex::new(asked), full, turned_away }
    }

    /// Takes room for `spans` of a trace that are `bytes` if there is that much, and if the service that the trace begins in
    /// leaves enough to others. A trace larger than the whole queue is let in when the queue is empty, lest it never could be.
    ///
    /// # Errors
    /// What there is not enough of.
    pub fn enter(&self, service: &str, spans: usize, bytes: usize) -> Result<(), Full> {
        let part = self.asked.lock().unwrap_or_else(PoisonError::into_inner).note(service, bytes);
        let (of_spans, of_bytes) = (
            self.held() as f64 / self.limit.max(1) as f64,
            self.bytes.held() as f64 / self.bytes.limit().max(1) as f64,
        );
        let taken = of_spans.max(of_bytes);
        if part < 1.0 && part * taken > TIMES_FREE * (1.0 - taken) {
            return Err(if of_spans > of_bytes { Full::Spans } else { Full::Bytes });
        }
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
        assert!(admission.enter("a", 6, 1).is_ok());
        assert_eq!(admission.enter("a", 5, 1), Err(Full::Spans));
        assert!(admission.enter("a", 4, 1).is_ok());
        admission.leave(6, 1);
        assert!(admission.enter("a", 5, 1).is_ok());
        assert_eq!(admission.held(), 9);
    }

    #[test]
    fn few_spans_may_be_too_many_bytes() {
        let admission = admission(10, 1000);
        assert!(admission.enter("a", 1, 900).is_ok());
        assert_eq!(admission.enter("a", 1, 200), Err(Full::Bytes));
        assert_eq!(admission.held(), 1, "what found no room is not counted");
        admission.becomes(900, 100);
        assert!(admission.enter("a", 1, 200).is_ok());
        admission.leave(1, 100);
        admission.leave(1, 200);
        assert_eq!((admission.held(), admission.bytes.held()), (0, 0));
    }

    #[test]
    fn a_trace_larger_than_the_queue_passes_when_it_is_empty() {
        let admission = admission(10, 1000);
        assert!(admission.enter("a", 25, 5000).is_ok());
        assert!(admission.enter("a", 1, 1).is_err());
        admission.leave(25, 5000);
        assert_eq!(admission.held(), 0);
    }

    #[test]
    fn a_time_of_overflow_is_reported_once_at_its_start_and_once_at_its_end() {
        let admission = admission(10, 1000);
        assert!(admission.enter("a", 10, 1).is_ok());
        assert!(admission.overflows(3));
        assert!(!admission.overflows(4));
        assert_eq!(admission.overflow_ended(), None, "still full");
        admission.leave(10, 1);
        assert_eq!(admission.overflow_ended(), Some(7));
        assert_eq!(admission.overflow_ended(), None);
    }

    #[test]
    fn a_service_that_floods_a_queue_that_nobody_empties_leaves_room_for_a_modest_one() {
        for (limit, bytes) in [(1000, usize::MAX), (usize::MAX, 100_000)] {
            let admission = admission(limit, bytes);
            let another = {
                let asked = admission.asked.lock().unwrap();
                let mut names = (0..).map(|n| format!("modest-{n}"));
                names.find(|name| asked.place(name) != asked.place("flood")).unwrap()
            };
            let (mut flood, mut modest) = (0, 0);
            for round in 0..100 {
                flood += (0..200).filter(|_| admission.enter("flood", 1, 100).is_ok()).count();
                // It comes when the queue has long been full, and leaves and comes again.
                if round % 10 == 5 {
                    modest += (0..10).filter(|_| admission.enter(&another, 1, 100).is_ok()).count();
                }
                // One in a hundred is delivered.
                admission.leave(10, 1000);
                flood = flood.saturating_sub(10);
            }
            assert!(modest >= 90, "{modest} of 100 of the modest service, {flood} of the flooding one");
        }
    }

    #[test]
    fn a_queue_for_which_nobody_else_asks_is_one_services_own() {
        let admission = admission(1000, usize::MAX);
        assert_eq!((0..2000).filter(|_| admission.enter("alone", 1, 100).is_ok()).count(), 1000);
    }
}
