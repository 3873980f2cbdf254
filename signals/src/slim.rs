//! Tables give back the room that nothing in them needs any more.
//!
//! A table grows with what it holds and by itself never shrinks: after a burst the stage would keep for ever what it once
//! needed. So every table that grows with the load is told to [`slim`](Slim::slim) from time to time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};

/// Room for fewer things than this is left alone.
const LEAST: usize = 1024;
/// So many times what it holds a table may keep.
const KEPT: usize = 4;

/// What gives room back.
pub trait Slim {
    /// Gives back what is far more room than it needs. What that costs is paid for by all that was taken out before.
    fn slim(&mut self);
}

/// How much room a table of `len` things may keep.
fn kept(len: usize) -> usize {
    (len * KEPT).max(LEAST)
}

// (What a hash table calls its capacity leaves out the places of what was removed; when it is asked to shrink it knows.
// It does so by halves, and nothing happens while less than half could go.)
impl<K: Eq + Hash, V, S: BuildHasher> Slim for HashMap<K, V, S> {
    fn slim(&mut self) {
        self.shrink_to(kept(self.len()));
    }
}

impl<T: Eq + Hash, S: BuildHasher> Slim for HashSet<T, S> {
    fn slim(&mut self) {
        self.shrink_to(kept(self.len()));
    }
}

impl<T> Slim for VecDeque<T> {
    fn slim(&mut self) {
        if self.capacity() > 2 * kept(self.len()) {
            self.shrink_to(kept(self.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_goes_back_when_most_of_it_is_empty_and_stays_while_it_is_needed() {
        let mut map: HashMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
        map.retain(|n, _| *n < 50_000);
        map.slim();
        assert!(map.capacity() > 80_000, "it may fill up again: {}", map.capacity());
        map.retain(|n, _| *n < 100);
        map.slim();
        assert!(map.capacity() <= 2 * LEAST && map.len() == 100, "{}", map.capacity());
        let mut list: VecDeque<u64> = (0..100_000).collect();
        list.drain(..99_990);
        list.slim();
        assert!(list.capacity() <= 2 * LEAST && list.len() == 10);
    }

    #[test]
    fn small_tables_are_left_alone() {
        let mut map: HashMap<u32, u32> = HashMap::with_capacity(LEAST / 2);
        let capacity = map.capacity();
        map.slim();
        assert_eq!(map.capacity(), capacity);
    }
}
