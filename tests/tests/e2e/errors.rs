//! Exceptions that real programs print are on the spans of the requests that they are raised for, however many there are at a time.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use wirespan_tests::raw::request;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::failing::{Failing, Platform};
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Attributes, Kind, Span, Value};
use wirespan_tests::trace;

/// Requests, at a time; every other one fails.
pub(crate) const REQUESTS: usize = 320;
pub(crate) const AT_A_TIME: usize = 32;
/// Before that, until all goes as it should: the agent finds where the program's lines go, and what its units are; and so often at
/// most.
pub(crate) const WARM_UP: usize = 8;
const ATTEMPTS: usize = 15;
const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const QUIET: Duration = Duration::from_millis(1500);

/// One request, whose answer may never come.
pub(crate) fn ask(port: u16, path: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the program listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let text = request("GET", port, path).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).expect("the program reads");
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Requests whose numbers begin there, so many at a time.
pub(crate) fn ask_all(port: u16, from: usize, many: usize, at_a_time: usize, path: impl Fn(usize) -> String + Sync) {
    let path = &path;
    std::thread::scope(|scope| {
        for client in 0..at_a_time {
            scope.spawn(move || {
                for n in (from + client..from + many).step_by(at_a_time) {
                    ask(port, &path(n));
                }
            });
        }
    });
}

/// Every other one fails.
fn failing(n: usize) -> String {
    format!("/{}/{n}", if n.is_multiple_of(2) { "w" } else { "fine" })
}

/// Asks so many at a time, until what is asked about the numbers of the last ones is so.
pub(crate) fn warm_up(
    scene: &mut Scene,
    port: u16,
    path: fn(usize) -> String,
    is_known: impl Fn(&Scene, &Range<usize>) -> bool,
) {
    let known = (0..ATTEMPTS).any(|attempt| {
        let numbers = attempt * WARM_UP..(attempt + 1) * WARM_UP;
        ask_all(port, numbers.start, WARM_UP, 1, path);
        assert!(scene.settles_unless(QUIET, || is_known(scene, &numbers)), "spans keep arriving");
        is_known(scene, &numbers)
    });
    assert!(known, "after {ATTEMPTS} times {WARM_UP} requests the program is not known:\n{}", scene.agent().log());
}

/// The requests with these numbers, as the program served them.
pub(crate) fn served(spans: Vec<Span>, numbers: &Range<usize>) -> Vec<Span> {
    let is = |span: &Span| span.kind == Kind::Server && number(span).is_some_and(|n| numbers.contains(&n));
    spans.into_iter().filter(is).collect()
}

/// Whether each request that failed has its exception.
fn fail_as_wanted(scene: &Scene, numbers: &Range<usize>) -> bool {
    let served = served(scene.spans(), numbers);
    let right = |span: &Span| span.events.len() == usize::from(span.path().starts_with("/w/"));
    served.len() == numbers.len() && served.iter().all(right)
}

fn text<'a>(event: &'a Attributes, key: &str) -> &'a str {
    match event.get(key) {
        Some(Value::Str(text)) => text,
        other => panic!("{key} is {other:?}"),
    }
}

/// How many are on the right span, on a wrong one, on none.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) right: usize,
    pub(crate) wrong: usize,
    pub(crate) none: usize,
}

/// Has a program fail, and looks at where its exceptions are. Each is whole: its type, what it says, and these frames.
fn tally(platform: Platform, kind: &str, frames: &[&str]) -> Tally {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let program = Failing::start(&scene, platform);
    scene.trace_with(&["--stats"]);
    warm_up(&mut scene, program.port, failing, fail_as_wanted);
    let before = scene.count();
    ask_all(program.port, 1000, REQUESTS, AT_A_TIME, failing);
    assert!(scene.settles_with(before + 2 * REQUESTS, QUIET), "spans keep arriving");
    scene.agent().stop();
    let spans = scene.spans();
    let requests = served(spans, &(1000..1000 + REQUESTS));
    assert_eq!(requests.len(), REQUESTS, "requests are missing\n{}", scene.agent().log());
    let mut tally = Tally::default();
    for span in &requests {
        let path = span.path();
        let mut own = 0;
        for (name, event) in &span.events {
            assert_eq!(name, "exception");
            let said = text(event, "exception.message");
            match said.strip_prefix("n=").is_some_and(|n| path == format!("/w/{n}")) {
                true => own += 1,
                false => {
                    eprintln!("{said} is on {}", trace::line(span));
                    tally.wrong += 1;
                }
            }
            assert_eq!(text(event, "exception.type"), kind);
            let stack = text(event, "exception.stacktrace");
            let missing = frames.iter().find(|frame| !stack.contains(**frame));
            assert_eq!(missing, None, "it is missing in\n{stack}");
        }
        tally.right += usize::from(own == 1);
        tally.wrong += usize::from(own > 1);
        tally.none += usize::from(own == 0 && path.starts_with("/w/"));
    }
    eprintln!("{platform:?}: {tally:?}\n{}", stats(&scene.agent().log()));
    tally
}

pub(crate) fn number(span: &Span) -> Option<usize> {
    span.path().rsplit('/').next()?.parse().ok()
}

/// What the agent counted of exceptions and records.
pub(crate) fn stats(log: &str) -> String {
    let mut last: HashMap<&str, &str> = HashMap::new();
    for line in
        log.lines().filter(|line| ["exceptions", "lines_", "log_records"].iter().any(|part| line.contains(part)))
    {
        last.insert(line.split_whitespace().next().unwrap_or_default(), line);
    }
    last.into_values().collect::<Vec<_>>().join("\n")
}

fn all_right() -> Tally {
    Tally { right: REQUESTS / 2, ..Tally::default() }
}

#[test]
fn exceptions_of_flask_under_threads_are_on_their_requests() {
    let frames = ["KeyError: ?", "The above exception was the direct cause", "in deep\n", "ValueError: n="];
    assert_eq!(tally(Platform::Flask, "ValueError", &frames), all_right());
}

#[test]
fn exceptions_of_fastapi_are_on_their_requests() {
    let frames = ["KeyError: ?", "The above exception was the direct cause", "in deep\n", "ValueError: n="];
    assert_eq!(tally(Platform::FastApi, "ValueError", &frames), all_right());
}

#[test]
fn panics_of_go_are_on_the_requests_that_they_leave_without_an_answer() {
    let frames = ["goroutine ", "main.deep(...)\n", "net/http.(*conn).serve"];
    assert_eq!(tally(Platform::Go, "panic", &frames), all_right());
}

#[test]
fn exceptions_of_a_pool_of_java_are_on_their_requests() {
    let frames = ["\tat Failing.deep(Failing.java:", "Caused by: java.io.IOException: disk\n", " more"];
    assert_eq!(tally(Platform::Java, "java.lang.IllegalStateException", &frames), all_right());
}

#[test]
fn exceptions_of_php_are_on_their_requests() {
    assert_eq!(tally(Platform::Php, "RuntimeException", &["Stack trace:", "deep(...)", "thrown in "]), all_right());
}

#[test]
fn exceptions_of_nodes_loop_are_on_their_requests() {
    assert_eq!(tally(Platform::Node, "TypeError", &["    at deep (", "[cause]: Error: disk"]), all_right());
}

#[test]
fn what_is_written_to_two_logs_at_once_is_read_of_both() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let program = Python::two_logs(&scene);
    scene.trace_with(&["--stats"]);
    // Of what was asked last, and served.
    let told = |scene: &Scene| -> Option<Vec<String>> {
        let asked = scene.spans().into_iter().filter(|span| span.kind == Kind::Server).max_by_key(|span| span.start)?;
        Some(asked.events.iter().map(|(_, event)| text(event, "exception.message").to_owned()).collect())
    };
    let known = (0..ATTEMPTS).any(|attempt| {
        ask(program.port, "/w");
        let enough = || scene.count() == 2 * (attempt + 1) && told(&scene).is_some_and(|said| said.len() == 2);
        assert!(scene.settles_unless(QUIET, enough), "spans keep arriving");
        let said = told(&scene).unwrap_or_default();
        // (Before both logs are known.)
        assert!(said == ["first", "other"] || said.len() < 2, "{said:?}");
        said.len() == 2
    });
    scene.agent().stop();
    assert!(known, "what is written to both is never told: {:?}\n{}", told(&scene), stats(&scene.agent().log()));
}
