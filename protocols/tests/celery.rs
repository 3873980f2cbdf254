//! Celery in Redis: what real clients and workers said (`captures/celery/*.json`), and what was made by hand. Celery in
//! AMQP is in `tests/amqp/`.

use std::path::Path;

use serde_json::Value;
use wirespan_protocols::celery::{self, Action, Write};
use wirespan_protocols::exchange::{KeyValue, MessageKey, Status, TaskFact, TaskPhase};

/// The texts of each RESP array in a stream of whole values, which is all that the captures hold.
fn arrays(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let (mut rest, mut all) = (bytes, Vec::<Vec<Vec<u8>>>::new());
    let mut nested = false;
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        let number = || std::str::from_utf8(&line[1..]).unwrap().parse::<i64>().unwrap();
        rest = after;
        match line[0] {
            b'*' => {
                all.push(Vec::new());
                nested = number() > 0;
            }
            b'$' if number() >= 0 => {
                let len = number() as usize;
                if nested {
                    all.last_mut().unwrap().push(rest[..len].to_vec());
                }
                rest = &rest[len + 2..];
            }
            _ => {}
        }
    }
    all
}

struct Capture {
    name: String,
    exchanges: Vec<String>,
    /// Every array that the client sent, and every one that it was sent.
    sent: Vec<Vec<Vec<u8>>>,
    received: Vec<Vec<Vec<u8>>>,
}

fn captures() -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/celery");
    let read = |path: &Path| {
        let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let stream = |from: &str| -> Vec<u8> {
            let operations = json["operations"].as_array().unwrap().iter().filter(|o| o[0] == from);
            operations.flat_map(|o| o[1].as_str().unwrap().chars().map(|c| u8::try_from(c).unwrap())).collect()
        };
        Capture {
            name: path.file_stem().unwrap().to_string_lossy().into(),
            exchanges: json["exchanges"].as_array().unwrap().iter().map(|e| e.as_str().unwrap().into()).collect(),
            sent: arrays(&stream("request")),
            received: arrays(&stream("response")),
        }
    };
    let mut all: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| read(&e.unwrap().path())).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(all.len(), 4);
    all
}

fn write(command: &[Vec<u8>]) -> Option<Write<'_>> {
    celery::write(command.first()?, command.get(1)?, command.last()?)
}

/// What Celery does on a connection.
fn told(capture: &Capture) -> Vec<String> {
    let sent = capture.sent.iter().filter_map(|command| match write(command)? {
        // A worker that tries a task again sends it; its own captures are about receiving.
        Write::Task(_) if capture.name != "redis-publish" && capture.name != "redis-publish-protocol1" => None,
        Write::Task(queued) => Some(format!("publish {}", queued.task.name)),
        // A result is stored and told to who waits, in one transaction.
        Write::Result { .. } if command[0] == b"PUBLISH" => None,
        Write::Result { outcome, .. } => {
            let exception = outcome.exception.map(|e| format!(" {e}")).unwrap_or_default();
            Some(format!("{}{exception}", outcome.state))
        }
    });
    let received = capture.received.iter().filter_map(|reply| {
        let [queue, message] = &reply[..] else { return None };
        Some(format!("receive {}", celery::reply(queue, message)?.task.name))
    });
    sent.chain(received).collect()
}

#[test]
fn tasks_and_results_of_real_programs_are_recognised() {
    for capture in captures() {
        assert_eq!(told(&capture), capture.exchanges, "{}", capture.name);
    }
}

#[test]
fn whatever_is_cut_short_is_told_right_or_not_at_all() {
    for capture in captures() {
        for command in &capture.sent {
            let Some(whole) = write(command) else { continue };
            let value = command.last().unwrap();
            for cut in 0..value.len() {
                match (celery::write(&command[0], &command[1], &value[..cut]), &whole) {
                    (None, _) => {}
                    (Some(Write::Task(task)), Write::Task(real)) => assert_eq!(task.task, real.task),
                    (Some(Write::Result { task_id, outcome }), Write::Result { task_id: id, outcome: real }) => {
                        assert_eq!((&task_id, &outcome.state), (id, &real.state));
                        let class = outcome.exception.unwrap_or_default();
                        assert!(real.exception.clone().unwrap_or_default().ends_with(&class), "{class}");
                    }
                    (told, _) => panic!("{told:?}, not {whole:?}"),
                }
            }
        }
    }
}

#[test]
fn a_task_is_described_as_opentelemetry_s_instrumentation_does() {
    let captures = captures();
    let publish = captures.iter().find(|c| c.name == "redis-publish").unwrap();
    let tasks: Vec<_> = publish.sent.iter().filter_map(|c| write(c)).collect();
    let [Write::Task(add), Write::Task(fail)] = &tasks[..] else { panic!("{tasks:?}") };
    assert_eq!(add.task.span_name(Action::Publish), "apply_async/shop.add");
    assert_eq!(add.task.span_name(Action::Receive), "receive/shop.add");
    assert_eq!(add.task.key(), Some(MessageKey { system: "celery", id: add.task.id.as_ref().into() }));
    assert_eq!((add.task.root_id.as_ref(), add.task.parent_id.as_ref()), (Some(&add.task.id), None));
    assert!(add.queue.starts_with("celery-") && add.context.is_none());
    assert_eq!(fail.queue, add.queue, "a priority is no part of the queue's name");
    assert!(fail.task.eta.is_some() && fail.context.is_some());
    let mut attributes = Vec::new();
    add.task.attributes(Action::Publish, &mut attributes);
    assert!(attributes.contains(&KeyValue::str("celery.task_name", "shop.add")));
    assert!(attributes.contains(&KeyValue::str("celery.action", "apply_async")));
    assert!(attributes.contains(&KeyValue::str("messaging.message.id", add.task.id.to_string())));
    assert!(attributes.iter().any(|a| a.key == "celery.hostname"));
}

#[test]
fn a_retry_is_another_message_of_the_same_task() {
    let captures = captures();
    let worker = captures.iter().find(|c| c.name == "redis-worker").unwrap();
    let tasks: Vec<_> = worker.received.iter().filter_map(|r| celery::reply(r.first()?, r.get(1)?)).collect();
    let [.., first, again] = &tasks[..] else { panic!() };
    assert_eq!((first.task.id.as_ref(), first.task.retries, again.task.retries), (again.task.id.as_ref(), 0, 1));
    assert_ne!(first.task.key(), again.task.key());
}

#[test]
fn results_say_state_and_exception() {
    let failed = br#"{"status": "FAILURE", "result": {"exc_type": "KeyError", "exc_message": ["a"], "exc_module": "builtins"}, "traceback": "T", "children": [], "task_id": "i"}"#;
    let outcome = celery::outcome(failed).unwrap();
    assert_eq!(outcome.task_id.as_deref(), Some("i"));
    let Some(TaskFact::State(state)) = outcome.fact("i") else { panic!() };
    assert_eq!((&*state.id, state.phase, state.status), ("i", TaskPhase::Ended, Status::Error("".into())));
    assert!(state.attributes.contains(&KeyValue::str("error.type", "builtins.KeyError")));
    let mut attributes = Vec::new();
    outcome.attributes(&mut attributes);
    assert!(attributes.contains(&KeyValue::str("celery.state", "FAILURE")));
    assert!(attributes.contains(&KeyValue::str("exception.type", "builtins.KeyError")));
    assert_eq!(outcome.error(), Some("builtins.KeyError"));
    assert_eq!(
        state.exception[1..],
        [KeyValue::str("exception.message", "a"), KeyValue::str("exception.stacktrace", "T")]
    );
    let own = br#"{"status": "PROGRESS", "result": {"exc_type": "looks like one"}, "traceback": null, "task_id": "i"}"#;
    let outcome = celery::outcome(own).unwrap();
    assert_eq!((outcome.exception.as_ref(), outcome.error(), outcome.fact("i")), (None, None, None));
}

#[test]
fn a_state_says_whether_its_writer_begins_or_ends_the_task() {
    let phase = |state: &str| {
        let json = format!(r#"{{"status": "{state}", "result": null, "traceback": null, "task_id": "i"}}"#);
        match celery::outcome(json.as_bytes())?.fact("i")? {
            TaskFact::State(state) => Some(state.phase),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(phase("STARTED"), Some(TaskPhase::Begun));
    for state in ["SUCCESS", "FAILURE", "RETRY"] {
        assert_eq!(phase(state), Some(TaskPhase::Ended), "{state}");
    }
    assert_eq!(phase("REVOKED"), Some(TaskPhase::Revoked), "by whoever stopped it");
    assert_eq!(phase("PROGRESS"), None, "which anybody may write");
}

#[test]
fn what_a_worker_settles_in_redis_is_known_by_the_tag_in_the_message() {
    let captures = captures();
    let worker = captures.iter().find(|c| c.name == "redis-worker").unwrap();
    let taken = worker.received.iter().filter_map(|r| celery::reply(r.first()?, r.get(1)?));
    let tags: Vec<_> = taken.map(|queued| queued.tag.expect("a tag").into_owned()).collect();
    let tag = tags[0].as_bytes();
    assert_eq!(celery::settled(b"hdel", tag), Some(&*tags[0]));
    assert_eq!((celery::settled(b"HGET", tag), celery::settled(b"HDEL", b"field")), (None, None));
}

#[test]
fn other_programs_use_redis_too() {
    let task = r#"{"body": "e30=", "content-type": "application/json", "headers": {"task": "t"}, "properties": {}}"#;
    assert_eq!(celery::write(b"LPUSH", b"celery", task.as_bytes()), None, "half an envelope");
    for value in ["", "x", "{}", "[]", r#"{"status": "ok"}"#, r#"{"status": "SUCCESS"}"#] {
        assert_eq!(celery::write(b"LPUSH", b"list", value.as_bytes()), None, "{value}");
        assert_eq!(celery::write(b"SETEX", b"celery-task-meta-1", value.as_bytes()), None, "{value}");
        assert_eq!(celery::reply(b"list", value.as_bytes()), None, "{value}");
    }
    let result = br#"{"status": "SUCCESS", "result": 1, "traceback": null}"#;
    assert_eq!(celery::write(b"SET", b"other", result), None);
    assert_eq!(celery::write(b"GET", b"celery-task-meta-1", result), None);
    assert!(celery::write(b"set", b"app-celery-task-meta-1", result).is_some());
}

#[test]
fn a_traceback_is_told_without_what_its_exceptions_quote_however_it_is_cut() {
    let failed = br#"{"status": "FAILURE", "result": {"exc_type": "OrderError", "exc_message": ["no 's3cret' \"s3cret\" left", 7], "exc_module": "shop"}, "traceback": "Traceback (most recent call last):\n  File \"/a.py\", line 9, in f\n    g()\nKeyError: 's3cret'\n\nDuring handling of the above exception, another exception occurred:\n\nshop.OrderError: no 's3cret' left\n", "children": [], "task_id": "i"}"#;
    let state = |bytes: &[u8]| match celery::outcome(bytes)?.fact("i")? {
        TaskFact::State(state) => Some(*state),
        other => panic!("{other:?}"),
    };
    let whole = "Traceback (most recent call last):\n  File \"/a.py\", line 9, in f\n    g()\nKeyError: ?\n\nDuring handling of the above exception, another exception occurred:\n\nshop.OrderError: no ? left";
    let expected = [
        KeyValue::str("exception.type", "shop.OrderError"),
        KeyValue::str("exception.message", "no ? ? left"),
        KeyValue::str("exception.stacktrace", whole),
    ];
    assert_eq!(state(failed).unwrap().exception, expected);
    for end in 0..failed.len() {
        let Some(state) = state(&failed[..end]) else { continue };
        assert!(!format!("{state:?}").contains("s3cret"), "{end}: {state:?}");
    }
}
