//! What is kept of a span to search and reckon by.

use super::intern::{Interner, Sym};
use super::resources::{ResourceId, Resources};
use super::terms::{self, Term};
use super::trace::{MessageLink, Row, Stored};
use wirespan_signals::{Span, SpanKind};

/// The row of a span, whose links are added to those of its trace. Hashes of its attributes, and of those of its events, are
/// added to `found`.
pub fn of(
    span: &Span,
    (resource, resources): (ResourceId, &Resources),
    texts: &mut Interner,
    stored: &mut Stored,
    found: &mut Vec<Term>,
) -> Row {
    let of_events = span.events.iter().flat_map(|event| &event.attributes);
    span.attributes.iter().chain(of_events).for_each(|attribute| terms::of(attribute, found));
    // A receiver's links name the sender of its message; what other spans link to is no message.
    let sender = span.links.first().filter(|_| span.kind == SpanKind::Consumer);
    if let Some(link) = sender {
        let row = stored.rows.len() as u32;
        stored.links.push(MessageLink { trace_id: link.trace_id, span_id: number(&link.span_id), row });
    }
    Row {
        id: number(&span.span_id),
        parent: number(&span.parent_span_id),
        start: span.start_unix_nano,
        duration: span.end_unix_nano.saturating_sub(span.start_unix_nano),
        resource,
        service: resources.get(resource).map_or(Sym::EMPTY, |entry| entry.service),
        name: texts.take(&span.name),
        protocol: texts.take(protocol(span)),
        peer: texts.take(&peer(span)),
        error_type: span.text("error.type").map_or(Sym::EMPTY, |text| texts.take(text)),
        http_status: span.number("http.response.status_code").and_then(|code| code.try_into().ok()).unwrap_or(0),
        kind: span.kind,
        error: span.is_error(),
        remote: span.parent_is_remote,
    }
}

fn number(id: &[u8; 8]) -> u64 {
    u64::from_be_bytes(*id)
}

fn has(span: &Span, key: &str) -> bool {
    span.attributes.iter().any(|a| a.key == key)
}

/// What the span's exchange speaks: our own protocol, or what the semantic conventions tell it by.
fn protocol(span: &Span) -> &str {
    let by_system = ["rpc.system", "rpc.system.name", "db.system.name", "db.system", "messaging.system"];
    if let Some(system) = by_system.iter().find_map(|key| span.text(key)) {
        return system;
    }
    match span.protocol {
        "" if has(span, "http.request.method") || has(span, "http.method") => "http",
        protocol => protocol,
    }
}

/// Whom a caller or a sender speaks to: what stands for the other side where it makes no spans itself.
fn peer(span: &Span) -> String {
    if !matches!(span.kind, SpanKind::Client | SpanKind::Producer) {
        return String::new();
    }
    if let Some(name) = span.text("service.peer.name") {
        return name.to_owned();
    }
    let system = ["db.system.name", "db.system", "messaging.system"].iter().find_map(|key| span.text(key));
    if let Some(system) = system {
        return system.to_owned();
    }
    let address = span.text("server.address").or_else(|| span.text("network.peer.address"));
    let port = span.number("server.port").or_else(|| span.number("network.peer.port"));
    match (address, port) {
        (Some(address), Some(port)) if address.contains(':') => format!("[{address}]:{port}"),
        (Some(address), Some(port)) => format!("{address}:{port}"),
        (Some(address), None) => address.to_owned(),
        _ => String::new(),
    }
}
