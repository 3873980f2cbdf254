//! From exchanges to traces: every link is made here, before export, from facts that the events carry.
//!
//! | file | what it is |
//! |---|---|
//! | `live.rs` | spans and groups while they are built |
//! | `facts.rs` | what happened, in terms of no runtime |
//! | `book/` | what the facts say so far |
//! | `rules/`, `court.rs` | from that to the request that a call was made for |
//! | `decide.rs` | what is done about that |
//! | `ends.rs` | how exchanges end |
//! | `joins.rs` | the two ends of one exchange |
//! | `messages.rs` | who sent a message |
//! | `open.rs` | what has been under way for a while |
//! | `tasks/` | which thread runs a task that a worker took |
//! | `executions.rs` | the spans of such tasks |
//! | `spent.rs` | where the time of requests went |
//! | `said.rs` | what units say, on the spans of whose requests they say it |
//! | `leave.rs` | when a trace leaves |
//! | `assemble.rs` | a finished group into spans |
//! | `pieces.rs` | what a server read of one call in pieces is one span |
//! | `log.rs` | facts as text |
//! | `state.rs` | how well that goes, by process |
//! | `signal.rs`, `process.rs` | what comes in |
//! | `counters.rs` | what was seen and lost |
//!
//! A span's parent is, in this order: the other end of its exchange (*join*), the request that its execution unit serves
//! (*unit*), the context that its request carries (*wire*). Where the wire names another trace than the unit does, the
//! wire is right: it is what the callee will say. No fact, no parent: two requests are never merged on a guess.
//!
//! Spans that hang together are a group. It is handed on when all its spans are finished and nothing happened for
//! the hold, so that late facts still find it. Nothing here does I/O or reads a clock: time comes in with what happened.
#![forbid(unsafe_code)]

mod assemble;
mod book;
mod counters;
pub mod court;
mod decide;
mod ends;
mod executions;
pub mod facts;
mod joins;
mod leave;
mod live;
pub mod log;
mod messages;
mod open;
mod pieces;
mod process;
mod repeats;
mod rules;
mod said;
mod signal;
mod spent;
mod state;
mod tasks;

use std::collections::VecDeque;
use std::sync::Arc;

use rules::{Stage, Until};
use rustc_hash::FxHashMap as HashMap;
use wirespan_common::Endpoints;
use wirespan_protocols::exchange::SpanKind;

pub use assemble::address;
pub use counters::Counters;
pub use leave::PENDING_CAP;
pub use open::Interest;
pub use process::Process;
pub use signal::{Connect, ConnectionInfo, ExchangeKey, Inside, Said, Signal, Speaks, StartedSignal};
use wirespan_signals::{Linking, OpenRequests, Trace};

use court::Court;
use facts::{At, Fact, Place, UnitKey};
use joins::Joins;
pub use live::SpanKey;
use live::{Group, GroupKey, Groups, LiveSpan, Parent, Pending, SLOTS, Spans};
use messages::Messages;
use repeats::Repeats;
use said::Says;
use tasks::Tasks;

/// After this time without news, the finished part of a trace that is still open is handed on, nanoseconds.
pub const PIECE_AFTER: u64 = 30_000_000_000;
/// Entries of groups that are gone which the list of open groups may hold in any case.
pub const OPEN_SLACK: usize = 4096;

/// Bounds of the stage.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a finished trace waits for late facts, nanoseconds.
    pub hold: u64,
    /// Whether links are made that are not exact.
    pub inferred: bool,
    /// Spans being built at a time; beyond, the oldest traces are dropped and counted.
    pub max_spans: usize,
    /// Bytes of all of them, about; beyond, too.
    pub max_bytes: usize,
}

/// From the kernel's clock to the calendar.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    offset: u64,
}

impl Clock {
    /// Unix time in nanoseconds of a moment on `CLOCK_BOOTTIME`.
    fn unix(self, boot: u64) -> u64 {
        boot.wrapping_add(self.offset)
    }
}

/// How much is held, for tests and measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Spans being built.
    pub spans: usize,
    /// Traces being built.
    pub groups: usize,
    /// Exchanges without an end.
    pub exchanges: usize,
    /// Ends of exchanges that wait for the other end.
    pub joins: usize,
    /// Turns of traces that are to be looked at.
    pub due: usize,
    /// Entries of the list of open traces, gone ones included.
    pub open: usize,
}

/// Takes lines of a log of facts.
pub type Recorder = Box<dyn FnMut(&str) + Send>;

/// All traces being built.
pub struct Traces {
    spans: Spans,
    groups: Groups,
    by_exchange: HashMap<ExchangeKey, SpanKey>,
    /// Requests that each process has under way.
    serving: HashMap<u32, u32>,
    repeats: Repeats,
    joins: Joins,
    court: Court,
    messages: Messages,
    tasks: Tasks,
    says: Says,
    /// Calls that are decided once all facts of their moment have come, in order of time.
    settling: VecDeque<(u64, SpanKey)>,
    /// When to look at which group, in order of time.
    due: VecDeque<(u64, GroupKey)>,
    /// Open groups that are looked at rarely.
    open: VecDeque<(u64, GroupKey)>,
    /// Bytes of `spans`.
    span_bytes: usize,
    limits: Limits,
    counters: Arc<Counters>,
    clock: Clock,
    ticks: u32,
    open_requests: Arc<OpenRequests>,
    linking: Arc<Linking>,
    recorder: Option<Recorder>,
    /// When the list of open requests was made.
    listed: u64,
    /// Finished spans that nobody keeps, for who only counts them.
    unrecorded: Option<Vec<Trace>>,
    /// Traces of which the request says that they are not recorded are handed on as well.
    records_all: bool,
}

impl Traces {
    /// Nothing yet.
    pub fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        Self {
            spans: Spans::with_key(),
            groups: Groups::with_key(),
            by_exchange: HashMap::default(),
            serving: HashMap::default(),
            repeats: Repeats::default(),
            joins: Joins::default(),
            court: Court::new(limits.inferred, Arc::clone(&counters)),
            messages: Messages::new(limits.max_bytes / 8),
            tasks: Tasks::default(),
            says: Says::default(),
            settling: VecDeque::new(),
            due: VecDeque::new(),
            open: VecDeque::new(),
            span_bytes: 0,
            limits,
            counters,
            clock: Clock::default(),
            ticks: 0,
            open_requests: Arc::default(),
            linking: Arc::default(),
            unrecorded: None,
            records_all: false,
            recorder: None,
            listed: 0,
        }
    }

    /// What must be added to `CLOCK_BOOTTIME` for Unix time, nanoseconds, from now on: the wall clock may be set.
    pub fn set_offset(&mut self, offset: u64) {
        self.clock = Clock { offset };
    }

    /// How much is held now.
    pub fn held(&self) -> Held {
        Held {
            spans: self.spans.len(),
            groups: self.groups.len(),
            exchanges: self.by_exchange.len(),
            joins: self.joins.len(),
            due: self.due.len(),
            open: self.open.len(),
        }
    }

    /// Takes in what happened, in order.
    pub fn signal(&mut self, signal: Signal, now: u64) {
        match signal {
            Signal::Started(started) => self.started(*started, now),
            Signal::Peer(key, endpoints) => self.peer_known(&key, endpoints, now),
            Signal::Finished(key, exchange, weight) => self.finished(key, exchange, weight, now),
            Signal::Dropped(key) => self.dropped(key, now),
            Signal::Batched { part, batch } => self.batched(&part, &batch, now),
            Signal::Failed { connection } => self.connection_failed(connection, now),
            Signal::UnderWay(key, name) => self.under_way(key, name),
            // The pipeline acted on it before.
            Signal::ExportsTelemetry { .. } => {}
            Signal::Task(key, event) => self.task(key, *event, now),
            Signal::Fact(fact) => self.fact(&fact, now),
            Signal::Speaks(speaks) => self.speaks(*speaks, now),
            Signal::Said { id, said } => self.said(id, said, now),
            Signal::SaidByNobody(said) => self.said_by_nobody(*said),
        }
    }

    /// From now on every fact is told to `recorder` as well, as a line ([`log`](mod@log)).
    pub fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    fn fact(&mut self, fact: &Fact, now: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder(&log::write(fact));
        }
        for call in self.court.hear(fact) {
            match self.spans.get(call).and_then(|s| s.pending) {
                // What else it did by then may yet be told.
                Some(Pending { until: Until::Unit(unit), .. }) if unit.is_fed() => {
                    self.consider(call, Stage::Made, now);
                }
                Some(_) => self.consider(call, Stage::Settled, now),
                None => {}
            }
        }
        match *fact {
            Fact::Lost { of, .. } => self.tasks.lost_records(of, now),
            Fact::Ended { unit, .. } => self.runner_gone(unit, now),
            _ => {}
        }
    }

    fn started(&mut self, signal: StartedSignal, now: u64) {
        let (key, kind) = (signal.key, signal.started.kind);
        let unit = UnitKey::of(&signal.started.request.first.unit);
        let group = self.groups.insert(Box::new(Group { open: 1, last: now, ..Group::default() }));
        let span = self.add(LiveSpan::new(signal, group), now);
        self.by_exchange.insert(key, span);
        self.serves(span);
        if let Some(unit) = unit {
            match kind {
                SpanKind::Server | SpanKind::Consumer if self.spans[span].is_request() => self.read(span, unit, now),
                SpanKind::Server | SpanKind::Consumer => {}
                // What its maker did then, others have done since: nothing is told of that.
                _ if self.spans[span].is_old_news(now) => {}
                _ => {
                    self.called(span, unit, now);
                    self.link_by_task(span, unit, now);
                }
            }
        }
        self.note_message(span);
        self.link_by_join(span, now);
        self.make_room(now);
    }

    /// A span more, the first of its group.
    fn add(&mut self, span: LiveSpan, now: u64) -> SpanKey {
        let group = span.group;
        self.span_bytes += span.weight;
        let key = self.spans.insert(Box::new(span));
        self.groups[group].members.push(key);
        self.watch(now, group);
        key
    }

    /// Bytes of memory that the stage holds, about.
    pub fn bytes(&self) -> usize {
        let lists = (self.due.len() + self.open.len()) * size_of::<(u64, GroupKey)>();
        // Places of spans that were, which wait for others.
        let empty = (self.spans.capacity() - self.spans.len()) * SLOTS;
        self.span_bytes + lists + empty + self.messages.bytes()
    }

    /// Whether memory is scarce: finished traces had better leave than wait.
    fn is_pressed(&self) -> bool {
        self.bytes() > self.limits.max_bytes / 4 * 3
    }

    fn read(&mut self, request: SpanKey, unit: UnitKey, now: u64) {
        let live = &self.spans[request];
        let first = live.request.first;
        let fact = Fact::Read {
            request,
            unit,
            connection: live.key.connection,
            cookie: live.connection.cookie,
            at: At::of(first.time, &first.unit),
            waited: !first.unit.nonblocking,
            queued: !live.connection.streams,
        };
        let came = live.stream.filter(|_| !unit.is_thread()).map(|stream| Fact::CameOn {
            request,
            reader: unit,
            reader_of: (first.unit.parent != 0).then_some(UnitKey { id: first.unit.parent, ..unit }),
            stream,
            time: first.time,
        });
        self.fact(&fact, now);
        if let Some(came) = came {
            self.fact(&came, now);
        }
    }

    fn called(&mut self, call: SpanKey, unit: UnitKey, now: u64) {
        let live = &self.spans[call];
        let (first, connection) = (live.request.first, &live.connection);
        let fact = Fact::Called {
            call,
            unit,
            place: match live.stream {
                Some(stream) => Place::Stream(connection.cookie, stream),
                None => Place::Connection(connection.cookie),
            },
            at: At::of(first.time, &first.unit),
            opened: connection.connect.filter(|_| connection.first).map(|c| At::of(c.time, &c.unit)),
        };
        self.fact(&fact, now);
        self.consider(call, Stage::Made, now);
    }

    /// Counts what a process has under way.
    fn serves(&mut self, span: SpanKey) {
        let live = &mut self.spans[span];
        let tgid = live.process.tgid();
        if live.is_request() {
            *self.serving.entry(tgid).or_default() += 1;
        } else {
            live.idle = !self.serving.contains_key(&tgid);
        }
    }

    fn no_longer_under_way(&mut self, key: &ExchangeKey) -> Option<SpanKey> {
        let span = self.by_exchange.remove(key)?;
        let callee = self.spans.get(span).filter(|s| s.is_request());
        if let Some(tgid) = callee.map(|s| s.process.tgid())
            && let Some(count) = self.serving.get_mut(&tgid)
        {
            *count -= 1;
            if *count == 0 {
                self.serving.remove(&tgid);
            }
        }
        Some(span)
    }

    /// Notes that a group is open. Most are handed on long before their turn comes: what is left of those is removed
    /// when it outweighs the rest.
    fn watch(&mut self, now: u64, group: GroupKey) {
        if self.open.len() > 2 * self.groups.len() + OPEN_SLACK {
            self.open.retain(|(_, group)| self.groups.contains_key(*group));
        }
        self.open.push_back((now, group));
    }

    fn note_message(&mut self, span: SpanKey) {
        let live = &self.spans[span];
        match (&live.message, live.kind) {
            (Some(key), SpanKind::Producer) => self.messages.sends(key.clone(), span),
            (Some(_), _) => self.groups[live.group].receives = true,
            (None, _) => {}
        }
    }

    /// Both ends of one exchange on this host: the callee hangs below the caller.
    fn link_by_join(&mut self, span: SpanKey, now: u64) {
        let live = &self.spans[span];
        if matches!(live.kind, SpanKind::Producer | SpanKind::Consumer) {
            // The broker's end of it is no span.
            return;
        }
        let (role, keys) = (live.connection.role, joins::keys(&live.connection, &live.request.first));
        let Some(other) = self.joins.meet(keys, role, span) else { return };
        let Some(found) = self.spans.get(other) else { return };
        let other_keys = joins::keys(&found.connection, &found.request.first);
        self.joins.forget(other_keys, found.connection.role, other);
        (self.spans[span].met, self.spans[other].met) = (true, true);
        let (callee, caller) = if self.spans[span].is_callee() { (span, other) } else { (other, span) };
        self.adopt(callee, caller, true, now);
    }

    /// Hangs `child`, the root of its group, below `parent`, and makes one group of two.
    fn adopt(&mut self, child: SpanKey, parent: SpanKey, joined: bool, now: u64) {
        let (from, to) = (self.spans[child].group, self.spans[parent].group);
        // A group that was handed on in part keeps its trace id; one group cannot hang below itself.
        if from == to || self.spans[child].parent != Parent::None || self.groups[from].root.is_some() {
            return;
        }
        let Some(group) = self.groups.remove(from) else { return };
        for member in &group.members {
            self.spans[*member].group = to;
        }
        let target = &mut self.groups[to];
        target.members.extend(group.members);
        target.open += group.open;
        target.pending += group.pending;
        target.held += group.held;
        target.receives |= group.receives;
        target.last = target.last.max(group.last);
        let child = &mut self.spans[child];
        child.parent = Parent::Live(parent);
        child.joined = joined;
        self.schedule(to, now);
    }

    /// Both ends of a request can be found now.
    fn peer_known(&mut self, key: &ExchangeKey, endpoints: Endpoints, now: u64) {
        let Some(span) = self.by_exchange.get(key).copied() else { return };
        self.spans[span].connection.endpoints = endpoints;
        if !self.spans[span].met {
            self.link_by_join(span, now);
        }
    }

    fn schedule(&mut self, group: GroupKey, now: u64) {
        if self.groups[group].open == 0 {
            self.due.push_back((now + self.limits.hold, group));
        }
    }
}
