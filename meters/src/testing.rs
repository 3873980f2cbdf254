//! Spans for the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wirespan_signals::{KeyValue, Resource, Span, SpanKind, Status};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A root of 1 ms, with ids of its own.
pub(crate) fn span(service: &str, kind: SpanKind) -> Span {
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    Span {
        trace_id: u128::from(id).to_be_bytes(),
        span_id: id.to_be_bytes(),
        parent_span_id: [0; 8],
        trace_state: Box::default(),
        flags: 1,
        parent_is_remote: false,
        name: "GET /".into(),
        kind,
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_001_000_000,
        attributes: Vec::new(),
        status: Status::Unset,
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::new(Resource { attributes: vec![KeyValue::str("service.name", service.to_owned())] }),
        protocol: "http",
        scope: None,
    }
}

/// A span below another.
pub(crate) fn child(parent: &Span, service: &str, kind: SpanKind) -> Span {
    Span { trace_id: parent.trace_id, parent_span_id: parent.span_id, ..span(service, kind) }
}

/// A request of HTTP.
pub(crate) fn request(service: &str, method: &'static str, status: i64) -> Span {
    let attributes = vec![
        KeyValue::str("http.request.method", method),
        KeyValue::str("url.scheme", "http"),
        KeyValue::str("url.path", "/"),
        KeyValue::str("url.template", "/"),
        KeyValue::int("http.response.status_code", status),
        KeyValue::str("network.protocol.version", "1.1"),
        KeyValue::int("http.response.body.size", 512),
    ];
    Span { attributes, ..span(service, SpanKind::Server) }
}
