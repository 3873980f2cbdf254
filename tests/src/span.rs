//! A span as it arrived over OTLP, flattened to what tests ask about.

use std::collections::BTreeMap;
use std::fmt;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as otlp;

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Str(String),
    /// Integer.
    Int(i64),
    /// Boolean.
    Bool(bool),
    /// Floating-point number.
    Double(f64),
    /// A list.
    Array(Vec<Value>),
    /// Present without a value, or of a type that no span of ours has.
    Other(String),
}

/// Attributes by name.
pub type Attributes = BTreeMap<String, Value>;

/// Span kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The callee.
    Server,
    /// The caller.
    Client,
    /// The sender of a message.
    Producer,
    /// The receiver of a message.
    Consumer,
    /// Anything else, which no test expects.
    Other,
}

/// Span status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing to report.
    Unset,
    /// Set by applications only.
    Ok,
    /// It failed.
    Error,
}

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct Span {
    /// 16 bytes, hexadecimal.
    pub trace_id: String,
    /// 8 bytes, hexadecimal.
    pub span_id: String,
    /// 8 bytes, hexadecimal; empty for a root.
    pub parent: String,
    /// `tracestate`.
    pub trace_state: String,
    /// OTLP flags: W3C trace flags in the low byte, `is_remote` bits above.
    pub flags: u32,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// Status.
    pub status: Status,
    /// Unix time, nanoseconds.
    pub start: u64,
    /// Unix time, nanoseconds.
    pub end: u64,
    /// The span's attributes.
    pub attributes: Attributes,
    /// The process's attributes.
    pub resource: Attributes,
    /// Links: trace and span ids, hexadecimal.
    pub links: Vec<(String, String)>,
    /// Instrumentation scope's name.
    pub scope: String,
    /// Events: names and attributes.
    pub events: Vec<(String, Attributes)>,
}

impl Span {
    /// `service.name`, or an empty text.
    pub fn service(&self) -> &str {
        text(&self.resource, "service.name").unwrap_or_default()
    }

    /// The text of an attribute.
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.attributes, key)
    }

    /// The number of an attribute.
    pub fn int(&self, key: &str) -> Option<i64> {
        match self.attributes.get(key) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }

    /// `url.path`, or the path within `url.full`, without a query.
    pub fn path(&self) -> &str {
        if let Some(path) = self.text("url.path") {
            return path;
        }
        let full = self.text("url.full").unwrap_or_default();
        let rest = full.split_once("://").map_or(full, |(_, rest)| rest);
        let path = rest.find('/').map_or("/", |slash| &rest[slash..]);
        path.split(['?', '#']).next().unwrap_or_default()
    }

    /// The port in the authority of `url.full`, if it states one.
    fn url_port(&self) -> Option<u16> {
        let (_, rest) = self.text("url.full")?.split_once("://")?;
        let authority = rest.split(['/', '?']).next()?;
        authority.rsplit_once(':')?.1.parse().ok()
    }

    /// Whether the span has to do with one of `ports` at either end.
    pub fn concerns_port(&self, ports: &[u16]) -> bool {
        ["server.port", "network.peer.port", "network.local.port", "client.port"]
            .iter()
            .filter_map(|key| u16::try_from(self.int(key)?).ok())
            .chain(self.url_port())
            .any(|port| ports.contains(&port))
    }

    /// Milliseconds from start to end.
    pub fn millis(&self) -> f64 {
        self.end.saturating_sub(self.start) as f64 / 1e6
    }
}

fn text<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a str> {
    match attributes.get(key) {
        Some(Value::Str(s)) => Some(s),
        _ => None,
    }
}

/// Every span of one export request.
pub fn flatten(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for by_resource in request.resource_spans {
        let resource = attributes(by_resource.resource.map(|r| r.attributes).unwrap_or_default());
        for by_scope in by_resource.scope_spans {
            let scope = by_scope.scope.map(|s| s.name).unwrap_or_default();
            spans.extend(by_scope.spans.into_iter().map(|span| from_otlp(span, &resource, &scope)));
        }
    }
    spans
}

fn from_otlp(span: otlp::Span, resource: &Attributes, scope: &str) -> Span {
    let kind = match span.kind() {
        otlp::span::SpanKind::Server => Kind::Server,
        otlp::span::SpanKind::Client => Kind::Client,
        otlp::span::SpanKind::Producer => Kind::Producer,
        otlp::span::SpanKind::Consumer => Kind::Consumer,
        _ => Kind::Other,
    };
    let status = match span.status.as_ref().map(otlp::Status::code) {
        Some(otlp::status::StatusCode::Error) => Status::Error,
        Some(otlp::status::StatusCode::Ok) => Status::Ok,
        _ => Status::Unset,
    };
    Span {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        trace_state: span.trace_state,
        flags: span.flags,
        name: span.name,
        kind,
        status,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: attributes(span.attributes),
        resource: resource.clone(),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        scope: scope.to_owned(),
        events: span.events.into_iter().map(|event| (event.name, attributes(event.attributes))).collect(),
    }
}

pub(crate) fn attributes(list: Vec<KeyValue>) -> Attributes {
    list.into_iter().map(|kv| (kv.key, kv.value.map_or(Value::Other("none".into()), value))).collect()
}

pub(crate) fn value(any: AnyValue) -> Value {
    match any.value {
        Some(any_value::Value::StringValue(s)) => Value::Str(s),
        Some(any_value::Value::IntValue(n)) => Value::Int(n),
        Some(any_value::Value::BoolValue(b)) => Value::Bool(b),
        Some(any_value::Value::DoubleValue(d)) => Value::Double(d),
        Some(any_value::Value::ArrayValue(a)) => Value::Array(a.values.into_iter().map(value).collect()),
        other => Value::Other(format!("{other:?}")),
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(s) => write!(f, "{s:?}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Double(d) => write!(f, "{d}"),
            Self::Array(values) => {
                let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", texts.join(", "))
            }
            Self::Other(s) => f.write_str(s),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "SERVER",
            Self::Client => "CLIENT",
            Self::Producer => "PRODUCER",
            Self::Consumer => "CONSUMER",
            Self::Other => "OTHER",
        })
    }
}
