//! Gathers records of logs, as they come, into the body of one export request; encoded as they come, as spans are.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_semantic_conventions::SCHEMA_URL;
use wirespan_signals::{LOG_SCOPE, Log, Resource};

use super::{encode, wire};

/// An `ExportLogsServiceRequest` under construction.
#[derive(Default)]
pub struct Gathering {
    groups: Vec<Group>,
    /// Index into `groups` by the address of the resource, which its group keeps from being reused.
    by_address: HashMap<usize, usize>,
    bytes: usize,
    records: usize,
}

struct Group {
    resource: Arc<Resource>,
    /// Encoded `ScopeLogs.log_records` fields.
    records: Vec<u8>,
}

impl Gathering {
    /// Adds a record.
    pub fn push(&mut self, log: &Log) {
        let address = Arc::as_ptr(&log.resource) as usize;
        let index = *self.by_address.entry(address).or_insert_with(|| {
            self.groups.push(Group { resource: Arc::clone(&log.resource), records: Vec::new() });
            self.groups.len() - 1
        });
        let buffer = &mut self.groups[index].records;
        let before = buffer.len();
        encode::log(buffer, 2, log);
        self.bytes += buffer.len() - before;
        self.records += 1;
    }

    /// Records inside.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Size of what is inside.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The body of the request, leaving nothing behind.
    pub fn take(&mut self) -> Vec<u8> {
        let gathered = std::mem::take(self);
        let mut body = Vec::with_capacity(gathered.bytes + gathered.groups.len() * 768);
        for group in &gathered.groups {
            wire::message(&mut body, 1, |b| {
                encode::resource(b, 1, &group.resource);
                wire::message(b, 2, |b| {
                    wire::message(b, 1, |b| {
                        wire::text(b, 1, LOG_SCOPE);
                        wire::text(b, 2, env!("CARGO_PKG_VERSION"));
                    });
                    b.extend_from_slice(&group.records);
                    wire::text(b, 3, SCHEMA_URL);
                });
                wire::text(b, 3, SCHEMA_URL);
            });
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use prost::Message as _;
    use wirespan_signals::{KeyValue, LogSpan};

    use super::*;

    fn log(resource: &Arc<Resource>, body: &str, span: Option<LogSpan>) -> Log {
        Log {
            time_unix_nano: 7,
            severity: if span.is_some() { 17 } else { 0 },
            severity_text: if span.is_some() { "ERROR".into() } else { "".into() },
            body: body.into(),
            attributes: vec![KeyValue::str("a", "b")],
            span,
            resource: Arc::clone(resource),
        }
    }

    #[test]
    fn records_are_read_back_as_they_were_by_resource() {
        let resource =
            |name: &'static str| Arc::new(Resource { attributes: vec![KeyValue::str("service.name", name)] });
        let (shop, bank) = (resource("shop"), resource("bank"));
        let span = LogSpan { trace_id: [1; 16], span_id: [2; 8], flags: 1 };
        let mut gathering = Gathering::default();
        for log in [log(&shop, "one", Some(span)), log(&bank, "", None), log(&shop, "two", None)] {
            gathering.push(&log);
        }
        assert_eq!(gathering.records(), 3);
        let request = ExportLogsServiceRequest::decode(&*gathering.take()).unwrap();
        assert_eq!((gathering.records(), gathering.bytes()), (0, 0));
        assert_eq!(request.resource_logs.len(), 2);
        let scope = &request.resource_logs[0].scope_logs[0];
        assert_eq!(scope.scope.as_ref().unwrap().name, LOG_SCOPE);
        let [one, two] = &scope.log_records[..] else { panic!("{scope:?}") };
        assert_eq!((one.time_unix_nano, one.observed_time_unix_nano), (7, 7));
        assert_eq!((one.severity_number, &*one.severity_text, one.flags), (17, "ERROR", 1));
        assert_eq!((&one.trace_id[..], &one.span_id[..]), (&[1; 16][..], &[2; 8][..]));
        assert_eq!(one.attributes[0].key, "a");
        let body = |record: &opentelemetry_proto::tonic::logs::v1::LogRecord| match record
            .body
            .as_ref()
            .unwrap()
            .value
            .as_ref()
            .unwrap()
        {
            Any::StringValue(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((body(one), body(two)), ("one".to_owned(), "two".to_owned()));
        assert!(two.trace_id.is_empty() && two.span_id.is_empty() && two.severity_number == 0);
        assert_eq!(body(&request.resource_logs[1].scope_logs[0].log_records[0]), "");
    }
}
