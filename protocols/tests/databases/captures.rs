//! Real conversations (`captures/<protocol>/*.json`), replayed in every way that a capture may see them.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use wirespan_protocols::exchange::{Exchange, Marks, Output};
use wirespan_protocols::{Detection, Direction, End, Progress, Role, Settings, registry};

use crate::wire::{TICK, Wire, parser, summary};

/// Names in the registry, and how many captures there are at least.
const PROTOCOLS: [(&str, usize); 4] = [("memcached", 4), ("mysql", 11), ("postgresql", 14), ("redis", 13)];
/// Captures longer than this are replayed at some offsets only, so that debug builds end in time.
const MANY: usize = 4000;

pub struct Capture {
    pub protocol: &'static str,
    pub name: String,
    pub leaves: bool,
    pub exchanges: Vec<String>,
    pub operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
pub enum Operation {
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

/// The captures in a folder.
pub fn folder(protocol: &'static str) -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(protocol);
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            let json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            Capture {
                protocol,
                name: format!("{protocol}/{}", path.file_stem().unwrap().to_string_lossy()),
                leaves: json["leaves"].as_bool().unwrap_or(false),
                exchanges: json["exchanges"].as_array().unwrap().iter().map(|e| e.as_str().unwrap().into()).collect(),
                operations: json["operations"].as_array().unwrap().iter().map(operation).collect(),
            }
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Captures of which a gap may hide that a command gets no reply (`CLIENT REPLY SKIP`), or that the connection becomes a
/// replica's: what follows can then not be told from an ordinary conversation.
const BLIND: [&str; 3] = ["postgresql/replication", "redis/client-reply", "redis/replica"];

/// Captures with a pipeline of so many commands that they are one exchange, if one operation carried them.
const BY_OPERATION: [&str; 1] = ["memcached/pymemcache-pipelines"];

/// Requests that were dropped, and are not told by a batch.
fn lost(wire: &Wire) -> usize {
    let lost = |o: &&Output| matches!(o, Output::Dropped { .. });
    wire.out.iter().filter(lost).count()
}

fn captures_with_gaps() -> Vec<Capture> {
    captures().into_iter().filter(|c| !BLIND.contains(&c.name.as_str())).collect()
}

/// All of them.
pub fn captures() -> Vec<Capture> {
    PROTOCOLS
        .iter()
        .flat_map(|(protocol, least)| {
            let found = folder(protocol);
            assert!(found.len() >= *least, "{protocol}: {}", found.len());
            found
        })
        .collect()
}

impl Capture {
    /// Replays it; `feed` hands one operation's bytes to the parser.
    pub fn replay(&self, role: Role, mut feed: impl FnMut(&mut Wire, usize, Direction, &[u8])) -> Wire {
        let mut wire = Wire::with(self.protocol, Settings::of(role));
        for (n, operation) in self.operations.iter().enumerate() {
            match operation {
                Operation::Bytes(direction, bytes) => {
                    wire.time += TICK;
                    feed(&mut wire, n, *direction, bytes);
                }
                Operation::End(direction) => {
                    wire.end(*direction, End::Finished);
                }
            }
        }
        wire
    }

    pub fn whole(&self, role: Role) -> Wire {
        self.replay(role, |wire, _, direction, bytes| {
            wire.data(direction, bytes);
        })
    }

    /// Offsets within every operation: each one, unless there are many.
    pub fn offsets(&self, many: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let total: usize =
            self.operations.iter().map(|o| if let Operation::Bytes(_, b) = o { b.len() } else { 0 }).sum();
        let step = (total / many).max(1);
        self.operations.iter().enumerate().flat_map(move |(n, operation)| match operation {
            Operation::Bytes(_, bytes) => {
                let near_an_end = |at: &usize| step == 1 || *at < 40 || at.is_multiple_of(step) || at + 8 > bytes.len();
                (0..bytes.len()).filter(near_an_end).map(|at| (n, at, bytes.len())).collect::<Vec<_>>()
            }
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
        assert_ne!(wire.progress, Progress::LostSync, "{}", capture.name);
        assert_eq!(lost(&wire), 0, "{}", capture.name);
        assert_eq!(capture.whole(Role::Client).summary(), capture.exchanges, "{}", capture.name);
    }
}

#[test]
fn both_ends_agree_on_where_each_exchange_begins() {
    for capture in captures() {
        let (client, server) = (capture.whole(Role::Client), capture.whole(Role::Server));
        // (The end that asks announces each command of a batch.)
        let is_part =
            |wire: &Wire, of: u64| wire.out.iter().any(|o| matches!(o, Output::Batched { id, .. } if *id == of));
        let places = |wire: &Wire| {
            let whole = wire.started().into_iter().filter(|started| !is_part(wire, started.id));
            whole.map(|started| started.request.first.position).collect::<Vec<_>>()
        };
        assert_eq!(places(&client), places(&server));
        assert!(places(&client).is_sorted(), "{}", capture.name);
    }
}

#[test]
fn a_split_anywhere_changes_nothing() {
    for capture in captures() {
        let expected = capture.whole(Role::Server).out;
        for (split_in, at, _) in capture.offsets(MANY) {
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
        for (split_in, at, _) in capture.offsets(MANY) {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                let cut = if n == split_in { at } else { 0 };
                wire.data(direction, &bytes[..cut]);
                wire.time += 1;
                wire.data(direction, &bytes[cut..]);
            });
            if BY_OPERATION.contains(&capture.name.as_str()) {
                assert_eq!(lost(&wire), 0, "{} operation {split_in} at {at}", capture.name);
            } else {
                assert_eq!(wire.summary(), capture.exchanges, "{} operation {split_in} at {at}", capture.name);
            }
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

/// Each request's true exchange, by the position of its first byte.
fn truth(capture: &Capture) -> HashMap<u64, Exchange> {
    let wire = capture.whole(Role::Server);
    wire.finished().into_iter().map(|e| (e.request.first.position, e.clone())).collect()
}

/// The batch of which an exchange is a part: of a row before it it may be hidden that it runs the same statement.
fn batch_around<'t>(exchange: &Exchange, truth: &'t HashMap<u64, Exchange>) -> Option<&'t Exchange> {
    let at = exchange.request.first;
    truth.values().find(|batch| {
        let Marks { first, last } = batch.request;
        is_batch(batch) && first.position < at.position && first.time <= at.time && at.time <= last.time
    })
}

fn is_batch(exchange: &Exchange) -> bool {
    ["BATCH", "PIPELINE", "MULTI"].iter().any(|word| exchange.name.starts_with(word))
}

/// Nothing is invented or paired wrong, and each start has one end. What was hidden may be missing: a name may say less,
/// a failure may go unseen.
fn assert_true(wire: &Wire, truth: &HashMap<u64, Exchange>, context: &str) {
    for exchange in wire.finished() {
        let Some(real) = truth.get(&exchange.request.first.position).or_else(|| batch_around(exchange, truth)) else {
            panic!("{context}: invented {exchange:#?}")
        };
        if let Some(response) = exchange.response {
            let Some(told) = real.response else { panic!("{context}: a response to {exchange:#?}") };
            assert!(
                response.first.position >= told.first.position
                    && response.first.time <= told.last.time
                    && response.last.time <= told.last.time,
                "{context}: wrong response {exchange:#?} instead of {real:#?}"
            );
        }
        let hidden_failure = !summary(exchange).contains(" error ") || summary(exchange).ends_with(" error _OTHER");
        let same_failure = summary(exchange).split(" error ").nth(1) == summary(real).split(" error ").nth(1);
        assert!(hidden_failure || same_failure, "{context}: {exchange:#?} instead of {real:#?}");
        for attribute in &exchange.attributes {
            let known = real.attributes.iter().find(|a| a.key == attribute.key).map(|a| &a.value);
            let less = [
                "db.operation.name",
                "db.query.text",
                "db.query.summary",
                "db.system.name",
                "wirespan.pipeline.size",
                "wirespan.unknown",
            ]
            .contains(&&*attribute.key);
            let hidden = (attribute.key == "error.type" && hidden_failure)
                || (attribute.key == "db.operation.batch.size" && is_batch(real));
            assert!(known == Some(&attribute.value) || less || hidden, "{context}: {attribute:?} instead of {known:?}");
        }
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
            Output::Dropped { id, .. } => *id,
            Output::Batched { id, into } => {
                assert!(open.contains(into), "{context}: {into} is a batch that is not under way");
                *id
            }
            Output::Task(event) => {
                assert!(open.contains(&event.exchange), "{context}: {event:?} of an exchange that is not under way");
                continue;
            }
            Output::ExportsTelemetry | Output::Secured(_) => continue,
        };
        assert!(open.remove(&closed), "{context}: {closed} ended twice or never began");
    }
    assert!(open.is_empty(), "{context}: {open:?} never ended");
}

/// Ends what is left in flight.
fn unwatched(mut wire: Wire) -> Wire {
    wire.end(Direction::Request, End::Unwatched);
    wire
}

#[test]
fn gaps_anywhere_invent_nothing() {
    for capture in captures_with_gaps() {
        let truth = truth(&capture);
        for (gap_in, at, len) in capture.offsets(MANY / 4) {
            for hidden in [1, 40, usize::MAX] {
                let hidden = hidden.min(len - at);
                let wire = unwatched(capture.replay(Role::Server, |wire, n, direction, bytes| {
                    let (from, to) = if n == gap_in { (at, at + hidden) } else { (0, 0) };
                    wire.data(direction, &bytes[..from])
                        .gap(direction, (to - from) as u64)
                        .data(direction, &bytes[to..]);
                }));
                assert_true(&wire, &truth, &format!("{} operation {gap_in} {hidden} bytes at {at}", capture.name));
            }
        }
    }
}

#[test]
fn captures_of_any_length_invent_nothing() {
    for capture in captures_with_gaps() {
        let truth = truth(&capture);
        for limit in 0..300 {
            let wire = unwatched(capture.replay(Role::Server, |wire, _, direction, bytes| {
                let (captured, hidden) = bytes.split_at(limit.min(bytes.len()));
                wire.data(direction, captured).gap(direction, hidden.len() as u64);
            }));
            assert_true(&wire, &truth, &format!("{} captured {limit}", capture.name));
        }
    }
}

#[test]
fn a_capture_as_long_as_the_agents_finds_every_exchange() {
    for capture in captures() {
        let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
            let (captured, hidden) = bytes.split_at(4096.min(bytes.len()));
            wire.data(direction, captured).gap(direction, hidden.len() as u64);
        });
        assert_eq!(wire.summary(), capture.exchanges, "{}", capture.name);
    }
}

#[test]
fn lost_operations_invent_nothing() {
    for capture in captures_with_gaps() {
        let truth = truth(&capture);
        let operations = capture.operations.len();
        // Each operation and each pair of operations.
        for first in 0..operations {
            for second in first..operations.min(first + 12) {
                let wire = unwatched(capture.replay(Role::Server, |wire, n, direction, bytes| {
                    if n == first || n == second {
                        wire.gap(direction, bytes.len() as u64);
                    } else {
                        wire.data(direction, bytes);
                    }
                }));
                assert_true(&wire, &truth, &format!("{} lost {first} and {second}", capture.name));
            }
        }
    }
}

fn detected(protocol: &str, bytes: &[u8]) -> Option<Direction> {
    let found = registry::PROTOCOLS.iter().find(|p| p.name == protocol).unwrap();
    if let Detection::Match(direction) = (found.detect)(bytes) { Some(direction) } else { None }
}

#[test]
fn a_start_in_the_middle_invents_nothing() {
    for capture in captures_with_gaps() {
        let truth = truth(&capture);
        for start in 0..capture.operations.len() {
            let mut found = false;
            let wire = unwatched(capture.replay(Role::Server, |wire, n, direction, bytes| {
                found |= n >= start && detected(capture.protocol, bytes) == Some(direction);
                if found {
                    wire.data(direction, bytes);
                } else {
                    // The agent was not there: nobody told the parser, but the bytes had positions.
                    wire.skip(direction, bytes.len() as u64);
                }
            }));
            assert_true(&wire, &truth, &format!("{} from {start}", capture.name));
        }
    }
}

#[test]
fn no_capture_makes_a_parser_hold_much() {
    for capture in captures() {
        let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
            wire.data(direction, bytes);
            assert!(wire.parser.buffered() < 512 * 1024, "{}", capture.name);
        });
        assert_balanced(&wire.out, &capture.name);
    }
}

#[test]
fn other_protocols_captures_are_no_danger() {
    let all = captures();
    for capture in &all {
        for (protocol, _) in PROTOCOLS {
            let settings = Settings { keep_query_text: true, ..Settings::of(Role::Server) };
            let mut wire = Wire { parser: parser(protocol, settings), ..Wire::new(protocol) };
            for operation in &capture.operations {
                if let Operation::Bytes(direction, bytes) = operation {
                    wire.operation(*direction, bytes, 0);
                    assert!(wire.parser.buffered() < 1024 * 1024);
                }
            }
            assert_balanced(&unwatched(wire).out, &capture.name);
        }
    }
}
