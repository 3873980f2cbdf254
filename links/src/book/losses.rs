//! Records that are missing: whose they were, as far as that is known, and how often some were.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

/// Processes of which it is remembered how often records of theirs were lost; with more, it counts for everybody.
const MAX_PROCESSES: usize = 4096;

/// What was lost so far.
#[derive(Debug, Default)]
pub struct Losses {
    /// Among the records that come now, some of anybody are missing.
    anybodys: bool,
    /// Some of these processes are.
    of: HashSet<u32>,
    times: u32,
    times_of: HashMap<u32, u32>,
}

/// How often records were lost that may have been a process's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times(u32, u32);

impl Losses {
    /// Records of process `of`, or of nobody knows whom, are missing from now on, or no longer.
    pub fn tell(&mut self, of: Option<u32>, losing: bool) {
        match of {
            None => (self.anybodys, self.times) = (losing, self.times.wrapping_add(1)),
            Some(tgid) => {
                if losing {
                    self.of.insert(tgid);
                } else {
                    self.of.remove(&tgid);
                }
                if self.times_of.len() >= MAX_PROCESSES && !self.times_of.contains_key(&tgid) {
                    self.times_of.clear();
                    self.times = self.times.wrapping_add(1);
                }
                *self.times_of.entry(tgid).or_default() += 1;
            }
        }
    }

    /// Whether records of this process may be missing among those that come now.
    pub fn concerns(&self, tgid: u32) -> bool {
        self.anybodys || self.of.contains(&tgid)
    }

    /// How often some were: if that is another number later, some were in between.
    pub fn times(&self, tgid: u32) -> Times {
        Times(self.times, self.times_of.get(&tgid).copied().unwrap_or_default())
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.of.remove(&tgid);
        self.times_of.remove(&tgid);
    }
}
