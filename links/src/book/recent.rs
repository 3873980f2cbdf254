//! What was told of a key last: a few things of each, so many in all, and none for ever.

use std::collections::VecDeque;
use std::hash::Hash;

use rustc_hash::FxHashMap as HashMap;

use wirespan_signals::Slim as _;

/// Things of all keys; beyond, the oldest give way.
pub const MAX_ALL: usize = 65_536;
/// Things of one key.
const MAX_EACH: usize = 8;
/// What was told so long ago is forgotten, nanoseconds.
pub const FORGOTTEN: u64 = 600_000_000_000;

/// Things with the times at which they happened.
#[derive(Debug)]
pub struct Recent<K, V> {
    of: HashMap<K, VecDeque<(V, u64)>>,
    /// In the order in which they were told.
    order: VecDeque<(K, u64)>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { of: HashMap::default(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// One more of a key.
    pub fn push(&mut self, key: K, value: V, time: u64) {
        if self.order.len() >= MAX_ALL {
            self.forget_first();
        }
        self.order.push_back((key, time));
        let all = self.of.entry(key).or_default();
        if all.len() >= MAX_EACH {
            all.pop_front();
        }
        all.push_back((value, time));
    }

    /// Those of a key that happened up to a moment, with when; `None` if nothing is known of it.
    pub fn until(&self, key: &K, time: u64) -> Option<impl Iterator<Item = &(V, u64)>> {
        Some(self.of.get(key)?.iter().filter(move |(_, at)| *at <= time))
    }

    /// Keys of which anything is known.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether nothing is.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty() && self.order.is_empty()
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        while self.order.front().is_some_and(|(_, time)| time.saturating_add(FORGOTTEN) < now) {
            self.forget_first();
        }
        self.of.slim();
        self.order.slim();
    }

    fn forget_first(&mut self) {
        let Some((key, time)) = self.order.pop_front() else { return };
        if let Some(all) = self.of.get_mut(&key) {
            all.retain(|(_, at)| *at > time);
            if all.is_empty() {
                self.of.remove(&key);
            }
        }
    }
}
