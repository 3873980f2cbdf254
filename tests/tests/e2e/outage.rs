//! When the collector is away, and when the agent is killed.

use std::collections::BTreeSet;

use wirespan_tests::expect::Expected;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::{curl, http, trace, wait};

/// Requests made while nobody listens are delivered once somebody does.
fn nothing_is_lost_while_the_collector_is_away(protocol: Protocol) {
    let mut scene = Scene::receiving(Receiver::absent(protocol));
    let faults = Node::faults(&scene);
    scene.trace();
    let urls: Vec<String> = (0..10).map(|n| faults.url(&format!("/away/{n}"))).collect();
    for url in &urls {
        curl::get(url, 200);
    }
    assert!(has_said(&mut scene, "fails, spans wait", 1), "it has not tried:\n{}", scene.agent().log());
    scene.receiver.up();
    let mut traces: Vec<Expected> = urls.iter().map(|url| http::curl("faults", "GET", url, 200)).collect();
    let spans = scene.wait_for(|spans| spans.len() >= 20);
    trace::assert_traces(&traces, &spans);

    // (What was taken and not answered would be sent again.)
    assert!(has_said(&mut scene, "works again", 1), "{}", scene.agent().log());
    scene.receiver.down();
    let url = faults.url("/away-again");
    curl::get(&url, 200);
    assert!(has_said(&mut scene, "fails, spans wait", 2), "it has not tried:\n{}", scene.agent().log());
    scene.receiver.up();
    traces.push(http::curl("faults", "GET", &url, 200));
    scene.expect(&traces);
    let log = scene.agent().log().to_lowercase();
    assert!(log.contains("refused"), "it says why:\n{log}");
}

/// Waits until the agent has said this of its spans so often.
fn has_said(scene: &mut Scene, text: &str, times: usize) -> bool {
    wait::until_true(wait::PATIENCE, || scene.agent().log().matches(text).count() >= times)
}

#[test]
fn nothing_is_lost_while_the_collector_is_away_over_grpc() {
    nothing_is_lost_while_the_collector_is_away(Protocol::Grpc);
}

#[test]
fn nothing_is_lost_while_the_collector_is_away_over_http() {
    nothing_is_lost_while_the_collector_is_away(Protocol::Http);
}

/// An agent whose collector never answers ends in time all the same.
#[test]
fn the_agent_ends_in_time_when_nobody_listens() {
    let mut scene = Scene::receiving(Receiver::absent(Protocol::Grpc));
    let faults = Node::faults(&scene);
    scene.trace();
    curl::get(&faults.url("/unheard"), 200);
    scene.agent().stop();
}

/// Ids of the BPF programs that exist now.
fn programs() -> BTreeSet<u32> {
    aya::programs::loaded_programs().flatten().map(|program| program.id()).collect()
}

/// Ids of the BPF maps that exist now.
fn maps() -> BTreeSet<u32> {
    aya::maps::loaded_maps().flatten().map(|map| map.id()).collect()
}

/// Every pinned object of the BPF file system.
fn pins() -> usize {
    std::fs::read_dir("/sys/fs/bpf").map_or(0, |entries| entries.flatten().count())
}

#[test]
fn killed_it_leaves_no_program_no_map_and_no_pin() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let (other_programs, other_maps, pinned) = (programs(), maps(), pins());
    scene.trace();
    curl::get(&faults.url("/before"), 200);
    let own_programs: BTreeSet<u32> = programs().difference(&other_programs).copied().collect();
    let own_maps: BTreeSet<u32> = maps().difference(&other_maps).copied().collect();
    assert!(!own_programs.is_empty() && !own_maps.is_empty(), "the agent has programs and maps");
    scene.agent().kill();
    // Maps are freed after an RCU grace period.
    let gone = || programs().is_disjoint(&own_programs) && maps().is_disjoint(&own_maps);
    assert!(wait::until_true(wait::PATIENCE, gone), "programs or maps outlive the agent");
    assert_eq!(pins(), pinned, "a pin outlives the agent");
    curl::get(&faults.url("/after"), 200);
}
