//! Virtual threads: which connections they read requests of. One that is made for a piece of work reads those of one connection
//! at most; one of a pool, those of any.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::facts::UnitKey;
use wirespan_signals::Slim as _;

/// Virtual threads that are remembered, of all processes.
const MAX_THREADS: usize = 16_384;
/// Processes known to have a pool; where there are more, all may have one.
const MAX_PROCESSES: usize = 4096;
/// One that read nothing for so long is forgotten, nanoseconds.
const FORGOTTEN: u64 = 600_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Seen {
    connection: u64,
    last: u64,
}

/// All virtual threads that read requests.
#[derive(Debug, Default)]
pub struct Virtuals {
    seen: HashMap<UnitKey, Seen>,
    /// Processes in which one read requests of two connections.
    pooled: HashSet<u32>,
    /// There were more of them than can be remembered.
    crowded: bool,
}

impl Virtuals {
    /// A virtual thread read a request of a connection.
    pub fn read(&mut self, thread: UnitKey, connection: u64, time: u64) {
        if !thread.is_told() || self.are_pooled(thread.tgid) {
            return;
        }
        if self.seen.len() >= MAX_THREADS && !self.seen.contains_key(&thread) {
            self.forget_half();
        }
        let seen = self.seen.entry(thread).or_insert(Seen { connection, last: time });
        seen.last = seen.last.max(time);
        if seen.connection == connection {
            return;
        }
        self.crowded |= self.pooled.len() >= MAX_PROCESSES;
        if !self.crowded {
            self.pooled.insert(thread.tgid);
        }
        self.seen.retain(|of, _| of.tgid != thread.tgid);
    }

    /// Whether a process is known to have virtual threads in a pool.
    pub fn are_pooled(&self, tgid: u32) -> bool {
        self.crowded || self.pooled.contains(&tgid)
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        if self.pooled.remove(&tgid) || self.seen.is_empty() {
            return;
        }
        self.seen.retain(|of, _| of.tgid != tgid);
    }

    /// Forgets what was last seen long ago.
    pub fn sweep(&mut self, now: u64) {
        self.seen.retain(|_, seen| seen.last.saturating_add(FORGOTTEN) > now);
        self.seen.slim();
        self.pooled.slim();
    }

    /// Forgets those that were not seen for longest.
    fn forget_half(&mut self) {
        let mut times: Vec<u64> = self.seen.values().map(|seen| seen.last).collect();
        let middle = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(middle);
        let middle = *middle;
        self.seen.retain(|_, seen| seen.last > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirespan_common::UNIT_VIRTUAL;

    fn thread(tgid: u32, id: u64) -> UnitKey {
        UnitKey { tgid, kind: UNIT_VIRTUAL, id }
    }

    #[test]
    fn a_process_whose_virtual_threads_read_of_several_connections_has_a_pool_until_it_ends() {
        let mut virtuals = Virtuals::default();
        virtuals.read(thread(1, 20), 5, 1);
        virtuals.read(thread(1, 20), 5, 2);
        virtuals.read(thread(1, 21), 6, 3);
        virtuals.read(thread(2, 20), 6, 4);
        virtuals.read(thread(2, 0), 6, 5);
        virtuals.read(thread(2, 0), 7, 6);
        assert!(!virtuals.are_pooled(1) && !virtuals.are_pooled(2));
        virtuals.read(thread(1, 20), 6, 7);
        assert!(virtuals.are_pooled(1) && !virtuals.are_pooled(2));
        virtuals.gone(1);
        assert!(!virtuals.are_pooled(1));
    }

    #[test]
    fn those_that_were_not_seen_for_long_are_forgotten() {
        let mut virtuals = Virtuals::default();
        for id in 1..=3 * MAX_THREADS as u64 {
            virtuals.read(thread(1, id), id, id);
            assert!(virtuals.seen.len() <= MAX_THREADS);
        }
        assert!(virtuals.seen.contains_key(&thread(1, 3 * MAX_THREADS as u64)));
        virtuals.sweep(FORGOTTEN * 2);
        assert!(virtuals.seen.is_empty());
    }
}
