//! Go programs: what the handler's own goroutine asks is asked for its request, however many there are at a time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::services::databases::Database;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

const REQUESTS: usize = 640;
const AT_A_TIME: usize = 64;
const QUIET: Duration = Duration::from_millis(1500);
/// The pool's first connections begin before the agent knows the program: so many requests until it does, and so often at most.
const WARM_UP: usize = 8;
const ATTEMPTS: usize = 15;

#[test]
fn queries_of_goroutines_are_below_their_requests_with_many_at_a_time_over_few_connections() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let postgres = Database::postgres(&scene);
    let port = scene.port();
    let arguments = ["serve", &port.to_string(), &postgres.port.to_string()];
    let service = clients::start(&scene, "pq_serve.go", &arguments).listens_on(port);
    scene.trace_with(&["--stats"]);
    let ids = || -> HashSet<String> { scene.spans().into_iter().map(|span| span.span_id).collect() };
    let new = |seen: &HashSet<String>| -> Vec<Span> {
        scene.spans().into_iter().filter(|span| !seen.contains(&span.span_id)).collect()
    };
    let known = (0..ATTEMPTS).any(|_| {
        let seen = ids();
        clients::run_with(&scene, "pq_serve.go", &["load", &port.to_string(), &WARM_UP.to_string(), "4"]);
        let linked = || {
            let spans = new(&seen);
            let (right, orphans, wrong) = judge(&spans);
            (right, orphans, wrong.len()) == (2 * WARM_UP, 0, 0)
        };
        assert!(scene.settles_unless(QUIET, linked), "spans keep arriving");
        linked()
    });
    let (seen, before) = (ids(), scene.count());
    clients::run_with(
        &scene,
        "pq_serve.go",
        &["load", &port.to_string(), &REQUESTS.to_string(), &AT_A_TIME.to_string()],
    );
    // (Both ends of each request, and of its two queries.)
    assert!(scene.settles_with(before + 6 * REQUESTS, QUIET), "spans keep arriving");
    scene.agent().stop();
    drop(service);
    let spans: Vec<Span> = scene.spans().into_iter().filter(|span| !seen.contains(&span.span_id)).collect();
    assert!(known, "the program is not known:\n{}", scene.agent().log());
    let servers = servers(&spans);
    assert_eq!(servers.len(), REQUESTS, "requests are missing");
    for (key, value) in
        [("process.runtime.name", "go"), ("process.runtime.version", "go1.27.3"), ("telemetry.sdk.language", "go")]
    {
        let any = servers.values().next().expect("a request");
        assert_eq!(any.resource.get(key), Some(&wirespan_tests::span::Value::Str(value.into())), "{key}");
    }
    let (right, orphans, wrong) = judge(&spans);
    eprintln!("right {right}, orphans {orphans}, wrong {}", wrong.len());
    assert!(wrong.is_empty(), "{} queries are below another request, such as {}", wrong.len(), trace::line(wrong[0]));
    assert_eq!((right, orphans), (2 * REQUESTS, 0), "queries are missing, or below nothing");
}

/// The requests that were served.
fn servers(spans: &[Span]) -> HashMap<&str, &Span> {
    let served = spans.iter().filter(|s| s.kind == Kind::Server && s.service() == "pq_serve");
    served.map(|s| (s.span_id.as_str(), s)).collect()
}

/// How many queries are below their own request, how many below none, and which are below another.
fn judge(spans: &[Span]) -> (usize, usize, Vec<&Span>) {
    let servers = servers(spans);
    let (mut right, mut orphans, mut wrong) = (0, 0, Vec::new());
    for query in spans.iter().filter(|s| s.kind == Kind::Client && s.service() == "pq_serve") {
        let Some(number) = query.text("db.query.text").and_then(number_of) else { continue };
        match servers.get(query.parent.as_str()) {
            Some(server) if server.path() == format!("/q/{number}") => right += 1,
            Some(_) => wrong.push(query),
            None => orphans += 1,
        }
    }
    (right, orphans, wrong)
}

/// Whose query it is: its column is named after the request.
fn number_of(text: &str) -> Option<&str> {
    let (_, column) = text.rsplit_once(" AS ")?;
    Some(column.trim_start_matches(['a', 'b'])).filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
}
