//! Java's virtual threads: what the one that serves a request asks is asked for that request, however many there are at a time.

use std::time::Duration;

use wirespan_tests::expect::Expected;
use wirespan_tests::http::{Deviation as _, call, client, server};
use wirespan_tests::raw::Crowd;
use wirespan_tests::scene::{Scene, test_process};
use wirespan_tests::services::java::Java;
use wirespan_tests::services::node::Node;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

use crate::units::{assert_never_wrong, identity};

const CROWD: Crowd = Crowd { clients: 32, each: 8 };
/// The first requests are served before the agent has looked at the VM: a few at a time until it has, and so often at most.
const FEW: Crowd = Crowd { clients: 2, each: 4 };
const ATTEMPTS: usize = 15;
const QUIET: Duration = Duration::from_millis(1500);
/// Both ends of a request, and of its two calls.
const SPANS: usize = 6;

/// Asks a server on such a Java, first until its calls are linked, and then by a crowd: its traces are whole.
fn calls_are_below_their_requests(version: u32) {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Java::virtuals(&scene, version, &orders.url(""));
    scene.trace();
    let known = (0..ATTEMPTS).any(|attempt| {
        let first = 1000 * (attempt + 1);
        let before = scene.count();
        FEW.get(shop.port, |n| format!("/hop/{}/0", first + n));
        assert!(scene.settles_with(before + SPANS * FEW.total(), QUIET), "spans keep arriving");
        let spans = scene.spans();
        let calls = spans.iter().filter(|s| s.kind == Kind::Client && !s.path().ends_with("/0"));
        let ours = |span: &&Span| identity(span).parse().is_ok_and(|n| (first..first + FEW.total()).contains(&n));
        let (calls, linked) = calls.filter(ours).fold((0, 0), |(calls, linked), call| {
            let found = !call.parent.is_empty() && call.text("wirespan.link.evidence") == Some("virtual_thread");
            (calls + 1, linked + usize::from(found))
        });
        (calls, linked) == (2 * FEW.total(), 2 * FEW.total())
    });
    assert!(known, "virtual threads are not known:\n{}", scene.agent().log());
    let before = scene.count();
    CROWD.get(shop.port, |n| format!("/hop/{n}/0"));
    let spans = scene.finish(before + SPANS * CROWD.total());
    assert_never_wrong(&spans);
    let ours: Vec<Span> =
        spans.into_iter().filter(|span| identity(span).parse().is_ok_and(|n: usize| n < CROWD.total())).collect();
    let evident = ours.iter().filter(|span| span.text("wirespan.link.evidence") == Some("virtual_thread"));
    assert_eq!(evident.count(), 2 * CROWD.total(), "each call says what its link rests on");
    let traces: Vec<Expected> = (0..CROWD.total())
        .map(|n| {
            let url = shop.url(&format!("/hop/{n}/0"));
            let below = |k: usize| {
                let url = orders.url(&format!("/hop/{n}/{k}"));
                call("Virtual", "orders", &url).with("wirespan.link.evidence", "virtual_thread")
            };
            client(&test_process(), "GET", &url, 200)
                .user_agent("raw")
                .child(server("Virtual", "GET", &url, 200).user_agent("raw").child(below(1)).child(below(2)))
        })
        .collect();
    trace::assert_traces(&traces, &ours);
}

#[test]
fn calls_of_virtual_threads_of_java_25_are_below_their_requests() {
    calls_are_below_their_requests(25);
}

#[test]
fn calls_of_virtual_threads_of_java_21_are_below_their_requests() {
    calls_are_below_their_requests(21);
}
