//! Links from receivers of messages to their senders.

use wirespan_protocols::context::TraceContext;
use wirespan_protocols::exchange::{Exchange, Mark, Marks, MessageKey, Started, Unit};

use super::*;
use wirespan_agent::connections::{ConnectionInfo, ExchangeKey, StartedSignal};

const SENDER: UnitId = UnitId { tgid: 40, tid: 40, kind: 0, switches: 0, id: 0, parent: 0, since: 0 };
const RECEIVER: UnitId = UnitId { tgid: 50, tid: 50, kind: 0, switches: 0, id: 0, parent: 0, since: 0 };

fn key(connection: u64) -> ExchangeKey {
    ExchangeKey { connection, parser: 1, id: 1 }
}

impl World {
    /// A process begins to send or receive the message `id`.
    fn message(&mut self, connection: u64, kind: SpanKind, by: UnitId, id: &str, links: Vec<TraceContext>) {
        self.now += 100;
        let unit = Unit { tgid: by.tgid, tid: by.tid, ..Unit::default() };
        let at = Mark { time: self.now, unit, ..Mark::default() };
        let signal = StartedSignal {
            key: key(connection),
            protocol: "amqp",
            started: Started {
                id: 1,
                request: Marks { first: at, last: at },
                kind,
                context: None,
                links,
                message: (!id.is_empty()).then(|| MessageKey { system: "test", id: id.into() }),
                denied: false,
                stream: None,
                asks: None,
            },
            process: self.process(by.tgid),
            connection: ConnectionInfo::unknown(connection),
        };
        let now = self.now;
        self.traces.signal(Signal::Started(Box::new(signal)), now);
    }

    fn done(&mut self, connection: u64) {
        self.now += 100;
        let exchange = Exchange {
            id: 1,
            name: connection.to_string().into(),
            request: Marks::default(),
            response: None,
            end: self.now,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
        };
        let now = self.now;
        let weight = exchange.weight();
        self.traces.signal(Signal::Finished(key(connection), Box::new(exchange), weight), now);
    }
}

/// Trace and span.
type Ids = ([u8; 16], [u8; 8]);

/// The span of a connection, with the ids that it links to.
fn linked(traces: &[Vec<Span>], connection: &str) -> (Span, Vec<Ids>) {
    let span = traces.iter().flatten().find(|s| s.name == connection).expect("the span").clone();
    let links = span.links.iter().map(|l| (l.trace_id, l.span_id)).collect();
    (span, links)
}

#[test]
fn a_receiver_links_to_the_sender_and_stays_in_a_trace_of_its_own() {
    let mut world = World::new();
    world.message(1, SpanKind::Producer, SENDER, "m", Vec::new());
    world.done(1);
    let sent = world.traces();
    world.message(2, SpanKind::Consumer, RECEIVER, "m", Vec::new());
    world.done(2);
    let received = world.traces();
    let (sender, _) = linked(&sent, "1");
    let (receiver, links) = linked(&received, "2");
    assert_eq!(links, [(sender.trace_id, sender.span_id)]);
    assert_ne!(receiver.trace_id, sender.trace_id);
    assert_eq!(receiver.parent_span_id, [0; 8]);
}

#[test]
fn a_receiver_that_is_done_before_the_senders_trace_waits_and_then_fixes_its_trace_id() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let request = get("/order", "");
    world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
    world.message(2, SpanKind::Consumer, RECEIVER, "m", Vec::new());
    world.done(2);
    world.message(1, SpanKind::Producer, FRONT, "m", Vec::new());
    world.done(1);
    assert!(world.traces().is_empty());
    world.now += wirespan_agent::traces::PENDING_CAP;
    let received = world.traces();
    let (_, links) = linked(&received, "2");
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let sent = world.traces();
    let (sender, _) = linked(&sent, "1");
    assert_eq!(links, [(sender.trace_id, sender.span_id)]);
}

#[test]
fn two_senders_of_one_id_are_no_link() {
    let mut world = World::new();
    for connection in [1, 3] {
        world.message(connection, SpanKind::Producer, SENDER, "m", Vec::new());
        world.done(connection);
    }
    world.message(2, SpanKind::Consumer, RECEIVER, "m", Vec::new());
    world.done(2);
    assert_eq!(linked(&world.traces(), "2").1, []);
}

#[test]
fn a_context_in_a_message_is_a_link_and_no_parent() {
    let mut world = World::new();
    let context = TraceContext { trace_id: [7; 16], span_id: [8; 8], flags: 0, trace_state: "".into() };
    world.message(2, SpanKind::Consumer, RECEIVER, "", vec![context]);
    world.done(2);
    let (span, links) = linked(&world.traces(), "2");
    assert_eq!(links, [([7; 16], [8; 8])]);
    assert_ne!(span.trace_id, [7; 16]);
}
