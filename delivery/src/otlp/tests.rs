//! What is encoded, read back with the messages generated from OpenTelemetry's own files.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue as Pair};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind as Kind};
use opentelemetry_proto::tonic::trace::v1::{Span as ProtoSpan, Status as ProtoStatus};
use opentelemetry_semantic_conventions::SCHEMA_URL;
use prost::Message;

use crate::testing::{full_span, resource, span, span_of};
use wirespan_signals::{Span, SpanKind};

use super::batch::Gathering;
use crate::gather::Body as _;

/// What spans are on the wire.
pub fn request(spans: &[Span]) -> ExportTraceServiceRequest {
    let mut gathering = Gathering::default();
    spans.iter().for_each(|s| gathering.push(s));
    let request = ExportTraceServiceRequest::decode(&*gathering.take()).expect("valid protobuf");
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    assert_eq!(scopes.map(|scope| scope.spans.len()).sum::<usize>(), spans.len());
    assert_eq!(gathering.bytes(), 0, "nothing stays behind");
    request
}

fn encoded(span: Span) -> ProtoSpan {
    request(&[span]).resource_spans.remove(0).scope_spans.remove(0).spans.remove(0)
}

fn pair(key: &str, value: Any) -> Pair {
    Pair { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

#[test]
fn every_field_of_a_span_arrives() {
    let texts = ["p", "q"].map(|t| AnyValue { value: Some(text(t)) });
    let expected = ProtoSpan {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        trace_state: "k=v".to_owned(),
        parent_span_id: vec![3; 8],
        flags: 0x301,
        name: "GET /a\nb".to_owned(),
        kind: Kind::Server.into(),
        start_time_unix_nano: 1_700_000_000_000_000_001,
        end_time_unix_nano: 1_700_000_000_000_000_501,
        attributes: vec![
            pair("s", text("x")),
            pair("i", Any::IntValue(-1)),
            pair("b", Any::BoolValue(true)),
            pair("d", Any::DoubleValue(1.5)),
            pair("a", Any::ArrayValue(ArrayValue { values: texts.to_vec() })),
        ],
        events: vec![Event {
            time_unix_nano: 1_700_000_000_000_000_100,
            name: "e".to_owned(),
            attributes: vec![pair("e", text("v"))],
            ..Default::default()
        }],
        links: vec![Link {
            trace_id: vec![4; 16],
            span_id: vec![5; 8],
            attributes: vec![pair("l", Any::IntValue(1))],
            ..Default::default()
        }],
        status: Some(ProtoStatus { message: "broken".to_owned(), code: 2 }),
        ..Default::default()
    };
    assert_eq!(encoded(full_span()), expected);
}

#[test]
fn a_root_has_no_parent_and_says_that_none_is_remote() {
    let root = encoded(span("root"));
    assert!(root.parent_span_id.is_empty());
    assert_eq!(root.flags, 0x101);
    assert_eq!(root.status, None);
}

#[test]
fn kinds_are_the_protocol_s() {
    for (ours, theirs) in [
        (SpanKind::Internal, Kind::Internal),
        (SpanKind::Server, Kind::Server),
        (SpanKind::Client, Kind::Client),
        (SpanKind::Producer, Kind::Producer),
        (SpanKind::Consumer, Kind::Consumer),
    ] {
        assert_eq!(encoded(Span { kind: ours, ..span("s") }).kind(), theirs);
    }
}

#[test]
fn long_values_survive() {
    let name = "x".repeat(300_000);
    assert_eq!(encoded(span(&name)).name, name);
}

#[test]
fn a_batch_groups_spans_by_resource_and_protocol() {
    let (a, b) = (resource("a"), resource("b"));
    let of = |resource: &Arc<_>, protocol, name: &str| Span { resource: Arc::clone(resource), protocol, ..span(name) };
    let request = request(&[of(&a, "http", "1"), of(&b, "http", "2"), of(&a, "redis", "3"), of(&a, "http", "4")]);
    let mut seen = Vec::new();
    for group in &request.resource_spans {
        assert_eq!(group.schema_url, SCHEMA_URL);
        let service = &group.resource.as_ref().unwrap().attributes;
        for scope in &group.scope_spans {
            let about = scope.scope.as_ref().unwrap();
            assert_eq!(about.version, env!("CARGO_PKG_VERSION"));
            let names: Vec<_> = scope.spans.iter().map(|s| s.name.clone()).collect();
            seen.push((service.clone(), about.name.clone(), names));
        }
    }
    let service = |name| vec![pair("service.name", text(name))];
    assert_eq!(
        seen,
        [
            (service("a"), "wirespan/http".to_owned(), vec!["1".to_owned(), "4".to_owned()]),
            (service("a"), "wirespan/redis".to_owned(), vec!["3".to_owned()]),
            (service("b"), "wirespan/http".to_owned(), vec!["2".to_owned()]),
        ]
    );
}

#[test]
fn processes_that_look_alike_stay_apart() {
    assert_eq!(request(&[span_of("same", "1"), span_of("same", "2")]).resource_spans.len(), 2);
}
