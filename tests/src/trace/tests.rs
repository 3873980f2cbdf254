//! The language that every other test relies on: it must not let anything pass.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::assert_traces;
use crate::expect::Expected;
use crate::span::{Kind, Span, Status, Value};

fn span(trace: &str, id: &str, parent: &str, service: &str, kind: Kind) -> Span {
    Span {
        trace_id: trace.into(),
        span_id: id.into(),
        parent: parent.into(),
        trace_state: String::new(),
        flags: 1,
        name: "GET /".into(),
        kind,
        status: Status::Unset,
        start: 10,
        end: 20,
        attributes: [("url.path".to_owned(), Value::Str("/".into()))].into(),
        resource: [("service.name".to_owned(), Value::Str(service.into()))].into(),
        links: Vec::new(),
        scope: "wirespan".into(),
        events: Vec::new(),
    }
}

fn pair() -> [Span; 2] {
    [span("t", "1", "", "curl", Kind::Client), span("t", "2", "1", "shop", Kind::Server)]
}

fn expected() -> Expected {
    let one = |service, kind| Expected::new(service, kind, "GET /").with("url.path", "/");
    one("curl", Kind::Client).child(one("shop", Kind::Server))
}

/// The complaint about `spans`, empty when they are as expected.
fn complaint(expected: &[Expected], spans: &[Span]) -> String {
    let result = catch_unwind(AssertUnwindSafe(|| assert_traces(expected, spans)));
    result.err().map(|e| e.downcast_ref::<String>().cloned().expect("a message")).unwrap_or_default()
}

fn changed(change: impl Fn(&mut [Span; 2])) -> String {
    let mut spans = pair();
    change(&mut spans);
    complaint(&[expected()], &spans)
}

#[test]
fn what_is_expected_passes_whatever_the_order() {
    let [caller, callee] = pair();
    assert_eq!(complaint(&[expected()], &[callee, caller]), "");
}

#[test]
fn each_deviation_of_a_span_is_named() {
    assert!(changed(|s| s[1].name = "GET".into()).contains("shop SERVER: name is \"GET\", not \"GET /\""));
    assert!(changed(|s| s[1].kind = Kind::Client).contains("no child shop SERVER"));
    assert!(changed(|s| s[0].status = Status::Error).contains("status is Error, not Unset"));
    assert!(changed(|s| s[0].end = 1).contains("before it starts"));
    assert!(changed(|s| s[0].attributes.clear()).contains("url.path is missing"));
    let extra = changed(|s| drop(s[1].attributes.insert("surprise".into(), Value::Int(1))));
    assert!(extra.contains("surprise = 1 was not expected"));
}

#[test]
fn a_wrong_parent_or_trace_is_named() {
    assert!(changed(|s| s[1].parent = "9".into()).contains("no child shop SERVER"));
    assert!(changed(|s| s[1].trace_id = "other".into()).contains("no child shop SERVER"));
    assert!(changed(|s| s[0].parent = "8".into()).contains("has the parent 8, which did not arrive"));
}

#[test]
fn a_span_too_many_is_named() {
    let [caller, callee] = pair();
    let stranger = span("t2", "3", "", "stranger", Kind::Client);
    let spans = [caller.clone(), callee.clone(), stranger];
    assert!(complaint(&[expected()], &spans).contains("not expected: stranger CLIENT"));
    let twin = span("t", "4", "1", "shop", Kind::Server);
    assert!(complaint(&[expected()], &[caller.clone(), callee.clone(), twin]).contains("unexpected child shop SERVER"));
    let twice = [caller.clone(), callee.clone(), callee];
    assert!(complaint(&[expected()], &twice).contains("arrived twice"));
}

#[test]
fn a_missing_span_or_trace_is_named() {
    let [caller, _] = pair();
    assert!(complaint(&[expected()], &[caller]).contains("no child shop SERVER"));
    assert!(complaint(&[expected()], &[]).contains("missing: the trace that begins with curl CLIENT"));
    assert!(complaint(&[expected(), expected()], &pair()).contains("expected and not found (1 of 2 traces)"));
}

#[test]
fn two_requests_in_one_trace_are_mixed() {
    let again = [span("t", "3", "", "curl", Kind::Client), span("t", "4", "3", "shop", Kind::Server)];
    let spans = [pair(), again].concat();
    assert!(complaint(&[expected(), expected()], &spans).contains("2 requests share trace t"));
}

#[test]
fn a_stated_context_must_be_above_the_root() {
    let mut spans = pair();
    spans[0].parent = "77".into();
    assert_eq!(complaint(&[expected().below("t", "77")], &spans), "");
    assert!(complaint(&[expected().below("t", "78")], &spans).contains("is below t/77, not below t/78"));
    assert!(complaint(&[expected().below("t", "77")], &pair()).contains("not below t/77"));
}

#[test]
fn a_link_that_is_not_promised_may_be_missing_and_its_spans_may_not() {
    let inferred = |service, kind| Expected::new(service, kind, "GET /").with("url.path", "/");
    let call = inferred("shop", Kind::Client).with("wirespan.link.evidence", "lone_request");
    let wanted = inferred("shop", Kind::Server).child(call.child(inferred("bank", Kind::Server)));
    let mut linked = [
        span("t", "1", "", "shop", Kind::Server),
        span("t", "2", "1", "shop", Kind::Client),
        span("t", "3", "2", "bank", Kind::Server),
    ];
    linked[1].attributes.insert("wirespan.link.evidence".into(), Value::Str("lone_request".into()));
    assert_eq!(complaint(std::slice::from_ref(&wanted), &linked), "");
    let apart = |below: &str| {
        let traces = [span("t", "1", "", "shop", Kind::Server), span("u", "2", "", "shop", Kind::Client)];
        [&traces[..], &[span("u", "3", below, "bank", Kind::Server)]].concat()
    };
    assert_eq!(complaint(std::slice::from_ref(&wanted), &apart("2")), "");
    assert!(!complaint(std::slice::from_ref(&wanted), &apart("")).is_empty(), "an exact link is promised");
    assert!(!complaint(std::slice::from_ref(&wanted), &apart("2")[..2]).is_empty(), "a span is missing");
    let mut merged = apart("2");
    merged.push(span("t", "4", "1", "shop", Kind::Client));
    assert!(!complaint(&[wanted], &merged).is_empty(), "a span too many");
}
