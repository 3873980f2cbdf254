//! Which processes' records the kernel lost since it was last asked.
//!
//! What found the ring full may have been anybody's. What was one too many for its sender's budget was its sender's, which
//! the kernel counts for each process as well; those counts may be forgotten, and then it was anybody's, too.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

/// What was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Records of these processes, or of none.
    Of(Vec<u32>),
    /// Records of anybody.
    Anybodys,
}

/// Whose records are missing among those that are still to come; `None` is anybody's.
///
/// The kernel counts a record that finds no room when that happens. Shortly before, others may have found some that wait behind much
/// else: what happened at the same time is read later, by as much as reading is behind.
#[derive(Debug, Default)]
pub struct Losing(HashSet<Option<u32>>);

impl Losing {
    /// This was lost since the last call, and the ring was read to its end before that was asked, or not. Returns whose records are
    /// missing from what was read since then on; and whose are not any more, after that.
    pub fn tell(&mut self, lost: &Lost, read_all: bool) -> [Vec<Option<u32>>; 2] {
        let whose: Vec<Option<u32>> = match lost {
            Lost::Anybodys => vec![None],
            Lost::Of(processes) => processes.iter().copied().map(Some).collect(),
        };
        let over = if read_all && whose.is_empty() { self.0.drain().collect() } else { Vec::new() };
        self.0.extend(&whose);
        [whose, over]
    }
}

/// What the kernel had lost when last asked.
#[derive(Debug, Default)]
pub struct Losses {
    ring_full: u64,
    over_budget: u64,
    /// As many of the latter were found to be somebody's.
    attributed: u64,
    /// What each process had lost.
    refused: HashMap<u32, u64>,
}

impl Losses {
    /// What was lost since the last call: the kernel says now how many records found no room on the ring, how many were over a
    /// budget, and (asked after that, and only if there are more) how many of which process these were.
    pub fn since(&mut self, ring_full: u64, over_budget: u64, refused: impl FnOnce() -> Vec<(u32, u64)>) -> Lost {
        let mut anybodys = ring_full != std::mem::replace(&mut self.ring_full, ring_full);
        let mut whose = Vec::new();
        if over_budget != std::mem::replace(&mut self.over_budget, over_budget) {
            let before = std::mem::take(&mut self.refused);
            for (tgid, count) in refused() {
                // One that is smaller than before was begun anew.
                let more = count - before.get(&tgid).copied().filter(|n| *n <= count).unwrap_or_default();
                self.attributed += more;
                whose.extend((more > 0).then_some(tgid));
                self.refused.insert(tgid, count);
            }
            if self.attributed < over_budget {
                anybodys = true;
                self.attributed = over_budget;
            }
        }
        if anybodys { Lost::Anybodys } else { Lost::Of(whose) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_refused_a_process_is_that_processs_loss() {
        let mut losses = Losses::default();
        let none = || panic!("nothing new");
        assert_eq!(losses.since(0, 0, none), Lost::Of(vec![]));
        assert_eq!(losses.since(0, 5, || vec![(7, 5), (8, 0)]), Lost::Of(vec![7]));
        assert_eq!(losses.since(0, 5, none), Lost::Of(vec![]));
        assert_eq!(losses.since(0, 9, || vec![(7, 8), (8, 1)]), Lost::Of(vec![7, 8]));
    }

    #[test]
    fn records_are_missing_until_all_that_waited_was_read_and_none_was_lost_meanwhile() {
        let mut losing = Losing::default();
        let (none, some) = (Lost::Of(vec![]), Lost::Of(vec![7]));
        assert_eq!(losing.tell(&none, true), [vec![], vec![]]);
        assert_eq!(losing.tell(&some, false), [vec![Some(7)], vec![]]);
        assert_eq!(losing.tell(&none, false), [vec![], vec![]], "what happened then may still wait");
        assert_eq!(losing.tell(&Lost::Anybodys, true), [vec![None], vec![]]);
        let [begun, mut over] = losing.tell(&none, true);
        over.sort();
        assert_eq!((begun, over), (vec![], vec![None, Some(7)]));
        assert_eq!(losing.tell(&none, true), [vec![], vec![]]);
    }

    #[test]
    fn what_found_the_ring_full_may_be_anybodys() {
        let mut losses = Losses::default();
        assert_eq!(losses.since(1, 0, || panic!("nothing new")), Lost::Anybodys);
        assert_eq!(losses.since(2, 3, || vec![(7, 3)]), Lost::Anybodys);
        assert_eq!(losses.since(2, 4, || vec![(7, 4)]), Lost::Of(vec![7]));
    }

    #[test]
    fn what_the_kernel_has_forgotten_whose_it_was_may_be_anybodys_once() {
        let mut losses = Losses::default();
        assert_eq!(losses.since(0, 5, || vec![(7, 5)]), Lost::Of(vec![7]));
        // Of two more, one was of a process that gave way to another.
        assert_eq!(losses.since(0, 7, || vec![(9, 1)]), Lost::Anybodys);
        assert_eq!(losses.since(0, 8, || vec![(9, 2)]), Lost::Of(vec![9]));
        // A count that began anew: what it had before was told.
        assert_eq!(losses.since(0, 9, || vec![(9, 1)]), Lost::Of(vec![9]));
    }

    #[test]
    fn a_count_that_is_ahead_of_the_sum_is_told_no_later_than_that() {
        let mut losses = Losses::default();
        assert_eq!(losses.since(0, 1, || vec![(7, 2)]), Lost::Of(vec![7]));
        assert_eq!(losses.since(0, 2, || vec![(7, 2)]), Lost::Of(vec![]));
        assert_eq!(losses.since(0, 3, || vec![(7, 3)]), Lost::Of(vec![7]));
    }
}
