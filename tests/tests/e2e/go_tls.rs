//! What Go programs say to each other by their own TLS is seen as if they did not: whole traces, on the right connections.

use std::collections::HashSet;
use std::time::Duration;

use wirespan_tests::program::START;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients::{self, Build};
use wirespan_tests::span::Kind;
use wirespan_tests::{trace, wait};

use crate::goroutines_calls::{assert_unmistaken, judge, own_url, shapes_of};

#[test]
fn calls_over_https_are_below_their_requests_whoever_writes_them() {
    let start = |scene: &_, arguments: &[&str]| clients::start(scene, "relay.go", arguments);
    shapes_of(start, "s1", &[("chain", 8), ("parallel", 8), ("queue", 4)], &[1, 64]);
}

#[test]
fn calls_over_https_by_http2_of_a_stripped_program_that_runs_anywhere_are_below_their_requests() {
    let start =
        |scene: &_, arguments: &[&str]| clients::start_built(scene, "relay.go", Build::StrippedAnywhere, arguments);
    shapes_of(start, "s2", &[("chain", 8), ("parallel", 8)], &[1, 64]);
}

#[test]
fn connections_that_are_older_than_the_agent_are_read_and_nothing_on_them_is_mistaken() {
    const SEEN: usize = 2000;
    const AT_A_TIME: usize = 64;
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let port = scene.port();
    let next = own_url(&scene, port, "s1");
    let ports = port.to_string();
    let service = clients::start(&scene, "relay.go", &["serve", &ports, &next, "s1"]).listens_on(port);
    let at_a_time = AT_A_TIME.to_string();
    let load =
        clients::start_as(&scene, "relay.go", "load", &["load", &ports, "chain", "1", "1000000", &at_a_time, "s1"]);
    // Its connections are there, and some of those of the service itself, so requests have passed.
    let there = wait::until_true(START, || wait::connections(port) >= AT_A_TIME + AT_A_TIME / 2);
    assert!(there, "{} connections", wait::connections(port));
    scene.trace_with(&["--stats", "--log", "info,wirespan_agent=debug"]);
    scene.wait_for(|spans| spans.len() >= SEEN);
    // (What is under way when the agent stops vanishes, and what is below it hangs one higher.)
    drop(load);
    assert!(scene.settles(Duration::from_millis(1500)), "spans keep arriving");
    scene.agent().stop();
    drop(service);
    // (Connections of whoever asks are closed while answers are on their way.)
    assert_unmistaken(&mut scene);
    let spans = scene.spans();
    let tally = judge(&spans, 8, None);
    assert!(tally.wrong.is_empty() && tally.mixed == 0, "{:?} and {} mixed", tally.wrong, tally.mixed);
    let mut seen = HashSet::new();
    // (What passed before the program was known is not read.)
    for span in spans.iter().filter(|span| span.text("wirespan.tls") != Some("opaque")) {
        assert!(seen.insert((span.kind == Kind::Server, span.path().to_owned())), "seen twice: {}", trace::line(span));
        assert_eq!(span.text("url.scheme").unwrap_or("https"), "https", "{}", trace::line(span));
    }
}
