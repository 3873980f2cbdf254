//! Protocols with one request at a time on a connection: its variables, its body, and the response until that is over.
//!
//! # Gaps
//!
//! Where the response begins and ends is told by the connection, so a gap hides nothing but what it holds: variables before
//! it count, and a status behind it is unknown.

use std::borrow::Cow;
use std::ops::Range;

use super::call::Failure;
use super::{Call, Variables};
use crate::exchange::{Mark, Marks, Output, Reason, Started};
use crate::{Direction, End, Parser, Progress, Settings};

/// What a protocol's variables look like.
#[derive(Debug)]
pub(crate) struct Layout {
    /// How many bytes hold all variables, from the first of the request on, and where among them these begin and end.
    pub place: fn(&[u8]) -> Place,
    /// Tells variables, as far as they are whole.
    pub each: for<'a> fn(&'a [u8], &mut Variables<'a>),
}

/// Where a request's variables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// There, and so many bytes come before the body.
    At { from: usize, to: usize, end: usize },
    /// More bytes are needed.
    NeedMore,
    /// This is no request.
    Invalid,
}

/// What the client's next byte is.
#[derive(Debug)]
enum State {
    /// Part of a request's variables, of which these bytes are here.
    Variables(Vec<u8>),
    /// Part of its body, or nobody cares.
    Body,
    /// Nobody knows.
    Unknown,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Single {
    settings: Settings,
    layout: &'static Layout,
    next_id: u64,
    state: State,
    /// Where the request begins, and where the response does.
    first: [Mark; 2],
    /// The operation that is being read, of each direction.
    operation: [Option<Mark>; 2],
    call: Option<Box<Call>>,
    client_finished: bool,
}

impl Single {
    /// A parser that has seen nothing.
    pub(crate) fn new(settings: Settings, layout: &'static Layout) -> Self {
        let (first, operation) = Default::default();
        let state = State::Variables(Vec::new());
        Self { settings, layout, next_id: 0, state, first, operation, call: None, client_finished: false }
    }

    /// Notes which operation moves what comes next.
    fn begin(&mut self, direction: Direction, mark: &Mark) {
        let operation = &mut self.operation[direction as usize];
        if operation.is_none_or(|before| before.time != mark.time || before.unit != mark.unit) {
            *operation = Some(*mark);
        }
    }

    /// From the first byte of a message to the present operation.
    fn marks(&self, direction: Direction) -> Marks {
        let first = self.first[direction as usize];
        Marks { first, last: self.operation[direction as usize].unwrap_or(first) }
    }

    /// What the client said.
    fn request(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        let marks = self.marks(Direction::Request);
        let State::Variables(buffer) = &mut self.state else {
            if let Some(call) = &mut self.call {
                call.touch(Direction::Request, marks);
            }
            return Progress::Continue;
        };
        if buffer.is_empty() {
            self.first[Direction::Request as usize] = *mark;
        }
        buffer.extend_from_slice(bytes);
        match (self.layout.place)(buffer) {
            Place::NeedMore => Progress::Continue,
            Place::Invalid => {
                self.state = State::Unknown;
                Progress::LostSync
            }
            Place::At { end, .. } if buffer.len() < end => Progress::Continue,
            Place::At { from, to, .. } => {
                let buffer = std::mem::take(buffer);
                self.start(&buffer[from..to], false, out);
                Progress::Continue
            }
        }
    }

    /// The variables are here, or as many as will ever be.
    fn start(&mut self, bytes: &[u8], cut: bool, out: &mut Vec<Output>) {
        self.state = State::Body;
        let marks = self.marks(Direction::Request);
        let mut variables = Variables::new(cut);
        (self.layout.each)(bytes, &mut variables);
        let id = self.next_id;
        self.next_id += 1;
        if cut && !variables.is_request() {
            let kind = self.settings.role.into();
            out.push(Output::Started(Started::call(id, marks, kind, None, false)));
            out.push(Output::Dropped { id, reason: Reason::Gap });
            return;
        }
        self.call = Some(Box::new(Call::start(id, marks, &variables, &self.settings, out)));
    }

    /// So many bytes of the response passed, which may have been seen.
    fn response(&mut self, bytes: Result<&[u8], u64>, mark: &Mark, out: &mut Vec<Output>) {
        if self.call.as_ref().is_some_and(|call| !call.is_answered()) {
            self.first[Direction::Response as usize] = *mark;
        }
        let marks = self.marks(Direction::Response);
        let Some(call) = &mut self.call else { return };
        match bytes {
            Ok(bytes) => {
                call.touch(Direction::Response, marks);
                call.document.feed(bytes);
            }
            Err(len) => {
                call.pass(Direction::Response, marks);
                call.document.skip(len);
            }
        }
        if call.document.is_complete() {
            self.settle(out);
            // Whoever goes on, goes on with a request.
            self.state = State::Variables(Vec::new());
        }
    }

    /// The response is over.
    fn settle(&mut self, out: &mut Vec<Output>) {
        if let Some(call) = self.call.take() {
            let end = call.last();
            out.push(call.conclude(self.settings.role, end, None));
        }
    }
}

impl Parser for Single {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.begin(direction, mark);
        match direction {
            Direction::Request => return self.request(bytes, mark, out),
            Direction::Response => self.response(Ok(bytes), mark, out),
        }
        Progress::Continue
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.begin(direction, mark);
        let marks = self.marks(direction);
        if direction == Direction::Response {
            self.response(Err(len), mark, out);
            return Progress::Continue;
        }
        match &mut self.state {
            State::Variables(buffer) if !buffer.is_empty() => {
                let buffer = std::mem::take(buffer);
                match (self.layout.place)(&buffer) {
                    Place::At { from, to, .. } => self.start(&buffer[from..to.min(buffer.len())], true, out),
                    Place::NeedMore | Place::Invalid => self.start(&[], true, out),
                }
            }
            State::Variables(_) if len > 0 => self.state = State::Unknown,
            State::Body => {
                if let Some(call) = &mut self.call {
                    call.touch(Direction::Request, marks);
                }
            }
            State::Variables(_) | State::Unknown => {}
        }
        Progress::Continue
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        match (end, direction) {
            (End::Finished, Direction::Request) => {
                self.client_finished = true;
                return;
            }
            (End::Unwatched, _) => {
                out.extend(self.call.take().map(|call| Output::Dropped { id: call.id, reason: Reason::Unwatched }));
                return;
            }
            _ => {}
        }
        // As in HTTP/1: what lasts until the connection is closed is complete then, and not when it is reset.
        let role = self.settings.role;
        let cut = end.cuts(role);
        if !cut && self.call.as_ref().is_some_and(|call| call.is_begun() && call.document.may_end()) {
            return self.settle(out);
        }
        if let Some(call) = self.call.take() {
            let failure = Failure::Broke(end.breaks(role, self.client_finished));
            out.push(call.conclude(role, mark.time, Some(failure)));
        }
    }

    fn under_way(&self, began: &Range<u64>, tell: &mut dyn FnMut(u64, Cow<'static, str>)) {
        if let Some(call) = &self.call {
            let (time, name) = call.under_way();
            if began.contains(&time) {
                tell(call.id, name);
            }
        }
    }

    fn buffered(&self) -> usize {
        let variables = if let State::Variables(buffer) = &self.state { buffer.capacity() } else { 0 };
        variables + self.call.as_ref().map_or(0, |call| call.weight() + call.document.held())
    }
}
