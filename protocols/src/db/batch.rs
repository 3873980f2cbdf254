//! Many statements that are one call.

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

use crate::exchange::{Event, KeyValue};

/// Most failures of a batch that are told one by one.
pub(crate) const MAX_FAILURES: usize = 16;
/// Most commands of one operation that are calls of their own (`docs/decisions/030-batches.md`).
pub(crate) const MAX_SINGLES: u32 = 32;
/// Most texts of commands that are kept.
const MAX_TEXTS: usize = 16;
/// Most of them, bytes.
const MAX_TEXT: usize = 4096;
/// Name of the event of a statement that failed. The conventions have none.
pub const BATCH_FAILURE: &str = "wirespan.batch.failure";
/// Which statement of the batch it was, from 0.
pub const BATCH_INDEX: &str = "wirespan.batch.index";

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
        let mut attributes = vec![KeyValue::int(BATCH_INDEX, i64::from(self.index))];
        if self.code {
            attributes.push(KeyValue::str(semconv::DB_RESPONSE_STATUS_CODE, self.error.clone()));
        }
        attributes.push(KeyValue::str(semconv::ERROR_TYPE, self.error));
        Event { time: self.time, name: BATCH_FAILURE.into(), attributes }
    }
}

/// Commands that are told as one.
#[derive(Debug, Default)]
pub(crate) struct Together {
    /// How many.
    pub size: u32,
    /// There are others where nobody looked.
    pub hidden: bool,
    /// How many those are is not known, either.
    pub unsure: bool,
    /// Their name, if they have the same.
    name: Option<Cow<'static, str>>,
    /// What differs among their texts.
    texts: Vec<Cow<'static, str>>,
    /// There are more.
    more: bool,
}

impl Together {
    /// One more command. Texts that are equal are told once.
    pub(crate) fn add(&mut self, name: Option<&Cow<'static, str>>, text: Cow<'static, str>) {
        if self.size == 0 {
            self.name = name.cloned();
        } else if self.name.as_ref() != name {
            self.name = None;
        }
        self.size = self.size.saturating_add(1);
        self.tell(text);
    }

    /// All commands of another one.
    pub(crate) fn absorb(&mut self, other: Self) {
        if self.name != other.name {
            self.name = None;
        }
        self.size = self.size.saturating_add(other.size);
        (self.hidden, self.unsure) = (self.hidden || other.hidden, self.unsure || other.unsure);
        other.texts.into_iter().for_each(|text| self.tell(text));
        self.more |= other.more;
    }

    fn tell(&mut self, text: Cow<'static, str>) {
        if self.more || self.texts.contains(&text) {
            return;
        }
        let taken: usize = self.texts.iter().map(|text| text.len()).sum();
        self.more = self.texts.len() == MAX_TEXTS || taken + text.len() > MAX_TEXT;
        if !self.more {
            self.texts.push(text);
        }
    }

    /// Bytes held beyond its own size.
    pub(crate) fn held(&self) -> usize {
        self.texts.iter().map(|text| size_of::<Cow<'static, str>>() + text.len()).sum::<usize>()
            + self.name.as_ref().map_or(0, |name| name.len())
    }

    /// Where answers begin is hidden: how many commands there are where nobody looked is unknown. Whether there are any.
    pub(crate) fn answers_cut(&mut self) -> bool {
        self.unsure |= self.hidden;
        self.hidden
    }

    /// What of them is not known.
    pub(crate) fn unknown(&self) -> [Option<&'static str>; 2] {
        [self.hidden.then_some(semconv::DB_OPERATION_NAME), self.unsure.then_some(semconv::DB_OPERATION_BATCH_SIZE)]
    }

    /// What a span says of them, of which `done` were answered: `db.operation.name`, `db.query.text`, and what is said of a
    /// batch.
    pub(crate) fn describe(self, word: &'static str, done: u32) -> (Cow<'static, str>, String, Batch) {
        let size = if self.hidden { self.size.max(done) } else { self.size };
        let name = self.name.filter(|_| !self.hidden);
        let size = (!self.unsure && size != 1).then_some(size);
        let batch = Batch { word, size, alike: name.is_some() };
        let mut text = self.texts.join("; ");
        if self.more || self.hidden {
            text.push_str("; ...");
        }
        (name.unwrap_or_default(), text, batch)
    }
}
