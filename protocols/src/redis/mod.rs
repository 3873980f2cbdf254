//! Redis, and what speaks like it (Valkey, KeyDB, Dragonfly): RESP2, RESP3, inline commands.
//!
//! | module | what it is |
//! |---|---|
//! | `resp` | values, piece by piece |
//! | `names` | the commands by which a connection is recognised |
//! | `detect` | recognising it |
//! | `command` | one command, and what its span says |
//! | `bulk` | pipelines and transactions, many commands that are one call |
//! | `run` | pipelines that are sent in several writes |
//! | `requests`, `replies` | the two directions |
//! | `messages` | Celery's tasks inside them |
//!
//! Each command is one exchange, and so are the many of a pipeline or a transaction; replies come in the order of the commands. What the server says unasked (messages of
//! subscriptions, pushes, lines of `MONITOR`) answers nothing. A replica's connection is let pass.
//!
//! # Gaps
//!
//! Strings say how long they are, so a gap within one changes nothing. One that hides where a command begins makes that
//! direction unknown until an operation begins with a command. One that hides where a reply ends is harmless if its
//! command is alone: the reply ends before the next command.

mod bulk;
mod command;
mod detect;
mod messages;
mod names;
mod replies;
mod requests;
mod resp;
mod run;

use std::collections::VecDeque;

use bulk::Transaction;
use command::{Arguments, Command};
pub use detect::detect;
use messages::Sent;
use replies::Reply;
use resp::Reader;
use run::Run;

use crate::db::{Calls, Pipeline};
use crate::exchange::{Mark, Output};
use crate::{Direction, End, Parser, Progress, Settings};

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(Redis::new(settings))
}

/// One direction: where the next byte belongs.
#[derive(Debug, Default)]
struct Lane {
    reader: Reader,
    /// Where the value in transfer begins.
    first: Mark,
    operation: Mark,
    seen: bool,
    /// Where the next value begins is not known.
    lost: bool,
    /// That was so once.
    doubtful: bool,
}

impl Lane {
    /// Notes which operation moves what comes next, and says whether that is a new one.
    fn begin(&mut self, mark: &Mark) -> bool {
        let same = self.seen && self.operation.time == mark.time && self.operation.unit == mark.unit;
        if !same {
            self.operation = *mark;
            self.seen = true;
        }
        !same
    }

    fn lose(&mut self) {
        self.reader = Reader::default();
        (self.lost, self.doubtful) = (true, true);
    }

    /// The next byte begins a value: the other direction says so.
    fn expect(&mut self) {
        if self.lost || !self.reader.at_boundary() {
            self.lose();
            self.lost = false;
        }
    }
}

/// Which commands get replies (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replies {
    On,
    /// None any more.
    Off,
    /// The next command gets none.
    Skip,
}

/// One connection.
#[derive(Debug)]
pub struct Redis {
    settings: Settings,
    calls: Calls<Command>,
    /// Messages whose commands are in flight.
    sent: VecDeque<Sent>,
    requests: Lane,
    responses: Lane,
    arguments: Arguments,
    /// The request in transfer is an inline command.
    inline: bool,
    /// Commands of the present operation: the first one's id, and how many.
    batch: (Option<u64>, u32),
    reply: Reply,
    replies: Replies,
    /// Those that may be a pipeline.
    pipeline: Pipeline,
    /// Writes of which those may be one pipeline.
    run: Run,
    /// Since `MULTI`.
    transaction: Option<Transaction>,
    /// `SELECT` was queued in a transaction.
    queued_select: Option<u32>,
    /// The database that was selected, if that was seen.
    namespace: Option<u32>,
    /// There are subscriptions: messages come unasked.
    subscribed: bool,
    /// The server was asked to speak unasked, once.
    unasked: bool,
    /// `MONITOR` runs.
    monitoring: bool,
    /// A replica's connection: nothing on it is a request any more.
    replicating: bool,
}

impl Redis {
    /// A parser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            calls: Calls::new(&settings),
            sent: VecDeque::new(),
            requests: Lane::default(),
            responses: Lane::default(),
            arguments: Arguments::default(),
            inline: false,
            batch: (None, 0),
            reply: Reply::default(),
            replies: Replies::On,
            pipeline: Pipeline::default(),
            run: Run::default(),
            transaction: None,
            queued_select: None,
            namespace: None,
            subscribed: false,
            unasked: false,
            monitoring: false,
            replicating: false,
        }
    }
}

/// Where in the stream a byte of an operation is.
fn here(mark: &Mark, at: usize) -> Mark {
    Mark { position: mark.position.saturating_add(at as u64), ..*mark }
}

impl Parser for Redis {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if self.replicating || bytes.is_empty() {
            return Progress::Continue;
        }
        let before = out.len();
        self.calls.bytes(direction, mark, bytes.len(), out);
        let progress = match direction {
            Direction::Request => self.request_bytes(bytes, mark, out),
            Direction::Response => {
                self.end_run(out);
                self.response_bytes(bytes, mark, out)
            }
        };
        self.settle_sent(before, out);
        progress
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if !self.replicating && len > 0 {
            let before = out.len();
            self.calls.gap(direction, mark, len, out);
            match direction {
                Direction::Request => self.request_gap(len, mark, out),
                Direction::Response => {
                    self.end_run(out);
                    self.response_gap(len, mark, out);
                }
            }
            self.settle_sent(before, out);
        }
        Progress::Continue
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        let before = out.len();
        self.end_run(out);
        self.calls.end(end, direction == Direction::Request, mark, out);
        self.settle_sent(before, out);
    }

    fn wants_more(&self) -> bool {
        self.calls.wants_more()
    }

    fn wants_requests(&self) -> bool {
        // A batch is larger than others, and nothing says before that it comes.
        true
    }

    fn buffered(&self) -> usize {
        let readers = self.requests.reader.held() + self.responses.reader.held();
        let sent: usize = self.sent.iter().map(Sent::held).sum();
        readers + self.calls.held() + self.arguments.held() + self.reply.held() + sent
    }
}
