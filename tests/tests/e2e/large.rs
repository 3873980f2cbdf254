//! What is larger than the usual capture of one operation, from the first operation on.

use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http;
use wirespan_tests::raw::Client;
use wirespan_tests::scene::{Scene, test_process};
use wirespan_tests::services::databases::Database;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Header fields of 6 KB, with the trace's context behind them.
fn fields() -> [String; 2] {
    [format!("Cookie: session={}", "x".repeat(6_100)), format!("traceparent: 00-{TRACE}-{SPAN}-01")]
}

/// curl with these fields and `arguments`.
fn ask(arguments: &[&str]) {
    let [cookie, context] = fields();
    let reply = curl::run(&[arguments, &["-H", &cookie, "-H", &context]].concat());
    assert_eq!((reply.exit, reply.code), (0, 200), "{arguments:?}");
}

/// Both ends of a request with that context.
fn linked(service: &str, url: &str) -> Expected {
    http::curl(service, "GET", url, 200).below(TRACE, SPAN)
}

#[test]
fn the_first_request_of_a_connection_is_linked_behind_large_cookies() {
    let mut scene = Scene::new();
    let node = Node::faults(&scene);
    let gunicorn = Gunicorn::start(&scene, Worker::Sync, "");
    let nginx = Nginx::start(&scene, &Settings { workers: 1, http: "", server: "location / { return 200 ok; }" });
    scene.trace();
    let urls = [("faults", node.url("/one")), ("shop", gunicorn.url("/plain")), ("nginx", nginx.url("/one"))];
    urls.iter().for_each(|(_, url)| ask(&[url]));
    scene.expect(&urls.each_ref().map(|(service, url)| linked(service, url)));
}

#[test]
fn it_is_over_a_unix_socket_too() {
    let mut scene = Scene::new();
    let (_shop, socket) = Gunicorn::at_unix_socket(&scene, Worker::Sync);
    scene.owns_text("/plain");
    scene.trace();
    ask(&["--unix-socket", &socket.display().to_string(), "http://localhost/plain"]);
    let spans = scene.finish(2);
    assert_eq!(spans.len(), 2, "{spans:?}");
    assert!(spans.iter().all(|span| span.trace_id == TRACE), "{spans:?}");
}

#[test]
fn a_proxy_hands_on_what_is_behind_large_cookies() {
    let mut scene = Scene::new();
    let (_shop, socket) = Gunicorn::at_unix_socket(&scene, Worker::Sync);
    let front = Nginx::proxy(&scene, &format!("unix:{}:", socket.display()));
    scene.trace();
    ask(&[&front.url("/plain")]);
    let spans = scene.finish(4);
    assert_eq!(spans.len(), 4, "{spans:?}");
    assert!(spans.iter().all(|span| span.trace_id == TRACE), "{spans:?}");
}

/// A connection that has moved so much that nothing is its beginning any more, when the first large head comes.
fn a_kept_connection(scene: &mut Scene, service: &str, port: u16, upload: &str, path: &str) {
    let mut client = Client::to_port(port);
    let body = "x".repeat(50_000);
    let host = format!("Host: 127.0.0.1:{port}");
    client.send(format!("POST {upload} HTTP/1.1\r\n{host}\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(body);
    assert_eq!(client.response(), 200);
    let [cookie, context] = fields();
    client.send(format!("GET {path} HTTP/1.1\r\n{host}\r\n{cookie}\r\n{context}\r\n\r\n"));
    assert_eq!(client.response(), 200);
    let spans = scene.finish(4);
    let found: Vec<&Span> = spans.iter().filter(|span| span.path() == path).collect();
    assert_eq!(found.len(), 2, "{service}: {spans:?}");
    assert!(found.iter().all(|span| span.trace_id == TRACE), "{service}: {spans:?}");
}

#[test]
fn the_first_large_head_of_a_kept_connection_is_whole() {
    let mut scene = Scene::new();
    let node = Node::faults(&scene);
    scene.trace();
    a_kept_connection(&mut scene, "faults", node.port, "/upload", "/size/10");
}

#[test]
fn a_head_that_is_read_in_pieces_is_whole() {
    // nginx reads a kilobyte, and then as much as there is.
    let mut scene = Scene::new();
    let lines = "location / { return 200 ok; }";
    let nginx = Nginx::start(&scene, &Settings { workers: 1, http: "", server: lines });
    scene.trace();
    a_kept_connection(&mut scene, "nginx", nginx.port, "/up", "/one");
}

/// Spans of these kinds with this name.
fn count(spans: &[Span], kind: Kind, name: &str) -> usize {
    spans.iter().filter(|span| span.kind == kind && span.name == name).count()
}

#[test]
fn the_first_pipeline_of_a_connection_is_whole_and_so_are_later_ones() {
    let mut scene = Scene::new();
    let redis = Database::redis(&scene);
    scene.trace();
    let value = "v".repeat(4_000);
    let pipeline = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4000\r\n{value}\r\n").repeat(5);
    let mut client = Client::to_port(redis.port);
    for round in 1..=3 {
        client.send(&pipeline);
        client.read_until(&b"+OK\r\n".repeat(5));
        scene.wait_for_count(9 * round);
    }
    let spans = scene.finish(27);
    assert_eq!(count(&spans, Kind::Client, "SET"), 15, "{spans:?}");
    // Redis reads 16 KB at a time, and answers what it has: the call of which it has read a part by then is in doubt.
    assert!(count(&spans, Kind::Server, "SET") >= 12, "{spans:?}");
    assert!(spans.iter().any(|span| span.service() == test_process()), "{spans:?}");
}

#[test]
fn the_first_batch_after_a_login_is_whole() {
    let mut scene = Scene::new();
    let postgres = Database::postgres(&scene);
    scene.trace();
    Python::run(&scene, "pipelined.py", &[&postgres.port.to_string(), "5", "4000"]);
    let spans = scene.finish(2);
    // However it is divided into spans: no statement is missing.
    let statements = |kind| -> i64 {
        let inserts = spans.iter().filter(|span| span.kind == kind && span.name.ends_with("INSERT orders"));
        inserts.map(|span| span.int("db.operation.batch.size").unwrap_or(1)).sum()
    };
    assert_eq!([Kind::Client, Kind::Server].map(statements), [5, 5], "{spans:?}");
}
