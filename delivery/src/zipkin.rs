//! Spans as Zipkin takes them: its JSON, version 2, as OpenTelemetry's specification maps spans to it.
//!
//! Of each span its own id is told, never that of the other end: nothing is *shared*. So that Zipkin draws what is asked of places
//! that make no spans themselves, a call says who answers it, by the best name that is known.

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};
use wirespan_signals::{KeyValue, Span, SpanKind, Status, Value, hex};

use crate::gather::Body;
use crate::text::json::Plain;

/// An array of spans under construction.
#[derive(Debug, Default)]
pub struct Spans {
    body: Vec<u8>,
}

impl Body for Spans {
    fn push(&mut self, span: &Span) {
        self.body.push(if self.body.is_empty() { b'[' } else { b',' });
        let before = self.body.len();
        // Writing texts and numbers to memory does not fail; if it did, no half span may stay behind.
        if serde_json::to_writer(&mut self.body, &object(span)).is_err() {
            self.body.truncate(before - 1);
        }
    }

    fn bytes(&self) -> usize {
        self.body.len()
    }

    fn take(&mut self) -> Vec<u8> {
        let mut body = std::mem::take(self).body;
        body.push(b']');
        body
    }
}

fn object(span: &Span) -> Json {
    let micros = |nanos: u64| nanos / 1000;
    // (Zipkin takes a duration of 0 for an unknown one.)
    let duration = micros(span.end_unix_nano.saturating_sub(span.start_unix_nano)).max(1);
    let mut object = Map::new();
    let mut put = |key: &str, value: Json| object.insert(key.to_owned(), value);
    put("traceId", hex(&span.trace_id).into());
    put("id", hex(&span.span_id).into());
    if span.parent_span_id != [0; 8] {
        put("parentId", hex(&span.parent_span_id).into());
    }
    if let Some(kind) = kind(span.kind) {
        put("kind", kind.into());
    }
    put("name", (&*span.name).into());
    put("timestamp", micros(span.start_unix_nano).into());
    put("duration", duration.into());
    put("localEndpoint", json!({ "serviceName": span.resource.service_name() }));
    if let Some(endpoint) = remote(span) {
        put("remoteEndpoint", endpoint);
    }
    put("tags", tags(span).into());
    if !span.events.is_empty() {
        let said = span.events.iter().map(|event| {
            let attributes: Map<String, Json> =
                event.attributes.iter().map(|a| (a.key.to_string(), any(&a.value))).collect();
            let value = if attributes.is_empty() {
                event.name.to_string()
            } else {
                json!({ &*event.name: attributes }).to_string()
            };
            json!({ "timestamp": micros(event.time_unix_nano), "value": value })
        });
        put("annotations", said.collect());
    }
    object.into()
}

fn kind(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Internal => None,
        SpanKind::Server => Some("SERVER"),
        SpanKind::Client => Some("CLIENT"),
        SpanKind::Producer => Some("PRODUCER"),
        SpanKind::Consumer => Some("CONSUMER"),
    }
}

/// Who is at the other end: of a call, who answers it, by name; of what is answered, its address.
fn remote(span: &Span) -> Option<Json> {
    let address = span.text("network.peer.address").and_then(|address| address.parse::<IpAddr>().ok());
    let mut endpoint = Map::new();
    if matches!(span.kind, SpanKind::Client | SpanKind::Producer | SpanKind::Consumer) {
        let host = span.text("server.address").filter(|host| host.parse::<IpAddr>().is_err());
        let system = || ["db.system.name", "messaging.system"].into_iter().find_map(|key| span.text(key));
        let name = span.text("peer.service").or_else(|| span.text("service.peer.name")).or(host).or_else(system);
        if let Some(name) = name.or_else(|| span.text("server.address")) {
            endpoint.insert("serviceName".to_owned(), name.into());
        }
    }
    if let Some(address) = address {
        let key = if address.is_ipv4() { "ipv4" } else { "ipv6" };
        endpoint.insert(key.to_owned(), address.to_string().into());
        endpoint.extend(span.number("network.peer.port").map(|port| ("port".to_owned(), port.into())));
    }
    (!endpoint.is_empty()).then(|| endpoint.into())
}

/// Attributes of the span and of its process, all of them texts here, its status, and who made it.
fn tags(span: &Span) -> Map<String, Json> {
    let process = span.resource.attributes.iter().filter(|a| a.key != "service.name");
    let all = process.chain(&span.attributes);
    let mut tags: Map<String, Json> =
        all.map(|KeyValue { key, value }| (key.to_string(), plain(value).into())).collect();
    tags.insert("otel.scope.name".to_owned(), span.scope_name().into());
    match &span.status {
        Status::Unset => {}
        Status::Ok => drop(tags.insert("otel.status_code".to_owned(), "OK".into())),
        Status::Error(message) => {
            tags.insert("otel.status_code".to_owned(), "ERROR".into());
            let why = if message.is_empty() { tags.get("error.type").cloned() } else { Some((&**message).into()) };
            tags.insert("error".to_owned(), why.unwrap_or_else(|| "true".into()));
        }
    }
    tags
}

fn plain(value: &Value) -> String {
    match any(value) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// A value in JSON's own types.
fn any(value: &Value) -> Json {
    serde_json::to_value(Plain(value)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use wirespan_signals::SpanEvent;

    use super::*;
    use crate::testing::{child_of, span_of};

    fn read(spans: &[Span]) -> Json {
        let mut all = Spans::default();
        spans.iter().for_each(|span| all.push(span));
        let body = all.take();
        assert_eq!(all.bytes(), 0);
        let read: Json = serde_json::from_slice(&body).unwrap();
        assert_eq!(read.as_array().map(Vec::len), Some(spans.len()));
        read
    }

    #[test]
    fn a_call_and_its_callee_are_spans_of_their_own() {
        let mut caller = Span { kind: SpanKind::Client, ..span_of("shop", "GET /stock") };
        (caller.start_unix_nano, caller.end_unix_nano) = (1_700_000_000_000_001_999, 1_700_000_000_000_002_000);
        caller.attributes = vec![
            KeyValue::str("server.address", "stock.example"),
            KeyValue::str("network.peer.address", "::1"),
            KeyValue::int("network.peer.port", 80),
        ];
        let callee = Span { kind: SpanKind::Server, ..child_of(&caller, "stock", "GET /stock") };
        let read = read(&[caller.clone(), callee]);
        assert_eq!(read[0]["traceId"], hex(&caller.trace_id));
        assert_eq!((&read[0]["kind"], &read[1]["kind"]), (&json!("CLIENT"), &json!("SERVER")));
        assert_eq!((&read[0]["timestamp"], &read[0]["duration"]), (&json!(1_700_000_000_000_001_u64), &json!(1)));
        assert_eq!(read[0]["remoteEndpoint"], json!({ "serviceName": "stock.example", "ipv6": "::1", "port": 80 }));
        assert_eq!((&read[1]["parentId"], &read[1]["shared"]), (&json!(hex(&caller.span_id)), &Json::Null));
        assert_eq!(read[1]["localEndpoint"]["serviceName"], "stock");
        assert_eq!((read[0].get("parentId"), read[1].get("remoteEndpoint")), (None, None));
    }

    #[test]
    fn what_makes_no_spans_is_called_by_what_it_is() {
        let mut query = Span { kind: SpanKind::Client, ..span_of("shop", "SELECT orders") };
        query.attributes =
            vec![KeyValue::str("server.address", "127.0.0.1"), KeyValue::str("db.system.name", "postgresql")];
        assert_eq!(read(&[query])[0]["remoteEndpoint"], json!({ "serviceName": "postgresql" }));
    }

    #[test]
    fn errors_and_exceptions_are_tags_and_annotations() {
        let mut failed = span_of("shop", "GET /w");
        failed.status = Status::Error(Cow::Borrowed(""));
        failed.attributes = vec![KeyValue::str("error.type", "500"), KeyValue::int("http.response.status_code", 500)];
        let attributes = vec![KeyValue::str("exception.type", "ValueError")];
        failed.events = vec![SpanEvent { time_unix_nano: 5_000, name: "exception".into(), attributes }];
        let read = read(&[failed]);
        let tags = &read[0]["tags"];
        assert_eq!((&tags["error"], &tags["otel.status_code"]), (&json!("500"), &json!("ERROR")));
        assert_eq!(tags["http.response.status_code"], "500");
        assert_eq!(
            read[0]["annotations"][0],
            json!({ "timestamp": 5, "value": "{\"exception\":{\"exception.type\":\"ValueError\"}}" })
        );
    }
}
