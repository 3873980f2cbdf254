//! What h2spec, a public conformance suite, said to real servers (`captures/http2-conformance/*.json`): hundreds of
//! connections on which the client breaks RFC 9113 and RFC 7541 in every way that their authors thought of.
//!
//! The truth beside each is that of another library (`captures/record_conformance.py`): which requests the client made,
//! by the offset of their first byte, and how the server answered them.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use wirespan_protocols::exchange::Output;
use wirespan_protocols::http2::detect;
use wirespan_protocols::{Detection, Direction, End, Progress, Role, Settings};

use crate::replay::assert_balanced;
use crate::wire::{Wire, int, text};

/// Where the client's stream begins in a [`Wire`].
const START: u64 = 10_000;

struct Request {
    method: Option<String>,
    path: Option<String>,
    /// If the server answered in full.
    status: Option<i64>,
}

struct Connection {
    name: String,
    operations: Vec<(Direction, Vec<u8>)>,
    requests: HashMap<u64, Request>,
}

fn connection(server: &str, n: usize, json: &Value) -> Connection {
    let operations = json["operations"].as_array().unwrap().iter().map(|operation| {
        let direction = if operation[0] == "request" { Direction::Request } else { Direction::Response };
        let text = operation[1].as_str().unwrap();
        (direction, text.chars().map(|c| u8::try_from(c).unwrap()).collect())
    });
    let own = |value: &Value| value.as_str().map(str::to_owned);
    let requests = json["requests"].as_array().unwrap().iter().map(|request| {
        let (method, path, status) = (own(&request[1]), own(&request[2]), request[3].as_i64());
        (START + request[0].as_u64().unwrap(), Request { method, path, status })
    });
    Connection { name: format!("{server} {n}"), operations: operations.collect(), requests: requests.collect() }
}

fn connections() -> Vec<Connection> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/http2-conformance");
    let mut all = Vec::new();
    for server in ["hypercorn", "nghttpd", "nginx"] {
        let text = std::fs::read_to_string(folder.join(format!("{server}.json"))).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        let list = json["connections"].as_array().unwrap();
        all.extend(list.iter().enumerate().map(|(n, json)| connection(server, n, json)));
    }
    assert!(all.len() > 400, "{}", all.len());
    all
}

/// Reads a connection as the agent does: detected by its bytes, and anew whenever they stop making sense. `captured`
/// says how many bytes of each operation are seen; the rest is a gap. Also says whether they did stop to make sense.
fn read(connection: &Connection, role: Role, captured: impl Fn(usize, usize) -> usize) -> (Vec<Output>, bool) {
    let (mut out, mut wire, mut reading, mut lost) = (Vec::new(), Wire::new(role), false, false);
    for (n, (direction, bytes)) in connection.operations.iter().enumerate() {
        let (seen, hidden) = bytes.split_at(captured(n, bytes.len()).min(bytes.len()));
        if !reading && !matches!(detect(seen), Detection::Match(found) if found == *direction) {
            wire.skip(*direction, bytes.len() as u64);
            continue;
        }
        reading = true;
        wire.operation(*direction, seen, hidden.len() as u64);
        if wire.progress != Progress::Continue {
            (reading, lost) = (false, true);
            assert_balanced(&wire.out, &connection.name);
            out.append(&mut wire.out);
            (wire.parser, wire.progress) = (crate::parser(Settings::of(role)), Progress::Continue);
        }
    }
    wire.end(Direction::Response, End::Closed);
    assert_balanced(&wire.out, &connection.name);
    out.append(&mut wire.out);
    (out, lost)
}

/// Every exchange is a request that the client made, and says nothing else of it. Returns how many there are of requests
/// that were answered.
fn assert_made(connection: &Connection, out: &[Output], context: &str) -> usize {
    let mut answered = 0;
    for exchange in crate::wire::finished(out) {
        let at = exchange.request.first.position;
        let Some(made) = connection.requests.get(&at) else {
            panic!("{} {context}: nobody made {exchange:#?}", connection.name)
        };
        let method = text(exchange, "http.request.method_original").or(text(exchange, "http.request.method"));
        assert!(agrees(method, made.method.as_deref()), "{} {context}: {method:?}", connection.name);
        let path = text(exchange, "url.path");
        assert!(agrees(path, made.path.as_deref()), "{} {context}: {path:?}", connection.name);
        let status = int(exchange, "http.response.status_code");
        assert!(made.status.is_none() || status.is_none() || status == made.status, "{} {context}", connection.name);
        answered += usize::from(made.status.is_some());
    }
    answered
}

/// Whether what the parser says is what the other library says, as far as both know.
fn agrees(ours: Option<&str>, theirs: Option<&str>) -> bool {
    ours.zip(theirs).is_none_or(|(ours, theirs)| ours == theirs)
}

#[test]
fn every_answered_request_of_the_suite_is_found_and_no_other() {
    for role in [Role::Server, Role::Client] {
        let (mut found, mut missed) = (0, 0);
        for connection in connections() {
            let (out, lost) = read(&connection, role, |_, len| len);
            let answered = assert_made(&connection, &out, "whole");
            let expected = connection.requests.values().filter(|r| r.status.is_some()).count();
            // Where the client broke the connection before the answer came, the request is dropped.
            assert!(answered == expected || lost, "{}: {answered} of {expected}", connection.name);
            (found, missed) = (found + answered, missed + expected - answered);
        }
        assert!(found > 100 && missed < found / 10, "{found} answered requests were found, {missed} were not");
    }
}

#[test]
fn what_is_seen_of_the_suite_in_part_invents_nothing() {
    for connection in connections() {
        for limit in [9, 24, 40, 64, 100, 256, 1000, 4096] {
            assert_made(&connection, &read(&connection, Role::Server, |_, _| limit).0, &format!("{limit} bytes"));
        }
        for start in 1..connection.operations.len() {
            let from = |n: usize, len: usize| if n >= start { len } else { 0 };
            assert_made(&connection, &read(&connection, Role::Server, from).0, &format!("from operation {start}"));
        }
    }
}

#[test]
fn the_suite_in_any_piece_never_panics() {
    for connection in connections() {
        for piece in [1, 7] {
            let mut wire = Wire::server();
            for (direction, bytes) in &connection.operations {
                bytes.chunks(piece).for_each(|chunk| {
                    wire.operation(*direction, chunk, 0);
                });
            }
            wire.end(Direction::Response, End::Closed);
            assert_balanced(&wire.out, &connection.name);
            assert_made(&connection, &wire.out, "in pieces");
        }
    }
}
