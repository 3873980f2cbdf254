//! The spans of tasks that workers take and run.

use wirespan_protocols::exchange::{
    Exchange, KeyValue, Mark, Marks, MessageKey, Started, TakenTask, TaskEvent, TaskFact, TaskPhase, TaskState, Unit,
};

use super::*;
use wirespan_agent::connections::{ConnectionInfo, ExchangeKey, StartedSignal};

/// The thread that takes tasks, and one of its process that runs them: it needs no parent.
const MAIN: UnitId = UnitId { tgid: 50, tid: 50, kind: 0, switches: 0, id: 0, parent: 0, since: 0 };
const POOLED: UnitId = UnitId { tgid: 50, tid: 51, kind: 0, switches: 0, id: 0, parent: 0, since: 0 };

impl World {
    fn at(&self, by: UnitId) -> Mark {
        let switches = u32::try_from(self.now).unwrap();
        Mark {
            time: self.now,
            unit: Unit { tgid: by.tgid, tid: by.tid, switches, ..Unit::default() },
            ..Mark::default()
        }
    }

    /// An exchange named `name` begins. It is the only one of its connection.
    fn begin(&mut self, name: &'static str, kind: SpanKind, by: UnitId, message: Option<&str>) -> ExchangeKey {
        self.now += 100;
        self.cookies += 1;
        let key = ExchangeKey { connection: 1000 + self.cookies, parser: 1, id: 1 };
        let (at, connection) = (self.at(by), self.cookies);
        let request = Marks { first: at, last: at };
        let mut started = Started::call(1, request, kind, None, false);
        started.message = message.map(|id| MessageKey { system: "celery", id: id.into() });
        let signal = StartedSignal {
            key,
            protocol: name,
            started,
            process: self.process(by.tgid),
            connection: ConnectionInfo::unknown(connection),
        };
        let now = self.now;
        self.traces.signal(Signal::Started(Box::new(signal)), now);
        key
    }

    fn end(&mut self, key: ExchangeKey, name: &'static str, by: UnitId) {
        self.now += 100;
        let at = self.at(by);
        let marks = Marks { first: at, last: at };
        let exchange = Exchange {
            id: 1,
            name: name.into(),
            request: marks,
            response: Some(marks),
            end: self.now,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
        };
        let now = self.now;
        let weight = exchange.weight();
        self.traces.signal(Signal::Finished(key, Box::new(exchange), weight), now);
    }

    fn call(&mut self, name: &'static str, by: UnitId) {
        let key = self.begin(name, SpanKind::Client, by, None);
        self.end(key, name, by);
    }

    fn tell(&mut self, key: ExchangeKey, by: UnitId, fact: TaskFact) {
        let event = TaskEvent { exchange: key.id, at: self.at(by), fact };
        let now = self.now;
        self.traces.signal(Signal::Task(key, Box::new(event)), now);
    }

    /// The worker takes a task; the delivery is settled if so desired.
    fn take(&mut self, id: &str, settles: bool) {
        let key = self.begin("delivery", SpanKind::Consumer, MAIN, Some(id));
        let task = TakenTask {
            id: id.into(),
            retries: 0,
            tag: None,
            silent: false,
            grouped: false,
            name: "run/a".into(),
            attributes: vec![KeyValue::str("messaging.system", "redis")],
        };
        self.tell(key, MAIN, TaskFact::Taken(Box::new(task)));
        if settles {
            self.end(key, "delivery", MAIN);
        }
    }

    /// A thread writes how a task ended.
    fn result(&mut self, id: &str, by: UnitId) {
        let key = self.begin("result", SpanKind::Client, by, None);
        let state = TaskState {
            id: id.into(),
            phase: TaskPhase::Ended,
            attributes: vec![KeyValue::str("celery.state", "FAILURE")],
            status: Status::Error("".into()),
            exception: Vec::new(),
        };
        self.tell(key, by, TaskFact::State(Box::new(state)));
        self.end(key, "result", by);
    }
}

fn named<'a>(traces: &'a [Vec<Span>], name: &str) -> Vec<&'a Span> {
    traces.iter().flatten().filter(|s| s.name == name).collect()
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    let found = span.attributes.iter().find(|a| a.key == key);
    found.and_then(|a| if let Value::Str(text) = &a.value { Some(&**text) } else { None })
}

#[test]
fn an_execution_hangs_below_its_delivery_with_the_calls_of_its_thread_and_no_others() {
    let mut world = World::new();
    world.take("a", true);
    world.call("own", POOLED);
    world.call("other", UnitId { tid: 52, ..POOLED });
    world.call("main", MAIN);
    let mut traces = world.traces();
    assert!(named(&traces, "own").is_empty(), "it waits");
    world.result("a", POOLED);
    traces.extend(world.traces());
    let [delivery, run, own, result] = ["delivery", "run/a", "own", "result"].map(|name| named(&traces, name)[0]);
    assert_eq!((run.trace_id, run.parent_span_id), (delivery.trace_id, delivery.span_id));
    for call in [own, result] {
        assert_eq!((call.trace_id, call.parent_span_id), (run.trace_id, run.span_id));
        assert_eq!(text(call, "wirespan.link.evidence"), None, "the task had been settled");
    }
    assert_eq!((run.kind, &run.status), (SpanKind::Consumer, &Status::Error("".into())));
    assert_eq!(text(run, "celery.state"), Some("FAILURE"));
    assert_eq!(text(run, "wirespan.celery.start"), Some("acknowledged"));
    assert_eq!(text(run, "messaging.system"), Some("redis"));
    assert_eq!(text(run, "network.peer.address"), None);
    for name in ["other", "main"] {
        let roots = named(&traces, name);
        assert!(roots.iter().all(|s| s.parent_span_id == [0; 8] && s.trace_id != run.trace_id), "{name}");
    }
}

#[test]
fn a_delivery_that_left_long_ago_is_still_above_the_execution() {
    let mut world = World::new();
    world.take("a", true);
    let early = world.traces();
    world.call("own", POOLED);
    world.result("a", POOLED);
    let late = world.traces();
    let (delivery, run) = (named(&early, "delivery")[0], named(&late, "run/a")[0]);
    assert_eq!((run.trace_id, run.parent_span_id), (delivery.trace_id, delivery.span_id));
    assert_eq!(named(&late, "own")[0].parent_span_id, run.span_id);
}

#[test]
fn an_execution_is_linked_to_its_sender_and_what_it_sends_from_it_however_long_it_takes() {
    let mut world = World::new();
    let sent = world.begin("send", SpanKind::Producer, CLIENT, Some("a"));
    world.end(sent, "send", CLIENT);
    world.take("a", true);
    let inner = world.begin("send b", SpanKind::Producer, POOLED, Some("b"));
    world.end(inner, "send b", POOLED);
    let received = world.begin("receive b", SpanKind::Consumer, BACK, Some("b"));
    world.end(received, "receive b", BACK);
    world.now += 2 * wirespan_agent::traces::PENDING_CAP;
    let early = world.traces();
    assert!(named(&early, "receive b").is_empty(), "its sender's trace is not known");
    world.result("a", POOLED);
    let late = world.traces();
    let (run, inner, received) = (named(&late, "run/a")[0], named(&late, "send b")[0], named(&late, "receive b")[0]);
    let links = |span: &Span| span.links.iter().map(|l| (l.trace_id, l.span_id)).collect::<Vec<_>>();
    let sender = named(&early, "send")[0];
    assert_eq!(links(run), [(sender.trace_id, sender.span_id)]);
    assert_eq!((inner.trace_id, inner.parent_span_id), (run.trace_id, run.span_id));
    assert_eq!(links(received), [(inner.trace_id, inner.span_id)]);
}

#[test]
fn calls_that_wait_in_vain_begin_traces_of_their_own() {
    let mut world = World::new();
    world.take("a", false);
    world.call("own", POOLED);
    assert!(named(&world.traces(), "own").is_empty());
    world.ended(POOLED);
    let traces = world.traces();
    assert_eq!(named(&traces, "own")[0].parent_span_id, [0; 8]);
    assert_eq!(world.counters.links.task_calls_released.get(), 1);
}
