//! The handles that requests are known by, each within its process: addresses are alike in all.

use std::collections::VecDeque;

use rustc_hash::FxHashMap as HashMap;

use crate::facts::{Handle, UnitKey};

/// Handles at a time; beyond, the oldest give way.
const MAX_HANDLES: usize = 65_536;
/// Requests of one handle that are remembered.
const MAX_NAMED: usize = 8;
/// A handle that nothing was named by for this long is forgotten, nanoseconds.
const FORGOTTEN: u64 = 600_000_000_000;

/// A request that carries a handle.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Who serves it.
    pub unit: UnitKey,
    /// When it was named.
    pub time: u64,
}

type Key = (u32, Handle);

/// All handles.
#[derive(Debug, Default)]
pub struct Handles {
    handles: HashMap<Key, VecDeque<Named>>,
    /// In the order in which they were told, with the times.
    order: VecDeque<(Key, u64)>,
}

impl Handles {
    /// A request carries a handle.
    pub fn named(&mut self, handle: Handle, named: Named) {
        if self.order.len() >= MAX_HANDLES {
            self.forget_first();
        }
        let key = (named.unit.tgid, handle);
        self.order.push_back((key, named.time));
        let all = self.handles.entry(key).or_default();
        if all.len() >= MAX_NAMED {
            all.pop_front();
        }
        all.push_back(named);
    }

    /// The requests of a process that a handle was given to, up to `time`: the last of each unit.
    pub fn requests(&self, tgid: u32, handle: Handle, time: u64) -> impl Iterator<Item = Named> {
        let mut last: Vec<Named> = Vec::new();
        for named in self.handles.get(&(tgid, handle)).into_iter().flatten().filter(|n| n.time <= time) {
            last.retain(|n| n.unit != named.unit || n.time > named.time);
            last.push(*named);
        }
        last.into_iter()
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        while self.order.front().is_some_and(|(_, time)| time.saturating_add(FORGOTTEN) < now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((key, time)) = self.order.pop_front() else { return };
        if let Some(all) = self.handles.get_mut(&key) {
            all.retain(|named| named.time > time);
            if all.is_empty() {
                self.handles.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(tgid: u32) -> UnitKey {
        UnitKey { tgid, kind: 1, id: 7 }
    }

    #[test]
    fn a_handle_means_something_in_its_process_only() {
        let mut handles = Handles::default();
        handles.named(Handle(1, 2), Named { unit: unit(1), time: 10 });
        assert_eq!(handles.requests(1, Handle(1, 2), 20).count(), 1);
        assert_eq!(handles.requests(2, Handle(1, 2), 20).count(), 0);
        assert_eq!(handles.requests(1, Handle(1, 3), 20).count(), 0);
    }

    #[test]
    fn the_oldest_give_way_and_all_are_forgotten_in_time() {
        let mut handles = Handles::default();
        for n in 0..MAX_HANDLES as u64 + 10 {
            handles.named(Handle(n, 1), Named { unit: unit(1), time: n });
        }
        assert_eq!(handles.requests(1, Handle(9, 1), u64::MAX).count(), 0);
        assert_eq!(handles.requests(1, Handle(10, 1), u64::MAX).count(), 1);
        assert_eq!(handles.handles.len(), MAX_HANDLES);
        handles.sweep(2 * FORGOTTEN);
        assert!(handles.handles.is_empty() && handles.order.is_empty());
    }
}
