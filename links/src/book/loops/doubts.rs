//! What speaks against taking what a loop does next for what it was asked to do: contradictions, and operations whose responses
//! answer several requests at once.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap as HashMap;

use crate::live::SpanKey;

/// Operations that are remembered.
const MAX_OPERATIONS: usize = 4096;
/// Responses of an operation that must have been seen before one is believed alone, if each of them answered one request.
const CLEAN: u32 = 8;
/// And else.
const ENOUGH: u32 = 20;
/// One in so many of them may have answered several requests.
const RARELY: u32 = 200;
/// For so many calls a contradiction counts.
const LONG: u32 = 1000;

/// A few requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Few(Vec<SpanKey>);

impl Few {
    /// So many are told apart.
    const MAX: usize = 4;

    /// One more. Whether that is news.
    pub fn add(&mut self, request: SpanKey) -> bool {
        let news = self.0.len() < Self::MAX && !self.0.contains(&request);
        if news {
            self.0.push(request);
        }
        news
    }

    /// The requests.
    pub fn all(&self) -> &[SpanKey] {
        &self.0
    }

    /// The only one.
    pub fn only(&self) -> Option<SpanKey> {
        match self.0.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// Whether it is one of them.
    pub fn has(&self, request: SpanKey) -> bool {
        self.0.contains(&request)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of one loop.
#[derive(Debug, Default)]
pub struct Doubts {
    /// For how many calls the last contradiction counts, by what was asked with the response that they were begun with.
    left: HashMap<u64, u32>,
    /// What was answered with responses, by operation, and whether something had spoken for another request.
    operations: HashMap<(u64, bool), Answered>,
}

/// How many responses answered so many requests.
#[derive(Debug, Default)]
struct Answered {
    none: u32,
    one: u32,
    several: u32,
}

/// Whether the one request that was answered with a response is believed to be the call's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// Such responses hardly ever answered several.
    Yes,
    /// None answered several, but there were few.
    NotYet,
    /// Some answered several.
    No,
}

impl Doubts {
    /// Whether a contradiction counts for what is begun with such a response. (Of very many operations, for all.)
    pub fn are_held(&self, after: u64) -> bool {
        self.left.contains_key(&after) || self.left.len() >= MAX_OPERATIONS
    }

    /// What was known of a call when its response had been worked off.
    pub fn note(&mut self, after: u64, contradicted: bool) {
        if contradicted {
            if self.left.len() < MAX_OPERATIONS || self.left.contains_key(&after) {
                self.left.insert(after, LONG);
            }
        } else if let Entry::Occupied(mut left) = self.left.entry(after) {
            *left.get_mut() -= 1;
            if *left.get() == 0 {
                left.remove();
            }
        }
    }

    /// A response to an operation answered one request, several, or none, and nothing was asked with what it was. Whether its
    /// answer may be believed.
    pub fn answered(&mut self, operation: u64, contradicted: bool, requests: usize) -> Believed {
        if self.operations.len() >= MAX_OPERATIONS && !self.operations.contains_key(&(operation, contradicted)) {
            self.operations.clear();
        }
        let known = self.operations.entry((operation, contradicted)).or_default();
        let count = match requests {
            0 => &mut known.none,
            1 => &mut known.one,
            _ => &mut known.several,
        };
        *count = count.saturating_add(1);
        let seen = known.one.saturating_add(known.several);
        let enough = if known.none == 0 && known.several == 0 { CLEAN } else { ENOUGH };
        match known.several.saturating_mul(RARELY) <= seen {
            true if seen > enough => Believed::Yes,
            _ if known.several == 0 => Believed::NotYet,
            _ => Believed::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_believed_once_it_was_seen_often_and_hardly_ever_answered_several_or_none() {
        let mut doubts = Doubts::default();
        let mut refused = |operation, first: &[usize]| {
            for requests in first {
                doubts.answered(operation, false, *requests);
            }
            (0..300).filter(|_| doubts.answered(operation, false, 1) != Believed::Yes).count()
        };
        assert_eq!((refused(1, &[]), refused(2, &[0]), refused(3, &[2])), (8, 20, 198));
        assert!((0..2).any(|_| doubts.answered(1, false, 2) == Believed::No), "{doubts:?}");
        assert_eq!(doubts.answered(4, false, 1), Believed::NotYet);
    }

    #[test]
    fn a_contradiction_counts_for_a_while_where_it_was_seen() {
        let mut doubts = Doubts::default();
        doubts.note(7, true);
        (1..LONG).for_each(|_| doubts.note(7, false));
        assert!(doubts.are_held(7));
        assert!(!doubts.are_held(8), "of another operation");
        doubts.note(7, false);
        assert!(!doubts.are_held(7));
    }

    #[test]
    fn so_many_contradictions_that_they_cannot_be_remembered_count_for_all() {
        let mut doubts = Doubts::default();
        (0..2 * MAX_OPERATIONS as u64).for_each(|after| doubts.note(after, true));
        assert_eq!(doubts.left.len(), MAX_OPERATIONS);
        assert!(doubts.are_held(u64::MAX));
    }
}
