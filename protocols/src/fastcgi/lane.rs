//! One direction of a connection: where in which record the next byte belongs.

use super::record::{HEAD, Head};
use crate::Direction;
use crate::exchange::{Mark, Marks};

/// Where the next byte belongs.
#[derive(Clone, Copy, Debug)]
enum State {
    /// To a record's head, of which so many bytes are here.
    Head(usize),
    /// To a record's content, of which so much is yet to come, or to the padding behind it.
    Record { head: Head, content: u16, padding: u8 },
    /// Nobody knows.
    Unknown,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Lane {
    direction: Direction,
    state: State,
    /// The head, or the content of a short record, as far as it is here.
    short: [u8; HEAD],
    /// Not all of that content is.
    cut: bool,
    /// Where the record in transfer began.
    pub first: Mark,
    /// The operation that is being read.
    pub operation: Mark,
    /// Where a record begins was once unknown, so that nonsense in its place says little.
    pub doubtful: bool,
    seen: bool,
}

/// What some bytes are.
pub(super) enum Piece<'a> {
    /// Nothing by themselves.
    Nothing,
    /// Content of a record, and whether that is all of it.
    Content(Head, &'a [u8], bool),
    /// No record.
    Invalid,
}

/// What some bytes are that nobody saw.
pub(super) enum Hidden {
    /// Nothing by themselves.
    Nothing,
    /// So much content of a record, and whether that is the end of it.
    Content(Head, u64, bool),
    /// Records begin among them.
    Lost,
}

impl Lane {
    pub(super) fn new(direction: Direction, doubtful: bool) -> Self {
        let (first, operation) = Default::default();
        let (state, short) = (State::Head(0), [0; HEAD]);
        Self { direction, state, short, cut: false, first, operation, doubtful, seen: false }
    }

    /// Notes which operation moves what comes next, and says whether that is a new one.
    pub(super) fn begin(&mut self, mark: &Mark) -> bool {
        let same = self.seen && self.operation.time == mark.time && self.operation.unit == mark.unit;
        if !same {
            self.operation = *mark;
            self.seen = true;
        }
        !same
    }

    /// From the record in transfer to the present operation.
    pub(super) fn marks(&self) -> Marks {
        Marks { first: self.first, last: self.operation }
    }

    /// Whether it is not known where the next byte belongs.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.state, State::Unknown)
    }

    /// Whether the next byte begins a record.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.state, State::Head(0))
    }

    /// Forgets where records begin.
    pub(super) fn lose(&mut self) {
        (self.state, self.doubtful) = (State::Unknown, true);
    }

    /// The next byte begins a record.
    pub(super) fn expect(&mut self) {
        self.state = State::Head(0);
    }

    /// Content of the short record that ended, if all of it was seen.
    pub(super) fn short(&self) -> Option<[u8; HEAD]> {
        (!self.cut).then_some(self.short)
    }

    /// Reads some of `bytes`, which are not empty and begin at `here`; says how many.
    pub(super) fn read<'a>(&mut self, bytes: &'a [u8], here: Mark) -> (usize, Piece<'a>) {
        match self.state {
            State::Head(have) => {
                if have == 0 {
                    self.first = here;
                }
                let taken = bytes.len().min(HEAD - have);
                self.short[have..have + taken].copy_from_slice(&bytes[..taken]);
                self.state = State::Head(have + taken);
                if have + taken < HEAD {
                    return (taken, Piece::Nothing);
                }
                let Some(head) = Head::parse(self.short, self.direction) else { return (taken, Piece::Invalid) };
                self.cut = false;
                self.pass(head, head.len, head.padding);
                let piece = if head.len == 0 { Piece::Content(head, &[], true) } else { Piece::Nothing };
                (taken, piece)
            }
            State::Record { head, content: 0, padding } => {
                let taken = bytes.len().min(usize::from(padding));
                self.pass(head, 0, padding - taken as u8);
                (taken, Piece::Nothing)
            }
            State::Record { head, content, padding } => {
                let taken = bytes.len().min(usize::from(content));
                if head.kind.is_short() {
                    let from = usize::from(head.len - content);
                    self.short[from..from + taken].copy_from_slice(&bytes[..taken]);
                }
                let left = content - taken as u16;
                self.pass(head, left, padding);
                (taken, Piece::Content(head, &bytes[..taken], left == 0))
            }
            State::Unknown => (bytes.len(), Piece::Nothing),
        }
    }

    /// Passes some of `len` bytes, not 0, that nobody saw; says how many.
    pub(super) fn skip(&mut self, len: u64) -> (u64, Hidden) {
        match self.state {
            State::Head(_) => (len, Hidden::Lost),
            State::Record { head, content: 0, padding } => {
                let passed = len.min(u64::from(padding));
                self.pass(head, 0, padding - passed as u8);
                (passed, Hidden::Nothing)
            }
            State::Record { head, content, padding } => {
                let passed = len.min(u64::from(content));
                self.cut = true;
                let left = content - passed as u16;
                self.pass(head, left, padding);
                (passed, Hidden::Content(head, passed, left == 0))
            }
            State::Unknown => (len, Hidden::Nothing),
        }
    }

    /// So much of a record is yet to come.
    fn pass(&mut self, head: Head, content: u16, padding: u8) {
        let over = content == 0 && padding == 0;
        self.state = if over { State::Head(0) } else { State::Record { head, content, padding } };
    }
}
