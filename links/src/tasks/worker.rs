//! A process that takes tasks, and the tasks whose end is not told.

use std::borrow::Cow;
use std::collections::VecDeque;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use wirespan_protocols::context::TraceContext;
use wirespan_protocols::exchange::{MessageKey, TakenTask};

use crate::facts::UnitKey;
use crate::live::{Root, SpanKey};

/// Tasks of a worker whose end is waited for.
pub(super) const MAX_TAKEN: usize = 512;
/// Names of a worker's tasks that are remembered.
const MAX_NAMES: usize = 512;

/// Tasks that are alike in what their threads do after their ends: their name, and whether they failed.
pub(super) type Habit = (Cow<'static, str>, bool);

/// What was seen of threads after such tasks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// A call, without a sleep before it, while nothing else was to be done.
    pub call: bool,
    /// No call for a while.
    pub silence: bool,
}

/// How a task came to a worker.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The delivery's span.
    pub span: SpanKey,
    /// Name of the broker's protocol.
    pub protocol: &'static str,
    /// What links it to the sender.
    pub links: Vec<TraceContext>,
    /// What the message is known by.
    pub message: Option<MessageKey>,
    /// Its trace and its id, once it was handed on.
    pub sent: Option<(Root, [u8; 8])>,
}

/// A task that a worker took.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub task: TakenTask,
    /// When, `CLOCK_BOOTTIME` nanoseconds.
    pub at: u64,
    pub delivery: Delivery,
    /// When it was settled: it had begun by then.
    pub settled: Option<u64>,
    /// The thread that runs it, if that is known before its end.
    pub runner: Option<UnitKey>,
}

/// Calls of an execution, unless another task turns out to have been run on its thread before.
#[derive(Clone, Debug)]
pub struct Deferred {
    /// The execution's span.
    pub execution: SpanKey,
    /// The calls.
    pub calls: Vec<SpanKey>,
    /// Deliveries of the tasks whose ends are waited for.
    pub(super) awaits: Vec<SpanKey>,
    /// Since when, `CLOCK_BOOTTIME` nanoseconds.
    pub(super) since: u64,
}

/// A process that takes tasks.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// Tasks whose end was not told, the oldest first.
    pub taken: VecDeque<Taken>,
    /// Threads that take tasks.
    pub takers: HashSet<UnitKey>,
    /// Names of tasks that are known to write results.
    pub keeping: HashSet<Cow<'static, str>>,
    /// Calls of executions that were told, in doubt.
    pub deferred: Vec<Deferred>,
    /// What follows on tasks.
    pub habits: HashMap<Habit, Seen>,
    /// A runner of it was seen to make calls after a task that were no task's.
    pub strays: bool,
    /// Calls waited for tasks that took long, and no thread ever told a result: none is waited for until one does.
    pub mute: bool,
    /// What was taken before this moment proves only what is exact: something was missed, or forgotten.
    pub doubtful_until: u64,
}

impl Worker {
    /// Tasks that `unit`, which ended its last one at `last`, may have begun before `before`.
    pub fn candidates(&self, unit: UnitKey, last: Option<u64>, before: u64) -> impl Iterator<Item = &Taken> {
        self.taken.iter().filter(move |t| {
            // What had begun before the thread's last task was over runs elsewhere.
            let elsewhere = t.settled.zip(last).is_some_and(|(settled, last)| settled <= last);
            t.at <= before && !elsewhere && t.runner.is_none_or(|runner| runner == unit)
        })
    }

    /// Whether one of these may have come and gone without a result.
    pub fn may_hide(&self, unit: UnitKey, last: Option<u64>, before: u64) -> bool {
        self.candidates(unit, last, before).any(|t| t.task.silent || !self.keeping.contains(&t.task.name))
    }

    /// Deliveries of tasks that began between `last` and `end`, on `unit` or, as will show at their ends, elsewhere.
    pub fn begun(&self, unit: UnitKey, last: Option<u64>, end: u64) -> Vec<SpanKey> {
        let begun = self.candidates(unit, last, end).filter(|t| t.settled.is_some_and(|settled| settled <= end));
        begun.map(|t| t.delivery.span).collect()
    }

    /// A task was run to its end by a thread. Returns what was deferred for that.
    pub fn resolve(&mut self, delivery: SpanKey) -> Vec<Deferred> {
        self.deferred.iter_mut().for_each(|deferred| deferred.awaits.retain(|awaited| *awaited != delivery));
        self.deferred.extract_if(.., |deferred| deferred.awaits.is_empty()).collect()
    }

    /// Forgets the oldest task. Returns its delivery.
    pub fn forget_one(&mut self) -> Option<SpanKey> {
        let oldest = self.taken.pop_front()?;
        self.doubtful_until = self.doubtful_until.max(oldest.settled.unwrap_or(u64::MAX));
        Some(oldest.delivery.span)
    }

    /// Tasks of this name are known to write results.
    pub fn keeps(&mut self, name: &str) {
        self.mute = false;
        if self.keeping.len() < MAX_NAMES && !self.keeping.contains(name) {
            self.keeping.insert(name.to_owned().into());
        }
    }

    /// What a thread was seen to do after such a task.
    pub fn note_habit(&mut self, habit: Habit, seen: Seen) {
        if self.habits.len() < MAX_NAMES || self.habits.contains_key(&habit) {
            let known = self.habits.entry(habit).or_default();
            known.call |= seen.call;
            known.silence |= seen.silence;
        }
    }

    /// Whether nothing was ever seen to follow on such a task, and that more than never.
    pub fn is_quiet_after(&self, habit: Option<&Habit>) -> bool {
        habit.and_then(|habit| self.habits.get(habit)).is_some_and(|seen| seen.silence && !seen.call)
    }
}

/// A task is settled. A thread that does so and takes none runs it.
pub(super) fn settle(taken: Option<&mut Taken>, takers: &HashSet<UnitKey>, by: UnitKey, at: u64) {
    let Some(taken) = taken else { return };
    taken.settled.get_or_insert(at);
    if !takers.contains(&by) {
        taken.runner = Some(by);
    }
}
