//! Plaintext of TLS goes to its own connection, or to none.

use std::sync::Arc;

use wirespan_common::{
    EGRESS, FLAG_TLS_BROKEN, FLAG_TLS_SERVER, INGRESS, PlainEvent, TIE_CALLED, TIE_OWN, TIE_RECORD, TIE_WRAPPED, UnitId,
};
use wirespan_links::Inside;
use wirespan_protocols::exchange::{KeyValue, Value};

use super::{Server, Signal, Socket, Verdict};

/// A client's first record with this random, and nothing else.
pub fn hello(random: u8) -> Vec<u8> {
    let message = [&[3, 3], &[random; 32][..], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let body = [&[1, 0, 0, message.len() as u8][..], &message].concat();
    [&[22, 3, 1, 0, body.len() as u8][..], &body].concat()
}

/// An encrypted record.
pub fn record() -> Vec<u8> {
    [&[23, 3, 3, 0, 40][..], &[0xaa; 40]].concat()
}

/// A session in the memory of the process.
#[derive(Clone, Copy)]
pub struct Session {
    address: u64,
    random: u8,
    flags: u8,
    tie: u8,
    since: Option<u64>,
    sent: u64,
    received: u64,
}

impl Session {
    pub fn new(address: u64, random: u8) -> Self {
        Self { address, random, flags: FLAG_TLS_SERVER, tie: TIE_CALLED, since: None, sent: 0, received: 0 }
    }

    /// One that says itself on which socket it is, and nothing else.
    fn own(address: u64, tie: u8) -> Self {
        Self { tie, ..Self::new(address, 0) }
    }
}

impl Server {
    fn plaintext(&mut self, session: &mut Session, direction: u8, bytes: &[u8], cookie: u64) -> Option<(u64, Verdict)> {
        self.now += 1000;
        *if direction == EGRESS { &mut session.sent } else { &mut session.received } += bytes.len() as u64;
        let event = PlainEvent {
            direction,
            flags: session.flags,
            tie: session.tie,
            captured: bytes.len() as u32,
            len: bytes.len() as u32,
            epoch: 1,
            time: self.now,
            cookie,
            session: session.address,
            tx: session.sent,
            rx: session.received,
            random: [session.random; 16],
            unit: UnitId { tgid: self.process.tgid, tid: self.process.tgid, ..UnitId::default() },
            ..PlainEvent::default()
        };
        let process = Arc::clone(&self.process);
        self.connections.plaintext(&event, bytes, &process, session.since, &mut self.out)
    }

    /// A record that this half of a session has made passed on a socket, on which so much had been sent and received before.
    fn passed(&mut self, half: u64, cookie: u64, [sent, received]: [u64; 2]) {
        self.now += 1000;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&half.to_ne_bytes());
        random[8..].copy_from_slice(&1_u64.to_ne_bytes());
        let event = PlainEvent {
            direction: EGRESS,
            tie: TIE_RECORD,
            epoch: 1,
            time: self.now,
            cookie,
            session: cookie,
            tx: sent,
            rx: received,
            random,
            unit: UnitId { tgid: self.process.tgid, tid: self.process.tgid, ..UnitId::default() },
            ..PlainEvent::default()
        };
        let process = Arc::clone(&self.process);
        assert_eq!(self.connections.plaintext(&event, &[], &process, None, &mut self.out), None);
    }

    /// A request and its response pass through a session.
    pub fn exchange(&mut self, session: &mut Session, path: &str, cookie: u64) -> [Option<u64>; 2] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let first = self.plaintext(session, INGRESS, request.as_bytes(), cookie);
        let second = self.plaintext(session, EGRESS, response, cookie);
        [first, second].map(|told| told.map(|(cookie, _)| cookie))
    }

    /// Sockets and keys of requests that began, and their sessions, since this was last asked.
    fn began(&mut self) -> Vec<(u64, Option<Inside>)> {
        let socket = |signal: &Signal| match signal {
            Signal::Started(started) => Some((started.connection.cookie, started.connection.inside)),
            _ => None,
        };
        let found = self.out.iter().filter_map(socket).collect();
        self.out.clear();
        found
    }
}

#[test]
fn a_session_is_on_the_socket_that_its_random_was_seen_on() {
    let mut server = Server::new();
    let (mut one, mut two) = (Socket::new(1), Socket::new(2));
    server.request(&mut one, &hello(7));
    server.request(&mut two, &hello(8));
    let (mut first, mut second) = (Session::new(0x100, 7), Session::new(0x200, 8));
    assert_eq!(server.exchange(&mut second, "/two", 0), [Some(2); 2]);
    assert_eq!(server.exchange(&mut first, "/one", 0), [Some(1); 2]);
    assert_eq!(server.began().iter().map(|(cookie, _)| *cookie).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(server.counters.tls_tied.get(), 2);
}

#[test]
fn an_exchange_inside_says_so() {
    let mut server = Server::new();
    server.request(&mut Socket::new(1), &hello(7));
    server.exchange(&mut Session::new(0x100, 7), "/one", 0);
    let attributes: Vec<KeyValue> = server
        .out
        .iter()
        .filter_map(
            |signal| if let Signal::Finished(_, exchange, _) = signal { Some(&exchange.attributes) } else { None },
        )
        .flatten()
        .cloned()
        .collect();
    let scheme = attributes.iter().find(|a| a.key == "url.scheme").unwrap();
    assert_eq!(scheme.value, Value::Str("https".into()));
}

#[test]
fn plaintext_that_comes_before_its_hello_waits_for_it() {
    let mut server = Server::new();
    let mut session = Session::new(0x100, 7);
    assert_eq!(server.exchange(&mut session, "/early", 0), [None; 2]);
    assert_eq!(server.finished(), [""; 0]);
    server.request(&mut Socket::new(1), &hello(7));
    assert_eq!(server.finished(), ["GET /early"]);
}

#[test]
fn plaintext_whose_hello_never_comes_is_given_up() {
    let mut server = Server::new();
    server.exchange(&mut Session::new(0x100, 7), "/lost", 0);
    let later = server.now + 2_000_000_000;
    server.connections.tick(later, &mut server.out);
    server.request(&mut Socket::new(1), &hello(7));
    assert_eq!(server.finished(), [""; 0]);
    assert_eq!(server.counters.tls_untied.get(), 2);
}

#[test]
fn what_two_sockets_could_be_only_a_call_tells() {
    let mut server = Server::new();
    // A process that passes on what it is sent, and ends TLS as well: both sockets have the same hello.
    server.request(&mut Socket::new(1), &hello(7));
    server.request(&mut Socket::new(2), &hello(7));
    assert_eq!(server.exchange(&mut Session::new(0x100, 7), "/unknown", 0), [None; 2]);
    assert_eq!(server.exchange(&mut Session::new(0x200, 7), "/called", 2), [Some(2); 2]);
    assert_eq!(server.began().iter().map(|(cookie, _)| *cookie).collect::<Vec<_>>(), [2]);
}

#[test]
fn the_other_end_of_a_session_in_the_same_process_is_another_socket() {
    let mut server = Server::new();
    let (mut accepted, mut dialled) = (Socket::new(1), Socket::new(2));
    server.request(&mut accepted, &hello(7));
    server.response(&mut dialled, &hello(7));
    let mut client = Session { flags: 0, ..Session::new(0x100, 7) };
    let request = b"GET /self HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(server.plaintext(&mut client, EGRESS, request, 0).map(|(cookie, _)| cookie), Some(2));
    let mut own = Session::new(0x200, 7);
    assert_eq!(server.plaintext(&mut own, INGRESS, request, 0).map(|(cookie, _)| cookie), Some(1));
}

#[test]
fn facts_that_disagree_give_plaintext_to_nobody() {
    let mut server = Server::new();
    server.request(&mut Socket::new(1), &hello(7));
    server.request(&mut Socket::new(2), &hello(8));
    // Its random is one socket's, its call used the other.
    assert_eq!(server.exchange(&mut Session::new(0x100, 7), "/wrong", 2), [None; 2]);
    // Its random is nobody's, and the socket that its call used began another session.
    assert_eq!(server.exchange(&mut Session::new(0x200, 9), "/wrong", 2), [None; 2]);
    // It was one socket's, and is not any more.
    let mut session = Session::new(0x300, 7);
    assert_eq!(server.exchange(&mut session, "/right", 1), [Some(1); 2]);
    assert_eq!(server.exchange(&mut session, "/wrong", 2), [None; 2]);
    assert_eq!(server.counters.tls_conflicts.get(), 6);
    assert_eq!(server.finished(), ["GET /right"]);
}

#[test]
fn a_connection_that_is_older_than_the_agent_is_known_by_a_call() {
    let mut server = Server::new();
    let mut old = Socket { cookie: 5, received: 1000, sent: 1000 };
    for _ in 0..40 {
        assert_ne!(server.request(&mut old, &record()), Verdict::Mute, "its plaintext may yet come");
        assert_ne!(server.response(&mut old, &record()), Verdict::Mute);
    }
    assert_eq!(server.exchange(&mut Session::new(0x100, 7), "/old", 5), [Some(5); 2]);
    let [(5, Some(inside))] = server.began()[..] else { panic!("one request") };
    assert!(!inside.whole, "what passed before nobody counted");
}

#[test]
fn a_connection_that_is_older_than_the_agent_is_not_whole_though_it_is_first_used_later() {
    let mut server = Server::new();
    let since = Some(server.now + 1);
    server.now += 10;
    let mut old = Socket { cookie: 5, received: 1000, sent: 1000 };
    server.request(&mut old, &record());
    let mut session = Session { since, ..Session::new(0x100, 7) };
    assert_eq!(server.exchange(&mut session, "/old", 5), [Some(5); 2]);
    let [(5, Some(inside))] = server.began()[..] else { panic!("one request") };
    assert!(!inside.whole, "a call may have been under way, and what it read was not counted");
}

#[test]
fn only_what_was_counted_from_its_first_byte_on_is_whole() {
    let mut server = Server::new();
    server.request(&mut Socket::new(1), &hello(1));
    let since = Some(server.now + 1);
    server.now += 10;
    for random in [2, 3] {
        server.request(&mut Socket::new(random.into()), &hello(random));
    }
    let new = |address, random| Session { since, ..Session::new(address, random) };
    let (mut before, mut after) = (new(0x100, 1), new(0x200, 2));
    let mut broken = Session { flags: FLAG_TLS_SERVER | FLAG_TLS_BROKEN, ..new(0x300, 3) };
    for session in [&mut before, &mut after, &mut broken] {
        server.exchange(session, "/one", 0);
    }
    // Another session at the same connection, behind the first, was not counted from the beginning either.
    server.exchange(&mut new(0x400, 2), "/two", 0);
    let whole: Vec<_> = server.began().iter().map(|(_, inside)| inside.unwrap().whole).collect();
    assert_eq!(whole, [false, true, false, false]);
}

#[test]
fn a_session_that_says_which_socket_it_is_on_is_there_whatever_random_was_seen() {
    let mut server = Server::new();
    for random in [1, 2] {
        server.request(&mut Socket::new(random.into()), &hello(random));
    }
    for (socket, since) in [(1, None), (2, Some(0))] {
        let mut session = Session { since, ..Session::own(0x100 + socket, TIE_OWN) };
        assert_eq!(server.exchange(&mut session, "/one", socket), [Some(socket); 2]);
    }
    let inside = |random: u8, whole| Some(Inside { random: [random; 16], whole });
    // The hello on the socket tells both ends of each other, if all that passed since was seen.
    assert_eq!(server.began(), [(1, inside(1, false)), (2, inside(2, true))]);
}

#[test]
fn while_a_library_is_being_probed_no_session_of_it_is_whole() {
    let mut server = Server::new();
    let since = Some(server.now + 1);
    server.now += 10;
    for random in [1, 2] {
        server.request(&mut Socket::new(random.into()), &hello(random));
    }
    server.exchange(&mut Session::new(0x100, 1), "/one", 0);
    server.exchange(&mut Session { since, ..Session::new(0x200, 2) }, "/two", 0);
    let whole: Vec<_> = server.began().iter().map(|(_, inside)| inside.unwrap().whole).collect();
    assert_eq!(whole, [false, true]);
}

#[test]
fn what_is_written_before_anything_of_its_socket_was_seen_is_read_then_and_in_order() {
    let mut server = Server::new();
    let mut session = Session::own(0x100, TIE_OWN);
    assert_eq!(server.plaintext(&mut session, INGRESS, b"GET /early HTTP/1.1\r\nHost: a\r\n\r\n", 5), None);
    server.request(&mut Socket::new(5), &record());
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(server.plaintext(&mut session, EGRESS, answer, 5).map(|(cookie, _)| cookie), Some(5));
    assert_eq!(server.finished(), ["GET /early"]);
    assert_eq!(server.counters.tls_untied.get(), 0);
}

#[test]
fn what_wraps_a_connection_is_believed_of_one_that_is_encrypted_and_of_nobody_elses() {
    let mut server = Server::new();
    server.request(&mut Socket::new(1), b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n");
    server.request(&mut Socket::new(2), &record());
    assert_eq!(server.exchange(&mut Session::own(0x100, TIE_WRAPPED), "/one", 1), [None; 2]);
    assert_eq!(server.exchange(&mut Session::own(0x200, TIE_WRAPPED), "/two", 2), [Some(2); 2]);
    let later = server.now + 2_000_000_000;
    server.connections.tick(later, &mut server.out);
    assert_eq!(server.counters.tls_untied.get(), 2);
}

#[test]
fn what_is_in_a_record_waits_until_that_passes_on_a_socket_and_another_half_of_a_session_waits_on() {
    let mut server = Server::new();
    for cookie in [5, 6] {
        server.request(&mut Socket::new(cookie), &record());
    }
    let (mut half, mut other) = (Session::own(0x100, TIE_RECORD), Session::own(0x200, TIE_RECORD));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for session in [&mut half, &mut other] {
        assert_eq!(server.plaintext(session, EGRESS, answer, 0), None);
    }
    let request = b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut known = Session::own(6, TIE_RECORD);
    assert_eq!(server.plaintext(&mut known, INGRESS, request, 6).map(|(cookie, _)| cookie), Some(6));
    assert!(server.finished().is_empty());
    server.passed(0x100, 6, [0, request.len() as u64]);
    assert_eq!(server.finished(), ["GET /held"]);
    let later = server.now + 2_000_000_000;
    server.connections.tick(later, &mut server.out);
    assert_eq!((server.counters.tls_untied.get(), server.counters.tls_conflicts.get()), (1, 0));
}

#[test]
fn less_is_captured_of_what_is_encrypted_and_gaps_in_it_are_none() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    server.request(&mut socket, &hello(7));
    let mut said = Vec::new();
    for _ in 0..20 {
        socket.received += 1000;
        said.push(server.operation(&socket, INGRESS, 1000, &record()[..16]));
    }
    assert_eq!(said.iter().filter(|verdict| **verdict == Verdict::Secure).count(), 1);
    assert_eq!(server.counters.gaps.get(), 0);
}

#[test]
fn what_is_encrypted_and_never_read_is_given_up_at_last() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    server.request(&mut socket, &hello(7));
    let muted = (0..10_000).any(|_| server.request(&mut socket, &record()) == Verdict::Mute);
    assert!(muted);
    assert_eq!(server.counters.connections_muted.get(), 1);
}

#[test]
fn the_end_of_the_connection_ends_what_is_under_way_inside() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    server.request(&mut socket, &hello(7));
    server.plaintext(&mut Session::new(0x100, 7), INGRESS, b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    server.operation(&socket, INGRESS, -104, &[]);
    assert_eq!(server.finished(), ["GET /broken"]);
}
