//! Execution units: what runs one request at a time inside a process (design.md §2 and §3). Threads so far.
//!
//! A thread that *waits* for its requests (its reads block) belongs to one until it has answered it. While exactly one
//! is in flight on it, its calls are made for that one.
//!
//! A thread that reads *without waiting* may be an event loop: what it runs can be left over from a request that was
//! answered long ago, or be nobody's. Its process is therefore a unit too, and a call is linked only if the process has
//! one single request in flight, and never did anything else: it read no second request before it answered the first, made
//! no call outside a request, took in nothing that cannot be read; and if no request came before this one, or the thread ran on, without going to sleep, from reading
//! the request (or a response to an earlier call for it) to the call. What shows soon after a call still counts, so such links wait
//! ([`Proof::Perhaps`]) and say what they rest on ([`Evidence`]). A thread of that kind that blocks when it waits for a response is
//! no event loop but a worker, and its own requests alone count.
//!
//! Where a request is answered by another thread than read it, work wanders between threads (goroutines, tasks of an
//! async runtime, virtual threads): in that process no thread proves anything, for good.
//!
//! A thread that is created while its creator serves a request works for that request, if it does nothing else in its
//! life. Whether it is such a one-shot or the first member of a pool shows only when it ends, so its calls wait for that.

#[cfg(test)]
mod tests;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use wirespan_protocols::exchange::Unit;

use super::live::SpanKey;

/// [`UnitKey::kind`] of a whole process.
const PROCESS: u32 = u32::MAX;
/// Requests in flight on a thread that waits, beyond which it is known to be something else.
const MAX_IN_FLIGHT: usize = 64;

/// Names a unit. Threads by process and thread id; finer units will add their own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnitKey {
    /// Process.
    pub tgid: u32,
    /// What `id` means; 0 is a thread.
    pub kind: u32,
    /// Thread id, or the runtime's own.
    pub id: u64,
}

impl UnitKey {
    /// The finest unit that an event names; `None` where no process stands behind it.
    pub fn of(unit: &Unit) -> Option<Self> {
        match (unit.tgid, unit.kind) {
            (0, _) => None,
            (tgid, 0) => Some(Self { tgid, kind: 0, id: u64::from(unit.tid) }),
            (tgid, kind) => Some(Self { tgid, kind, id: unit.id }),
        }
    }

    /// A thread.
    pub fn thread(tgid: u32, tid: u32) -> Self {
        Self { tgid, kind: 0, id: u64::from(tid) }
    }

    fn process(tgid: u32) -> Self {
        Self { tgid, kind: PROCESS, id: 0 }
    }

    /// Whether it is a process's first thread.
    pub fn leads(self) -> bool {
        self.kind == 0 && self.id == u64::from(self.tgid)
    }
}

/// A request that a unit has read.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Its span.
    pub span: SpanKey,
    /// Its connection.
    pub connection: u64,
    /// It was read without waiting.
    pub nonblocking: bool,
    /// The requests of its connection are answered one after the other: streams of HTTP/2 are not.
    pub queued: bool,
}

/// What a link rests on that is not exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The only request in flight in a process that never did anything outside one; and either no other came before, or the
    /// thread ran on from reading for it to the call.
    LoneRequest,
    /// The only request in flight on a thread that blocks when it waits for a response.
    WaitingThread,
    /// The thread told the result of a task that a worker took, and is not known to have done anything else since it can
    /// have begun it.
    TaskResult,
}

impl Evidence {
    /// As the attribute `wirespan.link.evidence` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoneRequest => "lone_request",
            Self::WaitingThread => "waiting_thread",
            Self::TaskResult => "task_result",
        }
    }
}

/// What a call looked like when it was made, to be judged later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    unit: UnitKey,
    /// The request was the only one in flight in its process.
    alone: bool,
    /// No other had been seen there before.
    first: bool,
    losses: u32,
}

/// What a unit's call hangs below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The one request in flight.
    Request(SpanKey),
    /// The one request in flight, if nothing contradicts it soon after: ask [`Units::evidence`] then.
    Perhaps(SpanKey, Moment),
    /// The request that the thread was created for, if it proves a one-shot.
    IfOneShot(SpanKey),
    /// Nothing.
    None,
}

/// Where a thread's work comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    /// The request that its creator served.
    server: SpanKey,
    /// The creator, if it was itself created for that request: it must end too.
    via: Option<UnitKey>,
    /// Its whole process was created for that request.
    process: bool,
}

/// A request in flight.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    request: Request,
    /// Another one was read before it was answered.
    overlapped: bool,
}

/// One unit.
#[derive(Debug, Default)]
struct UnitState {
    /// Requests read and not answered.
    in_flight: Vec<InFlight>,
    /// As many of `in_flight`, at its front, were read before records were lost: their answers may be among these.
    doubtful: usize,
    /// It does several things at a time.
    multiplexes: bool,
    /// It has read a request without waiting.
    polls: bool,
    /// It has waited for a response.
    waits: bool,
    /// Of a process: a request of it is over, and may have left work.
    served: bool,
    origin: Option<Origin>,
    /// Spans that wait for this thread's end.
    waiting: Vec<SpanKey>,
}

impl UnitState {
    fn enter(&mut self, request: Request, waits: bool, losing: bool) {
        // Requests pipelined on one connection are the queue of a reader that waits; they make no event loop.
        // Nor does one whose answer may only have been missed.
        let certain = self.in_flight.iter_mut().skip(self.doubtful);
        let queue = waits && request.queued;
        let mut overlaps = false;
        for other in certain.filter(|o| !queue || o.request.connection != request.connection) {
            (overlaps, other.overlapped) = (true, true);
        }
        // A reader that waits may only have been left by its client; whether that is so, the end of the first shows.
        self.multiplexes |= overlaps && (!waits || self.in_flight.len() >= MAX_IN_FLIGHT);
        if self.multiplexes {
            // Proves nothing any more, and may have thousands in flight.
            (self.in_flight, self.doubtful) = (Vec::new(), 0);
        } else {
            self.in_flight.push(InFlight { request, overlapped: false });
            self.doubtful += usize::from(losing);
        }
    }

    fn leave(&mut self, span: SpanKey, answered: bool) {
        let overlapped = self.in_flight.iter().any(|o| o.request.span == span && o.overlapped);
        self.keep(|s| s != span);
        if overlapped && answered {
            self.stop_proving();
        }
    }

    fn stop_proving(&mut self) {
        self.multiplexes = true;
        (self.in_flight, self.doubtful) = (Vec::new(), 0);
    }

    fn keep(&mut self, wanted: impl Fn(SpanKey) -> bool) {
        let doubtful = self.in_flight.iter().take(self.doubtful).filter(|o| wanted(o.request.span)).count();
        self.in_flight.retain(|o| wanted(o.request.span));
        self.doubtful = doubtful;
    }

    /// The one request in flight, if there is exactly one and nothing is doubtful.
    fn lone(&self) -> Option<Request> {
        match self.in_flight.as_slice() {
            [only] if !self.multiplexes && !only.overlapped && self.doubtful == 0 => Some(only.request),
            _ => None,
        }
    }

    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.origin.is_none() && self.waiting.is_empty()
    }

    /// Whether there is nothing to remember.
    fn is_blank(&self) -> bool {
        self.is_idle() && !self.multiplexes && !self.polls && !self.served
    }
}

/// All units that have something in flight or to be remembered.
#[derive(Debug, Default)]
pub struct Units {
    states: HashMap<UnitKey, UnitState>,
    /// Processes whose work wanders between threads.
    wandering: HashSet<u32>,
    /// Records are missing somewhere among those that come now.
    losing: bool,
    /// How often records were lost.
    losses: u32,
}

impl Units {
    /// A unit read a request.
    pub fn read_request(&mut self, unit: UnitKey, request: Request) {
        let losing = self.losing;
        let state = self.states.entry(unit).or_default();
        // Who reads requests is a server, whatever it was created for.
        state.origin = None;
        state.polls |= request.nonblocking;
        state.enter(request, !request.nonblocking, losing);
        self.states.entry(UnitKey::process(unit.tgid)).or_default().enter(request, false, losing);
    }

    /// `reader` read a request that `writer` answered.
    pub fn passed(&mut self, reader: UnitKey, writer: UnitKey) {
        if reader != writer && reader.kind == 0 {
            self.wandering.insert(reader.tgid);
        }
    }

    /// `unit` blocked until a response to its call came.
    pub fn waited(&mut self, unit: UnitKey) {
        if let Some(state) = self.states.get_mut(&unit) {
            state.waits = true;
        }
    }

    /// A process takes in bytes without waiting that nobody here can read: requests may be among them.
    pub fn reads_unknown(&mut self, tgid: u32) {
        self.states.entry(UnitKey::process(tgid)).or_default().stop_proving();
    }

    /// Records were lost among those from now on (`true`), or until now (`false`): what units seem to do is doubtful.
    ///
    /// A request in flight may have been answered, and the thread may serve one whose reading was missed: it proves
    /// nothing until it is seen to be answered. What was created for a request may have done other work.
    pub fn lost_records(&mut self, losing: bool) {
        self.losing = losing;
        self.losses = self.losses.wrapping_add(1);
        self.states.retain(|_, state| {
            state.doubtful = state.in_flight.len();
            state.origin = None;
            state.waiting = Vec::new();
            !state.is_blank()
        });
    }

    /// Whether the thread that runs a piece of work says nothing about the work.
    fn wanders(&self, unit: UnitKey) -> bool {
        unit.kind == 0 && self.wandering.contains(&unit.tgid)
    }

    /// A request was answered (`answered`), or is over without an answer.
    pub fn over(&mut self, unit: UnitKey, span: SpanKey, answered: bool) {
        for key in [unit, UnitKey::process(unit.tgid)] {
            let Some(state) = self.states.get_mut(&key) else { continue };
            state.leave(span, answered);
            state.served |= key.kind == PROCESS;
            if state.is_blank() {
                self.states.remove(&key);
            }
        }
    }

    /// What a call by `unit` hangs below.
    pub fn proof(&self, unit: UnitKey) -> Proof {
        let Some(state) = self.states.get(&unit).filter(|_| !self.losing && !self.wanders(unit)) else {
            return Proof::None;
        };
        match (state.lone(), state.origin) {
            (Some(request), _) if !request.nonblocking => Proof::Request(request.span),
            (Some(request), _) => {
                let process = self.states.get(&UnitKey::process(unit.tgid));
                let alone = process.and_then(UnitState::lone).is_some_and(|r| r.span == request.span);
                let first = process.is_some_and(|p| !p.served);
                Proof::Perhaps(request.span, Moment { unit, alone, first, losses: self.losses })
            }
            (None, Some(origin)) if state.in_flight.is_empty() && !state.multiplexes => Proof::IfOneShot(origin.server),
            _ => Proof::None,
        }
    }

    /// A unit makes a call. One that reads without waiting and has nothing in flight works for something that is not
    /// seen: it may do so again while it has a request.
    pub fn calls(&mut self, unit: UnitKey) {
        let Some(state) = self.states.get_mut(&unit) else { return };
        if state.polls && !state.multiplexes && state.in_flight.is_empty() {
            state.stop_proving();
            self.reads_unknown(unit.tgid);
        }
    }

    /// What still speaks for a [`Proof::Perhaps`], some time after the call. `ran_on`: the thread did not sleep between
    /// something that belongs to the request and the call.
    pub fn evidence(&self, moment: Moment, ran_on: bool) -> Option<Evidence> {
        let does_more = |key| self.states.get(&key).is_some_and(|s| s.multiplexes);
        if self.losses != moment.losses || self.wanders(moment.unit) || does_more(moment.unit) {
            return None;
        }
        if moment.alone && (ran_on || moment.first) && !does_more(UnitKey::process(moment.unit.tgid)) {
            return Some(Evidence::LoneRequest);
        }
        self.states.get(&moment.unit).filter(|s| s.waits).map(|_| Evidence::WaitingThread)
    }

    /// A span waits to see whether its thread is a one-shot.
    pub fn wait_for_end(&mut self, unit: UnitKey, span: SpanKey) {
        self.states.entry(unit).or_default().waiting.push(span);
    }

    /// `creator` created `task`.
    pub fn created(&mut self, creator: UnitKey, task: UnitKey) {
        // A thread id that comes back is another thread.
        self.forget(task);
        let Some(state) = self.states.get(&creator) else { return };
        let new_process = task.leads();
        let origin = match self.proof(creator) {
            Proof::Request(server) => Some(Origin { server, via: None, process: new_process }),
            Proof::IfOneShot(_) => {
                state.origin.map(|o| Origin { via: Some(creator), process: new_process || o.process, ..o })
            }
            Proof::Perhaps(..) | Proof::None => None,
        };
        debug_assert!(origin.is_none() || !state.multiplexes);
        if origin.is_some() {
            self.states.insert(task, UnitState { origin, ..UnitState::default() });
        }
    }

    /// A thread ended, perhaps because its process did: that ends pooled threads too, so it proves nothing of threads in
    /// a process that existed before the request. Returns the spans that are now proven, each with the request that it hangs below.
    pub fn ended(&mut self, task: UnitKey, with_process: bool) -> Vec<(SpanKey, SpanKey)> {
        let wandered = self.wanders(task);
        let Some(state) = self.forget(task) else { return Vec::new() };
        let Some(origin) = state.origin.filter(|o| !wandered && (o.process || !with_process)) else {
            return Vec::new();
        };
        // The creator's id may be another thread's by now.
        if let Some(creator) = origin.via
            && let Some(next) = self.states.get_mut(&creator)
            && next.origin.is_none_or(|o| o.server == origin.server)
        {
            next.waiting.extend(state.waiting);
            return Vec::new();
        }
        state.waiting.into_iter().map(|span| (span, origin.server)).collect()
    }

    /// A thread, and its process if it led one, are no more.
    fn forget(&mut self, task: UnitKey) -> Option<UnitState> {
        if task.leads() {
            self.wandering.remove(&task.tgid);
            self.states.remove(&UnitKey::process(task.tgid));
        }
        self.states.remove(&task)
    }

    /// Forgets what refers to spans that are gone.
    pub fn retain(&mut self, alive: impl Fn(SpanKey) -> bool) {
        self.states.retain(|_, state| {
            state.keep(&alive);
            state.waiting.retain(|s| alive(*s));
            if state.origin.is_some_and(|o| !alive(o.server)) {
                state.origin = None;
            }
            !state.is_blank()
        });
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.states.len()
    }
}
