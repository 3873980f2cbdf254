//! What applications do in bulk is one span, however their drivers send it.

use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::services::databases::Database;
use wirespan_tests::span::{Kind, Span};
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

/// 200 rows, sent by MariaDB's JDBC driver with these options.
fn by_jdbc(options: &str) -> Vec<Span> {
    let mut scene = Scene::new();
    let server = Database::mariadb(&scene);
    scene.trace();
    let url = format!("jdbc:mariadb://127.0.0.1:{}/shop?user=app&password=hunter2&{options}", server.port);
    clients::run_with(&scene, "Rows.java", &[&url, "200"]);
    let committed = |spans: &[Span]| spans.iter().filter(|span| span.name == "COMMIT").count() == 2;
    scene.wait_for(committed);
    let spans = scene.finish(0);
    assert!(!spans.iter().any(|span| trace::line(span).contains("secret")), "{options}: a value got out");
    spans
}

#[test]
fn rows_in_one_command_of_mariadb_are_one_pair_of_spans() {
    let spans = by_jdbc("useServerPrepStmts=true&useBulkStmts=true");
    for kind in [Kind::Client, Kind::Server] {
        let found: Vec<_> = inserts(&spans, kind).iter().map(|span| (span.name.as_str(), rows(span))).collect();
        assert_eq!(found, [("BATCH INSERT parcels", 200)], "{kind:?}");
    }
}

/// The driver sends them without waiting, and another of its threads reads the answers meanwhile.
fn assert_one_call(options: &str) {
    let spans = by_jdbc(options);
    let calls = inserts(&spans, Kind::Client);
    assert_eq!(calls.iter().map(|span| rows(span)).sum::<i64>(), 200, "{options}: {calls:#?}");
    // At the first ones the driver may wait for its own classes.
    assert!(calls.len() <= 20 && calls.iter().any(|span| rows(span) >= 100), "{options}: {calls:#?}");
    let served = inserts(&spans, Kind::Server);
    assert_eq!(served.len(), 200, "{options}: the server takes one after the other");
    for span in served {
        assert!(calls.iter().any(|call| call.span_id == span.parent), "{options}: {}", trace::line(span));
    }
}

#[test]
fn rows_that_are_sent_without_waiting_are_one_call() {
    assert_one_call("useServerPrepStmts=true");
    assert_one_call("useServerPrepStmts=false");
}
