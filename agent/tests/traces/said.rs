//! What units say is on the spans of the requests that they say it for, or nowhere.

use wirespan_agent::traces::{Said, Speaks};
use wirespan_common::UNIT_GOROUTINE;
use wirespan_protocols::exchange::{Event, KeyValue, Mark, Unit};
use wirespan_signals::Log;

use super::*;

impl World {
    /// A unit begins to say something.
    fn speaks(&mut self, id: u64, unit: UnitId) {
        self.now += 100;
        let threads = self.threads.entry(unit.tgid).or_default();
        threads.insert(unit.tid);
        let only = threads.len() == 1;
        let UnitId { tgid, tid, kind, id: goroutine, .. } = unit;
        let unit = Unit { tgid, tid, kind, id: goroutine, only, ..Unit::default() };
        let at = Mark { time: self.now, unit, ..Mark::default() };
        let speaks = Speaks { id, process: self.process(unit.tgid), at };
        self.traces.signal(Signal::Speaks(Box::new(speaks)), self.now);
    }

    fn said(&mut self, id: u64, text: Option<&'static str>) {
        self.said_at(self.now, id, text);
    }

    /// What was said then is told now.
    fn said_at(&mut self, time: u64, id: u64, text: Option<&'static str>) {
        let event =
            |text| Event { time, name: "exception".into(), attributes: vec![KeyValue::str("exception.type", text)] };
        let said = text.map(|text| Box::new(Said { time, event: Some(event(text)), log: None }));
        self.traces.signal(Signal::Said { id, said }, self.now);
    }

    /// A record of a log.
    fn logs(&mut self, id: u64, text: &str) {
        let log = Log {
            time_unix_nano: 0,
            severity: 9,
            severity_text: "".into(),
            body: text.into(),
            attributes: Vec::new(),
            span: None,
            resource: Default::default(),
        };
        let said = Some(Box::new(Said { time: self.now, event: None, log: Some(log) }));
        self.traces.signal(Signal::Said { id, said }, self.now);
    }

    fn placed(&self) -> (u64, u64) {
        (self.counters.links.exceptions_placed.get(), self.counters.links.exceptions_unplaced.get())
    }
}

/// What is said on server spans, by their paths.
fn events(traces: &[Vec<Span>]) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| match value {
        Value::Str(text) => text.to_string(),
        other => panic!("{other:?}"),
    };
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for span in traces.iter().flatten() {
        let attribute = |key: &str| span.attributes.iter().find(|a| a.key == key).map(|a| text(&a.value));
        let said = span.events.iter().map(|event| text(&event.attributes[0].value)).collect();
        match attribute("url.path") {
            Some(path) => found.push((path, said)),
            None => assert_eq!(said, Vec::<String>::new(), "a call says nothing"),
        }
    }
    found.sort();
    found
}

fn one(path: &str, said: &[&str]) -> (String, Vec<String>) {
    (path.to_owned(), said.iter().map(|text| (*text).to_owned()).collect())
}

#[test]
fn what_a_thread_says_while_it_serves_is_on_its_request() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    for n in ["/1", "/2"] {
        world.pass(&mut a, CLIENT, &mut b, FRONT, &get(n, ""));
        world.speaks(1, FRONT);
        world.said(1, Some(if n == "/1" { "first" } else { "second" }));
        world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    }
    assert_eq!(events(&world.traces()), [one("/1", &["first"]), one("/2", &["second"])]);
    assert_eq!(world.placed(), (2, 0));
    assert_eq!(world.traces.held().spans, 0);
}

#[test]
fn a_trace_waits_for_what_was_announced_and_is_told_later() {
    for text in [Some("late"), None] {
        let mut world = World::new();
        let (mut a, mut b) = world.connect(80);
        world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/1", ""));
        world.speaks(1, FRONT);
        world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
        assert_eq!(events(&world.traces()), []);
        world.said(1, text);
        let said: Vec<&str> = text.into_iter().collect();
        assert_eq!(events(&world.traces()), [one("/1", &said)]);
        assert_eq!((world.placed().0, world.traces.held().spans), (said.len() as u64, 0));
    }
}

#[test]
fn what_is_said_stands_in_the_order_of_its_times_whichever_is_told_first() {
    for order in [[0, 1], [1, 0]] {
        let mut world = World::new();
        let (mut a, mut b) = world.connect(80);
        world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/1", ""));
        let mut began = [0; 2];
        for (n, began) in began.iter_mut().enumerate() {
            world.speaks(n as u64, FRONT);
            *began = world.now;
        }
        world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
        for n in order {
            world.said_at(began[n], n as u64, Some(["first", "second"][n]));
        }
        assert_eq!(events(&world.traces()), [one("/1", &["first", "second"])]);
    }
}

#[test]
fn after_the_answer_nothing_is_proven() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/1", ""));
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    world.speaks(1, FRONT);
    world.said(1, Some("too late"));
    world.speaks(2, CLIENT);
    world.said(2, Some("of nobody"));
    assert_eq!(events(&world.traces()), [one("/1", &[])]);
    assert_eq!((world.placed(), world.traces.held().spans), ((0, 2), 0));
}

#[test]
fn what_is_said_with_two_requests_in_flight_is_of_neither() {
    let mut world = World::new();
    let ((mut a, mut b), (mut c, mut d)) = (world.connect(80), world.connect(81));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/1", ""));
    world.pass(&mut c, CLIENT, &mut d, FRONT, &get("/2", ""));
    world.speaks(1, FRONT);
    world.said(1, Some("whose"));
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    world.pass(&mut d, FRONT, &mut c, CLIENT, OK);
    assert_eq!(events(&world.traces()), [one("/1", &[]), one("/2", &[])]);
    assert_eq!(world.placed(), (0, 1));
}

#[test]
fn what_is_said_speaks_against_no_call() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/0", ""));
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    // Outside any request, as a logger's thread does.
    world.speaks(1, FRONT);
    world.said(1, Some("idle"));
    two_hops(&mut world, FRONT);
    let traces = world.traces();
    assert!(traces.iter().any(|spans| spans.len() == 4), "{traces:#?}");
}

#[test]
fn an_evicted_announcement_holds_no_trace_back() {
    let mut world = World::with(1 << 24, Limits { hold: HOLD, inferred: true, max_spans: 2, max_bytes: 64 << 20 });
    let (mut a, mut b) = world.connect(80);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/1", ""));
    for id in 0..8 {
        world.speaks(id, FRONT);
    }
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    world.traces();
    (0..8).for_each(|id| world.said(id, Some("gone")));
    // (Longer than anything that may still be proven is waited for.)
    (0..16).for_each(|_| drop(world.traces()));
    assert_eq!((world.traces.held().spans, world.traces.held().groups), (0, 0));
    assert_eq!(world.placed(), (0, 8), "each is counted, though what it was announced as is gone");
}

#[test]
fn what_was_said_and_is_evicted_is_counted() {
    let mut world = World::with(1 << 24, Limits { hold: HOLD, inferred: true, max_spans: 2, max_bytes: 64 << 20 });
    let (mut a, mut b) = world.connect(80);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/1", ""));
    for id in 0..8 {
        world.speaks(id, FRONT);
        world.said(id, Some("soon gone"));
    }
    (0..16).for_each(|_| drop(world.traces()));
    assert_eq!(world.traces.held().spans, 0);
    let (placed, unplaced) = world.placed();
    assert_eq!(placed + unplaced, 8);
}

#[test]
fn what_turns_out_to_be_nothing_is_not_counted() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/1", ""));
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    for (id, unit) in [(1, FRONT), (2, CLIENT)] {
        world.speaks(id, unit);
    }
    world.traces();
    (1..=2).for_each(|id| world.said(id, None));
    (0..16).for_each(|_| drop(world.traces()));
    assert_eq!((world.placed(), world.traces.held().spans), ((0, 0), 0));
}

#[test]
fn a_record_leaves_with_the_span_of_its_request_or_with_none() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/1", ""));
    world.speaks(1, FRONT);
    world.logs(1, "within");
    assert_eq!(world.traces.take_logs(), [], "its trace has no id yet");
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    world.speaks(2, FRONT);
    world.logs(2, "after");
    let traces = world.traces();
    let server = traces.iter().flatten().find(|span| span.kind == SpanKind::Server).unwrap();
    (0..16).for_each(|_| drop(world.traces()));
    let mut logs = world.traces.take_logs();
    logs.sort_by(|a, b| b.body.cmp(&a.body));
    let [within, after] = &logs[..] else { panic!("{logs:?}") };
    let span = within.span.unwrap();
    assert_eq!(
        (&*within.body, span.trace_id, span.span_id, span.flags),
        ("within", server.trace_id, server.span_id, 1)
    );
    assert!((server.start_unix_nano..=server.end_unix_nano).contains(&within.time_unix_nano));
    assert_eq!((&*after.body, after.span), ("after", None));
    let counters = &world.counters.links;
    assert_eq!((counters.log_records_placed.get(), counters.log_records_unplaced.get()), (1, 1));
    assert_eq!((world.traces.held().spans, world.traces.bytes()), (0, world.traces.bytes()));
}

/// A goroutine, of which is proven what it does.
const HANDLER: UnitId = UnitId { kind: UNIT_GOROUTINE, id: 7, ..FRONT };

#[test]
fn records_of_a_request_that_says_much_leave_before_it_ends() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    world.pass(&mut a, CLIENT, &mut b, HANDLER, &get("/1", ""));
    let text = "x".repeat(10_000);
    for id in 0..200 {
        world.speaks(id, HANDLER);
        world.logs(id, &text);
    }
    assert!(world.traces.bytes() > 200 * text.len(), "it is counted while it waits");
    assert!(world.traces().is_empty());
    let early = world.traces.take_logs();
    assert!((100..200).contains(&early.len()), "{}", early.len());
    world.pass(&mut b, HANDLER, &mut a, CLIENT, OK);
    let traces = world.traces();
    let server = traces.iter().flatten().find(|span| span.kind == SpanKind::Server).unwrap();
    let late = world.traces.take_logs();
    assert_eq!(early.len() + late.len(), 200);
    assert!(early.iter().chain(&late).all(|log| log.span.unwrap().span_id == server.span_id));
    assert!(early.iter().all(|log| log.span.unwrap().trace_id == server.trace_id));
    assert_eq!(world.traces.held().spans, 0);
}
