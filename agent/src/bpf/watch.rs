//! Which threads' sleeps are looked at: a bit each in the `WATCHED` map, of which this keeps the master copy.

use aya::maps::{Array, MapData};
use rustc_hash::FxHashMap;
use wirespan_common::WATCH_WORDS;

/// The bits, and the words of them that are not zero.
pub struct Watched {
    map: Array<MapData, u64>,
    words: FxHashMap<u32, u64>,
}

impl Watched {
    /// Nobody is watched.
    pub fn new(map: Array<MapData, u64>) -> Self {
        Self { map, words: FxHashMap::default() }
    }

    /// Watches a thread, or no longer.
    pub fn set(&mut self, tid: u32, wanted: bool) {
        let (index, bit) = ((tid >> 6) & (WATCH_WORDS - 1), 1 << (tid & 63));
        let word = self.words.entry(index).or_default();
        *word = if wanted { *word | bit } else { *word & !bit };
        let value = *word;
        if value == 0 {
            self.words.remove(&index);
        }
        if let Err(error) = self.map.set(index, value, 0) {
            log::debug!("cannot watch thread {tid}: {error}");
        }
    }
}
