//! Workers whose sockets do not block: what they sleep on tells them from event loops.

use wirespan_tests::raw::Crowd;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::services::workers::Workers;
use wirespan_tests::span::Kind;

use crate::units::{assert_never_wrong, identity};

/// What each worker's calls may rest on: the last two where others read what it answers.
const EVIDENCE: [&str; 4] = ["waiting_thread", "lone_request", "pool_thread", "answering_thread"];

/// Links of at least so many of a hundred calls are asserted; what is linked is right in any case.
fn assert_linked(start: fn(&Scene, u16) -> Workers, service: &str, promised: usize) {
    let crowds = [Crowd { clients: 16, each: 6 }, Crowd { clients: 1, each: 24 }, Crowd { clients: 16, each: 20 }];
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let workers = start(&scene, orders.port);
    scene.trace();
    for (n, crowd) in crowds.iter().enumerate() {
        crowd.get(workers.port, |request| format!("/hop/{}/0", 1000 * n + request));
    }
    let spans = scene.finish(4 * crowds.iter().map(Crowd::total).sum::<usize>());
    assert_never_wrong(&spans);
    for (n, crowd) in crowds.iter().enumerate().skip(1) {
        let of_crowd = |id: &str| id.parse::<usize>().is_ok_and(|id| id / 1000 == n);
        let calls = spans.iter().filter(|s| s.service() == service && s.kind == Kind::Client && of_crowd(identity(s)));
        let (linked, roots): (Vec<_>, Vec<_>) = calls.partition(|call| !call.parent.is_empty());
        let why: Vec<_> = roots.iter().map(|call| call.text("wirespan.link.missing")).collect();
        println!("{service}, {} at a time: {} of {} calls are linked", crowd.clients, linked.len(), crowd.total());
        assert!(
            100 * linked.len() >= promised * crowd.total(),
            "{service}, {} at a time: {} of {} calls are linked; the others: {why:?}",
            crowd.clients,
            linked.len(),
            crowd.total()
        );
        for call in linked {
            let evidence = call.text("wirespan.link.evidence");
            assert!(evidence.is_some_and(|e| EVIDENCE.contains(&e)), "{evidence:?}");
        }
    }
}

#[test]
fn tomcats_calls_with_timeouts_hang_below_their_requests() {
    assert_linked(Workers::tomcat, "tomcat", 95);
}

#[test]
fn webricks_calls_hang_below_their_requests() {
    assert_linked(Workers::webrick, "webrick", 95);
}

#[test]
fn pumas_calls_hang_below_their_requests_or_nowhere() {
    // Its reactor reads what comes late and hands it on: how soon its workers are believed depends on who comes when.
    assert_linked(Workers::puma, "puma", 0);
}

#[test]
fn requests_that_apache_passes_on_hang_below_those_that_it_got() {
    assert_linked(Workers::apache, "apache", 95);
}
