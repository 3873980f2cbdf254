//! Whether it is worth being told which units of a process make others: that costs at each birth, and many programs say of all
//! their calls themselves whose they are.
//!
//! It is asked for once a call stays without a request that a birth might explain, and no longer when it has explained nothing
//! for ten minutes. Where it never explained anything, it is asked for again ever more seldom.

use rustc_hash::FxHashMap as HashMap;
use wirespan_signals::Slim as _;

/// Processes at a time; of more it is not asked for.
const MAX_PROCESSES: usize = 16_384;
/// A call that was made so soon after it began to be told who makes calls may have been on its way before that, nanoseconds.
const SOON: u64 = 250_000_000;
/// What explains nothing for so long is not worth it; and then, for how long it is not asked for again at least, nanoseconds.
const IN_VAIN: u64 = 600_000_000_000;
/// How often that is doubled: up to some ten hours.
const MAX_DOUBLINGS: u32 = 6;
/// If it is not told by then, it is asked for again: there was no room for the question, nanoseconds.
const AGAIN: u64 = 10_000_000_000;

/// What is told of a process's births.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing, and it is not to be asked for until then.
    Nothing { until: u64 },
    /// It was asked for.
    Asked { at: u64 },
    /// All, since then; when that last explained a call.
    All { since: u64, explained: Option<u64> },
}

#[derive(Clone, Copy, Debug)]
struct Process {
    state: State,
    /// When that came.
    changed: u64,
    /// How often in a row it was told, and explained nothing.
    in_vain: u32,
}

/// All processes of which it could be told.
#[derive(Debug, Default)]
pub struct Births {
    processes: HashMap<u32, Process>,
    /// Of whom it is to be told from now on, or no longer.
    wishes: Vec<(u32, bool)>,
}

impl Births {
    /// From now on it is told who makes a process's calls: once in the life of its program, and nothing of its births.
    pub fn calls_told(&mut self, tgid: u32, time: u64) {
        if self.processes.len() < MAX_PROCESSES || self.processes.contains_key(&tgid) {
            let state = State::Nothing { until: time.saturating_add(SOON) };
            self.processes.insert(tgid, Process { state, changed: time, in_vain: 0 });
        }
    }

    /// From now on a process's births are told.
    pub fn told(&mut self, tgid: u32, time: u64) {
        if let Some(process) = self.processes.get_mut(&tgid) {
            (process.state, process.changed) = (State::All { since: time, explained: None }, time);
        }
    }

    /// A call that a unit of this process made at a moment stays without a request, and nothing is known of that unit's birth.
    pub fn missed(&mut self, tgid: u32, made: u64, now: u64) {
        let Some(process) = self.processes.get_mut(&tgid) else { return };
        let wanted = match process.state {
            State::Nothing { until } => made >= until,
            State::Asked { at } => now >= at.saturating_add(AGAIN),
            State::All { .. } => false,
        };
        if wanted {
            (process.state, process.changed) = (State::Asked { at: now }, now);
            self.wishes.push((tgid, true));
        }
    }

    /// What was told of births explains a call.
    pub fn explained(&mut self, tgid: u32, now: u64) {
        if let Some(process) = self.processes.get_mut(&tgid)
            && let State::All { explained, .. } = &mut process.state
        {
            *explained = Some(now);
            process.in_vain = 0;
        }
    }

    /// The processes of which it is not worth being told any more.
    pub fn give_up(&mut self, now: u64) -> Vec<u32> {
        let mut given_up = Vec::new();
        for (tgid, process) in &mut self.processes {
            let State::All { since, explained } = process.state else { continue };
            if now < explained.unwrap_or(since).saturating_add(IN_VAIN) {
                continue;
            }
            let rest = match explained {
                Some(_) => 0,
                None => IN_VAIN << process.in_vain.min(MAX_DOUBLINGS),
            };
            process.in_vain += u32::from(explained.is_none());
            (process.state, process.changed) = (State::Nothing { until: now.saturating_add(rest) }, now);
            given_up.push(*tgid);
        }
        self.wishes.extend(given_up.iter().map(|tgid| (*tgid, false)));
        self.processes.slim();
        given_up
    }

    /// Of whom it is to be told from now on, or no longer, since this was last asked.
    pub fn take_wishes(&mut self) -> Vec<(u32, bool)> {
        std::mem::take(&mut self.wishes)
    }

    /// Why nothing can be concluded from a process's births, and since when, if it could be told of them.
    pub fn off(&self, tgid: u32) -> Option<(&'static str, u64)> {
        let process = self.processes.get(&tgid)?;
        let why = match process.state {
            State::Nothing { .. } if process.in_vain > 0 => "who makes its goroutines explained none of its calls",
            State::Nothing { .. } => "no call made it necessary of late to look at who makes its goroutines",
            State::Asked { .. } => "who makes its goroutines is not seen yet",
            State::All { .. } => return None,
        };
        Some((why, process.changed))
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.processes.remove(&tgid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    /// A process of which it is told who makes its calls since one minute after the machine began.
    fn births() -> Births {
        let mut births = Births::default();
        births.calls_told(1, MINUTE);
        births
    }

    /// Asks for it, and has it told.
    fn ask(births: &mut Births, now: u64) -> bool {
        births.missed(1, now, now);
        let asked = births.take_wishes() == [(1, true)];
        if asked {
            births.told(1, now);
        }
        asked
    }

    #[test]
    fn it_is_asked_for_once_a_call_stays_without_a_request_whose_way_was_seen() {
        let mut births = births();
        births.missed(2, MINUTE, MINUTE);
        births.missed(1, MINUTE + SOON - 1, MINUTE + SOON);
        assert_eq!(
            births.take_wishes(),
            [],
            "nothing is told of the one, and what was told of the other began after it"
        );
        assert!(births.off(1).is_some() && births.off(2).is_none());
        for _ in 0..3 {
            births.missed(1, MINUTE + SOON, MINUTE + SOON);
        }
        assert_eq!(births.take_wishes(), [(1, true)]);
        births.missed(1, MINUTE + SOON, MINUTE + SOON + AGAIN);
        assert_eq!(births.take_wishes(), [(1, true)], "there was no room for the question");
        births.told(1, 2 * MINUTE);
        births.missed(1, 3 * MINUTE, 3 * MINUTE);
        assert_eq!((births.take_wishes(), births.off(1)), (vec![], None));
    }

    #[test]
    fn what_explains_calls_stays_and_comes_back_at_once() {
        let mut births = births();
        assert!(ask(&mut births, 2 * MINUTE));
        for minute in 3..60 {
            births.explained(1, minute * MINUTE);
            assert_eq!(births.give_up(minute * MINUTE + 1), []);
        }
        assert_eq!(births.give_up(59 * MINUTE + IN_VAIN), [1]);
        assert_eq!(births.take_wishes(), [(1, false)]);
        assert!(ask(&mut births, 59 * MINUTE + IN_VAIN + 1));
    }

    #[test]
    fn what_explains_nothing_is_asked_for_ever_more_seldom_but_is() {
        let mut births = births();
        let mut pauses = Vec::new();
        let mut ended = 0;
        for minute in 2..10_000 {
            let now = minute * MINUTE;
            if ask(&mut births, now) && ended != 0 {
                pauses.push((now - ended) / IN_VAIN);
            }
            if births.give_up(now) == [1] {
                assert_eq!(births.take_wishes(), [(1, false)]);
                ended = now;
            }
        }
        assert_eq!(pauses[..9], [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        births.gone(1);
        assert!(!ask(&mut births, 20_000 * MINUTE));
    }
}
