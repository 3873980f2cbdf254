//! Without an endpoint, traces are on standard output.

use std::time::Instant;

use wirespan_tests::raw::{Client, request};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::node::Node;
use wirespan_tests::tmux::Terminal;
use wirespan_tests::{agent, curl, wait};

/// What the agent prints for curl → Flask → Node, when given `arguments` and no endpoint.
fn printed(arguments: &[&str], enough: impl Fn(&str) -> bool) -> (String, u16) {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    // What else is served on this machine is nobody's business here.
    let ours = format!("port:{},port:{}", shop.port, orders.port);
    scene.trace_by(agent::command().args(["--include", &ours]).args(arguments));
    curl::get(&shop.url("/hop/1/0"), 200);
    assert!(wait::until_true(wait::PATIENCE, || enough(&scene.agent().log())), "{}", scene.agent().log());
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

/// The agent in a terminal, tracing one program alone.
fn in_terminal(scene: &Scene, faults: &Node, arguments: &[&str]) -> Terminal {
    let mut command = agent::command();
    command.args(["--color", "never", "--include", &format!("port:{}", faults.port)]).args(arguments);
    let terminal = Terminal::start(scene.dir(), 160, 50, &command);
    terminal.wait_for("that it traces", |screen| screen.contains("wirespan: tracing"));
    terminal
}

/// Makes `count` requests, one after the other, as fast as they are answered.
fn hammer(port: u16, count: usize) {
    let mut client = Client::to_port(port);
    for _ in 0..count {
        client.send(request("GET", port, "/size/5"));
        assert_eq!(client.response(), 200);
    }
}

/// How many traces the terminal was shown, and how many it was told of.
fn shown_and_hidden(written: &str) -> (usize, usize) {
    let hidden = written.match_indices(" traces not shown").filter_map(|(at, _)| {
        let number = written[..at].rsplit(' ').next()?;
        number.parse::<usize>().ok()
    });
    (written.matches("Z  trace ").count(), hidden.sum())
}

#[test]
fn a_busy_terminal_shows_rates_and_what_fails_and_accounts_for_every_trace() {
    let scene = Scene::new();
    let faults = Node::faults(&scene);
    let terminal = in_terminal(&scene, &faults, &[]);
    let begun = Instant::now();
    hammer(faults.port, 1500);
    curl::get(&faults.url("/status/500"), 500);
    hammer(faults.port, 1500);
    let windows = begun.elapsed().as_secs() as usize / 2 + 2;
    let all = wait::until_true(wait::PATIENCE, || {
        let (shown, hidden) = shown_and_hidden(&terminal.written());
        shown + hidden >= 3001
    });
    let written = terminal.written();
    let (shown, hidden) = shown_and_hidden(&written);
    assert!(all && shown + hidden == 3001, "{shown} shown and {hidden} counted of 3001:\n{written}");
    // (Twenty of a window of two seconds, and three that are picked.)
    assert!(shown <= 23 * windows, "{shown} traces are more than anybody can read:\n{written}");
    assert!(written.contains(" requests/s  ") && written.contains("(--follow shows all)"), "{written}");
    assert!(written.contains("GET /status/{id}"), "the failing request is among those shown:\n{written}");
    // Quiet again: each trace is shown as it comes.
    curl::get(&faults.url("/quiet"), 200);
    terminal.wait_for("a lone trace", |screen| screen.contains("GET /quiet"));
    terminal.keys(&["C-c"]);
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn follow_shows_every_trace_on_a_busy_terminal() {
    let scene = Scene::new();
    let faults = Node::faults(&scene);
    let terminal = in_terminal(&scene, &faults, &["--follow"]);
    hammer(faults.port, 500);
    let all = wait::until_true(wait::PATIENCE, || shown_and_hidden(&terminal.written()).0 >= 500);
    assert!(all, "{:?}", shown_and_hidden(&terminal.written()));
    assert_eq!(shown_and_hidden(&terminal.written()), (500, 0));
}
