//! Which of many holds most, to within a factor of two, without a look at all of them.

use rustc_hash::{FxHashMap, FxHashSet};
use wirespan_signals::Slim;

/// Who holds less than two to this power in bytes is not worth to be known.
const SMALLEST: u32 = 12;

/// Keys by the magnitude of what they hold.
#[derive(Debug, Default)]
pub struct Heaviest {
    class_of: FxHashMap<u64, u32>,
    /// By the power of two, less [`SMALLEST`].
    classes: Vec<FxHashSet<u64>>,
}

fn class(bytes: usize) -> Option<u32> {
    bytes.checked_ilog2()?.checked_sub(SMALLEST)
}

impl Heaviest {
    /// `key` holds `now` bytes, and held `before`.
    pub fn changed(&mut self, key: u64, before: usize, now: usize) {
        let (old, new) = (class(before), class(now));
        if old == new {
            return;
        }
        if let Some(class) = self.class_of.remove(&key) {
            self.classes[class as usize].remove(&key);
        }
        if let Some(class) = new {
            let at = class as usize;
            if self.classes.len() <= at {
                self.classes.resize_with(at + 1, FxHashSet::default);
            }
            self.classes[at].insert(key);
            self.class_of.insert(key, class);
        }
    }

    /// Gives room back that is not needed.
    pub fn slim(&mut self) {
        self.class_of.slim();
        self.classes.iter_mut().for_each(Slim::slim);
    }

    /// One of those that hold most, if any holds much.
    pub fn any(&self) -> Option<u64> {
        self.classes.iter().rev().find_map(|class| class.iter().next().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_holds_most_is_found_and_forgotten_when_it_holds_little() {
        let mut heaviest = Heaviest::default();
        assert_eq!(heaviest.any(), None);
        heaviest.changed(1, 0, 100);
        assert_eq!(heaviest.any(), None, "too little to matter");
        heaviest.changed(2, 0, 5_000);
        heaviest.changed(3, 0, 900_000);
        heaviest.changed(4, 0, 60_000);
        assert_eq!(heaviest.any(), Some(3));
        heaviest.changed(3, 900_000, 0);
        assert_eq!(heaviest.any(), Some(4));
        heaviest.changed(4, 60_000, 5_000_000);
        heaviest.changed(4, 5_000_000, 10);
        assert_eq!(heaviest.any(), Some(2));
        heaviest.changed(2, 5_000, 0);
        assert_eq!(heaviest.any(), None);
        assert!(heaviest.class_of.is_empty());
    }
}
