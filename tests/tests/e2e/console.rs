//! Without an endpoint, traces are on standard output.

use std::time::Duration;

use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::node::Node;
use wirespan_tests::{agent, curl, wait};

/// What the agent prints for curl → Flask → Node, when given `arguments` and no endpoint.
fn printed(arguments: &[&str], enough: impl Fn(&str) -> bool) -> (String, u16) {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    scene.trace_by(agent::command().args(arguments));
    curl::get(&shop.url("/hop/1/0"), 200);
    assert!(wait::until_true(Duration::from_secs(10), || enough(&scene.agent().log())), "{}", scene.agent().log());
    scene.agent().stop();
    (scene.agent().log(), shop.port)
}

#[test]
fn a_trace_is_a_tree_of_four_lines_each_deeper_than_the_one_before() {
    let (text, _) = printed(&[], |log| log.contains("orders") && log.contains("shop"));
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("/hop/{id}/{id}")).collect();
    let services: Vec<usize> = ["curl", "shop", "shop", "orders"]
        .iter()
        .zip(&lines)
        .map(|(service, line)| line.find(service).unwrap_or_else(|| panic!("{service} is not in {line:?}")))
        .collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(services.is_sorted() && services[0] < services[3], "the tree is indented:\n{text}");
    assert!(!text.contains('\u{1b}'), "no colours in a pipe:\n{text}");
}

#[test]
fn json_is_one_span_a_line() {
    let spans = |log: &str| -> Vec<serde_json::Value> {
        let values = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        values.filter(|value| value.is_object()).collect()
    };
    let (text, port) = printed(&["--output", "json"], |log| spans(log).len() >= 4);
    let ours: Vec<_> = spans(&text).into_iter().filter(|span| span.to_string().contains("/hop/{id}/{id}")).collect();
    assert_eq!(ours.len(), 4, "{text}");
    assert!(ours.iter().any(|span| span.to_string().contains(&port.to_string())), "{text}");
}
