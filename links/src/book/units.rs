//! What units were seen to do, in the order in which it was told, and what that puts in doubt.
//!
//! A thread that *waits* for its requests (its reads block) belongs to one until it has answered it. A thread that reads
//! *without waiting* may be an event loop: what it runs can be left over from a request that was answered long ago, or be
//! nobody's. Its process is therefore kept as a unit too. Where a request is answered by another thread than read it, work
//! wanders between threads. A thread that is created while its creator serves a request works for that request, if it does
//! nothing else in its life; whether that is so shows only when it ends.

#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap as HashMap;

use super::doubt::Doubt;
use super::losses::{Losses, Times};
use crate::facts::UnitKey;
use crate::live::SpanKey;
use crate::rules::Missing;
use wirespan_signals::Slim as _;

/// [`UnitKey::kind`] of a whole process.
const PROCESS: u32 = u32::MAX;
/// Requests in flight on a thread that waits, beyond which it is known to be something else.
const MAX_IN_FLIGHT: usize = 64;

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

/// What a unit looked like when it made a call, to be judged later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The unit.
    pub unit: UnitKey,
    /// The request was the only one in flight in its process.
    pub alone: bool,
    /// No other had been seen there before.
    pub first: bool,
    losses: Times,
}

/// What a unit seemed to serve when it made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The one request in flight.
    Request(SpanKey),
    /// The one request in flight, if nothing contradicts it soon after.
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
    more: Doubt,
    /// Requests that it has read and that are not over, whether or not they are listed.
    open: usize,
    /// There were several of them since it had none.
    crowded: bool,
    /// Of a process: it takes in what nobody can read. What goes on there is not seen, so this does not pass.
    unread: Option<u64>,
    /// It has read a request without waiting.
    polls: bool,
    /// It has waited for a response.
    waits: bool,
    /// Of a process: a request of it is over, and may have left work.
    served: bool,
    /// Of a process: it has done such work, or other outside a request.
    strays: bool,
    /// Of a process: it had several threads when it read a request last.
    threads: bool,
    origin: Option<Origin>,
    /// Spans that wait for this thread's end.
    waiting: Vec<SpanKey>,
}

impl UnitState {
    fn enter(&mut self, request: Request, waits: bool, losing: bool, now: u64) {
        self.open += 1;
        self.crowded |= self.open > 1;
        // Requests pipelined on one connection are the queue of a reader that waits; they make no event loop.
        // Nor does one whose answer may only have been missed.
        let certain = self.in_flight.iter_mut().skip(self.doubtful);
        let queue = waits && request.queued;
        let mut overlaps = false;
        for other in certain.filter(|o| !queue || o.request.connection != request.connection) {
            (overlaps, other.overlapped) = (true, true);
        }
        // A reader that waits may only have been left by its client; whether that is so, the end of the first shows.
        let held = self.more.is_held();
        if (overlaps || held && self.crowded) && (!waits || self.in_flight.len() >= MAX_IN_FLIGHT) {
            self.more.raise(now);
        }
        if self.more.is_held() {
            // Proves nothing any more, and may have thousands in flight.
            (self.in_flight, self.doubtful) = (Vec::new(), 0);
        } else {
            self.in_flight.push(InFlight { request, overlapped: false });
            self.doubtful += usize::from(losing);
        }
    }

    fn leave(&mut self, span: SpanKey, answered: bool, now: u64) {
        self.open = self.open.saturating_sub(1);
        let overlapped = self.in_flight.iter().any(|o| o.request.span == span && o.overlapped);
        self.keep(|s| s != span);
        if overlapped && answered {
            self.stop_proving(now);
        }
        if self.open == 0 {
            match (std::mem::take(&mut self.crowded), self.more.is_held()) {
                (false, _) => drop(self.more.calm(now)),
                (true, true) => self.more.raise(now),
                // One of them may only have been left by its client.
                (true, false) => {}
            }
        }
    }

    fn stop_proving(&mut self, now: u64) {
        self.more.raise(now);
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
            [only] if !self.does_more() && !only.overlapped && self.doubtful == 0 => Some(only.request),
            _ => None,
        }
    }

    fn does_more(&self) -> bool {
        self.more.is_held() || self.unread.is_some()
    }

    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.origin.is_none() && self.waiting.is_empty()
    }

    /// Whether there is nothing to remember.
    fn is_blank(&self) -> bool {
        self.is_idle() && !self.more.was_ever() && self.unread.is_none() && !self.polls && !self.served
    }
}

impl UnitKey {
    /// Stands for a whole process.
    fn process(tgid: u32) -> Self {
        Self { tgid, kind: PROCESS, id: 0 }
    }
}

/// What is held against a process, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Requests are answered by other threads than read them.
    pub hands_on: Option<u64>,
    /// They ever were.
    pub handed_on: bool,
    /// It does several things at a time, or calls outside requests.
    pub several: Option<u64>,
    /// It takes in what nobody can read.
    pub unread: Option<u64>,
    /// It has several threads.
    pub threads: bool,
    /// It was seen to make a call outside a request.
    pub strays: bool,
}

/// All units that have something in flight or to be remembered.
#[derive(Debug, Default)]
pub struct Units {
    states: HashMap<UnitKey, UnitState>,
    /// Processes whose work wanders between threads.
    wandering: HashMap<u32, Doubt>,
    /// The time of what is being taken in, `CLOCK_BOOTTIME` nanoseconds.
    now: u64,
    losses: Losses,
}

impl Units {
    /// What is taken in from now on happened at `time`, or later.
    pub fn set_time(&mut self, time: u64) {
        self.now = self.now.max(time);
    }

    /// A unit read a request.
    pub fn read_request(&mut self, unit: UnitKey, request: Request) {
        let (losing, now) = (self.losses.concerns(unit.tgid), self.now);
        let state = self.states.entry(unit).or_default();
        // Who reads requests is a server, whatever it was created for.
        state.origin = None;
        state.polls |= request.nonblocking;
        state.enter(request, !request.nonblocking, losing, now);
        self.states.entry(UnitKey::process(unit.tgid)).or_default().enter(request, false, losing, now);
    }

    /// Whether the thread that read a request was the only one of its process.
    pub fn has_threads(&mut self, tgid: u32, only: bool) {
        self.states.entry(UnitKey::process(tgid)).or_default().threads = !only;
    }

    /// `reader` read a request that `writer` answered.
    pub fn passed(&mut self, reader: UnitKey, writer: UnitKey) {
        if reader == writer {
            if let Some(doubt) = self.wandering.get_mut(&reader.tgid).filter(|_| !reader.is_virtual()) {
                doubt.calm(self.now);
            }
        } else if reader.is_thread()
            || reader.is_greenlet()
            || (reader.is_virtual() && reader.is_told() && writer.is_told())
        {
            self.wandering.entry(reader.tgid).or_default().raise(self.now);
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
        let state = self.states.entry(UnitKey::process(tgid)).or_default();
        (state.in_flight, state.doubtful) = (Vec::new(), 0);
        state.unread.get_or_insert(self.now);
    }

    /// Records of a process, or of nobody knows whom, were lost among those from now on (`true`), or until now (`false`):
    /// what units seem to do is doubtful.
    ///
    /// A request in flight may have been answered, and the thread may serve one whose reading was missed: it proves
    /// nothing until it is seen to be answered. What was created for a request may have done other work.
    ///
    /// Returns up to which moment some may be missing.
    pub fn lost_records(&mut self, of: Option<u32>, losing: bool) -> u64 {
        let until = self.losses.tell(of, losing, self.now);
        self.states.retain(|unit, state| {
            if of.is_some_and(|tgid| unit.tgid != tgid) {
                return true;
            }
            state.doubtful = state.in_flight.len();
            state.origin = None;
            state.waiting = Vec::new();
            !state.is_blank()
        });
        self.states.slim();
        self.wandering.slim();
        until
    }

    /// Whether records may be missing of what a process did at a moment, or later.
    pub fn may_have_lost(&self, tgid: u32, since: u64) -> bool {
        self.losses.may_hide(tgid, since)
    }

    /// Whether the thread that runs a piece of work says nothing about the work.
    fn wanders(&self, unit: UnitKey) -> bool {
        let runs = unit.is_thread() || unit.is_virtual();
        runs && self.wandering.get(&unit.tgid).is_some_and(Doubt::is_held)
    }

    /// Whether what its thread does never had to be doubted: only then may it prove anything.
    fn was_never_in_doubt(&self, unit: UnitKey, state: &UnitState) -> bool {
        !state.more.was_ever() && !self.wandering.contains_key(&unit.tgid)
    }

    /// A request was answered (`answered`), or is over without an answer.
    pub fn over(&mut self, unit: UnitKey, span: SpanKey, answered: bool) {
        for key in [unit, UnitKey::process(unit.tgid)] {
            let Some(state) = self.states.get_mut(&key) else { continue };
            state.leave(span, answered, self.now);
            state.served |= key.kind == PROCESS;
            // What a runtime runs is not told to have ended in all runtimes.
            let finer = !key.is_thread() && key.kind != PROCESS;
            if state.is_blank() || (finer && state.is_idle()) {
                self.states.remove(&key);
            }
        }
    }

    /// What a call by `unit` hangs below.
    pub fn proof(&self, unit: UnitKey) -> Proof {
        if !unit.is_told() {
            return Proof::None;
        }
        let Some(state) = self.states.get(&unit).filter(|_| !self.losses.concerns(unit.tgid) && !self.wanders(unit))
        else {
            return Proof::None;
        };
        match (state.lone(), state.origin) {
            (Some(request), _) if !request.nonblocking && self.was_never_in_doubt(unit, state) => {
                Proof::Request(request.span)
            }
            (Some(request), _) => {
                let process = self.states.get(&UnitKey::process(unit.tgid));
                let alone = process.and_then(UnitState::lone).is_some_and(|r| r.span == request.span);
                let first = process.is_some_and(|p| !p.served);
                Proof::Perhaps(request.span, Moment { unit, alone, first, losses: self.losses.times(unit.tgid) })
            }
            (None, Some(origin)) if state.open == 0 && self.was_never_in_doubt(unit, state) => {
                Proof::IfOneShot(origin.server)
            }
            _ => Proof::None,
        }
    }

    /// Whether a process was seen to read a request.
    pub fn serves(&self, tgid: u32) -> bool {
        self.states.get(&UnitKey::process(tgid)).is_some_and(|p| p.served || p.open > 0)
    }

    /// Why a call by `unit` has no proof.
    pub fn missing(&self, unit: UnitKey) -> Missing {
        let state = self.states.get(&unit);
        match state {
            _ if self.losses.concerns(unit.tgid) => Missing::LostRecords,
            _ if self.wanders(unit) => Missing::HandsOn,
            Some(state) if state.doubtful > 0 => Missing::LostRecords,
            Some(state) if state.more.is_held() || state.open > 0 => Missing::SeveralRequests,
            _ => Missing::NoRequest,
        }
    }

    /// What is held against a process.
    pub fn held(&self, tgid: u32) -> Held {
        let (process, wandering) = (self.states.get(&UnitKey::process(tgid)), self.wandering.get(&tgid));
        Held {
            hands_on: wandering.and_then(Doubt::since),
            handed_on: wandering.is_some(),
            several: process.and_then(|p| p.more.since()),
            unread: process.and_then(|p| p.unread),
            threads: process.is_some_and(|p| p.threads),
            strays: process.is_some_and(|p| p.strays),
        }
    }

    /// Threads that do several things at a time, by process.
    pub fn threads_in_doubt(&self) -> HashMap<u32, usize> {
        let mut threads = HashMap::default();
        for (key, _) in self.states.iter().filter(|(key, state)| key.is_thread() && state.more.is_held()) {
            *threads.entry(key.tgid).or_default() += 1;
        }
        threads
    }

    /// A unit makes a call. One that reads without waiting and has nothing in flight works for something that is not
    /// seen: it may do so again while it has a request.
    pub fn calls(&mut self, unit: UnitKey) {
        if self.states.get(&unit).is_none_or(|state| state.open == 0)
            && let Some(process) = self.states.get_mut(&UnitKey::process(unit.tgid))
        {
            process.strays |= process.served;
        }
        let Some(state) = self.states.get_mut(&unit) else { return };
        if state.polls && state.open == 0 {
            let now = self.now;
            state.stop_proving(now);
            self.states.entry(UnitKey::process(unit.tgid)).or_default().stop_proving(now);
        }
    }

    /// Whether nothing that was seen since a moment takes away what spoke then for its unit.
    pub fn stands(&self, moment: Moment) -> bool {
        self.losses.times(moment.unit.tgid) == moment.losses
            && !self.wanders(moment.unit)
            && !self.does_more(moment.unit)
    }

    /// Whether what a thread does, or its process, ever had to be doubted.
    pub fn was_in_doubt(&self, unit: UnitKey) -> bool {
        self.states.get(&unit).is_some_and(|s| s.more.was_ever()) || self.wandering.contains_key(&unit.tgid)
    }

    /// Whether what a thread does, or its process, must be doubted now.
    pub fn is_in_doubt(&self, unit: UnitKey) -> bool {
        self.wanders(unit) || self.does_more(unit)
    }

    /// Whether a process was seen to make a call outside a request, once it had served one.
    pub fn strays(&self, tgid: u32) -> bool {
        self.states.get(&UnitKey::process(tgid)).is_some_and(|p| p.strays)
    }

    /// Whether a unit is known to do several things at a time.
    fn does_more(&self, unit: UnitKey) -> bool {
        self.states.get(&unit).is_some_and(UnitState::does_more)
    }

    /// Whether a process is known to do several things at a time, or anything that is not seen.
    pub fn process_does_more(&self, tgid: u32) -> bool {
        self.does_more(UnitKey::process(tgid))
    }

    /// Whether a unit was seen to block until the response to its call came.
    pub fn has_waited(&self, unit: UnitKey) -> bool {
        self.states.get(&unit).is_some_and(|s| s.waits)
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
        debug_assert!(origin.is_none() || !state.more.is_held());
        if origin.is_some() {
            self.states.insert(task, UnitState { origin, ..UnitState::default() });
        }
    }

    /// A thread ended, perhaps because its process did: that ends pooled threads too, so it proves nothing of threads in
    /// a process that existed before the request. Returns the spans that are now proven, each with the request that it hangs below.
    pub fn ended(&mut self, task: UnitKey, with_process: bool) -> Vec<(SpanKey, SpanKey)> {
        let wandered = self.wandering.contains_key(&task.tgid);
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
            self.losses.gone(task.tgid);
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
