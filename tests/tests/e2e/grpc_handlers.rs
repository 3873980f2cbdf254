//! A call made inside a gRPC handler: below its own request or below none.

use std::collections::HashSet;

use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace::{self, Node as Tree};

/// Spans of one request: the two ends of the call to the teller, and of the one that its handler makes.
const SPANS: usize = 4;

/// The request that a span belongs to: of `shop.v1.Hop/R<number>`, or of `/hop/<number>/1`.
fn number(span: &Span) -> &str {
    match span.name.strip_prefix("shop.v1.Hop/R") {
        Some(number) => number,
        None => span.path().split('/').nth(2).unwrap_or_else(|| panic!("{} names no request", trace::line(span))),
    }
}

/// Whether `below` can be what `above` led to: the next of the request's four spans.
fn follows(above: &Span, below: &Span) -> bool {
    let place = |span: &Span| match (span.name.starts_with("shop.v1.Hop/R"), span.kind) {
        (true, Kind::Client) => 0,
        (true, _) => 1,
        (false, Kind::Client) => 2,
        (false, _) => 3,
    };
    place(below) == place(above) + 1 && number(above) == number(below)
}

fn assert_links_are_right(nodes: &[Tree<'_>]) {
    for node in nodes {
        for child in &node.children {
            let shown = (trace::line(node.span), trace::line(child.span));
            assert!(follows(node.span, child.span), "{}\n  has the child\n{}", shown.0, shown.1);
        }
        assert_links_are_right(&node.children);
    }
}

/// Makes `calls`, so many at a time. Every span is there, both ends of every exchange are joined, no trace has spans of two
/// requests, no parent is wrong.
fn assert_never_wrong(asynchronous: bool, calls: usize, concurrent: usize) {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let start = if asynchronous { Python::teller_async } else { Python::teller };
    let teller = start(&scene, &orders.url(""));
    scene.trace();
    let arguments = [teller.port.to_string(), calls.to_string(), concurrent.to_string()];
    Python::run(&scene, "teller_client.py", &arguments.each_ref().map(String::as_str));
    let spans = scene.finish(SPANS * calls);
    assert_eq!(spans.len(), SPANS * calls, "every request has its spans");

    let requests: HashSet<(&str, &str)> = spans.iter().map(|span| (span.trace_id.as_str(), number(span))).collect();
    let traces: HashSet<&str> = spans.iter().map(|span| span.trace_id.as_str()).collect();
    assert_eq!(requests.len(), traces.len(), "traces have spans of several requests");
    let forest = trace::forest(&spans);
    assert!(forest.iter().all(|root| root.span.parent.is_empty()), "a span names a parent that did not arrive");
    assert_links_are_right(&forest);
    let roots = |kind: Kind| forest.iter().filter(|root| root.span.kind == kind).count();
    assert_eq!(roots(Kind::Server), 0, "both ends of every exchange are joined");
    let linked = 2 * calls - roots(Kind::Client);
    eprintln!("{calls} calls, {concurrent} at a time: {linked} of the handlers' calls below their request");
}

#[test]
fn calls_of_a_pool_of_threads_are_never_below_another_request() {
    assert_never_wrong(false, 300, 100);
}

#[test]
fn calls_of_an_asyncio_server_are_never_below_another_request() {
    assert_never_wrong(true, 300, 100);
}

#[test]
fn one_call_after_the_other_is_never_below_another_request() {
    assert_never_wrong(false, 20, 1);
    assert_never_wrong(true, 20, 1);
}
