//! Frame headers (RFC 9113 §4.1, §6).

/// Bytes of a frame header.
pub(super) const HEADER: usize = 9;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITIZED: u8 = 32;

/// Largest payload before `SETTINGS_MAX_FRAME_SIZE` says otherwise (§4.2).
const USUAL_MAX: u32 = 16 * 1024;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of payload.
    pub len: u32,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    /// The bit before the stream, which should be zero.
    reserved: bool,
}

impl Header {
    pub(super) fn read(bytes: &[u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, s, t, u, v] = *bytes;
        let stream = u32::from_be_bytes([s, t, u, v]);
        let len = u32::from_be_bytes([0, a, b, c]);
        Self { len, kind, flags, stream: stream & 0x7fff_ffff, reserved: stream >> 31 == 1 }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether an endpoint would accept it. Unknown types are to be ignored (§4.1).
    pub(super) fn is_sound(&self) -> bool {
        match self.kind {
            DATA | HEADERS | CONTINUATION => self.stream != 0,
            PRIORITY => self.stream != 0 && self.len == 5,
            RST_STREAM => self.stream != 0 && self.len == 4,
            SETTINGS => self.stream == 0 && self.len.is_multiple_of(6) && (!self.has(ACK) || self.len == 0),
            PUSH_PROMISE => self.stream != 0 && self.len >= 4,
            PING => self.stream == 0 && self.len == 8,
            GOAWAY => self.stream == 0 && self.len >= 8,
            WINDOW_UPDATE => self.len == 4,
            _ => true,
        }
    }

    /// Whether it is one that programs send, where nothing but itself says that it is a frame header.
    pub(super) fn is_usual(&self) -> bool {
        let flags = match self.kind {
            DATA => END_STREAM | PADDED,
            HEADERS => END_STREAM | END_HEADERS | PADDED | PRIORITIZED,
            SETTINGS | PING => ACK,
            PUSH_PROMISE => END_HEADERS | PADDED,
            CONTINUATION => END_HEADERS,
            PRIORITY | RST_STREAM | GOAWAY | WINDOW_UPDATE => 0,
            _ => return false,
        };
        self.is_sound() && !self.reserved && self.flags & !flags == 0 && self.len <= USUAL_MAX
    }

    /// Of a HEADERS, PUSH_PROMISE or CONTINUATION frame, the block fragment in `payload`, which is the whole payload or
    /// its beginning. `None` if the padding is longer than the payload.
    pub(super) fn fragment<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        let padded = self.has(PADDED) && self.kind != CONTINUATION;
        let padding = if padded { usize::from(*payload.first().unwrap_or(&0)) } else { 0 };
        let before = usize::from(padded)
            + match self.kind {
                HEADERS if self.has(PRIORITIZED) => 5,
                PUSH_PROMISE => 4,
                _ => 0,
            };
        let end = (self.len as usize).checked_sub(padding).filter(|end| *end >= before)?;
        Some(payload.get(before..end.min(payload.len())).unwrap_or_default())
    }
}

/// A big-endian number at `at`.
pub(super) fn number(payload: &[u8], at: usize) -> Option<u32> {
    payload.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// The name of an error code (§7), in lower case.
pub(super) fn error_name(code: u32) -> &'static str {
    const NAMES: [&str; 14] = [
        "no_error",
        "protocol_error",
        "internal_error",
        "flow_control_error",
        "settings_timeout",
        "stream_closed",
        "frame_size_error",
        "refused_stream",
        "cancel",
        "compression_error",
        "connect_error",
        "enhance_your_calm",
        "inadequate_security",
        "http_1_1_required",
    ];
    NAMES.get(code as usize).copied().unwrap_or("stream_reset")
}

/// `REFUSED_STREAM` (§7).
pub(super) const REFUSED: u32 = 7;
/// Nothing went wrong.
pub(super) const NO_ERROR: u32 = 0;
/// The stream is not wanted any more.
pub(super) const CANCEL: u32 = 8;
