//! Clients of databases and brokers: every call of every driver is a pair of joined spans, exact in each attribute, and
//! there is no other span.
//!
//! What a program of `tests/services/clients` does stands in its source, and which calls that makes in the file beside it
//! that ends with `.calls`: one a line, in columns that ` | ` divides.
//!
//! | column | what it is |
//! |---|---|
//! | `SELECT t` | the summary, which is the span's name; then a column with the text. With Redis and memcached the text alone, which begins with `?` if nobody knows the command |
//! | `[PREPARE] SELECT ?` | what the protocol itself calls a call that runs no text, and the text, if it has one |
//! | `3x …` | so many such calls |
//! | `!23505`, `~01000` | failed with this code; succeeded with one |
//! | `#2`, `+4`, `@3` | statements in one message, commands in one operation, the database if it is another |

use std::fs;
use std::path::Path;

use wirespan_tests::db::{Database, Deviation};
use wirespan_tests::expect::Expected;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::brokers::RabbitMq;
use wirespan_tests::services::clients;
use wirespan_tests::services::databases::Database as Server;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

/// The calls that a program makes.
fn calls(database: &Database<'_>, name: &str) -> Vec<Expected> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("services/clients").join(format!("{name}.calls"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().flat_map(|line| call(database, line)).collect()
}

/// The calls of one line.
fn call(database: &Database<'_>, line: &str) -> Vec<Expected> {
    let (times, line) = match line.split_once("x ") {
        Some((times, rest)) if times.bytes().all(|b| b.is_ascii_digit()) => (times.parse().expect("a number"), rest),
        _ => (1, line),
    };
    let sql = !matches!(database.system, "redis" | "memcached");
    let mut columns = line.split(" | ");
    let first = columns.next().expect("a column");
    let mut span = match first.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((operation, text)) => {
            let text = Some(text.trim_start()).filter(|text| !text.is_empty());
            // The conventions leave the database out of what Redis is asked for, and memcached has none.
            let name = if sql { format!("{operation} shop") } else { operation.to_owned() };
            database.operation(&name, operation, text)
        }
        None if sql => database.sql(first, columns.next().expect("a text")),
        None if first.starts_with('?') => database.unnamed(first),
        None => {
            let operation = first.split_once(" ?").map_or(first, |(operation, _)| operation);
            database.operation(operation, operation, Some(first))
        }
    };
    for column in columns {
        let (sign, value) = column.split_at(1);
        let number = || value.parse::<i64>().expect("a number");
        span = match sign {
            "!" => span.refused(value),
            "~" => span.both("db.response.status_code", value),
            "#" => span.both("db.operation.batch.size", number()),
            "+" => span.both("wirespan.pipeline.size", number()),
            "@" => span.both("db.namespace", value),
            other => panic!("{line}: nobody knows what {other} means"),
        };
    }
    vec![span; times]
}

fn assert_nothing_leaks(spans: &[Span]) {
    let leak = spans.iter().map(trace::line).find(|line| line.contains("secret"));
    assert_eq!(leak, None, "a value got out");
}

/// Runs each program, one after the other, with what `argument` makes of it, and checks all spans.
fn check(scene: &mut Scene, database: Database<'_>, programs: &[(&str, &str, &str)]) {
    scene.trace();
    let mut expected = Vec::new();
    for (program, table, argument) in programs {
        clients::run(scene, program, argument);
        let (caller, _) = program.rsplit_once('.').expect("an ending");
        expected.extend(calls(&Database { caller, ..database }, table));
    }
    let spans = scene.finish(expected.iter().map(Expected::size).sum());
    assert_nothing_leaks(&spans);
    trace::assert_traces(&expected, &spans);
}

#[test]
fn every_call_of_every_client_of_postgresql_is_a_pair_of_spans() {
    let mut scene = Scene::new();
    let server = Server::postgres(&scene);
    let port = server.port.to_string();
    let jdbc = format!("jdbc:postgresql://127.0.0.1:{port}/shop?user=app&sslmode=disable");
    let database =
        Database { caller: "", service: "postgres", system: "postgresql", namespace: Some("shop"), port: server.port };
    let programs = ["psycopg2_app.py", "psycopg3_app.py", "asyncpg_app.py", "pg_app.js", "pq_app.go", "pgx_app.go"];
    let mut runs: Vec<_> = programs.map(|program| (program, program, port.as_str())).to_vec();
    runs.push(("Jdbc.java", "Jdbc.postgresql", &jdbc));
    check(&mut scene, database, &runs);
}

#[test]
fn every_call_of_every_client_of_mariadb_is_a_pair_of_spans() {
    let mut scene = Scene::new();
    let server = Server::mariadb(&scene);
    let port = server.port.to_string();
    let jdbc = format!("jdbc:mariadb://127.0.0.1:{port}/shop?user=app&password=hunter2&useServerPrepStmts=true");
    let database =
        Database { caller: "", service: "mariadbd", system: "mariadb", namespace: Some("shop"), port: server.port };
    let programs = ["mysqlclient_app.py", "mysql2_app.js", "mysql_app.go"];
    let mut runs: Vec<_> = programs.map(|program| (program, program, port.as_str())).to_vec();
    runs.push(("Jdbc.java", "Jdbc.mariadb", &jdbc));
    check(&mut scene, database, &runs);
}

#[test]
fn every_call_of_every_client_of_redis_is_a_pair_of_spans() {
    let mut scene = Scene::new();
    let server = Server::redis(&scene);
    let port = server.port.to_string();
    let database =
        Database { caller: "", service: "redis-server", system: "redis", namespace: None, port: server.port };
    let programs = ["redispy_app.py", "ioredis_app.js", "redigo_app.go"];
    let runs = programs.map(|program| (program, program, port.as_str()));
    check(&mut scene, database, &runs);
}

#[test]
fn every_call_of_every_client_of_memcached_is_a_pair_of_spans() {
    let mut scene = Scene::new();
    let server = Server::memcached(&scene);
    let port = server.port.to_string();
    let database =
        Database { caller: "", service: "memcached", system: "memcached", namespace: None, port: server.port };
    check(&mut scene, database, &[("pymemcache_app.py", "pymemcache_app.py", port.as_str())]);
}

/// A message at one end, as aio-pika's program sends and receives them.
fn message(port: u16, kind: Kind, operation: &str, queue: &str, id: &str, size: i64) -> Expected {
    let kind_of_operation = if operation == "publish" { "send" } else { operation };
    Expected::new("aiopika_app", kind, &format!("{operation} {queue}"))
        .with("messaging.system", "rabbitmq")
        .with("messaging.operation.name", operation)
        .with("messaging.operation.type", kind_of_operation)
        .with("messaging.destination.name", queue)
        .with("messaging.rabbitmq.destination.routing_key", queue)
        .with("messaging.message.id", id)
        .with("messaging.message.body.size", size)
        .with("network.protocol.name", "amqp")
        .with("network.protocol.version", "0.9.1")
        .with("network.peer.address", "127.0.0.1")
        .with("network.peer.port", port)
        .with("server.address", "127.0.0.1")
        .with("server.port", port)
}

#[test]
fn every_message_of_aio_pika_is_a_span_and_receivers_are_linked_to_their_senders() {
    let mut scene = Scene::new();
    let rabbit = RabbitMq::start(&scene);
    scene.trace();
    clients::run(&scene, "aiopika_app.py", &rabbit.port.to_string());
    let message = |kind, operation, queue, id, size| message(rabbit.port, kind, operation, queue, id, size);
    let delivered = |span: Expected, tag: i64| span.with("messaging.rabbitmq.message.delivery_tag", tag);
    let expected = [
        message(Kind::Producer, "publish", "boxes", "first", 10),
        message(Kind::Producer, "publish", "boxes", "second", 10),
        message(Kind::Producer, "publish", "nowhere", "third", 6).failed("no-route"),
        delivered(message(Kind::Client, "receive", "boxes", "first", 10), 1),
        delivered(message(Kind::Consumer, "process", "boxes", "second", 10), 2),
    ];
    let spans = scene.finish(expected.len());
    assert_nothing_leaks(&spans);
    trace::assert_traces(&expected, &spans);
    let sender = |id: &str| {
        let sent = spans.iter().find(|s| s.kind == Kind::Producer && s.text("messaging.message.id") == Some(id));
        sent.map(|s| (s.trace_id.clone(), s.span_id.clone())).expect("the sender")
    };
    for receiver in spans.iter().filter(|s| s.kind != Kind::Producer) {
        let id = receiver.text("messaging.message.id").expect("an id");
        assert_eq!(receiver.links, [sender(id)], "{}", trace::line(receiver));
    }
}
