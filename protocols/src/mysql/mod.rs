//! MySQL and MariaDB: protocol version 10, text and binary results (MySQL Source Code Documentation, *Client/Server
//! Protocol*), and what speaks like them.
//!
//! | module | what it is |
//! |---|---|
//! | `wire` | packets |
//! | `detect` | recognising it |
//! | `work` | commands, and one call |
//! | `bulk` | many rows that are one call |
//! | `requests`, `responses` | the two directions |
//!
//! One command is one exchange, with all its results. A connection that is compressed or encrypted after its
//! introduction leaves the protocol there. A replica's connection is let pass.
//!
//! # Gaps
//!
//! Every packet says how long it is, so a gap within one changes nothing. One that hides where packets begin is harmless
//! while one command is in flight: its results end before the next command.

mod bulk;
mod detect;
mod requests;
mod responses;
mod wire;
mod work;

use std::collections::HashMap;
use std::sync::Arc;

use bulk::{Chain, Statement};
pub use detect::detect;
use responses::Stage;
use work::Work;

use crate::db::{Calls, Lane};
use crate::exchange::{Mark, Output};
use crate::sql::{Dialect, Query};
use crate::{Direction, End, Parser, Progress, Settings};

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(MySql::new(settings))
}

/// How far the two have got to know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The server greeted; the client introduces itself next.
    Greeted,
    /// The client must prove who it is.
    Authentication,
    /// Commands and results.
    Commands,
}

/// One connection.
#[derive(Debug)]
pub struct MySql {
    settings: Settings,
    /// Unsure until the server tells its mode, which it does in each answer.
    dialect: Dialect,
    /// `db.system.name`.
    system: &'static str,
    phase: Phase,
    calls: Calls<Work>,
    requests: Lane,
    responses: Lane,
    /// The packet before was full: the next continues it, by direction.
    continues: [bool; 2],
    stage: Stage,
    /// The packet before described the last parameter of a statement.
    behind_parameters: bool,
    /// The number of the `EOF` that may still come behind a statement's parts.
    perhaps_eof: Option<u8>,
    /// The client sends a file.
    uploads: bool,
    /// Prepared statements by number.
    statements: HashMap<u32, Statement>,
    statement_bytes: usize,
    /// The statement that was prepared last, which has the number -1 for some clients.
    prepared: Option<Arc<Query>>,
    /// Its own number, once the server has told it.
    last: Option<u32>,
    /// Capabilities that the server offers, if that was seen.
    offered: Option<u32>,
    /// Whether result sets come without `EOF` packets, once that is known.
    without_eof: Option<bool>,
    /// What follows the introduction is compressed.
    compressed: bool,
    namespace: Option<Arc<str>>,
    /// A replica's connection.
    replication: bool,
    /// Commands that may be a batch, or are.
    chain: Option<Chain>,
}

impl MySql {
    /// A parser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            dialect: Dialect::MYSQL.unsure(),
            system: "mysql",
            phase: Phase::Commands,
            calls: Calls::new(&settings),
            requests: Lane::default(),
            responses: Lane::default(),
            continues: [false; 2],
            stage: Stage::First,
            behind_parameters: false,
            perhaps_eof: None,
            uploads: false,
            statements: HashMap::new(),
            statement_bytes: 0,
            prepared: None,
            last: None,
            offered: None,
            without_eof: None,
            compressed: false,
            namespace: None,
            replication: false,
            chain: None,
        }
    }
}

/// Where in the stream a byte of an operation is.
fn here(mark: &Mark, at: usize) -> Mark {
    Mark { position: mark.position.saturating_add(at as u64), ..*mark }
}

impl Parser for MySql {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if self.replication {
            return Progress::Continue;
        }
        self.calls.bytes(direction, mark, bytes.len(), out);
        match direction {
            Direction::Request => self.request_bytes(bytes, mark, out),
            Direction::Response => self.response_bytes(bytes, mark, out),
        }
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if len == 0 || self.replication {
            return Progress::Continue;
        }
        self.calls.gap(direction, mark, len, out);
        match direction {
            Direction::Request => self.request_gap(len, mark, out),
            Direction::Response => self.response_gap(len, mark, out),
        }
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
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
        lanes + self.calls.held() + self.statement_bytes + self.statements.capacity() * size_of::<(u32, Statement)>()
    }
}
