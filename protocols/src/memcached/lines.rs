//! Lines, and blocks of data whose length a line tells.

use std::borrow::Cow;

use crate::exchange::Mark;

/// Longest line: many keys at once.
const MAX_LINE: usize = 64 * 1024;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// Bytes left of a block of data, its line end included.
    pub data: Option<u64>,
    pub first: Mark,
    pub operation: Mark,
    seen: bool,
    /// Where the next line begins is not known.
    pub lost: bool,
    /// That was so once.
    pub doubtful: bool,
}

/// What became of some bytes.
pub(super) enum Piece<'a> {
    More,
    /// A line, without its end.
    Line(Cow<'a, [u8]>),
    /// A block of data ended.
    Data,
    Invalid,
}

impl Lines {
    pub(super) fn held(&self) -> usize {
        self.line.capacity()
    }

    pub(super) fn begin(&mut self, mark: &Mark) -> bool {
        let same = self.seen && self.operation.time == mark.time && self.operation.unit == mark.unit;
        if !same {
            self.operation = *mark;
            self.seen = true;
        }
        !same
    }

    pub(super) fn at_boundary(&self) -> bool {
        self.line.is_empty() && self.data.is_none()
    }

    pub(super) fn lose(&mut self) {
        *self = Self { operation: self.operation, seen: self.seen, lost: true, doubtful: true, ..Self::default() };
    }

    pub(super) fn expect(&mut self) {
        if self.lost || !self.at_boundary() {
            self.lose();
            self.lost = false;
        }
    }

    pub(super) fn read<'a>(&mut self, bytes: &'a [u8]) -> (usize, Piece<'a>) {
        if let Some(left) = self.data {
            let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.data = Some(left - taken as u64).filter(|left| *left > 0);
            return (taken, if self.data.is_some() { Piece::More } else { Piece::Data });
        }
        let end = bytes.iter().position(|b| *b == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if self.line.len() + taken > MAX_LINE {
            return (taken, Piece::Invalid);
        }
        if end.is_none() {
            self.line.extend_from_slice(bytes);
            return (taken, Piece::More);
        }
        let line: Cow<'a, [u8]> = if self.line.is_empty() {
            Cow::Borrowed(&bytes[..taken])
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..taken]);
            Cow::Owned(line)
        };
        let len = line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).map_or(0, <[u8]>::len);
        if line[..len].iter().any(|b| *b < b' ') {
            return (taken, Piece::Invalid);
        }
        let line = match line {
            Cow::Borrowed(line) => Cow::Borrowed(&line[..len]),
            Cow::Owned(mut line) => {
                line.truncate(len);
                Cow::Owned(line)
            }
        };
        (taken, Piece::Line(line))
    }

    /// `len` bytes were not captured: whether it is still known where lines begin, and whether data ended.
    pub(super) fn skip(&mut self, len: u64) -> (bool, bool) {
        match self.data {
            Some(left) if len <= left => {
                self.data = Some(left - len).filter(|left| *left > 0);
                (true, self.data.is_none())
            }
            _ => (false, false),
        }
    }
}
