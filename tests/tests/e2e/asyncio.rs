//! Event loops of Python: what a task asks is asked for the request that it answers, however many there are at a time.

use std::collections::HashMap;
use std::time::Duration;

use wirespan_tests::raw::Crowd;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::databases::Database;
use wirespan_tests::services::loops::{Hops, Server};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

/// One at a time, and many.
const CROWDS: [Crowd; 2] = [Crowd { clients: 1, each: 16 }, Crowd { clients: 64, each: 5 }];
/// Before that: the agent finds the tasks of a program with its first requests.
const WARM_UP: Crowd = Crowd { clients: 2, each: 4 };
/// Calls that come so late that their request's trace may have left: then they begin traces of their own.
const LATE: [&str; 1] = ["after_answer"];
const QUIET: Duration = Duration::from_millis(1500);

/// Which request a span is about.
type Number = fn(&Span) -> Option<String>;

/// `/hop/NUMBER/HOP`, and what is like it.
fn hop(span: &Span) -> Option<String> {
    span.path().split('/').nth(2).map(str::to_owned)
}

/// Has `service` asked, and checks its calls: each of the `calls` of a request is below it and rests on `evidence`, and what was
/// asked of another service is below the call. Nothing is ever below another request.
fn assert_linked(mut scene: Scene, port: u16, service: &str, path: &str, number: Number, calls: usize, evidence: &str) {
    scene.trace();
    WARM_UP.get(port, |n| path.replace("N", &n.to_string()));
    assert!(scene.settles(QUIET), "spans keep arriving");
    assert!(!scene.spans().is_empty(), "nothing was seen of the first requests:\n{}", scene.agent().log());
    for (n, crowd) in CROWDS.iter().enumerate() {
        crowd.get(port, |request| path.replace("N", &(1000 * (n + 1) + request).to_string()));
    }
    assert!(scene.settles(QUIET), "spans keep arriving");
    scene.agent().stop();
    let spans = scene.spans();
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    let measured = |span: &Span| number(span).and_then(|n| n.parse::<usize>().ok()).is_some_and(|n| n >= 1000);
    for span in &spans {
        let Some(above) = by_id.get(span.parent.as_str()) else { continue };
        // (A pool's own statements are about none.)
        let about = number(span);
        assert!(about.is_none() || about == number(above), "{}\n  is below\n{}", trace::line(span), trace::line(above));
        assert_eq!(span.trace_id, above.trace_id, "{}", trace::line(span));
    }
    let own = |kind: Kind| spans.iter().filter(move |s| s.kind == kind && s.service() == service && measured(s));
    let requests: usize = CROWDS.iter().map(Crowd::total).sum();
    assert_eq!(own(Kind::Server).count(), requests, "requests are missing");
    let of = |call: &Span| by_id.get(call.parent.as_str()).is_some_and(|above| above.kind == Kind::Server);
    let (linked, roots): (Vec<&Span>, Vec<&Span>) = own(Kind::Client).partition(|call| of(call));
    let mut why: HashMap<Option<&str>, usize> = HashMap::new();
    roots.iter().for_each(|call| *why.entry(call.text("wirespan.link.missing")).or_default() += 1);
    // (A statement may be prepared first, which is a call of its own.)
    let all = linked.len() + roots.len();
    assert!(all >= calls * requests, "{all} calls are too few");
    // (What a busy machine delays for long is not linked, and never wrongly.)
    let promised = if LATE.contains(&evidence) { 0 } else { all * 97 / 100 };
    println!("{service} {path}: {} of {all} calls are linked", linked.len());
    assert!(linked.len() >= promised, "{} calls are below nothing: {why:?}", roots.len());
    let mut rests: HashMap<&str, usize> = HashMap::new();
    linked.iter().for_each(|c| *rests.entry(c.text("wirespan.link.evidence").unwrap_or("exact")).or_default() += 1);
    let others: Vec<&&str> = rests.keys().filter(|rest| **rest != evidence).collect();
    assert!(others.is_empty() && !rests.is_empty(), "{rests:?}");
    let dangling = spans.iter().find(|span| !span.parent.is_empty() && !by_id.contains_key(span.parent.as_str()));
    assert!(dangling.is_none(), "{}", dangling.map(trace::line).unwrap_or_default());
}

fn assert_hops(server: Server, path: &str, evidence: &str) {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let orders = Node::orders(&scene, "");
    let hops = Hops::start(&scene, server, &orders.url(""));
    assert_linked(scene, hops.port, "hops", path, hop, 2, evidence);
}

#[test]
fn the_calls_of_aiohttps_handlers_are_below_their_requests() {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let orders = Node::orders(&scene, "");
    let catalog = Python::catalog(&scene, &orders.url(""));
    assert_linked(scene, catalog.port, "catalog", "/hop/N/0", hop, 1, "exact");
}

#[test]
fn the_queries_of_aiohttps_handlers_over_a_pool_are_below_their_requests() {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let postgres = Database::postgres(&scene);
    let tables = Python::tables(&scene, postgres.port);
    assert_linked(scene, tables.port, "tables", "/q/N", query, 2, "exact");
}

/// `/q/NUMBER`, or the column that is named after it.
fn query(span: &Span) -> Option<String> {
    let named = span.text("db.query.text").and_then(|text| text.rsplit_once(" AS ")).map(|(_, column)| column);
    let number = named.map(|column| column.trim_start_matches(['a', 'b'])).or_else(|| span.path().split('/').nth(2));
    number.map(str::to_owned)
}

#[test]
fn the_calls_of_fastapis_handlers_under_uvicorn_are_below_their_requests() {
    assert_hops(Server::Uvicorn, "/hop/N/0", "exact");
}

#[test]
fn the_calls_of_fastapis_handlers_under_httptools_are_below_their_requests() {
    assert_hops(Server::Httptools, "/hop/N/0", "exact");
}

#[test]
fn the_calls_of_fastapis_handlers_under_gunicorn_are_below_their_requests() {
    assert_hops(Server::Gunicorn, "/hop/N/0", "exact");
}

#[test]
fn the_calls_of_fastapis_handlers_under_uvloop_are_below_their_requests() {
    assert_hops(Server::Uvloop, "/hop/N/0", "exact");
}

#[test]
fn the_calls_of_fastapis_handlers_under_gunicorn_and_uvloop_are_below_their_requests() {
    assert_hops(Server::GunicornUvloop, "/hop/N/0", "exact");
}

#[test]
fn calls_of_tasks_that_a_handler_gathers_under_uvloop_are_below_its_request() {
    assert_hops(Server::Uvloop, "/parallel/N/0", "child_unit");
}

#[test]
fn the_calls_of_endpoints_that_run_in_threads_are_below_their_requests() {
    assert_hops(Server::Uvicorn, "/sync/N/0", "child_unit");
}

#[test]
fn the_calls_of_endpoints_that_run_in_threads_under_uvloop_are_below_their_requests() {
    assert_hops(Server::Uvloop, "/sync/N/0", "child_unit");
}

#[test]
fn calls_in_threads_that_a_handler_hands_them_to_are_below_its_request() {
    assert_hops(Server::Uvicorn, "/to_thread/N/0", "child_unit");
}

#[test]
fn calls_of_tasks_that_a_handler_gathers_are_below_its_request() {
    assert_hops(Server::Uvicorn, "/parallel/N/0", "child_unit");
}

#[test]
fn calls_of_background_tasks_are_below_the_request_that_left_them() {
    assert_hops(Server::Uvicorn, "/later/N/0", "after_answer");
}
