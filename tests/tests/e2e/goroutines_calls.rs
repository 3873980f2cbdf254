//! Calls of Go programs that other goroutines write, or make: whole traces, however many requests there are at a time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use wirespan_tests::program::Program;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::services::databases::Database;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

const QUIET: Duration = Duration::from_millis(1500);
/// The agent knows a program once it has served something.
const WARM_UP: usize = 8;
const REQUESTS: usize = 128;

/// What became of the spans of one load.
#[derive(Debug, Default)]
struct Tally {
    right: usize,
    /// With the reason that they give.
    orphans: Vec<String>,
    wrong: Vec<String>,
    /// Traces with spans of several requests.
    mixed: usize,
    /// Traces that are whole.
    whole: usize,
}

impl Tally {
    /// Whether nothing is wrong, no two requests share a trace, no span of the `size` of each is missing, and every call is
    /// linked.
    fn is_as_promised(&self, size: usize) -> bool {
        let all = size * REQUESTS;
        self.wrong.is_empty() && self.mixed == 0 && self.orphans.is_empty() && self.right == all
    }
}

/// What a span is about: the number of its request, and its name in that. `/hop/SHAPE/NUMBER/NAME` of HTTP,
/// `NUMBER-NAME` of gRPC, a column `aNUMBER_NAME` of a query.
fn hop(span: &Span) -> Option<(String, String)> {
    let owned = |(number, name): (&str, &str)| (number.to_owned(), name.to_owned());
    if let Some(method) = span.text("rpc.method") {
        return method.rsplit('/').next()?.split_once('-').map(owned);
    }
    if let Some(query) = span.text("db.query.text") {
        let (number, name) = query.rsplit_once(" AS a")?.1.split_once('_')?;
        return Some((number.to_owned(), name.replace('_', ".")));
    }
    span.path().strip_prefix("/hop/")?.split_once('/')?.1.split_once('/').map(owned)
}

/// Whether `parent` is what `span` was made for.
fn is_made_for(span: &Span, parent: &Span, proxy: Option<u16>) -> bool {
    let (Some((number, name)), Some((above, other))) = (hop(span), hop(parent)) else { return false };
    let is_proxy = |port: u16| parent.int("server.port") == Some(i64::from(port));
    let as_it_is = span.text("db.query.text").is_some() || proxy.is_some_and(is_proxy);
    let asked = match (span.kind, parent.kind) {
        (Kind::Server, Kind::Client) => name == other,
        (Kind::Client, Kind::Server) if as_it_is => name == other,
        (Kind::Client, Kind::Server) => name.rsplit_once('.').is_some_and(|(above, _)| above == other),
        _ => false,
    };
    number == above && asked
}

/// Judges spans of requests of which each has `size`.
fn judge(spans: &[Span], size: usize, proxy: Option<u16>) -> Tally {
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    let mut tally = Tally::default();
    let mut traces: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans.iter().filter(|span| hop(span).is_some()) {
        traces.entry(&span.trace_id).or_default().push(span);
        // Whoever loads was asked by nobody.
        let is_first = span.kind == Kind::Client && span.service() == "load";
        match by_id.get(span.parent.as_str()) {
            Some(parent) if is_made_for(span, parent, proxy) => tally.right += 1,
            Some(parent) => tally.wrong.push(format!("{} below {}", trace::line(span), trace::line(parent))),
            None if is_first => tally.right += 1,
            None => {
                let why = span.text("wirespan.link.missing").unwrap_or("no reason");
                tally.orphans.push(format!("{} ({why})", trace::line(span)));
            }
        }
    }
    for spans in traces.values() {
        let mut numbers: Vec<String> = spans.iter().filter_map(|span| hop(span)).map(|(number, _)| number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        tally.mixed += usize::from(numbers.len() > 1);
        tally.whole += usize::from(numbers.len() == 1 && spans.len() == size);
    }
    tally
}

/// Requests of a load: the first number, and one after the last.
type Numbers = std::ops::Range<usize>;

/// Loads with a shape.
fn load(scene: &Scene, port: u16, shape: &str, numbers: &Numbers, at_a_time: usize, version: &str) {
    let numbers = [port as usize, numbers.start, numbers.len(), at_a_time].map(|number| number.to_string());
    let [port, first, count, at_a_time] = &numbers;
    clients::run_as(scene, "relay.go", "load", &["load", port, shape, first, count, at_a_time, version]);
}

/// The spans of requests with these numbers.
fn of(spans: &[Span], numbers: &Numbers) -> Vec<Span> {
    let number = |span: &Span| hop(span).and_then(|(number, _)| number.parse().ok());
    spans.iter().filter(|span| number(span).is_some_and(|n| numbers.contains(&n))).cloned().collect()
}

/// Loads so that the agent knows the programs.
fn warm_up(scene: &Scene, port: u16, version: &str) {
    load(scene, port, "leaf", &(0..WARM_UP), 1, version);
    assert!(scene.settles(QUIET), "spans keep arriving");
}

/// Loads a service that asks itself, by these shapes, each of which has so many spans a request; with so many requests at a time.
pub(crate) fn shapes_of(
    start: impl Fn(&Scene, &[&str]) -> Program,
    version: &str,
    shapes: &[(&str, usize)],
    levels: &[usize],
) {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let port = scene.port();
    let next = format!("http://127.0.0.1:{port}");
    let service = start(&scene, &["serve", &port.to_string(), &next, version]).listens_on(port);
    scene.trace_with(&["--stats", "--log", "info,wirespan_agent=debug"]);
    warm_up(&scene, port, version);
    let rounds: Vec<(&str, usize, usize)> =
        shapes.iter().flat_map(|(shape, size)| levels.iter().map(|level| (*shape, *size, *level))).collect();
    let numbers = |round: usize| 1000 * (round + 1)..1000 * (round + 1) + REQUESTS;
    for (round, (shape, _, level)) in rounds.iter().enumerate() {
        load(&scene, port, shape, &numbers(round), *level, version);
    }
    assert!(scene.settles(QUIET), "spans keep arriving");
    scene.agent().stop();
    drop(service);
    let spans = scene.spans();
    let mut failures = Vec::new();
    for (round, (shape, size, level)) in rounds.iter().enumerate() {
        let tally = judge(&of(&spans, &numbers(round)), *size, None);
        println!("{shape}, {level} at a time: {} traces of {REQUESTS} are whole", tally.whole);
        if !tally.is_as_promised(*size) {
            failures.push(format!("{shape}, {level} at a time: {tally:?}"));
        }
    }
    assert!(failures.is_empty(), "of {REQUESTS} each:\n{}\n{}", failures.join("\n"), scene.agent().log());
}

/// The same of the usual service, with few and with many requests at a time.
fn shapes_are_whole(version: &str, shapes: &[(&str, usize)]) {
    shapes_of(|scene, arguments| clients::start(scene, "relay.go", arguments), version, shapes, &[1, 64]);
}

#[test]
fn calls_over_http1_are_below_their_requests_whoever_writes_them() {
    let shapes =
        [("chain", 8), ("sequence", 8), ("parallel", 8), ("queue", 4), ("pool", 4), ("timeout", 4), ("plain", 4)];
    shapes_are_whole("h1", &shapes);
}

#[test]
fn calls_over_http2_are_below_their_requests_whoever_writes_them() {
    shapes_are_whole("h2", &[("chain", 8), ("parallel", 8), ("queue", 4), ("plain", 4)]);
}

#[test]
fn a_reverse_proxys_calls_are_below_its_requests() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let (front, back) = (scene.port(), scene.port());
    let next = format!("http://127.0.0.1:{back}");
    let service = clients::start(&scene, "relay.go", &["serve", &back.to_string(), &next, "h1"]).listens_on(back);
    let proxy = clients::start(&scene, "relay.go", &["proxy", &front.to_string(), &next]).listens_on(front);
    scene.trace_with(&["--stats", "--log", "info,wirespan_agent=debug"]);
    warm_up(&scene, front, "h1");
    let numbers = 1000..1000 + REQUESTS;
    load(&scene, front, "sequence", &numbers, 64, "h1");
    assert!(scene.settles(QUIET), "spans keep arriving");
    scene.agent().stop();
    drop((service, proxy));
    let tally = judge(&of(&scene.spans(), &numbers), 10, Some(front));
    println!("{} traces of {REQUESTS} are whole", tally.whole);
    assert!(tally.is_as_promised(10), "{tally:?}\n{}", scene.agent().log());
}

#[test]
fn grpc_behind_a_reverse_proxy_and_a_database_behind_that_are_one_trace_a_request() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let postgres = Database::postgres(&scene);
    let [front, web, rpc] = [scene.port(), scene.port(), scene.port()];
    let [fronts, webs, rpcs, databases] = [front, web, rpc, postgres.port].map(|port| port.to_string());
    let calls = clients::start_module(&scene, "grpc_relay", &["rpc", &rpcs, &databases]).listens_on(rpc);
    let service = clients::start_module(&scene, "grpc_relay", &["web", &webs, &rpcs]).listens_on(web);
    let next = format!("http://127.0.0.1:{web}");
    let proxy = clients::start(&scene, "relay.go", &["proxy", &fronts, &next]).listens_on(front);
    scene.trace_with(&["--stats", "--log", "info,wirespan_agent=debug"]);
    load(&scene, front, "web", &(0..WARM_UP), 1, "h1");
    assert!(scene.settles(QUIET), "spans keep arriving");
    let rounds = [(1000..1000 + REQUESTS, 1), (2000..2000 + REQUESTS, 64)];
    for (numbers, at_a_time) in &rounds {
        load(&scene, front, "web", numbers, *at_a_time, "h1");
    }
    assert!(scene.settles(QUIET), "spans keep arriving");
    scene.agent().stop();
    drop((proxy, service, calls));
    let spans = scene.spans();
    let mut failures = Vec::new();
    for (numbers, at_a_time) in &rounds {
        // Who loads, the proxy, and what that asks: four. Then three calls, each with a query, and another call with a query;
        // of each both ends.
        let size = 4 + 3 * 2 * (2 + 2);
        let tally = judge(&of(&spans, numbers), size, Some(front));
        println!("{at_a_time} at a time: {} traces of {REQUESTS} are whole", tally.whole);
        if !tally.is_as_promised(size) {
            failures.push(format!("{at_a_time} at a time: {tally:?}"));
        }
    }
    assert!(failures.is_empty(), "of {REQUESTS} each:\n{}\n{}", failures.join("\n"), scene.agent().log());
}
