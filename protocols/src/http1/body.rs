//! Message bodies: where they end (RFC 9112 §6, §7). What is in them is not looked at here.

/// How far a chunk size is read: 16 hexadecimal digits would overflow what a stream position can hold.
const MAX_SIZE_DIGITS: u8 = 15;
/// Most bytes of chunk extension or of trailers in one go, so that nonsense does not count as a body for ever.
const MAX_LINE: u32 = 64 * 1024;

/// How a message says its body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    Empty,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// When the connection closes.
    UntilClose,
    /// The message contradicts itself, or its head was not seen whole.
    Unknown,
}

/// A body in transfer.
#[derive(Debug)]
pub(super) enum Body {
    /// Bytes left.
    Length(u64),
    /// Chunks and trailers.
    Chunked(Chunks),
    /// Until the connection closes.
    UntilClose,
}

/// What bytes did to a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// All of them belong to it and more may follow.
    Within,
    /// It ended after so many of them.
    Ended(usize),
    /// They cannot be part of it.
    Invalid,
}

/// What a gap did to a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    /// More may follow, and where is still known.
    Within,
    /// It ended, and so many bytes of the gap are left over.
    Ended(u64),
    /// It surely ended if the writer wrote whole chunks: the hidden rest is as long as the last chunk, `0 CR LF CR LF`.
    PresumablyEnded,
    /// The gap hides where it goes on.
    Lost,
}

impl Body {
    /// Reads `bytes`, and shows the body's content among them to `content`.
    pub(super) fn feed(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Fed {
        match self {
            Body::Length(left) => match usize::try_from(*left) {
                Ok(left) if left <= bytes.len() => {
                    content(&bytes[..left]);
                    Fed::Ended(left)
                }
                _ => {
                    *left -= bytes.len() as u64;
                    content(bytes);
                    Fed::Within
                }
            },
            Body::Chunked(chunks) => chunks.feed(bytes, content),
            Body::UntilClose => {
                content(bytes);
                Fed::Within
            }
        }
    }

    pub(super) fn skip(&mut self, len: u64) -> Skipped {
        match self {
            Body::Length(left) if *left <= len => Skipped::Ended(len - *left),
            Body::Length(left) => {
                *left -= len;
                Skipped::Within
            }
            Body::Chunked(chunks) => chunks.skip(len),
            Body::UntilClose => Skipped::Within,
        }
    }
}

/// Where in a chunked body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the size, after so many digits.
    Size(u8),
    /// In the extension, or in white space after the size.
    Extension,
    /// Before the line feed that ends the size line.
    SizeEnd,
    /// In the data, so many bytes before its end.
    Data(u64),
    /// Before the line end after the data.
    DataEnd,
    /// Before the line feed after the data.
    DataFeed,
    /// At the start of a trailer line, or of the empty line that ends it all.
    TrailerStart,
    /// In a trailer line.
    Trailer,
    /// Before the very last line feed.
    LastFeed,
}

/// A chunked body (RFC 9112 §7.1).
#[derive(Debug)]
pub(super) struct Chunks {
    place: Place,
    size: u64,
    line: u32,
    /// Bytes of data so far.
    pub total: u64,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { place: Place::Size(0), size: 0, line: 0, total: 0 }
    }

    fn feed(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Fed {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Place::Data(left) = self.place {
                let here = left.min((bytes.len() - at) as u64);
                self.data(left, here);
                content(&bytes[at..at + here as usize]);
                at += here as usize;
                continue;
            }
            at += 1;
            match self.step(*byte) {
                Some(true) => return Fed::Ended(at),
                Some(false) => {}
                None => return Fed::Invalid,
            }
        }
        Fed::Within
    }

    /// Takes `here` of the `left` bytes of data.
    fn data(&mut self, left: u64, here: u64) {
        self.total = self.total.saturating_add(here);
        self.place = if left == here { Place::DataEnd } else { Place::Data(left - here) };
    }

    /// One byte outside data: whether it was the last of the body, `None` if it cannot be here. A line feed alone ends
    /// a line (RFC 9112 §2.2).
    fn step(&mut self, byte: u8) -> Option<bool> {
        self.line += 1;
        if self.line > MAX_LINE {
            return None;
        }
        self.place = match (self.place, byte) {
            (Place::Size(digits), _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16)?;
                self.size = self.size << 4 | u64::from(digit);
                // Leading zeroes are many but harmless.
                let digits = if self.size == 0 { 1 } else { digits + 1 };
                (digits <= MAX_SIZE_DIGITS).then_some(Place::Size(digits))?
            }
            (Place::Size(0), _) => return None,
            (Place::Size(_) | Place::Extension | Place::SizeEnd, b'\n') => self.size_line_ended(),
            (Place::Size(_) | Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Size(_), b';' | b' ' | b'\t') | (Place::Extension, _) => Place::Extension,
            (Place::DataEnd, b'\r') => Place::DataFeed,
            (Place::DataEnd | Place::DataFeed, b'\n') => Place::Size(0),
            (Place::TrailerStart, b'\r') => Place::LastFeed,
            (Place::TrailerStart | Place::LastFeed, b'\n') => return Some(true),
            (Place::Trailer, b'\n') => Place::TrailerStart,
            (Place::TrailerStart | Place::Trailer, _) => Place::Trailer,
            _ => return None,
        };
        Some(false)
    }

    fn size_line_ended(&mut self) -> Place {
        self.line = 0;
        match std::mem::take(&mut self.size) {
            0 => Place::TrailerStart,
            size => Place::Data(size),
        }
    }

    /// Data and the line end after it have a known length; all else has not.
    fn skip(&mut self, mut len: u64) -> Skipped {
        if let Place::Data(left) = self.place {
            let here = left.min(len);
            self.data(left, here);
            len -= here;
        }
        for (from, to) in [(Place::DataEnd, Place::DataFeed), (Place::DataFeed, Place::Size(0))] {
            if len > 0 && self.place == from {
                self.place = to;
                len -= 1;
            }
        }
        match (self.place, len) {
            (_, 0) => Skipped::Within,
            (Place::Size(0), 5) => Skipped::PresumablyEnded,
            _ => Skipped::Lost,
        }
    }
}
