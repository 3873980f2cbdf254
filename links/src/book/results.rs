//! Results that units give to tasks that wait for them: a worker's job is done, and whose it was is known, when it does that.
//!
//! A worker is a task that takes jobs from a queue, or a thread of a pool. Of a thread is told when it takes up its next job; of
//! a task it is not, so its job is believed to last from a call to the next one after it gave something.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::facts::UnitKey;
use crate::live::SpanKey;
use wirespan_signals::Slim as _;

/// Units at a time; of more, nothing is remembered.
const MAX_UNITS: usize = 65_536;
/// Deeds of one unit that are remembered: a busy worker's of some seconds.
const MAX_EACH: usize = 2048;
/// Deeds of all; beyond, each unit's own give way.
const MAX_ALL: usize = 131_072;
/// Calls that wait for one unit.
const MAX_WAITING: usize = 1024;
/// What a unit did last so long ago is forgotten, nanoseconds.
const FORGOTTEN: u64 = 600_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// It made a call.
    Called,
    /// It took up its next job.
    TookUp,
    /// It gave a result to this unit.
    Gave(UnitKey),
}

impl Deed {
    fn is_gift(self) -> bool {
        matches!(self, Self::Gave(_))
    }
}

/// What a unit gave for the job in which it made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Nothing, as far as is told; and it may yet.
    Yet,
    /// Nothing, and it will not.
    Nothing,
    /// A result to this unit, which waited for it, at that time.
    To(UnitKey, u64),
    /// Results to several, or it cannot be known.
    Several,
}

#[derive(Debug, Default)]
struct Worker {
    /// By time.
    deeds: VecDeque<(u64, Deed)>,
    /// What it did until then is not listed any more.
    floor: u64,
    waiting: Vec<SpanKey>,
}

impl Worker {
    /// Where in the list stands what it did after a moment.
    fn after(&self, time: u64) -> usize {
        self.deeds.partition_point(|(at, _)| *at <= time)
    }

    /// When it did such a thing next after a moment.
    fn next(&self, time: u64, of: impl Fn(Deed) -> bool) -> Option<u64> {
        self.deeds.range(self.after(time)..).find(|(_, deed)| of(*deed)).map(|(at, _)| *at)
    }

    /// When the job began and ended in which a thread did something; `None` if that was in none.
    fn job_of_thread(&self, time: u64) -> Option<(u64, u64)> {
        let took = |deed| deed == Deed::TookUp;
        let (from, _) = self.deeds.range(..self.after(time)).rfind(|(_, deed)| took(*deed))?;
        Some((*from, self.next(time, took).unwrap_or(u64::MAX)))
    }

    /// The same of a task.
    fn job_of_task(&self, time: u64) -> (u64, u64) {
        let gave = self.next(time, Deed::is_gift);
        (time, gave.and_then(|gave| self.next(gave, |deed| deed == Deed::Called)).unwrap_or(u64::MAX))
    }
}

/// All results.
#[derive(Debug, Default)]
pub struct Results {
    workers: HashMap<UnitKey, Worker>,
    /// Deeds of all of them.
    deeds: usize,
    /// Processes in which results are given.
    processes: HashSet<u32>,
    /// When records were lost last, by process, and of anybody.
    lost: HashMap<u32, u64>,
    all_lost: u64,
    /// The latest that was told.
    now: u64,
}

impl Results {
    fn note(&mut self, unit: UnitKey, time: u64, deed: Deed) {
        self.now = self.now.max(time);
        if self.workers.len() >= MAX_UNITS && !self.workers.contains_key(&unit) {
            return;
        }
        let worker = self.workers.entry(unit).or_default();
        if (worker.deeds.len() >= MAX_EACH || self.deeds >= MAX_ALL)
            && let Some((first, _)) = worker.deeds.pop_front()
        {
            worker.floor = worker.floor.max(first);
            self.deeds -= 1;
        }
        // (Most are told in order.)
        worker.deeds.insert(worker.after(time), (time, deed));
        self.deeds += 1;
    }

    /// A thread takes up its next job. Returns the calls of which more is known now.
    pub fn took_up(&mut self, thread: UnitKey, time: u64) -> Vec<SpanKey> {
        self.processes.insert(thread.tgid);
        self.note(thread, time, Deed::TookUp);
        self.workers.get(&thread).map(|worker| worker.waiting.clone()).unwrap_or_default()
    }

    /// A unit made a call: a thread that takes up jobs, or another in a process where results are given.
    pub fn called(&mut self, unit: UnitKey, call: SpanKey, time: u64) {
        if !self.processes.contains(&unit.tgid) || (unit.is_thread() && !self.workers.contains_key(&unit)) {
            return;
        }
        self.note(unit, time, Deed::Called);
        if let Some(worker) = self.workers.get_mut(&unit).filter(|worker| worker.waiting.len() < MAX_WAITING) {
            worker.waiting.push(call);
        }
    }

    /// A unit gave a result to one that waited for it. Returns the calls that waited for that; `None`: which did was not told until
    /// now.
    pub fn gave(&mut self, by: UnitKey, to: UnitKey, time: u64) -> Option<Vec<SpanKey>> {
        let told = !self.processes.insert(by.tgid);
        self.note(by, time, Deed::Gave(to));
        let waiting = self.workers.get_mut(&by).map(|worker| std::mem::take(&mut worker.waiting));
        waiting.filter(|_| told)
    }

    /// What a unit gave for the job in which it did something at a moment.
    pub fn given(&self, unit: UnitKey, time: u64) -> Given {
        let lost = self.lost.get(&unit.tgid).copied().unwrap_or_default().max(self.all_lost);
        let Some(worker) = self.workers.get(&unit) else { return Given::Yet };
        let (from, to) = match unit.is_thread() {
            true => match worker.job_of_thread(time) {
                Some(job) => job,
                None => return Given::Nothing,
            },
            false => worker.job_of_task(time),
        };
        if from <= lost.max(worker.floor) {
            return Given::Several;
        }
        let mut found = Given::Yet;
        for (at, deed) in worker.deeds.range(worker.after(time)..).take_while(|(at, _)| *at < to) {
            match (*deed, found) {
                (Deed::Gave(unit), Given::Yet) => found = Given::To(unit, *at),
                (Deed::Gave(unit), Given::To(other, _)) if unit != other => return Given::Several,
                _ => {}
            }
        }
        if found == Given::Yet && to != u64::MAX { Given::Nothing } else { found }
    }

    /// Whether a thread takes up jobs.
    pub fn works(&self, thread: UnitKey) -> bool {
        self.workers.contains_key(&thread)
    }

    /// Whether a unit has given results since a moment.
    pub fn gives(&self, unit: UnitKey, since: u64) -> bool {
        let gave =
            |worker: &Worker| worker.deeds.iter().rev().take_while(|(at, _)| *at >= since).any(|(_, d)| d.is_gift());
        self.workers.get(&unit).is_some_and(gave)
    }

    /// Records of a process, or of nobody knows whom, were lost: what jobs there were until now is not known.
    pub fn lose(&mut self, of: Option<u32>) {
        match of {
            Some(tgid) => drop(self.lost.insert(tgid, self.now)),
            None => self.all_lost = self.now,
        }
    }

    /// A thread is gone.
    pub fn ended(&mut self, thread: UnitKey) {
        if let Some(worker) = self.workers.remove(&thread) {
            self.deeds -= worker.deeds.len();
        }
        if thread.leads() {
            self.lost.remove(&thread.tgid);
            if self.processes.remove(&thread.tgid) {
                self.workers.retain(|unit, _| unit.tgid != thread.tgid);
                self.count();
            }
        }
    }

    fn count(&mut self) {
        self.deeds = self.workers.values().map(|worker| worker.deeds.len()).sum();
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64, alive: impl Fn(SpanKey) -> bool) {
        self.workers.retain(|unit, worker| {
            worker.waiting.retain(|call| alive(*call));
            let last = worker.deeds.back().map_or(0, |(time, _)| *time);
            // (A thread waits for its next job as long as it takes.)
            unit.is_thread() || !worker.waiting.is_empty() || last.saturating_add(FORGOTTEN) > now
        });
        self.count();
        self.workers.slim();
        self.lost.slim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;
    use wirespan_common::UNIT_TASK;

    const THREAD: UnitKey = UnitKey { tgid: 1, kind: 0, id: 9 };
    const WORKER: UnitKey = UnitKey { tgid: 1, kind: UNIT_TASK, id: 7 };
    const T: UnitKey = UnitKey { tgid: 1, kind: UNIT_TASK, id: 8 };
    const U: UnitKey = UnitKey { tgid: 1, kind: UNIT_TASK, id: 6 };

    #[test]
    fn a_threads_job_lasts_until_it_takes_up_the_next() {
        let mut results = Results::default();
        assert_eq!(results.given(THREAD, 5), Given::Yet);
        results.took_up(THREAD, 10);
        results.took_up(THREAD, 20);
        results.gave(THREAD, T, 25);
        assert_eq!(results.given(THREAD, 5), Given::Nothing, "it was in no job yet");
        assert_eq!(results.given(THREAD, 15), Given::Nothing, "that job gave nothing");
        assert_eq!(results.given(THREAD, 21), Given::To(T, 25));
        assert_eq!(results.given(THREAD, 27), Given::Yet, "what it gave was for what came before");
        results.took_up(THREAD, 30);
        assert_eq!(results.given(THREAD, 31), Given::Yet);
        results.gave(THREAD, T, 35);
        results.gave(THREAD, U, 36);
        assert_eq!(results.given(THREAD, 31), Given::Several);
        results.ended(THREAD);
        assert_eq!(results.given(THREAD, 31), Given::Yet);
    }

    #[test]
    fn a_tasks_job_lasts_until_its_next_call_after_it_gave_something() {
        let mut keys: SlotMap<SpanKey, ()> = SlotMap::with_key();
        let mut results = Results::default();
        results.gave(WORKER, T, 5);
        let calls = [10, 12, 30].map(|time| {
            let call = keys.insert(());
            results.called(WORKER, call, time);
            call
        });
        assert_eq!(results.gave(WORKER, T, 20).as_deref(), Some(&calls[..]));
        assert_eq!(results.gave(WORKER, U, 40), Some(Vec::new()), "they wait for what was told");
        assert_eq!(results.given(WORKER, 10), Given::To(T, 20));
        assert_eq!(results.given(WORKER, 12), Given::To(T, 20));
        assert_eq!(results.given(WORKER, 30), Given::To(U, 40));
        results.gave(WORKER, T, 41);
        assert_eq!(results.given(WORKER, 30), Given::Several, "it worked for both");
        assert!(results.gives(WORKER, 41) && !results.gives(WORKER, 42) && !results.gives(T, 0));
    }

    #[test]
    fn after_a_loss_no_job_is_known_until_the_next() {
        for of in [None, Some(1), Some(2)] {
            let mut results = Results::default();
            results.took_up(THREAD, 10);
            results.lose(of);
            results.gave(THREAD, T, 20);
            let expected = if of == Some(2) { Given::To(T, 20) } else { Given::Several };
            assert_eq!(results.given(THREAD, 15), expected, "{of:?}");
            results.took_up(THREAD, 30);
            results.gave(THREAD, T, 40);
            assert_eq!(results.given(THREAD, 35), Given::To(T, 40));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut results = Results::default();
        for time in 1..=2 * MAX_EACH as u64 {
            results.gave(WORKER, T, time);
        }
        assert_eq!((results.workers[&WORKER].deeds.len(), results.deeds), (MAX_EACH, MAX_EACH));
        assert_eq!(results.given(WORKER, 3), Given::Several);
        results.sweep(2 * FORGOTTEN, |_| false);
        assert!(results.workers.is_empty() && results.deeds == 0);
        for id in 0..=MAX_UNITS as u64 {
            results.gave(UnitKey { id, ..WORKER }, T, 1);
        }
        assert_eq!(results.workers.len(), MAX_UNITS);
        for time in 2..=2 + (MAX_ALL - MAX_UNITS) as u64 {
            results.gave(UnitKey { id: time % MAX_UNITS as u64, ..WORKER }, T, time);
        }
        assert_eq!(results.deeds, MAX_ALL);
        results.ended(UnitKey::thread(1, 1));
        assert!(results.workers.is_empty() && results.processes.is_empty());
    }
}
