//! The commands that ask a running agent: `query`, `export`, `top`; and `demo`.

use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value as Json;
use wirespan_tests::agent::Agent;
use wirespan_tests::program::Program;
use wirespan_tests::raw::{Client, request};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::tmux::Terminal;
use wirespan_tests::{agent, curl, wait};

/// An agent with a view, tracing one program alone; what else it is given.
fn viewing(scene: &mut Scene, faults: &Node, arguments: &[&str]) -> String {
    let address = format!("127.0.0.1:{}", wait::free_port());
    let mut command = agent::command();
    command.args(["--output", "none", "--listen", &address, "--include", &format!("port:{}", faults.port)]);
    scene.trace_by(command.args(arguments));
    address
}

/// Runs a command of ours to its end.
fn ask(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = agent::command().args(arguments).output().expect("wirespan runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// The traces that a query finds, once there are as many as wanted.
fn query(address: &str, wanted: usize, filters: &[&str]) -> Vec<Json> {
    let arguments = [&["query", "--address", address, "--output", "json"], filters].concat();
    let found = || -> Vec<Json> {
        ask(&arguments).1.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
    };
    wait::until(wait::PATIENCE, || Some(found()).filter(|found| found.len() >= wanted)).unwrap_or_else(found)
}

#[test]
fn scripts_find_traces_and_export_them() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let address = viewing(&mut scene, &faults, &[]);
    curl::get(&faults.url("/size/5"), 200);
    curl::get(&faults.url("/status/500"), 500);

    assert_eq!(query(&address, 2, &["--service", "faults"]).len(), 2);
    let failed = query(&address, 1, &["--errors", "--since", "10m"]);
    assert_eq!((failed.len(), failed[0]["name"].as_str()), (1, Some("GET /status/{id}")), "{failed:?}");
    assert_eq!(query(&address, 1, &["--attr", "http.response.status_code=200"]).len(), 1);
    assert_eq!(query(&address, 0, &["--min", "1m"]).len(), 0);
    let (status, text, _) = ask(&["query", "--address", &address, "--operation", "GET /status/{id}"]);
    assert!(status == 0 && text.lines().count() == 1 && text.contains("curl GET /status/{id}"), "{text}");
    assert!(text.contains("2 spans") && text.trim_end().ends_with("500 ✗"), "{text}");

    let id = failed[0]["trace_id"].as_str().expect("an id");
    let (status, text, _) = ask(&["export", id, "--address", &address]);
    let whole: Json = serde_json::from_str(&text).expect("JSON");
    assert_eq!((status, whole["trace_id"].as_str(), whole["spans"].as_array().map(Vec::len)), (0, Some(id), Some(2)));
    let (_, text, _) = ask(&["export", &id[..12], "--address", &address, "--output", "text"]);
    assert!(text.contains("└─ curl ‹client› GET /status/{id}") && text.contains("└─ faults ‹server›"), "{text}");
    let (_, text, _) = ask(&["export", id, "--address", &address, "--output", "otlp"]);
    let otlp: Json = serde_json::from_str(&text).expect("JSON");
    assert_eq!(otlp["resourceSpans"].as_array().map(Vec::len), Some(2), "{text}");
    assert!(text.contains(id), "{text}");
    // Whoever asks makes no traces.
    assert_eq!(query(&address, 2, &["--limit", "1000"]).len(), 2);
}

#[test]
fn what_scripts_cannot_have_has_its_own_status_and_a_remedy() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let token = scene.dir().join("token");
    std::fs::write(&token, "0123456789abcdef\n").expect("a token");
    let token = token.to_str().expect("UTF-8");
    let address = viewing(&mut scene, &faults, &["--token-file", token]);
    let failed = |arguments: &[&str], status: i32, says: &str| {
        let (code, out, err) = ask(arguments);
        assert_eq!((code, &*out), (status, ""), "{arguments:?}: {err}");
        assert!(
            err.starts_with("wirespan: ") && err.contains(says) && err.lines().count() == 1,
            "{arguments:?}: {err}"
        );
    };
    let unknown = "0af7651916cd43dd8448eb211c80319c";
    failed(&["query", "--address", &address], 3, "--token-file");
    failed(&["export", unknown, "--address", &address, "--token-file", token], 1, "not here");
    failed(&["export", "abcd", "--address", &address, "--token-file", token], 1, "wirespan query");
    assert_eq!(ask(&["query", "--address", &address, "--token-file", token]).0, 1, "nothing is found");
    failed(&["query", "--address", &format!("127.0.0.1:{}", wait::free_port())], 3, "sudo wirespan");
    failed(&["query", "--address", &format!("127.0.0.1:{}", faults.port)], 3, "no wirespan");
    failed(&["export", "xyz", "--address", &address], 2, "hexadecimal");
    failed(&["query", "--since", "soon", "--address", &address], 2, "is not a time");
    failed(&["query", "--limit", "0", "--address", &address], 2, "from 1 to 1000");
}

#[test]
fn processes_are_listed_with_what_they_are_called_and_why_they_are_traced() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let address = viewing(&mut scene, &faults, &["--exclude", "exe:*/no-such-program", "--include", "exe:node"]);
    let mut client = Client::to_port(faults.port);
    client.send(request("GET", faults.port, "/size/5"));
    assert_eq!(client.response(), 200);
    let listed = || -> Vec<Json> {
        let (_, text, _) = ask(&["ps", "--address", &address, "--output", "json"]);
        text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
    };
    let of = |pid: u32| listed().into_iter().find(|row| row["pid"] == pid);
    let found = wait::until(wait::PATIENCE, || {
        of(faults.program.pid()).filter(|row| row["connections"].as_array().is_some_and(|all| !all.is_empty()))
    });
    let row = found.expect("the program");
    assert_eq!(row["name"], "faults");
    assert_eq!(row["named_by"], "command line");
    assert_eq!(row["language"], "nodejs");
    assert_eq!((&row["traced"], &row["reason"]), (&Json::Bool(true), &Json::from("--include exe:node")));
    let connection = &row["connections"][0];
    assert_eq!((&connection["protocol"], &connection["role"]), (&Json::from("http"), &Json::from("server")), "{row}");
    let test = of(std::process::id()).expect("this test, which has a connection by that port");
    assert_eq!(
        (&test["traced"], &test["connections"][0]["role"]),
        (&Json::Bool(true), &Json::from("client")),
        "{test}"
    );
    let (status, text, _) = ask(&["ps", "--all", "--address", &address]);
    let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{} ", faults.program.pid())));
    assert!(status == 0 && text.trim_start().starts_with("PID  NAME"), "{text}");
    assert!(line.is_some_and(|line| line.contains("faults") && line.contains("http server×1")), "{text}");
    assert!(text.lines().any(|line| line.contains("no --include rule") || line.contains("--include port:")), "{text}");
}

#[test]
fn a_process_that_served_a_request_is_listed_when_its_connection_is_closed() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let address = viewing(&mut scene, &faults, &[]);
    curl::get(&faults.url("/size/5"), 200);
    let pid = format!("{} ", faults.program.pid());
    let listed = || {
        let (_, text, _) = ask(&["ps", "--address", &address]);
        text.lines().find(|line| line.trim_start().starts_with(&pid)).map(str::to_owned)
    };
    let line = wait::until(wait::PATIENCE, || listed().filter(|line| !line.contains("http"))).expect("a line");
    assert!(line.contains("faults") && line.contains("--include port:"), "{line}");
}

fn top(scene: &Scene, columns: u16, arguments: &[&str]) -> Terminal {
    let mut command = agent::command();
    command.arg("top").args(arguments);
    Terminal::start(scene.dir(), columns, 20, &command)
}

fn load(port: u16, count: usize) {
    let mut client = Client::to_port(port);
    for _ in 0..count {
        client.send(request("GET", port, "/size/5"));
        assert_eq!(client.response(), 200);
    }
}

#[test]
fn top_shows_a_running_agent_s_operations_and_obeys_keys_in_any_width() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let address = viewing(&mut scene, &faults, &[]);
    let terminal = top(&scene, 120, &["--address", &address]);
    terminal.wait_for("an empty table", |screen| screen.contains("no request seen"));
    load(faults.port, 100);
    curl::get(&faults.url("/status/500"), 500);
    let served =
        |screen: &str| screen.lines().any(|line| line.starts_with("faults") && line.contains("GET /size/{id}"));
    let line = |screen: &str, text: &str| {
        screen.lines().find(|l| l.starts_with("faults") && l.contains(text)).map(str::to_owned)
    };
    let all = |screen: &str| {
        line(screen, "GET /size").is_some_and(|calls| calls.split_whitespace().any(|word| word == "100"))
    };
    let shown = |screen: &str| served(screen) && all(screen) && screen.contains("GET /status/{id}");
    let screen = terminal.wait_for("the operations, one with 100 calls", shown);
    assert!(line(&screen, "GET /status").expect("a row").contains(" 100 "), "all of it fails: {screen}");

    terminal.keys(&["/", "s", "t", "a", "t", "u", "s", "Enter"]);
    terminal.wait_for("the filtered rows", |screen| screen.contains("filter: status") && !served(screen));
    terminal.keys(&["/", "x"]);
    terminal.wait_for("the filter being typed", |screen| screen.contains("filter: statusx_"));
    terminal.keys(&["Escape"]);
    // A key right after Escape would be taken for one with Alt.
    terminal
        .wait_for("the filter as before", |screen| screen.contains("q quit") && screen.contains("filter: status\n"));
    terminal.keys(&["/", "BSpace", "BSpace", "BSpace", "BSpace", "BSpace", "BSpace", "Enter", "Tab"]);
    let services = |screen: &str| !screen.contains("OPERATION") && screen.lines().any(|l| l.starts_with("faults"));
    terminal.wait_for("the services", services);
    terminal.keys(&["p"]);
    terminal.wait_for("that it is paused", |screen| screen.contains("paused"));
    terminal.resize(40, 10);
    terminal.wait_for("a narrow table", |screen| {
        screen.contains("RATE/s") && !screen.contains("P50") && screen.lines().all(|line| line.chars().count() <= 40)
    });
    terminal.keys(&["q"]);
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn top_that_is_told_to_end_gives_the_terminal_back() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let address = viewing(&mut scene, &faults, &[]);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let terminal = top(&scene, 100, &["--address", &address]);
        terminal.wait_for("the table", |screen| screen.contains("no request seen"));
        assert!(terminal.is_alternate());
        let pid = rustix::process::Pid::from_raw(terminal.program() as i32).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("it runs");
        assert_eq!(terminal.ended(), 128 + signal.as_raw(), "{signal:?}");
        assert!(!terminal.is_alternate(), "{signal:?} leaves the terminal as it was");
    }
}

#[test]
fn top_traces_itself_where_no_agent_runs() {
    let scene = Scene::new();
    let faults = Node::faults(&scene);
    let free = format!("127.0.0.1:{}", wait::free_port());
    let terminal = top(&scene, 100, &["--address", &free, "--include", &format!("port:{}", faults.port)]);
    terminal.wait_for("that it traces", |screen| screen.contains("tracing here"));
    load(faults.port, 10);
    terminal.wait_for("the operations", |screen| screen.contains("GET /size/{id}"));
    terminal.keys(&["C-c"]);
    assert_eq!(terminal.ended(), 0);
}

/// Starts the demo, and waits for its first trace. (How long a busy machine takes is not promised.)
fn demo(scene: &Scene, change: impl Fn(&mut Command) -> &mut Command) -> (Program, String, Vec<u16>) {
    let address = format!("127.0.0.1:{}", wait::free_port());
    let mut command = agent::command();
    command.args(["--listen", &address, "demo", "--no-open"]);
    change(&mut command);
    let begun = Instant::now();
    let program = Program::start("demo", scene.dir(), &mut command);
    let shown = wait::until_true(wait::PATIENCE, || program.log().contains("the first trace, "));
    assert!(shown, "no trace at all:\n{}", program.log());
    eprintln!("the first trace was shown {:?} after the command", begun.elapsed());
    let log = program.log();
    let shop = log.lines().find(|line| line.contains("the shop: ")).expect("who plays what");
    let port = |part: &str| part.split(')').next()?.parse::<u16>().ok();
    let ports: Vec<u16> = shop.split("port ").skip(1).filter_map(port).collect();
    assert_eq!(ports.len(), 4, "{shop}");
    (program, address, ports)
}

fn all_are_gone(ports: &[u16]) -> bool {
    wait::until_true(wait::PATIENCE, || ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()))
}

#[test]
fn the_demo_shows_a_shop_with_a_slow_and_a_failing_path_and_leaves_nothing_behind() {
    let scene = Scene::new();
    let (mut program, address, ports) = demo(&scene, |command| command);
    let slow = query(&address, 1, &["--min", "400ms"]);
    let failing = query(&address, 1, &["--errors"]);
    let names = |trace: &Json| trace["services"].as_array().map(|names| names.len());
    assert!(!slow.is_empty() && !failing.is_empty(), "{}", program.log());
    assert_eq!((names(&slow[0]), names(&failing[0])), (Some(5), Some(5)), "{slow:?} {failing:?}");
    // The shop alone: nothing else on this machine.
    let shop = ["customer", "shop", "stock", "prices", "payments"];
    for trace in query(&address, 1, &["--limit", "1000"]) {
        let services = trace["services"].as_array().expect("names").iter().filter_map(Json::as_str);
        assert!(services.clone().all(|name| shop.contains(&name)), "{trace}");
    }
    program.signal(Signal::INT);
    let status = program.wait(wait::PATIENCE);
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", program.log());
    assert!(all_are_gone(&ports), "the shop goes on without its demo");
}

#[test]
fn without_any_language_the_demo_plays_every_part_itself_and_dies_with_its_parts() {
    let scene = Scene::new();
    let (mut program, address, ports) = demo(&scene, |command| command.env("PATH", "/nowhere"));
    assert!(program.log().contains("shop (wirespan, "), "{}", program.log());
    assert!(!query(&address, 1, &["--errors"]).is_empty());
    program.signal(Signal::KILL);
    program.wait(wait::PATIENCE);
    assert!(all_are_gone(&ports), "the shop outlives its demo");
}

#[test]
fn the_demo_uses_an_agent_that_runs_already() {
    let scene = Scene::new();
    let address = format!("127.0.0.1:{}", wait::free_port());
    let mut command = agent::command();
    command.args(["--output", "none", "--listen", &address]);
    let mut running = Agent::start(scene.dir(), &mut command);
    let (mut program, _, ports) = demo(&scene, |command| command.args(["--address", &address]));
    assert!(program.log().contains("the wirespan that runs already"), "{}", program.log());
    assert!(!query(&address, 1, &["--service", "shop"]).is_empty());
    program.signal(Signal::INT);
    program.wait(wait::PATIENCE);
    assert!(all_are_gone(&ports));
    running.stop();
}
