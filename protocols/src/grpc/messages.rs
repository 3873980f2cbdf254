//! Counts messages in the bytes of a body: each is a byte of flags, four of length, and so many bytes. What is in them
//! is not looked at, save the trailers that gRPC-Web puts there
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>).

use super::status::Code;

const PREFIX: u8 = 5;
/// The flag of a message that holds trailers.
const TRAILERS: u8 = 0x80;
/// Longest trailers that are read.
const MAX_TRAILERS: usize = 1024;

/// One direction of a call.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    prefix: [u8; PREFIX as usize],
    have: u8,
    /// Bytes left of the message that is passing.
    left: u32,
    count: u32,
    /// Where messages begin is not known any more.
    lost: bool,
    /// That is so because something passed that is no message.
    odd: bool,
    trailers: Option<Vec<u8>>,
}

impl Messages {
    /// Bytes of the body.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !self.lost && !bytes.is_empty() {
            if self.left > 0 {
                let here = bytes.len().min(self.left as usize);
                if let Some(trailers) = &mut self.trailers {
                    let room = MAX_TRAILERS - trailers.len().min(MAX_TRAILERS);
                    trailers.extend_from_slice(&bytes[..here.min(room)]);
                }
                self.left -= here as u32;
                bytes = &bytes[here..];
                continue;
            }
            self.prefix[usize::from(self.have)] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            if self.have == PREFIX {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        let [flags, length @ ..] = self.prefix;
        self.have = 0;
        self.left = u32::from_be_bytes(length);
        match flags {
            0 | 1 => self.count = self.count.saturating_add(1),
            _ if flags & TRAILERS != 0 && flags & !TRAILERS <= 1 => self.trailers = Some(Vec::new()),
            _ => (self.lost, self.odd) = (true, true),
        }
    }

    /// Whether all that passed may be messages, whole ones if it has `ended`.
    pub fn may_fit(&self, ended: bool) -> bool {
        self.fits(ended) || (self.lost && !self.odd)
    }

    /// So many bytes of the body were not captured.
    pub fn skip(&mut self, len: u64) {
        match u32::try_from(len) {
            Ok(len) if len <= self.left && self.trailers.is_none() => self.left -= len,
            _ => self.lose(),
        }
    }

    /// An unknown part of the body was missed.
    pub fn lose(&mut self) {
        self.lost = true;
    }

    /// Whether all that passed is messages, whole ones if it has `ended`.
    pub fn fits(&self, ended: bool) -> bool {
        !self.lost && self.trailers.is_none() && !(ended && (self.have > 0 || self.left > 0))
    }

    /// How many there were, if that is known.
    pub fn count(&self) -> Option<u32> {
        (!self.lost).then_some(self.count)
    }

    /// The status in the trailers of gRPC-Web.
    pub fn trailer(&self) -> Option<Code> {
        let lines = self.trailers.as_deref()?.split(|b| *b == b'\n');
        lines
            .filter_map(|line| line.split_at_checked(12))
            .find_map(|(name, value)| name.eq_ignore_ascii_case(b"grpc-status:").then(|| Code::parse(value))?)
    }
}
