//! Celery's tasks in Redis (`captures/celery/*.json`), as the parser of Redis tells them.

use wirespan_protocols::exchange::{Exchange, Output, SpanKind, Status, TaskFact};
use wirespan_protocols::{Direction, Role};

use crate::captures::{Capture, assert_balanced, folder};
use crate::wire::{Wire, text};

fn captures() -> Vec<Capture> {
    let mut all = folder("celery");
    assert_eq!(all.len(), 4);
    for capture in &mut all {
        capture.protocol = "redis";
    }
    all
}

/// What an exchange says of a task, in the words of the captures.
fn of_task(exchange: &Exchange) -> Option<String> {
    if let Some(task) = text(exchange, "celery.task_name") {
        let action = if text(exchange, "celery.action") == Some("apply_async") { "publish" } else { "receive" };
        return Some(format!("{action} {task}"));
    }
    let state = text(exchange, "celery.state")?;
    Some(text(exchange, "exception.type").map_or(state.to_owned(), |exception| format!("{state} {exception}")))
}

fn told(wire: &Wire) -> Vec<String> {
    wire.finished().into_iter().filter_map(of_task).collect()
}

#[test]
fn tasks_and_results_of_real_programs_are_told() {
    for capture in captures() {
        let wire = capture.whole(Role::Client);
        assert_eq!(told(&wire), capture.exchanges, "{}", capture.name);
        assert_balanced(&wire.out, &capture.name);
        assert_eq!(wire.dropped(), 0, "{}", capture.name);
        for exchange in wire.finished().into_iter().filter(|e| text(e, "celery.task_name").is_some()) {
            assert_eq!(text(exchange, "messaging.system"), Some("redis"));
            assert!(text(exchange, "messaging.destination.name").is_some_and(|queue| queue.starts_with("celery-")));
            assert_eq!(exchange.status, Status::Unset);
        }
    }
}

#[test]
fn sender_and_receiver_have_the_same_key_or_context() {
    let all = captures();
    let started = |name: &str, kind: SpanKind| {
        let capture = all.iter().find(|c| c.name.ends_with(name)).expect("the capture");
        let wire = capture.whole(Role::Client);
        wire.started().into_iter().filter(|s| s.kind == kind).cloned().collect::<Vec<_>>()
    };
    let sent = started("/redis-publish", SpanKind::Producer);
    assert_eq!(sent.len(), 2);
    assert!(sent[0].message.is_some() && sent[0].context.is_none());
    assert!(sent[1].message.is_none() && sent[1].context.is_some(), "a context names the sender already");
    let received = started("/redis-worker", SpanKind::Consumer);
    assert_eq!(received.len(), 4);
    for message in &received {
        assert!(message.context.is_none() && message.message.is_some() == message.links.is_empty());
    }
    let keys: std::collections::HashSet<_> = received.iter().filter_map(|s| s.message.as_ref()).collect();
    assert_eq!(keys.len(), received.iter().filter(|s| s.message.is_some()).count(), "a retry is another message");
}

#[test]
fn redis_itself_neither_sends_nor_receives() {
    for capture in captures() {
        let wire = capture.whole(Role::Server);
        assert!(wire.started().iter().all(|s| s.kind == SpanKind::Server), "{}", capture.name);
        assert!(wire.finished().iter().all(|e| text(e, "celery.task_name").is_none()), "{}", capture.name);
    }
}

#[test]
fn a_split_anywhere_changes_nothing_of_tasks() {
    for capture in captures() {
        let expected = capture.whole(Role::Client).out;
        for (split_in, at, _) in capture.offsets(4000) {
            let wire = capture.replay(Role::Client, |wire, n, direction, bytes| {
                let cut = if n == split_in { at } else { 0 };
                wire.data(direction, &bytes[..cut]).data(direction, &bytes[cut..]);
            });
            assert_eq!(wire.out, expected, "{} operation {split_in} at {at}", capture.name);
        }
    }
}

#[test]
fn gaps_anywhere_invent_no_task() {
    for capture in captures() {
        for (gap_in, at, len) in capture.offsets(1000) {
            for hidden in [1, 40, usize::MAX] {
                let to = at + hidden.min(len - at);
                let wire = capture.replay(Role::Client, |wire, n, direction, bytes| {
                    let (from, to) = if n == gap_in { (at, to) } else { (0, 0) };
                    wire.data(direction, &bytes[..from])
                        .gap(direction, (to - from) as u64)
                        .data(direction, &bytes[to..]);
                });
                let context = format!("{} operation {gap_in} {hidden} bytes at {at}", capture.name);
                assert_balanced(&wire.out, &context);
                let mut real = capture.exchanges.clone();
                for task in told(&wire) {
                    // Of an exception whose module is hidden, the class is left, or nothing.
                    let same = |r: &String| {
                        *r == task
                            || r.split_once(' ').is_some_and(|(state, exception)| {
                                task.split_once(' ')
                                    .map_or(task == state, |(s, e)| s == state && exception.ends_with(e))
                            })
                    };
                    let place = real.iter().position(same).unwrap_or_else(|| panic!("{context}: invented {task}"));
                    real.remove(place);
                }
            }
        }
    }
}

fn command(words: &[&str]) -> String {
    let head = format!("*{}\r\n", words.len());
    words.iter().fold(head, |all, word| format!("{all}${}\r\n{word}\r\n", word.len()))
}

const TASK: &str = r#"{"body": "W10=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "t", "id": "i", "root_id": "i", "retries": 0}, "properties": {}}"#;

#[test]
fn a_task_that_redis_refuses_is_not_sent() {
    let mut wire = Wire::new("redis");
    wire.request(command(&["LPUSH", "celery", TASK])).response("-READONLY You can't write\r\n");
    assert_eq!(wire.summary(), ["LPUSH error READONLY", "apply_async/t error READONLY"]);
    let of = |kind| wire.started().into_iter().find(|s| s.kind == kind).expect("it was announced").request;
    assert_eq!(of(SpanKind::Producer), of(SpanKind::Client));
}

#[test]
fn what_is_put_back_in_a_transaction_is_sent_by_nobody() {
    let mut wire = Wire::new("redis");
    wire.request(command(&["MULTI"])).response("+OK\r\n");
    wire.request(command(&["RPUSH", "celery", TASK])).response("+QUEUED\r\n");
    wire.request(command(&["EXEC"])).response("*1\r\n:1\r\n");
    assert_eq!(wire.summary(), ["MULTI RPUSH"]);
}

#[test]
fn a_pipeline_that_sends_tasks_counts_its_commands_only() {
    let mut wire = Wire::new("redis");
    wire.request([command(&["LPUSH", "celery", TASK]), command(&["GET", "a"]), command(&["GET", "b"])].concat());
    wire.response(":1\r\n$-1\r\n$-1\r\n");
    assert_eq!(wire.summary(), ["LPUSH", "GET", "GET", "apply_async/t"]);
    for exchange in wire.finished().into_iter().take(3) {
        assert_eq!(crate::wire::int(exchange, "wirespan.pipeline.size"), Some(3), "{}", exchange.name);
    }
}

#[test]
fn a_connection_that_breaks_leaves_the_task_failed() {
    let mut wire = Wire::new("redis");
    wire.request(command(&["LPUSH", "celery", TASK])).end(Direction::Response, wirespan_protocols::End::Reset);
    assert_eq!(wire.summary(), ["LPUSH error connection_reset", "apply_async/t error connection_reset"]);
}

/// What the exchanges say of the executions of tasks: with a number for each task's id.
fn facts(wire: &Wire) -> Vec<String> {
    let mut ids = Vec::new();
    let mut number = |id: &str| {
        let at = ids.iter().position(|known| known == id).unwrap_or_else(|| {
            ids.push(id.to_owned());
            ids.len() - 1
        });
        format!("#{at}")
    };
    let events = wire.out.iter().filter_map(|o| if let Output::Task(event) = o { Some(&event.fact) } else { None });
    let told = events.map(|fact| match fact {
        TaskFact::Taken(task) => {
            let tag = task.tag.as_deref().map(&mut number).unwrap_or_default();
            format!("{} takes {} {} under {tag}", number(&task.id), task.name, task.retries)
        }
        TaskFact::Settled { tag } => format!("settles {}", number(tag)),
        TaskFact::SentAgain { id, retries } => format!("{} sent again {retries}", number(id)),
        TaskFact::State(state) => format!("{} {:?} {:?}", number(&state.id), state.phase, state.status),
    });
    told.collect()
}

#[test]
fn what_real_programs_tell_of_executions_has_the_same_ids_throughout() {
    let all = captures();
    let told = |name: &str, role| facts(&all.iter().find(|c| c.name.ends_with(name)).expect("it").whole(role));
    let taken = ["shop.add 0 under #0", "shop.fail 0 under #2", "shop.flaky 0 under #4", "shop.flaky 1 under #6"];
    let ids = ["#1", "#3", "#5", "#5"].into_iter().zip(taken);
    assert_eq!(
        told("/redis-worker", Role::Client),
        ids.map(|(id, t)| format!("{id} takes run/{t}")).collect::<Vec<_>>()
    );
    // Each is written and published.
    let ends = ["#0 Ended Unset", "#1 Ended Error(\"\")", "#2 Ended Unset", "#2 Ended Unset"];
    assert_eq!(told("/redis-results", Role::Client), ends.into_iter().flat_map(|end| [end, end]).collect::<Vec<_>>());
    for name in ["/redis-worker", "/redis-results"] {
        assert!(told(name, Role::Server).is_empty(), "Redis runs no tasks");
    }
}

#[test]
fn what_settles_a_message_and_what_sends_a_task_again_is_told() {
    let mut wire = Wire::new("redis");
    let tag = "667b7b06-349d-4363-96bf-ede74c9005e8";
    wire.request(command(&["HDEL", "unacked", tag]) + &command(&["HDEL", "some", "field"]));
    let again = TASK.replace(r#""retries": 0"#, r#""retries": 2"#);
    wire.request(command(&["LPUSH", "celery", &again]) + &command(&["LPUSH", "celery", TASK]));
    assert_eq!(facts(&wire), ["settles #0", "#1 sent again 2"]);
}
