//! Who asks all protocols as the agent does finds the right one, late in a connection and after a wrong guess, and loses
//! little.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::registry::PROTOCOLS;
use wirespan_protocols::{Detection, Direction, End, Progress, Role, Settings};

use crate::captures::{Capture, Operation, captures};
use crate::wire::{TICK, Wire};

/// What the agent's detection does: asks about the first bytes of either side until a protocol takes them.
#[derive(Default)]
struct Listener {
    wire: Option<(&'static str, Wire)>,
    /// Bytes that no protocol has taken or refused yet, with their place.
    undecided: Vec<(Direction, Vec<u8>, u64, [u64; 2])>,
    /// What was said by parsers that gave up.
    said: Vec<String>,
    revised: usize,
    /// The protocol that the present bytes did not turn out to be.
    disproved: Option<&'static str>,
}

impl Listener {
    /// The guess was wrong: detection begins anew.
    fn revise(&mut self) -> Option<&'static str> {
        let (name, mut wire) = self.wire.take()?;
        wire.end(Direction::Request, End::Unwatched);
        self.said.extend(wire.summary().into_iter().map(|said| format!("{name}: {said}")));
        self.revised += 1;
        Some(name)
    }

    fn operation(&mut self, direction: Direction, bytes: &[u8], time: u64, positions: [u64; 2]) {
        if let Some((_, wire)) = &mut self.wire {
            (wire.time, wire.positions) = (time, positions);
            wire.data(direction, bytes);
            if wire.progress != Progress::Continue {
                let lost = wire.progress == Progress::LostSync && self.disproved.is_none();
                self.disproved = self.revise().filter(|_| lost);
                if lost {
                    self.operation(direction, bytes, time, positions);
                    self.disproved = None;
                }
            }
            return;
        }
        let before = self.undecided.iter().filter(|(d, ..)| *d == direction).map(|(_, bytes, ..)| bytes.as_slice());
        let whole = before.chain([bytes]).collect::<Vec<_>>().concat();
        let answers = PROTOCOLS.iter().filter(|p| self.disproved != Some(p.name)).map(|p| (p.name, (p.detect)(&whole)));
        let mut undecided = false;
        for (name, answer) in answers {
            match answer {
                Detection::Match(found) => {
                    assert_eq!(found, direction, "{name} the wrong way round");
                    self.wire = Some((name, Wire::with(name, Settings::of(Role::Server))));
                    for (direction, bytes, time, positions) in std::mem::take(&mut self.undecided) {
                        self.operation(direction, &bytes, time, positions);
                    }
                    return self.operation(direction, bytes, time, positions);
                }
                Detection::NeedMore => undecided = true,
                Detection::No => {}
            }
        }
        if undecided {
            self.undecided.push((direction, bytes.to_vec(), time, positions));
        } else {
            self.undecided.retain(|(d, ..)| *d != direction);
        }
    }
}

/// How many exchanges are lost at most, where it is more than one, and why.
const COST: [(&str, usize, &str); 8] = [
    ("memcached/pymemcache", 3, "`stats`, `version` and `flush_all` are words that anybody may say"),
    ("mysql/jdbc", 4, "a pipeline: the answers to its beginning are under way"),
    ("mysql/mariadb-python", 2, "a statement is prepared and run in one go"),
    ("postgresql/asyncpg", 6, "a sequence, up to its Sync"),
    ("postgresql/jdbc", 5, "a sequence, up to its Sync"),
    ("postgresql/pgx", 2, "a batch: one sequence, up to its Sync"),
    ("postgresql/psycopg3", 5, "a pipeline: one sequence, up to its Sync"),
    ("redis/inline", 2, "inline commands are not recognised"),
];

/// A master sends commands to its replica, and the replica to its master: the direction cannot be told.
const APART: &str = "redis/replica";

/// Where the exchanges begin that are found from an operation on, and where the first request begins that can be.
fn listen(capture: &Capture, start: usize) -> Option<(u64, Vec<u64>)> {
    let mut listener = Listener::default();
    let (mut time, mut positions, mut from) = (0, [10_000, 50_000], None);
    for (n, operation) in capture.operations.iter().enumerate() {
        let Operation::Bytes(direction, bytes) = operation else { continue };
        time += TICK;
        if n >= start {
            from.get_or_insert(positions[0]);
            listener.operation(*direction, bytes, time, positions);
        }
        positions[*direction as usize] += bytes.len() as u64;
    }
    assert_eq!(listener.revised, 0, "{} from {start}", capture.name);
    let Some((protocol, mut wire)) = listener.wire else { return from.map(|from| (from, Vec::new())) };
    assert_eq!(protocol, capture.protocol, "{} from {start}", capture.name);
    wire.end(Direction::Response, End::Unwatched);
    Some((from?, wire.finished().iter().map(|e| e.request.first.position).collect()))
}

#[test]
fn a_late_listener_finds_the_protocol_and_loses_one_exchange_at_most() {
    for capture in captures().into_iter().filter(|c| !c.leaves && c.name != APART) {
        let whole = capture.whole(Role::Server);
        let all: Vec<u64> = whole.finished().iter().map(|e| e.request.first.position).collect();
        let most = COST.iter().find(|(name, ..)| *name == capture.name).map_or(1, |(_, most, _)| *most);
        for start in 0..capture.operations.len() {
            let Some((from, found)) = listen(&capture, start) else { continue };
            let began: Vec<u64> = all.iter().copied().filter(|at| *at >= from).collect();
            let lost = began.len().saturating_sub(found.len());
            assert!(lost <= most, "{} from {start}: {lost} of {} are lost", capture.name, began.len());
            assert_eq!(found, began[lost..], "{} from {start}: what is lost is lost at the beginning", capture.name);
        }
    }
}

/// What is said of a conversation, by which protocol, and how often the guess was revised.
fn converse(operations: &[(Direction, &[u8])]) -> (Vec<String>, usize) {
    let (mut listener, mut time, mut positions) = (Listener::default(), 0, [10_000, 50_000]);
    for (direction, bytes) in operations {
        time += TICK;
        listener.operation(*direction, bytes, time, positions);
        positions[*direction as usize] += bytes.len() as u64;
    }
    let revised = listener.revised;
    listener.revise();
    (listener.said, revised)
}

#[test]
fn a_wrong_guess_is_revised_at_the_cost_of_one_exchange() {
    let redis: &[(Direction, &[u8])] = &[
        // An inline command of Redis is a line of memcached's until it is answered.
        (Request, b"get a\r\n"),
        (Response, b"$1\r\nx\r\n"),
        (Request, b"get b\r\n"),
        (Response, b"$1\r\ny\r\n"),
        (Request, b"*2\r\n$3\r\nGET\r\n$1\r\nc\r\n"),
        (Response, b"$-1\r\n"),
    ];
    assert_eq!(converse(redis), (vec!["redis: get".into(), "redis: GET".into()], 1));
}

#[test]
fn what_comes_before_a_protocol_does_not_hide_it() {
    let query = [b"Q\0\0\0\x0d".as_slice(), b"SELECT 1\0"].concat();
    let answer = b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    // The PROXY protocol, and a greeting of nobody's.
    let conversation: &[(Direction, &[u8])] = &[
        (Request, b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 5432\r\n"),
        (Response, b"welcome\n"),
        (Request, &query),
        (Response, answer),
    ];
    assert_eq!(converse(conversation), (vec!["postgresql: SELECT".into()], 0));
}

#[test]
fn one_port_speaks_whatever_its_connections_speak() {
    // Detection is told no port: what one connection turned out to be says nothing of the next.
    let query = [b"Q\0\0\0\x0d".as_slice(), b"SELECT 1\0"].concat();
    let answer = b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    for (request, response, said) in [
        (query.as_slice(), answer.as_slice(), "postgresql: SELECT"),
        (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n", "redis: PING"),
        (b"get key\r\n", b"END\r\n", "memcached: get"),
        (b"\x09\0\0\0\x03SELECT 1", b"\x07\0\0\x01\0\0\0\x02\0\0\0", "mysql: SELECT"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n", "http: GET /a"),
    ] {
        assert_eq!(converse(&[(Request, request), (Response, response)]), (vec![said.into()], 0));
    }
}
