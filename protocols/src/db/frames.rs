//! Messages with their length in front, across operations and gaps.

use std::borrow::Cow;

use crate::exchange::Mark;

/// Longest head of any protocol: memcached's.
const MAX_HEAD: usize = 24;

/// What a protocol's frames look like. The functions are given a whole head.
pub(crate) struct Layout {
    /// Length of the head, bytes.
    pub head: usize,
    /// Length of what follows the head, or `None` if this is no head.
    pub length: fn(&[u8]) -> Option<u64>,
    /// How many of those bytes are of interest.
    pub keep: fn(&[u8]) -> usize,
}

/// One message.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    head: [u8; MAX_HEAD],
    /// The first bytes behind the head: as many as are of interest, or fewer if a gap hides the rest.
    pub body: Cow<'a, [u8]>,
    /// Bytes behind the head on the wire.
    pub len: u64,
    /// Where it begins.
    pub first: Mark,
}

impl Frame<'_> {
    /// The head.
    pub(crate) fn head(&self) -> &[u8; MAX_HEAD] {
        &self.head
    }

    /// Whether `body` is all of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.body.len() as u64 == self.len
    }
}

/// What became of some bytes.
pub(crate) enum Read<'a> {
    /// They are read; the message is not complete.
    More,
    /// So many of them complete a message.
    Frame(usize, Frame<'a>),
    /// They are no head where one was expected.
    Invalid,
}

/// What a gap did.
pub(crate) enum Skip {
    /// It lies within a message.
    Within,
    /// It completes a message; what it hides beyond, if so, is unknown.
    Ended(Frame<'static>, bool),
    /// It hides where messages begin.
    Lost,
}

#[derive(Debug)]
struct Body {
    len: u64,
    left: u64,
    keep: usize,
    kept: Vec<u8>,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    head: [u8; MAX_HEAD],
    have: usize,
    body: Option<Body>,
    first: Mark,
    /// The operation that is being read. Its `position` is where the operation's bytes begin.
    pub operation: Mark,
    /// Where the next message begins is not known.
    pub lost: bool,
    /// Where a message begins was once unknown, so that nonsense in its place says little.
    pub doubtful: bool,
    seen: bool,
}

impl Lane {
    /// Notes which operation moves what comes next, and says whether that is a new one: what was captured of an
    /// operation and the gap after it are one.
    pub(crate) fn begin(&mut self, mark: &Mark) -> bool {
        let same = self.seen && self.operation.time == mark.time && self.operation.unit == mark.unit;
        if !same {
            self.operation = *mark;
            self.seen = true;
        }
        !same
    }

    /// Bytes held.
    pub(crate) fn held(&self) -> usize {
        self.body.as_ref().map_or(0, |b| b.kept.capacity())
    }

    /// Whether no message is in transfer.
    pub(crate) fn at_boundary(&self) -> bool {
        !self.lost && self.have == 0 && self.body.is_none()
    }

    /// The head of the message in transfer, if it is complete.
    pub(crate) fn open_head(&self) -> Option<&[u8]> {
        self.body.as_ref().map(|_| &self.head[..self.have])
    }

    /// Where the message in transfer began.
    pub(crate) fn open_first(&self) -> Mark {
        self.first
    }

    /// Forgets where messages begin.
    pub(crate) fn lose(&mut self) {
        *self = Self { operation: self.operation, seen: self.seen, lost: true, doubtful: true, ..Self::default() };
    }

    /// The next byte begins a message: something other than this direction's own bytes says so.
    pub(crate) fn expect(&mut self) {
        if !self.at_boundary() {
            self.lose();
            self.lost = false;
        }
    }

    /// Reads the next message, or a part of it, from the start of `bytes`, which begin at `here`.
    pub(crate) fn read<'a>(&mut self, layout: &Layout, bytes: &'a [u8], here: Mark) -> Read<'a> {
        let mut at = 0;
        if self.body.is_none() {
            if self.have == 0 {
                self.first = here;
            }
            at = bytes.len().min(layout.head - self.have);
            self.head[self.have..self.have + at].copy_from_slice(&bytes[..at]);
            self.have += at;
            if self.have < layout.head {
                return Read::More;
            }
            let head = &self.head[..layout.head];
            let Some(len) = (layout.length)(head) else { return Read::Invalid };
            let keep = (layout.keep)(head).min(usize::try_from(len).unwrap_or(usize::MAX));
            if let Some(body) = usize::try_from(len).ok().and_then(|len| bytes.get(at..at.checked_add(len)?)) {
                let frame = Frame { head: self.head, body: Cow::Borrowed(&body[..keep]), len, first: self.first };
                self.have = 0;
                return Read::Frame(at + body.len(), frame);
            }
            self.body = Some(Body { len, left: len, keep, kept: Vec::new() });
        }
        self.more(&bytes[at..], at)
    }

    fn more<'a>(&mut self, bytes: &'a [u8], before: usize) -> Read<'a> {
        let Some(body) = &mut self.body else { return Read::More };
        let here = bytes.len().min(usize::try_from(body.left).unwrap_or(usize::MAX));
        let wanted = here.min(body.keep - body.kept.len());
        body.kept.extend_from_slice(&bytes[..wanted]);
        body.left -= here as u64;
        if body.left > 0 {
            return Read::More;
        }
        match self.take() {
            Some(frame) => Read::Frame(before + here, frame),
            None => Read::More,
        }
    }

    fn take(&mut self) -> Option<Frame<'static>> {
        let body = self.body.take()?;
        self.have = 0;
        Some(Frame { head: self.head, body: Cow::Owned(body.kept), len: body.len, first: self.first })
    }

    /// A gap of `len` bytes.
    pub(crate) fn skip(&mut self, len: u64) -> Skip {
        let Some(body) = &mut self.body else { return Skip::Lost };
        // What comes behind the gap does not follow what came before it.
        body.keep = body.kept.len();
        if len < body.left {
            body.left -= len;
            return Skip::Within;
        }
        let beyond = len > body.left;
        match self.take() {
            Some(frame) => Skip::Ended(frame, beyond),
            None => Skip::Lost,
        }
    }
}
