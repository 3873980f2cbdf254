//! An agent that can always be asked: at its socket, whatever becomes of the port, and whoever else is there.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use wirespan_tests::agent::{self, Agent};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::view::View;
use wirespan_tests::{curl, wait};

/// Where this test's agent is asked.
fn socket(scene: &Scene) -> (PathBuf, String) {
    let path = scene.dir().join("run/wirespan.sock");
    let text = path.to_str().expect("UTF-8").to_owned();
    (path, text)
}

/// What `wirespan query` prints, and its status.
fn query(arguments: &[&str]) -> (i32, Vec<Json>, String) {
    let output = agent::command().args(["query", "--output", "json"]).args(arguments).output().expect("wirespan runs");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = lines.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    (output.status.code().unwrap_or(-1), found, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn finds(arguments: &[&str], count: usize) -> bool {
    wait::until_true(wait::PATIENCE, || query(arguments).1.len() >= count)
}

#[test]
fn with_an_otlp_endpoint_the_socket_answers_its_owner_and_who_asks_makes_no_spans() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let (path, text) = socket(&scene);
    scene.trace_with(&["--socket", &text]);
    curl::get(&faults.url("/size/5"), 200);
    let arguments = ["--socket", &text, "--service", "faults"];
    assert!(finds(&arguments, 1), "{:?}", query(&arguments));
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().expect("a directory"))), (0o600, 0o700));
    let id = query(&arguments).1[0]["trace_id"].as_str().expect("an id").to_owned();
    let exported = agent::command().args(["export", &id, "--address", &text]).output().expect("wirespan runs");
    assert!(exported.status.success() && String::from_utf8_lossy(&exported.stdout).contains(&id));
    let asked = curl::run(&["--unix-socket", &text, "http://wirespan/api/v1/status"]);
    assert_eq!(asked.code, 200);
    // Of all this only the first request is a trace: curl's span and the server's.
    let spans = scene.finish(2);
    assert_eq!(spans.len(), 2, "{spans:?}");
    assert!(!path.exists(), "the socket goes with its agent");
    let (status, _, said) = query(&["--address", &text]);
    assert!(status == 3 && said.contains("no wirespan answers"), "{said}");
}

#[test]
fn a_live_socket_is_not_stolen_and_a_stale_one_is_replaced() {
    let mut scene = Scene::new();
    let (path, text) = socket(&scene);
    scene.trace_with(&["--socket", &text]);
    let mut second = agent::command();
    second.args(["--socket", &text, "--output", "none", "--listen", &format!("127.0.0.1:{}", scene.port())]);
    let mut second = Agent::start(scene.dir(), &mut second);
    assert!(second.log().contains("another wirespan listens there"), "{}", second.log());
    second.stop();
    UnixStream::connect(&path).expect("the first one still listens");
    scene.agent().kill();
    assert!(path.exists(), "a killed agent leaves its socket");
    scene.trace_with(&["--socket", &text]);
    assert_eq!(query(&["--socket", &text]).0 & !1, 0, "it answers, whether there is a trace by now or not");
    scene.agent().stop();
}

#[test]
fn a_port_that_is_taken_turns_nothing_off_but_the_port() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let (_, text) = socket(&scene);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("its address").to_string();
    let store = scene.dir().join("traces.redb").to_str().expect("UTF-8").to_owned();
    let started = ["--listen", &listen, "--socket", &text, "--store", &store];
    scene.trace_with(&started);
    curl::get(&faults.url("/size/5"), 200);
    assert!(finds(&["--socket", &text, "--service", "faults"], 1));
    assert!(scene.agent().log().contains(&listen), "{}", scene.agent().log());
    scene.agent().stop();
    scene.trace_with(&started);
    assert!(finds(&["--socket", &text, "--service", "faults"], 1), "the file was written");
    scene.agent().stop();
}

#[test]
fn silent_connections_keep_nobody_from_the_view() {
    let mut scene = Scene::new();
    let view = View::new(&scene);
    let (path, text) = socket(&scene);
    scene.trace_with(&["--listen", &view.listen(), "--socket", &text]);
    let mut tcp: Vec<TcpStream> = Vec::new();
    let mut unix: Vec<UnixStream> = Vec::new();
    for n in 0..385 {
        let begun = b"GET /api/v1/status HTTP/1.1\r\nHost: loc";
        let mut stream = TcpStream::connect(("127.0.0.1", view.port)).expect("a connection");
        if n % 2 == 0 {
            let _ = stream.write_all(begun);
        }
        tcp.push(stream);
        let mut stream = UnixStream::connect(&path).expect("a connection");
        if n % 2 == 1 {
            let _ = stream.write_all(begun);
        }
        unix.push(stream);
    }
    let begun = Instant::now();
    view.get("/api/v1/status");
    assert_ne!(query(&["--socket", &text]).0, 3);
    let took = begun.elapsed();
    eprintln!("answered {took:?} after 385 silent connections to each");
    // (Silent ones are waited for much longer.)
    assert!(took < Duration::from_secs(10), "{took:?}");
    scene.agent().stop();
}

#[test]
fn a_person_gets_a_page_where_there_is_no_answer() {
    let mut scene = Scene::new();
    let view = View::new(&scene);
    scene.trace_with(&["--listen", &view.listen()]);
    for path in ["/nothing", "/api/v1/trace/xyz"] {
        let url = view.url(path);
        let page = String::from_utf8_lossy(&curl::run(&["-H", "Accept: text/html,*/*;q=0.8", &url]).body).into_owned();
        assert!(page.starts_with("<!doctype html>") && page.contains("<h1>4"), "{page}");
        let json: Json = serde_json::from_slice(&curl::run(&[&url]).body).expect("JSON for programs");
        assert!(json["error"].is_string());
    }
    scene.agent().stop();
}

#[test]
fn the_store_is_a_private_file_or_nothing() {
    let mut scene = Scene::new();
    let store = scene.dir().join("traces.redb");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    std::fs::write(&store, "").expect("a file");
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o666)).expect("open to all");
    scene.trace_with(&["--store", &text(&store), "--listen", "off"]);
    let mode = || std::fs::metadata(&store).expect("it is there").permissions().mode() & 0o777;
    assert!(wait::until_true(wait::PATIENCE, || mode() == 0o600), "{:o}", mode());
    scene.agent().stop();
    let link = scene.dir().join("link");
    let elsewhere = scene.dir().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, &link).expect("a link");
    let fifo = scene.dir().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    for (path, says) in [(&link, "symbolic link"), (&fifo, "no regular file")] {
        scene.trace_with(&["--store", &text(path), "--listen", "off"]);
        let said = wait::until_true(wait::PATIENCE, || scene.agent().log().contains(says));
        assert!(said && scene.agent().log().contains("--store"), "{}", scene.agent().log());
        scene.agent().stop();
    }
    assert!(!elsewhere.exists(), "a dangling link is not followed");
    assert!(std::fs::symlink_metadata(&fifo).expect("it is there").file_type().is_fifo());
}
