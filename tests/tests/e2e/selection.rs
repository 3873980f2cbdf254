//! Which processes are traced.

use std::process::Command;

use wirespan_tests::http::{self, client, server};
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::Span;
use wirespan_tests::{agent, curl, wait};

/// curl → Flask → Node with the agent given `arguments`; the spans that arrive.
fn chain_with(arguments: impl Fn(&Gunicorn, &Node) -> Vec<String>, expect: &[&str]) {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    let arguments = arguments(&shop, &orders);
    scene.trace_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    curl::get(&shop.url("/hop/1/0"), 200);
    let spans = scene.finish(expect.len());
    let mut seen: Vec<String> = spans.iter().map(|span| format!("{} {}", span.service(), span.kind)).collect();
    seen.sort();
    assert_eq!(seen, expect, "with {arguments:?}");
}

fn rule(flag: &str, rule: impl std::fmt::Display) -> Vec<String> {
    vec![flag.to_owned(), rule.to_string()]
}

#[test]
fn everything_is_traced_by_default() {
    chain_with(|_, _| Vec::new(), &["curl CLIENT", "orders SERVER", "shop CLIENT", "shop SERVER"]);
}

#[test]
fn include_by_executable_traces_nothing_else() {
    chain_with(|_, _| rule("--include", "exe:node"), &["orders SERVER"]);
}

#[test]
fn include_by_pid_traces_nothing_else() {
    chain_with(|_, orders| rule("--include", format!("pid:{}", orders.program.pid())), &["orders SERVER"]);
}

/// A port names connections, at either end.
#[test]
fn include_by_port_traces_both_ends_of_its_connections() {
    let expect = ["orders SERVER", "shop CLIENT"];
    chain_with(|_, orders| rule("--include", format!("port:{}", orders.port)), &expect);
}

#[test]
fn exclude_by_port_leaves_its_connections_out() {
    let expect = ["curl CLIENT", "shop SERVER"];
    chain_with(|_, orders| rule("--exclude", format!("port:{}", orders.port)), &expect);
}

#[test]
fn exclude_by_executable_leaves_it_out() {
    chain_with(|_, _| rule("--exclude", "exe:*/curl"), &["orders SERVER", "shop CLIENT", "shop SERVER"]);
}

#[test]
fn exclude_by_pid_leaves_it_out() {
    let expect = ["curl CLIENT", "shop CLIENT", "shop SERVER"];
    chain_with(|_, orders| rule("--exclude", format!("pid:{}", orders.program.pid())), &expect);
}

/// A file says the same as a flag, under the same name.
#[test]
fn a_configuration_file_selects_as_flags_do() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("wirespan.yaml");
    std::fs::write(&file, "exclude:\n  - exe:*/curl\n  - exe:node\n").expect("a configuration");
    chain_with(|_, _| rule("--config", file.display()), &["shop CLIENT", "shop SERVER"]);
}

#[test]
fn a_variable_selects_as_flags_do() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let mut command = agent::exporting_to(&scene.receiver);
    scene.trace_by(command.env("WIRESPAN_INCLUDE", "exe:node"));
    let url = faults.url("/by-variable");
    curl::get(&url, 200);
    scene.expect(&[server("faults", "GET", &url, 200)]);
}

#[test]
fn exclude_wins_over_include() {
    let rules = |_: &Gunicorn, _: &Node| [rule("--include", "user:root"), rule("--exclude", "exe:node")].concat();
    chain_with(rules, &["curl CLIENT", "shop CLIENT", "shop SERVER"]);
}

#[test]
fn include_by_user_traces_that_user_only() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace_with(&["--include", "user:nobody"]);
    let url = faults.url("/as-nobody");
    curl::get(&faults.url("/as-root"), 200);
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=nobody", "--clear-groups", "curl"]);
    assert_eq!(curl::run_in(nobody, &[&url]).code, 200);
    scene.expect(&[client("curl", "GET", &url, 200)]);
}

#[test]
fn a_name_given_by_rule_wins() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace_with(&["--service-name", "exe:node=kitchen"]);
    let url = faults.url("/named");
    curl::get(&url, 200);
    scene.expect(&[http::curl("kitchen", "GET", &url, 200)]);
}

/// The program's own spans and ours for it, told apart by their scope.
fn of_scope(spans: &[Span], ours: bool) -> Vec<&Span> {
    spans.iter().filter(|span| span.scope.contains("wirespan") == ours).collect()
}

#[test]
fn a_program_that_exports_its_own_spans_is_left_alone() {
    let mut scene = Scene::new();
    let sdk = Receiver::start(Protocol::Http);
    let app = Python::instrumented(&scene, &sdk.endpoint());
    scene.trace();
    let url = app.url("/plain");
    // The first request may be seen before the first export gives the program away.
    curl::get(&url, 200);
    assert!(wait::until_true(wait::PATIENCE, || !sdk.spans().is_empty()), "the SDK exports");
    scene.wait_for(|spans| !spans.is_empty());
    for _ in 0..3 {
        curl::get(&url, 200);
    }
    let spans = scene.finish(4);
    let callers = spans.iter().filter(|span| span.service() == "curl").count();
    let doubled: Vec<&Span> = of_scope(&spans, true).into_iter().filter(|span| span.service() != "curl").collect();
    assert_eq!(callers, 4, "curl itself is traced");
    assert!(doubled.len() <= 1, "only the request before the first export may be doubled: {doubled:?}");
    let exports = spans.iter().filter(|span| span.path().starts_with("/v1/")).count();
    assert_eq!(exports, 0, "nobody's OTLP traffic is traced");
}

#[test]
fn duplicate_spans_can_be_asked_for() {
    let mut scene = Scene::new();
    let sdk = Receiver::start(Protocol::Http);
    let app = Python::instrumented(&scene, &sdk.endpoint());
    scene.trace_with(&["--allow-duplicate-spans"]);
    let url = app.url("/plain");
    for _ in 0..3 {
        curl::get(&url, 200);
    }
    let spans = scene.finish(6);
    let doubled =
        spans.iter().filter(|span| span.kind == wirespan_tests::span::Kind::Server && span.path() == "/plain");
    assert_eq!(doubled.count(), 3, "every request has our span beside the program's");
}

/// Python, as it is started by a link, and lives for milliseconds: a rule fits it always, by whatever it goes by.
#[test]
fn a_rule_about_an_executable_fits_it_every_time() {
    const TIMES: usize = 20;
    let link = std::path::Path::new("/usr/bin/python3");
    let real = std::fs::canonicalize(link).expect("Debian's Python");
    let name = real.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    let rules = [format!("exe:*/{name}"), "exe:python3".into(), "exe:/usr/bin/python3".into(), "exe:brief".into()];
    for rule in rules {
        let mut scene = Scene::new();
        let faults = Node::faults(&scene);
        scene.trace_with(&["--include", &rule]);
        for n in 0..TIMES {
            let script = format!(
                "import socket; s = socket.create_connection(('127.0.0.1', {})); s.send(b'GET /brief/{n} HTTP/1.0\\r\\n\\r\\n'); s.recv(99)",
                faults.port
            );
            let mut command = Command::new(link);
            std::os::unix::process::CommandExt::arg0(&mut command, "brief");
            assert!(command.args(["-S", "-c", &script]).status().expect("python3").success());
        }
        let spans = scene.finish(TIMES);
        assert_eq!(spans.len(), TIMES, "{rule}");
    }
}

#[test]
fn a_rule_that_is_about_nothing_says_so() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let port = wait::free_port();
    let rules = ["exe:no-such-program", "exe:node", &format!("port:{port}"), &format!("port:{}", faults.port)];
    let arguments: Vec<&str> = rules.iter().flat_map(|rule| ["--include", *rule]).collect();
    scene.trace_with(&arguments);
    let idle = ["--include exe:no-such-program ".to_owned(), format!("--include port:{port} ")];
    let said = wait::until_true(wait::PATIENCE, || idle.iter().all(|rule| scene.agent().log().contains(rule)));
    let log = scene.agent().log();
    assert!(said, "{log}");
    assert!(!log.contains("exe:node") && !log.contains(&format!("port:{} ", faults.port)), "{log}");
}

/// The export is on a connection that the rule is not about.
#[test]
fn a_program_that_exports_its_own_spans_is_left_alone_where_ports_are_chosen() {
    let mut scene = Scene::new();
    let sdk = Receiver::start(Protocol::Http);
    let app = Python::instrumented(&scene, &sdk.endpoint());
    scene.trace_with(&["--include", &format!("port:{}", app.port)]);
    let url = app.url("/plain");
    let seen = format!("process {} exports its own telemetry", app.program.pid());
    let noticed = wait::until_true(wait::PATIENCE, || {
        curl::get(&url, 200);
        scene.agent().log().contains(&seen)
    });
    assert!(noticed, "{}", scene.agent().log());
    scene.wait_for(|spans| !spans.is_empty());
    let before = of_scope(&scene.spans(), true).iter().filter(|span| span.service() != "curl").count();
    for _ in 0..5 {
        curl::get(&app.url("/after"), 404);
    }
    let spans = scene.finish(5);
    let after = spans
        .iter()
        .filter(|span| span.path() == "/after" && span.service() != "curl" && span.scope.contains("wirespan"));
    assert_eq!(after.count(), 0, "{before} before");
}
