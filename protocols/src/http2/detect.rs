//! What bytes must look like to be HTTP/2: at the start of a connection, in its middle, and after a gap.

use super::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, HEADER, HEADERS, Header, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    number,
};
use super::hpack::{Decoder, Fields, Outcome};
use crate::{Detection, Direction};

/// What a client sends first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Evidence that a connection of which the beginning was missed is HTTP/2. Two heads of requests, for instance, or a
/// response's head, data, and trailers.
const ENOUGH: u32 = 4;
/// Most settings in one frame. There are ten or so.
const MAX_SETTINGS: u32 = 16;

/// Whether the first bytes of a direction are HTTP/2, and which direction that makes it.
///
/// A client's preface and a server's first SETTINGS say so at once. Of a connection that is joined later, several
/// frames in a row must be sound in every bit that is defined, and a head among them must tell the direction.
pub fn detect(bytes: &[u8]) -> Detection {
    if bytes.starts_with(PREFACE) {
        return Detection::Match(Direction::Request);
    }
    if PREFACE.starts_with(bytes) {
        return Detection::NeedMore;
    }
    let Some(survey) = Survey::of(bytes, |_| false) else { return Detection::No };
    match survey.direction {
        Some(direction) if survey.evidence >= ENOUGH && survey.frames > 1 => Detection::Match(direction),
        // An empty SETTINGS is a few zeroes: something has to follow.
        None if survey.greets && (bytes[2] > 0 || survey.frames > 1) => Detection::Match(Direction::Response),
        _ => Detection::NeedMore,
    }
}

/// What a chain of frames says.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub evidence: u32,
    /// Told by the pseudo-fields of a head.
    pub direction: Option<Direction>,
    frames: u32,
    /// It begins with the SETTINGS that a server sends first.
    greets: bool,
}

impl Survey {
    /// Follows frames from the first byte on; `None` if they are none. `open` tells streams that are known to be open.
    pub(super) fn of(bytes: &[u8], open: impl Fn(u32) -> bool) -> Option<Self> {
        let mut survey = Self::default();
        let mut rest = bytes;
        let (decoder, fields) = (Decoder::joined_late(), Fields::default());
        let mut heads = Heads { decoder, fields, streams: Vec::new(), unfinished: None };
        while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
            let header = Header::read(header);
            let continues = header.kind == CONTINUATION;
            if !header.is_usual() || continues != (heads.unfinished == Some(header.stream)) {
                return None;
            }
            if !continues && heads.unfinished.is_some() {
                return None;
            }
            let Some((payload, next)) = after.split_at_checked(header.len as usize) else {
                // What is here of it fits; a stream known to be open says more.
                survey.evidence += if open(header.stream) { 3 } else { 0 };
                return Some(survey);
            };
            survey.frame(&header, payload, &mut heads, open(header.stream))?;
            rest = next;
        }
        // What is left is less than a header: its first bytes can only be a short length.
        (rest.len() < 2 || rest[0] == 0).then_some(survey)
    }

    fn frame(&mut self, header: &Header, payload: &[u8], heads: &mut Heads, open: bool) -> Option<()> {
        self.frames += 1;
        let weight = match header.kind {
            HEADERS | PUSH_PROMISE | CONTINUATION => self.head(header, payload, heads)?,
            DATA => u32::from(heads.streams.contains(&header.stream)),
            SETTINGS => {
                if !settings_are_sane(header, payload) {
                    return None;
                }
                self.greets |= self.frames == 1 && !header.has(ACK);
                1
            }
            RST_STREAM => (number(payload, 0)? <= 0xd).then_some(1)?,
            WINDOW_UPDATE => (1..1 << 31).contains(&number(payload, 0)?).then_some(1)?,
            _ => 1,
        };
        self.evidence += if open { weight.max(3) } else { weight };
        Some(())
    }

    /// A head must be sound HPACK with sound names and values.
    fn head(&mut self, header: &Header, payload: &[u8], heads: &mut Heads) -> Option<u32> {
        let fragment = header.fragment(payload)?;
        let ends = header.has(END_HEADERS);
        heads.unfinished = (!ends).then_some(header.stream);
        if header.stream.is_multiple_of(2) {
            return None;
        }
        if !ends || header.kind == CONTINUATION {
            // Heads of several frames are rare: they neither speak for it nor against.
            heads.decoder.lose();
            return Some(0);
        }
        heads.fields.clear();
        if heads.decoder.decode(fragment, &mut heads.fields) != Outcome::Whole {
            return None;
        }
        let told = direction_of(&heads.fields)?;
        if told.is_some() && self.direction.is_some_and(|d| Some(d) != told) {
            return None;
        }
        self.direction = self.direction.or(told);
        if heads.streams.len() < 16 {
            heads.streams.push(header.stream);
        }
        let known = heads.fields.iter().any(|(name, _)| name.is_some());
        Some(if told.is_some() { 2 } else { u32::from(known) })
    }
}

/// What is kept of heads while a chain is followed.
struct Heads {
    decoder: Decoder,
    fields: Fields,
    /// Streams whose heads were there.
    streams: Vec<u32>,
    /// The stream whose head goes on in the next frame.
    unfinished: Option<u32>,
}

/// Which direction a head's pseudo-fields tell (RFC 9113 §8.3). The outer `None`: it is no head.
pub(super) fn direction_of(fields: &Fields) -> Option<Option<Direction>> {
    let (mut told, mut regular) = (None, false);
    for (name, value) in fields.iter() {
        let sound_value = |b: &u8| (*b >= 0x20 && *b != 0x7f) || *b == b'\t';
        if value.is_some_and(|v| !v.iter().all(sound_value)) {
            return None;
        }
        let Some(name) = name else { continue };
        let pseudo = match name {
            b":status" => Some(Direction::Response),
            b":method" | b":path" | b":scheme" | b":authority" | b":protocol" => Some(Direction::Request),
            [b':', ..] => return None,
            _ => None,
        };
        let sound_name = |b: &u8| (0x21..0x7f).contains(b) && !b.is_ascii_uppercase();
        match pseudo {
            Some(direction) if regular || told.is_some_and(|t| t != direction) => return None,
            Some(direction) => told = Some(direction),
            None if name.is_empty() || !name.iter().all(sound_name) => return None,
            None => regular = true,
        }
    }
    Some(told)
}

/// Whether all settings are known ones with allowed values (RFC 9113 §6.5.2, and those of gRPC).
fn settings_are_sane(header: &Header, payload: &[u8]) -> bool {
    let sane = |setting: &[u8]| {
        let [a, b, c, d, e, f] = *setting else { return false };
        let value = u32::from_be_bytes([c, d, e, f]);
        match u16::from_be_bytes([a, b]) {
            1 | 3 | 6 => true,
            2 | 8 | 9 => value <= 1,
            4 => value < 1 << 31,
            5 => (1 << 14..1 << 24).contains(&value),
            0xfe00..=0xfeff => true,
            // Reserved to exercise that unknown ones are ignored.
            other => other & 0x0f0f == 0x0a0a,
        }
    };
    header.len <= 6 * MAX_SETTINGS && payload.chunks(6).all(sane)
}
