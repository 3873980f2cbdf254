//! The two ends of a connection, and the order of what happens on it.

use super::*;
use wirespan_agent::traces::{Held, OPEN_SLACK};

#[test]
fn requests_that_are_over_leave_nothing_in_memory() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let request = get("/", "");
    for _ in 0..OPEN_SLACK {
        world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
        world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
        world.now += 2 * HOLD;
        let now = world.now;
        world.traces.tick(now, &mut Vec::new());
    }
    let _ = world.traces();
    let held = world.traces.held();
    assert_eq!(held, Held { open: held.open, ..Held::default() });
    assert!(held.open <= OPEN_SLACK + 2);
}

#[test]
fn the_callees_record_may_come_first_and_the_caller_still_contains_it() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let request = get("/", "");
    world.receive(&mut b, FRONT, &request);
    world.send(&mut a, CLIENT, &request);
    world.receive(&mut a, CLIENT, OK);
    world.send(&mut b, FRONT, OK);
    let traces = world.traces();
    assert_eq!(traces.len(), 1);
    let [client, server] = traces[0].as_slice() else { panic!("{:?}", describe(&traces[0])) };
    assert_eq!((client.kind, server.kind, server.parent_span_id), (SpanKind::Client, SpanKind::Server, client.span_id));
    assert!(client.start_unix_nano <= server.start_unix_nano && server.end_unix_nano <= client.end_unix_nano);
}

#[test]
fn both_ends_meet_over_a_unix_socket_and_behind_an_address_translation() {
    for translated in [false, true] {
        let mut world = World::new();
        let (mut a, mut b) = if translated { world.connect(80) } else { world.connect_unix() };
        if translated {
            b.endpoints.local = [172, 17, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            b.endpoints.local_port = 8080;
        }
        let request = get("/", "");
        world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
        world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
        let traces = world.traces();
        assert_eq!(traces.iter().map(Vec::len).collect::<Vec<_>>(), [2], "translated: {translated}");
    }
}

#[test]
fn pipelined_requests_meet_their_own_other_ends() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let both = get("/one", "") + &get("/two", "");
    world.pass(&mut a, CLIENT, &mut b, FRONT, &both);
    let answers = OK.repeat(2);
    world.pass(&mut b, FRONT, &mut a, CLIENT, &answers);
    let mut names: Vec<_> = world.traces().iter().map(|t| describe(t)).collect();
    names.sort();
    assert_eq!(
        names,
        [
            ["Client GET /one parent=None", "Server GET /one parent=Some(0)"],
            ["Client GET /two parent=None", "Server GET /two parent=Some(0)"],
        ]
    );
}

#[test]
fn a_response_that_ends_with_its_unix_socket_ends_its_servers_span_too() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect_unix();
    let (request, response) = (get("/", ""), "HTTP/1.0 200 OK\r\n\r\nhello");
    world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
    world.pass(&mut b, FRONT, &mut a, CLIENT, response);
    world.operation(&a, CLIENT, INGRESS, 0, b"");
    let traces = world.traces();
    assert_eq!(describe(&traces[0]), ["Client GET / parent=None", "Server GET / parent=Some(0)"]);
    assert!(traces[0].iter().all(|s| s.status == Status::Unset));
}

#[test]
fn what_waited_in_vain_in_both_directions_is_read_in_the_order_in_which_it_happened() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let first = get("/first", "");
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    // Ten bytes that the server sent are missing.
    b.tx += 10;
    let answers = [("/a", "201"), ("/b", "202"), ("/c", "203")];
    for (path, status) in answers {
        world.receive(&mut b, FRONT, &get(path, ""));
        world.send(&mut b, FRONT, &OK.replace("200", status));
    }
    world.now += 60_000_000;
    let spans: Vec<_> = world.traces().into_iter().flatten().filter(|s| s.name != "GET /first").collect();
    assert!(!spans.is_empty());
    for span in spans {
        let code = span.attributes.iter().find(|a| a.key == "http.response.status_code").map(|a| &a.value);
        let expected = answers.iter().find(|(path, _)| span.name == format!("GET {path}")).unwrap().1;
        assert_eq!(code, Some(&Value::Int(expected.parse().unwrap())), "{}", span.name);
    }
}

#[test]
fn a_connection_of_which_one_direction_was_not_seen_for_a_while_is_paired_again() {
    let mut world = World::new();
    let (mut a, _) = world.connect(80);
    for _ in 0..4 {
        world.send(&mut a, CLIENT, &get("/unseen", ""));
        a.rx += OK.len() as u64;
    }
    world.now += 1_000_000_000;
    for _ in 0..3 {
        world.send(&mut a, CLIENT, &get("/seen", ""));
        world.receive(&mut a, CLIENT, OK);
    }
    world.now += 100_000_000;
    let names: Vec<_> = world.traces().concat().iter().map(|s| s.name.to_string()).collect();
    assert!(names.iter().filter(|n| *n == "GET /seen").count() >= 2, "{names:?}");
    assert!(!names.contains(&"GET /unseen".to_string()), "{names:?}");
}

#[test]
fn operations_that_arrive_in_the_wrong_order_are_put_right() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let early = get("/early", "");
    world.pass(&mut a, CLIENT, &mut b, FRONT, &early);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let request = get("/late", "");
    let (head, tail) = request.split_at(12);
    world.send(&mut a, CLIENT, &request);
    // Two threads read; the second reader's record comes first.
    let start = b;
    b.rx += request.len() as u64;
    world.operation(&b.clone(), FRONT, INGRESS, tail.len() as i32, tail.as_bytes());
    let mut first = start;
    first.rx += head.len() as u64;
    world.operation(&first, FRONT, INGRESS, head.len() as i32, head.as_bytes());
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    assert_eq!(describe(&traces[1]), ["Client GET /late parent=None", "Server GET /late parent=Some(0)"]);
}

#[test]
fn a_connection_that_carries_telemetry_leaves_no_span_and_is_muted() {
    let mut world = World::new();
    let (mut a, _) = world.connect(4318);
    let request =
        "POST /v1/traces HTTP/1.1\r\nHost: c\r\nContent-Type: application/x-protobuf\r\nContent-Length: 3\r\n\r\nabc";
    a.tx += request.len() as u64;
    assert_eq!(world.operation(&a, CLIENT, EGRESS, request.len() as i32, request.as_bytes()), Verdict::Mute);
    assert!(world.traces().is_empty());
    assert_eq!(world.counters.exchanges_dropped.get(), 1);
}

#[test]
fn a_connection_that_never_speaks_a_known_protocol_is_muted() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(5432);
    let mut muted = false;
    for _ in 0..20 {
        a.tx += 3;
        muted |= world.operation(&a, CLIENT, EGRESS, 3, b"\x00\x01\x02") == Verdict::Mute;
        a.rx += 3;
        muted |= world.operation(&a, CLIENT, INGRESS, 3, b"\x03\x04\x05") == Verdict::Mute;
    }
    assert!(muted);
    world.receive(&mut b, FRONT, "\x00");
    assert!(world.traces().is_empty());
}

#[test]
fn datagrams_that_are_not_understood_mute_their_socket_and_silence_ends_it() {
    let mut world = World::new();
    let (socket, _) = world.connect(53);
    let mut muted = None;
    for n in 0..100 {
        if world.datagram(&socket, CLIENT, b"\x00\x01\x02") == Verdict::Mute {
            muted = muted.or(Some(n));
        }
    }
    assert_eq!(muted, Some(65));
    assert_eq!(world.counters.connections_muted.get(), 1);
    world.now += 60_000_000_000;
    assert!(world.traces().is_empty());
    assert_eq!(world.counters.connections_open.get(), 0);
}
