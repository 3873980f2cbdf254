//! Spans for the tests of this module and of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wirespan_signals::{KeyValue, Link, Resource, Span, SpanEvent, SpanKind, Status, Trace, Value};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A resource of this service.
pub fn resource(service: &str) -> Arc<Resource> {
    Arc::new(Resource { attributes: vec![KeyValue::str("service.name", service.to_owned())] })
}

/// A root with an id of its own.
pub fn span(name: &str) -> Span {
    span_of("service", name)
}

/// A root of this service.
pub fn span_of(service: &str, name: &str) -> Span {
    Span {
        trace_id: [1; 16],
        span_id: NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes(),
        parent_span_id: [0; 8],
        trace_state: Box::default(),
        flags: 1,
        parent_is_remote: false,
        name: name.to_owned().into(),
        kind: SpanKind::Server,
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_001_000_000,
        attributes: Vec::new(),
        status: Status::Unset,
        events: Vec::new(),
        links: Vec::new(),
        resource: resource(service),
        protocol: "http",
        scope: None,
    }
}

/// A span below another.
pub fn child_of(parent: &Span, service: &str, name: &str) -> Span {
    Span { parent_span_id: parent.span_id, ..span_of(service, name) }
}

/// A trace of these spans.
pub fn trace(spans: Vec<Span>) -> Trace {
    Trace { spans }
}

/// A span in which every field says something.
pub fn full_span() -> Span {
    let value = |key: &'static str, value| KeyValue { key: key.into(), value };
    Span {
        trace_id: [1; 16],
        span_id: [2; 8],
        parent_span_id: [3; 8],
        trace_state: "k=v".into(),
        flags: 1,
        parent_is_remote: true,
        name: "GET /a\nb".into(),
        kind: SpanKind::Server,
        start_unix_nano: 1_700_000_000_000_000_001,
        end_unix_nano: 1_700_000_000_000_000_501,
        attributes: vec![
            KeyValue::str("s", "x"),
            KeyValue::int("i", -1),
            value("b", Value::Bool(true)),
            value("d", Value::Double(1.5)),
            value("a", Value::StrArray(vec!["p".into(), "q".into()])),
        ],
        status: Status::Error("broken".into()),
        events: vec![SpanEvent {
            time_unix_nano: 1_700_000_000_000_000_100,
            name: "e".into(),
            attributes: vec![KeyValue::str("e", "v")],
        }],
        links: vec![Link {
            trace_id: [4; 16],
            span_id: [5; 8],
            trace_state: "".into(),
            attributes: vec![KeyValue::int("l", 1)],
        }],
        resource: resource("full"),
        protocol: "http",
        scope: None,
    }
}
