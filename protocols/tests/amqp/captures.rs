//! Real conversations (`captures/amqp/*.json`), replayed in every way that a capture may see them.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use wirespan_protocols::exchange::{Output, Status, TaskFact, TaskPhase, Value as Attribute};
use wirespan_protocols::{Detection, Direction, End, Progress, Role, registry};

use crate::wire::{TICK, Wire, text, value};

pub struct Capture {
    pub name: String,
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

pub fn captures() -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/amqp");
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            Capture {
                name: path.file_stem().unwrap().to_string_lossy().into(),
                exchanges: json["exchanges"].as_array().unwrap().iter().map(|e| e.as_str().unwrap().into()).collect(),
                operations: json["operations"].as_array().unwrap().iter().map(operation).collect(),
            }
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() >= 11);
    all
}

impl Capture {
    /// Replays it; `feed` hands one operation's bytes to the parser.
    fn replay(&self, role: Role, mut feed: impl FnMut(&mut Wire, usize, Direction, &[u8])) -> Wire {
        let mut wire = Wire::new(role);
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

    /// Every `step`th offset within every operation. Of a long body every 37th: a prime, so that all places within
    /// frames of equal size come up.
    fn offsets(&self, step: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        self.operations.iter().enumerate().flat_map(move |(n, operation)| match operation {
            Operation::Bytes(_, bytes) => {
                let step = if bytes.len() > 4000 { 37 } else { step };
                (0..bytes.len()).step_by(step).map(|at| (n, at, bytes.len())).collect()
            }
            Operation::End(_) => Vec::new(),
        })
    }
}

#[test]
fn whole_captures_give_the_messages_that_were_sent() {
    for capture in captures() {
        let wire = capture.whole(Role::Client);
        assert_eq!(wire.summary(), capture.exchanges, "{}", capture.name);
        assert_eq!(wire.progress, Progress::Continue, "{}", capture.name);
        assert_balanced(&wire.out, &capture.name);
    }
}

#[test]
fn a_result_says_which_exception_it_reports_and_is_no_failure_itself() {
    let all = captures();
    let wire = all.iter().find(|c| c.name == "celery-worker-results").unwrap().whole(Role::Client);
    let failed = wire.finished().into_iter().find(|e| text(e, "celery.state") == Some("FAILURE")).unwrap();
    assert_eq!(text(failed, "exception.type"), Some("builtins.ValueError"));
    assert_eq!(failed.status, Status::Unset);
}

#[test]
fn sender_and_worker_of_a_task_know_it_by_the_same_key() {
    let all = captures();
    let wire = all.iter().find(|c| c.name == "celery-worker").unwrap().whole(Role::Client);
    let ids: Vec<_> = wire.finished().iter().map(|e| text(e, "messaging.message.id").unwrap().to_owned()).collect();
    let keys: Vec<_> = wire.started().iter().map(|s| s.message.clone().unwrap()).collect();
    assert!(keys.iter().all(|k| k.system == "celery"));
    assert_eq!(keys[..3].iter().map(|k| k.id.to_string()).collect::<Vec<_>>(), ids[..3]);
    assert_eq!((keys[3].id.to_string(), &ids[3]), (format!("{}/1", ids[2]), &ids[2]), "a retry is another message");
}

#[test]
fn worker_and_writer_of_results_tell_of_executions() {
    let all = captures();
    let facts = |name: &str| {
        let wire = all.iter().find(|c| c.name == name).unwrap().whole(Role::Client);
        let events = wire.out.into_iter().filter_map(|o| if let Output::Task(e) = o { Some(e.fact) } else { None });
        events.collect::<Vec<_>>()
    };
    let worker = all.iter().find(|c| c.name == "celery-worker").unwrap().whole(Role::Client);
    let deliveries = worker.finished();
    let taken = facts("celery-worker");
    assert_eq!(taken.len(), deliveries.len());
    for (fact, delivery) in taken.iter().zip(deliveries) {
        let TaskFact::Taken(task) = fact else { panic!("{fact:?}") };
        assert_eq!(Some(&*task.id), text(delivery, "messaging.message.id"));
        assert_eq!(task.name, delivery.name.replace("receive/", "run/"));
        assert_eq!(text(delivery, "messaging.operation.type"), Some("receive"));
        let said = |key: &str| task.attributes.iter().find(|a| a.key == key).map(|a| a.value.clone());
        assert_eq!(said("messaging.operation.type"), Some(Attribute::Str("process".into())));
        assert_eq!(said("messaging.destination.name"), value(delivery, "messaging.destination.name").cloned());
    }
    let (again, ends): (Vec<_>, Vec<_>) =
        facts("celery-worker-results").into_iter().partition(|fact| matches!(fact, TaskFact::SentAgain { .. }));
    assert_eq!(again.len(), 1, "one task was tried again");
    let results = all.iter().find(|c| c.name == "celery-worker-results").unwrap().whole(Role::Client);
    let told = results.finished().into_iter().filter(|e| value(e, "celery.state").is_some());
    for (fact, told) in ends.iter().zip(told) {
        let TaskFact::State(state) = fact else { panic!("{fact:?}") };
        assert_eq!(state.phase, TaskPhase::Ended);
        assert_eq!(Some(&*state.id), text(told, "messaging.message.conversation_id"));
        assert_eq!(state.status != Status::Unset, text(told, "celery.state") == Some("FAILURE"));
    }
    assert!(ends.len() > 2);
}

#[test]
fn the_broker_s_end_gives_nothing() {
    for capture in captures() {
        let wire = capture.whole(Role::Server);
        assert!(wire.out.is_empty() && wire.progress == Progress::Continue, "{}", capture.name);
    }
}

#[test]
fn the_first_operation_is_detected() {
    for capture in captures() {
        for operation in &capture.operations[..2] {
            let Operation::Bytes(direction, bytes) = operation else { panic!("{}", capture.name) };
            let found = registry::PROTOCOLS.iter().find(|p| (p.detect)(bytes) != Detection::No);
            let found = found.map(|p| (p.name, (p.detect)(bytes)));
            assert_eq!(found, Some(("amqp", Detection::Match(*direction))), "{}", capture.name);
        }
    }
}

#[test]
fn a_connection_is_detected_late_by_any_operation_that_begins_with_a_frame() {
    let (mut found, mut all) = (0, 0);
    for capture in captures() {
        for operation in &capture.operations {
            let Operation::Bytes(direction, bytes) = operation else { continue };
            all += 1;
            match wirespan_protocols::amqp::detect(bytes) {
                Detection::Match(guess) => {
                    assert_eq!(guess, *direction, "{}", capture.name);
                    found += 1;
                }
                Detection::NeedMore | Detection::No => {}
            }
        }
    }
    assert!(found * 10 > all * 7, "{found} of {all}");
}

#[test]
fn a_split_anywhere_changes_nothing() {
    for capture in captures() {
        let expected = capture.whole(Role::Client).out;
        for (split_in, at, _) in capture.offsets(1) {
            let wire = capture.replay(Role::Client, |wire, n, direction, bytes| {
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
        for (split_in, at, _) in capture.offsets(1) {
            let wire = capture.replay(Role::Client, |wire, n, direction, bytes| {
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
        let wire = capture.replay(Role::Client, |wire, _, direction, bytes| {
            for byte in bytes {
                wire.data(direction, &[*byte]);
            }
        });
        assert_eq!(wire.out, capture.whole(Role::Client).out, "{}", capture.name);
    }
}

/// What is true of a message: by the position of its first byte, how it is described, and when it was settled.
type Truth = HashMap<(u64, bool), (String, u64)>;

fn truth(capture: &Capture) -> Truth {
    facts(&capture.whole(Role::Client))
}

fn facts(wire: &Wire) -> Truth {
    let fact = |e: &&wirespan_protocols::exchange::Exchange| {
        let delivered = wire.describe(e).starts_with("consumer");
        ((e.request.first.position, delivered), (wire.describe(e), e.end))
    };
    wire.finished().iter().map(fact).collect()
}

/// Nothing is invented or settled wrong, and each start has one end. What a gap hides may be missing from a name: a
/// queue whose declaration was not seen, a confirmation of which nothing was known.
fn assert_true(wire: &Wire, truth: &Truth, context: &str) {
    for ((position, delivered), (told, end)) in facts(wire) {
        let Some((real, real_end)) = truth.get(&(position, delivered)) else { panic!("{context}: invented {told}") };
        let plain = |text: &str| text.split(" error ").next().unwrap().to_owned();
        let kind = |text: &str| text.split_once(' ').unwrap().0.to_owned();
        assert_eq!(kind(&told), kind(real), "{context}");
        if told.contains(" error ") {
            let broke = told.ends_with("connection_closed");
            assert!(&told == real || broke, "{context}: {told}, not {real}");
        } else {
            assert!(end <= *real_end, "{context}: {told} ends too late");
        }
        let (told, real) = (plain(&told), plain(real));
        // What says that it is a task may be hidden.
        let task =
            real.contains("/shop.") && ["producer publish ", "consumer process "].iter().any(|k| told.starts_with(k));
        assert!(task || real.starts_with(&told) || told.starts_with(&real), "{context}: {told}, not {real}");
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
            Output::Finished(exchange) => {
                assert!(value(exchange, "messaging.system").is_some(), "{context}");
                exchange.id
            }
            Output::Dropped { id, .. } | Output::Batched { id, .. } => *id,
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

#[test]
fn gaps_anywhere_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for (gap_in, at, len) in capture.offsets(3) {
            for hidden in [1, 5, 40, 300, usize::MAX] {
                let hidden = hidden.min(len - at);
                let wire = capture.replay(Role::Client, |wire, n, direction, bytes| {
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
        for limit in (0..600).step_by(3) {
            let wire = capture.replay(Role::Client, |wire, _, direction, bytes| {
                let (captured, hidden) = bytes.split_at(limit.min(bytes.len()));
                wire.data(direction, captured).gap(direction, hidden.len() as u64);
            });
            assert_true(&wire, &truth, &format!("{} captured {limit}", capture.name));
        }
    }
}

#[test]
fn lost_operations_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        let count = capture.operations.len();
        for lost in (0..count).flat_map(|a| (a..count).map(move |b| [a, b])) {
            let wire = capture.replay(Role::Client, |wire, n, direction, bytes| {
                if lost.contains(&n) {
                    wire.gap(direction, bytes.len() as u64);
                } else {
                    wire.data(direction, bytes);
                }
            });
            assert_true(&wire, &truth, &format!("{} lost {lost:?}", capture.name));
        }
    }
}

#[test]
fn a_start_in_the_middle_invents_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for start in 0..capture.operations.len() {
            let wire = capture.replay(Role::Client, |wire, n, direction, bytes| {
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
