//! What units say where their lines go (exceptions with their stack traces, records of logs), and for whose requests: exceptions
//! become events on their spans, records leave with their ids. The same rules decide that which decide for whom a call is made: what
//! is said is asked of the court as a call is, and is the last that is remembered of it.
//!
//! It is announced when its first line is read, so that the book is asked of that moment, and told when it is whole. A trace waits
//! for what was announced and may be its own; nothing is ever announced that is not told soon. Records leave when their trace does,
//! since only then its id is certain; or, of a request that takes longer than others, when they have waited for a while.

use rustc_hash::FxHashMap as HashMap;
use wirespan_protocols::exchange::{KeyValue, Marks, SpanKind, Started};
use wirespan_signals::{Log, LogSpan, Slim as _};

use crate::facts::{At, UnitKey};
use crate::live::{Group, GroupKey, LiveSpan, SpanKey};
use crate::rules::{Evidence, Stage};
use crate::signal::{Said, Speaks};
use crate::{Clock, Traces, assemble};

/// Things that are being said, or whose request is not found, at a time.
const MAX_SAID: usize = 16_384;
/// Bytes of what was said for one request that wait until its trace leaves; beyond, records leave before.
const MAX_WAITING: usize = 1 << 20;

/// How far one is.
#[derive(Debug)]
enum Stand {
    /// Neither what it is nor for whom is known.
    Open,
    /// It is whole.
    Whole(Box<Said>),
    /// It is known for whom. Its trace waits.
    For(SpanKey, Option<Evidence>),
}

/// What is being said.
#[derive(Debug, Default)]
pub struct Says {
    by_id: HashMap<u64, SpanKey>,
    stands: HashMap<SpanKey, (u64, Stand)>,
    /// Records that are ready to leave.
    ready: Vec<Log>,
}

impl Says {
    /// Whether this stands for something that is said, and is no call.
    pub fn knows(&self, key: SpanKey) -> bool {
        self.stands.contains_key(&key)
    }

    fn forget(&mut self, key: SpanKey) -> Option<Stand> {
        let (id, stand) = self.stands.remove(&key)?;
        self.by_id.remove(&id);
        Some(stand)
    }

    /// A record leaves, with the span that it was said for, if there is one.
    pub fn leaves(&mut self, said: Said, span: Option<LogSpan>, clock: Clock) {
        let Said { time, log, .. } = said;
        self.ready.extend(log.map(|log| Log { time_unix_nano: clock.unix(time), span: log.span.or(span), ..log }));
    }

    /// Gives room back.
    pub fn slim(&mut self) {
        self.by_id.slim();
        self.stands.slim();
    }
}

impl Traces {
    /// Records of logs that are ready to leave; to be asked after each call of [`Traces::tick`] and [`Traces::finish`].
    pub fn take_logs(&mut self) -> Vec<Log> {
        std::mem::take(&mut self.says.ready)
    }

    /// A unit begins to say something.
    pub(super) fn speaks(&mut self, speaks: Speaks, now: u64) {
        let Speaks { id, process, at } = speaks;
        let unit = UnitKey::of(&at.unit).filter(|unit| self.court.book.serves(unit.tgid));
        // (Of no other is asked. If it says something, that is counted then.)
        let Some(unit) = unit.filter(|_| self.says.by_id.len() < MAX_SAID) else { return };
        // (It stays until it is told what it says.)
        let group = self.groups.insert(Box::new(Group { last: now, held: 1, ..Group::default() }));
        let marks = Marks { first: at, last: at };
        let started = Started::call(0, marks, SpanKind::Internal, None, false);
        let mut span = LiveSpan::of_no_connection("", started, process, group);
        // It never becomes a span.
        span.dropped = true;
        let key = self.add(span, now);
        self.says.by_id.insert(id, key);
        self.says.stands.insert(key, (id, Stand::Open));
        self.court.book.says(key, unit, At::of(at.time, &at.unit));
        self.consider(key, Stage::Made, now);
        self.make_room(now);
    }

    /// What was announced is whole, or nothing.
    pub(super) fn said(&mut self, id: u64, said: Option<Box<Said>>, now: u64) {
        let key = self.says.by_id.get(&id).copied();
        let Some((key, (_, stand))) = key.and_then(|key| Some((key, self.says.stands.get_mut(&key)?))) else {
            return said.into_iter().for_each(|said| self.said_by_nobody(*said));
        };
        match (std::mem::replace(stand, Stand::Open), said) {
            (Stand::For(request, evidence), said) => {
                self.let_go(request, now);
                if let Some(said) = said {
                    self.place(*said, request, evidence);
                }
                self.remove_said(key);
            }
            (_, Some(said)) => {
                let bytes = said.weight();
                *stand = Stand::Whole(said);
                let span = &mut self.spans[key];
                // (It goes when that goes.)
                span.weight += bytes;
                let group = span.group;
                self.span_bytes += bytes;
                self.groups[group].held = 0;
                self.schedule(group, now);
            }
            (_, None) => {
                self.settle_pending(key, now);
                self.remove_said(key);
            }
        }
    }

    /// Something was said for no request that is proven: its exception is lost, its record leaves alone.
    pub(super) fn said_by_nobody(&mut self, said: Said) {
        self.counters.exceptions_unplaced.add(said.event.is_some().into());
        self.counters.log_records_unplaced.add(said.log.as_ref().is_some_and(|log| log.span.is_none()).into());
        self.says.leaves(said, None, self.clock);
    }

    /// It was decided for whose request something is said.
    pub(super) fn said_for(&mut self, key: SpanKey, request: SpanKey, evidence: Option<Evidence>, now: u64) {
        let Some((_, stand)) = self.says.stands.get_mut(&key) else { return };
        match std::mem::replace(stand, Stand::Open) {
            Stand::Whole(said) => {
                self.place(*said, request, evidence);
                self.remove_said(key);
                if let Some(group) = self.spans.get(request).map(|span| span.group) {
                    self.schedule(group, now);
                }
            }
            Stand::Open => {
                *stand = Stand::For(request, evidence);
                if let Some(group) = self.spans.get(request).map(|span| span.group) {
                    self.groups[group].held += 1;
                }
            }
            decided @ Stand::For(..) => *stand = decided,
        }
    }

    fn place(&mut self, mut said: Said, request: SpanKey, evidence: Option<Evidence>) {
        let Some(span) = self.spans.get_mut(request) else { return self.said_by_nobody(said) };
        self.counters.exceptions_placed.add(said.event.is_some().into());
        self.counters.log_records_placed.add(said.log.is_some().into());
        let attributes = [said.event.as_mut().map(|e| &mut e.attributes), said.log.as_mut().map(|l| &mut l.attributes)];
        for attributes in attributes.into_iter().flatten() {
            attributes.extend(evidence.map(|evidence| KeyValue::str("wirespan.link.evidence", evidence.name())));
        }
        let bytes = said.weight();
        span.weight += bytes;
        span.said_bytes += bytes;
        span.said.push(said);
        self.span_bytes += bytes;
        if span.said_bytes > MAX_WAITING {
            self.let_records_go(request);
        }
    }

    /// What was said for a request so far leaves, and the trace's id with it.
    fn let_records_go(&mut self, request: SpanKey) {
        let Some(group) = self.spans.get(request).map(|span| span.group) else { return };
        let root = assemble::fix_root(&self.spans, &mut self.groups[group], request);
        let (trace_id, flags) = (root.trace_id, (root.sampled || self.records_all).into());
        let span = &mut self.spans[request];
        let at = LogSpan { trace_id, span_id: span.span_id, flags };
        for said in &mut span.said {
            let log = said.log.take();
            self.says.leaves(Said { time: said.time, event: None, log }, Some(at), self.clock);
        }
        span.said.retain(|said| said.event.is_some());
        let bytes = std::mem::take(&mut span.said_bytes);
        span.said_bytes = span.said.iter().map(Said::weight).sum();
        let given = bytes.saturating_sub(span.said_bytes);
        span.weight -= given;
        self.span_bytes -= given;
    }

    /// The same of all requests of a group that is open for long.
    pub(super) fn let_records_of_group_go(&mut self, group: GroupKey) {
        for span in self.groups[group].members.clone() {
            if self.spans.get(span).is_some_and(|span| !span.said.is_empty()) {
                self.let_records_go(span);
            }
        }
    }

    /// Its span is gone, or it was decided that it is said for no request. What it says, if it turns out to be anything, is lost.
    pub(super) fn forget_said(&mut self, key: SpanKey, now: u64) {
        match self.says.forget(key) {
            Some(Stand::For(request, _)) => self.let_go(request, now),
            Some(Stand::Whole(said)) => self.said_by_nobody(*said),
            Some(Stand::Open) | None => {}
        }
    }

    /// It was asked of the court as a call is; that ends here.
    pub(super) fn remove_said(&mut self, key: SpanKey) {
        if let Some(group) = self.spans.get(key).map(|span| span.group) {
            self.groups.remove(group);
        }
        self.forget(key);
    }
}
