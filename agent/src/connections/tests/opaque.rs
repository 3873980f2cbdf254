//! What is encrypted and not read is told in stretches, and never in the way of what is read.

use wirespan_common::{EGRESS, INGRESS};
use wirespan_protocols::exchange::{Exchange, SpanKind, Value};

use super::sessions::{Session, hello, record};
use super::{Server, Signal, Socket, Verdict};
use crate::tls::Library;

/// A server's first record, which agrees on TLS 1.2.
fn answer() -> Vec<u8> {
    let message = [&[3, 3], &[9; 32][..], &[0, 0x13, 1, 0]].concat();
    let body = [&[2, 0, 0, message.len() as u8][..], &message].concat();
    [&[22, 3, 3, 0, body.len() as u8][..], &body].concat()
}

/// A client's first record that names the server.
fn named_hello(name: &str) -> Vec<u8> {
    let list = [&[0, 0, name.len() as u8], name.as_bytes()].concat();
    let content = [&[0, list.len() as u8], &list[..]].concat();
    let extension = [&[0, 0, 0, content.len() as u8], &content[..]].concat();
    let head = [&[3, 3], &[7; 32][..], &[0, 0, 2, 0x13, 1, 1, 0, 0, extension.len() as u8]].concat();
    let message = [head, extension].concat();
    let body = [&[1, 0, 0, message.len() as u8][..], &message].concat();
    [&[22, 3, 1, 0, body.len() as u8][..], &body].concat()
}

/// What became of spans, since this was last asked.
#[derive(Debug, Default)]
struct Told {
    began: usize,
    dropped: usize,
    ended: Vec<Exchange>,
}

impl Server {
    fn told(&mut self) -> Told {
        let mut told = Told::default();
        for signal in self.out.drain(..) {
            match signal {
                Signal::Started(started) => {
                    assert_eq!(started.connection.opaque, started.protocol == "tls");
                    told.began += 1;
                }
                Signal::Finished(_, exchange, _) => told.ended.push(*exchange),
                Signal::Dropped(_) => told.dropped += 1,
                _ => {}
            }
        }
        told
    }

    fn handshake(&mut self, socket: &mut Socket, random: u8) {
        self.request(socket, &hello(random));
        self.response(socket, &answer());
    }

    fn ask_secretly(&mut self, socket: &mut Socket) {
        self.request(socket, &record());
        self.response(socket, &record());
    }

    /// The program lets go of its socket, which the other end has closed.
    fn close(&mut self, socket: &Socket) {
        self.operation(socket, INGRESS, 0, &[]);
        self.state(socket.cookie, (8, 7), wirespan_common::STATE_LET_GO, 0, wirespan_common::AF_INET);
    }
}

fn value(exchange: &Exchange, key: &str) -> Option<Value> {
    exchange.attributes.iter().find(|a| a.key == key).map(|a| a.value.clone())
}

#[test]
fn a_connection_that_is_not_read_is_one_span_with_what_was_moved() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    server.handshake(&mut socket, 7);
    for _ in 0..3 {
        server.ask_secretly(&mut socket);
    }
    assert_eq!(server.told().began, 1);
    server.close(&socket);
    let told = server.told();
    let [exchange] = &told.ended[..] else { panic!("{told:?}") };
    assert_eq!((told.began, told.dropped, exchange.name.as_ref()), (0, 0, "TLS"));
    let is = |key: &str| value(exchange, key);
    assert_eq!(is("wirespan.tls"), Some(Value::Str("opaque".into())));
    assert_eq!(is("wirespan.tls.reason"), Some(Value::Str("library_unknown".into())));
    assert_eq!(is("tls.protocol.version"), Some(Value::Str("1.2".into())));
    assert_eq!(is("wirespan.tls.request.size"), Some(Value::Int(socket.received as i64)));
    assert_eq!(is("wirespan.tls.response.size"), Some(Value::Int(socket.sent as i64)));
    assert!(exchange.request.first.time < exchange.end);
}

#[test]
fn a_process_of_which_nothing_is_ever_read_is_told_of_at_once_and_before_it_asks() {
    let mut server = Server::new();
    let mut first = Socket::new(1);
    server.handshake(&mut first, 7);
    assert_eq!(server.told().began, 0, "its plaintext may yet come");
    server.close(&first);
    let told = server.told();
    assert_eq!((told.began, told.ended.len()), (1, 1));
    server.request(&mut Socket::new(2), &hello(8));
    assert_eq!(server.told().began, 1);
}

#[test]
fn what_is_read_after_all_is_not_told_twice() {
    let mut server = Server::new();
    let mut first = Socket::new(1);
    server.handshake(&mut first, 7);
    server.close(&first);
    server.told();
    let mut second = Socket::new(2);
    server.handshake(&mut second, 8);
    assert_eq!(server.told().began, 1);
    server.exchange(&mut Session::new(0x100, 8), "/read", 0);
    let told = server.told();
    assert_eq!((told.began, told.dropped), (1, 1));
    assert_eq!(told.ended.iter().map(|e| e.name.as_ref()).collect::<Vec<_>>(), ["GET /read"]);
    server.close(&second);
    assert!(server.told().ended.is_empty());
    // And from then on it is waited for.
    let mut third = Socket::new(3);
    server.handshake(&mut third, 9);
    server.close(&third);
    assert_eq!(server.told().began, 0, "nothing was said in it");
}

#[test]
fn where_a_library_is_read_nothing_is_told_before_something_was_surely_said() {
    let mut server = Server::new();
    server.process.tls.set_library(Library::Read);
    server.process.tls.was_unread();
    let mut socket = Socket::new(1);
    server.handshake(&mut socket, 7);
    server.ask_secretly(&mut socket);
    assert_eq!(server.told().began, 0);
    server.ask_secretly(&mut socket);
    assert_eq!(server.told().began, 1);
    server.close(&socket);
    let told = server.told();
    assert_eq!(value(&told.ended[0], "wirespan.tls.reason"), Some(Value::Str("nothing_seen".into())));
}

/// Nothing passes for so long.
const PAUSE: u64 = 2 * super::super::opaque::QUIET;

impl Server {
    /// Time passes, in which the agent looks at its connections every second.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1_000_000_000;
            self.connections.tick(self.now, &mut self.out);
        }
    }

    /// A connection that is not read, of which one stretch is over.
    fn rested(&mut self) -> Socket {
        let mut socket = Socket::new(1);
        self.handshake(&mut socket, 7);
        (0..3).for_each(|_| self.ask_secretly(&mut socket));
        self.pass(2);
        socket
    }
}

fn sizes(exchange: &Exchange) -> [i64; 2] {
    ["wirespan.tls.request.size", "wirespan.tls.response.size"].map(|key| match value(exchange, key) {
        Some(Value::Int(size)) => size,
        other => panic!("{key}: {other:?}"),
    })
}

#[test]
fn one_that_rests_is_told_and_what_follows_is_told_on_its_own() {
    let mut server = Server::new();
    let mut socket = server.rested();
    let first = socket;
    let told = server.told();
    let [exchange] = &told.ended[..] else { panic!("{told:?}") };
    assert_eq!(sizes(exchange), [first.received as i64, first.sent as i64]);
    assert!(exchange.end + PAUSE <= server.now + 1_000_000, "it ends with its last byte");
    server.ask_secretly(&mut socket);
    assert_eq!(server.told().began, 1, "at once");
    server.pass(2);
    let told = server.told();
    let [exchange] = &told.ended[..] else { panic!("{told:?}") };
    assert_eq!(sizes(exchange), [record().len() as i64; 2]);
    assert_eq!(exchange.request.first.position as u32, first.received as u32);
    server.close(&socket);
    assert_eq!(server.told().ended.len(), 0, "nothing was said since");
}

#[test]
fn whose_answer_is_waited_for_does_not_rest_but_no_stretch_is_longer_than_a_minute() {
    let mut server = Server::new();
    let mut socket = server.rested();
    server.told();
    server.request(&mut socket, &record());
    server.pass(30);
    assert_eq!(server.told().ended.len(), 0);
    server.pass(31);
    assert_eq!(server.told().ended.len(), 1);
    server.response(&mut socket, &record());
    server.pass(2);
    let told = server.told();
    assert_eq!((told.began, told.ended.len()), (0, 0), "what the server says unasked");
    server.ask_secretly(&mut socket);
    server.pass(2);
    let told = server.told();
    assert_eq!(
        sizes(&told.ended[0]),
        [record().len() as i64, 2 * record().len() as i64],
        "is counted with what follows"
    );
}

#[test]
fn a_client_that_takes_its_leave_says_nothing_that_is_told() {
    let mut server = Server::new();
    let mut socket = server.rested();
    server.told();
    server.request(&mut socket, &record());
    server.close(&socket);
    let told = server.told();
    assert_eq!((told.began, told.dropped, told.ended.len()), (1, 1, 0));
}

#[test]
fn a_request_that_is_never_answered_is_told_with_the_connections_end() {
    let mut server = Server::new();
    let mut socket = server.rested();
    server.told();
    for _ in 0..1 + 128 / record().len() {
        server.request(&mut socket, &record());
    }
    server.close(&socket);
    assert_eq!(server.told().ended.len(), 1);
}

#[test]
fn of_a_busy_one_it_is_heard_once_a_second_and_all_is_told_that_passed() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    server.handshake(&mut socket, 7);
    let hushed = (0..4000).any(|_| {
        let said = [server.request(&mut socket, &record()), server.response(&mut socket, &record())];
        said.contains(&Verdict::Hush)
    });
    assert!(hushed);
    for _ in 0..59 {
        // What the kernel does not tell any more.
        (socket.received, socket.sent) = (socket.received + 5000, socket.sent + 7000);
        server.pass(1);
        assert_eq!(server.connections.roused().collect::<Vec<_>>(), [1]);
        assert_eq!(server.request(&mut socket, &record()), Verdict::Hush, "again");
    }
    server.pass(2);
    let told = server.told();
    assert_eq!((told.began, told.dropped, told.ended.len()), (1, 0, 1), "after a minute");
    // And its end.
    server.ask_secretly(&mut socket);
    (socket.received, socket.sent) = (socket.received + 5000, socket.sent + 7000);
    server.stand.insert(socket.cookie, socket);
    server.state(socket.cookie, (8, 7), wirespan_common::STATE_LET_GO, 0, wirespan_common::AF_INET);
    let last = server.told();
    assert_eq!(last.ended.len(), 1);
    let all = [&told.ended[0], &last.ended[0]].map(sizes);
    assert_eq!([all[0][0] + all[1][0], all[0][1] + all[1][1]], [socket.received as i64, socket.sent as i64]);
}

#[test]
fn one_that_the_agent_leaves_has_no_end_and_is_dropped() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    server.handshake(&mut socket, 7);
    server.ask_secretly(&mut socket);
    server.ask_secretly(&mut socket);
    let now = server.now;
    server.connections.finish(now, &mut server.out);
    let told = server.told();
    assert_eq!((told.began, told.dropped, told.ended.len()), (1, 1, 0));
}

#[test]
fn a_clients_name_for_the_server_is_the_clients_alone() {
    let mut server = Server::new();
    let hello = named_hello("shop.example");
    for (cookie, direction) in [(1, EGRESS), (2, INGRESS)] {
        let mut socket = Socket::new(cookie);
        for (way, bytes) in [(direction, &hello[..]), (1 - direction, &answer())] {
            *if way == EGRESS { &mut socket.sent } else { &mut socket.received } += bytes.len() as u64;
            server.operation(&socket, way, bytes.len() as i32, bytes);
        }
        server.close(&socket);
    }
    let kinds: Vec<_> = server
        .out
        .iter()
        .filter_map(|s| if let Signal::Started(started) = s { Some(started.started.kind) } else { None })
        .collect();
    assert_eq!(kinds, [SpanKind::Client, SpanKind::Server]);
    let told = server.told();
    let names: Vec<_> = told.ended.iter().map(|e| value(e, "server.address")).collect();
    assert_eq!(names, [Some(Value::Str("shop.example".into())), None]);
}
