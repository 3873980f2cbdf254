//! The execution of a task as a span (CONSUMER): made when its end is told, below its delivery, with the calls that
//! waited for it ([`super::tasks`] decides).

use wirespan_protocols::exchange::{
    Event, Exchange, KeyValue, Mark, Marks, SpanKind, Started, Status, TakenTask, TaskEvent, TaskFact, TaskPhase,
    TaskState,
};

use super::Traces;
use super::facts::UnitKey;
use super::live::{Group, LiveSpan, Parent, SpanKey};
use super::rules::Evidence;
use super::tasks::{Actor, Call, Deferred, Delivery, Execution, Verdict};
use crate::signal::ExchangeKey;

impl Traces {
    /// An exchange says something of a task.
    pub(super) fn task(&mut self, key: ExchangeKey, event: TaskEvent, now: u64) {
        let Some(&span) = self.by_exchange.get(&key) else { return };
        let (at, TaskEvent { fact, .. }) = (event.at, event);
        let Some(unit) = UnitKey::of(&at.unit) else { return };
        let actor = self.actor(span, unit);
        match fact {
            TaskFact::Taken(task) => self.task_taken(span, unit, at, *task),
            TaskFact::Settled { tag } => self.tasks.settled_tag(unit, &tag, at.time),
            TaskFact::SentAgain { id, retries } => self.tasks.sent_again(&actor, &id, retries),
            TaskFact::State(state) => match state.phase {
                TaskPhase::Begun => self.tasks.begun(&actor, &state.id, at.time),
                TaskPhase::Revoked => self.tasks.revoked(&actor, &state.id),
                TaskPhase::Ended => self.task_ended(span, &actor, at, *state, now),
            },
        }
    }

    fn actor(&self, span: SpanKey, unit: UnitKey) -> Actor {
        let process = &self.spans[span].process;
        Actor { unit, parent: process.parent(), since: process.start() }
    }

    fn task_taken(&mut self, span: SpanKey, unit: UnitKey, at: Mark, task: TakenTask) {
        let live = &self.spans[span];
        let delivery = Delivery {
            span,
            protocol: live.protocol,
            links: live.links.clone(),
            message: live.message.clone(),
            sent: None,
        };
        if !self.tasks.taken(unit, at.time, task, delivery) {
            self.counters.tasks_forgotten.inc();
        }
    }

    /// A call that hangs below nothing may be a task's.
    pub(super) fn link_by_task(&mut self, span: SpanKey, unit: UnitKey, now: u64) {
        let live = &self.spans[span];
        // What names its parent itself is somebody else's to place.
        if live.parent != Parent::None || live.pending.is_some() || live.context.is_some() {
            return;
        }
        let first = live.request.first;
        let connect = live.connection.connect.filter(|c| live.connection.first && c.time < first.time);
        let (at, by) = connect.map_or((first.time, first.unit), |connect| (connect.time, connect.unit));
        let call = Call { span, at, switches: by.switches };
        match self.tasks.calls(&self.actor(span, unit), call) {
            Verdict::Free => {}
            Verdict::Refused => self.counters.task_calls_released.inc(),
            Verdict::Wait(surplus) => {
                let group = self.spans[span].group;
                self.groups[group].held += 1;
                self.release(surplus, now);
            }
            Verdict::Of(execution, evidence) => self.adopt_call(span, execution, evidence, now),
        }
    }

    fn adopt_call(&mut self, call: SpanKey, execution: SpanKey, evidence: Option<Evidence>, now: u64) {
        // It may have been given up, or handed on.
        if self.spans.contains_key(call) && self.spans.contains_key(execution) {
            self.adopt(call, execution, false, now);
            if self.spans[call].parent == Parent::Live(execution) {
                self.spans[call].evidence = evidence;
                self.court.hangs(call, execution, evidence, &self.spans[call].process);
            }
        }
    }

    /// A call's response was read, or a delivery settled.
    pub(super) fn note_response(&mut self, span: SpanKey, exchange: &Exchange) {
        let Some(last) = exchange.response.map(|response| response.last) else { return };
        let Some(unit) = UnitKey::of(&last.unit) else { return };
        match self.spans[span].kind {
            SpanKind::Consumer => self.tasks.settled(span, unit, last.time),
            _ => self.tasks.responded(unit, span, last.unit.switches),
        }
    }

    fn task_ended(&mut self, told_by: SpanKey, by: &Actor, at: Mark, state: TaskState, now: u64) {
        let failed = state.status != Status::Unset;
        let ended = self.tasks.ended(by, &state.id, failed, at.time, at.unit.switches);
        if let Some(execution) = ended.execution {
            let doubtful = execution.doubtful.clone();
            let span = self.execution(told_by, execution, at, state, now);
            self.tasks.executed(by.unit, span);
            if !doubtful.0.is_empty() {
                self.defer(by.unit, span, doubtful, at.time, now);
            }
        }
        for deferred in ended.resolved {
            self.settle_deferred(&deferred, true, now);
        }
        for call in ended.released {
            self.release(Some(call), now);
        }
    }

    /// Makes the span of an execution, with what hangs below it.
    fn execution(&mut self, told_by: SpanKey, run: Execution, at: Mark, state: TaskState, now: u64) -> SpanKey {
        let Execution { task, delivery, start, start_is, children, .. } = run;
        let mut attributes = task.attributes;
        attributes.extend(state.attributes);
        attributes.push(KeyValue::str("wirespan.celery.start", start_is.name()));
        let request = Marks { first: Mark { time: start, ..at }, last: at };
        let (status, end) = (state.status, at.time);
        let exception = Event { time: end, name: "exception".into(), attributes: state.exception };
        let events = if exception.attributes.is_empty() { Vec::new() } else { vec![exception] };
        let exchange = Exchange { id: 0, name: task.name, request, response: None, end, status, attributes, events };
        let span = self.add_execution(told_by, &delivery, exchange, now);
        for (call, evidence) in children {
            self.let_go(call, now);
            self.adopt_call(call, span, evidence, now);
        }
        let group = self.spans[span].group;
        self.schedule(group, now);
        span
    }

    fn add_execution(&mut self, told_by: SpanKey, delivery: &Delivery, exchange: Exchange, now: u64) -> SpanKey {
        let process = self.spans[told_by].process.clone();
        let receives = delivery.message.is_some();
        let group = self.groups.insert(Box::new(Group { last: now, receives, ..Group::default() }));
        let (links, message) = (delivery.links.clone(), delivery.message.clone());
        let started = Started::call(0, exchange.request, SpanKind::Consumer, None, false);
        let started = Started { links, message, ..started };
        let mut live = LiveSpan::of_no_connection(delivery.protocol, started, process, group);
        let weight = exchange.weight();
        live.ends(Box::new(exchange), weight);
        let span = self.add(live, now);
        if self.spans.contains_key(delivery.span) {
            self.adopt(span, delivery.span, false, now);
        } else if let Some((root, id)) = &delivery.sent {
            self.spans[span].parent = Parent::Sent(*id);
            self.groups[group].root = Some(root.clone());
        }
        span
    }

    /// Calls of an execution are in doubt: its trace waits with them.
    fn defer(
        &mut self,
        unit: UnitKey,
        execution: SpanKey,
        doubtful: (Vec<SpanKey>, Vec<SpanKey>),
        since: u64,
        now: u64,
    ) {
        match self.tasks.defer(unit, execution, doubtful, since) {
            Ok(()) => {
                let group = self.spans[execution].group;
                self.groups[group].held += 1;
            }
            Err(calls) => calls.into_iter().for_each(|call| self.release(Some(call), now)),
        }
    }

    /// It shows whose calls were in doubt, or never will.
    fn settle_deferred(&mut self, deferred: &Deferred, own: bool, now: u64) {
        for &call in &deferred.calls {
            if own {
                self.let_go(call, now);
                self.adopt_call(call, deferred.execution, Some(Evidence::TaskResult), now);
            } else {
                self.release(Some(call), now);
            }
        }
        self.let_go(deferred.execution, now);
    }

    /// A thread is no more: what it did is no task's, as far as is known.
    pub(super) fn runner_gone(&mut self, unit: UnitKey, now: u64) {
        let (released, deferred) = self.tasks.gone(unit);
        for call in released {
            self.release(Some(call), now);
        }
        for deferred in deferred {
            self.settle_deferred(&deferred, false, now);
        }
    }

    /// Calls wait no longer for tasks that take too long.
    pub(super) fn release_expired(&mut self, now: u64) {
        for call in self.tasks.expired(now) {
            self.release(Some(call), now);
        }
        for deferred in self.tasks.given_up(now) {
            self.settle_deferred(&deferred, false, now);
        }
    }

    fn release(&mut self, call: Option<SpanKey>, now: u64) {
        if let Some(call) = call {
            self.counters.task_calls_released.inc();
            self.let_go(call, now);
        }
    }

    /// What was held back waits no longer: a call for a task, a request for what is said for it.
    pub(super) fn let_go(&mut self, call: SpanKey, now: u64) {
        let Some(group) = self.spans.get(call).map(|s| s.group) else { return };
        self.groups[group].held = self.groups[group].held.saturating_sub(1);
        self.schedule(group, now);
    }
}
