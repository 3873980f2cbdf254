//! One direction of a connection: where in which frame the next byte belongs.

use super::frame::{Head, Kind};
use crate::exchange::Mark;

/// Most bytes of a method or header frame that are kept. What exceeds them is passed over.
pub(super) const MAX_KEPT: usize = 64 * 1024;

/// A frame in transfer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub head: Head,
    /// Bytes of the payload that are yet to come.
    pub left: u64,
    /// Not all of the payload was kept.
    pub cut: bool,
}

/// Where the next byte belongs.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// To the head of a frame, whose beginning may be in [`Lane::buffer`].
    Head,
    /// To the payload of a frame; that of methods and headers is kept in [`Lane::buffer`].
    Payload(Frame),
    /// It is the byte after a payload.
    End(Frame),
    /// Nobody knows. The next operation that begins with a whole frame begins one.
    Unknown,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Lane {
    pub state: State,
    /// Bytes of the frame in transfer.
    pub buffer: Vec<u8>,
    /// Where the frame in transfer begins.
    pub first: Mark,
    /// The operation that is being read.
    pub operation: Mark,
    /// Where the present frame begins is not proven by the end of the one before it.
    pub doubtful: bool,
    /// The channel whose content was in transfer last.
    pub content: u16,
    seen: bool,
}

impl Lane {
    pub(super) fn new() -> Self {
        let (first, operation) = Default::default();
        let (state, buffer) = (State::Head, Vec::new());
        Self { state, buffer, first, operation, doubtful: true, content: 0, seen: false }
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

    /// A frame's head was read.
    pub(super) fn open(&mut self, head: Head) {
        self.buffer.clear();
        if matches!(head.kind, Kind::Header | Kind::Body) {
            self.content = head.channel;
        }
        let frame = Frame { head, left: u64::from(head.size), cut: false };
        self.state = if frame.left == 0 { State::End(frame) } else { State::Payload(frame) };
    }

    /// `len` bytes of the payload passed; `kept` of a method or header, if they were seen.
    pub(super) fn payload(&mut self, mut frame: Frame, len: u64, kept: Option<&[u8]>) {
        frame.left -= len;
        if frame.head.kind != Kind::Body {
            match kept.filter(|kept| !frame.cut && self.buffer.len() + kept.len() <= MAX_KEPT) {
                Some(kept) => self.buffer.extend_from_slice(kept),
                None => frame.cut = true,
            }
        }
        self.state = if frame.left == 0 { State::End(frame) } else { State::Payload(frame) };
    }

    /// Size of the frame in transfer, 0 between frames.
    pub(super) fn frame_size(&self) -> u32 {
        match self.state {
            State::Payload(frame) | State::End(frame) => frame.head.size,
            State::Head | State::Unknown => 0,
        }
    }

    /// The byte behind a payload passed.
    pub(super) fn close(&mut self) -> Vec<u8> {
        self.state = State::Head;
        std::mem::take(&mut self.buffer)
    }

    /// Forgets where frames begin.
    pub(super) fn lose(&mut self) {
        (self.state, self.buffer, self.doubtful) = (State::Unknown, Vec::new(), true);
    }
}
