//! Bodies in frames of one length, of which an operation moves more than is captured.
//!
//! A sender cuts a large body into frames of equal length. Where a gap hides their headers, the next header that can be
//! seen stands where counting says, or the lengths were not equal: so it is looked at, never assumed. And a response of
//! which `Content-Length` says that its last byte was the operation's last is over, though the frame that said so is
//! hidden.

use super::Http2;
use super::frame::{self, HEADER, Header};
use super::lane::{Lane, State};
use crate::Direction;
use crate::exchange::Output;

/// Shorter frames say too little by their length.
const MIN_LEN: u32 = 512;

/// How a body went on before its frames were hidden.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cadence {
    stream: u32,
    /// Bytes of payload of each frame.
    len: u32,
    /// Position behind the last frame that was seen.
    end: u64,
    /// Bytes of the body up to there, if none was missed.
    bytes: Option<u64>,
}

impl Cadence {
    /// How many frames lie between the last one seen and the first that begins at `position` or later, and how many
    /// bytes after `position` that begins. `None` before the last one's end.
    fn next(&self, position: u64) -> Option<(u64, u64)> {
        let stride = HEADER as u64 + u64::from(self.len);
        let passed = position.checked_sub(self.end)?;
        let frames = passed.div_ceil(stride);
        Some((frames, frames * stride - passed))
    }

    /// Whether this header goes on as before: the same stream's data, in a frame as long, or shorter at the end.
    fn fits(&self, header: &Header) -> bool {
        let same = header.kind == frame::DATA && header.stream == self.stream && header.is_usual();
        same && !header.has(frame::PADDED) && header.len <= self.len
    }

    /// Whether a body of `length` bytes and nothing else has passed after `hidden` bytes more. Its end may be an empty
    /// frame of its own.
    fn ends_after(&self, hidden: u64, length: u64) -> bool {
        let Some(rest) = self.bytes.and_then(|bytes| length.checked_sub(bytes)) else { return false };
        let headers = rest.div_ceil(u64::from(self.len)) * HEADER as u64;
        rest + headers == hidden || rest + headers + HEADER as u64 == hidden
    }
}

impl Http2 {
    /// `len` bytes at `position` were missed, and no frame's payload was passing.
    pub(super) fn gap_between_frames(&mut self, direction: Direction, len: u64, position: u64, out: &mut Vec<Output>) {
        if let State::Header(passed) = self.lane(direction).state {
            // Some bytes of a header are known, which say nothing.
            let passed = passed as u64;
            return self.frames_hidden(direction, position.saturating_sub(passed), len.saturating_add(passed), out);
        }
        self.wants_more = true;
        if !self.body_ends(direction, position.saturating_add(len), out) {
            self.lost(direction, out);
        }
    }

    /// What follows the frame that has just passed, `hidden` bytes at `position`, was not captured.
    pub(super) fn frames_hidden(&mut self, direction: Direction, position: u64, hidden: u64, out: &mut Vec<Output>) {
        self.wants_more = true;
        let cadence = self.cadence(direction, position);
        self.lane(direction).cadence = cadence;
        if !self.body_ends(direction, position.saturating_add(hidden), out) {
            self.lost(direction, out);
        }
    }

    fn cadence(&mut self, direction: Direction, end: u64) -> Option<Cadence> {
        let Lane { frame: header, padding, .. } = *self.lane(direction);
        let plain = header.kind == frame::DATA && padding == Some(0) && header.len >= MIN_LEN;
        let stream = self.streams.get(header.stream).filter(|_| plain)?;
        Some(Cadence { stream: header.stream, len: header.len, end, bytes: stream.body(direction).length() })
    }

    /// Ends the response of which the last byte is known to be the one before `position`. Where frames begin is known
    /// again then.
    pub(super) fn body_ends(&mut self, direction: Direction, position: u64, out: &mut Vec<Output>) -> bool {
        let Some(cadence) = self.lane(direction).cadence.filter(|_| direction == Direction::Response) else {
            return false;
        };
        let hidden = position.saturating_sub(cadence.end);
        let Some(stream) = self.streams.get(cadence.stream) else { return false };
        let Some(length) = stream.length.filter(|length| cadence.ends_after(hidden, *length)) else { return false };
        let operation = self.responses.operation;
        stream.received.restore(length);
        if let Some(marks) = &mut stream.response {
            marks.last = operation;
        }
        self.responses.reads_on();
        self.streams.finish(cadence.stream, operation.time, None, out);
        true
    }

    /// Where in an operation's bytes, which begin at `position`, the header of a frame stands that goes on as before.
    pub(super) fn goes_on(&mut self, direction: Direction, bytes: &[u8], position: u64) -> Option<usize> {
        let cadence = self.lane(direction).cadence?;
        let (frames, offset) = cadence.next(position)?;
        let offset = usize::try_from(offset).ok()?;
        let header = bytes.get(offset..)?.first_chunk::<HEADER>().map(Header::read)?;
        let stream = self.streams.get(cadence.stream).filter(|_| cadence.fits(&header));
        let Some(stream) = stream else {
            self.lane(direction).cadence = None;
            return None;
        };
        if let Some(bytes) = cadence.bytes {
            stream.body(direction).restore(bytes + frames * u64::from(cadence.len));
        }
        Some(offset)
    }
}
