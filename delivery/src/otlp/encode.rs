//! Spans and resources as OTLP protobuf, written straight from ours: no intermediate message, no copy of a text.
//!
//! Field numbers: opentelemetry-proto `trace/v1/trace.proto`, `common/v1/common.proto`, `resource/v1/resource.proto`.
//! The tests read the result back with the crate generated from those files.

use wirespan_signals::{KeyValue, Link, Log, Resource, SCOPE_PREFIX, Scope, Span, SpanEvent, SpanKind, Status, Value};

use super::wire;

/// `Span.flags`: the next bit has a meaning (`SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`).
const HAS_IS_REMOTE: u32 = 0x100;
/// `Span.flags`: the parent is in another process (`SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`).
const IS_REMOTE: u32 = 0x200;

/// Instrumentation scope of a span: our own is named by the protocol.
pub fn scope(buffer: &mut Vec<u8>, field: u32, protocol: &str, foreign: Option<&Scope>) {
    wire::message(buffer, field, |b| match foreign {
        Some(scope) => {
            wire::text(b, 1, &scope.name);
            wire::text(b, 2, &scope.version);
            attributes(b, 3, &scope.attributes);
        }
        None => {
            wire::message(b, 1, |b| {
                b.extend_from_slice(SCOPE_PREFIX.as_bytes());
                b.extend_from_slice(protocol.as_bytes());
            });
            wire::text(b, 2, env!("CARGO_PKG_VERSION"));
        }
    });
}

/// `Resource`.
pub fn resource(buffer: &mut Vec<u8>, field: u32, resource: &Resource) {
    wire::message(buffer, field, |b| attributes(b, 1, &resource.attributes));
}

/// `Span`.
pub fn span(buffer: &mut Vec<u8>, field: u32, span: &Span) {
    wire::message(buffer, field, |b| {
        wire::bytes(b, 1, &span.trace_id);
        wire::bytes(b, 2, &span.span_id);
        wire::text(b, 3, &span.trace_state);
        if span.parent_span_id != [0; 8] {
            wire::bytes(b, 4, &span.parent_span_id);
        }
        wire::text(b, 5, &span.name);
        wire::integer(b, 6, kind(span.kind));
        wire::fixed64(b, 7, span.start_unix_nano);
        wire::fixed64(b, 8, span.end_unix_nano);
        attributes(b, 9, &span.attributes);
        span.events.iter().for_each(|e| event(b, 11, e));
        span.links.iter().for_each(|l| link(b, 13, l));
        match &span.status {
            Status::Unset => {}
            Status::Ok => wire::message(b, 15, |b| wire::integer(b, 3, 1)),
            Status::Error(text) => wire::message(b, 15, |b| {
                wire::text(b, 2, text);
                wire::integer(b, 3, 2);
            }),
        }
        wire::fixed32(b, 16, flags(span));
    });
}

fn flags(span: &Span) -> u32 {
    u32::from(span.flags) | HAS_IS_REMOTE | if span.parent_is_remote { IS_REMOTE } else { 0 }
}

fn kind(kind: SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn event(buffer: &mut Vec<u8>, field: u32, event: &SpanEvent) {
    wire::message(buffer, field, |b| {
        wire::fixed64(b, 1, event.time_unix_nano);
        wire::text(b, 2, &event.name);
        attributes(b, 3, &event.attributes);
    });
}

fn link(buffer: &mut Vec<u8>, field: u32, link: &Link) {
    wire::message(buffer, field, |b| {
        wire::bytes(b, 1, &link.trace_id);
        wire::bytes(b, 2, &link.span_id);
        wire::text(b, 3, &link.trace_state);
        attributes(b, 4, &link.attributes);
    });
}

fn attributes(buffer: &mut Vec<u8>, field: u32, attributes: &[KeyValue]) {
    for attribute in attributes {
        wire::message(buffer, field, |b| {
            wire::text(b, 1, &attribute.key);
            wire::message(b, 2, |b| value(b, &attribute.value));
        });
    }
}

/// `LogRecord` (`logs/v1/logs.proto`).
pub fn log(buffer: &mut Vec<u8>, field: u32, log: &Log) {
    wire::message(buffer, field, |b| {
        wire::fixed64(b, 1, log.time_unix_nano);
        if log.severity != 0 {
            wire::integer(b, 2, u64::from(log.severity));
        }
        wire::text(b, 3, &log.severity_text);
        wire::message(b, 5, |b| wire::bytes(b, 1, log.body.as_bytes()));
        attributes(b, 6, &log.attributes);
        if let Some(span) = &log.span {
            wire::fixed32(b, 8, u32::from(span.flags));
            wire::bytes(b, 9, &span.trace_id);
            if span.span_id != [0; 8] {
                wire::bytes(b, 10, &span.span_id);
            }
        }
        wire::fixed64(b, 11, log.time_unix_nano);
    });
}

/// `AnyValue`. Its fields form a `oneof`, so they are written even if zero or empty.
fn value(buffer: &mut Vec<u8>, any: &Value) {
    match any {
        Value::Str(text) => wire::bytes(buffer, 1, text.as_bytes()),
        Value::Bool(bool) => wire::integer(buffer, 2, u64::from(*bool)),
        Value::Int(int) => wire::integer(buffer, 3, int.cast_unsigned()),
        Value::Double(double) => wire::fixed64(buffer, 4, double.to_bits()),
        Value::StrArray(texts) => wire::message(buffer, 5, |b| {
            for text in texts {
                wire::message(b, 1, |b| wire::bytes(b, 1, text.as_bytes()));
            }
        }),
        Value::Bytes(bytes) => wire::bytes(buffer, 7, bytes),
        Value::List(values) => wire::message(buffer, 5, |b| {
            values.iter().for_each(|item| wire::message(b, 1, |b| value(b, item)));
        }),
        Value::Map(entries) => wire::message(buffer, 6, |b| attributes(b, 1, entries)),
        Value::Empty => {}
    }
}

/// The fields of a `Resource`, without anything around them.
pub fn resource_message(buffer: &mut Vec<u8>, resource: &Resource) {
    attributes(buffer, 1, &resource.attributes);
}

/// A span with what it needs beside its resource, as field 1 of a message: the resource's place in some list (1), the
/// scope (2), the span (3).
pub fn placed_span(buffer: &mut Vec<u8>, resource: usize, span: &Span) {
    wire::message(buffer, 1, |b| {
        wire::integer(b, 1, resource as u64);
        scope(b, 2, span.protocol, span.scope.as_deref());
        self::span(b, 3, span);
    });
}
