//! What loops were seen to do that number their pieces of work, in the order in which it happened, whatever the order in which it
//! was told: what is told of a moment is taken in when all of it has come.
//!
//! | file | what it is |
//! |---|---|
//! | `segments.rs` | pieces of work, and whose each is |
//! | `call.rs` | what is known of a call, a request, a connection |
//! | `line.rs` | one loop: what happened in which piece, and what that says of calls |
//! | `doubts.rs` | what speaks against believing that |

mod call;
mod doubts;
mod line;
mod segments;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap as HashMap;
use wirespan_signals::Slim as _;

use crate::facts::{At, Cause, Place, UnitKey, Work};
use crate::live::SpanKey;
use line::{Event, Line};

/// Loops at a time.
const MAX_LOOPS: usize = 4096;
/// What of one loop waits to be taken in.
const MAX_WAITING: usize = 65_536;

/// What a loop says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was made on no loop that is known.
    NoLoop,
    /// Nothing yet. It may be this request's.
    Nothing(Option<SpanKey>),
    /// Nothing, and it will not.
    Never,
    /// Numbers of work that were given earlier lead to this request.
    Chain(SpanKey),
    /// The piece of work that it was made in is this request's, which was answered with what it got.
    Turn(SpanKey),
    /// This request alone was answered with what it got.
    Answer(SpanKey),
    /// The same, but such responses were not seen often enough yet.
    Likely(SpanKey),
}

#[derive(Debug, Default)]
struct Loop {
    line: Line,
    /// What waits, by time, and in the order in which it was told.
    waiting: BTreeMap<(u64, u64), Event>,
    told: u64,
    /// What happened up to then was taken in.
    passed: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Loops {
    loops: HashMap<UnitKey, Loop>,
    /// On which thread a request was read, or a call was made.
    threads: HashMap<SpanKey, UnitKey>,
}

impl Loops {
    /// A piece of work begins on a thread: with a socket, or 0; `newest` is the newest number.
    pub fn begins(&mut self, thread: UnitKey, cause: Cause, cookie: u64, newest: u64, time: u64) {
        if self.loops.len() < MAX_LOOPS || self.loops.contains_key(&thread) {
            self.loops.entry(thread).or_default();
            self.tell(thread, Event::Begins(cause, cookie, newest), time);
        }
    }

    /// A thread took in a request.
    pub fn read(&mut self, thread: UnitKey, request: SpanKey, cookie: u64, at: At) {
        if self.tell(thread, Event::Read(request, cookie), at.time) {
            self.threads.insert(request, thread);
        }
    }

    /// A thread made a call. Streams are sent together, by the connection's own work: numbers say nothing of whose each is.
    pub fn called(&mut self, thread: UnitKey, call: SpanKey, place: Place, at: At, opened: Option<At>) {
        let of_stream = matches!(place, Place::Stream(..));
        let work = if of_stream { Work::default() } else { at.work };
        let opened = opened.filter(|_| !of_stream).map(|opened| (opened.time, opened.work));
        if self.tell(thread, Event::Called(call, place.cookie().unwrap_or_default(), work, opened), at.time) {
            self.threads.insert(call, thread);
        }
    }

    /// A thread says something.
    pub fn said(&mut self, thread: UnitKey, key: SpanKey, at: At) {
        if self.tell(thread, Event::Said(key, at.work), at.time) {
            self.threads.insert(key, thread);
        }
    }

    /// The last of a call's response came.
    pub fn responded(&mut self, call: SpanKey, operation: u64, at: At) {
        if let Some(thread) = self.threads.get(&call) {
            self.tell(*thread, Event::Responded(call, operation), at.time);
        }
    }

    /// The last of a request's answer went.
    pub fn answered(&mut self, request: SpanKey, at: At) {
        if let Some(thread) = self.threads.get(&request).filter(|thread| thread.id == u64::from(at.tid)) {
            self.tell(*thread, Event::Answered(request, at.work), at.time);
        }
    }

    /// Whether a call was made on a loop that is known, or a request read.
    pub fn knows(&self, span: SpanKey) -> bool {
        self.threads.contains_key(&span)
    }

    /// Whether there is such a loop.
    fn tell(&mut self, thread: UnitKey, event: Event, time: u64) -> bool {
        let Some(known) = self.loops.get_mut(&thread) else { return false };
        let late = time < known.passed && matches!(event, Event::Begins(..));
        if late || known.waiting.len() >= MAX_WAITING {
            // What came between is another's.
            known.line.lost();
            known.waiting.clear();
        }
        known.told += 1;
        known.waiting.insert((time, known.told), event);
        true
    }

    /// All that happened up to a moment has been told. Returns the calls of which more is known now.
    pub fn advance(&mut self, to: u64) -> Vec<SpanKey> {
        let mut changed = Vec::new();
        for known in self.loops.values_mut() {
            while let Some(entry) = known.waiting.first_entry().filter(|entry| entry.key().0 <= to) {
                let ((time, _), event) = entry.remove_entry();
                changed.extend(known.line.take(event, time));
                known.passed = known.passed.max(time);
            }
        }
        changed
    }

    /// What the loop says of a call that was made on it.
    pub fn says(&self, key: SpanKey) -> Said {
        let Some(known) = self.threads.get(&key).and_then(|thread| self.loops.get(thread)) else { return Said::NoLoop };
        let line = &known.line;
        let Some(call) = line.calls.get(&key) else { return Said::Nothing(None) };
        let owner = call.owner;
        match owner {
            Some(owner) if call.is_said && call.chained => Said::Chain(owner),
            Some(owner) if call.is_said && call.answers.only() == Some(owner) => Said::Turn(owner),
            _ if call.is_said && call.ended => Said::Never,
            _ if call.is_said => Said::Nothing(owner),
            Some(_) if call.repeated || call.chained && line.may_be_contradicted(call) => Said::Never,
            Some(owner) if call.chained && (!call.direct || call.answers.has(owner)) => Said::Chain(owner),
            _ if call.chained => Said::Never,
            _ if call.doubted && !call.direct && !call.answers.is_empty() => Said::Never,
            Some(owner) if call.answers.has(owner) => Said::Turn(owner),
            _ if call.direct => match (call.answer, call.likely) {
                (Some(request), _) => Said::Answer(request),
                (None, Some(request)) => Said::Likely(request),
                (None, None) => Said::Never,
            },
            Some(owner) if call.ended && call.answers.is_empty() && line.has_a_sibling(key, owner) => Said::Turn(owner),
            _ if line.is_open(call) => Said::Nothing(owner),
            _ => Said::Never,
        }
    }

    /// Records of a process, or of nobody knows whom, were lost, of moments up to this one.
    pub fn lost(&mut self, of: Option<u32>, until: u64) {
        for (_, known) in self.loops.iter_mut().filter(|(thread, _)| of.is_none_or(|of| thread.tgid == of)) {
            known.line.records_lost(until);
            known.waiting.retain(|_, event| !matches!(event, Event::Begins(..)));
        }
    }

    /// A thread is no more, or all of a process.
    pub fn gone(&mut self, thread: UnitKey) {
        match thread.leads() {
            true => self.loops.retain(|other, _| other.tgid != thread.tgid),
            false => drop(self.loops.remove(&thread)),
        }
    }

    /// A span is gone.
    pub fn forget(&mut self, span: SpanKey) {
        if let Some(known) = self.threads.remove(&span).and_then(|thread| self.loops.get_mut(&thread)) {
            known.line.forget(span);
        }
    }

    /// Gives room back that is not needed.
    pub fn slim(&mut self) {
        self.loops.slim();
        self.threads.slim();
    }
}
