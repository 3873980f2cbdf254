//! Parents by join and by unit.

use wirespan_common::FLAG_NONBLOCKING;

use super::*;

#[test]
fn a_wrong_guess_is_revised_at_the_cost_of_one_exchange() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(6379);
    // An inline command of Redis is a line of memcached's until it is answered.
    for (command, reply) in [("get a\r\n", "$1\r\nx\r\n"), ("get b\r\n", "$-1\r\n"), ("INCR c\r\n", ":1\r\n")] {
        world.pass(&mut a, CLIENT, &mut b, BACK, command);
        world.pass(&mut b, BACK, &mut a, CLIENT, reply);
    }
    let traces = world.traces();
    let found: Vec<_> = traces.iter().map(|trace| (trace[0].protocol, trace[0].name.as_ref(), trace.len())).collect();
    assert_eq!(found, [("redis", "get", 2), ("redis", "INCR", 2)]);
    // On the wrong protocol's account there is one request a socket, and it ended as what cannot be known.
    assert_eq!((world.counters.connections_lost_sync.get(), world.counters.exchanges_dropped.get()), (2, 2));
}

#[test]
fn a_chain_through_one_thread_each_is_one_trace() {
    let mut world = World::new();
    two_hops(&mut world, FRONT);
    let traces = world.traces();
    assert_eq!(traces.len(), 1);
    assert_eq!(
        describe(&traces[0]),
        [
            "Client GET /orders/{id} parent=None",
            "Server GET /orders/{id} parent=Some(0)",
            "Client GET /stock/{id} parent=Some(1)",
            "Server GET /stock/{id} parent=Some(2)",
        ]
    );
    assert!(traces[0].iter().all(|s| s.trace_id == traces[0][0].trace_id && s.status == Status::Unset));
}

#[test]
fn a_call_by_another_thread_is_a_trace_of_its_own() {
    let mut world = World::new();
    two_hops(&mut world, thread(20, 22));
    let mut sizes: Vec<_> = world.traces().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 2]);
}

#[test]
fn where_requests_are_answered_by_another_thread_a_thread_is_taken_for_its_request_only_if_it_blocks() {
    for (reads, expected) in [(FLAG_NONBLOCKING, &[2, 2][..]), (0, &[4])] {
        let mut world = World::new();
        world.reads = reads;
        let (mut a, mut b) = world.connect(80);
        let request = get("/", "");
        world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
        world.send(&mut b, thread(FRONT.tgid, 29), OK);
        world.receive(&mut a, CLIENT, OK);
        let _ = world.traces();
        // A goroutine that serves this request may sleep, while its thread runs another one's call: what never blocks proves nothing.
        two_hops(&mut world, FRONT);
        let traces: Vec<_> = std::iter::repeat_with(|| world.traces()).take(20).flatten().collect();
        assert_eq!(traces.iter().map(Vec::len).collect::<Vec<_>>(), expected);
        let evidence = traces.iter().flatten().flat_map(|span| &span.attributes);
        let evidence: Vec<_> = evidence.filter(|a| a.key == "wirespan.link.evidence").map(|a| &a.value).collect();
        let pools = Value::Str("pool_thread".into());
        assert_eq!(evidence, if reads == 0 { vec![&pools] } else { vec![] });
    }
}

#[test]
fn a_call_whose_record_was_held_back_does_not_hang_below_a_request_that_was_read_after_it() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (earlier, request, call) = (get("/earlier", ""), get("/orders/1", ""), get("/stock/2", ""));
    for (text, back) in [(&*earlier, false), (OK, true)] {
        let (from, to) = if back { (&mut d, &mut c) } else { (&mut c, &mut d) };
        world.send(from, if back { BACK } else { FRONT }, text);
        world.receive(to, if back { FRONT } else { BACK }, text);
    }
    // A record of what the caller read is missing, so its next call is held back.
    c.rx += 10;
    world.send(&mut c, FRONT, &call);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
    world.now += 60_000_000;
    let at = world.now;
    world.connections.tick(at, &mut world.signals);
    for signal in std::mem::take(&mut world.signals) {
        world.traces.signal(signal, at);
    }
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    world.receive(&mut c, FRONT, OK);
    let traces = world.traces();
    let with_the_request = traces.iter().find(|t| t.iter().any(|s| s.name.contains("orders"))).unwrap();
    assert_eq!(with_the_request.len(), 2, "{:?}", describe(with_the_request));
}

#[test]
fn a_call_by_a_thread_created_for_the_request_hangs_below_it_once_the_thread_ended() {
    let mut world = World::new();
    let worker = thread(20, 22);
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/orders/1", ""), get("/stock/2", ""));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.created(FRONT, worker);
    world.pass(&mut c, worker, &mut d, BACK, &second);
    world.pass(&mut d, BACK, &mut c, worker, OK);
    world.ended(worker);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    assert_eq!(traces.len(), 1);
    assert_eq!(describe(&traces[0])[2], "Client GET /stock/{id} parent=Some(1)");
}

#[test]
fn a_pooled_thread_created_during_a_request_does_not_take_its_calls_along() {
    let mut world = World::new();
    let worker = thread(20, 22);
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/orders/1", ""), get("/stock/2", ""));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.created(FRONT, worker);
    world.pass(&mut c, worker, &mut d, BACK, &second);
    world.pass(&mut d, BACK, &mut c, worker, OK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    world.now += 3 * wirespan_agent::traces::PENDING_CAP;
    let mut sizes: Vec<_> = world.traces().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 2]);
}

#[test]
fn a_reader_of_two_requests_at_once_proves_no_parent() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut e, mut f) = world.connect(82);
    let (mut c, mut d) = world.connect(81);
    let (one, two, call) = (get("/one", ""), get("/two", ""), get("/call", ""));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &one);
    world.pass(&mut e, CLIENT, &mut f, FRONT, &two);
    world.pass(&mut c, FRONT, &mut d, BACK, &call);
    world.pass(&mut d, BACK, &mut c, FRONT, OK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    world.pass(&mut f, FRONT, &mut e, CLIENT, OK);
    let traces = world.traces();
    assert_eq!(traces.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn a_connection_opened_before_the_request_was_read_serves_something_earlier() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/orders/1", ""), get("/audit", ""));
    world.connections.state(
        &StateEvent {
            kind: Kind::State as u8,
            old: 7,
            new: 2,
            flags: 0,
            error: 0,
            time: world.now,
            cookie: c.cookie,
            tx_position: 0,
            rx_position: 0,
            unit: FRONT,
            endpoints: c.endpoints,
        },
        None,
        &mut world.signals,
    );
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.pass(&mut c, FRONT, &mut d, BACK, &second);
    world.pass(&mut d, BACK, &mut c, FRONT, OK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    assert_eq!(world.traces().iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn a_callee_that_goes_on_after_its_caller_gave_up_keeps_its_duration() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (request, head, rest) = (get("/", ""), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", "cd");
    world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
    world.pass(&mut b, FRONT, &mut a, CLIENT, head);
    world.operation(&a, CLIENT, INGRESS, -104, b"");
    world.send(&mut b, FRONT, rest);
    let traces = world.traces();
    let [client, server] = traces[0].as_slice() else { panic!("{:?}", describe(&traces[0])) };
    assert!(matches!(client.status, Status::Error(_)));
    assert!(server.end_unix_nano > client.end_unix_nano);
}

#[test]
fn a_call_below_a_request_without_a_known_end_keeps_what_is_above_in_a_later_piece() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/orders/1", ""), get("/stock/2", ""));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.pass(&mut c, FRONT, &mut d, BACK, &second);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    // The request between is forgotten; above it all is finished, below it a call goes on.
    let middle = world.started.iter().find(|(cookie, _)| *cookie == c.cookie).unwrap().1;
    world.traces.signal(Signal::Dropped(middle), world.now);
    world.now += 2 * wirespan_agent::traces::PIECE_AFTER;
    let piece = world.traces().remove(0);
    world.send(&mut d, BACK, OK);
    let rest = world.traces().remove(0);
    assert_eq!((piece.len(), rest.len()), (2, 1));
    assert_eq!((rest[0].trace_id, rest[0].parent_span_id), (piece[1].trace_id, piece[1].span_id));
}

#[test]
fn what_the_agent_has_seen_when_it_stops_is_linked_as_far_as_it_is_known() {
    let mut world = World::new();
    two_hops(&mut world, FRONT);
    let mut out = Vec::new();
    world.traces.finish(&mut out);
    assert_eq!(out.iter().map(|trace| trace.spans.len()).collect::<Vec<_>>(), [4]);
}
