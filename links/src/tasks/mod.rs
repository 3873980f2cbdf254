//! Which thread runs a task that a worker took from a broker (Celery), from when to when, and which calls are the task's.
//!
//! What passes between the thread that takes a task and the one that runs it is a pipe, or memory: it is not seen. What
//! is seen: the worker takes task *id*; it settles it, which it does when the task has begun or is over; and a thread
//! writes how task *id* ended. The thread that writes this has run it ([`Tasks::ended`]), if it is not the one that takes
//! tasks: that one speaks for tasks which nobody could run, or which were stopped.
//!
//! Until then nobody knows whose the thread's calls are, so they wait ([`Tasks::calls`]). Of those, the ones behind a
//! moment when the task had certainly begun are the task's: exact. The ones between the earliest and the latest moment at
//! which it can have begun are the task's too, if nothing else is known that the thread may have done then
//! ([`Evidence::TaskResult`]).
//!
//! A *worker* is a process that takes tasks; a *runner* is another thread of it, or the first thread of its child.

mod runner;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::VecDeque;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use wirespan_protocols::exchange::TakenTask;

use super::facts::UnitKey;
use super::live::{Root, SpanKey};
use super::rules::Evidence;
use runner::{Around, Held, Last, Runner, Window};
pub use runner::{Ended, Execution};
use wirespan_signals::Slim as _;
pub use worker::{Deferred, Delivery};
use worker::{MAX_TAKEN, Seen, Taken, Worker, settle};

/// Workers at a time; the tasks of others are not followed.
const MAX_WORKERS: usize = 64;
/// Calls of one thread that wait.
const MAX_HELD_BY_ONE: usize = 1024;
/// Calls of all threads that wait.
const MAX_HELD: usize = 16_384;
/// How long a call waits for the end of its task, nanoseconds.
const HOLD: u64 = 60_000_000_000;
/// The same, on a thread that never ran a task as far as is known.
const HOLD_UNPROVEN: u64 = 10_000_000_000;
/// How long a thread that has something to do after a task makes no call at most, nanoseconds.
const SILENCE: u64 = 100_000_000;
/// For how long a call is in doubt, nanoseconds.
const DOUBT: u64 = 10_000_000_000;
/// Executions of a worker whose calls are in doubt.
const MAX_DEFERRED: usize = 256;
/// Calls in a row after a task's end that are followed.
const MAX_CHAIN: usize = 256;
/// Tasks of a worker from which on those are forgotten that run nowhere any more.
const MANY: usize = 64;
/// Processes of which it is remembered when records of theirs were lost; with more, it counts for all workers.
const MAX_LOSERS: usize = 1024;
/// How often calls are looked for that waited too long, nanoseconds.
const SWEEP: u64 = 1_000_000_000;

/// A thread that does something, and what is known of its process.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    /// The thread.
    pub unit: UnitKey,
    /// Its process's parent, 0 if unknown.
    pub parent: u32,
    /// When its process began, nanoseconds since boot.
    pub since: Option<u64>,
}

/// A call that may be a task's.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its span.
    pub span: SpanKey,
    /// When it began, `CLOCK_BOOTTIME` nanoseconds.
    pub at: u64,
    /// How often its thread had gone to sleep by then.
    pub switches: u32,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is no task's, as far as is known.
    Free,
    /// It may be a task's, but too many wait already.
    Refused,
    /// It waits for the end of its task. Another that waited longer may have to give way.
    Wait(Option<SpanKey>),
    /// It belongs to an execution whose end was told already.
    Of(SpanKey, Option<Evidence>),
}

/// All workers.
#[derive(Debug, Default)]
pub struct Tasks {
    workers: HashMap<u32, Worker>,
    runners: HashMap<UnitKey, Runner>,
    /// When records of a process were lost for the last time that were its own alone.
    lost: HashMap<u32, u64>,
    /// The worker of each delivery whose task is waited for.
    deliveries: HashMap<SpanKey, u32>,
    held: usize,
    swept: u64,
}

impl Tasks {
    /// Gives room back that is not needed.
    pub fn slim(&mut self) {
        self.workers.slim();
        self.runners.slim();
        self.lost.slim();
        self.deliveries.slim();
    }

    /// A worker took a task. Returns false if something must be given up for that: this task, or an older one.
    pub fn taken(&mut self, by: UnitKey, at: u64, task: TakenTask, delivery: Delivery) -> bool {
        if self.workers.len() >= MAX_WORKERS && !self.workers.contains_key(&by.tgid) {
            return false;
        }
        let worker = self.workers.entry(by.tgid).or_default();
        worker.takers.insert(by);
        let full = worker.taken.len() >= MAX_TAKEN;
        let forgotten = if full { worker.forget_one() } else { None };
        self.deliveries.insert(delivery.span, by.tgid);
        worker.taken.push_back(Taken { task, at, delivery, settled: None, runner: None });
        if let Some(span) = forgotten {
            self.deliveries.remove(&span);
        }
        !full
    }

    /// A worker settled what it took under `tag`.
    pub fn settled_tag(&mut self, by: UnitKey, tag: &str, at: u64) {
        let Some(worker) = self.workers.get_mut(&by.tgid) else { return };
        let found = worker.taken.iter_mut().find(|t| t.task.tag.as_deref() == Some(tag));
        settle(found, &worker.takers, by, at);
    }

    /// A worker settled the task of this delivery.
    pub fn settled(&mut self, delivery: SpanKey, by: UnitKey, at: u64) {
        let Some(worker) = self.deliveries.get(&delivery).and_then(|tgid| self.workers.get_mut(tgid)) else { return };
        let found = worker.taken.iter_mut().find(|t| t.delivery.span == delivery);
        settle(found, &worker.takers, by, at);
    }

    /// The span of a delivery was handed on.
    pub fn left(&mut self, delivery: SpanKey, root: &Root, span_id: [u8; 8]) {
        let Some(worker) = self.deliveries.get(&delivery).and_then(|tgid| self.workers.get_mut(tgid)) else { return };
        if let Some(taken) = worker.taken.iter_mut().find(|t| t.delivery.span == delivery) {
            taken.delivery.sent = Some((root.clone(), span_id));
        }
    }

    /// A thread sends a task again: it runs the attempt before.
    pub fn sent_again(&mut self, by: &Actor, id: &str, retries: u32) {
        let Some(worker) = self.worker_of(by).and_then(|tgid| self.workers.get_mut(&tgid)) else { return };
        let before = worker.taken.iter_mut().filter(|t| &*t.task.id == id && t.task.retries + 1 == retries);
        before.for_each(|t| t.runner = Some(by.unit));
    }

    /// A thread says that it begins a task.
    pub fn begun(&mut self, by: &Actor, id: &str, at: u64) {
        let Some(tgid) = self.worker_of(by) else { return };
        self.runner(by.unit, tgid).begun = Some((id.into(), at));
        let Some(worker) = self.workers.get_mut(&tgid) else { return };
        let mut fits = worker.taken.iter_mut().filter(|t| &*t.task.id == id && t.runner.is_none());
        if let (Some(only), None) = (fits.next(), fits.next()) {
            only.runner = Some(by.unit);
        }
    }

    /// A task will not be run, or was stopped.
    pub fn revoked(&mut self, by: &Actor, id: &str) {
        let tgid = if self.workers.contains_key(&by.unit.tgid) { Some(by.unit.tgid) } else { self.worker_of(by) };
        if let Some(tgid) = tgid {
            self.remove(tgid, |t| &*t.task.id == id);
        }
    }

    /// A thread makes a call.
    pub fn calls(&mut self, by: &Actor, call: Call) -> Verdict {
        let Some(tgid) = self.worker_of(by) else { return Verdict::Free };
        let Some(worker) = self.workers.get(&tgid).filter(|worker| !worker.mute) else { return Verdict::Free };
        let last = self.runners.get(&by.unit).and_then(|runner| runner.last.as_ref());
        let (end, execution) = (last.map(|last| last.end), last.and_then(|last| last.execution));
        let ran_on = last.is_some_and(|last| last.runs_on(&call));
        let busy = worker.candidates(by.unit, end, call.at).next().is_some();
        if end != Some(call.at) {
            self.note_habit(by.unit, tgid, call.at, ran_on, busy);
        }
        if ran_on {
            self.chain(by.unit, tgid, call.span);
        }
        match execution {
            // The same operation told the end.
            Some(execution) if end == Some(call.at) => return Verdict::Of(execution, None),
            Some(execution) if ran_on && !busy => return Verdict::Of(execution, Some(Evidence::TaskResult)),
            _ => {}
        }
        if !busy {
            if let Some(runner) = self.runners.get_mut(&by.unit).filter(|_| execution.is_some()) {
                runner.idle_call = Some(call.at);
            }
            return Verdict::Free;
        }
        if self.held >= MAX_HELD {
            return Verdict::Refused;
        }
        let runner = self.runner(by.unit, tgid);
        runner.held.push_back(Held { call, ran_on });
        let surplus = if runner.held.len() > MAX_HELD_BY_ONE { runner.held.pop_front() } else { None };
        self.held += usize::from(surplus.is_none());
        Verdict::Wait(surplus.map(|held| held.call.span))
    }

    /// A thread makes a call after a task: without having slept since (`ran_on`), while there was another that it may
    /// have begun (`busy`).
    fn note_habit(&mut self, unit: UnitKey, tgid: u32, at: u64, ran_on: bool, busy: bool) {
        let last = self.runners.get_mut(&unit).and_then(|runner| runner.last.as_mut());
        let Some(last) = last.filter(|last| last.watched) else { return };
        last.watched = ran_on && !busy;
        let (Some(habit), Some(worker)) = (last.habit.clone(), self.workers.get_mut(&tgid)) else { return };
        // Whose a call is cannot be told while there is another task.
        let silence = at.saturating_sub(last.end) >= SILENCE;
        worker.note_habit(habit, Seen { call: ran_on && !busy, silence });
    }

    /// A thread does something for its last task, as far as can be told.
    fn chain(&mut self, unit: UnitKey, tgid: u32, span: SpanKey) {
        let Some(last) = self.runners.get_mut(&unit).and_then(|runner| runner.last.as_mut()) else { return };
        if last.chain.len() < MAX_CHAIN {
            last.chain.push(span);
        } else if let Some(worker) = self.workers.get_mut(&tgid) {
            worker.strays = true;
        }
    }

    /// A thread read the response to a call.
    pub fn responded(&mut self, unit: UnitKey, call: SpanKey, switches: u32) {
        let last = self.runners.get_mut(&unit).and_then(|runner| runner.last.as_mut());
        if let Some(last) = last.filter(|last| last.chain.contains(&call)) {
            last.switches = switches;
        }
    }

    /// The span of what a thread last ran.
    pub fn executed(&mut self, unit: UnitKey, execution: SpanKey) {
        if let Some(last) = self.runners.get_mut(&unit).and_then(|runner| runner.last.as_mut()) {
            last.execution = Some(execution);
        }
    }

    /// Calls of what a thread last ran are in doubt ([`Execution::doubtful`]). Gives them back if too many are.
    pub fn defer(
        &mut self,
        unit: UnitKey,
        execution: SpanKey,
        (calls, awaits): (Vec<SpanKey>, Vec<SpanKey>),
        since: u64,
    ) -> Result<(), Vec<SpanKey>> {
        let worker = self.runners.get(&unit).and_then(|runner| self.workers.get_mut(&runner.worker));
        match worker.filter(|worker| worker.deferred.len() < MAX_DEFERRED) {
            Some(worker) => worker.deferred.push(Deferred { execution, calls, awaits, since }),
            None => return Err(calls),
        }
        Ok(())
    }

    /// What was in doubt for too long.
    pub fn given_up(&mut self, now: u64) -> Vec<Deferred> {
        let old = |deferred: &mut Deferred| deferred.since.saturating_add(DOUBT) <= now;
        self.workers.values_mut().flat_map(|worker| worker.deferred.extract_if(.., old).collect::<Vec<_>>()).collect()
    }

    /// A thread tells at `end` how a task ended. `switches`: how often it had gone to sleep by then.
    pub fn ended(&mut self, by: &Actor, id: &str, failed: bool, end: u64, switches: u32) -> Ended {
        let Some(tgid) = self.worker_of(by) else {
            if self.workers.contains_key(&by.unit.tgid) {
                self.remove(by.unit.tgid, |t| &*t.task.id == id);
            }
            return Ended::default();
        };
        let awaited = self.workers.get(&tgid).is_some_and(|worker| worker.taken.iter().any(|t| &*t.task.id == id));
        let runner = self.runner(by.unit, tgid);
        if runner.last.as_ref().is_some_and(|last| &*last.id == id && (last.end == end || !awaited)) {
            // Told once more, to whoever waits for it.
            return Ended::default();
        }
        let (held, later): (Vec<Held>, Vec<Held>) = runner.held.drain(..).partition(|h| h.call.at <= end);
        runner.held = later.into();
        let chain = held.iter().filter(|h| h.call.at == end).map(|h| h.call.span).collect();
        let (habit, execution) = (None, None);
        let before = runner.last.replace(Last { id: id.into(), habit, watched: true, end, execution, chain, switches });
        let (begun, idle_call) = (runner.begun.take().filter(|(of, _)| &**of == id), runner.idle_call.take());
        self.held -= held.len();
        let taken = self.attempt(tgid, by.unit, id);
        if let (Some(taken), Some(runner)) = (&taken, self.runners.get_mut(&by.unit))
            && let Some(last) = runner.last.as_mut().filter(|_| !taken.task.grouped)
        {
            last.habit = Some((taken.task.name.clone(), failed));
        }
        let (Some(taken), Some(worker)) = (taken, self.workers.get_mut(&tgid)) else {
            // It tells results, so calls are worth waiting for.
            self.workers.entry(tgid).and_modify(|worker| worker.mute = false);
            return Ended { released: held.iter().map(|h| h.call.span).collect(), ..Ended::default() };
        };
        let window = Window::new(by, &taken, before.as_ref(), end, begun.map(|(_, at)| at));
        let quiet = before.is_none_or(|last| worker.is_quiet_after(last.habit.as_ref()));
        let resolved = worker.resolve(taken.delivery.span);
        let ended = Ended { resolved, ..window.judge(worker, taken, &held, &Around { idle_call, quiet }) };
        self.prune(tgid);
        ended
    }

    /// Forgets tasks that tell no end and had begun before every runner's last task was over: they are run nowhere.
    fn prune(&mut self, tgid: u32) {
        let Some(worker) = self.workers.get_mut(&tgid).filter(|worker| worker.taken.len() > MANY) else { return };
        let runners = self.runners.values().filter(|runner| runner.worker == tgid);
        let ends = runners.map(|runner| runner.last.as_ref().map_or(0, |last| last.end));
        let Some(all_since) = ends.min() else { return };
        while worker.taken.front().and_then(|oldest| oldest.settled).is_some_and(|settled| settled <= all_since) {
            if let Some(delivery) = worker.forget_one() {
                self.deliveries.remove(&delivery);
            }
        }
    }

    /// Takes out the one attempt of task `id` that `unit` can have run.
    fn attempt(&mut self, tgid: u32, unit: UnitKey, id: &str) -> Option<Taken> {
        let worker = self.workers.get_mut(&tgid)?;
        let of_task = |t: &&Taken| &*t.task.id == id;
        let known = worker.taken.iter().filter(of_task).find(|t| t.runner == Some(unit));
        let mut others = worker.taken.iter().filter(of_task).filter(|t| t.runner.is_none());
        let found = match (known, others.next(), others.next()) {
            (Some(taken), ..) | (None, Some(taken), None) => taken.delivery.span,
            (None, None, _) => return None,
            (None, Some(_), Some(_)) => {
                // Which of them it was will never be known.
                self.remove(tgid, |t| &*t.task.id == id);
                return None;
            }
        };
        let at = worker.taken.iter().position(|t| t.delivery.span == found)?;
        self.deliveries.remove(&found);
        worker.taken.remove(at)
    }

    fn remove(&mut self, tgid: u32, which: impl Fn(&Taken) -> bool) {
        let Some(worker) = self.workers.get_mut(&tgid) else { return };
        worker.taken.retain(|taken| {
            let goes = which(taken);
            if goes {
                self.deliveries.remove(&taken.delivery.span);
            }
            !goes
        });
    }

    /// The worker whose tasks a thread may run.
    fn worker_of(&self, by: &Actor) -> Option<u32> {
        if let Some(worker) = self.workers.get(&by.unit.tgid) {
            return (!worker.takers.contains(&by.unit)).then_some(by.unit.tgid);
        }
        (by.unit.leads() && self.workers.contains_key(&by.parent)).then_some(by.parent)
    }

    fn runner(&mut self, unit: UnitKey, worker: u32) -> &mut Runner {
        // What its process lost before, it may have lost as this worker's.
        let lost = self.lost.get(&unit.tgid).filter(|_| !self.runners.contains_key(&unit));
        if let (Some(lost), Some(worker)) = (lost, self.workers.get_mut(&worker)) {
            worker.doubtful_until = worker.doubtful_until.max(*lost);
        }
        let new = || Runner { worker, last: None, begun: None, idle_call: None, held: VecDeque::new() };
        self.runners.entry(unit).or_insert_with(new)
    }

    /// A thread is no more, perhaps with its process. Returns the calls that wait no longer, and what was in doubt.
    pub fn gone(&mut self, unit: UnitKey) -> (Vec<SpanKey>, Vec<Deferred>) {
        let (mut released, mut deferred) = (self.forget(unit), Vec::new());
        let worker = if unit.leads() { self.workers.remove(&unit.tgid) } else { None };
        if unit.leads() {
            self.lost.remove(&unit.tgid);
        }
        if let Some(worker) = worker {
            deferred = worker.deferred;
            self.deliveries.retain(|_, worker| *worker != unit.tgid);
            let of_worker = self.runners.iter().filter(|(_, r)| r.worker == unit.tgid);
            let units: Vec<UnitKey> = of_worker.map(|(unit, _)| *unit).collect();
            units.into_iter().for_each(|unit| released.extend(self.forget(unit)));
        } else if let Some(worker) = self.workers.get_mut(&unit.tgid) {
            worker.takers.remove(&unit);
        }
        (released, deferred)
    }

    fn forget(&mut self, unit: UnitKey) -> Vec<SpanKey> {
        let held = self.runners.remove(&unit).map(|runner| runner.held).unwrap_or_default();
        self.held -= held.len();
        held.into_iter().map(|held| held.call.span).collect()
    }

    /// Records of a process, or of nobody knows whom, were lost until `now`: ends may have been missed, and tasks. What is exact
    /// remains so.
    pub fn lost_records(&mut self, of: Option<u32>, now: u64) {
        let of = of.filter(|tgid| self.lost.len() < MAX_LOSERS || self.lost.contains_key(tgid));
        // A process of a worker's pool may not have been seen to run anything yet.
        let _ = of.and_then(|tgid| self.lost.insert(tgid, now));
        let runs = |worker: u32| self.runners.iter().any(|(u, r)| r.worker == worker && of == Some(u.tgid));
        let concerned: HashSet<u32> =
            self.workers.keys().copied().filter(|w| of.is_none() || of == Some(*w) || runs(*w)).collect();
        for worker in self.workers.iter_mut().filter_map(|(tgid, w)| concerned.contains(tgid).then_some(w)) {
            worker.doubtful_until = worker.doubtful_until.max(now);
        }
        for runner in self.runners.values_mut().filter(|runner| concerned.contains(&runner.worker)) {
            (runner.last, runner.idle_call) = (None, None);
        }
    }

    /// Calls that have waited for too long.
    pub fn expired(&mut self, now: u64) -> Vec<SpanKey> {
        let mut released = Vec::new();
        if self.held == 0 || now < self.swept.saturating_add(SWEEP) {
            return released;
        }
        self.swept = now;
        for runner in self.runners.values_mut() {
            let hold = if runner.last.is_some() { HOLD } else { HOLD_UNPROVEN };
            while let Some(old) = runner.held.pop_front_if(|held| held.call.at.saturating_add(hold) <= now) {
                released.push(old.call.span);
                if let Some(worker) = self.workers.get_mut(&runner.worker).filter(|w| w.keeping.is_empty()) {
                    worker.mute = true;
                }
            }
        }
        self.held -= released.len();
        released
    }
}
