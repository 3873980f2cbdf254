//! Real conversations (`captures/http1/*.json`), replayed in every way that a capture may see them.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use wirespan_protocols::exchange::{Exchange, Output};
use wirespan_protocols::{Direction, End, Progress, Role, registry};

use crate::wire::{Wire, summary};

struct Capture {
    name: String,
    leaves: bool,
    exchanges: Vec<String>,
    operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
enum Operation {
    Bytes(Direction, Vec<u8>),
    End(Direction),
}

fn direction(name: &str) -> Direction {
    match name {
        "request" => Direction::Request,
        "response" => Direction::Response,
        other => panic!("no direction: {other}"),
    }
}

fn operation(value: &Value) -> Operation {
    let (what, text) = (value[0].as_str().unwrap(), value[1].as_str().unwrap());
    match what {
        "end" => Operation::End(direction(text)),
        from => Operation::Bytes(direction(from), text.chars().map(|c| u8::try_from(c).unwrap()).collect()),
    }
}

fn captures() -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/http1");
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            Capture {
                name: path.file_stem().unwrap().to_string_lossy().into(),
                leaves: json["leaves"].as_bool().unwrap(),
                exchanges: json["exchanges"].as_array().unwrap().iter().map(|e| e.as_str().unwrap().into()).collect(),
                operations: json["operations"].as_array().unwrap().iter().map(operation).collect(),
            }
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() >= 13);
    all
}

impl Capture {
    /// Replays it; `feed` hands one operation's bytes to the parser.
    fn replay(&self, role: Role, mut feed: impl FnMut(&mut Wire, usize, Direction, &[u8])) -> Wire {
        let mut wire = Wire::new(role);
        for (n, operation) in self.operations.iter().enumerate() {
            match operation {
                Operation::Bytes(direction, bytes) => {
                    wire.time += crate::wire::TICK;
                    feed(&mut wire, n, *direction, bytes);
                }
                Operation::End(direction) => {
                    wire.end(*direction, End::Finished);
                }
            }
        }
        wire
    }

    fn whole(&self, role: Role) -> Wire {
        self.replay(role, |wire, _, direction, bytes| {
            wire.data(direction, bytes);
        })
    }

    /// Every offset within every operation.
    fn offsets(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.operations.iter().enumerate().flat_map(|(n, operation)| match operation {
            Operation::Bytes(_, bytes) => (0..bytes.len()).map(|at| (n, at, bytes.len())).collect::<Vec<_>>(),
            Operation::End(_) => Vec::new(),
        })
    }
}

#[test]
fn whole_captures_give_the_exchanges_that_were_made() {
    for capture in captures() {
        let wire = capture.whole(Role::Server);
        assert_eq!(wire.summary(), capture.exchanges, "{}", capture.name);
        assert_eq!(wire.progress == Progress::Left, capture.leaves, "{}", capture.name);
        assert!(wire.dropped().is_empty(), "{}", capture.name);
        let client = capture.whole(Role::Client);
        assert_eq!(client.finished().len(), capture.exchanges.len(), "{}", capture.name);
    }
}

#[test]
fn the_first_operation_is_detected() {
    for capture in captures() {
        for operation in &capture.operations[..2] {
            let Operation::Bytes(direction, bytes) = operation else { panic!("{}", capture.name) };
            let found = registry::PROTOCOLS.iter().find(|p| (p.detect)(bytes) != wirespan_protocols::Detection::No);
            let found = found.map(|p| (p.name, (p.detect)(bytes)));
            let expected = Some(("http", wirespan_protocols::Detection::Match(*direction)));
            assert_eq!(found, expected, "{}", capture.name);
        }
    }
}

#[test]
fn a_split_anywhere_changes_nothing() {
    for capture in captures() {
        let expected = capture.whole(Role::Server).out;
        for (split_in, at, _) in capture.offsets() {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                let cut = if n == split_in { at } else { 0 };
                wire.data(direction, &bytes[..cut]).data(direction, &bytes[cut..]);
            });
            assert_eq!(wire.out, expected, "{} operation {split_in} at {at}", capture.name);
        }
    }
}

#[test]
fn an_operation_more_anywhere_changes_no_exchange() {
    for capture in captures() {
        for (split_in, at, _) in capture.offsets() {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                let cut = if n == split_in { at } else { 0 };
                wire.data(direction, &bytes[..cut]);
                wire.time += 1;
                wire.data(direction, &bytes[cut..]);
            });
            assert_eq!(wire.summary(), capture.exchanges, "{} operation {split_in} at {at}", capture.name);
        }
    }
}

#[test]
fn byte_by_byte_changes_nothing() {
    for capture in captures() {
        let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
            for byte in bytes {
                wire.data(direction, &[*byte]);
            }
        });
        assert_eq!(wire.out, capture.whole(Role::Server).out, "{}", capture.name);
    }
}

/// Each request's true exchange, by the position of its first byte. What goes through a tunnel is true, too, for a
/// parser that missed the tunnel's beginning.
fn truth(capture: &Capture) -> HashMap<u64, Exchange> {
    let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
        if wire.progress == Progress::Left {
            let inner = Wire::server();
            (wire.parser, wire.progress) = (inner.parser, inner.progress);
        }
        wire.data(direction, bytes);
    });
    wire.finished().into_iter().map(|e| (e.request.first.position, e.clone())).collect()
}

/// Nothing is invented or paired wrong, and each start has one end.
fn assert_true(wire: &Wire, truth: &HashMap<u64, Exchange>, context: &str) {
    for exchange in wire.finished() {
        let Some(real) = truth.get(&exchange.request.first.position) else {
            panic!("{context}: invented {exchange:#?}")
        };
        // That a connection broke within a body cannot be known where the body's length is hidden.
        let told = summary(real).replace(" error connection_closed", "");
        assert!([summary(real), told].contains(&summary(exchange)), "{context}: {exchange:#?}");
        let first = |e: &Exchange| e.response.map(|r| r.first.position);
        assert_eq!(first(exchange), first(real), "{context}: {exchange:#?}");
    }
    assert_balanced(&wire.out, context);
}

pub fn assert_balanced(out: &[Output], context: &str) {
    let mut open = std::collections::HashSet::new();
    let mut last = None;
    for output in out {
        let closed = match output {
            Output::Started(started) => {
                assert!(last < Some(started.id), "{context}: ids increase");
                last = Some(started.id);
                open.insert(started.id);
                continue;
            }
            Output::Finished(exchange) => exchange.id,
            Output::Dropped { id } => *id,
            Output::ExportsTelemetry => continue,
        };
        assert!(open.remove(&closed), "{context}: {closed} ended twice or never began");
    }
    assert!(open.is_empty(), "{context}: {open:?} never ended");
}

#[test]
fn gaps_anywhere_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for (gap_in, at, len) in capture.offsets() {
            for hidden in [1, 5, 40, 300, usize::MAX] {
                let hidden = hidden.min(len - at);
                let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                    let (from, to) = if n == gap_in { (at, at + hidden) } else { (0, 0) };
                    wire.data(direction, &bytes[..from])
                        .gap(direction, (to - from) as u64)
                        .data(direction, &bytes[to..]);
                });
                assert_true(&wire, &truth, &format!("{} operation {gap_in} {hidden} bytes at {at}", capture.name));
            }
        }
    }
}

#[test]
fn captures_of_any_length_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for limit in 0..600 {
            let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
                let (captured, hidden) = bytes.split_at(limit.min(bytes.len()));
                wire.data(direction, captured).gap(direction, hidden.len() as u64);
            });
            assert_true(&wire, &truth, &format!("{} captured {limit}", capture.name));
        }
    }
}

#[test]
fn a_capture_that_holds_every_head_finds_every_exchange() {
    for capture in captures().iter().filter(|c| c.name != "pipelined-nginx") {
        let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
            let (captured, hidden) = bytes.split_at(400.min(bytes.len()));
            wire.data(direction, captured).gap(direction, hidden.len() as u64);
        });
        assert_eq!(wire.summary(), capture.exchanges, "{}", capture.name);
    }
}

#[test]
fn lost_operations_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for lost in 0u32..1 << capture.operations.len().min(14) {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                if lost >> n & 1 == 1 {
                    wire.gap(direction, bytes.len() as u64);
                } else {
                    wire.data(direction, bytes);
                }
            });
            assert_true(&wire, &truth, &format!("{} lost {lost:b}", capture.name));
        }
    }
}

#[test]
fn a_start_in_the_middle_invents_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for start in 0..capture.operations.len() {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                if n >= start {
                    wire.data(direction, bytes);
                } else {
                    // The agent was not there: nobody told the parser, but the bytes had positions.
                    wire.skip(direction, bytes.len() as u64);
                }
            });
            assert_true(&wire, &truth, &format!("{} from {start}", capture.name));
        }
    }
}
