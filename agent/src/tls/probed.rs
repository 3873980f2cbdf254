//! Since when what passes through each library is seen, or through a program that brings its own (Go's): by their numbers, which
//! their probes say. A connection that began later is seen from its first byte on.

use std::collections::{HashMap, VecDeque};

/// Files that are probed.
#[derive(Debug, Default)]
pub struct Probed {
    /// Since when, by number.
    since: HashMap<u32, u64>,
    /// Those that are to be, in the order in which that is done.
    asked: VecDeque<u32>,
}

impl Probed {
    /// One is to be probed.
    pub fn found(&mut self, number: u8) {
        self.asked.push_back(number.into());
    }

    /// The first of those that were to be probed is, from now on; `None`: it cannot be.
    pub fn attached(&mut self, now: Option<u64>) {
        if let (Some(number), Some(now)) = (self.asked.pop_front(), now) {
            self.since.insert(number, now);
        }
    }

    /// Since when what passes in it is seen; `None`: that is not known yet.
    pub fn since(&self, number: u32) -> Option<u64> {
        self.since.get(&number).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_library_is_seen_since_it_is_probed_itself() {
        let mut probed = Probed::default();
        [0, 1, 2].iter().for_each(|number| probed.found(*number));
        assert_eq!(probed.since(0), None, "it is not probed yet");
        [Some(5), None, Some(9)].iter().for_each(|now| probed.attached(*now));
        assert_eq!([0, 1, 2].map(|number| probed.since(number)), [Some(5), None, Some(9)]);
        // What another is found to be changes nothing of those that are.
        probed.found(3);
        assert_eq!([0, 2, 3].map(|number| probed.since(number)), [Some(5), Some(9), None]);
    }
}
