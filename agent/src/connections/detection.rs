//! Finds a connection's protocol: a machine of three states, which `reading.rs` drives piece by piece.
//!
//! | state | what happens | next |
//! |---|---|---|
//! | asking | a protocol knows the piece, with what is kept of its direction before | reading: all that is kept is read first, in order |
//! | asking | none does, but one may yet | asking: the piece is kept, if there is room |
//! | asking | none will | asking: what is kept of this direction is forgotten |
//! | asking | none does, after [`MUTE_TURNS`] or [`MUTE_OPERATIONS`] | muted |
//! | asking | bytes are missing | asking: all that is kept is forgotten |
//! | reading | the bytes make sense | reading; once an exchange is finished, all is forgiven ([`Detection::forgive`]) |
//! | reading | they do not | asking: the protocol is *disproved*, and the piece is offered to the others, unless an exchange finished in it |
//! | reading | they do not, but bytes were missing before | the same, and all is forgiven: it may be the gap's fault |
//! | reading | the connection leaves its protocol | asking: all is forgiven |
//! | reading | the connection carries telemetry | muted |
//! | muted | anything | muted |
//!
//! Nothing here calls itself, and the work is bounded by the bytes:
//!
//! - a piece is read by each protocol at most once ([`Piece::refused`]): each return to *asking* with a piece has added to
//!   what refused it;
//! - a protocol is disproved at most [`TRIALS`] times until an exchange finishes: once with the bytes that the agent
//!   happens to begin with, which may be the middle of something, and once with others;
//! - turns are counted until an exchange finishes, whatever is begun and given up between them;
//! - what is kept is asked about anew only when it has grown by a quarter, after the first [`EVERY`] times.

use std::borrow::Cow;

use wirespan_protocols::exchange::Mark;
use wirespan_protocols::registry::{DATAGRAM_PROTOCOLS, PROTOCOLS, Protocol};
use wirespan_protocols::{Detection as Opinion, Direction};

/// Changes of direction without a known protocol after which a connection is muted.
pub const MUTE_TURNS: u32 = 8;
/// Operations without a change of direction and without a known protocol after which a connection is muted.
pub const MUTE_OPERATIONS: u32 = 4096;
/// The same for datagrams: who sends that many that are not understood will go on.
const MUTE_DATAGRAMS: u32 = 64;
/// Most bytes kept of a first message whose protocol is not yet certain.
const MAX_KEPT_BYTES: u32 = 8 * 1024;
/// Most pieces of it.
const MAX_KEPT_PIECES: u16 = 256;
/// How often a protocol may be disproved before an exchange finishes.
pub const TRIALS: u8 = 2;
/// How often all protocols are asked about the beginning of one direction each time that it grows.
const EVERY: u32 = 16;
/// Most protocols of a connection.
const MAX_PROTOCOLS: usize = 16;

/// Which protocols a connection may have.
#[derive(Clone, Copy)]
pub struct Registry {
    /// Of streams.
    pub streams: &'static [Protocol],
    /// Of datagrams.
    pub datagrams: &'static [Protocol],
}

impl Registry {
    /// All that there are.
    pub const ALL: Self = Self { streams: PROTOCOLS, datagrams: DATAGRAM_PROTOCOLS };

    fn of(&self, datagrams: bool) -> &'static [Protocol] {
        if datagrams { self.datagrams } else { self.streams }
    }
}

const _: () = assert!(PROTOCOLS.len() <= MAX_PROTOCOLS && DATAGRAM_PROTOCOLS.len() <= MAX_PROTOCOLS);

/// Some of the registry's protocols, by their place in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolSet(u16);

impl ProtocolSet {
    fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << place)
    }

    fn has(self, place: usize) -> bool {
        self.0 & (1 << place) != 0
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What one operation brought, or what is left of it.
#[derive(Clone, Debug)]
pub struct Piece<'a> {
    /// Which way it went.
    pub direction: u8,
    /// Never empty.
    pub bytes: Cow<'a, [u8]>,
    /// Where they begin.
    pub mark: Mark,
    /// Protocols that have read it and it made no sense to.
    refused: ProtocolSet,
}

impl<'a> Piece<'a> {
    /// A piece that nobody has read.
    pub fn new(direction: u8, bytes: &'a [u8], mark: Mark) -> Self {
        Self { direction, bytes: Cow::Borrowed(bytes), mark, refused: ProtocolSet::default() }
    }

    /// It is to be offered to others than this protocol.
    pub fn refused_by(self, found: Found) -> Self {
        Self { refused: self.refused.with(found.place), ..self }
    }

    fn into_owned(self) -> Piece<'static> {
        let Self { direction, bytes, mark, refused } = self;
        Piece { direction, bytes: Cow::Owned(bytes.into_owned()), mark, refused }
    }
}

/// A protocol that knows the bytes.
#[derive(Clone, Copy)]
pub struct Found {
    /// Which.
    pub protocol: &'static Protocol,
    /// Which way, for it, go the bytes that showed it.
    pub toward: Direction,
    /// Its place in the registry.
    place: usize,
}

/// What the protocols say of a piece.
pub enum Answer<'a> {
    /// One knows it. Now these are to be read, in order.
    Found(Found, Vec<Piece<'a>>),
    /// One may yet: the piece is kept.
    Perhaps,
    /// None of them.
    Unknown {
        /// It has been none of them for too long.
        exhausted: bool,
    },
}

/// The beginning of one direction, of which somebody may yet know the protocol.
#[derive(Clone, Copy, Debug, Default)]
struct Beginning {
    pieces: u16,
    bytes: u32,
    /// How often all were asked about it, and about how many bytes the last time.
    asked: u32,
    asked_bytes: u32,
    refused: ProtocolSet,
}

/// What is known so far.
#[derive(Debug, Default)]
pub struct Detection {
    turns: u32,
    operations: u32,
    last: Option<u8>,
    kept: Vec<Piece<'static>>,
    beginnings: [Beginning; 2],
    /// How often each protocol was disproved since an exchange finished, by its place.
    disproved: [u8; MAX_PROTOCOLS],
}

impl Detection {
    /// Bytes of memory held.
    pub fn buffered(&self) -> usize {
        self.kept.len() * size_of::<Piece<'static>>() + self.beginnings.iter().map(|b| b.bytes as usize).sum::<usize>()
    }

    /// What is kept means nothing without what is missing now.
    pub fn gap(&mut self) {
        self.kept.clear();
        self.beginnings = Default::default();
    }

    /// An exchange finished, or the connection left a protocol that it had, or bytes are missing that may have made the
    /// sense: all that was counted is void.
    pub fn forgive(&mut self) {
        (self.turns, self.operations, self.last) = (0, 0, None);
        self.disproved = Default::default();
    }

    /// The bytes do not make sense to a protocol that was found, and none are missing.
    pub fn disprove(&mut self, found: Found) {
        let times = &mut self.disproved[found.place];
        *times = times.saturating_add(1);
    }

    /// Asks the protocols about a piece; keeps it while one is undecided.
    pub fn offer<'a>(&mut self, piece: Piece<'a>, registry: Registry, datagrams: bool) -> Answer<'a> {
        let direction = usize::from(piece.direction);
        let turned = self.last != Some(piece.direction);
        let exhausted = self.count(piece.direction, turned, datagrams);
        let beginning = &mut self.beginnings[direction];
        beginning.refused = beginning.refused.or(piece.refused);
        let bytes = beginning.bytes.saturating_add(u32::try_from(piece.bytes.len()).unwrap_or(u32::MAX));
        let grown = bytes >= beginning.asked_bytes.saturating_add(beginning.asked_bytes / 4);
        let mut undecided = true;
        if turned || grown || beginning.asked < EVERY {
            (beginning.asked, beginning.asked_bytes) = (beginning.asked + 1, bytes);
            match self.ask(&piece, registry.of(datagrams)) {
                Ok(found) => return Answer::Found(found, self.take(piece, found)),
                Err(perhaps) => undecided = perhaps,
            }
        }
        let beginning = &mut self.beginnings[direction];
        if undecided && !exhausted && bytes < MAX_KEPT_BYTES && beginning.pieces < MAX_KEPT_PIECES {
            (beginning.pieces, beginning.bytes) = (beginning.pieces + 1, bytes);
            self.kept.push(piece.into_owned());
            return Answer::Perhaps;
        }
        *beginning = Beginning::default();
        self.kept.retain(|kept| usize::from(kept.direction) != direction);
        Answer::Unknown { exhausted }
    }

    /// Counts an operation. Returns whether there were too many.
    fn count(&mut self, direction: u8, turned: bool, datagrams: bool) -> bool {
        self.last = Some(direction);
        self.operations = if turned { 0 } else { self.operations + 1 };
        self.turns += u32::from(turned);
        let patience = if datagrams { MUTE_DATAGRAMS } else { MUTE_OPERATIONS };
        self.turns > MUTE_TURNS || self.operations > patience
    }

    /// The first protocol that knows the beginning of a direction, `piece` being its last; or whether one may yet.
    fn ask(&self, piece: &Piece<'_>, protocols: &'static [Protocol]) -> Result<Found, bool> {
        let beginning = &self.beginnings[usize::from(piece.direction)];
        let mut whole = Cow::Borrowed(&*piece.bytes);
        if beginning.pieces > 0 {
            let before = self.kept.iter().filter(|kept| kept.direction == piece.direction);
            let pieces: Vec<&[u8]> = before.map(|kept| &*kept.bytes).chain([&*piece.bytes]).collect();
            whole = Cow::Owned(pieces.concat());
        }
        let mut undecided = false;
        for (place, protocol) in protocols.iter().enumerate() {
            if beginning.refused.has(place) || self.disproved[place] >= TRIALS {
                continue;
            }
            match (protocol.detect)(&whole) {
                Opinion::Match(toward) => return Ok(Found { protocol, toward, place }),
                Opinion::NeedMore => undecided = true,
                Opinion::No => {}
            }
        }
        Err(undecided)
    }

    /// What a protocol that was found is to read: what was kept, save what it has read before, then `piece`.
    fn take<'a>(&mut self, piece: Piece<'a>, found: Found) -> Vec<Piece<'a>> {
        self.beginnings = Default::default();
        let kept = std::mem::take(&mut self.kept);
        kept.into_iter().filter(|kept| !kept.refused.has(found.place)).chain([piece]).collect()
    }
}
