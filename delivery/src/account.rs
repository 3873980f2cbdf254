//! What a stage may hold, in bytes, and what it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One stage's share, and what of it is taken. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    held: AtomicUsize,
}

impl Account {
    /// A share of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { limit, held: AtomicUsize::new(0) }))
    }

    /// Takes `bytes` if there is room. Something larger than the whole share is let in when nothing else is there, lest it
    /// never could be.
    pub fn try_take(&self, bytes: usize) -> bool {
        let fits = |held: usize| (held == 0 || held.saturating_add(bytes) <= self.0.limit).then_some(held + bytes);
        self.0.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Takes `bytes`, whether there is room or not: for what has been let in and grows.
    pub fn take(&self, bytes: usize) {
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives `bytes` back.
    pub fn give(&self, bytes: usize) {
        let less = |held: usize| Some(held.saturating_sub(bytes));
        // (Never fails: it always says something.)
        let _ = self.0.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Replaces what is taken: for a stage that reckons itself.
    pub fn set(&self, bytes: usize) {
        self.0.held.store(bytes, Ordering::Relaxed);
    }

    /// Bytes taken.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Bytes that may be taken.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Whether more is taken than may be.
    pub fn is_over(&self) -> bool {
        self.held() > self.0.limit
    }

    /// Whether most of it is taken: time to let go of what is only kept in case.
    pub fn is_pressed(&self) -> bool {
        self.held() > self.0.limit / 4 * 3
    }
}
