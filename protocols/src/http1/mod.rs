//! HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112).
//!
//! | module | what it is |
//! |---|---|
//! | `start_line` | the grammar by which HTTP/1 is detected, and found again after a gap |
//! | `head` | heads, by way of httparse, and the framing that follows from them |
//! | `body` | where bodies end |
//! | `lane` | one direction: where the next byte belongs |
//! | `flight` | requests that wait for the end of their response |
//! | `messages` | what a message does to all these |
//!
//! An exchange ends with the operation that moved the last byte of the response, whatever the request's body does.
//!
//! # Gaps
//!
//! A gap inside a body of known length changes nothing. If it hides where a message begins, its direction is *unknown*
//! until an operation begins with a start line (of a known method, if a request). Bodies whose end is hidden end with
//! the last bytes before the next request, or with the connection. What that means for telling which response answers
//! which request is in `pairing`: when in doubt, an exchange is dropped.
//!
//! After `Upgrade: h2c` a connection is read by [`Http2`], whose first stream is the request that asked for it.
//!
//! Of a head that a gap cuts short, the lines before the gap count: method, path and trace context, or status.

mod body;
mod flight;
mod head;
mod lane;
mod messages;
mod start_line;

use body::{Body, Fed, Skipped};
use flight::Flight;
use head::Parsed;
use lane::{Lane, MAX_HEAD, State};
pub use start_line::detect;

use std::borrow::Cow;
use std::ops::Range;

use crate::exchange::{Mark, Output, Reason};
use crate::http::lines;
use crate::http2::Http2;
use crate::pairing::Pairing;
use crate::{Direction, End, Parser, Progress, Settings};

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(Http1::new(settings))
}

/// One connection.
#[derive(Debug)]
pub struct Http1 {
    settings: Settings,
    next_id: u64,
    requests: Lane,
    responses: Lane,
    flight: Flight,
    pairing: Pairing,
    /// The request whose body is passing.
    sending: Option<u64>,
    /// No byte of that body has passed, and its client waits for leave to send it.
    awaits_leave: bool,
    /// The client has said that it sends nothing more.
    client_finished: bool,
    /// [`Output::ExportsTelemetry`] was said.
    exports: bool,
    /// Reads what comes after an upgrade.
    http2: Option<Box<Http2>>,
}

/// How far a step through a segment went.
enum Step {
    /// So many bytes are read.
    Read(usize),
    /// The rest is not for this parser.
    Stop(Progress),
}

impl Http1 {
    /// A parser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            next_id: 0,
            requests: Lane::new(Direction::Request),
            responses: Lane::new(Direction::Response),
            flight: Flight::new(settings.role),
            pairing: Pairing::new(settings.missed),
            sending: None,
            awaits_leave: false,
            client_finished: false,
            exports: false,
            http2: None,
        }
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Request => &mut self.requests,
            Direction::Response => &mut self.responses,
        }
    }

    /// Reads what belongs to a head.
    fn head(&mut self, direction: Direction, bytes: &[u8], here: Mark, out: &mut Vec<Output>) -> Step {
        let lane = self.lane(direction);
        if !lane.buffer.is_empty() {
            return self.more_head(direction, bytes, out);
        }
        let blank = start_line::blank(bytes);
        if blank > 0 {
            return Step::Read(blank);
        }
        lane.first = here;
        let bytes = &bytes[..bytes.len().min(MAX_HEAD)];
        match self.message(direction, bytes, out) {
            Parsed::Whole(stop, len) => stop.map_or(Step::Read(len), Step::Stop),
            Parsed::Partial if bytes.len() < MAX_HEAD => {
                self.lane(direction).keep(bytes);
                Step::Read(bytes.len())
            }
            _ => self.nonsense(direction, bytes.len(), out),
        }
    }

    /// Adds to a head that began in an earlier segment.
    fn more_head(&mut self, direction: Direction, bytes: &[u8], out: &mut Vec<Output>) -> Step {
        let lane = self.lane(direction);
        let before = lane.buffer.len();
        let taken = bytes.len().min(MAX_HEAD - before);
        lane.buffer.extend_from_slice(&bytes[..taken]);
        let Some(end) = lines::end(&lane.buffer, before.saturating_sub(3)) else {
            return if lane.sound(before) { Step::Read(taken) } else { self.nonsense(direction, taken, out) };
        };
        let buffer = std::mem::take(&mut lane.buffer);
        match self.message(direction, &buffer[..end], out) {
            Parsed::Whole(stop, _) => stop.map_or(Step::Read(end - before), Step::Stop),
            _ => self.nonsense(direction, taken, out),
        }
    }

    /// Reads what belongs to a body.
    fn body(&mut self, direction: Direction, bytes: &[u8], out: &mut Vec<Output>) -> Step {
        let call = match direction {
            Direction::Request => self.sending.and_then(|id| self.flight.latest(id)),
            Direction::Response => self.flight.oldest(),
        };
        let (mut messages, mut answers) = match call {
            Some(request) => {
                let rpc = request.call.as_deref_mut();
                (rpc.map(|rpc| rpc.call.messages(direction)), request.answers.as_deref_mut())
            }
            None => (None, None),
        };
        let lane = match direction {
            Direction::Request => &mut self.requests,
            Direction::Response => &mut self.responses,
        };
        let State::Body(body) = &mut lane.state else { return Step::Read(0) };
        let fed = body.feed(bytes, |content| {
            if let Some(messages) = &mut messages {
                messages.feed(content);
            }
            if let Some(answers) = &mut answers {
                answers.feed(direction, content);
            }
        });
        match fed {
            Fed::Within => self.touch(direction),
            Fed::Ended(len) => {
                self.body_ended(direction, out);
                return Step::Read(len);
            }
            Fed::Invalid => self.body_lost(direction, out),
        }
        Step::Read(bytes.len())
    }

    /// A gap passed through a body.
    fn body_skipped(&mut self, direction: Direction, skipped: Skipped, out: &mut Vec<Output>) -> Option<Progress> {
        self.messages_missed(direction);
        match skipped {
            Skipped::Within => self.touch(direction),
            Skipped::Ended(left) => {
                self.body_ended(direction, out);
                if left > 0 {
                    return self.head_hidden(direction, out);
                }
            }
            Skipped::PresumablyEnded => self.body_presumably_ended(direction, out),
            Skipped::Lost => self.body_lost(direction, out),
        }
        None
    }

    /// Part of a body was missed, which may be that of a call.
    fn messages_missed(&mut self, direction: Direction) {
        let request = match direction {
            Direction::Request => self.sending.and_then(|id| self.flight.latest(id)),
            Direction::Response => self.flight.oldest(),
        };
        let Some(request) = request else { return };
        if let Some(rpc) = request.call.as_deref_mut() {
            rpc.call.messages(direction).lose();
        }
        if let Some(answers) = request.answers.as_deref_mut() {
            answers.lose(direction);
        }
    }

    /// Reads what belongs nobody knows where: to a new message, if an operation begins with one.
    fn unknown(&mut self, direction: Direction, bytes: &[u8], fresh: bool) -> Step {
        // While nothing else can be answered, what looks like a response is part of one.
        let open = direction == Direction::Request || !self.flight.answering() || !self.pairing.counts();
        let lane = self.lane(direction);
        if fresh && open && lane.resumes(bytes) {
            lane.expect();
            return Step::Read(0);
        }
        self.touch(direction);
        match direction {
            Direction::Request => self.pairing.requests_hidden(),
            // (A response whose end is hidden goes on.)
            Direction::Response if self.flight.len() == 0 => self.pairing.responses_hidden(0),
            Direction::Response => {}
        }
        Step::Read(bytes.len())
    }

    /// The message in transfer goes on with the present operation.
    fn touch(&mut self, direction: Direction) {
        match direction {
            Direction::Request => {
                if let Some(request) = self.sending.and_then(|id| self.flight.latest(id)) {
                    request.marks.last = self.requests.operation;
                }
            }
            Direction::Response => {
                if let Some(answer) = self.flight.answer() {
                    answer.marks.last = self.responses.operation;
                }
            }
        }
    }

    /// A client that waited in vain for leave to send a body may go on with the next request instead.
    fn body_left_out(&mut self, direction: Direction, bytes: &[u8]) {
        if direction == Direction::Response || !std::mem::take(&mut self.awaits_leave) {
            return;
        }
        let answered = self.sending.is_none_or(|id| self.flight.latest(id).is_none());
        if answered && self.requests.resumes(bytes) {
            self.requests.expect();
            self.sending = None;
        }
    }
}

impl Parser for Http1 {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if self.http2.is_none() && !self.pairing.bytes(direction, mark, bytes.len()) {
            self.flight.forget(Reason::Unproven, out);
        }
        let fresh = self.lane(direction).begin(mark);
        self.body_left_out(direction, bytes);
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if let Some(http2) = &mut self.http2 {
                let here = Mark { position: mark.position.saturating_add(at as u64), ..*mark };
                return http2.data(direction, rest, &here, out);
            }
            let lane = self.lane(direction);
            let step = match lane.state {
                State::Head => {
                    let here = Mark { position: mark.position.saturating_add(at as u64), ..*mark };
                    self.head(direction, rest, here, out)
                }
                State::Body(_) => self.body(direction, rest, out),
                State::Unknown => self.unknown(direction, rest, fresh && at == 0),
            };
            match step {
                Step::Read(len) => at += len,
                Step::Stop(progress) => return progress,
            }
        }
        Progress::Continue
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if let Some(http2) = &mut self.http2 {
            return http2.gap(direction, len, mark, out);
        }
        self.lane(direction).begin(mark);
        if len == 0 {
            return Progress::Continue;
        }
        if !self.pairing.gap(direction, mark, len) {
            self.flight.forget(Reason::Unproven, out);
        }
        let left = match &mut self.lane(direction).state {
            State::Head => self.head_hidden(direction, out),
            State::Unknown => {
                self.unknown(direction, &[], false);
                None
            }
            State::Body(body) => {
                let skipped = body.skip(len);
                self.body_skipped(direction, skipped, out)
            }
        };
        left.unwrap_or(Progress::Continue)
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        if let Some(http2) = &mut self.http2 {
            return http2.end(direction, end, mark, out);
        }
        match (end, direction) {
            // What the client has still to say is nothing; the server may go on.
            (End::Finished, Direction::Request) => {
                self.client_finished = true;
                return self.requests.lose();
            }
            (End::Unwatched, _) => return self.flight.forget(Reason::Unwatched, out),
            _ => {}
        }
        // A body until close is complete when the server closes the connection, and not when it is reset.
        let role = self.settings.role;
        let cut = end.cuts(role);
        let closes = !cut || !matches!(self.responses.state, State::Body(Body::UntilClose));
        if self.flight.answering() && self.responses.end_is_hidden() && closes {
            self.flight.settle(out);
        }
        self.flight.fail(end.breaks(role, self.client_finished), mark.time, out);
    }

    fn under_way(&self, began: &Range<u64>, tell: &mut dyn FnMut(u64, Cow<'static, str>)) {
        match &self.http2 {
            Some(http2) => http2.under_way(began, tell),
            None => self.flight.under_way(began, tell),
        }
    }

    fn buffered(&self) -> usize {
        let http2 = self.http2.as_ref().map_or(0, |http2| size_of::<Http2>() + http2.buffered());
        self.requests.buffer.capacity() + self.responses.buffer.capacity() + self.flight.bytes() + http2
    }

    fn wants_more(&self) -> bool {
        let bodies = self.settings.rules.is_some_and(|rules| rules.reads(Direction::Response));
        bodies || self.pairing.wants_more() || self.http2.as_ref().is_some_and(|http2| http2.wants_more())
    }

    fn wants_requests(&self) -> bool {
        self.pairing.wants_requests() || self.settings.rules.is_some_and(|rules| rules.reads(Direction::Request))
    }
}
