//! A trace in Jaeger's JSON: `uimodel/model.go`, filled as OpenTelemetry's specification maps its spans to Jaeger's
//! (specification/trace/sdk_exporters/jaeger.md). Times and durations are microseconds.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::store::text;
use crate::web::detail::Resources;
use wirespan_signals::{KeyValue, Resource, Span, SpanKind, Status, Value, hex, kind};

/// What JavaScript's numbers hold exactly; beyond, Jaeger writes text.
const MAX_SAFE: i64 = (1 << 53) - 1;

/// A trace.
#[derive(Serialize)]
pub struct Trace {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<JaegerSpan>,
    processes: BTreeMap<String, Process>,
    warnings: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JaegerSpan {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    flags: u32,
    operation_name: String,
    references: Vec<Reference>,
    start_time: u64,
    duration: u64,
    tags: Vec<Tag>,
    logs: Vec<Log>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: &'static str,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

/// A key with a typed value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tag {
    /// Key.
    pub key: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Value.
    pub value: Json,
}

#[derive(Serialize)]
struct Log {
    timestamp: u64,
    fields: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
    tags: Vec<Tag>,
}

/// A trace id as Jaeger writes it: 16 digits if the upper half is zero.
pub fn trace_id(id: &[u8; 16]) -> String {
    let (upper, lower) = id.split_at(8);
    if upper == [0; 8] { hex(lower) } else { hex(id) }
}

impl Trace {
    /// The spans of one trace.
    pub fn new(id: &[u8; 16], spans: &[Span]) -> Self {
        let mut resources = Resources::default();
        let spans = spans.iter().map(|span| JaegerSpan::new(span, process_id(resources.place(&span.resource))));
        let spans = spans.collect();
        let processes = resources.all.iter().enumerate().map(|(at, resource)| (process_id(at), Process::new(resource)));
        Self { trace_id: trace_id(id), spans, processes: processes.collect(), warnings: None }
    }
}

fn process_id(at: usize) -> String {
    format!("p{}", at + 1)
}

impl JaegerSpan {
    fn new(span: &Span, process_id: String) -> Self {
        Self {
            trace_id: trace_id(&span.trace_id),
            span_id: hex(&span.span_id),
            flags: span.flags.into(),
            operation_name: span.name.to_string(),
            references: references(span),
            start_time: span.start_unix_nano / 1000,
            duration: span.end_unix_nano.saturating_sub(span.start_unix_nano) / 1000,
            tags: tags(span),
            logs: span
                .events
                .iter()
                .map(|event| Log { timestamp: event.time_unix_nano / 1000, fields: fields(event) })
                .collect(),
            process_id,
            warnings: None,
        }
    }
}

/// The parent, and what the span links to.
fn references(span: &Span) -> Vec<Reference> {
    let parent = (span.parent_span_id != [0; 8]).then(|| Reference {
        ref_type: "CHILD_OF",
        trace_id: trace_id(&span.trace_id),
        span_id: hex(&span.parent_span_id),
    });
    let links = span.links.iter().map(|link| Reference {
        ref_type: "FOLLOWS_FROM",
        trace_id: trace_id(&link.trace_id),
        span_id: hex(&link.span_id),
    });
    parent.into_iter().chain(links).collect()
}

/// The attributes, and what Jaeger has no field for.
fn tags(span: &Span) -> Vec<Tag> {
    let mut tags: Vec<Tag> = span.attributes.iter().map(tag).collect();
    tags.append(&mut derived(span));
    tags
}

/// What Jaeger has no field for.
pub fn derived(span: &Span) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut add = |key: &str, value: &str| tags.push(string(key, value));
    if span.kind != SpanKind::Internal {
        add("span.kind", kind(span.kind));
    }
    add("otel.scope.name", &span.scope_name());
    if let Some(scope) = span.scope.as_ref().filter(|scope| !scope.version.is_empty()) {
        add("otel.scope.version", &scope.version);
    }
    if !span.trace_state.is_empty() {
        add("w3c.tracestate", &span.trace_state);
    }
    match &span.status {
        Status::Unset => {}
        Status::Ok => add("otel.status_code", "OK"),
        Status::Error(message) => {
            add("otel.status_code", "ERROR");
            if !message.is_empty() {
                add("otel.status_description", message);
            }
            tags.push(Tag { key: "error".to_owned(), kind: "bool", value: json!(true) });
        }
    }
    tags
}

/// An event's name and attributes.
fn fields(event: &wirespan_signals::SpanEvent) -> Vec<Tag> {
    std::iter::once(string("event", &event.name)).chain(event.attributes.iter().map(tag)).collect()
}

impl Process {
    fn new(resource: &Resource) -> Self {
        Self { service_name: resource.service_name().to_owned(), tags: process_tags(resource) }
    }
}

/// A resource's attributes, save the name, which has a field of its own.
fn process_tags(resource: &Resource) -> Vec<Tag> {
    resource.attributes.iter().filter(|attribute| attribute.key != "service.name").map(tag).collect()
}

fn string(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), kind: "string", value: json!(value) }
}

fn tag(attribute: &KeyValue) -> Tag {
    let (kind, value) = match &attribute.value {
        Value::Bool(bool) => ("bool", json!(bool)),
        Value::Int(int) if (-MAX_SAFE..=MAX_SAFE).contains(int) => ("int64", json!(int)),
        Value::Int(int) => ("int64", json!(int.to_string())),
        Value::Double(double) => ("float64", json!(double)),
        Value::Bytes(bytes) => ("binary", json!(BASE64_STANDARD.encode(bytes))),
        Value::Empty => ("string", json!("")),
        other => ("string", json!(text(other))),
    };
    Tag { key: attribute.key.to_string(), kind, value }
}
