//! The page of the local view, in Chromium, with real traffic behind it. What is looked at is in `tests/browser`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use wirespan_tests::agent;
use wirespan_tests::browser;
use wirespan_tests::raw;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::node::Node;
use wirespan_tests::wait;

/// An agent that serves its page at the address returned, and sees what passes these ports. (The page lists the latest
/// traces: those of a busy machine would push the test's own out of sight.)
fn start_agent(scene: &mut Scene, ports: &[u16], arguments: &[&str]) -> String {
    let listen = format!("127.0.0.1:{}", wait::free_port());
    let rules: Vec<String> = ports.iter().map(|port| format!("port:{port}")).collect();
    let includes = rules.iter().flat_map(|rule| ["--include", rule.as_str()]);
    start_agent_at(scene, &listen, &includes.chain(arguments.iter().copied()).collect::<Vec<_>>());
    format!("http://{listen}")
}

fn start_agent_at(scene: &mut Scene, listen: &str, arguments: &[&str]) {
    scene.trace_by(agent::command().args(["--listen", listen]).args(arguments));
}

#[test]
fn the_logic_of_the_page_passes_its_own_tests() {
    let tests = browser::folder().join("unit");
    let output = Command::new("node").arg("--test").arg(tests).output().expect("node is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_developer_finds_her_way_through_the_page() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Threads(4), &orders.url(""));
    let page = start_agent(&mut scene, &[shop.port, orders.port], &[]);
    browser::run(&scene, "live.mjs", &page, &[("SHOP", &shop.url(""))]);
    scene.agent().stop();
}

#[test]
fn a_trace_of_a_thousand_spans_does_not_stutter() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    let page = start_agent(&mut scene, &[shop.port, orders.port], &[]);
    browser::run(&scene, "thousand.mjs", &page, &[("SHOP", &shop.url(""))]);
    scene.agent().stop();
}

#[test]
fn hostile_strings_are_shown_and_never_run() {
    const SERVICE: &str = "<script>globalThis.pwned++</script>\u{202e}pohs";
    let mut scene = Scene::new();
    let port = scene.port();
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let victim = raw::serve(listener, 5, b"HTTP/1.1 500 <b>no</b>\r\nContent-Length: 2\r\n\r\nno".to_vec());
    let page = start_agent(&mut scene, &[port], &["--service-name", &format!("port:{port}={SERVICE}")]);
    browser::run(&scene, "hostile.mjs", &page, &[("VICTIM", &port.to_string()), ("SERVICE", SERVICE)]);
    scene.agent().stop();
    victim.join().expect("the victim ends");
}

#[test]
fn spans_that_an_application_sends_are_drawn_exactly_and_never_run() {
    let mut scene = Scene::new();
    let otlp = format!("127.0.0.1:{}", wait::free_port());
    // Nothing is traced: the spans are sent.
    let nobody = wait::free_port();
    let page = start_agent(&mut scene, &[nobody], &["--otlp-listen", &otlp]);
    browser::run(&scene, "spans.mjs", &page, &[("OTLP", &format!("http://{otlp}"))]);
    scene.agent().stop();
}

#[test]
fn an_empty_page_says_what_to_do_and_follows_an_agent_that_starts_anew() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    // Other programs of this machine may be busy; this agent is to see one service, which is not called yet.
    let include = format!("port:{}", orders.port);
    let listen = format!("127.0.0.1:{}", wait::free_port());
    start_agent_at(&mut scene, &listen, &["--include", &include]);
    let mut command = browser::command("quiet.mjs", &format!("http://{listen}"));
    command.env("ORDERS", orders.url("")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = command.spawn().expect("node is installed");
    let mut input = node.stdin.take().expect("a pipe");
    let mut said = Vec::new();
    for line in BufReader::new(node.stdout.take().expect("a pipe")).lines() {
        let line = line.expect("text");
        match line.trim_start_matches("# ").trim() {
            "READY" => scene.agent().stop(),
            "GONE" => start_agent_at(&mut scene, &listen, &["--include", &include]),
            _ => {
                said.push(line);
                continue;
            }
        }
        input.write_all(b"\n").expect("the test listens");
    }
    drop(input);
    let status = node.wait().expect("node ends");
    assert!(status.success(), "{}", said.join("\n"));
    scene.agent().stop();
}
