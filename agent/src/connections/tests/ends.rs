//! Who ended a connection, and connections that could not be opened.

use std::sync::Arc;

use wirespan_common::{AF_INET, AF_INET6, Endpoints, Kind, STATE_LET_GO, StateEvent, UnitId};
use wirespan_protocols::exchange::{KeyValue, Value};

use super::{Server, Signal, Socket};

const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const FIN_WAIT1: u8 = 4;
const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const REFUSED: u32 = 111;
const RESET: u32 = 104;
const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const MILLISECOND: u64 = 1_000_000;

impl Server {
    pub fn state(&mut self, cookie: u64, change: (u8, u8), flags: u8, error: u32, family: u8) {
        self.now += 1000;
        let Socket { sent, received, .. } = self.stand.get(&cookie).copied().unwrap_or_default();
        let event = StateEvent {
            kind: Kind::State as u8,
            old: change.0,
            new: change.1,
            flags,
            error,
            time: self.now,
            cookie,
            tx_position: sent & 0xffff_ffff,
            rx_position: received & 0xffff_ffff,
            unit: UnitId { tgid: self.process.tgid, tid: 7, ..UnitId::default() },
            endpoints: Endpoints { family, peer_port: 5432, ..Endpoints::default() },
        };
        let process = Some(Arc::clone(&self.process));
        self.connections.state(&event, process, &mut self.out);
    }

    pub fn wait(&mut self, time: u64) {
        self.now += time;
        self.connections.tick(self.now, &mut self.out);
    }

    /// `error.type` or nothing, whether it is marked as given up, and the end, of each exchange that finished.
    fn ends(&self) -> Vec<(String, bool, u64)> {
        let text = |value: &Value| match value {
            Value::Str(text) => text.clone().into_owned(),
            other => panic!("{other:?}"),
        };
        let finished = self.out.iter().filter_map(|signal| match signal {
            Signal::Finished(_, exchange, _) => Some(exchange),
            _ => None,
        });
        let of = |attributes: &[KeyValue]| {
            let error = attributes.iter().find(|a| a.key == "error.type").map(|a| text(&a.value));
            (error.unwrap_or_default(), attributes.iter().any(|a| a.key == "wirespan.given_up"))
        };
        finished
            .map(|exchange| (of(&exchange.attributes), exchange.end))
            .map(|((e, mark), end)| (e, mark, end))
            .collect()
    }

    fn started(&self) -> usize {
        self.out.iter().filter(|s| matches!(s, Signal::Started(_))).count()
    }

    fn dropped(&self) -> usize {
        self.out.iter().filter(|s| matches!(s, Signal::Dropped(_))).count()
    }
}

#[test]
fn a_call_ends_when_its_program_lets_go_and_not_when_the_kernel_is_done() {
    let mut agent = Server::new();
    let mut socket = Socket::new(1);
    agent.response(&mut socket, GET);
    agent.state(1, (ESTABLISHED, FIN_WAIT1), STATE_LET_GO, 0, AF_INET);
    let let_go = agent.now;
    agent.wait(40 * MILLISECOND);
    agent.state(1, (5, CLOSE), STATE_LET_GO, 0, AF_INET);
    assert_eq!(agent.ends(), [("given_up".to_owned(), false, let_go)]);
}

#[test]
fn a_client_that_only_finishes_sending_waits_on() {
    let mut agent = Server::new();
    let mut socket = Socket::new(1);
    agent.response(&mut socket, GET);
    agent.state(1, (ESTABLISHED, FIN_WAIT1), 0, 0, AF_INET);
    agent.wait(500 * MILLISECOND);
    agent.request(&mut socket, OK);
    assert_eq!(agent.ends(), [(String::new(), false, agent.now)]);
}

#[test]
fn an_answer_to_a_client_that_has_reset_the_connection_is_marked() {
    let mut agent = Server::new();
    let mut socket = Socket::new(1);
    agent.request(&mut socket, GET);
    agent.state(1, (ESTABLISHED, CLOSE), 0, RESET, AF_INET);
    // The handler takes its time.
    agent.wait(2000 * MILLISECOND);
    assert_eq!(agent.ends(), []);
    agent.response(&mut socket, OK);
    assert_eq!(agent.ends(), [(String::new(), true, agent.now)]);
}

#[test]
fn a_server_that_does_not_answer_a_client_that_has_left_is_no_error() {
    for reset in [false, true] {
        let mut agent = Server::new();
        let mut socket = Socket::new(1);
        agent.request(&mut socket, GET);
        if reset {
            agent.state(1, (ESTABLISHED, CLOSE), 0, RESET, AF_INET);
            agent.state(1, (CLOSE, CLOSE), STATE_LET_GO, 0, AF_INET);
        } else {
            agent.state(1, (CLOSE_WAIT, LAST_ACK), STATE_LET_GO, 0, AF_INET);
        }
        assert_eq!(agent.ends(), [(String::new(), true, agent.now)], "reset: {reset}");
    }
}

#[test]
fn a_server_that_closes_an_open_connection_without_an_answer_fails() {
    let mut agent = Server::new();
    let mut socket = Socket::new(1);
    agent.request(&mut socket, GET);
    agent.state(1, (ESTABLISHED, FIN_WAIT1), STATE_LET_GO, 0, AF_INET);
    assert_eq!(agent.ends(), [("connection_closed".to_owned(), false, agent.now)]);
}

#[test]
fn a_connection_that_opens_at_once_is_not_told() {
    let mut agent = Server::new();
    agent.state(1, (CLOSE, SYN_SENT), 0, 0, AF_INET);
    agent.state(1, (SYN_SENT, ESTABLISHED), 0, 0, AF_INET);
    agent.wait(MILLISECOND);
    assert!(agent.out.is_empty());
}

#[test]
fn a_refused_connection_is_told_once_nothing_makes_it_good() {
    let mut agent = Server::new();
    agent.state(1, (CLOSE, SYN_SENT), 0, 0, AF_INET);
    agent.state(1, (SYN_SENT, CLOSE), 0, REFUSED, AF_INET);
    let failed = agent.now;
    // Another one of the same family is another failure.
    agent.state(2, (CLOSE, SYN_SENT), 0, 0, AF_INET);
    agent.state(2, (SYN_SENT, ESTABLISHED), 0, 0, AF_INET);
    agent.wait(40 * MILLISECOND);
    assert_eq!((agent.started(), agent.ends()), (1, vec![]));
    agent.wait(20 * MILLISECOND);
    assert_eq!(agent.ends(), [("connection_refused".to_owned(), false, failed)]);
}

#[test]
fn the_other_address_family_makes_good_for_the_first() {
    let mut agent = Server::new();
    agent.state(1, (CLOSE, SYN_SENT), 0, 0, AF_INET6);
    agent.state(1, (SYN_SENT, CLOSE), 0, REFUSED, AF_INET6);
    agent.state(2, (CLOSE, SYN_SENT), 0, 0, AF_INET);
    // It takes longer than one waits for it to begin.
    agent.wait(100 * MILLISECOND);
    assert_eq!(agent.ends(), []);
    agent.state(2, (SYN_SENT, ESTABLISHED), 0, 0, AF_INET);
    agent.wait(5000 * MILLISECOND);
    assert_eq!((agent.started(), agent.dropped(), agent.ends()), (2, 2, vec![]));
    assert_eq!(agent.counters.connects_made_good.get(), 1);
}

#[test]
fn an_attempt_that_is_let_go_is_a_failure_unless_another_won() {
    for won in [false, true] {
        let mut agent = Server::new();
        agent.state(1, (CLOSE, SYN_SENT), 0, 0, AF_INET6);
        agent.wait(250 * MILLISECOND);
        agent.state(2, (CLOSE, SYN_SENT), 0, 0, AF_INET);
        if won {
            agent.state(2, (SYN_SENT, ESTABLISHED), 0, 0, AF_INET);
        } else {
            agent.state(2, (SYN_SENT, CLOSE), 0, REFUSED, AF_INET);
        }
        agent.state(1, (SYN_SENT, CLOSE), STATE_LET_GO, 0, AF_INET6);
        agent.wait(100 * MILLISECOND);
        let ends = agent.ends();
        let errors: Vec<&str> = ends.iter().map(|(error, ..)| error.as_str()).collect();
        let expected = if won { vec![] } else { vec!["connection_refused", "given_up"] };
        assert_eq!(errors, expected);
    }
}

#[test]
fn what_has_ended_holds_nothing_though_nobody_says_anything_more() {
    let mut agent = Server::new();
    agent.response(&mut Socket::new(1), GET);
    let held = |agent: &Server| agent.connections.shared.limits.memory.held();
    let before = held(&agent);
    assert!(before > 1000, "{before}");
    agent.state(1, (ESTABLISHED, FIN_WAIT1), STATE_LET_GO, 0, AF_INET);
    agent.wait(40 * MILLISECOND);
    agent.state(1, (5, CLOSE), STATE_LET_GO, 0, AF_INET);
    agent.wait(5_000 * MILLISECOND);
    assert!(held(&agent) < before / 4, "{} of {before}", held(&agent));
}
