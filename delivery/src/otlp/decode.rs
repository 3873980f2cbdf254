//! OTLP protobuf into spans: the way back from `encode`.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue as OtlpKeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use otlp::span::SpanKind as OtlpKind;
use otlp::status::StatusCode;
use wirespan_protocols::registry::{DATAGRAM_PROTOCOLS, PROTOCOLS};

use wirespan_signals::{KeyValue, Link, Resource, SCOPE_PREFIX, Scope, Span, SpanEvent, SpanKind, Status, Value};

/// `Span.flags`: the parent is in another process.
const IS_REMOTE: u32 = 0x200;

/// A resource.
pub fn resource(resource: OtlpResource) -> Resource {
    Resource { attributes: attributes(resource.attributes) }
}

/// Who made a span: the protocol of our own instrumentation, or an application's scope.
pub type Maker = (&'static str, Option<Arc<Scope>>);

/// A span; `None` if an id does not have its length.
pub fn span(span: otlp::Span, (protocol, scope): Maker, resource: Arc<Resource>) -> Option<Span> {
    let kind = kind(span.kind());
    Some(Span {
        trace_id: span.trace_id.try_into().ok()?,
        span_id: span.span_id.try_into().ok()?,
        parent_span_id: match span.parent_span_id.is_empty() {
            true => [0; 8],
            false => span.parent_span_id.try_into().ok()?,
        },
        trace_state: span.trace_state.into(),
        flags: span.flags as u8,
        parent_is_remote: span.flags & IS_REMOTE != 0,
        name: span.name.into(),
        kind,
        start_unix_nano: span.start_time_unix_nano,
        end_unix_nano: span.end_time_unix_nano.max(span.start_time_unix_nano),
        attributes: attributes(span.attributes),
        status: span.status.map(status).unwrap_or_default(),
        events: span.events.into_iter().map(event).collect(),
        links: span.links.into_iter().filter_map(link).collect(),
        resource,
        protocol,
        scope,
    })
}

/// Our own scope is known by its name; any other is an application's.
pub fn made_by(scope: InstrumentationScope) -> Maker {
    let ours = scope.name.strip_prefix(SCOPE_PREFIX).and_then(|name| {
        let known = PROTOCOLS.iter().chain(DATAGRAM_PROTOCOLS).find(|protocol| protocol.name == name);
        known.map(|protocol| protocol.name)
    });
    match ours {
        Some(protocol) => (protocol, None),
        None => {
            let foreign = Scope {
                name: scope.name.into(),
                version: scope.version.into(),
                attributes: attributes(scope.attributes),
                schema_url: "".into(),
            };
            ("", Some(Arc::new(foreign)))
        }
    }
}

/// A kind. "Implementations MAY assume SpanKind to be INTERNAL when receiving UNSPECIFIED" (trace.proto).
pub fn kind(kind: OtlpKind) -> SpanKind {
    match kind {
        OtlpKind::Server => SpanKind::Server,
        OtlpKind::Client => SpanKind::Client,
        OtlpKind::Producer => SpanKind::Producer,
        OtlpKind::Consumer => SpanKind::Consumer,
        OtlpKind::Internal | OtlpKind::Unspecified => SpanKind::Internal,
    }
}

/// A status.
pub fn status(status: otlp::Status) -> Status {
    match status.code() {
        StatusCode::Error => Status::Error(status.message.into()),
        StatusCode::Ok => Status::Ok,
        StatusCode::Unset => Status::Unset,
    }
}

fn event(event: otlp::span::Event) -> SpanEvent {
    SpanEvent {
        time_unix_nano: event.time_unix_nano,
        name: event.name.into(),
        attributes: attributes(event.attributes),
    }
}

fn link(link: otlp::span::Link) -> Option<Link> {
    Some(Link {
        trace_id: link.trace_id.try_into().ok()?,
        span_id: link.span_id.try_into().ok()?,
        trace_state: link.trace_state.into(),
        attributes: attributes(link.attributes),
    })
}

fn attributes(attributes: Vec<OtlpKeyValue>) -> Vec<KeyValue> {
    let one = |a: OtlpKeyValue| KeyValue { key: a.key.into(), value: value(a.value) };
    attributes.into_iter().map(one).collect()
}

/// A value. It nests as deep as the decoders allow, about a hundred levels.
pub fn value(any: Option<AnyValue>) -> Value {
    match any.and_then(|any| any.value) {
        Some(Any::StringValue(text)) => Value::Str(text.into()),
        Some(Any::BoolValue(bool)) => Value::Bool(bool),
        Some(Any::IntValue(int)) => Value::Int(int),
        Some(Any::DoubleValue(double)) => Value::Double(double),
        Some(Any::BytesValue(bytes)) => Value::Bytes(bytes),
        Some(Any::KvlistValue(list)) => Value::Map(attributes(list.values)),
        Some(Any::ArrayValue(array)) => list(array.values),
        _ => Value::Empty,
    }
}

/// A list of texts alone is what our own spans have.
fn list(values: Vec<AnyValue>) -> Value {
    let is_text = |any: &AnyValue| matches!(any.value, Some(Any::StringValue(_)));
    if !values.iter().all(is_text) {
        return Value::List(values.into_iter().map(|any| value(Some(any))).collect());
    }
    let text = |any: AnyValue| match any.value {
        Some(Any::StringValue(text)) => Some(text.into()),
        _ => None,
    };
    Value::StrArray(values.into_iter().filter_map(text).collect())
}
