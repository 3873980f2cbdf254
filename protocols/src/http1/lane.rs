//! One direction of a connection: where in which message the next byte is.

use super::body::{Body, Chunks, Framing};
use super::start_line;
use crate::Direction;
use crate::exchange::Mark;

/// Longest head. Servers refuse much shorter ones: nginx 32 KiB, Apache 8 KiB a line, Node 16 KiB.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// Where the next byte belongs.
#[derive(Debug)]
pub(super) enum State {
    /// To a message's head, whose beginning may be in [`Lane::buffer`].
    Head,
    /// To a body whose end will be known.
    Body(Body),
    /// Nobody knows. The next operation that begins with a start line begins a message.
    Unknown,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Lane {
    pub direction: Direction,
    pub state: State,
    /// A head of which the end is yet to come.
    pub buffer: Vec<u8>,
    /// So many bytes of `buffer` were found to be the beginning of a start line; all of it, once its end is there.
    looked: usize,
    /// Where the head in `buffer` began.
    pub first: Mark,
    /// The operation that is being read. Its `position` is where the operation's bytes begin.
    pub operation: Mark,
    /// Where a message begins was once unknown, so that nonsense in its place says little.
    pub doubtful: bool,
    seen: bool,
}

impl Lane {
    pub(super) fn new(direction: Direction) -> Self {
        let (first, operation) = Default::default();
        let (state, buffer, looked) = (State::Head, Vec::new(), 0);
        Self { direction, state, buffer, looked, first, operation, doubtful: false, seen: false }
    }

    /// Keeps the beginning of a head.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.looked = if bytes.contains(&b'\n') { usize::MAX } else { bytes.len() };
    }

    /// Whether `buffer`, of which the bytes from `before` on are new, may still be the beginning of a head. Its start line
    /// is looked at when twice as much of it is there, and when it ends: so each byte is looked at a few times, however
    /// many operations bring them.
    pub(super) fn sound(&mut self, before: usize) -> bool {
        let len = self.buffer.len();
        let ends = self.buffer[before..].contains(&b'\n');
        let due = self.looked != usize::MAX && (ends || len / 2 >= self.looked);
        if due {
            self.looked = if ends { usize::MAX } else { len };
        }
        len < MAX_HEAD && (!due || start_line::plausible(self.direction, &self.buffer))
    }

    /// Notes which operation moves what comes next, and says whether that is a new one: what was captured of an
    /// operation and the gap after it are one.
    pub(super) fn begin(&mut self, mark: &Mark) -> bool {
        let same = self.seen && self.operation.time == mark.time && self.operation.unit == mark.unit;
        if !same {
            self.operation = *mark;
            self.seen = true;
        }
        !same
    }

    /// What comes after a head.
    pub(super) fn after_head(&mut self, framing: Framing) {
        self.state = match framing {
            Framing::Empty => State::Head,
            Framing::Length(left) => State::Body(Body::Length(left)),
            Framing::Chunked => State::Body(Body::Chunked(Chunks::new())),
            Framing::UntilClose => State::Body(Body::UntilClose),
            Framing::Unknown => return self.lose(),
        };
    }

    /// Forgets where messages begin.
    pub(super) fn lose(&mut self) {
        self.state = State::Unknown;
        self.buffer = Vec::new();
        self.doubtful = true;
    }

    /// The next byte begins a message: something other than this direction's own bytes says so.
    pub(super) fn expect(&mut self) {
        if !matches!(self.state, State::Head) {
            self.state = State::Head;
            self.doubtful = true;
        }
    }

    /// Whether an operation's first bytes show that a message begins where nobody knew.
    pub(super) fn resumes(&self, bytes: &[u8]) -> bool {
        start_line::certain(self.direction, bytes)
    }

    /// Whether the end of the message in transfer is not marked in its bytes.
    pub(super) fn end_is_hidden(&self) -> bool {
        matches!(self.state, State::Unknown | State::Body(Body::UntilClose))
    }
}
