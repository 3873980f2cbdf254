//! The handles that requests are known by, each within its process: addresses are alike in all.

use super::recent::Recent;
use crate::facts::{Handle, UnitKey};

/// A request that carries a handle.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Who serves it.
    pub unit: UnitKey,
    /// When it was named.
    pub time: u64,
    /// What carries the handle, carries it after the request was answered as well.
    pub lasts: bool,
}

/// All handles.
#[derive(Debug, Default)]
pub struct Handles(Recent<(u32, Handle), (UnitKey, bool)>);

impl Handles {
    /// A request carries a handle.
    pub fn named(&mut self, handle: Handle, named: Named) {
        self.0.push((named.unit.tgid, handle), (named.unit, named.lasts), named.time);
    }

    /// The requests of a process that a handle was given to, up to `time`: the last of each unit.
    pub fn requests(&self, tgid: u32, handle: Handle, time: u64) -> impl Iterator<Item = Named> {
        let mut last: Vec<Named> = Vec::new();
        for &((unit, lasts), time) in self.0.until(&(tgid, handle), time).into_iter().flatten() {
            last.retain(|n| n.unit != unit || n.time > time);
            last.push(Named { unit, time, lasts });
        }
        last.into_iter()
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        self.0.sweep(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::recent::{FORGOTTEN, MAX_ALL};

    fn unit(tgid: u32) -> UnitKey {
        UnitKey { tgid, kind: 1, id: 7 }
    }

    #[test]
    fn a_handle_means_something_in_its_process_only() {
        let mut handles = Handles::default();
        handles.named(Handle(1, 2), Named { unit: unit(1), time: 10, lasts: false });
        assert_eq!(handles.requests(1, Handle(1, 2), 20).count(), 1);
        assert_eq!(handles.requests(2, Handle(1, 2), 20).count(), 0);
        assert_eq!(handles.requests(1, Handle(1, 3), 20).count(), 0);
    }

    #[test]
    fn the_oldest_give_way_and_all_are_forgotten_in_time() {
        let mut handles = Handles::default();
        for n in 0..MAX_ALL as u64 + 10 {
            handles.named(Handle(n, 1), Named { unit: unit(1), time: n, lasts: false });
        }
        assert_eq!(handles.requests(1, Handle(9, 1), u64::MAX).count(), 0);
        assert_eq!(handles.requests(1, Handle(10, 1), u64::MAX).count(), 1);
        assert_eq!(handles.0.len(), MAX_ALL);
        handles.sweep(2 * FORGOTTEN);
        assert!(handles.0.is_empty());
    }
}
