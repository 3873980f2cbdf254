//! Records that are missing: whose they were, as far as that is known, and how often some were.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

/// Processes of which it is remembered how often records of theirs were lost; with more, it counts for everybody.
const MAX_PROCESSES: usize = 4096;

/// Facts are told at most so long after what happened later, nanoseconds.
const LATE: u64 = 50_000_000;

/// What was lost so far.
#[derive(Debug, Default)]
pub struct Losses {
    /// Among the records that come now, some of anybody are missing.
    anybodys: bool,
    /// Some of these processes are.
    of: HashSet<u32>,
    times: u32,
    times_of: HashMap<u32, u32>,
    /// Of what happened up to then records may be missing, `CLOCK_BOOTTIME` nanoseconds: of anybody's, of these processes'.
    until: u64,
    until_of: HashMap<u32, u64>,
}

/// How often records were lost that may have been a process's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times(u32, u32);

impl Losses {
    /// Records of process `of`, or of nobody knows whom, are missing from now on, or no longer; what was told until then happened by
    /// `now`. Returns up to which moment some may be missing.
    pub fn tell(&mut self, of: Option<u32>, losing: bool, now: u64) -> u64 {
        let until = now.saturating_add(LATE);
        match of {
            None => (self.anybodys, self.times, self.until) = (losing, self.times.wrapping_add(1), until),
            Some(tgid) => {
                if losing {
                    self.of.insert(tgid);
                } else {
                    self.of.remove(&tgid);
                }
                if self.times_of.len() >= MAX_PROCESSES && !self.times_of.contains_key(&tgid) {
                    (self.times_of, self.until_of) = Default::default();
                    (self.times, self.until) = (self.times.wrapping_add(1), until);
                }
                *self.times_of.entry(tgid).or_default() += 1;
                self.until_of.insert(tgid, until);
            }
        }
        until
    }

    /// Whether records of this process may be missing among those that come now.
    pub fn concerns(&self, tgid: u32) -> bool {
        self.anybodys || self.of.contains(&tgid)
    }

    /// Whether records may be missing of what a process did at a moment, or later.
    pub fn may_hide(&self, tgid: u32, since: u64) -> bool {
        let until = self.until_of.get(&tgid).map_or(self.until, |until| self.until.max(*until));
        self.concerns(tgid) || since <= until && until > 0
    }

    /// How often some were: if that is another number later, some were in between.
    pub fn times(&self, tgid: u32) -> Times {
        Times(self.times, self.times_of.get(&tgid).copied().unwrap_or_default())
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.of.remove(&tgid);
        self.times_of.remove(&tgid);
        self.until_of.remove(&tgid);
    }
}
