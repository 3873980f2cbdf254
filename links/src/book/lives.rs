//! What units were seen to do that others read for: whom they answered, who woke them, who made them, and when they ended.
//!
//! Such a unit (a task of asyncio) may serve one connection for all its life, or one request, or none; and its address is
//! another's soon after. So what it did at one moment is its doing at another only if nothing else can have lived there in between.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::facts::{At, UnitKey};
use crate::live::SpanKey;
use wirespan_signals::Slim as _;

/// Units at a time; of more, nothing is remembered.
const MAX_UNITS: usize = 131_072;
/// Answers, wake-ups and changes of one unit that are remembered.
const MAX_EACH: usize = 32;
/// Calls that wait for one unit.
const MAX_WAITING: usize = 1024;
/// Units from one to the one that made it, and so on.
const MAX_DEPTH: usize = 8;
/// For how long one that has ended is remembered at least, nanoseconds: longer than news are late.
const REMEMBERED: u64 = 1_000_000_000;

/// A moment of a unit's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, `CLOCK_BOOTTIME` nanoseconds.
    pub time: u64,
    /// [`At::mark`].
    pub mark: u64,
}

impl From<At> for Moment {
    fn from(at: At) -> Self {
        Self { time: at.time, mark: at.mark }
    }
}

/// A unit answered a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub request: SpanKey,
    /// When.
    pub at: Moment,
}

/// A unit was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    /// By whom: a thread, if no unit was known to run on it.
    pub of: UnitKey,
    /// When.
    pub at: Moment,
}

#[derive(Debug, Default)]
struct Life {
    answers: VecDeque<Answer>,
    /// What was answered until then is not listed any more.
    floor: u64,
    wakes: VecDeque<(u32, Moment)>,
    births: VecDeque<Birth>,
    ends: VecDeque<u64>,
    waiting: Vec<SpanKey>,
    /// It was waited for in vain since it last answered.
    in_vain: bool,
    used: u64,
}

impl Life {
    /// The last birth up to a moment.
    fn birth(&self, time: u64) -> Option<&Birth> {
        self.births.iter().filter(|birth| birth.at.time <= time).max_by_key(|birth| birth.at.time)
    }

    /// Whether one life ended, or another began, after the first moment and up to the second.
    fn changed(&self, from: u64, to: u64) -> bool {
        let within = |time: u64| time > from && time <= to;
        self.births.iter().any(|birth| within(birth.at.time)) || self.ends.iter().any(|time| within(*time))
    }
}

/// All such units.
#[derive(Debug, Default)]
pub struct Lives {
    lives: HashMap<UnitKey, Life>,
    /// Processes that may have any: most that end never had.
    processes: HashSet<u32>,
    /// Since when births and ends are told, by process and kind.
    watched: HashMap<(u32, u32), u64>,
}

fn push<T>(list: &mut VecDeque<T>, item: T) -> Option<T> {
    let first = if list.len() >= MAX_EACH { list.pop_front() } else { None };
    list.push_back(item);
    first
}

impl Lives {
    fn life(&mut self, unit: UnitKey, time: u64) -> Option<&mut Life> {
        if self.lives.len() >= MAX_UNITS && !self.lives.contains_key(&unit) {
            return None;
        }
        self.processes.insert(unit.tgid);
        let life = self.lives.entry(unit).or_default();
        life.used = life.used.max(time);
        Some(life)
    }

    /// A unit answered a request. Returns the calls that may have waited for that.
    pub fn answered(&mut self, unit: UnitKey, request: SpanKey, at: At) -> Vec<SpanKey> {
        let Some(life) = self.life(unit, at.time) else { return Vec::new() };
        if let Some(first) = push(&mut life.answers, Answer { request, at: at.into() }) {
            life.floor = life.floor.max(first.at.time);
        }
        life.in_vain = false;
        life.waiting.clone()
    }

    /// A unit was woken by what ran on a thread outside any other unit.
    pub fn woken(&mut self, unit: UnitKey, by: At) {
        self.watched.entry((unit.tgid, unit.kind)).or_insert(by.time);
        if let Some(life) = self.life(unit, by.time) {
            push(&mut life.wakes, (by.tid, by.into()));
        }
    }

    /// A unit was made.
    pub fn born(&mut self, unit: UnitKey, of: UnitKey, at: Moment) {
        self.watched.entry((unit.tgid, unit.kind)).or_insert(at.time);
        if let Some(life) = self.life(unit, at.time) {
            life.in_vain = false;
            push(&mut life.births, Birth { of, at });
        }
    }

    /// A unit is gone. Returns the calls that may have waited for that.
    pub fn ended(&mut self, unit: UnitKey, time: u64) -> Vec<SpanKey> {
        self.watched.entry((unit.tgid, unit.kind)).or_insert(time);
        let Some(life) = self.life(unit, time) else { return Vec::new() };
        push(&mut life.ends, time);
        life.waiting.clone()
    }

    /// A call was made by a unit: what that does next, and what those do that made it, may decide whose it is.
    pub fn called(&mut self, unit: UnitKey, call: SpanKey, time: u64) {
        for unit in self.line(unit, time) {
            let Some(life) = self.life(unit, time) else { return };
            if life.waiting.len() < MAX_WAITING && !life.waiting.contains(&call) {
                life.waiting.push(call);
            }
        }
    }

    /// The calls that may wait for what a unit does.
    pub fn waiting(&self, unit: UnitKey) -> Vec<SpanKey> {
        self.lives.get(&unit).map(|life| life.waiting.clone()).unwrap_or_default()
    }

    /// What a call waited for did not come.
    pub fn gave_up(&mut self, unit: UnitKey, time: u64) {
        for unit in self.line(unit, time) {
            self.lives.entry(unit).and_modify(|life| life.in_vain = true);
        }
    }

    /// Whether a call may wait for what a unit does next.
    pub fn is_awaited(&self, unit: UnitKey, call: SpanKey) -> bool {
        self.lives.get(&unit).is_some_and(|life| !life.in_vain && life.waiting.contains(&call))
    }

    /// A unit, the one that made it, and so on.
    fn line(&self, unit: UnitKey, time: u64) -> Vec<UnitKey> {
        let mut line: Vec<UnitKey> = Vec::new();
        let (mut next, mut time) = (Some(unit), time);
        while let Some(unit) = next.filter(|unit| unit.is_fed() && line.len() < MAX_DEPTH) {
            line.push(unit);
            let birth = self.lives.get(&unit).and_then(|life| life.birth(time));
            next = birth.map(|birth| birth.of);
            time = birth.map_or(0, |birth| birth.at.time);
        }
        line
    }

    /// Whether what a unit's address was at one moment, it still was at a later one.
    pub fn is_same(&self, unit: UnitKey, from: Moment, to: Moment) -> bool {
        if self.lives.get(&unit).is_some_and(|life| life.changed(from.time, to.time)) {
            return false;
        }
        let numbered = from.mark != 0 && from.mark == to.mark;
        let other = from.mark != 0 && to.mark != 0 && from.mark != to.mark;
        numbered || (!other && self.is_watched(unit, from.time))
    }

    /// Whether births and ends have been told since a moment.
    fn is_watched(&self, unit: UnitKey, since: u64) -> bool {
        self.watched.get(&(unit.tgid, unit.kind)).is_some_and(|watched| *watched <= since)
    }

    /// What a unit answers next after a moment.
    pub fn next_answer(&self, unit: UnitKey, from: Moment) -> Option<Answer> {
        let life = self.lives.get(&unit).filter(|life| from.time > life.floor)?;
        let later = life.answers.iter().filter(|answer| answer.at.time >= from.time);
        let next = later.min_by_key(|answer| answer.at.time).copied()?;
        self.is_same(unit, from, next.at).then_some(next)
    }

    /// What a unit had answered last at a moment, and whether that was all.
    pub fn last_answer(&self, unit: UnitKey, to: Moment) -> Option<(Answer, bool)> {
        let life = self.lives.get(&unit).filter(|life| to.time > life.floor)?;
        let mut earlier = life.answers.iter().filter(|a| a.at.time < to.time && self.is_same(unit, a.at, to));
        let last = earlier.clone().max_by_key(|answer| answer.at.time).copied()?;
        Some((last, earlier.all(|answer| answer.request == last.request) && self.is_whole(unit, life, to)))
    }

    /// Whether all answers of a unit up to a moment are listed.
    fn is_whole(&self, unit: UnitKey, life: &Life, to: Moment) -> bool {
        life.floor == 0 || life.birth(to.time).is_some_and(|b| b.at.time > life.floor && self.is_same(unit, b.at, to))
    }

    /// Whether an answer is the first of its unit's life, as far as was seen.
    pub fn is_first(&self, unit: UnitKey, answer: &Answer) -> bool {
        let Some(life) = self.lives.get(&unit) else { return false };
        let others = life.answers.iter().filter(|other| other.at.time < answer.at.time);
        self.is_whole(unit, life, answer.at) && !others.clone().any(|other| self.is_same(unit, other.at, answer.at))
    }

    /// Whether a unit was at work at a moment for what `reader` had taken in: it read that itself, or what read it woke it since,
    /// or it was made since on the reading thread, outside any unit, or by a unit that was at work for it, and has answered
    /// nothing yet.
    pub fn works_for(&self, unit: UnitKey, reader: UnitKey, read: At, to: Moment) -> bool {
        let (mut unit, mut to) = (unit, to);
        for _ in 0..MAX_DEPTH {
            if (reader == unit && self.is_same(unit, read.into(), to)) || self.woken_by(unit, read, to) {
                return true;
            }
            let Some(birth) = self.birth(unit, to).filter(|birth| birth.at.time >= read.time) else { return false };
            // One that has answered something since may be a worker.
            if self.last_answer(unit, to).is_some() {
                return false;
            }
            if !birth.of.is_fed() {
                return birth.of == UnitKey::thread(unit.tgid, read.tid);
            }
            (unit, to) = (birth.of, birth.at);
        }
        false
    }

    /// Whether a unit was woken between two moments by what read from a connection: the same callback, on its thread.
    fn woken_by(&self, unit: UnitKey, read: At, to: Moment) -> bool {
        let Some(life) = self.lives.get(&unit).filter(|_| read.mark != 0) else { return false };
        let by = |tid: u32, at: &Moment| (tid, at.mark) == (read.tid, read.mark);
        let mut wakes = life.wakes.iter().filter(|(_, at)| at.time >= read.time && at.time <= to.time);
        wakes.any(|(tid, at)| by(*tid, at) && !life.changed(at.time, to.time))
    }

    /// How the unit that lived at an address at some moment was made.
    pub fn birth(&self, unit: UnitKey, at: Moment) -> Option<Birth> {
        let life = self.lives.get(&unit)?;
        // Its own mark is not known when it is made.
        life.birth(at.time).copied().filter(|birth| !life.changed(birth.at.time, at.time))
    }

    /// Whether what lived at an address at some moment has ended since.
    pub fn has_ended(&self, unit: UnitKey, since: u64) -> bool {
        self.ended_by(unit, since, u64::MAX)
    }

    /// Whether what lived at an address at some moment had ended by another.
    pub fn ended_by(&self, unit: UnitKey, since: u64, time: u64) -> bool {
        self.lives.get(&unit).is_some_and(|life| life.changed(since, time))
    }

    /// Records of a process, or of nobody knows whom, were lost: what was told since may miss anything.
    pub fn lost(&mut self, of: Option<u32>) {
        let concerns = |tgid: u32| of.is_none_or(|of| of == tgid);
        self.watched.retain(|(tgid, _), _| !concerns(*tgid));
        for (_, life) in self.lives.iter_mut().filter(|(unit, _)| concerns(unit.tgid)) {
            (life.births, life.wakes) = (VecDeque::new(), VecDeque::new());
        }
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.watched.retain(|(of, _), _| *of != tgid);
        if self.processes.remove(&tgid) {
            self.lives.retain(|unit, _| unit.tgid != tgid);
        }
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64, alive: impl Fn(SpanKey) -> bool) {
        self.lives.retain(|_, life| {
            life.waiting.retain(|call| alive(*call));
            let ended = life.ends.back().is_some_and(|end| life.birth(u64::MAX).is_none_or(|b| b.at.time < *end));
            let old = life.used.saturating_add(REMEMBERED) < now;
            !old || !life.waiting.is_empty() || (!ended && !life.births.is_empty())
        });
        self.lives.slim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;
    use wirespan_common::UNIT_TASK;

    const T: UnitKey = UnitKey { tgid: 1, kind: UNIT_TASK, id: 7 };

    fn moment(time: u64, mark: u64) -> Moment {
        Moment { time, mark }
    }

    #[test]
    fn an_address_is_the_same_unit_only_with_its_number_or_if_nothing_changed_while_that_was_told() {
        let mut lives = Lives::default();
        assert!(lives.is_same(T, moment(1, 5), moment(9, 5)));
        assert!(!lives.is_same(T, moment(1, 5), moment(9, 6)));
        assert!(!lives.is_same(T, moment(1, 0), moment(9, 0)), "who lived there is not told");
        lives.born(T, UnitKey::thread(1, 1), moment(2, 0));
        assert!(lives.is_same(T, moment(2, 0), moment(9, 0)));
        assert!(!lives.is_same(T, moment(1, 5), moment(9, 5)), "it was born since");
        lives.ended(T, 6);
        assert!(lives.is_same(T, moment(3, 0), moment(5, 0)) && !lives.is_same(T, moment(3, 0), moment(9, 0)));
        lives.lost(None);
        assert!(!lives.is_same(T, moment(3, 0), moment(5, 0)));
    }

    #[test]
    fn what_ended_is_forgotten_and_what_lives_is_not() {
        let mut lives = Lives::default();
        let other = UnitKey { id: 8, ..T };
        [T, other].iter().for_each(|unit| lives.born(*unit, UnitKey::thread(1, 1), moment(1, 0)));
        lives.ended(T, 2);
        let mut spans: SlotMap<SpanKey, ()> = SlotMap::with_key();
        let call = spans.insert(());
        lives.called(other, call, 3);
        lives.sweep(2 * REMEMBERED, |_| false);
        assert_eq!(lives.lives.keys().collect::<Vec<_>>(), [&other]);
        lives.gone(1);
        assert!(lives.lives.is_empty() && lives.watched.is_empty());
    }
}
