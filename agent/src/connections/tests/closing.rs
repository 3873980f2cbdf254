//! What the end of a connection says of an answer that was not seen.

use wirespan_common::{AF_UNIX, STATE_LET_GO, SocketPositions};
use wirespan_protocols::exchange::Value;

use super::*;
use crate::connections::Descriptor;

const ESTABLISHED: u8 = 1;
const FIN_WAIT1: u8 = 4;
const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const RESET: u32 = 104;

/// What became of each exchange: its `error.type`, `ok`, or `dropped`.
fn fates(server: &Server) -> Vec<String> {
    let fate = |signal: &Signal| match signal {
        Signal::Finished(_, exchange, _) => {
            let error = exchange.attributes.iter().find(|a| a.key == "error.type").map(|a| &a.value);
            Some(match error {
                Some(Value::Str(error)) => error.to_string(),
                _ => "ok".to_owned(),
            })
        }
        Signal::Dropped(_) => Some("dropped".to_owned()),
        _ => None,
    };
    server.out.iter().filter_map(fate).collect()
}

/// A client: what it sends are requests.
fn ask(server: &mut Server, socket: &mut Socket) {
    let Said::Request(bytes) = request("/x") else { unreachable!() };
    server.response(socket, &bytes);
}

#[test]
fn a_connection_that_ends_where_the_last_answer_was_seen_was_closed_without_another() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    ask(&mut server, &mut socket);
    server.operation(&socket, INGRESS, 0, b"");
    assert_eq!(fates(&server), ["connection_closed"]);
}

#[test]
fn an_answer_that_was_lost_before_the_end_is_no_error() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    ask(&mut server, &mut socket);
    // The record of the answer was lost; the end says where it stands.
    socket.received += 120;
    server.operation(&socket, INGRESS, 0, b"");
    server.connections.finish(server.now, &mut server.out);
    assert_eq!(fates(&server), ["dropped"]);
    assert_eq!((server.counters.gaps.get(), server.counters.gap_bytes.get()), (1, 120));
}

#[test]
fn an_answer_that_was_lost_before_a_reset_is_no_error() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    ask(&mut server, &mut socket);
    socket.received += 120;
    server.operation(&socket, INGRESS, -104, b"");
    server.connections.finish(server.now, &mut server.out);
    assert_eq!(fates(&server), ["dropped"]);
}

#[test]
fn the_end_of_an_answer_whose_middle_was_lost_is_where_the_connection_ended() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    ask(&mut server, &mut socket);
    let begins = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
    socket.received += begins.len() as u64;
    server.operation(&socket, INGRESS, begins.len() as i32, begins);
    socket.received += 90;
    server.operation(&socket, INGRESS, 0, b"");
    assert_eq!(fates(&server), ["ok"]);
}

/// What becomes of a request whose answer was lost, when the kernel says how the connection ended.
fn fate_of_lost_answer(serves: bool, changes: &[((u8, u8), u8, u32)]) -> Vec<String> {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    if serves {
        server.converse(&mut socket, &[request("/x")]);
        socket.sent += 120;
    } else {
        ask(&mut server, &mut socket);
        socket.received += 120;
    }
    server.stand.insert(1, socket);
    for (change, flags, error) in changes {
        server.state(1, *change, *flags, *error, AF_INET);
    }
    fates(&server)
}

#[test]
fn an_answer_that_was_lost_before_a_program_let_go_is_neither_given_up_nor_missing() {
    for serves in [false, true] {
        for changes in [
            &[((ESTABLISHED, FIN_WAIT1), STATE_LET_GO, 0)][..],
            &[((CLOSE_WAIT, LAST_ACK), STATE_LET_GO, 0)],
            &[((ESTABLISHED, CLOSE), STATE_LET_GO, 0)],
            &[((ESTABLISHED, CLOSE), 0, RESET), ((CLOSE, CLOSE), STATE_LET_GO, 0)],
        ] {
            assert_eq!(fate_of_lost_answer(serves, changes), ["dropped"], "serves: {serves}, {changes:?}");
        }
    }
}

#[test]
fn an_answer_that_was_lost_before_a_server_finished_sending_is_not_missing() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    server.converse(&mut socket, &[request("/x")]);
    socket.sent += 120;
    server.stand.insert(1, socket);
    server.state(1, (ESTABLISHED, FIN_WAIT1), 0, 0, AF_INET);
    server.state(1, (5, CLOSE), STATE_LET_GO, 0, AF_INET);
    assert_eq!(fates(&server), ["dropped"]);
}

impl Server {
    /// An operation on a Unix socket whose other end is `peer`.
    fn unix(&mut self, socket: &Socket, peer: u64, direction: u8, result: i32, bytes: &[u8]) {
        self.now += 1000;
        let event = IoEvent {
            epoch: 5,
            endpoints: Endpoints { family: AF_UNIX, peer_cookie: peer, ..Endpoints::default() },
            inode: 77,
            ..self.event(socket, direction, result, bytes)
        };
        let process = Arc::clone(&self.process);
        self.connections.operation(&event, bytes, &process, &mut self.out);
    }

    /// The program has closed its socket, of which the kernel counted so much.
    fn ask_after(&mut self, stood: Option<SocketPositions>) {
        self.now += 20_000_000;
        self.connections.ask(self.now, |_: &mut Descriptor| false, |_| stood, &mut self.out);
    }
}

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn what_the_other_end_of_a_unix_socket_has_read_was_sent_though_it_was_lost() {
    for (read, fate) in [(0, "connection_closed"), (120, "dropped")] {
        let mut server = Server::new();
        let (asks, serves) = (Socket { cookie: 1, ..Socket::default() }, Socket { cookie: 2, ..Socket::default() });
        let length = GET.len() as u64;
        server.unix(&Socket { received: length, ..serves }, 1, INGRESS, length as i32, GET);
        // The other end is read by a program that is traced as well: its own records were lost, but for the last.
        server.unix(&Socket { sent: length, ..asks }, 2, EGRESS, length as i32, GET);
        server.unix(&Socket { sent: length, received: read, ..asks }, 2, INGRESS, 0, b"");
        assert_eq!(fates(&server), [fate, fate], "read: {read}");
    }
}

#[test]
fn a_unix_socket_that_is_gone_was_given_up_if_the_kernel_counted_no_more_than_was_seen() {
    let length = GET.len() as u64;
    let seen = SocketPositions { reserved: 0, epoch: 5, tx: length, rx: 0 };
    let cases = [
        (Some(seen), "given_up"),
        (Some(SocketPositions { rx: 120, ..seen }), "dropped"),
        (Some(SocketPositions { epoch: 6, ..seen }), "dropped"),
        (None, "dropped"),
    ];
    for (stood, fate) in cases {
        let mut server = Server::new();
        server.unix(&Socket { cookie: 1, sent: length, received: 0 }, 2, EGRESS, length as i32, GET);
        // What was moved last may still be on its way here.
        server.ask_after(stood);
        server.ask_after(stood);
        assert_eq!(fates(&server), [fate], "{stood:?}");
    }
}

#[test]
fn an_answer_that_was_late_is_still_read_from_a_unix_socket_that_is_gone() {
    let (mut server, length) = (Server::new(), GET.len() as u64);
    let mut socket = Socket { cookie: 1, sent: length, received: 0 };
    server.unix(&socket, 2, EGRESS, length as i32, GET);
    let Said::Response(answer) = response() else { unreachable!() };
    socket.received = answer.len() as u64;
    let stood = SocketPositions { reserved: 0, epoch: 5, tx: length, rx: socket.received };
    server.ask_after(Some(stood));
    assert_eq!(fates(&server), Vec::<String>::new());
    server.unix(&socket, 2, INGRESS, answer.len() as i32, &answer);
    assert_eq!(fates(&server), ["ok"]);
}

#[test]
fn a_datagram_that_may_have_been_lost_may_have_been_the_answer() {
    let query: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    let mine = Server::new().process.tgid;
    for (lost, fate) in
        [(None, "no_answer"), (Some(None), "dropped"), (Some(Some(mine)), "dropped"), (Some(Some(1)), "no_answer")]
    {
        let mut server = Server::new();
        let event = IoEvent {
            flags: FLAG_DATAGRAM,
            inode: 77,
            endpoints: Endpoints { family: AF_INET, local_port: 40_000, peer_port: 53, ..Endpoints::default() },
            ..server.event(&Socket::new(1), EGRESS, query.len() as i32, query)
        };
        let process = Arc::clone(&server.process);
        server.connections.operation(&event, query, &process, &mut server.out);
        if let Some(of) = lost {
            server.connections.records_lost(of, server.now + 1);
        }
        server.ask_after(None);
        assert_eq!(fates(&server), [fate], "{lost:?}");
    }
}
