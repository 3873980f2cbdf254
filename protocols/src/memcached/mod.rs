//! memcached: the text protocol with its meta commands, and the binary protocol (`doc/protocol.txt` and
//! `doc/protocol-binary.txt` in memcached's source).
//!
//! | module | what it is |
//! |---|---|
//! | `detect` | recognising it |
//! | `work` | one call |
//! | `lines` | lines, and blocks of data whose length a line tells |
//! | `bulk` | pipelines, many commands that are one call |
//! | `text` | commands and answers in lines |
//! | `binary` | frames of 24 bytes and what follows |
//!
//! A connection speaks one of the two protocols for all its life. Answers come in the order of the commands; those that
//! ask for no answer (`noreply`, quiet ones) end with their last byte.
//!
//! # Gaps
//!
//! Blocks of data say how long they are, so a gap within one changes nothing. One that hides where an answer ends is
//! harmless if its command is alone.

mod binary;
mod bulk;
mod detect;
mod lines;
mod text;
mod work;

use bulk::Silent;
pub use detect::detect;
use lines::Lines;
use work::{Answer, Work};

use crate::db::{Calls, Lane, Pipeline};
use crate::exchange::{Mark, Output};
use crate::{Direction, End, Parser, Progress, Settings};

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(Memcached::new(settings))
}

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing was seen yet.
    Unknown,
    Text,
    Binary,
}

/// One connection.
#[derive(Debug)]
pub struct Memcached {
    settings: Settings,
    mode: Mode,
    calls: Calls<Work>,
    /// The text protocol's directions.
    commands: Lines,
    replies: Lines,
    /// The binary protocol's directions.
    requests: Lane,
    responses: Lane,
    /// Since the last command that is answered in any case, one came that may not be.
    quiet: bool,
    /// What the present operation carried.
    pipeline: Pipeline,
    /// What of that nothing will answer.
    silent: Silent,
}

impl Memcached {
    /// A parser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            mode: Mode::Unknown,
            calls: Calls::new(&settings),
            commands: Lines::default(),
            replies: Lines::default(),
            requests: Lane::default(),
            responses: Lane::default(),
            quiet: false,
            pipeline: Pipeline::default(),
            silent: Silent::default(),
        }
    }
}

/// Where in the stream a byte of an operation is.
fn here(mark: &Mark, at: usize) -> Mark {
    Mark { position: mark.position.saturating_add(at as u64), ..*mark }
}

impl Parser for Memcached {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        let Some(first) = bytes.first().copied() else { return Progress::Continue };
        self.calls.bytes(direction, mark, bytes.len(), out);
        if self.mode == Mode::Unknown {
            self.mode = if matches!(first, binary::REQUEST | binary::RESPONSE) { Mode::Binary } else { Mode::Text };
        }
        match (self.mode, direction) {
            (Mode::Binary, Direction::Request) => self.request_bytes(bytes, mark, out),
            (Mode::Binary, Direction::Response) => self.response_bytes(bytes, mark, out),
            (_, Direction::Request) => self.command_bytes(bytes, mark, out),
            (_, Direction::Response) => self.reply_bytes(bytes, mark, out),
        }
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if len > 0 {
            self.calls.gap(direction, mark, len, out);
            match (self.mode, direction) {
                (Mode::Binary, Direction::Request) => self.request_gap(len, mark, out),
                (Mode::Binary, Direction::Response) => self.response_gap(len, mark, out),
                (Mode::Text, Direction::Request) => self.command_gap(len, mark, out),
                (Mode::Text, Direction::Response) => self.reply_gap(len, mark, out),
                (Mode::Unknown, Direction::Request) => self.calls.requests_hidden(out),
                (Mode::Unknown, Direction::Response) => self.calls.responses_unread(),
            }
        }
        Progress::Continue
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        // Silence answers quiet requests, but not when nobody listens.
        while end != End::Unwatched
            && matches!(self.calls.oldest(), Some(c) if matches!(c.request.answer, Answer::Frame { quiet: true, .. }))
        {
            self.calls.complete_silently(out);
        }
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
        let lanes = self.commands.held() + self.replies.held() + self.requests.held() + self.responses.held();
        lanes + self.calls.held() + self.silent.held()
    }
}
