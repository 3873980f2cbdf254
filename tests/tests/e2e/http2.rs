//! HTTP/2: real clients and servers, at any concurrency.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http::{client, server};
use wirespan_tests::program::Program;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace::{self, Node};
use wirespan_tests::wait;

/// More than a hold and a batch: nothing comes after it.
const QUIET: Duration = Duration::from_millis(1500);

/// Bytes of a large file.
const LARGE: usize = 3_000_001;

/// nghttp2's server, with a small file.
struct Nghttpd {
    _program: Program,
    port: u16,
}

impl Nghttpd {
    fn start(scene: &Scene) -> Self {
        let (port, www) = (scene.port(), scene.dir().join("h2"));
        std::fs::create_dir_all(&www).expect("a directory to serve");
        std::fs::write(www.join("tiny.txt"), "tiny\n").expect("a file to serve");
        let mut command = Command::new("nghttpd");
        command.args(["--no-tls", "--address=127.0.0.1", "-d"]).arg(www).arg(port.to_string());
        Self { _program: Program::start("nghttpd", scene.dir(), &mut command).listens_on(port), port }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn over_http2(span: Expected) -> Expected {
    span.with("network.protocol.version", "2")
}

fn h2load(url: &str, requests: u32, connections: u32, streams: u32) {
    let mut command = Command::new("h2load");
    command.args([format!("-n{requests}"), format!("-c{connections}"), format!("-m{streams}"), url.to_owned()]);
    let output = command.stdout(Stdio::piped()).output().expect("h2load is installed");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(report.contains(&format!("{requests} succeeded")), "{report}");
    eprintln!("{}", report.lines().find(|line| line.starts_with("finished in")).unwrap_or_default());
}

#[test]
fn curl_with_prior_knowledge_is_a_pair() {
    let mut scene = Scene::new();
    let files = Nghttpd::start(&scene);
    scene.trace();
    let url = files.url("/tiny.txt");
    assert_eq!(curl::run(&["--http2-prior-knowledge", &url]).code, 200);
    let callee = over_http2(server("nghttpd", "GET", &url, 200));
    scene.expect(&[over_http2(client("curl", "GET", &url, 200)).child(callee)]);
}

/// curl reads more at once than is ever captured, so most of the frames are hidden.
#[test]
fn a_large_download_is_a_pair() {
    let mut scene = Scene::new();
    let files = Nghttpd::start(&scene);
    std::fs::write(scene.dir().join("h2/large.bin"), vec![b'x'; LARGE]).expect("a file to serve");
    scene.trace();
    let url = files.url("/large.bin");
    assert_eq!(curl::run(&["--http2-prior-knowledge", &url]).body.len(), LARGE);
    let end = |span: Expected| over_http2(span).with("http.response.body.size", LARGE as i64);
    scene.expect(&[end(client("curl", "GET", &url, 200)).child(end(server("nghttpd", "GET", &url, 200)))]);
}

/// A server of Python's, prior knowledge and `Upgrade: h2c`, a body of several DATA frames, an error.
#[test]
fn hypercorn_is_understood() {
    let mut scene = Scene::new();
    let spoken = Python::hypercorn(&scene);
    scene.trace();
    let (plain, missing) = (spoken.url("/plain"), spoken.url("/missing"));
    assert_eq!(curl::run(&["--http2-prior-knowledge", &plain]).code, 200);
    assert_eq!(curl::run(&["--http2-prior-knowledge", &missing]).code, 404);
    let body = "x".repeat(50_000);
    let reply = curl::run(&["--http2-prior-knowledge", "--data-binary", &body, &plain]);
    assert_eq!(String::from_utf8_lossy(&reply.body), "2 50000\n");
    let pair = |method: &str, url: &str, code: u16| {
        over_http2(client("curl", method, url, code)).child(over_http2(server("spoken", method, url, code)))
    };
    // An upgraded request is asked in HTTP/1.1.
    assert_eq!(curl::run(&["--http2", &plain]).body, b"2 0\n");
    let upgraded = client("curl", "GET", &plain, 200).child(server("spoken", "GET", &plain, 200));
    // Of the body hypercorn reads more at once than is captured, and what comes after on the stream counts as not seen.
    let posted = pair("POST", &plain, 200).with("http.request.body.size", 50_000_i64);
    scene.expect(&[pair("GET", &plain, 200), pair("GET", &missing, 404), posted, upgraded]);
}

/// Every request is a CLIENT span with its SERVER span below, whatever else is in flight on its connection.
fn assert_pairs(scene: &mut Scene, made: usize) {
    assert!(scene.settles_with(2 * made, QUIET), "spans keep arriving");
    scene.agent().stop();
    let spans = scene.spans();
    let servers = spans.iter().filter(|span| span.kind == Kind::Server).count();
    let lost = scene.agent().lost();
    eprintln!("requests {made}, server spans {servers}, all spans {}, lost {lost:?}", spans.len());
    let forest = trace::forest(&spans);
    let wrong: Vec<&Node<'_>> = forest.iter().filter(|root| !is_a_pair(root, &["GET /tiny.txt"])).collect();
    let shown: Vec<String> = wrong.iter().take(5).flat_map(|root| root.flat()).map(trace::line).collect();
    assert!(wrong.is_empty(), "{} traces are not a pair, such as\n{}", wrong.len(), shown.join("\n"));
    // (The counters are the whole machine's.)
    assert_eq!(servers, made, "{}", scene.agent().log());
}

fn is_a_pair(root: &Node<'_>, names: &[&str]) -> bool {
    let is = |span: &Span, service: &str, kind: Kind| {
        span.service() == service && span.kind == kind && names.contains(&span.name.as_str())
    };
    is(root.span, "h2load", Kind::Client)
        && root.children.len() == 1
        && is(root.children[0].span, "nghttpd", Kind::Server)
        && root.children[0].children.is_empty()
}

#[test]
fn every_stream_of_h2load_is_a_pair_at_any_concurrency() {
    for streams in [1, 2, 10, 100] {
        let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
        let files = Nghttpd::start(&scene);
        scene.trace_with(&["--stats"]);
        h2load(&files.url("/tiny.txt"), 4000, 2, streams);
        assert_pairs(&mut scene, 4000);
    }
}

/// nginx answers many streams with one operation of many `iovec`s.
#[test]
fn a_hundred_streams_of_nginx_are_found() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let port = scene.port();
    let server =
        format!("listen 127.0.0.1:{port} http2; keepalive_requests 100000; location / {{ return 200 'yes'; }}");
    let _front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: &server });
    scene.trace_with(&["--stats"]);
    h2load(&format!("http://127.0.0.1:{port}/tiny.txt"), 4000, 1, 100);
    assert!(scene.settles_with(8000, QUIET), "spans keep arriving");
    scene.agent().stop();
    let spans = scene.spans();
    let servers = spans.iter().filter(|span| span.kind == Kind::Server).count();
    eprintln!("requests 4000, server spans {servers}, all spans {}", spans.len());
    assert_eq!((servers, spans.len()), (4000, 8000), "{}", scene.agent().log());
}

/// h2load runs before the agent does, and after: what HPACK's tables held is not known.
#[test]
fn a_connection_joined_in_full_swing_makes_pairs_and_invents_nothing() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let files = Nghttpd::start(&scene);
    let mut load = Command::new("h2load");
    load.args(["-c2", "-m10", "--duration=120", "--rps=400", &files.url("/tiny.txt")]);
    let mut load = Program::start("load", scene.dir(), &mut load);
    assert!(wait::until_true(wait::PATIENCE, || load.log().contains("Application protocol")), "{}", load.log());
    scene.trace_with(&["--stats"]);
    scene.wait_for_count(1000);
    assert!(load.is_running(), "the load outlives the join:\n{}", load.log());
    load.signal(Signal::TERM);
    load.wait(wait::PATIENCE).expect("it ends");
    assert!(scene.settles(QUIET), "spans keep arriving");
    scene.agent().stop();
    let spans = scene.spans();
    // The path stands in a table that was filled before.
    let forest = trace::forest(&spans);
    let wrong: Vec<&Node<'_>> = forest.iter().filter(|root| !is_a_pair(root, &["GET", "GET /tiny.txt"])).collect();
    let shown: Vec<String> = wrong.iter().take(5).flat_map(|root| root.flat()).map(trace::line).collect();
    eprintln!("{} pairs, {} not: {}", forest.len() - wrong.len(), wrong.len(), shown.join(" | "));
    // The streams under way at the join and at the end, one of whose ends may have been seen.
    assert!(forest.len() >= 500 && wrong.len() <= 2 * 20, "{}", shown.join("\n"));
    assert!(wrong.iter().all(|root| root.flat().len() == 1), "two requests share a trace:\n{}", shown.join("\n"));
}
