//! What the parsers of databases share. None of it knows a protocol.
//!
//! | module | what it is |
//! |---|---|
//! | `batch` | many statements that are one call |
//! | `calls` | requests in flight, and what becomes of them |
//! | `frames` | messages with their length in front, across operations and gaps |
//! | `pipeline` | commands of one operation that are one call |
//!
//! Spans follow the database semantic conventions (<https://opentelemetry.io/docs/specs/semconv/db/database-spans/>).
//! Those know CLIENT spans only; the database's own end becomes a SERVER span with the same attributes.

mod batch;
mod calls;
mod frames;
mod pipeline;

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry_semantic_conventions::attribute as semconv;

pub use batch::{BATCH_FAILURE, BATCH_INDEX};
pub(crate) use batch::{Batch, Failure, MAX_FAILURES, MAX_SINGLES, Together};
pub(crate) use calls::{Call, Calls, Request};
pub(crate) use frames::{Frame, Lane, Layout, Read, Skip};
pub(crate) use pipeline::{Gather, Pipeline};

use crate::exchange::KeyValue;
use crate::redact::clip;
use crate::sql::Query;

/// Attributes of most spans, with those of the connection that are added later: making room again would copy all.
const ROOM: usize = 10;
/// Longest database name that is kept, bytes.
const MAX_NAMESPACE: usize = 256;

/// What a call is about: every part of a span's description, save the protocol's status.
#[derive(Debug, Default)]
pub(crate) struct Description<'a> {
    /// `db.system.name`.
    pub system: &'static str,
    /// `db.namespace`.
    pub namespace: Option<&'a str>,
    /// `db.operation.name`, if the protocol itself has one.
    pub operation: Option<Cow<'static, str>>,
    /// The SQL, if it is known.
    pub query: Option<Arc<Query>>,
    /// The text of what is no SQL.
    pub text: Option<Cow<'static, str>>,
    /// The text was prepared, not run: it has no summary, which stands for running it.
    pub prepared: bool,
    /// It is a batch.
    pub batch: Option<Batch>,
}

impl Description<'_> {
    /// The span's name and attributes. The conventions take neither operation nor collection out of a query's text
    /// where the language allows several: the summary is for that.
    pub(crate) fn render(self) -> (Cow<'static, str>, Vec<KeyValue>) {
        let mut attributes = Vec::with_capacity(ROOM);
        attributes.push(KeyValue::str(semconv::DB_SYSTEM_NAME, self.system));
        let namespace = self.namespace.map(|n| clip(n, MAX_NAMESPACE)).filter(|n| !n.is_empty());
        if let Some(namespace) = namespace {
            attributes.push(KeyValue::str(semconv::DB_NAMESPACE, namespace.to_owned()));
        }
        let known = self.query.is_some();
        // Most are nobody else's, so that nothing is copied.
        let Query { text, summary, procedure, statements, asked } =
            self.query.map(Arc::unwrap_or_clone).unwrap_or_default();
        let mut summary = summary.filter(|_| !self.prepared);
        let mut operation = self.operation;
        if let Some(batch) = self.batch {
            summary = summary.map(|summary| batch.named(&summary));
            operation = operation.map(|operation| batch.named(&operation).into());
        }
        let name = match (&summary, &operation, namespace) {
            (Some(summary), ..) => summary.clone().into(),
            (None, Some(operation), Some(namespace)) => [operation.as_ref(), " ", namespace].concat().into(),
            (None, Some(operation), None) => operation.clone(),
            (None, None, Some(namespace)) => namespace.to_owned().into(),
            (None, None, None) => self.system.into(),
        };
        attributes.extend(operation.map(|operation| KeyValue::str(semconv::DB_OPERATION_NAME, operation)));
        attributes.extend(summary.map(|summary| KeyValue::str(semconv::DB_QUERY_SUMMARY, summary)));
        let text = self.text.or(known.then_some(Cow::Owned(text)));
        attributes.extend(text.map(|text| KeyValue::str(semconv::DB_QUERY_TEXT, text)));
        if let Some(procedure) = procedure.filter(|_| !self.prepared) {
            attributes.push(KeyValue::str(semconv::DB_STORED_PROCEDURE_NAME, procedure));
        }
        let size = self.batch.map_or((statements > 1).then_some(statements), |batch| batch.size);
        attributes.extend(size.map(|size| KeyValue::int(semconv::DB_OPERATION_BATCH_SIZE, i64::from(size))));
        attributes.extend(asked);
        (name, attributes)
    }
}
