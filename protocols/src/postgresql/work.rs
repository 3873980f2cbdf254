//! One call, and the statements by which later calls know what they run.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_semantic_conventions::attribute as semconv;

use crate::db::{Batch, Description, Failure, Request};
use crate::exchange::{Event, KeyValue, unknown};
use crate::sql::{Query, known_tag};

/// Most prepared statements that are remembered of one connection.
const MAX_STATEMENTS: usize = 512;
/// Most memory that they may hold, bytes.
const MAX_BYTES: usize = 512 * 1024;

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// To forget a statement or a portal.
    Close,
    /// To make a portal, and no more.
    Bind,
    /// To describe one.
    Describe,
    /// To prepare a statement.
    Prepare,
    /// To call a function by its number.
    Function,
    /// To run a statement.
    Run,
}

/// One call in flight.
#[derive(Debug)]
pub(super) struct Work {
    pub kind: Kind,
    pub query: Option<Arc<Query>>,
    pub namespace: Option<Arc<str>>,
    /// What the server says that it ran.
    pub tag: Option<Box<str>>,
    /// Answers that are yet to come.
    pub pending: u32,
    /// Nothing is added to it any more.
    pub closed: bool,
    /// How often it was run: a batch, if more than once.
    pub runs: u32,
    /// What the server said last that it ran, in a batch.
    pub said: Option<Box<str>>,
    /// How often that is known to be done.
    pub done: u32,
    /// It may have run more often than that.
    pub more: bool,
    /// Which of its runs failed.
    pub failed: Option<Failure>,
}

impl Work {
    pub(super) fn new(kind: Kind, namespace: Option<Arc<str>>) -> Self {
        Self {
            kind,
            query: None,
            namespace,
            tag: None,
            pending: 0,
            closed: false,
            runs: 0,
            said: None,
            done: 0,
            more: false,
            failed: None,
        }
    }

    fn batch(&self) -> Option<Batch> {
        let size = self.runs.max(self.done);
        (size > 1).then_some(Batch { word: "BATCH", size: (!self.more).then_some(size), alike: true })
    }
}

impl Request for Work {
    fn weight(&self) -> usize {
        64
    }

    fn events(&mut self) -> Vec<Event> {
        let failed = self.failed.take().filter(|_| self.batch().is_some());
        failed.map(Failure::event).into_iter().collect()
    }

    fn describe(self) -> (Cow<'static, str>, Vec<KeyValue>) {
        let batch = self.batch();
        let hidden = (self.kind == Kind::Run && self.query.is_none()).then_some(semconv::DB_QUERY_TEXT);
        let size = batch.filter(|batch| batch.size.is_none()).map(|_| semconv::DB_OPERATION_BATCH_SIZE);
        let operation: Option<Cow<'static, str>> = match self.kind {
            Kind::Close => Some("CLOSE".into()),
            Kind::Bind => Some("BIND".into()),
            Kind::Describe => Some("DESCRIBE".into()),
            Kind::Prepare => Some("PREPARE".into()),
            Kind::Function => Some("FUNCTION CALL".into()),
            // The statement is older than the agent: the server says what kind it was.
            Kind::Run if self.query.is_none() => {
                Some(self.tag.map_or("EXECUTE".into(), |tag| String::from(tag).into()))
            }
            Kind::Run => None,
        };
        let description = Description {
            system: "postgresql",
            namespace: self.namespace.as_deref(),
            operation,
            query: self.query,
            prepared: self.kind != Kind::Run,
            batch,
            ..Description::default()
        };
        let (name, mut attributes) = description.render();
        attributes.extend(unknown([hidden, size]));
        (name, attributes)
    }
}

/// `INSERT 0 1` is an `INSERT`. Words that no server is known to say are left out: spans are named by them.
pub(super) fn tag(bytes: &[u8]) -> Option<Box<str>> {
    let words = bytes.split(|b| *b == b' ').enumerate().take_while(|(n, word)| known_tag(word, *n == 0));
    let words: Vec<_> = words.take(4).map(|(_, word)| String::from_utf8_lossy(word)).collect();
    (!words.is_empty()).then(|| words.join(" ").into())
}

/// Prepared statements, or portals, by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// That without a name, which most clients use.
    unnamed: Option<Arc<Query>>,
    named: HashMap<Box<[u8]>, Option<Arc<Query>>>,
    bytes: usize,
}

impl Names {
    pub(super) fn held(&self) -> usize {
        self.bytes + self.named.capacity() * 40 + self.unnamed.as_ref().map_or(0, |q| q.weight())
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Arc<Query>> {
        if name.is_empty() { self.unnamed.clone() } else { self.named.get(name).cloned().flatten() }
    }

    pub(super) fn insert(&mut self, name: &[u8], query: Option<Arc<Query>>) {
        if name.is_empty() {
            self.unnamed = query;
            return;
        }
        self.remove(name);
        let weight = Self::weight(name, query.as_deref());
        if self.named.len() == MAX_STATEMENTS || self.bytes + weight > MAX_BYTES {
            // What is forgotten runs without its text from then on.
            self.named.clear();
            self.bytes = 0;
        }
        self.bytes += weight;
        self.named.insert(name.into(), query);
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        if name.is_empty() {
            self.unnamed = None;
        } else if let Some(query) = self.named.remove(name) {
            self.bytes -= Self::weight(name, query.as_deref());
        }
    }

    fn weight(name: &[u8], query: Option<&Query>) -> usize {
        name.len() + query.map_or(0, |q| q.weight() + size_of::<Query>())
    }
}
