//! What a span says to which instruments.

use opentelemetry_semantic_conventions::attribute as key;
use wirespan_signals::{KeyValue, Resource, Span, SpanKind, Status, Value};

use crate::instruments::{Family, FamilyName, MESSAGING_DESTINATION};
use crate::table::{Measured, Seen, Values};

/// Which instruments of its own service a span feeds; `None` if the conventions have none for it.
pub(crate) fn family(span: &Span) -> Option<FamilyName> {
    let has = |wanted: &str| span.attributes.iter().any(|attribute| attribute.key == wanted);
    let ends = |server, client| match span.kind {
        SpanKind::Server => Some(server),
        SpanKind::Client => Some(client),
        _ => None,
    };
    if has(key::RPC_SYSTEM_NAME) {
        return ends(FamilyName::RpcServer, FamilyName::RpcClient);
    }
    if has(key::DB_SYSTEM_NAME) {
        // Of the database's own end the conventions have no metric.
        return (span.kind == SpanKind::Client).then_some(FamilyName::DbClient);
    }
    if has(key::MESSAGING_SYSTEM) {
        return match span.attribute(key::MESSAGING_OPERATION_TYPE)? {
            Value::Str(kind) if kind == "process" => Some(FamilyName::MessagingProcess),
            Value::Str(kind) if kind == "receive" => Some(FamilyName::MessagingReceive),
            Value::Str(kind) if kind == "send" => Some(FamilyName::MessagingSend),
            _ => None,
        };
    }
    if has(key::HTTP_REQUEST_METHOD) {
        return ends(FamilyName::HttpServer, FamilyName::HttpClient);
    }
    (has(key::DNS_QUESTION_NAME) && span.kind == SpanKind::Client).then_some(FamilyName::DnsLookup)
}

/// The values of a family's keys that a span has.
pub(crate) fn values<'a>(span: &'a Span, family: &Family) -> Values<'a> {
    let mut values = Values::default();
    for attribute in &span.attributes {
        if let Some(at) = family.keys.iter().position(|key| attribute.key == *key) {
            values[at] = Some(Seen::from(&attribute.value));
        }
    }
    if let Some(at) = family.keys.iter().position(|key| *key == MESSAGING_DESTINATION) {
        // A name whose parts vary, or that a broker made up, would tell every message apart.
        let template = span.attribute(key::MESSAGING_DESTINATION_TEMPLATE);
        let anonymous = span.attribute(key::MESSAGING_DESTINATION_ANONYMOUS) == Some(&Value::Bool(true));
        match template {
            Some(template) => values[at] = Some(Seen::from(template)),
            None if anonymous => values[at] = None,
            None => {}
        }
    }
    values
}

/// What a span measures for the instruments of a family.
pub(crate) fn measured(span: &Span, family: FamilyName) -> Measured {
    let number = |wanted: &str| match span.attribute(wanted) {
        Some(Value::Int(n)) if *n >= 0 => Some(*n as f64),
        _ => None,
    };
    let seconds = Some(seconds(span));
    match family {
        FamilyName::HttpServer | FamilyName::HttpClient => {
            [seconds, number(key::HTTP_REQUEST_BODY_SIZE), number(key::HTTP_RESPONSE_BODY_SIZE)]
        }
        FamilyName::MessagingSend | FamilyName::MessagingReceive | FamilyName::MessagingProcess => {
            [seconds, Some(number(key::MESSAGING_BATCH_MESSAGE_COUNT).unwrap_or(1.0)), None]
        }
        _ => [seconds, None, None],
    }
}

/// What tells the series of a span apart under the names of Tempo's metrics-generator.
pub(crate) fn general(span: &Span) -> Values<'_> {
    let mut values = Values::default();
    let status = match span.status {
        Status::Unset => "STATUS_CODE_UNSET",
        Status::Ok => "STATUS_CODE_OK",
        Status::Error(_) => "STATUS_CODE_ERROR",
    };
    let kind = match span.kind {
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    };
    for (at, text) in [span.resource.service_name(), &span.name, kind, status].into_iter().enumerate() {
        values[at] = Some(Seen::Text(text));
    }
    values
}

/// How long a span took.
pub(crate) fn seconds(span: &Span) -> f64 {
    span.end_unix_nano.saturating_sub(span.start_unix_nano) as f64 / 1e9
}

/// Whether an attribute of a process is one of its service: of what is told by process, there would be a series for each.
pub(crate) fn is_of_service(attribute: &KeyValue) -> bool {
    !attribute.key.starts_with("process.") && attribute.key != key::SERVICE_INSTANCE_ID
}

/// What tells one service from another.
pub(crate) fn identity(resource: &Resource) -> String {
    use std::fmt::Write as _;
    let mut identity = String::new();
    for attribute in resource.attributes.iter().filter(|attribute| is_of_service(attribute)) {
        // (To a string, nothing fails to be written.)
        let _ = write!(identity, "{:?}={:?},", attribute.key, attribute.value);
    }
    identity
}
