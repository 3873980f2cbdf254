//! Commands, and one call.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::bulk::Many;
use crate::db::{Batch, Description, Failure, Request};
use crate::exchange::{Event, KeyValue, unknown};
use crate::sql::Query;

/// How a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// `OK`, an error, or result sets.
    Any,
    /// A statement's description.
    Statement,
    /// Rows alone.
    Rows,
    /// One packet of text.
    Text,
    /// Columns alone.
    Columns,
    /// As when connecting: the client may have to say more.
    Authentication,
    /// Not at all.
    Nothing,
    /// A stream of events: the connection is a replica's from here.
    Stream,
}

/// A command: its byte, the name that its span has, its answer.
pub(super) struct Command {
    pub byte: u8,
    pub name: &'static str,
    pub answer: Answer,
}

pub(super) const QUIT: u8 = 0x01;
pub(super) const INIT_DB: u8 = 0x02;
pub(super) const QUERY: u8 = 0x03;
pub(super) const CHANGE_USER: u8 = 0x11;
pub(super) const STMT_PREPARE: u8 = 0x16;
pub(super) const STMT_EXECUTE: u8 = 0x17;
pub(super) const STMT_SEND_LONG_DATA: u8 = 0x18;
pub(super) const STMT_CLOSE: u8 = 0x19;
pub(super) const STMT_RESET: u8 = 0x1a;
pub(super) const STMT_FETCH: u8 = 0x1c;
pub(super) const RESET_CONNECTION: u8 = 0x1f;
pub(super) const STMT_BULK_EXECUTE: u8 = 0xfa;

const fn command(byte: u8, name: &'static str, answer: Answer) -> Command {
    Command { byte, name, answer }
}

static COMMANDS: [Command; 29] = [
    command(QUIT, "QUIT", Answer::Nothing),
    command(INIT_DB, "INIT_DB", Answer::Any),
    command(QUERY, "QUERY", Answer::Any),
    command(0x04, "FIELD_LIST", Answer::Columns),
    command(0x05, "CREATE_DB", Answer::Any),
    command(0x06, "DROP_DB", Answer::Any),
    command(0x07, "REFRESH", Answer::Any),
    command(0x08, "SHUTDOWN", Answer::Any),
    command(0x09, "STATISTICS", Answer::Text),
    command(0x0a, "PROCESS_INFO", Answer::Any),
    command(0x0c, "PROCESS_KILL", Answer::Any),
    command(0x0d, "DEBUG", Answer::Any),
    command(0x0e, "PING", Answer::Any),
    command(CHANGE_USER, "CHANGE_USER", Answer::Authentication),
    command(0x12, "BINLOG_DUMP", Answer::Stream),
    command(0x13, "TABLE_DUMP", Answer::Stream),
    command(0x15, "REGISTER_SLAVE", Answer::Any),
    command(STMT_PREPARE, "PREPARE", Answer::Statement),
    command(STMT_EXECUTE, "EXECUTE", Answer::Any),
    command(STMT_SEND_LONG_DATA, "SEND_LONG_DATA", Answer::Nothing),
    command(STMT_CLOSE, "CLOSE", Answer::Nothing),
    command(STMT_RESET, "RESET", Answer::Any),
    command(0x1b, "SET_OPTION", Answer::Any),
    command(STMT_FETCH, "FETCH", Answer::Rows),
    command(0x1e, "BINLOG_DUMP_GTID", Answer::Stream),
    command(RESET_CONNECTION, "RESET_CONNECTION", Answer::Any),
    command(0x20, "CLONE", Answer::Stream),
    command(STMT_BULK_EXECUTE, "BULK_EXECUTE", Answer::Any),
    command(0x21, "SUBSCRIBE_GROUP_REPLICATION_STREAM", Answer::Stream),
];

pub(super) fn find(byte: u8) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.byte == byte)
}

/// One call in flight.
#[derive(Debug)]
pub(super) struct Work {
    pub byte: u8,
    pub answer: Answer,
    pub name: &'static str,
    pub system: &'static str,
    pub query: Option<Arc<Query>>,
    pub namespace: Option<Arc<str>>,
    /// The database that it selects, if it succeeds.
    pub selects: Option<Arc<str>>,
    /// The number of the statement that it runs.
    pub statement: Option<u32>,
    /// Rows of a bulk, if they could be counted.
    pub rows: Option<u32>,
    /// The rows of a bulk that was sent together with the preparation of its statement: how they are to be counted, the answer to
    /// that will tell.
    pub uncounted: Option<Box<[u8]>>,
    /// It is many.
    pub many: Option<Box<Many>>,
}

impl Work {
    fn runs(&self) -> bool {
        matches!(self.byte, QUERY | STMT_EXECUTE | STMT_BULK_EXECUTE)
    }

    /// What is said of a batch: a bulk of one row is none.
    fn batch(&self) -> Option<Batch> {
        let size = match &self.many {
            Some(many) => Some(many.asked),
            None if self.byte == STMT_BULK_EXECUTE => self.rows,
            None => return None,
        };
        (size != Some(1)).then_some(Batch { word: "BATCH", size, alike: true })
    }
}

impl Request for Work {
    fn weight(&self) -> usize {
        let uncounted = self.uncounted.as_ref().map_or(0, |body| body.len());
        self.query.as_ref().map_or(0, |q| q.weight()) + self.many.as_ref().map_or(0, |many| many.held()) + uncounted
    }

    fn events(&mut self) -> Vec<Event> {
        let failures = self.many.as_mut().map(|many| many.take_failures());
        failures.unwrap_or_default().into_iter().map(Failure::event).collect()
    }

    fn describe(self) -> (Cow<'static, str>, Vec<KeyValue>) {
        let runs = self.runs();
        let hidden = (runs && self.query.is_none()).then_some(semconv::DB_QUERY_TEXT);
        let operation = (!runs || self.query.is_none()).then_some(Cow::Borrowed(self.name));
        let batch = self.batch();
        let unsure = batch.is_some_and(|batch| batch.size.is_none()).then_some(semconv::DB_OPERATION_BATCH_SIZE);
        let description = Description {
            system: self.system,
            namespace: self.namespace.as_deref(),
            operation,
            query: self.query,
            prepared: !runs,
            batch,
            ..Description::default()
        };
        let (name, mut attributes) = description.render();
        attributes.extend(unknown([hidden, unsure]));
        (name, attributes)
    }
}
