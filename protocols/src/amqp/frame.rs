//! The grammar of frames (AMQP 0-9-1 §2.3.5, §4.2): by it AMQP is recognised, and found again after a gap.

use super::method::{self, Sender};
use crate::{Detection, Direction};

/// Bytes before a frame's payload: type, channel, size.
pub(super) const HEAD: usize = 7;
/// The byte after it.
pub(super) const END: u8 = 0xce;
/// What a client says first (§2.2.4). The same bytes from a broker refuse another version.
pub(super) const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\0\0\x09\x01";

/// Largest payload of a method frame. The largest by far are tables of capabilities, of about one KiB.
const MAX_METHOD: u32 = 1024 * 1024;
/// Largest payload of a body frame: RabbitMQ takes no larger message than 512 MiB.
const MAX_BODY: u32 = 512 * 1024 * 1024;
/// Smallest content header: class, weight, size of the body, flags.
const MIN_HEADER: u32 = 14;
/// Frames that say nothing of their direction are looked past, at most so many.
const MAX_MUTE_FRAMES: usize = 64;
/// Largest method frame by which a connection is recognised.
const MAX_FIRST: u32 = 8 * 1024;

/// Type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Method,
    Header,
    Body,
    Heartbeat,
}

/// Start of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub kind: Kind,
    pub channel: u16,
    /// Bytes of the payload.
    pub size: u32,
}

impl Head {
    /// Reads the first seven bytes of a frame.
    pub(super) fn parse(bytes: [u8; HEAD]) -> Option<Self> {
        let [kind, c0, c1, s0, s1, s2, s3] = bytes;
        let (channel, size) = (u16::from_be_bytes([c0, c1]), u32::from_be_bytes([s0, s1, s2, s3]));
        let (kind, sound) = match kind {
            1 => (Kind::Method, (4..=MAX_METHOD).contains(&size)),
            2 => (Kind::Header, channel > 0 && (MIN_HEADER..=MAX_METHOD).contains(&size)),
            3 => (Kind::Body, channel > 0 && size <= MAX_BODY),
            8 => (Kind::Heartbeat, channel == 0 && size == 0),
            _ => return None,
        };
        sound.then_some(Self { kind, channel, size })
    }

    /// The seven bytes.
    pub(super) fn bytes(&self) -> [u8; HEAD] {
        let kind = match self.kind {
            Kind::Method => 1,
            Kind::Header => 2,
            Kind::Body => 3,
            Kind::Heartbeat => 8,
        };
        let ([c0, c1], [s0, s1, s2, s3]) = (self.channel.to_be_bytes(), self.size.to_be_bytes());
        [kind, c0, c1, s0, s1, s2, s3]
    }
}

/// How bytes fit a frame.
enum Fit<'a> {
    /// One frame, and what follows.
    Whole(Head, &'a [u8], &'a [u8]),
    /// They may be the beginning of one.
    Prefix,
    /// They are not.
    No,
}

/// Reads a frame of a known method, or a heartbeat, at the very start of `bytes`.
fn frame(bytes: &[u8]) -> Fit<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return prefix(bytes);
    };
    let Some(head) = Head::parse(*head).filter(|h| h.size <= MAX_FIRST) else { return Fit::No };
    if !matches!(head.kind, Kind::Method | Kind::Heartbeat) {
        return Fit::No;
    }
    let known = |payload: &[u8]| head.kind == Kind::Heartbeat || method::plausible(head.channel, payload);
    let size = head.size as usize;
    match rest.get(size) {
        None if known(rest) => Fit::Prefix,
        Some(&END) if known(&rest[..size]) => Fit::Whole(head, &rest[..size], &rest[size + 1..]),
        _ => Fit::No,
    }
}

/// Whether fewer bytes than a head may begin one.
fn prefix(bytes: &[u8]) -> Fit<'static> {
    let fits = match bytes {
        [] => true,
        // Of the size, what says that it is at most MAX_FIRST.
        [1, rest @ ..] => rest.iter().skip(2).zip([0, 0, 0x20]).all(|(byte, most)| *byte <= most),
        [8, rest @ ..] => rest.iter().all(|b| *b == 0),
        _ => false,
    };
    if fits { Fit::Prefix } else { Fit::No }
}

/// Whether the first bytes of a direction are AMQP 0-9-1, and which direction that makes it.
///
/// Decided by the protocol header, or by whole frames of methods that one side only sends, whatever the moment at which
/// they are seen. A heartbeat, or an acknowledgement, tells AMQP and no direction: what follows is waited for.
pub fn detect(bytes: &[u8]) -> Detection {
    if let Some(rest) = bytes.get(..8) {
        if rest == PROTOCOL_HEADER {
            return Detection::Match(Direction::Request);
        }
    } else if PROTOCOL_HEADER.starts_with(bytes) {
        return Detection::NeedMore;
    }
    let mut rest = bytes;
    for _ in 0..MAX_MUTE_FRAMES {
        match frame(rest) {
            Fit::Prefix => return Detection::NeedMore,
            Fit::No => return Detection::No,
            Fit::Whole(head, payload, after) => {
                let sender = if head.kind == Kind::Method { method::sender(payload) } else { Some(Sender::Either) };
                match sender {
                    Some(Sender::Client) => return Detection::Match(Direction::Request),
                    Some(Sender::Broker) => return Detection::Match(Direction::Response),
                    Some(Sender::Either) => rest = after,
                    None => return Detection::No,
                }
            }
        }
    }
    Detection::No
}

/// Whether an operation's first bytes show that a frame of `direction` begins where nobody knew. A head alone counts,
/// since some clients (py-amqp) read head and payload one by one; what it announces is checked as it comes.
pub(super) fn resumes(direction: Direction, bytes: &[u8]) -> bool {
    if direction == Direction::Request && bytes.starts_with(PROTOCOL_HEADER) {
        return true;
    }
    match frame(bytes) {
        Fit::Whole(head, payload, _) => {
            head.kind == Kind::Heartbeat || method::sender(payload).is_some_and(|s| s.sends(direction))
        }
        Fit::Prefix => bytes.len() >= HEAD,
        Fit::No => false,
    }
}
