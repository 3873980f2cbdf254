//! What applications do in bulk is one span, however their drivers send it.

use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::services::databases::Database;
use wirespan_tests::span::{Kind, Span, Value};
use wirespan_tests::trace;

const SIZE: &str = "db.operation.batch.size";

/// How many rows a span tells of.
fn rows(span: &Span) -> i64 {
    span.int(SIZE).unwrap_or(1)
}

/// The spans of a kind that insert something.
fn inserts(spans: &[Span], kind: Kind) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind == kind && span.name.ends_with("INSERT parcels")).collect()
}

/// 200 rows, sent to MariaDB by a program that is given its port.
fn inserted(what: &str, insert: impl Fn(&Scene, u16)) -> Vec<Span> {
    let mut scene = Scene::new();
    let server = Database::mariadb(&scene);
    scene.trace();
    insert(&scene, server.port);
    let committed = |spans: &[Span]| spans.iter().filter(|span| span.name == "COMMIT").count() == 2;
    scene.wait_for(committed);
    let spans = scene.finish(0);
    assert_nothing_leaks(what, &spans);
    spans
}

fn assert_nothing_leaks(what: &str, spans: &[Span]) {
    assert!(!spans.iter().any(|span| trace::line(span).contains("secret")), "{what}: a value got out");
}

/// MariaDB's JDBC driver with these options.
fn by_jdbc(options: &str) -> Vec<Span> {
    inserted(options, |scene, port| {
        let url = format!("jdbc:mariadb://127.0.0.1:{port}/shop?user=app&password=hunter2&{options}");
        clients::run_with(scene, "Rows.java", &[&url, "200"]);
    })
}

/// The driver that MariaDB's makers publish for Node, told so.
fn by_node(how: &str) -> Vec<Span> {
    inserted(how, |scene, port| clients::run_with(scene, "rows.js", &[&port.to_string(), how, "200"]))
}

#[test]
fn rows_in_one_command_of_mariadb_are_one_pair_of_spans() {
    for (driver, spans) in [("JDBC", by_jdbc("useServerPrepStmts=true&useBulkStmts=true")), ("Node", by_node("bulk"))] {
        for kind in [Kind::Client, Kind::Server] {
            let found: Vec<_> = inserts(&spans, kind).iter().map(|span| (span.name.as_str(), rows(span))).collect();
            assert_eq!(found, [("BATCH INSERT parcels", 200)], "{driver} {kind:?}");
        }
    }
}

/// The driver sends them without waiting, and reads the answers meanwhile (JDBC by another of its threads).
fn assert_one_call(what: &str, spans: &[Span]) {
    let calls = inserts(spans, Kind::Client);
    assert_eq!(calls.iter().map(|span| rows(span)).sum::<i64>(), 200, "{what}: {calls:#?}");
    // At the first ones the driver may wait for its own classes; and whoever else uses the machine may make it wait at any.
    assert!(calls.len() <= 60 && calls.iter().any(|span| rows(span) >= 40), "{what}: {calls:#?}");
    let served = inserts(spans, Kind::Server);
    assert_eq!(served.len(), 200, "{what}: the server takes one after the other");
    for span in served {
        assert!(calls.iter().any(|call| call.span_id == span.parent), "{what}: {}", trace::line(span));
    }
}

#[test]
fn rows_that_are_sent_without_waiting_are_one_call() {
    for options in ["useServerPrepStmts=true", "useServerPrepStmts=false"] {
        assert_one_call(options, &by_jdbc(options));
    }
    assert_one_call("Node", &by_node("pipeline"));
}

/// What a batch says of the only statement of it that failed, at both ends of it.
fn assert_one_failure(spans: &[Span], name: &str, size: i64, index: i64, code: &str) {
    for kind in [Kind::Client, Kind::Server] {
        let found: Vec<&Span> = spans.iter().filter(|span| span.kind == kind && span.name == name).collect();
        let [batch] = found[..] else { panic!("{kind:?}: {spans:#?}") };
        assert_eq!((rows(batch), batch.text("error.type")), (size, Some(code)), "{batch:?}");
        let [(event, said)] = &batch.events[..] else { panic!("{batch:?}") };
        assert_eq!(event, "wirespan.batch.failure");
        assert_eq!(said.get("wirespan.batch.index"), Some(&Value::Int(index)), "{batch:?}");
        assert_eq!(said.get("db.response.status_code"), Some(&Value::Str(code.to_owned())), "{batch:?}");
    }
}

#[test]
fn a_pipeline_of_two_thousand_commands_is_one_pair_of_spans_and_says_which_of_them_failed() {
    let mut scene = Scene::new();
    let redis = Database::redis(&scene);
    scene.trace();
    clients::run_with(&scene, "pipeline.py", &[&redis.port.to_string(), "2000"]);
    let piped = |spans: &[Span]| spans.iter().filter(|span| span.name == "PIPELINE").count() == 2;
    scene.wait_for(piped);
    let spans = scene.finish(0);
    assert_nothing_leaks("Redis", &spans);
    assert_one_failure(&spans, "PIPELINE", 2000, 1000, "WRONGTYPE");
    let stray = spans.iter().filter(|span| ["SET", "LPUSH"].contains(&span.name.as_str()));
    assert_eq!(stray.count(), 0, "no command is told beside it");
}

#[test]
fn a_row_that_fails_is_an_event_of_its_batch() {
    let mut scene = Scene::new();
    let postgres = Database::postgres(&scene);
    scene.trace();
    clients::run_with(&scene, "failing_rows.py", &[&postgres.port.to_string()]);
    let spans = scene.finish(2);
    assert_nothing_leaks("PostgreSQL", &spans);
    assert_one_failure(&spans, "BATCH INSERT orders", 4, 2, "23505");
}
