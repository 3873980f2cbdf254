//! What is held is bounded in bytes, and everything that finds no room is counted once.

use super::*;

const SECOND: u64 = 1_000_000_000;

/// Every request that was recognised became of something.
fn assert_accounted(world: &World, finished: usize, open: usize) {
    let c = &world.counters;
    let (started, dropped, evicted) =
        (c.exchanges_started.get(), c.exchanges_dropped.get(), c.links.spans_evicted.get());
    let (finished, open) = (finished as u64, open as u64);
    assert!(started >= finished + open, "{started} {finished} {open}");
    // One that was evicted may have been told later to be dropped as well, of which nobody hears any more.
    assert!(started <= finished + open + dropped + evicted, "{started} {finished} {open} {dropped} {evicted}");
}

#[test]
fn a_client_that_never_waits_costs_one_signal_an_operation_once_its_connection_is_full() {
    let mut world = World::new();
    let (mut client, _) = world.connect(80);
    let many = "GET / HTTP/1.1\r\n\r\n".repeat(200);
    for _ in 0..8 {
        world.send(&mut client, CLIENT, &many);
    }
    let before = world.counters.exchanges_started.get();
    let process = world.process(CLIENT.tgid);
    for _ in 0..50 {
        client.tx += many.len() as u64;
        let event = IoEvent {
            kind: Kind::Io as u8,
            direction: EGRESS,
            flags: 0,
            reserved: 0,
            captured: many.len() as u32,
            result: many.len() as i32,
            epoch: 0,
            time: world.now,
            cookie: client.cookie,
            tx_position: u64::from(client.tx as u32),
            rx_position: u64::from(client.rx as u32),
            unit: CLIENT,
            endpoints: client.endpoints,
            inode: 0,
            fd: 0,
            ran: 0,
            queued: 0,
            reserved2: 0,
        };
        let mut signals = Vec::new();
        world.connections.operation(&event, many.as_bytes(), &process, &mut signals);
        assert!(signals.len() <= 2, "{} signals of one operation", signals.len());
    }
    assert_eq!(world.counters.exchanges_started.get() - before, 50 * 200, "each is counted");
    assert!(world.counters.exchanges_refused.get() >= 50 * 200);
}

#[test]
fn of_connections_that_take_too_much_the_one_with_most_is_forgotten() {
    let mut world =
        World::with(400 << 10, Limits { hold: HOLD, inferred: true, max_spans: 100_000, max_bytes: 64 << 20 });
    let mut modest: Vec<_> = (1..20).map(|port| world.connect(port)).collect();
    for (client, server) in &mut modest {
        world.pass(client, CLIENT, server, FRONT, &get("/modest", ""));
    }
    let (mut greedy, _) = world.connect(80);
    for _ in 0..40 {
        world.send(&mut greedy, BACK, &"GET /greedy HTTP/1.1\r\n\r\n".repeat(100));
    }
    assert!(world.counters.connections_evicted_for_memory.get() > 0);
    for (client, server) in &mut modest {
        world.pass(server, FRONT, client, CLIENT, OK);
    }
    let spans: Vec<Span> = world.traces().into_iter().flatten().filter(|s| s.name == "GET /modest").collect();
    assert_eq!(spans.len(), 38, "both ends of each: nobody else was forgotten");
}

#[test]
fn the_oldest_unfinished_spans_go_when_there_are_too_many_bytes_of_them() {
    let bytes = 512 << 10;
    let mut world = World::with(64 << 20, Limits { hold: HOLD, inferred: true, max_spans: 100_000, max_bytes: bytes });
    for port in 1..90 {
        let (mut client, _) = world.connect(port);
        world.send(&mut client, CLIENT, &get("/open", "").repeat(20));
        assert!(world.traces.bytes() <= bytes, "{}", world.traces.bytes());
    }
    let c = &world.counters;
    assert!(c.links.spans_evicted_for_memory.get() > 0);
    assert_eq!(c.links.spans_evicted_for_memory.get(), c.links.spans_evicted.get());
    world.traces.tick(world.now, &mut Vec::new());
    assert_accounted(&world, 0, world.counters.links.exchanges_open.get() as usize);
}

#[test]
fn finished_traces_leave_before_their_time_when_memory_is_scarce() {
    let bytes = 512 << 10;
    let mut world =
        World::with(64 << 20, Limits { hold: 60 * SECOND, inferred: true, max_spans: 100_000, max_bytes: bytes });
    let (mut client, mut server) = world.connect(80);
    let mut out = Vec::new();
    for _ in 0..2_000 {
        world.pass(&mut client, CLIENT, &mut server, FRONT, &get("/", ""));
        world.pass(&mut server, FRONT, &mut client, CLIENT, OK);
        world.traces.tick(world.now, &mut out);
        assert!(world.traces.bytes() <= bytes, "{}", world.traces.bytes());
    }
    let spans: usize = out.iter().map(|trace| trace.spans.len()).sum();
    let (hurried, evicted) = (world.counters.links.spans_hurried.get(), world.counters.links.spans_evicted.get());
    assert_eq!((hurried, evicted), (spans as u64, 0), "none is lost");
    assert!(spans > 3_000, "{spans}");
    let whole = out.iter().filter(|trace| trace.spans.len() == 2).count();
    assert!(whole * 2 > spans / 2, "{whole} traces of both ends among {spans} spans");
}

#[test]
fn what_is_handed_on_at_one_time_is_bounded_and_nothing_stays_behind() {
    let mut world =
        World::with(64 << 20, Limits { hold: HOLD, inferred: true, max_spans: 100_000, max_bytes: 64 << 20 });
    let (mut client, mut server) = world.connect(80);
    for _ in 0..2_500 {
        world.pass(&mut client, CLIENT, &mut server, FRONT, &get("/", ""));
        world.pass(&mut server, FRONT, &mut client, CLIENT, OK);
    }
    world.now += 10 * HOLD;
    let (mut turns, mut spans) = (0, 0);
    loop {
        let mut out = Vec::new();
        let more = world.traces.tick(world.now, &mut out);
        let now: usize = out.iter().map(|trace| trace.spans.len()).sum();
        (turns, spans) = (turns + 1, spans + now);
        assert!(now < 1_100, "{now} spans at one time");
        if !more {
            break;
        }
    }
    assert_eq!(spans, 5_000);
    assert!(turns >= 5);
    // (The places of spans that were are kept for others.)
    assert!(world.traces.bytes() < 1 << 20, "{}", world.traces.bytes());
}

#[test]
fn without_a_hold_a_trace_that_still_waits_for_a_proof_is_no_endless_loop() {
    let mut world = World::with(64 << 20, Limits { hold: 0, inferred: true, max_spans: 1_000, max_bytes: 64 << 20 });
    two_hops(&mut world, FRONT);
    // A thread that was made for a request makes a call: whether it is its own shows when it ends.
    let (mut a, mut b) = world.connect(90);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/slow", ""));
    let helper = thread(FRONT.tgid, 99);
    world.created(FRONT, helper);
    let (mut c, mut d) = world.connect(91);
    world.pass(&mut c, helper, &mut d, BACK, &get("/late", ""));
    world.pass(&mut d, BACK, &mut c, helper, OK);
    let mut out = Vec::new();
    world.traces.tick(world.now, &mut out);
    assert!(!world.traces().is_empty() || !out.is_empty());
}

#[test]
fn what_a_burst_made_the_tables_grow_by_they_give_back() {
    const REQUESTS: usize = 200;
    let mut world = World::with(1 << 30, Limits { hold: HOLD, inferred: true, max_spans: 100_000, max_bytes: 1 << 30 });
    let (before, bytes) = (heap::Mark::new(), world.traces.bytes());
    let mut sockets: Vec<_> = (1..45).map(|port| world.connect(port)).collect();
    let (burst, answers) = (get("/burst", "").repeat(REQUESTS), OK.repeat(REQUESTS));
    let unit = |tgid: u32, nth: usize| UnitId { tgid, tid: tgid + nth as u32, ..UnitId::default() };
    for (nth, (client, server)) in sockets.iter_mut().enumerate() {
        world.pass(client, unit(1000, nth), server, unit(2000, nth), &burst);
    }
    let (most, _) = before.read();
    for (nth, (client, server)) in sockets.iter_mut().enumerate() {
        world.pass(server, unit(2000, nth), client, unit(1000, nth), &answers);
    }
    let spans: usize = (0..20).flat_map(|_| world.traces()).map(|trace| trace.len()).sum();
    assert_eq!(spans, 2 * REQUESTS * sockets.len());
    // (What connections hold is another matter.)
    world.connections = World::new().connections;
    world.now += 3600 * SECOND;
    for _ in 0..1100 {
        world.traces();
    }
    (world.started, world.threads, world.signals) = Default::default();
    let (left, _) = before.read();
    println!("{most} bytes at most, {left} stay");
    assert!(left * 20 < most, "{left} bytes of {most} stay");
    assert!(world.traces.bytes() - bytes < 2 << 20, "{} bytes are held to be held", world.traces.bytes() - bytes);
}
