//! What was decided about traces, for what comes of them later.

use rustc_hash::FxHashMap;

use crate::threshold::Threshold;

/// What was decided about a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is kept; of all that are like it, as many are as pass this.
    Kept(Threshold),
    /// It is not.
    Dropped,
}

/// Bytes that one decision takes in a table.
pub(crate) const ENTRY: usize = 48;

/// As many of the last decisions as there is room for, the oldest forgotten first.
#[derive(Debug)]
pub(crate) struct Decided {
    most: usize,
    newer: FxHashMap<[u8; 16], Fate>,
    older: FxHashMap<[u8; 16], Fate>,
}

impl Decided {
    /// Room for `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(2), newer: FxHashMap::default(), older: FxHashMap::default() }
    }

    pub(crate) fn get(&mut self, id: &[u8; 16]) -> Option<Fate> {
        if let Some(fate) = self.newer.get(id) {
            return Some(*fate);
        }
        let fate = self.older.remove(id)?;
        self.insert(*id, fate);
        Some(fate)
    }

    pub(crate) fn insert(&mut self, id: [u8; 16], fate: Fate) {
        if self.newer.len() >= self.most / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(id, fate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_known_and_there_are_never_more_than_fit() {
        let mut decided = Decided::new(100);
        let id = |n: u128| n.to_be_bytes();
        for n in 0..10_000 {
            decided.insert(id(n), Fate::Dropped);
            assert!(decided.newer.len() + decided.older.len() <= 100);
            // One that is asked for again and again stays.
            decided.get(&id(3));
        }
        assert!((9960..10_000).all(|n| decided.get(&id(n)) == Some(Fate::Dropped)));
        assert_eq!(decided.get(&id(3)), Some(Fate::Dropped));
        assert_eq!(decided.get(&id(500)), None);
    }
}
