//! Calls of Go programs that other goroutines write, or make: whole traces, however many requests there are at a time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use wirespan_tests::program::Program;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::services::databases::Database;
use wirespan_tests::services::tls;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::{trace, wait};

const QUIET: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(20);
/// The agent knows a program once it has served something: so many requests until it does, and so often at most.
const WARM_UP: usize = 8;
const ATTEMPTS: usize = 15;
const REQUESTS: usize = 128;

/// What became of the spans of one load.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    right: usize,
    /// With the reason that they give.
    orphans: Vec<String>,
    pub wrong: Vec<String>,
    /// Traces with spans of several requests.
    pub mixed: usize,
    /// Traces that are whole.
    whole: usize,
}

impl Tally {
    /// Whether nothing is wrong, no two requests share a trace, no span of the `size` of each is missing, and every call is
    /// linked.
    fn is_as_promised(&self, size: usize, requests: usize) -> bool {
        let all = size * requests;
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
pub(crate) fn judge(spans: &[Span], size: usize, proxy: Option<u16>) -> Tally {
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

/// Loads by a shape, each of whose requests has so many spans, until the agent knows the programs.
fn warm_up(scene: &mut Scene, port: u16, (shape, size): (&str, usize), version: &str, proxy: Option<u16>) {
    let known = (0..ATTEMPTS).any(|attempt| {
        let numbers = attempt * WARM_UP..(attempt + 1) * WARM_UP;
        load(scene, port, shape, &numbers, 1, version);
        let right = || judge(&of(&scene.spans(), &numbers), size, proxy).is_as_promised(size, WARM_UP);
        assert!(scene.settles_unless(QUIET, right), "spans keep arriving");
        right()
    });
    assert!(known, "the programs are not known:\n{}", scene.agent().log());
}

/// Where a service is that speaks this version, which has a certificate then if it needs one.
pub(crate) fn own_url(scene: &Scene, port: u16, version: &str) -> String {
    let secure = version.starts_with('s');
    if secure {
        tls::certificate(scene);
    }
    format!("{}://127.0.0.1:{port}", if secure { "https" } else { "http" })
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
    let next = own_url(&scene, port, version);
    let service = start(&scene, &["serve", &port.to_string(), &next, version]).listens_on(port);
    scene.trace_with(&["--stats", "--log", "info,wirespan_agent=debug"]);
    if version.starts_with('s') {
        tls::until_programs_are_read(&mut scene, &[service.pid()]);
    }
    warm_up(&mut scene, port, shapes[0], version, None);
    let before = scene.count();
    let rounds: Vec<(&str, usize, usize)> =
        shapes.iter().flat_map(|(shape, size)| levels.iter().map(|level| (*shape, *size, *level))).collect();
    let numbers = |round: usize| 1000 * (round + 1)..1000 * (round + 1) + REQUESTS;
    for (round, (shape, _, level)) in rounds.iter().enumerate() {
        load(&scene, port, shape, &numbers(round), *level, version);
    }
    let spans: usize = rounds.iter().map(|(_, size, _)| size * REQUESTS).sum();
    assert!(scene.settles_with(before + spans, QUIET), "spans keep arriving");
    scene.agent().stop();
    drop(service);
    let spans = scene.spans();
    let mut failures = Vec::new();
    if version.starts_with('s') {
        assert_tied(&mut scene);
        for span in &spans {
            let said = (span.text("url.scheme"), span.text("tls.protocol.version"));
            assert!(
                said.0.is_none_or(|scheme| scheme == "https") && said.1 == Some("1.3"),
                "{said:?} {}",
                trace::line(span)
            );
        }
    }
    for (round, (shape, size, level)) in rounds.iter().enumerate() {
        let tally = judge(&of(&spans, &numbers(round)), *size, None);
        println!("{shape}, {level} at a time: {} traces of {REQUESTS} are whole", tally.whole);
        if !tally.is_as_promised(*size, REQUESTS) {
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
fn calls_after_the_answer_are_below_the_request_whose_context_they_carry() {
    shapes_are_whole("h1", &[("forget", 4)]);
}

#[test]
fn calls_of_goroutines_that_a_handler_waits_for_are_below_its_request_without_a_context() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let port = scene.port();
    let next = format!("http://127.0.0.1:{port}");
    let service = clients::start(&scene, "relay.go", &["serve", &port.to_string(), &next, "h1"]).listens_on(port);
    scene.trace_with(&["--stats", "--log", "info,wirespan_agent=debug"]);
    warm_up(&mut scene, port, ("chain", 8), "h1", None);
    // Who makes goroutines is looked at once that may explain a call.
    let seen = "who makes its goroutines is seen from now on";
    load(&scene, port, "helpers", &(500..501), 1, "h1");
    assert!(wait::until_true(PATIENCE, || scene.agent().log().contains(seen)), "{}", scene.agent().log());
    // The first fifteen calls only have a link to their request.
    let few = 600..605;
    load(&scene, port, "helpers", &few, 1, "h1");
    assert!(scene.settles(QUIET), "spans keep arriving");
    // After twice as many the place in the program is believed that makes them.
    let numbers = 1000..1000 + REQUESTS;
    let before = scene.count();
    load(&scene, port, "helpers", &numbers, 1, "h1");
    assert!(scene.settles_with(before + 8 * REQUESTS, QUIET), "spans keep arriving");
    scene.agent().stop();
    drop(service);
    let spans = of(&scene.spans(), &numbers);
    let tally = judge(&spans, 8, None);
    assert!(tally.wrong.is_empty() && tally.mixed == 0, "{tally:?}");
    let inferred = spans.iter().filter(|span| span.text("wirespan.link.evidence") == Some("spawned_goroutine"));
    println!("{} traces of {REQUESTS} are whole, {} calls inferred", tally.whole, inferred.clone().count());
    assert!(inferred.count() > 0, "{tally:?}\n{}", scene.agent().log());
    let spans = of(&scene.spans(), &few);
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    let linked = spans.iter().flat_map(|span| span.links.iter().map(move |(_, to)| (span, to.as_str())));
    let is_right = |span: &Span, to: &str| by_id.get(to).is_some_and(|request| is_made_for(span, request, None));
    let wrong = linked.clone().filter(|(span, to)| !is_right(span, to));
    let wrong: Vec<String> = wrong.map(|(span, _)| trace::line(span)).collect();
    println!("{} calls have a link to their request", linked.clone().count());
    assert!(linked.count() > 0 && wrong.is_empty(), "{wrong:?}\n{}", scene.agent().log());
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
    warm_up(&mut scene, front, ("sequence", 10), "h1", Some(front));
    let (before, numbers) = (scene.count(), 1000..1000 + REQUESTS);
    load(&scene, front, "sequence", &numbers, 64, "h1");
    assert!(scene.settles_with(before + 10 * REQUESTS, QUIET), "spans keep arriving");
    scene.agent().stop();
    drop((service, proxy));
    let tally = judge(&of(&scene.spans(), &numbers), 10, Some(front));
    println!("{} traces of {REQUESTS} are whole", tally.whole);
    assert!(tally.is_as_promised(10, REQUESTS), "{tally:?}\n{}", scene.agent().log());
}

#[test]
fn grpc_behind_a_reverse_proxy_and_a_database_behind_that_are_one_trace_a_request() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let postgres = Database::postgres(&scene);
    grpc_and_a_database(&mut scene, &postgres, &[]);
}

#[test]
fn the_same_over_tls_is_one_trace_a_request() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let postgres = Database::postgres_secure(&scene);
    grpc_and_a_database(&mut scene, &postgres, &["tls"]);
    let spans = scene.spans();
    let rounds =
        |span: &&Span| hop(span).and_then(|(number, _)| number.parse::<usize>().ok()).is_some_and(|n| n >= 1000);
    let plain = |span: &&Span| span.text("url.template").is_some_and(|path| path.starts_with("/hop/web"));
    for span in spans.iter().filter(rounds).filter(|span| !plain(span)) {
        assert_eq!(span.text("tls.protocol.version"), Some("1.3"), "{}", trace::line(span));
    }
    assert_tied(&mut scene);
}

/// Nothing that was encrypted was left unread, or would have gone elsewhere.
pub(crate) fn assert_tied(scene: &mut Scene) {
    assert_unmistaken(scene);
    assert_eq!(scene.agent().try_counter("tls_elsewhere").unwrap_or_default(), 0);
}

/// The same, but for what is read of a connection that has no socket any more.
pub(crate) fn assert_unmistaken(scene: &mut Scene) {
    for counter in ["tls_conflicts", "tls_untied", "tls_unfinished", "tls_refused"] {
        assert_eq!(scene.agent().try_counter(counter).unwrap_or_default(), 0, "{counter}");
    }
}

/// The services in a row; `how` they speak.
fn grpc_and_a_database(scene: &mut Scene, postgres: &Database, how: &[&str]) {
    let [front, web, rpc] = [scene.port(), scene.port(), scene.port()];
    let [fronts, webs, rpcs, databases] = [front, web, rpc, postgres.port].map(|port| port.to_string());
    let started = |what: &[&str]| clients::start_module(scene, "grpc_relay", &[what, how].concat());
    let calls = started(&["rpc", &rpcs, &databases]).listens_on(rpc);
    let service = started(&["web", &webs, &rpcs]).listens_on(web);
    let next = format!("http://127.0.0.1:{web}");
    let proxy = clients::start(scene, "relay.go", &["proxy", &fronts, &next]).listens_on(front);
    scene.trace_with(&["--stats", "--log", "info,wirespan_agent=debug"]);
    if !how.is_empty() {
        tls::until_programs_are_read(scene, &[calls.pid(), service.pid()]);
    }
    // Who loads, the proxy, and what that asks: four. Then three calls, each with a query, and another call with a query; of each
    // both ends.
    let size = 4 + 3 * 2 * (2 + 2);
    warm_up(scene, front, ("web", size), "h1", Some(front));
    let before = scene.count();
    // (Of one write inside TLS 16 KiB are read, and grpc-go gathers as much where many wait.)
    let many = if how.is_empty() { 64 } else { 16 };
    let rounds = [(1000..1000 + REQUESTS, 1), (2000..2000 + REQUESTS, many)];
    for (numbers, at_a_time) in &rounds {
        load(scene, front, "web", numbers, *at_a_time, "h1");
    }
    assert!(scene.settles_with(before + rounds.len() * size * REQUESTS, QUIET), "spans keep arriving");
    scene.agent().stop();
    drop((proxy, service, calls));
    let spans = scene.spans();
    let mut failures = Vec::new();
    for (numbers, at_a_time) in &rounds {
        let tally = judge(&of(&spans, numbers), size, Some(front));
        println!("{at_a_time} at a time: {} traces of {REQUESTS} are whole", tally.whole);
        if !tally.is_as_promised(size, REQUESTS) {
            failures.push(format!("{at_a_time} at a time: {tally:?}"));
        }
    }
    assert!(failures.is_empty(), "of {REQUESTS} each:\n{}\n{}", failures.join("\n"), scene.agent().log());
}
