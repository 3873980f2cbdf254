//! Connections that cannot be opened.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use wirespan_tests::agent;
use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http::{self, Deviation};
use wirespan_tests::python;
use wirespan_tests::scene::{Scene, test_process};
use wirespan_tests::services::install;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::python::Python;
use wirespan_tests::span::Kind;

/// curl's exit status when it cannot connect.
const NO_CONNECTION: i32 = 7;

/// The span of an attempt to reach a port of this host.
fn attempt(service: &str, port: u16, error: &str) -> Expected {
    Expected::new(service, Kind::Client, &format!("connect 127.0.0.1:{port}"))
        .with("server.address", "127.0.0.1")
        .with("server.port", port)
        .with("network.peer.address", "127.0.0.1")
        .with("network.peer.port", port)
        .failed(error)
}

#[test]
fn a_refused_connection_is_a_failed_call() {
    let mut scene = Scene::new();
    let port = scene.port();
    scene.trace();
    assert_eq!(curl::run(&[&format!("http://127.0.0.1:{port}/")]).exit, NO_CONNECTION);
    scene.expect(&[attempt("curl", port, "connection_refused")]);
}

#[test]
fn who_asks_again_and_again_for_itself_does_not_drown_the_list_and_what_is_left_out_is_counted() {
    let mut scene = Scene::new();
    let port = scene.port();
    scene.trace();
    for _ in 0..20 {
        TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens there");
    }
    scene.expect(&[attempt(&test_process(), port, "connection_refused")]);
    assert!(scene.agent().counter("connects_left_out") >= 19, "{}", scene.agent().log());
}

#[test]
fn a_backend_that_is_down_is_seen_below_the_request_that_needed_it() {
    let mut scene = Scene::new();
    let (dead, back) = (scene.port(), Python::patient(&scene));
    let upstream = format!("upstream both {{ server 127.0.0.1:{dead} max_fails=0; server 127.0.0.1:{}; }}", back.port);
    let lines =
        format!("location /dead {{ proxy_pass http://127.0.0.1:{dead}; }} location / {{ proxy_pass http://both; }}");
    let front = Nginx::start(&scene, &Settings { workers: 1, http: &upstream, server: &lines });
    // (Once nginx is probed, a call that is sent is linked exactly: when that is, is chance.)
    scene.trace_with(&["--probes", "off"]);
    let refused = || attempt("nginx", dead, "connection_refused").lone();
    let down = front.url("/dead");
    assert_eq!(curl::run(&[&down]).code, 502);
    let failed = http::server("nginx", "GET", &down, 502).child(refused());
    let url = front.url("/slow/1");
    assert_eq!(curl::run(&[&url]).code, 200);
    let inner = "http://both/slow/1";
    let asked = http::client("nginx", "GET", inner, 200)
        .version("1.0")
        .with("server.port", back.port)
        .with("network.peer.address", "127.0.0.1")
        .with("network.peer.port", back.port);
    let answered = http::server("patient", "GET", inner, 200)
        .version("1.0")
        .with("server.port", back.port)
        .with("client.address", "127.0.0.1")
        .with("network.peer.address", "127.0.0.1");
    let retried = http::server("nginx", "GET", &url, 200).child(refused()).child(asked.lone().child(answered));
    scene.expect(&[
        http::client("curl", "GET", &down, 502).child(failed),
        http::client("curl", "GET", &url, 200).child(retried),
    ]);
}

/// The span of an attempt to reach a Unix socket.
fn attempt_at(service: &str, path: &Path, error: &str) -> Expected {
    let path = path.display().to_string();
    Expected::new(service, Kind::Client, &format!("connect {path}"))
        .with("server.address", path.clone())
        .with("network.peer.address", path)
        .with("network.transport", "unix")
        .failed(error)
        .lone()
}

#[test]
fn a_unix_socket_at_which_nobody_listens_is_a_failed_call_of_the_request_that_needed_it() {
    let mut scene = Scene::new();
    let (nowhere, silent) = (scene.dir().join("nowhere.sock"), scene.dir().join("silent.sock"));
    drop(UnixListener::bind(&silent).expect("a socket"));
    fs::set_permissions(&silent, fs::Permissions::from_mode(0o777)).expect("a socket that anybody may connect to");
    let lines = format!(
        "location /nowhere {{ proxy_pass http://unix:{}:/; }} location /silent {{ proxy_pass http://unix:{}:/; }}",
        nowhere.display(),
        silent.display()
    );
    let front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: &lines });
    scene.trace();
    let failed = |route: &str, path: &Path, error: &str| {
        let url = front.url(route);
        assert_eq!(curl::run(&[&url]).code, 502);
        http::client("curl", "GET", &url, 502)
            .child(http::server("nginx", "GET", &url, 502).child(attempt_at("nginx", path, error)))
    };
    let mut expected = [failed("/nowhere", &nowhere, "not_found"), failed("/silent", &silent, "connection_refused")];
    if !sees_unix() {
        // Nothing says so: all else is as it was.
        expected.iter_mut().for_each(|trace| trace.children[0].children.clear());
    }
    scene.expect(&expected);
}

/// Whether this kernel tells of Unix sockets that cannot be connected, as the agent itself says.
fn sees_unix() -> bool {
    let output = agent::command().arg("doctor").output().expect("the agent runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find(|line| line.contains("failed Unix connections"));
    line.unwrap_or_else(|| panic!("the doctor says nothing of it:\n{said}")).contains("fexit/")
}

#[test]
fn another_address_that_gets_through_makes_good_for_the_first() {
    let mut scene = Scene::new();
    let server = Python::patient(&scene);
    scene.trace();
    let url = format!("http://both.test:{}/slow/1", server.port);
    let both = format!("both.test:{}:[::1],127.0.0.1", server.port);
    assert_eq!(curl::run(&["--resolve", &both, &url]).code, 200);
    let at = |span: Expected| span.with("network.peer.address", "127.0.0.1");
    let answered = at(http::server("patient", "GET", &url, 200)).with("client.address", "127.0.0.1");
    scene.expect(&[at(http::client("curl", "GET", &url, 200)).child(answered)]);
}

#[test]
fn an_attempt_that_takes_too_long_is_given_up() {
    let mut scene = Scene::new();
    // A full backlog: the kernel answers no further SYN.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    rustix::net::listen(&listener, 0).expect("a short backlog");
    let address = listener.local_addr().expect("its address");
    let _filler = TcpStream::connect(address).expect("room for one");
    scene.owns_text(&format!("connect 127.0.0.1:{}", address.port()));
    scene.trace();
    let begun = Instant::now();
    let reply = curl::run(&["--connect-timeout", "0.4", &format!("http://{address}/")]);
    let took = begun.elapsed().as_secs_f64() * 1e3;
    assert_eq!(reply.exit, 28);
    let spans = scene.finish(0);
    let port = i64::from(address.port());
    let ours: Vec<_> = spans.iter().filter(|s| s.int("server.port") == Some(port)).collect();
    let all = scene.receiver.spans();
    let ours = if ours.is_empty() { all.iter().filter(|s| s.int("server.port") == Some(port)).collect() } else { ours };
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert_eq!(
        (ours[0].name.as_str(), ours[0].text("error.type")),
        (attempt("curl", address.port(), "").name.as_str(), Some("given_up"))
    );
    // (Its clock runs since it was started, which may be a while before it connects.)
    assert!((200.0..took).contains(&ours[0].millis()), "{} ms of {took} ms", ours[0].millis());
}

#[test]
fn a_peer_to_which_there_is_no_way_is_a_failed_call() {
    // (The kernel says so before there is a packet: no state of a connection changes.)
    let mut scene = Scene::new();
    let port = scene.port();
    let script = install("stranded.py", scene.dir());
    scene.trace();
    let setup = "set -e; ip link set lo up; ip route add unreachable 192.0.2.0/24";
    let mut command = Command::new("unshare");
    let (python, script) = (python::bin("python"), script.display());
    command.args(["--net", "sh", "-c", &format!("{setup}; exec {} {script} {port}", python.display())]);
    let mut stranded = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare is installed");
    let failed = |address: &str, error: &str| {
        Expected::new("stranded", Kind::Client, &format!("connect {address}:{port}"))
            .with("server.address", address)
            .with("server.port", port)
            .with("network.peer.address", address)
            .with("network.peer.port", port)
            .failed(error)
    };
    scene.wait_for_count(2);
    drop(stranded.stdin.take());
    let said = stranded.wait_with_output().expect("it ends").stdout;
    assert_eq!(String::from_utf8_lossy(&said), "ENETUNREACH\nEHOSTUNREACH\n");
    scene.expect(&[failed("198.51.100.7", "network_unreachable"), failed("192.0.2.8", "host_unreachable")]);
}
