//! Go programs that nobody here wrote, whole: what they are asked, what they ask for that, and what they ask of their own.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

use wirespan_tests::program::Program;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::{curl, trace, wait};

const QUIET: Duration = Duration::from_millis(1500);
/// The agent knows a program once it has served something: so many requests until it does, and so often at most.
const WARM_UP: usize = 4;
const ATTEMPTS: usize = 15;
const REQUESTS: usize = 16;

/// The names of a span and of all that it is below, the outermost first.
fn above(span: &Span, by_id: &HashMap<&str, &Span>) -> Vec<String> {
    let parents = std::iter::successors(Some(span), |span| by_id.get(span.parent.as_str()).copied());
    let said = |span: &Span| {
        let kind = if span.kind == Kind::Client { "asks" } else { "serves" };
        format!("{} {kind} {}", span.service(), span.name)
    };
    let mut names: Vec<String> = parents.map(said).collect();
    names.reverse();
    names
}

fn by_id(spans: &[Span]) -> HashMap<&str, &Span> {
    spans.iter().map(|span| (span.span_id.as_str(), span)).collect()
}

/// Asks curl for each URL so often on one connection.
fn ask(url: &str, times: usize, arguments: &[&str]) {
    let mut all = arguments.to_vec();
    all.extend(std::iter::repeat_n(url, times));
    let reply = curl::run(&all);
    assert_eq!((reply.exit, reply.code), (0, 200), "{url}: {}", String::from_utf8_lossy(&reply.body));
}

/// The spans that arrived and are none of these.
fn new(scene: &Scene, seen: &HashSet<String>) -> Vec<Span> {
    scene.spans().into_iter().filter(|span| !seen.contains(&span.span_id)).collect()
}

fn ids(scene: &Scene) -> HashSet<String> {
    scene.spans().into_iter().map(|span| span.span_id).collect()
}

/// Asks until what that leads to is as it should be, and so until the agent knows whom it asks. Returns what has been seen by then.
fn warm_up(scene: &mut Scene, ask: impl Fn(), is_whole: impl Fn(&[Span]) -> bool) -> HashSet<String> {
    let known = (0..ATTEMPTS).any(|_| {
        let seen = ids(scene);
        ask();
        let whole = || is_whole(&new(scene, &seen));
        assert!(scene.settles_unless(QUIET, whole), "spans keep arriving");
        whole()
    });
    assert!(known, "the program is not known:\n{}", scene.agent().log());
    ids(scene)
}

fn answers(program: &Program, url: &str) {
    let ready = || curl::run(&[url]).code == 200;
    assert!(wait::until_true(wait::PATIENCE, ready), "{}", program.log());
}

fn prometheus(scene: &Scene, name: &str, port: u16, configuration: &str) -> Program {
    let file = scene.dir().join(format!("{name}.yml"));
    fs::write(&file, configuration).expect("a configuration");
    let arguments = [
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", scene.dir().join(name).display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let program = clients::start_foreign(scene, "prometheus", &arguments.each_ref().map(String::as_str));
    answers(&program, &format!("http://127.0.0.1:{port}/-/ready"));
    program
}

/// One that has no samples of its own reads another's for each query.
#[test]
fn a_query_of_prometheus_and_what_that_reads_of_another_are_one_trace() {
    let mut scene = Scene::new();
    let [front, back] = [scene.port(), scene.port()];
    let near = prometheus(&scene, "near", back, "scrape_configs: []\n");
    let reads = format!("remote_read: [{{url: 'http://127.0.0.1:{back}/api/v1/read', read_recent: true}}]\n");
    let far = prometheus(&scene, "far", front, &reads);
    scene.trace();
    let query = |number: usize| format!("http://127.0.0.1:{front}/api/v1/query?query=up{number}");
    let whole = ["curl asks GET /api/v1/query", "prometheus serves GET /api/v1/query"];
    let whole: Vec<&str> =
        [&whole[..], &["prometheus asks POST /api/v1/read", "prometheus serves POST /api/v1/read"]].concat();
    let reads = |spans: &[Span]| -> Vec<(String, Vec<String>)> {
        let read = |span: &&Span| span.kind == Kind::Server && span.path() == "/api/v1/read";
        let by_id = by_id(spans);
        spans.iter().filter(read).map(|span| (span.trace_id.clone(), above(span, &by_id))).collect()
    };
    let ask_some = || (0..WARM_UP).for_each(|_| ask(&query(0), 1, &[]));
    let seen = warm_up(&mut scene, ask_some, |spans| {
        let reads = reads(spans);
        reads.len() == WARM_UP && reads.iter().all(|(_, above)| *above == whole)
    });
    let before = scene.count();
    std::thread::scope(|scope| {
        for number in 1..=REQUESTS {
            let query = query(number);
            scope.spawn(move || ask(&query, 1, &[]));
        }
    });
    assert!(scene.settles_with(before + 4 * REQUESTS, QUIET), "spans keep arriving");
    scene.agent().stop();
    drop((near, far));
    let reads = reads(&new(&scene, &seen));
    assert_eq!(reads.len(), REQUESTS, "reads are missing");
    assert!(reads.iter().all(|(_, above)| *above == whole), "{reads:#?}");
    let mut traces: Vec<&str> = reads.iter().map(|(trace, _)| trace.as_str()).collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), REQUESTS, "queries share a trace");
}

/// Its gateway asks itself by gRPC for each request over HTTP.
#[test]
fn a_request_to_etcds_gateway_and_the_call_that_it_makes_of_itself_are_one_trace() {
    let mut scene = Scene::new();
    let [port, peers] = [scene.port(), scene.port()];
    let [url, peer] = [port, peers].map(|port| format!("http://127.0.0.1:{port}"));
    let folder = scene.dir().join("data").display().to_string();
    let cluster = format!("default={peer}");
    let arguments = [
        ["--data-dir", &folder],
        ["--listen-client-urls", &url],
        ["--advertise-client-urls", &url],
        ["--listen-peer-urls", &peer],
        ["--initial-advertise-peer-urls", &peer],
        ["--initial-cluster", &cluster],
    ];
    let etcd = clients::start_foreign(&scene, "etcd", arguments.as_flattened());
    answers(&etcd, &format!("{url}/health"));
    scene.trace();
    let put = format!("{url}/v3/kv/put");
    let body = ["-d", r#"{"key":"a2V5","value":"dmFsdWU="}"#];
    let whole = ["curl asks POST /v3/kv/put", "etcd serves POST /v3/kv/put"];
    let whole: Vec<&str> = [&whole[..], &["etcd asks etcdserverpb.KV/Put", "etcd serves etcdserverpb.KV/Put"]].concat();
    // (The first bytes of a connection are read by a goroutine that looks whose it is, and hands it on: whoever serves its first
    // request did not read it.)
    let seen = warm_up(
        &mut scene,
        || ask(&put, WARM_UP, &body),
        |spans| {
            let (by_id, calls) = (by_id(spans), puts(spans));
            calls.len() == WARM_UP && calls[1..].iter().all(|span| above(span, &by_id) == whole)
        },
    );
    let before = scene.count();
    ask(&put, REQUESTS + 1, &body);
    assert!(scene.settles_with(before + 4 * (REQUESTS + 1), QUIET), "spans keep arriving");
    scene.agent().stop();
    drop(etcd);
    let spans = new(&scene, &seen);
    let (by_id, calls) = (by_id(&spans), puts(&spans));
    assert_eq!(calls.len(), REQUESTS + 1, "calls are missing");
    for span in &calls[1..] {
        assert_eq!(above(span, &by_id), whole, "{}", trace::line(span));
    }
    let mut traces: Vec<&str> = calls.iter().map(|span| span.trace_id.as_str()).collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), calls.len(), "requests share a trace");
}

/// The calls by which etcd puts, in their order.
fn puts(spans: &[Span]) -> Vec<&Span> {
    let mut calls: Vec<&Span> =
        spans.iter().filter(|span| span.kind == Kind::Server && span.name == "etcdserverpb.KV/Put").collect();
    calls.sort_by_key(|span| span.start);
    calls
}

/// Its clients' connections are of a protocol that is not known, and so they stay out of what its monitoring is asked.
#[test]
fn what_the_nats_server_is_asked_is_a_trace_of_two_spans_each_whatever_its_clients_do() {
    let mut scene = Scene::new();
    let [port, web] = [scene.port(), scene.port()];
    let ports = [port, web].map(|port| port.to_string());
    let nats = clients::start_foreign(&scene, "nats-server", &["-a", "127.0.0.1", "-p", &ports[0], "-m", &ports[1]]);
    let url = format!("http://127.0.0.1:{web}/varz");
    answers(&nats, &url);
    scene.trace();
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(port));
        (0..REQUESTS).for_each(|_| ask(&url, 1, &[]));
        publisher.join().expect("messages arrive");
    });
    let spans = scene.finish(2 * REQUESTS);
    drop(nats);
    let by_id = by_id(&spans);
    let served: Vec<&Span> = spans.iter().filter(|span| span.kind == Kind::Server).collect();
    assert_eq!((served.len(), spans.len()), (REQUESTS, 2 * REQUESTS), "{spans:?}");
    for span in served {
        assert_eq!(above(span, &by_id), ["curl asks GET /varz", "nats-server serves GET /varz"]);
    }
}

/// Some messages, published and received on one connection.
fn publish(port: u16) {
    use std::io::{BufRead as _, BufReader, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_read_timeout(Some(wait::PATIENCE)).expect("a limit");
    let mut lines = BufReader::new(stream.try_clone().expect("another handle")).lines();
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nSUB news 1\r\n").expect("it listens");
    for _ in 0..64 {
        stream.write_all(b"PUB news 5\r\nhello\r\n").expect("it listens");
        let message = lines.by_ref().map_while(Result::ok).find(|line| line == "hello");
        assert!(message.is_some(), "the message did not come back");
    }
}
