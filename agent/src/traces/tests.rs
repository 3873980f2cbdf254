//! Whole traces from raw records: two ends of sockets as the kernel would report them, real HTTP bytes, real parser.

use std::path::PathBuf;
use std::sync::Arc;

use wirespan_common::{AF_INET, AF_UNIX, EGRESS, Endpoints, INGRESS, IoEvent, Kind, StateEvent, UnitId};

use super::{Limits, Traces};
use crate::config::{Config, Settings, Surroundings};
use crate::connections::{Connections, Limits as ConnectionLimits, Signal, Verdict};
use crate::discovery::{HostInfo, Process, Processes};
use crate::metrics::Counters;
use crate::span::{Span, SpanKind, Status, Value};

const HOLD: u64 = 1_000;

/// A machine whose processes are only numbers.
struct World {
    connections: Connections,
    traces: Traces,
    processes: Processes,
    counters: Arc<Counters>,
    signals: Vec<Signal>,
    now: u64,
    cookies: u64,
}

/// A socket: its cookie, its ends, its positions.
#[derive(Clone, Copy)]
struct Socket {
    cookie: u64,
    endpoints: Endpoints,
    epoch: u32,
    tx: u64,
    rx: u64,
}

fn thread(tgid: u32, tid: u32) -> UnitId {
    UnitId { tgid, tid, ..UnitId::default() }
}

impl World {
    fn new() -> Self {
        let surroundings =
            Surroundings { environment: Default::default(), read: &|_| Err(std::io::ErrorKind::NotFound.into()) };
        let settings = Settings::resolve(&Default::default(), &surroundings).unwrap();
        let config = Config::from_settings(&settings, &surroundings).unwrap();
        let counters = Arc::new(Counters::default());
        let limits = ConnectionLimits {
            max_connections: 100,
            max_connection_buffer: 1 << 20,
            max_buffer: 1 << 24,
            idle_timeout: u64::MAX / 100,
            keep_query_values: false,
        };
        Self {
            connections: Connections::new(limits, Arc::clone(&counters)),
            traces: Traces::new(Limits { hold: HOLD, max_spans: 1000 }, Arc::clone(&counters)),
            processes: Processes::new(&config, PathBuf::from("/nonexistent"), HostInfo::read("/nonexistent".as_ref())),
            counters,
            signals: Vec::new(),
            now: 1_000_000,
            cookies: 0,
        }
    }

    fn process(&mut self, tgid: u32) -> Arc<Process> {
        Arc::clone(self.processes.get(tgid))
    }

    /// Two ends of a TCP connection that is already open; the client's port makes it unique.
    fn connect(&mut self, port: u16) -> (Socket, Socket) {
        self.cookies += 2;
        let (client, server) = ([127, 0, 0, 1], [127, 0, 0, 2]);
        let ends = |local: [u8; 4], local_port, peer: [u8; 4], peer_port| {
            let mut ends = Endpoints { family: AF_INET, local_port, peer_port, ..Endpoints::default() };
            ends.local[..4].copy_from_slice(&local);
            ends.peer[..4].copy_from_slice(&peer);
            ends
        };
        let (a, b) = (0xffff_fff0 + u64::from(port), 77 * u64::from(port));
        let socket = |cookie, endpoints, tx: u64, rx: u64| Socket { cookie, endpoints, epoch: 0, tx, rx };
        (
            socket(self.cookies, ends(client, 40_000 + port, server, port), a, b),
            socket(self.cookies + 1, ends(server, port, client, 40_000 + port), b, a),
        )
    }

    fn connect_unix(&mut self) -> (Socket, Socket) {
        self.cookies += 2;
        let ends = |peer_cookie| Endpoints { family: AF_UNIX, peer_cookie, ..Endpoints::default() };
        let socket = |cookie, peer| Socket { cookie, endpoints: ends(peer), epoch: 7, tx: 0, rx: 0 };
        (socket(self.cookies, self.cookies + 1), socket(self.cookies + 1, self.cookies))
    }

    fn operation(&mut self, socket: &Socket, unit: UnitId, direction: u8, result: i32, bytes: &[u8]) -> Verdict {
        self.now += 100;
        let tcp = socket.epoch == 0;
        let raw = |position: u64| if tcp { u64::from(position as u32) } else { position };
        let event = IoEvent {
            kind: Kind::Io as u8,
            direction,
            flags: 0,
            reserved: 0,
            captured: bytes.len() as u32,
            result,
            epoch: socket.epoch,
            time: self.now,
            cookie: socket.cookie,
            tx_position: raw(socket.tx),
            rx_position: raw(socket.rx),
            unit,
            endpoints: socket.endpoints,
        };
        let process = self.process(unit.tgid);
        let verdict = self.connections.operation(&event, bytes, &process, &mut self.signals);
        for signal in std::mem::take(&mut self.signals) {
            self.traces.signal(signal, self.now);
        }
        verdict
    }

    fn send(&mut self, socket: &mut Socket, unit: UnitId, text: &str) {
        socket.tx += text.len() as u64;
        self.operation(&*socket, unit, EGRESS, text.len() as i32, text.as_bytes());
    }

    fn receive(&mut self, socket: &mut Socket, unit: UnitId, text: &str) {
        socket.rx += text.len() as u64;
        self.operation(&*socket, unit, INGRESS, text.len() as i32, text.as_bytes());
    }

    /// One end sends, the other receives.
    fn pass(&mut self, from: &mut Socket, sender: UnitId, to: &mut Socket, receiver: UnitId, text: &str) {
        self.send(from, sender, text);
        self.receive(to, receiver, text);
    }

    fn created(&mut self, creator: UnitId, task: UnitId) {
        self.traces.signal(Signal::TaskCreated { creator, task }, self.now);
    }

    fn ended(&mut self, task: UnitId) {
        self.traces.signal(Signal::TaskEnded { task, with_process: false }, self.now);
    }

    /// Everything that is finished after the hold, each trace's spans parents first.
    fn traces(&mut self) -> Vec<Vec<Span>> {
        let mut out = Vec::new();
        for _ in 0..5 {
            self.now += 10 * HOLD;
            self.connections.tick(self.now, &mut self.signals);
            for signal in std::mem::take(&mut self.signals) {
                self.traces.signal(signal, self.now);
            }
            self.traces.tick(self.now, &mut out);
        }
        out.into_iter().map(|trace| trace.spans).collect()
    }
}

const CLIENT: UnitId = UnitId { tgid: 10, tid: 10, kind: 0, reserved: 0, id: 0, parent: 0 };
const FRONT: UnitId = UnitId { tgid: 20, tid: 21, kind: 0, reserved: 0, id: 0, parent: 0 };
const BACK: UnitId = UnitId { tgid: 30, tid: 31, kind: 0, reserved: 0, id: 0, parent: 0 };
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\n{headers}\r\n")
}

/// A client calls the front service, which calls the back service on `caller`.
fn two_hops(world: &mut World, caller: UnitId) {
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/orders/1", ""), get("/stock/2", ""));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.pass(&mut c, caller, &mut d, BACK, &second);
    world.pass(&mut d, BACK, &mut c, caller, OK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
}

fn describe(spans: &[Span]) -> Vec<String> {
    spans
        .iter()
        .map(|s| {
            let parent = spans.iter().position(|p| p.span_id == s.parent_span_id);
            format!("{:?} {} parent={parent:?}", s.kind, s.name)
        })
        .collect()
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
fn where_requests_are_answered_by_another_thread_no_thread_is_taken_for_a_request() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let request = get("/", "");
    world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
    world.send(&mut b, thread(FRONT.tgid, 29), OK);
    world.receive(&mut a, CLIENT, OK);
    let _ = world.traces();
    // A goroutine that serves this request sleeps, while its thread runs another one's call.
    two_hops(&mut world, FRONT);
    assert_eq!(world.traces().iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
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
    world.now += 3 * super::PENDING_CAP;
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
            reserved: [0; 5],
            time: world.now,
            cookie: c.cookie,
            unit: FRONT,
            endpoints: c.endpoints,
        },
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
    let middle = world.traces.spans.values().find(|s| s.connection.cookie == c.cookie).unwrap().key;
    world.traces.signal(Signal::Dropped(middle), world.now);
    world.now += 2 * super::PIECE_AFTER;
    let piece = world.traces().remove(0);
    world.send(&mut d, BACK, OK);
    let rest = world.traces().remove(0);
    assert_eq!((piece.len(), rest.len()), (2, 1));
    assert_eq!((rest[0].trace_id, rest[0].parent_span_id), (piece[1].trace_id, piece[1].span_id));
}

#[test]
fn requests_that_are_over_leave_nothing_in_memory() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let request = get("/", "");
    for _ in 0..super::OPEN_SLACK {
        world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
        world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
        world.now += 2 * HOLD;
        let now = world.now;
        world.traces.tick(now, &mut Vec::new());
    }
    let _ = world.traces();
    let traces = &world.traces;
    assert_eq!((traces.spans.len(), traces.groups.len(), traces.by_exchange.len(), traces.due.len()), (0, 0, 0, 0));
    assert!(traces.joins.is_empty());
    assert!(traces.open.len() <= super::OPEN_SLACK + 2);
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

const CONTEXT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: k=v\r\n";

#[test]
fn a_request_that_states_its_context_continues_that_trace_on_both_ends() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let request = get("/", CONTEXT);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    let [client, server] = traces[0].as_slice() else { panic!("{:?}", describe(&traces[0])) };
    assert_eq!(client.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(client.parent_span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert!(client.parent_is_remote && !server.parent_is_remote);
    assert_eq!((server.trace_id, server.parent_span_id), (client.trace_id, client.span_id));
    assert_eq!((&*client.trace_state, &*server.trace_state), ("k=v", "k=v"));
}

#[test]
fn a_context_that_is_not_sampled_leaves_no_span_below_it_either() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/", &CONTEXT.replace("31-01", "31-00")), get("/x", ""));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.pass(&mut c, FRONT, &mut d, BACK, &second);
    world.pass(&mut d, BACK, &mut c, FRONT, OK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    assert!(world.traces().is_empty());
    assert_eq!(world.counters.spans_unsampled.get(), 4);
}

#[test]
fn a_sender_that_denies_recording_without_naming_a_trace_is_obeyed() {
    for header in ["b3: 0\r\n", "X-B3-Sampled: 0\r\n", "x-datadog-sampling-priority: 0\r\n"] {
        let mut world = World::new();
        let (mut a, mut b) = world.connect(80);
        let request = get("/", header);
        world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
        world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
        assert!(world.traces().is_empty(), "{header}");
        assert_eq!(world.counters.spans_unsampled.get(), 2);
    }
}

#[test]
fn a_call_that_names_another_trace_than_its_thread_serves_follows_the_wire() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/", ""), get("/x", CONTEXT));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.pass(&mut c, FRONT, &mut d, BACK, &second);
    world.pass(&mut d, BACK, &mut c, FRONT, OK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    assert_eq!(traces.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    assert!(traces.iter().any(|t| t[0].trace_id[..2] == [0x0a, 0xf7]));
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
