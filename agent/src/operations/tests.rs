//! Names of the spans of whole traces.

use super::*;
use crate::span::{Resource, Scope, Status};

fn span(service: &str, kind: SpanKind, id: u8, parent: u8, path: &str) -> Span {
    Span {
        trace_id: [1; 16],
        span_id: [id; 8],
        parent_span_id: [parent; 8],
        trace_state: "".into(),
        flags: 1,
        parent_is_remote: false,
        name: format!("GET {path}").into(),
        kind,
        start_unix_nano: 0,
        end_unix_nano: 1,
        attributes: vec![
            KeyValue::str(TEMPLATE, path.to_owned()),
            KeyValue::int("http.response.status_code", 200),
            KeyValue::str("network.peer.address", "192.0.2.7"),
            KeyValue::int("network.peer.port", 80),
        ],
        status: Status::Unset,
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::new(Resource { attributes: vec![KeyValue::str("service.name", service.to_owned())] }),
        protocol: "http",
        scope: None,
    }
}

fn word(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    [n / 676 % 26, n / 26 % 26, n % 26].into_iter().map(letter).chain("ane".chars()).collect()
}

/// A caller and what it called.
fn exchange(n: usize) -> Trace {
    let path = format!("/users/{}/orders", word(n));
    Trace { spans: vec![span("shop", SpanKind::Client, 1, 0, &path), span("users", SpanKind::Server, 2, 1, &path)] }
}

#[test]
fn both_ends_of_an_exchange_have_one_name_always() {
    let mut operations = Operations::default();
    for n in 0..500 {
        let mut traces = [exchange(n)];
        operations.name(&mut traces);
        let [caller, callee] = &traces[0].spans[..] else { panic!("two spans") };
        assert_eq!(caller.name, callee.name);
        assert_eq!(caller.text(TEMPLATE), callee.text(TEMPLATE));
        if n > 100 {
            assert_eq!(callee.name, "GET /users/{word}/orders");
        }
    }
}

#[test]
fn a_caller_alone_learns_for_itself() {
    let mut operations = Operations::default();
    let mut traces: Vec<Trace> = (0..500)
        .map(|n| Trace { spans: vec![span("shop", SpanKind::Client, 1, 0, &format!("/x/{}", word(n)))] })
        .collect();
    operations.name(&mut traces);
    assert_eq!(traces[499].spans[0].name, "GET /x/{word}");
}

#[test]
fn behind_a_proxy_that_changes_the_path_each_end_has_its_own() {
    let mut operations = Operations::default();
    let spans = vec![span("shop", SpanKind::Client, 1, 0, "/front/a"), span("users", SpanKind::Server, 2, 1, "/a")];
    let mut traces = [Trace { spans }];
    operations.name(&mut traces);
    assert_eq!(traces[0].spans[0].name, "GET /front/a");
}

#[test]
fn spans_that_an_application_made_are_its_own_affair() {
    let mut operations = Operations::default();
    for n in 0..300 {
        let path = format!("/users/{}", word(n));
        let mut own = span("users", SpanKind::Server, 2, 1, &path);
        own.scope = Some(Arc::new(Scope::default()));
        let mut traces = [Trace { spans: vec![own] }];
        operations.name(&mut traces);
        assert_eq!(traces[0].spans[0].name, format!("GET {path}"));
    }
}

#[test]
fn what_is_under_way_is_called_as_what_is_over() {
    let mut operations = Operations::default();
    (0..200).for_each(|n| operations.name(&mut [exchange(n)]));
    let open = OpenRequests::default();
    let under_way = |service: &str, kind| OpenSpan {
        start_unix_nano: 0,
        age: 0,
        name: Some("GET /users/somebody/orders".into()),
        kind,
        protocol: "http",
        resource: Arc::new(Resource { attributes: vec![KeyValue::str("service.name", service.to_owned())] }),
        peer: Some(("192.0.2.7".parse().unwrap(), 80)),
        trace_id: None,
        span_id: [0; 8],
    };
    let spans = vec![under_way("users", SpanKind::Server), under_way("shop", SpanKind::Client)];
    open.set(OpenList { total: 2, spans, active: Vec::new() });
    operations.name_open(&open);
    for span in &open.get().spans {
        assert_eq!(span.name.as_deref(), Some("GET /users/{word}/orders"));
    }
}

#[test]
fn services_that_nobody_asks_any_more_are_forgotten() {
    let mut operations = Operations::default();
    for n in 0..3 * MAX_TREES {
        let service = format!("service-{n}");
        operations.name(&mut [Trace { spans: vec![span(&service, SpanKind::Server, 2, 1, "/a/b/c")] }]);
    }
    operations.forget();
    assert!(operations.trees.len() <= MAX_TREES);
    assert!(operations.trees.contains_key(format!("service-{}", 3 * MAX_TREES - 1).as_str()));
}
