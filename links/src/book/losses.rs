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
    of_anybody: Known,
    of_process: HashMap<u32, Known>,
}

/// What was lost of somebody.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// How often some were.
    times: u32,
    /// Of what happened up to then records may be missing, `CLOCK_BOOTTIME` nanoseconds.
    until: u64,
}

impl Known {
    fn again(&mut self, until: u64) {
        *self = Self { times: self.times.wrapping_add(1), until };
    }
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
            None => {
                self.anybodys = losing;
                self.of_anybody.again(until);
            }
            Some(tgid) => {
                if losing {
                    self.of.insert(tgid);
                } else {
                    self.of.remove(&tgid);
                }
                if self.of_process.len() >= MAX_PROCESSES && !self.of_process.contains_key(&tgid) {
                    self.of_process.clear();
                    self.of_anybody.again(until);
                }
                self.of_process.entry(tgid).or_default().again(until);
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
        let until = self.of_anybody.until.max(self.known(tgid).until);
        self.concerns(tgid) || since <= until && until > 0
    }

    /// How often some were: if that is another number later, some were in between.
    pub fn times(&self, tgid: u32) -> Times {
        Times(self.of_anybody.times, self.known(tgid).times)
    }

    fn known(&self, tgid: u32) -> Known {
        self.of_process.get(&tgid).copied().unwrap_or_default()
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.of.remove(&tgid);
        self.of_process.remove(&tgid);
    }
}
