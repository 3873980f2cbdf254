//! PostgreSQL, protocol 3.0 and 3.2 (PostgreSQL manual, *Frontend/Backend Protocol*), and what speaks like it.
//!
//! | module | what it is |
//! |---|---|
//! | `wire` | messages |
//! | `detect` | recognising it |
//! | `work` | one call, and the statements that later calls run |
//! | `awaited` | answers that are waited for |
//! | `batch` | one statement that runs many times |
//! | `requests`, `responses` | the two directions |
//!
//! One query of the simple protocol is one exchange; in the extended protocol one `Execute` is, with the `Parse`, `Bind`
//! and `Describe` before it, or all those of a sequence that run the same statement one after the other (`batch`). What comes without an `Execute` before a `Sync` or `Flush` is an exchange that prepares,
//! describes or closes. Each message of the client has its answer, in order, so the parser keeps a queue of the answers
//! that it waits for; `Sync` and `ReadyForQuery` bound what an error skips.
//!
//! # Gaps
//!
//! Every message says how long it is, so a gap within one changes nothing. One that hides where responses begin is
//! harmless while one call is in flight: its response ends before the next request. Where a batch goes on behind what was
//! captured of an operation, what the server says up to its `ReadyForQuery` tells how it went on. Otherwise what is in
//! flight is dropped, and what was prepared is forgotten if requests may be hidden.

mod awaited;
mod batch;
mod conditions;
mod detect;
mod requests;
mod responses;
mod wire;
mod work;

use std::sync::Arc;

use awaited::Queue;
use batch::{Hidden, Ran};
pub use detect::detect;
use work::{Names, Work};

use crate::db::{Calls, Lane};
use crate::exchange::{Mark, Output};
use crate::pairing::Verdict;
use crate::sql::Dialect;
use crate::{Direction, End, Parser, Progress, Settings};

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(PostgreSql::new(settings))
}

/// One connection.
#[derive(Debug)]
pub struct PostgreSql {
    settings: Settings,
    /// Unsure until the server tells a mode, and when it may have told another unseen.
    dialect: Dialect,
    calls: Calls<Work>,
    requests: Lane,
    responses: Lane,
    awaited: Queue,
    statements: Names,
    portals: Names,
    /// The call that the next messages add to.
    open: Option<u64>,
    /// What the present sequence ran last.
    ran: Option<Ran>,
    /// Name of the statement that was bound last.
    bound: Box<[u8]>,
    /// The present sequence goes on where nobody looked.
    hidden: Option<Hidden>,
    /// Where answers to the present sequence begin is hidden: what it runs again belongs to the call that ran last.
    blind: bool,
    /// What is being asked for was counted as dropped.
    untold: bool,
    /// Within a sequence that `Sync` ends: what can be told of its answers.
    group: Option<Verdict>,
    /// An error came, and the server passes over everything until `Sync`.
    skipping: bool,
    /// Encryption was asked for: one byte answers.
    encryption: bool,
    /// The message in transfer has no type yet: it is an introduction.
    introduces: bool,
    /// Until the first `ReadyForQuery`.
    starting: bool,
    /// The connection's beginning was seen, or a message since.
    known: bool,
    /// The client sends rows.
    copying: bool,
    /// The database, if the introduction was seen.
    namespace: Option<Arc<str>>,
    /// A replica's connection: nothing on it is a call.
    replication: bool,
}

impl PostgreSql {
    /// A parser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            dialect: Dialect::POSTGRESQL.unsure(),
            calls: Calls::new(&settings),
            requests: Lane::default(),
            responses: Lane::default(),
            awaited: Queue::default(),
            statements: Names::default(),
            portals: Names::default(),
            open: None,
            ran: None,
            bound: Box::default(),
            hidden: None,
            blind: false,
            untold: false,
            group: None,
            skipping: false,
            encryption: false,
            introduces: false,
            starting: false,
            known: false,
            copying: false,
            namespace: None,
            replication: false,
        }
    }
}

/// Where in the stream a byte of an operation is.
fn here(mark: &Mark, at: usize) -> Mark {
    Mark { position: mark.position.saturating_add(at as u64), ..*mark }
}

impl Parser for PostgreSql {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.calls.bytes(direction, mark, bytes.len(), out);
        match direction {
            Direction::Request => self.request_bytes(bytes, mark, out),
            Direction::Response => self.response_bytes(bytes, mark, out),
        }
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if len == 0 {
            return Progress::Continue;
        }
        self.calls.gap(direction, mark, len, out);
        match direction {
            Direction::Request => {
                self.request_gap(len, mark, out);
                Progress::Continue
            }
            Direction::Response => self.response_gap(len, mark, out),
        }
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        self.end_run(out);
        self.calls.end(end, direction == Direction::Request, mark, out);
    }

    fn wants_more(&self) -> bool {
        self.calls.wants_more()
    }

    fn wants_requests(&self) -> bool {
        // A batch is larger than others, and nothing says before that it comes.
        true
    }

    fn buffered(&self) -> usize {
        let lanes = self.requests.held() + self.responses.held();
        let names = self.statements.held() + self.portals.held();
        lanes + names + self.calls.held() + self.awaited.held() + self.bound.len()
    }
}
