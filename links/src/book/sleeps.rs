//! What threads that read requests without waiting were seen to sleep on: exactly the connection of a call, as a worker does
//! that waits for its response; or on several things at a time, as an event loop does.

use rustc_hash::FxHashMap as HashMap;

use crate::facts::{SleptOn, UnitKey};
use wirespan_signals::Slim as _;

/// Threads that are watched at a time.
const MAX_WATCHED: usize = 4096;
/// Epoll sets of one thread that are remembered; one with more is no worker.
const MAX_SETS: usize = 8;
/// Sets of all processes that are remembered.
const MAX_ALL_SETS: usize = 16_384;
/// Calls of one thread whose connections are remembered.
const MAX_CALLS: usize = 8;

#[derive(Debug, Default)]
struct Sleeper {
    /// Connections of its last calls, and those that it slept on and on nothing else, by cookie.
    calls: Vec<u64>,
    slept: Vec<u64>,
    /// It waited for the response to a call.
    waits: bool,
    /// It slept on several connections of its own.
    many: bool,
    /// Epoll sets that it slept on.
    sets: Vec<u64>,
}

/// All threads that are watched.
#[derive(Debug, Default)]
pub struct Sleeps {
    sleepers: HashMap<UnitKey, Sleeper>,
    /// Who sleeps on which set of which process: the first, and whether others do.
    sets: HashMap<(u32, u64), (UnitKey, bool)>,
    /// Threads to be watched from now on (`true`), or no longer.
    wishes: Vec<(UnitKey, bool)>,
}

impl Sleeps {
    /// Gives room back that is not needed.
    pub fn slim(&mut self) {
        self.sleepers.slim();
        self.sets.slim();
    }

    /// A thread that reads requests without waiting makes a call: it is worth watching.
    pub fn called(&mut self, thread: UnitKey, cookie: u64) {
        if !self.sleepers.contains_key(&thread) {
            if self.sleepers.len() >= MAX_WATCHED {
                return;
            }
            self.wishes.push((thread, true));
        }
        let sleeper = self.sleepers.entry(thread).or_default();
        remember(&mut sleeper.calls, cookie);
        sleeper.waits |= sleeper.slept.contains(&cookie);
    }

    /// A watched thread went to sleep.
    pub fn slept(&mut self, thread: UnitKey, on: SleptOn, cookie: u64) {
        let Some(sleeper) = self.sleepers.get_mut(&thread) else { return };
        match on {
            SleptOn::Own => {
                remember(&mut sleeper.slept, cookie);
                sleeper.waits |= sleeper.calls.contains(&cookie);
            }
            SleptOn::Many => sleeper.many = true,
            SleptOn::Set(set) if sleeper.sets.contains(&set) => {}
            SleptOn::Set(set) => {
                sleeper.many |= sleeper.sets.len() >= MAX_SETS;
                sleeper.sets.truncate(MAX_SETS - 1);
                sleeper.sets.push(set);
                // One that is not remembered counts as its own: nothing is linked for that.
                if self.sets.len() < MAX_ALL_SETS || self.sets.contains_key(&(thread.tgid, set)) {
                    let known = self.sets.entry((thread.tgid, set)).or_insert((thread, false));
                    known.1 |= known.0 != thread;
                }
            }
        }
    }

    /// Whether a thread was seen to sleep on exactly the connection of a call.
    pub fn waits(&self, thread: UnitKey) -> bool {
        self.sleepers.get(&thread).is_some_and(|s| s.waits)
    }

    /// Whether it was seen to sleep on several connections that are its own to watch: an epoll set in which other threads sleep
    /// too is a pool's.
    pub fn is_loop(&self, thread: UnitKey) -> bool {
        let own = |set: &u64| self.sets.get(&(thread.tgid, *set)).is_none_or(|(_, shared)| !shared);
        self.sleepers.get(&thread).is_some_and(|s| s.many || s.sets.iter().any(own))
    }

    /// A thread is gone, or its id is another's now.
    pub fn forget(&mut self, thread: UnitKey) {
        if self.sleepers.remove(&thread).is_some() {
            self.wishes.push((thread, false));
        }
        if thread.leads() {
            self.sets.retain(|(tgid, _), _| *tgid != thread.tgid);
        }
    }

    /// Threads to be watched from now on, or no longer.
    pub fn take_wishes(&mut self) -> Vec<(UnitKey, bool)> {
        std::mem::take(&mut self.wishes)
    }
}

fn remember(list: &mut Vec<u64>, cookie: u64) {
    if !list.contains(&cookie) {
        if list.len() >= MAX_CALLS {
            list.remove(0);
        }
        list.push(cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: UnitKey = UnitKey { tgid: 1, kind: 0, id: 7 };
    const U: UnitKey = UnitKey { tgid: 1, kind: 0, id: 8 };

    #[test]
    fn a_worker_is_known_by_its_sleep_on_a_call_in_whatever_order_that_is_told() {
        for order in [[0, 1], [1, 0]] {
            let mut sleeps = Sleeps::default();
            sleeps.called(T, 1);
            for step in order {
                match step {
                    0 => sleeps.called(T, 5),
                    _ => sleeps.slept(T, SleptOn::Own, 5),
                }
            }
            assert!(sleeps.waits(T) && !sleeps.is_loop(T));
        }
        let mut sleeps = Sleeps::default();
        sleeps.called(T, 5);
        // It waits for the next request of a connection that it answered.
        sleeps.slept(T, SleptOn::Own, 6);
        assert!(!sleeps.waits(T));
    }

    #[test]
    fn an_epoll_set_of_ones_own_makes_a_loop_and_one_that_others_sleep_on_too_does_not() {
        let mut sleeps = Sleeps::default();
        sleeps.called(T, 5);
        sleeps.called(U, 6);
        sleeps.slept(T, SleptOn::Set(9), 0);
        assert!(sleeps.is_loop(T));
        sleeps.slept(U, SleptOn::Set(9), 0);
        assert!(!sleeps.is_loop(T) && !sleeps.is_loop(U));
        sleeps.slept(U, SleptOn::Many, 0);
        assert!(!sleeps.is_loop(T) && sleeps.is_loop(U));
    }

    #[test]
    fn threads_are_watched_once_and_let_go_of_when_they_end() {
        let mut sleeps = Sleeps::default();
        sleeps.called(T, 5);
        sleeps.called(T, 6);
        assert_eq!(sleeps.take_wishes(), [(T, true)]);
        sleeps.forget(T);
        sleeps.forget(U);
        assert_eq!(sleeps.take_wishes(), [(T, false)]);
        for n in 0..2 * MAX_WATCHED as u64 {
            sleeps.called(UnitKey { id: n, ..T }, 5);
        }
        assert_eq!(sleeps.take_wishes().len(), MAX_WATCHED);
    }
}
