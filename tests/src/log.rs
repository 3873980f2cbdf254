//! A record of a log as it arrived over OTLP.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;

use crate::span::{Attributes, Value, attributes, hex, value};

/// A record.
#[derive(Clone, Debug)]
pub struct Log {
    /// Unix time, nanoseconds.
    pub time: u64,
    /// `SeverityNumber`.
    pub severity: i32,
    /// As the program says it.
    pub severity_text: String,
    /// What it says.
    pub body: String,
    /// 16 bytes, hexadecimal, or empty.
    pub trace_id: String,
    /// 8 bytes, hexadecimal, or empty.
    pub span_id: String,
    /// W3C trace flags.
    pub flags: u32,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its process.
    pub resource: Attributes,
    /// Name of the instrumentation scope.
    pub scope: String,
}

impl Log {
    /// Its attributes without the strength of its link, as text.
    pub fn said(&self) -> Vec<String> {
        let own = self.attributes.iter().filter(|(name, _)| *name != "wirespan.link.evidence");
        own.map(|(name, value)| format!("{name}={value}")).collect()
    }
}

/// Every record of one export request.
pub fn flatten(request: ExportLogsServiceRequest) -> Vec<Log> {
    let mut logs = Vec::new();
    for by_resource in request.resource_logs {
        let resource = attributes(by_resource.resource.map(|r| r.attributes).unwrap_or_default());
        for by_scope in by_resource.scope_logs {
            let scope = by_scope.scope.map(|s| s.name).unwrap_or_default();
            logs.extend(by_scope.log_records.into_iter().map(|log| Log {
                time: log.time_unix_nano,
                severity: log.severity_number,
                severity_text: log.severity_text,
                body: match log.body.map(value) {
                    Some(Value::Str(text)) => text,
                    other => format!("{other:?}"),
                },
                trace_id: hex(&log.trace_id),
                span_id: hex(&log.span_id),
                flags: log.flags,
                attributes: attributes(log.attributes),
                resource: resource.clone(),
                scope: scope.clone(),
            }));
        }
    }
    logs
}
