//! Which call belongs to which request inside a process: exact for threads, never wrong for anything else.

use std::collections::HashSet;

use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http::{Deviation, call, client, server};
use wirespan_tests::raw::Crowd;
use wirespan_tests::scene::{Scene, test_process};
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::java::Java;
use wirespan_tests::services::node::Node;
use wirespan_tests::services::php::Php;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace::{self, Node as Tree};

const CROWD: Crowd = Crowd { clients: 8, each: 25 };

/// The request that a span belongs to: the second segment of `/hop/<request>/<hop>`.
pub(crate) fn identity(span: &Span) -> &str {
    span.path().split('/').nth(2).unwrap_or_default()
}

/// Checks that no trace has spans of two requests, and that every server span is below the call that reached it.
pub(crate) fn assert_never_wrong(spans: &[Span]) {
    let forest = trace::forest(spans);
    let mut traces: HashSet<(&str, &str)> = HashSet::new();
    for span in spans {
        traces.insert((&span.trace_id, identity(span)));
    }
    let ids: HashSet<&str> = spans.iter().map(|span| span.trace_id.as_str()).collect();
    assert_eq!(traces.len(), ids.len(), "{} traces have spans of several requests", traces.len() - ids.len());
    let dangling: Vec<&Tree<'_>> = forest.iter().filter(|root| !root.span.parent.is_empty()).collect();
    assert!(dangling.is_empty(), "{} spans name a parent that did not arrive", dangling.len());
    assert_links_go_one_hop(&forest);
}

/// `/hop/<request>/<n>` is called by the server of `/hop/<request>/<n-1>`, or by the test.
fn assert_links_go_one_hop(nodes: &[Tree<'_>]) {
    for node in nodes {
        for child in &node.children {
            let (above, below) = (node.span, child.span);
            assert_ne!(above.kind, below.kind, "{}\n  has the child\n{}", trace::line(above), trace::line(below));
            if above.kind == Kind::Client {
                assert_eq!(above.path(), below.path(), "{}", trace::line(below));
            }
        }
        assert_links_go_one_hop(&node.children);
    }
}

#[test]
fn flask_threads_under_concurrency_keep_every_call_below_its_request() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Threads(8), &orders.url(""));
    scene.trace();
    CROWD.get(shop.port, |n| format!("/hop/{n}/0"));
    let traces: Vec<Expected> = (0..CROWD.total())
        .map(|n| {
            let url = shop.url(&format!("/hop/{n}/0"));
            let below = call("shop", "orders", &orders.url(&format!("/hop/{n}/1")));
            client(&test_process(), "GET", &url, 200)
                .user_agent("raw")
                .child(server("shop", "GET", &url, 200).user_agent("raw").child(below))
        })
        .collect();
    let spans = scene.finish(4 * CROWD.total());
    assert_never_wrong(&spans);
    trace::assert_traces(&traces, &spans);
}

#[test]
fn java_threads_under_concurrency_keep_every_call_below_its_request() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let payments = Java::payments(&scene, &orders.url(""));
    scene.trace();
    CROWD.get(payments.port, |n| format!("/hop/{n}/0"));
    let traces: Vec<Expected> = (0..CROWD.total())
        .map(|n| {
            let url = payments.url(&format!("/hop/{n}/0"));
            let below = call("payments", "orders", &orders.url(&format!("/hop/{n}/1")));
            client(&test_process(), "GET", &url, 200)
                .user_agent("raw")
                .child(server("payments", "GET", &url, 200).user_agent("raw").child(below))
        })
        .collect();
    let spans = scene.finish(4 * CROWD.total());
    assert_never_wrong(&spans);
    trace::assert_traces(&traces, &spans);
}

/// What is seen of crowds that ask a Java server which calls for each request; it may have helpers that answer some. No link is wrong.
fn relayed(helpers: bool) -> Vec<Span> {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let relay = Java::relay(&scene, &orders.url(""), helpers);
    scene.trace();
    let crowds = [Crowd { clients: 1, each: 40 }, Crowd { clients: 8, each: 20 }];
    for (n, crowd) in crowds.iter().enumerate() {
        crowd.get(relay.port, |request| format!("/hop/{}/0", 1000 * n + request));
    }
    let spans = scene.finish(4 * crowds.iter().map(Crowd::total).sum::<usize>());
    assert_never_wrong(&spans);
    spans
}

/// Decision 036: a thread of its pool reads one request, hands it on, and calls for another before it answers.
#[test]
fn a_pool_whose_threads_hand_requests_on_and_do_each_others_work_is_never_linked_exactly() {
    let spans = relayed(false);
    let calls = spans.iter().filter(|s| s.kind == Kind::Client && s.path().ends_with("/1"));
    let linked: Vec<&Span> = calls.filter(|call| !call.parent.is_empty()).collect();
    println!("{} calls are linked", linked.len());
    for call in linked {
        assert_eq!(call.text("wirespan.link.evidence"), Some("same_thread"), "{call:?}");
    }
}

/// Decision 069: its threads never answer what another of them read.
#[test]
fn a_pool_with_helpers_that_answer_some_of_its_requests_has_the_calls_of_its_threads_linked() {
    let spans = relayed(true);
    for request in spans.iter().filter(|s| s.kind == Kind::Server && s.path().ends_with("/0")) {
        let number: usize = identity(request).parse().expect("a number");
        let below =
            |parent: &Span, kind: Kind| spans.iter().filter(|s| s.parent == parent.span_id && s.kind == kind).count();
        let calls: Vec<&Span> = spans.iter().filter(|s| s.parent == request.span_id).collect();
        match number % 4 {
            // Another pool's thread called and answered; or called after.
            0 | 1 => assert!(calls.len() <= 1, "{calls:?}"),
            _ => {
                let [made] = calls[..] else { panic!("of {number}: {calls:?}") };
                assert_eq!(below(made, Kind::Server), 1, "{number}");
                let evidence = made.text("wirespan.link.evidence");
                assert!(matches!(evidence, Some("pool_thread" | "same_thread")), "{number}: {evidence:?}");
            }
        }
    }
}

#[test]
fn calls_of_a_process_of_one_thread_are_linked_exactly_and_those_of_a_pool_by_inference() {
    for (worker, evidence) in [(Worker::Sync, None), (Worker::Threads(4), Some("same_thread"))] {
        let mut scene = Scene::new();
        let orders = Node::orders(&scene, "");
        let shop = Gunicorn::start(&scene, worker, &orders.url(""));
        scene.trace();
        // (The synchronous worker closes each connection.)
        for n in 0..5 {
            curl::get(&shop.url(&format!("/hop/{n}/0")), 200);
        }
        let spans = scene.finish(4 * 5);
        assert_never_wrong(&spans);
        let calls: Vec<&Span> = spans.iter().filter(|s| s.kind == Kind::Client && s.path().ends_with("/1")).collect();
        assert_eq!(calls.len(), 5, "{worker:?}");
        for call in calls {
            let found = (call.parent.is_empty(), call.text("wirespan.link.evidence"));
            assert_eq!(found, (false, evidence), "{worker:?}");
        }
    }
}

#[test]
fn php_calls_from_the_thread_that_serves() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let legacy = Php::start(&scene, &orders.url(""));
    scene.trace();
    let traces: Vec<Expected> = (0..5)
        .map(|n| {
            let url = legacy.url(&format!("/hop/{n}/0"));
            curl::get(&url, 200);
            let inner = orders.url(&format!("/hop/{n}/1"));
            let below = call("legacy", "orders", &inner).lone().no_user_agent();
            client("curl", "GET", &url, 200).child(server("legacy", "GET", &url, 200).child(below))
        })
        .collect();
    scene.expect(&traces);
}

/// Decision 008: at the time of the call, another request is the only one in flight.
#[test]
fn what_an_event_loop_left_over_from_one_request_is_not_linked_to_the_next() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let later = Node::later(&scene, &orders.url(""));
    scene.trace();
    let mut traces = Vec::new();
    for n in 0..3 {
        for path in [format!("/leave/{n}"), format!("/hold/{n}")] {
            let url = later.url(&path);
            curl::get(&url, 200);
            traces.push(client("curl", "GET", &url, 200).child(server("later", "GET", &url, 200)));
        }
        traces.push(call("later", "orders", &orders.url(&format!("/left/{n}"))).no_user_agent());
    }
    scene.expect(&traces);
}

/// An event loop serves many requests on one thread: a call may have no parent, but never a wrong one.
#[test]
fn node_under_concurrency_is_never_wrong() {
    let mut scene = Scene::new();
    let payments = Java::payments(&scene, "");
    let orders = Node::orders(&scene, &payments.url(""));
    scene.trace();
    CROWD.get(orders.port, |n| format!("/hop/{n}/0"));
    let spans = scene.finish(4 * CROWD.total());
    assert_eq!(spans.len(), 4 * CROWD.total(), "every request has its four spans");
    assert_never_wrong(&spans);
}

#[test]
fn node_with_pooled_connections_is_never_wrong() {
    let mut scene = Scene::new();
    let payments = Java::payments(&scene, "");
    let orders = Node::orders(&scene, &payments.url(""));
    scene.trace();
    CROWD.get(orders.port, |n| format!("/pooled/{n}/0"));
    let spans = scene.finish(4 * CROWD.total());
    assert_eq!(spans.len(), 4 * CROWD.total(), "every request has its four spans");
    assert_never_wrong(&spans);
}

#[test]
fn asyncio_under_concurrency_is_never_wrong() {
    let mut scene = Scene::new();
    let payments = Java::payments(&scene, "");
    let catalog = Python::catalog(&scene, &payments.url(""));
    scene.trace();
    CROWD.get(catalog.port, |n| format!("/hop/{n}/0"));
    let spans = scene.finish(4 * CROWD.total());
    assert_eq!(spans.len(), 4 * CROWD.total(), "every request has its four spans");
    assert_never_wrong(&spans);
}

#[test]
fn a_global_pool_of_threads_is_never_wrong() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Threads(8), &orders.url(""));
    scene.trace();
    CROWD.get(shop.port, |n| format!("/pooled/{n}"));
    let spans = scene.finish(4 * CROWD.total());
    assert_eq!(spans.len(), 4 * CROWD.total(), "every request has its four spans");
    assert_never_wrong(&spans);
}

#[test]
fn connections_shared_by_threads_keep_every_call_below_its_request() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Threads(8), &orders.url(""));
    scene.trace();
    CROWD.get(shop.port, |n| format!("/session/{n}"));
    let spans = scene.finish(4 * CROWD.total());
    assert_never_wrong(&spans);
    let roots = trace::forest(&spans).len();
    assert_eq!((spans.len(), roots), (4 * CROWD.total(), CROWD.total()), "each request is one whole trace");
}

#[test]
fn a_thread_that_a_handler_creates_calls_in_its_name() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Threads(4), &orders.url(""));
    scene.trace();
    let url = shop.url("/threaded/5");
    curl::get(&url, 200);
    let below = call("shop", "orders", &orders.url("/hop/5/1"));
    scene.expect(&[client("curl", "GET", &url, 200).child(server("shop", "GET", &url, 200).child(below))]);
}

#[test]
fn a_child_process_of_a_handler_calls_in_its_name() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Threads(4), &orders.url(""));
    scene.trace();
    let url = shop.url("/subprocess/5");
    curl::get(&url, 200);
    let below = call("curl", "orders", &orders.url("/hop/5/1"));
    scene.expect(&[client("curl", "GET", &url, 200).child(server("shop", "GET", &url, 200).child(below))]);
}
