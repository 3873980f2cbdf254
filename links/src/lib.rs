//! From exchanges to traces: every link is made here, before export, from facts that the events carry.
//!
//! | file | what it is |
//! |---|---|
//! | `live.rs` | spans and groups while they are built |
//! | `units.rs` | which request an execution unit serves |
//! | `joins.rs` | the two ends of one exchange |
//! | `messages.rs` | who sent a message |
//! | `open.rs` | what has been under way for a while |
//! | `tasks/` | which thread runs a task that a worker took |
//! | `executions.rs` | the spans of such tasks |
//! | `leave.rs` | when a trace leaves |
//! | `assemble.rs` | a finished group into spans |
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
mod counters;
mod executions;
mod joins;
mod leave;
mod live;
mod messages;
mod open;
mod process;
mod signal;
mod tasks;
mod units;

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap as HashMap;
use slotmap::SlotMap;
use wirespan_protocols::exchange::{Exchange, SpanKind, Unit};

pub use counters::Counters;
pub use leave::PENDING_CAP;
pub use process::Process;
pub use signal::{Connect, ConnectionInfo, ExchangeKey, Signal, StartedSignal};
use wirespan_signals::OpenRequests;

use joins::Joins;
use live::{Group, GroupKey, LiveSpan, Parent, Pending, SpanKey};
use messages::Messages;
use tasks::Tasks;
use units::{Evidence, Proof, Request, UnitKey, Units};

/// After this time without news, the finished part of a trace that is still open is handed on, nanoseconds.
pub const PIECE_AFTER: u64 = 30_000_000_000;
/// Entries of groups that are gone which the list of open groups may hold in any case.
pub const OPEN_SLACK: usize = 4096;

/// Bounds of the stage.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a finished trace waits for late facts, nanoseconds.
    pub hold: u64,
    /// Spans being built at a time; beyond, the oldest traces are dropped and counted.
    pub max_spans: usize,
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

/// All traces being built.
pub struct Traces {
    spans: SlotMap<SpanKey, LiveSpan>,
    groups: SlotMap<GroupKey, Group>,
    by_exchange: HashMap<ExchangeKey, SpanKey>,
    joins: Joins,
    units: Units,
    messages: Messages,
    tasks: Tasks,
    /// When to look at which group, in order of time.
    due: VecDeque<(u64, GroupKey)>,
    /// Open groups that are looked at rarely.
    open: VecDeque<(u64, GroupKey)>,
    limits: Limits,
    counters: Arc<Counters>,
    clock: Clock,
    ticks: u32,
    open_requests: Arc<OpenRequests>,
    /// When the list of open requests was made.
    listed: u64,
}

impl Traces {
    /// Nothing yet.
    pub fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        Self {
            spans: SlotMap::with_key(),
            groups: SlotMap::with_key(),
            by_exchange: HashMap::default(),
            joins: Joins::default(),
            units: Units::default(),
            messages: Messages::default(),
            tasks: Tasks::default(),
            due: VecDeque::new(),
            open: VecDeque::new(),
            limits,
            counters,
            clock: Clock::default(),
            ticks: 0,
            open_requests: Arc::default(),
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
            Signal::Finished(key, exchange) => self.finished(key, exchange, now),
            Signal::Dropped(key) => self.dropped(key, now),
            Signal::Failed { connection } => self.connection_failed(connection, now),
            Signal::UnderWay(key, name) => self.under_way(key, name),
            // The pipeline acted on it before.
            Signal::ExportsTelemetry { .. } => {}
            Signal::RecordsLost(losing) => {
                self.units.lost_records(losing);
                self.tasks.lost_records(now);
            }
            Signal::Task(key, event) => self.task(key, *event, now),
            Signal::TaskCreated { creator, task } => {
                self.units.created(UnitKey::thread(creator.tgid, creator.tid), UnitKey::thread(task.tgid, task.tid));
            }
            Signal::TaskEnded { task, with_process } => {
                let unit = UnitKey::thread(task.tgid, task.tid);
                for (call, server) in self.units.ended(unit, with_process) {
                    self.settle_pending(call, Some((server, None)), now);
                }
                self.runner_gone(unit, now);
            }
            Signal::ReadsUnknown { tgid } => self.units.reads_unknown(tgid),
        }
    }

    fn started(&mut self, signal: StartedSignal, now: u64) {
        let (key, kind) = (signal.key, signal.started.kind);
        let Unit { nonblocking, .. } = signal.started.request.first.unit;
        let unit = UnitKey::of(&signal.started.request.first.unit);
        let queued = !signal.connection.streams;
        let group = self.groups.insert(Group { open: 1, last: now, ..Group::default() });
        let span = self.spans.insert(LiveSpan::new(signal, group));
        self.groups[group].members.push(span);
        self.watch(now, group);
        self.by_exchange.insert(key, span);
        if let Some(unit) = unit {
            match kind {
                SpanKind::Server | SpanKind::Consumer => {
                    self.spans[span].unit = Some(unit);
                    self.units.read_request(unit, Request { span, connection: key.connection, nonblocking, queued });
                }
                _ => {
                    self.units.calls(unit);
                    self.link_by_unit(span, unit, now);
                    self.link_by_task(span, unit, now);
                }
            }
        }
        self.note_message(span);
        self.link_by_join(span, now);
        if self.spans.len() > self.limits.max_spans {
            self.evict(now);
        }
    }

    /// Notes that a group is open. Most are handed on long before their turn comes: what is left of those is removed
    /// when it outweighs the rest.
    fn watch(&mut self, now: u64, group: GroupKey) {
        if self.open.len() > 2 * self.groups.len() + OPEN_SLACK {
            self.open.retain(|(_, group)| self.groups.contains_key(*group));
        }
        self.open.push_back((now, group));
    }

    /// A call hangs below the request that its unit serves.
    fn link_by_unit(&mut self, call: SpanKey, unit: UnitKey, now: u64) {
        match self.units.proof(unit) {
            Proof::Request(server) if self.may_serve(server, call) => self.adopt(call, server, false, now),
            Proof::Perhaps(server, moment) if self.may_serve(server, call) => {
                self.wait(call, Pending { server, moment: Some(moment) });
            }
            Proof::IfOneShot(server) if self.may_serve(server, call) => {
                self.units.wait_for_end(unit, call);
                self.wait(call, Pending { server, moment: None });
            }
            _ => {}
        }
    }

    fn wait(&mut self, call: SpanKey, pending: Pending) {
        self.spans[call].pending = Some(pending);
        for span in [call, pending.server] {
            let group = self.spans[span].group;
            self.groups[group].pending += 1;
        }
    }

    /// Whether nothing contradicts that `call` was made for `server`.
    fn may_serve(&self, server: SpanKey, call: SpanKey) -> bool {
        let (Some(server_span), call) = (self.spans.get(server), &self.spans[call]) else { return false };
        // News of an operation can be late: the call may have been made before this request was read.
        if call.request.first.time < server_span.request.first.time {
            return false;
        }
        // A connection that was being opened before the request was read was opened for something else: a call that
        // an event loop started for an earlier request and sends now.
        let connection = &call.connection;
        if connection.first && connection.connect.is_some_and(|c| c.time < server_span.request.first.time) {
            return false;
        }
        // The request says itself which trace it belongs to.
        match &call.context {
            None => true,
            Some(context) => self.trace_of(server) == Some(context.trace_id),
        }
    }

    /// The trace id of a span, as far as it is certain.
    fn trace_of(&self, span: SpanKey) -> Option<[u8; 16]> {
        let mut at = self.spans.get(span)?;
        loop {
            match at.parent {
                Parent::Live(parent) => at = self.spans.get(parent)?,
                Parent::Sent(_) => return self.groups.get(at.group)?.root.as_ref().map(|r| r.trace_id),
                Parent::None => return at.context.as_ref().map(|c| c.trace_id),
            }
        }
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

    fn finished(&mut self, key: ExchangeKey, exchange: Box<Exchange>, now: u64) {
        let Some(span) = self.by_exchange.remove(&key) else { return };
        self.over(span, exchange.response.is_some());
        self.note_response(span, &exchange);
        let live = &mut self.spans[span];
        if let Some(response) = &exchange.response
            && let Some((first, last)) = UnitKey::of(&live.request.first.unit).zip(UnitKey::of(&response.first.unit))
        {
            if live.is_callee() {
                self.units.passed(first, last);
            } else if first == last && !response.first.unit.nonblocking {
                self.units.waited(first);
            }
        }
        live.request.last = exchange.request.last;
        live.exchange = Some(exchange);
        let group = live.group;
        self.groups[group].open -= 1;
        self.groups[group].last = now;
        self.schedule(group, now);
    }

    /// A request whose end cannot be known: its span vanishes, its children hang below its parent.
    fn dropped(&mut self, key: ExchangeKey, now: u64) {
        let Some(span) = self.by_exchange.remove(&key) else { return };
        self.over(span, false);
        self.spans[span].dropped = true;
        let group = self.spans[span].group;
        self.groups[group].open -= 1;
        self.groups[group].last = now;
        self.schedule(group, now);
    }

    /// What is open of a connection will never be complete. (All are looked at: this is a defect, and rare.)
    fn connection_failed(&mut self, connection: u64, now: u64) {
        let open: Vec<_> = self.by_exchange.keys().filter(|key| key.connection == connection).copied().collect();
        for key in open {
            self.dropped(key, now);
        }
    }

    fn over(&mut self, span: SpanKey, answered: bool) {
        if let Some(unit) = self.spans[span].unit.take() {
            self.units.over(unit, span, answered);
        }
    }

    /// What a span waited for is decided: it hangs below a request, or below nothing.
    fn settle_pending(&mut self, span: SpanKey, server: Option<(SpanKey, Option<Evidence>)>, now: u64) {
        let Some(awaited) = self.spans.get_mut(span).and_then(|s| s.pending.take()) else { return };
        for waiting in [span, awaited.server] {
            if let Some(group) = self.spans.get(waiting).map(|s| s.group)
                && let Some(group) = self.groups.get_mut(group)
            {
                group.pending = group.pending.saturating_sub(1);
            }
        }
        if let Some((server, evidence)) = server.filter(|(s, _)| self.spans.contains_key(*s)) {
            self.spans[span].evidence = evidence;
            self.adopt(span, server, false, now);
        }
        let group = self.spans[span].group;
        self.schedule(group, now);
    }

    fn schedule(&mut self, group: GroupKey, now: u64) {
        if self.groups[group].open == 0 {
            self.due.push_back((now + self.limits.hold, group));
        }
    }
}
