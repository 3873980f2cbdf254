//! FastCGI 1.0 (<https://fastcgi-archives.github.io/FastCGI_Specification.html>): what nginx and Apache say to php-fpm.
//!
//! | module | what it is |
//! |---|---|
//! | `record` | the grammar of records, by which FastCGI is detected |
//! | `pairs` | names and values |
//! | `lane` | one direction: where the next byte belongs |
//! | `requests` | requests that have no end yet, by their numbers |
//! | `messages` | what a record does to all these |
//!
//! A request is HTTP's, told as variables: its span is one of HTTP (`cgi`). It ends with END_REQUEST.
//!
//! # Gaps
//!
//! Every record says how long it is, and whose. A gap within one changes nothing but that its content is not known. One
//! that hides where a record begins makes its direction unknown. Requests go on with the next operation that begins with
//! one, if responses have moved meanwhile: so what somebody uploads is not taken for one. Responses go on with the next
//! request, if no other number than its own was ever used: then everything before it is answered.
//!
//! A number may be used again when the request of that number has ended. So the end that comes first after a request is
//! its own, unless records of both directions were missed since: then it is dropped.

mod lane;
mod messages;
mod pairs;
mod record;
mod requests;

use std::borrow::Cow;
use std::ops::Range;

use lane::{Hidden, Lane, Piece};
pub use record::detect;
use requests::Requests;

use crate::cgi::call::Failure;
use crate::exchange::{Mark, Output, Reason};
use crate::{Detection, Direction, End, Parser, Progress, Settings};

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(FastCgi::new(settings))
}

/// Which numbers requests have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    None,
    /// All the same: the connection carries one request at a time.
    One(u16),
    Several,
}

/// One connection.
#[derive(Debug)]
pub struct FastCgi {
    settings: Settings,
    next_id: u64,
    requests: Lane,
    responses: Lane,
    open: Requests,
    numbers: Numbers,
    /// Where responses stood when something of requests moved last.
    heard: u64,
    /// Where they stand.
    answered: Option<u64>,
    /// The client has said that it sends nothing more.
    client_finished: bool,
    /// Some of what describes a request was beyond what is captured of one operation, or may be.
    wants_requests: bool,
    /// So was the end of a response.
    wants_more: bool,
}

impl FastCgi {
    /// A parser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            next_id: 0,
            requests: Lane::new(Direction::Request, settings.missed),
            responses: Lane::new(Direction::Response, settings.missed),
            open: Requests::default(),
            numbers: Numbers::None,
            heard: 0,
            answered: None,
            client_finished: false,
            wants_requests: false,
            wants_more: false,
        }
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Request => &mut self.requests,
            Direction::Response => &mut self.responses,
        }
    }

    /// An operation begins where nobody knows what does.
    fn resume(&mut self, direction: Direction, bytes: &[u8], mark: &Mark) {
        // The other direction goes on with a request.
        if direction == Direction::Request && mark.opposite > self.heard && detect(bytes) != Detection::No {
            self.requests.expect();
        }
    }

    /// How far each direction has come, `len` bytes being about to pass.
    fn advance(&mut self, direction: Direction, mark: &Mark, len: u64) {
        match direction {
            Direction::Request if !mark.lost => self.heard = mark.opposite,
            Direction::Request => {}
            Direction::Response => self.answered = Some(mark.position.saturating_add(len)),
        }
    }
}

impl Parser for FastCgi {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        let fresh = self.lane(direction).begin(mark);
        if fresh && self.lane(direction).is_lost() {
            self.resume(direction, bytes, mark);
        }
        self.advance(direction, mark, bytes.len() as u64);
        let mut at = 0;
        while at < bytes.len() {
            let here = Mark { position: mark.position.saturating_add(at as u64), ..*mark };
            let (read, piece) = self.lane(direction).read(&bytes[at..], here);
            at += read;
            let sound = match piece {
                Piece::Nothing => true,
                Piece::Content(head, content, whole) => self.content(direction, head, content, whole, out),
                Piece::Invalid => false,
            };
            if !sound {
                return self.nonsense(direction, out);
            }
        }
        Progress::Continue
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.lane(direction).begin(mark);
        self.advance(direction, mark, len);
        let mut left = len;
        while left > 0 {
            let (passed, hidden) = self.lane(direction).skip(left);
            match hidden {
                Hidden::Nothing => {}
                Hidden::Content(head, len, whole) => self.content_hidden(direction, head, len, whole, mark.lost, out),
                Hidden::Lost => self.records_hidden(direction, left, mark.lost, out),
            }
            left -= passed;
        }
        Progress::Continue
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        match (end, direction) {
            // What the client has still to say is nothing; the server may go on.
            (End::Finished, Direction::Request) => {
                self.client_finished = true;
                return self.requests.lose();
            }
            (End::Unwatched, _) => return self.forget(Reason::Unwatched, out),
            _ => {}
        }
        // A response whose end is hidden is complete when the server closes the connection, and not when it is reset.
        let role = self.settings.role;
        let cut = end.cuts(role);
        if !cut {
            self.settle_hidden_ends(out);
        }
        self.fail(Failure::Broke(end.breaks(role, self.client_finished)), mark.time, out);
    }

    fn under_way(&self, began: &Range<u64>, tell: &mut dyn FnMut(u64, Cow<'static, str>)) {
        for call in self.open.calls() {
            let (time, name) = call.under_way();
            if began.contains(&time) {
                tell(call.id, name);
            }
        }
    }

    fn buffered(&self) -> usize {
        self.open.held()
    }

    fn wants_more(&self) -> bool {
        self.wants_more
    }

    fn wants_requests(&self) -> bool {
        self.wants_requests
    }
}
