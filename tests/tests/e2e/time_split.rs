//! Where the time of requests went, as their threads' own clocks say.

use serde_json::Value as Json;
use wirespan_tests::curl;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span, Value};

/// What is done for so many milliseconds.
const WORK: [(&str, u64); 7] =
    [("cpu", 20), ("sleep", 20), ("lock", 20), ("disk", 20), ("child", 20), ("queue", 40), ("call", 20)];
/// Clocks of the kernel count microseconds, and are read one after the other.
const CLOSE: f64 = 1e-3;

fn seconds(span: &Span, part: &str) -> f64 {
    match span.attributes.get(&format!("wirespan.time.{part}")) {
        Some(Value::Double(seconds)) => *seconds,
        None => 0.0,
        other => panic!("{part} is {other:?}"),
    }
}

fn length(span: &Span) -> f64 {
    (span.end - span.start) as f64 / 1e9
}

fn coverage(span: &Span) -> Option<&str> {
    span.text("wirespan.time.coverage")
}

/// A request, and what its server's own clocks say of it: seconds by part.
fn ask(server: &Python, what: &str, millis: u64) -> impl Fn(&str) -> f64 + use<> {
    let reply = curl::get(&server.url(&format!("/{what}/{millis}/1")), 200);
    let said: Json = serde_json::from_slice(&reply.body).expect("JSON");
    move |part| said[part].as_f64().expect("nanoseconds") / 1e9
}

/// What the span says is what the program measured, but for what lies before and behind that.
fn assert_agrees(what: &str, own: f64, span: &Span, truth: impl Fn(&str) -> f64) {
    assert_eq!(coverage(span), Some("exact"), "{what}: {span:?}");
    let told = ["cpu", "runqueue", "blocked"].map(|part| seconds(span, part));
    let outside = own - truth("wall");
    assert!((told.iter().sum::<f64>() - own).abs() < CLOSE, "{what}: {told:?} are not {own}");
    let close = |told: f64, truth: f64| (-CLOSE..=outside + CLOSE).contains(&(told - truth));
    let [cpu, queued, blocked] = told;
    assert!(close(cpu, truth("cpu")), "{what}: on CPU {cpu}, in truth {}, outside {outside}", truth("cpu"));
    // (What interrupts and the hypervisor take, the program's clocks do not tell from being blocked.)
    let waited = truth("runqueue") + truth("blocked");
    assert!(close(queued + blocked, waited), "{what}: {queued} and {blocked}, in truth {waited}, outside {outside}");
    assert!(queued > truth("runqueue") - CLOSE, "{what}: waited {queued}, in truth {}", truth("runqueue"));
}

#[test]
fn a_thread_per_request_says_where_its_time_went() {
    let mut scene = Scene::new();
    let inner = Python::spender(&scene, "");
    let outer = Python::spender(&scene, &inner.url(""));
    scene.trace();
    let truths: Vec<_> = WORK.iter().map(|(what, millis)| ask(&outer, what, *millis)).collect();
    let of = |spans: &[Span]| -> Vec<Span> {
        let is_outer = |span: &&Span| span.kind == Kind::Server && span.int("server.port") == Some(outer.port.into());
        spans.iter().filter(is_outer).cloned().collect()
    };
    let spans = scene.finish(2 * WORK.len() + 2);
    assert_eq!(of(&spans).len(), WORK.len(), "{spans:?}");
    for ((what, millis), truth) in WORK.iter().zip(truths) {
        let path = format!("/{what}/{millis}/1");
        let served = of(&spans);
        let span = served.iter().find(|span| span.path() == path).expect("its span");
        let called = spans.iter().find(|other| other.parent == span.span_id);
        let away = called.map_or(0.0, length);
        let own = length(span) - away;
        match called {
            None => assert_agrees(what, own, span, truth),
            Some(call) => assert_call(span, call, own, truth),
        }
    }
}

/// A request that computes, calls, and computes: its own time is the computing, the call's is waiting.
fn assert_call(span: &Span, call: &Span, own: f64, truth: impl Fn(&str) -> f64) {
    assert_eq!((coverage(span), coverage(call)), (Some("exact"), Some("exact")), "{span:?} {call:?}");
    let parts = |span: &Span| ["cpu", "runqueue", "blocked"].map(|part| seconds(span, part)).iter().sum::<f64>();
    assert!((parts(span) - own).abs() < CLOSE, "{} are not {own}", parts(span));
    assert!((parts(call) - length(call)).abs() < CLOSE, "{} are not {}", parts(call), length(call));
    let cpu = seconds(span, "cpu") + seconds(call, "cpu");
    let outside = length(span) - truth("wall");
    assert!((-CLOSE..=outside + CLOSE).contains(&(cpu - truth("cpu"))), "{cpu}, in truth {}", truth("cpu"));
    assert!(seconds(span, "cpu") > 0.039, "it computes 20 ms before and after: {span:?}");
    assert!(seconds(call, "blocked") > 0.015 && seconds(call, "cpu") < seconds(span, "cpu"), "{call:?}");
}

#[test]
fn of_loops_nothing_is_told_that_they_may_have_done_for_others() {
    let mut scene = Scene::new();
    let (faults, spender) = (Node::faults(&scene), Python::spender(&scene, ""));
    scene.trace();
    curl::get(&faults.url("/slow/50"), 200);
    let _ = ask(&spender, "cpu", 1);
    let spans = scene.finish(4);
    let slow: Vec<&Span> = spans.iter().filter(|span| span.kind == Kind::Server && span.path() == "/slow/50").collect();
    assert_eq!(slow.len(), 1, "{spans:?}");
    assert!(coverage(slow[0]) != Some("exact") && seconds(slow[0], "blocked") == 0.0, "{:?}", slow[0]);
    assert!(spans.iter().any(|span| coverage(span) == Some("exact")), "{spans:?}");
}

#[test]
fn it_can_be_switched_off() {
    let mut scene = Scene::new();
    let spender = Python::spender(&scene, "");
    scene.trace_with(&["--time-split", "off"]);
    let _ = ask(&spender, "sleep", 5);
    let spans = scene.finish(2);
    assert_eq!(spans.len(), 2, "{spans:?}");
    assert!(spans.iter().all(|span| coverage(span).is_none()), "{spans:?}");
}
