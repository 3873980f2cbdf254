//! A thread that may run tasks, and when and with which calls it ran one.

use std::collections::VecDeque;

use wirespan_protocols::exchange::TakenTask;

use super::worker::{Deferred, Delivery, Habit, Taken, Worker};
use super::{Actor, Call};
use crate::facts::UnitKey;
use crate::live::SpanKey;
use crate::rules::Evidence;

/// A process of this age makes no calls for its own beginning any more, nanoseconds.
pub(super) const GROWN: u64 = 1_000_000_000;

/// A thread's last task.
#[derive(Debug)]
pub(super) struct Last {
    pub id: Box<str>,
    /// `None` if nothing can be known of it.
    pub habit: Option<Habit>,
    /// No call came since that tells something of the habit.
    pub watched: bool,
    /// When its end was told.
    pub end: u64,
    /// Its span; `None` if nothing is known of the task.
    pub execution: Option<SpanKey>,
    /// Calls that told its end, and those that the thread ran on to from there without going to sleep but to wait for
    /// their responses.
    pub chain: Vec<SpanKey>,
    /// How often the thread had gone to sleep when it last did something for these.
    pub switches: u32,
}

impl Last {
    /// Whether the thread has not gone to sleep since.
    pub fn runs_on(&self, call: &Call) -> bool {
        self.switches == call.switches && call.at >= self.end
    }
}

/// A call that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub call: Call,
    /// It is in the chain of the thread's last task, so it may be that one's.
    pub ran_on: bool,
}

/// A thread that may run tasks.
#[derive(Debug)]
pub(super) struct Runner {
    pub worker: u32,
    pub last: Option<Last>,
    /// It said that it begins this task.
    pub begun: Option<(Box<str>, u64)>,
    /// It made a call while there was no task that it could have run.
    pub idle_call: Option<u64>,
    pub held: VecDeque<Held>,
}

/// From when a task ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It said so.
    Started,
    /// Its worker settled it, as it does when the task has begun; or its first call, if that came before.
    Acknowledged,
    /// Its worker took it, or the thread's last task was over: it began later than this.
    Received,
}

impl Start {
    /// As the attribute `wirespan.celery.start` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Acknowledged => "acknowledged",
            Self::Received => "received",
        }
    }
}

/// A task that was run.
#[derive(Debug)]
pub struct Execution {
    /// The task.
    pub task: TakenTask,
    /// How it came to its worker.
    pub delivery: Delivery,
    /// When it began, `CLOCK_BOOTTIME` nanoseconds.
    pub start: u64,
    /// What `start` is.
    pub start_is: Start,
    /// Its calls.
    pub children: Vec<(SpanKey, Option<Evidence>)>,
    /// Calls that are its own, if the tasks of these deliveries were run elsewhere.
    pub doubtful: (Vec<SpanKey>, Vec<SpanKey>),
}

/// What follows from a task's end.
#[derive(Debug, Default)]
pub struct Ended {
    /// The execution, if the writer ran the task.
    pub execution: Option<Execution>,
    /// Calls that wait no longer and belong to nothing.
    pub released: Vec<SpanKey>,
    /// Calls that are no longer in doubt: they belong to their executions.
    pub resolved: Vec<Deferred>,
}

/// What was around a task when it was run.
pub(super) struct Around {
    /// A call of the thread while there was no task that it could have run.
    pub idle_call: Option<u64>,
    /// Nothing was ever seen to follow on tasks like the thread's last one, and that more than never.
    pub quiet: bool,
}

/// When a thread ran a task.
pub(super) struct Window {
    pub unit: UnitKey,
    /// When the thread's task before was over.
    pub last: Option<u64>,
    /// It is known which that was.
    pub last_is_known: bool,
    /// It began no earlier: it was taken then, or the thread's last task was over.
    pub earliest: u64,
    /// It had begun by then, if that is known.
    pub latest: Option<u64>,
    pub begun: Option<u64>,
    pub end: u64,
    /// The thread's process was through with its own beginning when the task came.
    pub grown: bool,
}

impl Window {
    pub fn new(by: &Actor, taken: &Taken, before: Option<&Last>, end: u64, begun: Option<u64>) -> Self {
        let (last, last_is_known) = (before.map(|b| b.end), before.is_some_and(|b| b.execution.is_some()));
        let earliest = last.unwrap_or(0).max(taken.at);
        let within = |at: &u64| (earliest..=end).contains(at);
        let (begun, settled) = (begun.filter(within), taken.settled.filter(within));
        let latest = [begun, settled].into_iter().flatten().min();
        let grown = last.is_some() || by.since.is_some_and(|since| since.saturating_add(GROWN) <= taken.at);
        Self { unit: by.unit, last, last_is_known, earliest, latest, begun, end, grown }
    }

    /// Decides which of the calls that waited are the task's.
    pub fn judge(&self, worker: &mut Worker, taken: Taken, held: &[Held], around: &Around) -> Ended {
        worker.keeps(&taken.task.name);
        let &Around { idle_call, quiet } = around;
        // The runner did something after its last task, and before this one: it may again.
        let strays = |h: &Held| h.call.at < taken.at && !h.ran_on && !worker.may_hide(self.unit, self.last, h.call.at);
        let idle = idle_call.is_some_and(|at| at < taken.at) || held.iter().any(strays);
        worker.strays |= self.last_is_known && idle;
        let plain = self.grown && !worker.strays && taken.at >= worker.doubtful_until;
        let awaits = worker.begun(self.unit, self.last, self.end);
        let (mut children, mut doubtful, mut released) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = u64::MAX;
        for h in held {
            let at = h.call.at;
            let exact = self.latest.is_some_and(|latest| at >= latest);
            let likely = plain && quiet && at >= self.earliest;
            let likely = likely && !worker.may_hide(self.unit, self.last, at);
            if exact || likely {
                first = first.min(at);
            }
            match (exact, likely, awaits.is_empty()) {
                (true, ..) => children.push((h.call.span, None)),
                (_, true, true) => children.push((h.call.span, Some(Evidence::TaskResult))),
                (_, true, false) => doubtful.push(h.call.span),
                _ => released.push(h.call.span),
            }
        }
        let (latest, start_is) = match (self.begun, self.latest) {
            (Some(begun), _) => (begun, Start::Started),
            (None, Some(settled)) => (settled, Start::Acknowledged),
            (None, None) => (self.earliest, Start::Received),
        };
        let start = latest.min(first).min(self.end);
        let (Taken { task, delivery, .. }, doubtful) = (taken, (doubtful, awaits));
        let execution = Some(Execution { task, delivery, start, start_is, children, doubtful });
        Ended { execution, released, resolved: Vec::new() }
    }
}
