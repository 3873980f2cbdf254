//! What threads read, called and answered, one after the other; and what that says of pools in which requests are answered by
//! other threads than read them.
//!
//! Such pools are of two kinds. Behind a *reader*, one thread takes requests in, or helpers answer some of them, but a thread that
//! makes a call works for what it answers next. In others any thread does any piece of work. The second kind shows itself: a thread
//! that reads requests answers another's, or does something else between reading and answering, or calls when it had answered.

use std::collections::VecDeque;

use rustc_hash::FxHashMap as HashMap;

use crate::court::SETTLED;
use crate::facts::UnitKey;
use crate::live::SpanKey;
use wirespan_signals::Slim as _;

/// Threads at a time; of more, nothing is known.
const MAX_THREADS: usize = 16_384;
/// Processes of which something is remembered; of more, nothing is believed.
const MAX_PROCESSES: usize = 16_384;
/// Steps of one thread that are remembered, those of a while, and where those of all threads are many.
const MAX_STEPS: usize = 2048;
const MAX_OLD: usize = 64;
const MAX_IF_MANY: usize = 32;
/// Steps of all threads that are many.
const MANY: usize = 262_144;
/// What is older is of a while ago, nanoseconds: longer than it takes until it is asked for.
const REMEMBERED: u64 = 2_000_000_000;
/// Steps of all threads that are to be learnt from.
const MAX_DUE: usize = 262_144;
/// A thread that did nothing for so long is forgotten, nanoseconds.
const FORGOTTEN: u64 = 600_000_000_000;
/// So often threads must have had nothing to do before what they answered next was read, and have made no call then.
const IDLE: u32 = 64;
/// And so often the one that is asked of.
const IDLE_EACH: u32 = 4;

/// One thing that a thread did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub time: u64,
    /// The request, or the call.
    pub span: SpanKey,
    /// What it did with it.
    pub did: Did,
}

/// What a thread did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// It read a request of this connection.
    Read(u64),
    /// It called.
    Called,
    /// It had taken in the response to its own call.
    Responded,
    /// It answered a request of this connection, which it had read itself or another had, at a moment.
    Answered {
        /// The agent's number of its connection.
        connection: u64,
        /// It read it itself.
        own: bool,
        /// When it was read.
        read: u64,
    },
}

impl Step {
    /// Whether it is about a request.
    fn is_requests(&self) -> bool {
        matches!(self.did, Did::Read(_) | Did::Answered { .. })
    }

    /// The request that was read.
    pub fn read(&self) -> Option<SpanKey> {
        matches!(self.did, Did::Read(_)).then_some(self.span)
    }

    /// The request that was answered.
    pub fn answered(&self) -> Option<SpanKey> {
        matches!(self.did, Did::Answered { .. }).then_some(self.span)
    }
}

#[derive(Debug, Default)]
struct Thread {
    /// In order of time.
    steps: VecDeque<Step>,
    /// What it did until then is not listed any more.
    floor: u64,
    /// What it did until then is learnt.
    learnt: u64,
    /// The last request that it read or answered, as far as is learnt, and when it first called since.
    last: Option<Step>,
    called: Option<u64>,
    reads: bool,
    answers: bool,
    /// It answered what others had read.
    answers_others: bool,
    /// As [`Process::idle`].
    idle: u32,
    /// It made a call, and did not answer next.
    strays: bool,
    /// It waited for a response.
    waits: bool,
}

/// What is known of a process.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    /// A thread that reads requests answered another's, or several at a time.
    mixes: bool,
    /// A thread that answers made a call that it cannot have made for what it answered next.
    strays: bool,
    /// So often a thread had nothing to do before another read the request that it answered next, and made no call until then.
    idle: u32,
}

/// All threads that read or answer requests.
#[derive(Debug, Default)]
pub struct Readers {
    threads: HashMap<UnitKey, Thread>,
    processes: HashMap<u32, Process>,
    /// Steps that are to be learnt from, in the order in which they were told.
    due: VecDeque<(u64, UnitKey)>,
    /// Steps that all threads remember.
    total: usize,
}

impl Readers {
    /// A thread did something about a request. (What only calls is of no interest.)
    pub fn did(&mut self, thread: UnitKey, step: Step) {
        if !thread.is_thread() || self.due.len() >= MAX_DUE {
            return;
        }
        let known = self.threads.contains_key(&thread);
        if !known && (!step.is_requests() || self.threads.len() >= MAX_THREADS) {
            return;
        }
        let limit = if self.total > MANY { MAX_IF_MANY } else { MAX_STEPS };
        let all = self.threads.entry(thread).or_default();
        self.total = self.total.saturating_add_signed(all.insert(step, limit));
        self.due.push_back((step.time, thread));
    }

    /// A thread blocked until the response to its call came.
    pub fn waited(&mut self, thread: UnitKey) {
        if let Some(known) = self.threads.get_mut(&thread) {
            known.waits = true;
        }
    }

    /// Learns from what happened so long ago that all of it has been told.
    pub fn learn(&mut self, now: u64) {
        while let Some((time, thread)) = self.due.pop_front_if(|(time, _)| time.saturating_add(SETTLED) <= now) {
            let room = self.processes.len() < MAX_PROCESSES || self.processes.contains_key(&thread.tgid);
            if let Some(known) = self.threads.get_mut(&thread).filter(|_| room) {
                known.learn(time, self.processes.entry(thread.tgid).or_default());
            }
        }
    }

    /// The last that a thread read or answered before a moment, and the first after; `None` if that is not known any more.
    pub fn around(&self, thread: UnitKey, time: u64) -> Option<[Option<Step>; 2]> {
        let known = self.threads.get(&thread).filter(|known| time > known.floor)?;
        let after = known.until(time);
        let before = known.steps.range(..after).rfind(|step| step.is_requests()).copied();
        Some([before, known.steps.range(after..).find(|step| step.is_requests()).copied()])
    }

    /// Calls that a thread had made before a moment, and since the request before: it answered then.
    pub fn calls_before(&self, thread: UnitKey, time: u64) -> Vec<SpanKey> {
        let Some(known) = self.threads.get(&thread) else { return Vec::new() };
        let earlier = known.steps.partition_point(|step| step.time < time);
        let since = known.steps.range(..earlier).rev().take_while(|step| !step.is_requests());
        since.filter(|step| step.did == Did::Called).map(|step| step.span).collect()
    }

    /// Whether a thread answers requests.
    pub fn answers(&self, thread: UnitKey) -> bool {
        self.threads.get(&thread).is_some_and(|known| known.answers)
    }

    /// Whether a thread was seen to block until a response came.
    pub fn has_waited(&self, thread: UnitKey) -> bool {
        self.threads.get(&thread).is_some_and(|known| known.waits)
    }

    /// Whether it is known of a thread that it reads or answers requests.
    pub fn knows(&self, thread: UnitKey) -> bool {
        self.threads.contains_key(&thread)
    }

    /// Whether threads of a process that read requests were seen to answer each other's, or several at a time.
    pub fn mixes(&self, tgid: u32) -> bool {
        self.processes.get(&tgid).is_none_or(|process| process.mixes)
    }

    /// Whether a thread, and others of its process, were seen often to have nothing to do, and never to make a call then.
    pub fn answers_next(&self, thread: UnitKey) -> bool {
        let known = self.processes.get(&thread.tgid).zip(self.threads.get(&thread));
        known.is_some_and(|(all, one)| !all.strays && all.idle >= IDLE && one.idle >= IDLE_EACH)
    }

    /// Records of a process, or of anybody, were lost: what was done until then is not known.
    pub fn lost(&mut self, of: Option<u32>, now: u64) {
        for (_, known) in self.threads.iter_mut().filter(|(thread, _)| of.is_none_or(|of| of == thread.tgid)) {
            let last = known.steps.back().map_or(0, |step| step.time);
            self.total = self.total.saturating_sub(known.steps.len());
            (known.floor, known.learnt) = (now.max(last), now.max(last));
            known.steps = VecDeque::new();
            (known.last, known.called) = (None, None);
        }
    }

    /// A thread is gone, or its id is another's now; and its process, if it led that.
    pub fn gone(&mut self, thread: UnitKey) {
        if let Some(known) = self.threads.remove(&thread) {
            self.total = self.total.saturating_sub(known.steps.len());
        }
        if thread.leads() {
            self.processes.remove(&thread.tgid);
        }
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        self.threads.retain(|_, known| {
            known.steps.back().map_or(known.floor, |step| step.time).saturating_add(FORGOTTEN) > now
        });
        self.total = self.threads.values().map(|known| known.steps.len()).sum();
        self.threads.slim();
        self.processes.slim();
        self.due.slim();
    }
}

impl Thread {
    /// It did something. Returns how many more steps are remembered now.
    fn insert(&mut self, step: Step, limit: usize) -> isize {
        let before = self.steps.len() as isize;
        let at = self.steps.iter().rposition(|other| other.time <= step.time).map_or(0, |n| n + 1);
        self.steps.insert(at, step);
        let old = |first: &Step| first.time.saturating_add(REMEMBERED) < step.time;
        while self.steps.len() > limit || self.steps.len() > MAX_OLD && self.steps.front().is_some_and(old) {
            self.floor = self.steps.pop_front().map_or(self.floor, |first| self.floor.max(first.time));
        }
        self.steps.len() as isize - before
    }

    /// Learns from what it did until a moment.
    fn learn(&mut self, until: u64, process: &mut Process) {
        let new = self.until(self.learnt)..self.until(until);
        self.learnt = self.learnt.max(until);
        // (One of many, for which all that is remembered must not be looked at.)
        for at in new {
            self.learn_step(self.steps[at], process);
        }
    }

    /// How many of its steps were until a moment.
    fn until(&self, time: u64) -> usize {
        self.steps.partition_point(|step| step.time <= time)
    }

    fn learn_step(&mut self, step: Step, process: &mut Process) {
        match step.did {
            Did::Called => _ = self.called.get_or_insert(step.time),
            Did::Responded => {}
            Did::Read(_) => {
                self.reads = true;
                self.strays |= self.called.is_some();
                self.had_nothing_to_do(
                    self.called.is_none() && self.last.is_some_and(|last| last.read().is_none()),
                    process,
                );
            }
            Did::Answered { connection, own, read } => {
                self.answers = true;
                self.answers_others |= !own;
                process.mixes |= own && self.does_several(step.span, connection);
                let (called, other) = (self.called, self.last.filter(|last| last.read() != Some(step.span)));
                let early = called.is_some_and(|called| called < read);
                self.strays |= early || called.is_some() && other.is_some_and(|last| last.read().is_some());
                let idle = !early && other.is_some_and(|last| last.read().is_none() && last.time < read);
                self.had_nothing_to_do(idle, process);
            }
        }
        if step.is_requests() {
            (self.last, self.called) = (Some(step), None);
        }
        process.mixes |= self.reads && self.answers_others;
        process.strays |= self.answers && self.strays;
    }

    fn had_nothing_to_do(&mut self, idle: bool, process: &mut Process) {
        self.idle = self.idle.saturating_add(idle.into());
        process.idle = process.idle.saturating_add(idle.into());
    }

    /// Whether it did something else between reading a request of a connection and answering it. (Pipelined requests are a queue.)
    fn does_several(&self, request: SpanKey, connection: u64) -> bool {
        self.last.is_some_and(|last| match last.did {
            Did::Read(of) | Did::Answered { connection: of, .. } => last.read() != Some(request) && of != connection,
            Did::Called | Did::Responded => false,
        })
    }
}
