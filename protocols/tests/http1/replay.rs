//! Real conversations, by bare hand (`captures/README.md`). Shared by the tests of both versions of HTTP, and of gateways.

use std::path::Path;

use serde_json::Value;
use wirespan_protocols::exchange::Output;
use wirespan_protocols::{Direction, End, Role};

use crate::wire::Wire;

/// One connection.
pub struct Capture {
    pub name: String,
    pub leaves: bool,
    pub exchanges: Vec<String>,
    pub operations: Vec<Operation>,
}

/// What happened on it.
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

/// All of a protocol, at least so many.
pub fn captures(protocol: &str, least: usize) -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(protocol);
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
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
    assert!(all.len() >= least, "{protocol}: {} captures", all.len());
    all
}

impl Capture {
    /// Replays it; `feed` hands one operation's bytes to the parser.
    pub fn replay(&self, role: Role, mut feed: impl FnMut(&mut Wire, usize, Direction, &[u8])) -> Wire {
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

    pub fn whole(&self, role: Role) -> Wire {
        self.replay(role, |wire, _, direction, bytes| {
            wire.data(direction, bytes);
        })
    }

    /// Every offset within every operation.
    pub fn offsets(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.operations.iter().enumerate().flat_map(|(n, operation)| match operation {
            Operation::Bytes(_, bytes) => (0..bytes.len()).map(|at| (n, at, bytes.len())).collect::<Vec<_>>(),
            Operation::End(_) => Vec::new(),
        })
    }
}

/// Each start has one end, and ids increase.
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
            Output::Dropped { id, .. } | Output::Batched { id, .. } => *id,
            Output::ExportsTelemetry | Output::Secured(_) | Output::Task(_) => continue,
        };
        assert!(open.remove(&closed), "{context}: {closed} ended twice or never began");
    }
    assert!(open.is_empty(), "{context}: {open:?} never ended");
}
