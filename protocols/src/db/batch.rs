//! Many statements that are one call.

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

use crate::exchange::{Event, KeyValue};

/// Most failures of a batch that are told one by one.
pub(crate) const MAX_FAILURES: usize = 16;
/// Name of the event of a statement that failed. The conventions have none.
const EVENT: &str = "wirespan.batch.failure";
/// Which statement of the batch it was, from 0.
const INDEX: &str = "wirespan.batch.index";

/// What is said of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// What the conventions call it.
    pub word: &'static str,
    /// Statements; `None` if nobody knows.
    pub size: Option<u32>,
    /// All of them are alike.
    pub alike: bool,
}

impl Batch {
    /// The batch's operation or summary, of which `one` is that of a statement.
    pub(crate) fn named(self, one: &str) -> String {
        if self.alike { [self.word, " ", one].concat() } else { self.word.to_owned() }
    }
}

/// A statement of a batch that failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// When that was said.
    pub time: u64,
    /// Which statement, from 0.
    pub index: u32,
    /// `error.type`.
    pub error: Cow<'static, str>,
    /// `db.response.status_code`, if it is known.
    pub code: bool,
}

impl Failure {
    /// As the batch's span tells it.
    pub(crate) fn event(self) -> Event {
        let mut attributes = vec![KeyValue::int(INDEX, i64::from(self.index))];
        if self.code {
            attributes.push(KeyValue::str(semconv::DB_RESPONSE_STATUS_CODE, self.error.clone()));
        }
        attributes.push(KeyValue::str(semconv::ERROR_TYPE, self.error));
        Event { time: self.time, name: EVENT.into(), attributes }
    }
}
