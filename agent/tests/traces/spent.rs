//! Where the time of requests went, from raw records.

use wirespan_common::FLAG_NONBLOCKING;

use super::*;

const MS: u64 = 1_000_000;

/// So much later, the thread that does something has run so long, and waited so long for a CPU: milliseconds.
fn clocks(world: &mut World, wall: u64, ran: u64, queued: u64) {
    world.now += wall * MS;
    let units = |millis: u64| (millis * MS / 1024) as u32;
    world.clocks = (world.clocks.0 + units(ran), world.clocks.1 + units(queued));
}

fn slept(unit: UnitId, times: u32) -> UnitId {
    UnitId { switches: times, ..unit }
}

/// Milliseconds on CPU, waiting for one, blocked; and how much of it that is.
fn told(span: &Span) -> ([u64; 3], Option<&str>) {
    let part = |part: &str| match span.attribute(&format!("wirespan.time.{part}")) {
        Some(Value::Double(seconds)) => (seconds * 1e3).round() as u64,
        None => 0,
        other => panic!("{other:?}"),
    };
    (["cpu", "runqueue", "blocked"].map(part), span.text("wirespan.time.coverage"))
}

/// Everything, once nothing is waited for.
fn all_of(mut world: World) -> Vec<Vec<Span>> {
    (0..12).flat_map(|_| world.traces()).collect()
}

fn server(traces: &[Vec<Span>], path: &str) -> Span {
    let is_it = |span: &&Span| span.kind == SpanKind::Server && span.text("url.path") == Some(path);
    traces.iter().flatten().find(is_it).expect("a server's span").clone()
}

#[test]
fn what_a_thread_did_besides_its_calls_is_its_requests_own() {
    let mut world = World::new();
    world.clocks = (1000, 1000);
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let app = thread(20, 21);
    // A second thread, so that it is no process of one.
    world.created(thread(20, 20), thread(20, 22));
    world.send(&mut a, CLIENT, &get("/own", ""));
    world.receive(&mut b, slept(app, 1), &get("/own", ""));
    clocks(&mut world, 30, 20, 10);
    world.pass(&mut c, slept(app, 1), &mut d, BACK, &get("/call", ""));
    clocks(&mut world, 50, 1, 2);
    world.pass(&mut d, BACK, &mut c, slept(app, 2), OK);
    clocks(&mut world, 31, 18, 4);
    world.pass(&mut b, slept(app, 3), &mut a, CLIENT, OK);
    let traces = all_of(world);
    assert_eq!(told(&server(&traces, "/own")), ([38, 14, 9], Some("exact")), "{traces:?}");
    let call = traces
        .iter()
        .flatten()
        .find(|span| span.kind == SpanKind::Client && span.text("url.full").is_some_and(|url| url.ends_with("/call")));
    assert_eq!(told(call.expect("the call")), ([1, 2, 47], Some("exact")));
}

#[test]
fn of_what_works_for_others_too_nothing_is_told() {
    let goroutine = UnitId { kind: wirespan_common::UNIT_GOROUTINE, id: 7, ..thread(20, 21) };
    let task = UnitId { kind: wirespan_common::UNIT_TASK, id: 7, ..thread(20, 21) };
    for unit in [goroutine, task] {
        let mut world = World::new();
        world.clocks = (1000, 1000);
        let (mut a, mut b) = world.connect(80);
        world.pass(&mut a, CLIENT, &mut b, unit, &get("/own", ""));
        clocks(&mut world, 30, 20, 10);
        world.pass(&mut b, unit, &mut a, CLIENT, OK);
        assert_eq!(told(&server(&all_of(world), "/own")), ([0; 3], None));
    }
}

#[test]
fn of_a_loop_only_what_it_did_without_sleeping_is_told() {
    let app = thread(20, 21);
    for (sleeps, expected) in [(0, ([20, 10, 0], Some("exact"))), (1, ([0; 3], None))] {
        let mut world = World::new();
        world.clocks = (1000, 1000);
        world.created(thread(20, 20), thread(20, 22));
        let (mut a, mut b) = world.connect(80);
        world.send(&mut a, CLIENT, &get("/own", ""));
        b.rx += get("/own", "").len() as u64;
        let text = get("/own", "");
        world.flagged_operation(&b, slept(app, 1), INGRESS, text.len() as i32, text.as_bytes(), FLAG_NONBLOCKING);
        clocks(&mut world, 30, 20, 10);
        world.pass(&mut b, slept(app, 1 + sleeps), &mut a, CLIENT, OK);
        assert_eq!(told(&server(&all_of(world), "/own")), expected);
    }
}

#[test]
fn of_two_requests_at_a_time_on_one_thread_nothing_is_told() {
    let mut world = World::new();
    world.clocks = (1000, 1000);
    let app = thread(20, 21);
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(80 + 1000);
    world.pass(&mut a, CLIENT, &mut b, app, &get("/one", ""));
    world.pass(&mut c, CLIENT, &mut d, app, &get("/two", ""));
    clocks(&mut world, 30, 20, 10);
    world.pass(&mut b, app, &mut a, CLIENT, OK);
    world.pass(&mut d, app, &mut c, CLIENT, OK);
    let traces = all_of(world);
    for path in ["/one", "/two"] {
        assert_eq!(told(&server(&traces, path)), ([0; 3], None));
    }
}
