//! One direction of a connection: where in which frame the next byte is.

use super::cadence::Cadence;
use super::detect::PREFACE;
use super::frame::{self, HEADER, Header};
use super::hpack::Decoder;
use crate::Direction;
use crate::exchange::Mark;

/// Longest block of header fields that is read whole. Servers refuse much shorter ones.
pub(super) const MAX_BLOCK: usize = 64 * 1024;

/// Where the next byte belongs.
#[derive(Debug)]
pub(super) enum State {
    /// To the client's preface, of which so many bytes have passed.
    Preface(usize),
    /// To a frame's header, of which so many bytes have passed.
    Header(usize),
    /// To the payload of [`Lane::frame`], so many bytes before its end.
    Payload(u32),
    /// Nobody knows. The next operation that begins with believable frames is read.
    Lost,
}

/// A header block whose end is yet to come.
#[derive(Debug)]
pub(super) struct Block {
    /// The HEADERS or PUSH_PROMISE frame that it began with.
    pub header: Header,
    /// Where that began.
    pub first: Mark,
    pub bytes: Vec<u8>,
    /// Something after `bytes` was missed.
    pub cut: bool,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Lane {
    pub direction: Direction,
    pub state: State,
    /// The frame that is passing, from the end of its header on.
    pub frame: Header,
    /// Where it began.
    pub first: Mark,
    /// The beginning of its header, or as much of its payload as is of use.
    pub buffer: Vec<u8>,
    /// Padding of a DATA frame, once its length is known.
    pub padding: Option<u32>,
    /// What was wanted of the payload was missed.
    pub cut: bool,
    pub block: Option<Block>,
    pub decoder: Decoder,
    /// The decoder before frames were missed, until it is known whether there were heads among these.
    pub before_gap: Option<Decoder>,
    /// Decoders that there were before.
    decoders: u32,
    /// The operation that is being read. Its `position` is where the operation's bytes begin.
    pub operation: Mark,
    /// Frames were missed at some time, so that nonsense says little.
    pub doubtful: bool,
    /// Operations in a row in which no frame was found.
    pub misses: u32,
    /// How the body went on that was passing when frames were missed.
    pub cadence: Option<Cadence>,
    seen: bool,
    begun: bool,
}

/// Whether a frame is what a server sends first (RFC 9113 §3.4).
fn greets(header: &Header) -> bool {
    header.kind == frame::SETTINGS && !header.has(frame::ACK)
}

impl Lane {
    fn new(direction: Direction, state: State, decoder: Decoder, doubtful: bool) -> Self {
        Self {
            direction,
            state,
            frame: Header::read(&[0; HEADER]),
            first: Mark::default(),
            buffer: Vec::new(),
            padding: None,
            cut: false,
            block: None,
            decoder,
            before_gap: None,
            decoders: 0,
            operation: Mark::default(),
            doubtful,
            misses: 0,
            cadence: None,
            seen: false,
            begun: false,
        }
    }

    /// A direction of which the first byte decides whether it is read from its beginning.
    pub(super) fn unread(direction: Direction) -> Self {
        match direction {
            Direction::Request => Self::new(direction, State::Preface(0), Decoder::new(), false),
            Direction::Response => Self::new(direction, State::Header(0), Decoder::new(), false),
        }
    }

    /// Notes which operation moves what comes next, and says whether that is a new one: what was captured of an
    /// operation and the gap after it are one. The first says whether the connection's beginning was missed.
    pub(super) fn begin(&mut self, mark: &Mark, bytes: &[u8]) -> bool {
        let same = self.seen && self.operation.time == mark.time && self.operation.unit == mark.unit;
        if !same {
            self.operation = *mark;
        }
        if !self.seen {
            self.seen = true;
            // Unless it begins as RFC 9113 §3.4 says.
            let begins = match self.direction {
                Direction::Request => PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())]),
                Direction::Response => match bytes.first_chunk::<HEADER>().map(Header::read) {
                    Some(header) => greets(&header),
                    // `admit` will see.
                    None => true,
                },
            };
            if bytes.is_empty() || !begins {
                self.lose();
                self.before_gap = None;
            }
        }
        !same
    }

    /// Begins to read a frame, unless it cannot stand here.
    pub(super) fn admit(&mut self, header: Header) -> bool {
        let first = !std::mem::replace(&mut self.begun, true);
        if first && self.direction == Direction::Response && !self.doubtful && !greets(&header) {
            self.doubtful = true;
            return false;
        }
        self.padding = (!header.has(frame::PADDED)).then_some(0);
        self.cut = false;
        self.frame = header;
        match &self.block {
            Some(block) => header.kind == frame::CONTINUATION && header.stream == block.header.stream,
            None => header.kind != frame::CONTINUATION,
        }
    }

    /// Forgets where frames begin, and what heads may have inserted.
    pub(super) fn lose(&mut self) {
        self.state = State::Lost;
        self.buffer = Vec::new();
        self.block = None;
        self.doubtful = true;
        let before = self.forget_heads();
        self.before_gap.get_or_insert(before);
    }

    /// What heads have inserted so far is not known any more. Returns what was known.
    pub(super) fn forget_heads(&mut self) -> Decoder {
        self.decoders += 1;
        std::mem::replace(&mut self.decoder, Decoder::joined_late().numbered(self.decoders))
    }

    /// A frame begins with the next byte, whatever was not known before.
    pub(super) fn reads_on(&mut self) {
        self.state = State::Header(0);
        self.buffer = Vec::new();
        self.cadence = None;
        self.misses = 0;
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.capacity()
            + self.block.as_ref().map_or(0, |b| b.bytes.capacity())
            + self.decoder.bytes()
            + self.before_gap.as_ref().map_or(0, Decoder::bytes)
    }
}
