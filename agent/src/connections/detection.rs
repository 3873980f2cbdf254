//! Finds a connection's protocol: keeps its first messages while a protocol is undecided about them.

use wirespan_protocols::exchange::Mark;
use wirespan_protocols::registry::{DATAGRAM_PROTOCOLS, PROTOCOLS, Protocol};
use wirespan_protocols::{Detection, Direction};

/// Changes of direction without a known protocol after which a connection is muted.
const MUTE_TURNS: u32 = 8;
/// Operations without a change of direction and without a known protocol after which a connection is muted.
const MUTE_OPERATIONS: u32 = 4096;
/// The same for datagrams: who sends that many that are not understood will go on.
const MUTE_DATAGRAMS: u32 = 64;
/// Most bytes kept of a first message whose protocol is not yet certain.
const MAX_UNDECIDED: usize = 8 * 1024;

/// Bytes of which the protocol is not known yet.
#[derive(Debug)]
pub struct Piece {
    /// Which way they went.
    pub direction: u8,
    /// They.
    pub bytes: Vec<u8>,
    /// Where they begin.
    pub mark: Mark,
}

/// What is known so far.
#[derive(Debug, Default)]
pub struct Detecting {
    turns: u32,
    operations: u32,
    last: Option<u8>,
    undecided: Vec<Piece>,
}

/// What the protocols say.
pub enum Answer {
    /// It is this protocol, and what is kept comes before the bytes that showed it. They flow this way.
    Found(&'static Protocol, Direction),
    /// Perhaps one of them: the bytes are kept.
    Perhaps,
    /// None of them.
    Unknown {
        /// It has been none of them for too long.
        exhausted: bool,
    },
}

impl Detecting {
    /// Bytes of memory held.
    pub fn buffered(&self) -> usize {
        self.undecided.iter().map(|p| p.bytes.len()).sum()
    }

    /// What is kept means nothing without what is missing now.
    pub fn gap(&mut self) {
        self.undecided.clear();
    }

    /// What was kept, in order.
    pub fn into_kept(self) -> Vec<Piece> {
        self.undecided
    }

    /// Asks every protocol but `disproved` about the bytes; keeps them while one is undecided.
    pub fn offer(
        &mut self,
        direction: u8,
        bytes: &[u8],
        mark: Mark,
        datagrams: bool,
        disproved: Option<&'static str>,
    ) -> Answer {
        let turned = self.last != Some(direction);
        self.last = Some(direction);
        self.operations = if turned { 0 } else { self.operations + 1 };
        self.turns += u32::from(turned);
        let patience = if datagrams { MUTE_DATAGRAMS } else { MUTE_OPERATIONS };
        let exhausted = self.turns > MUTE_TURNS || self.operations > patience;
        let mut first: Vec<u8> = Vec::new();
        self.undecided.iter().filter(|p| p.direction == direction).for_each(|p| first.extend_from_slice(&p.bytes));
        let whole = if first.is_empty() {
            bytes
        } else {
            first.extend_from_slice(bytes);
            &first
        };
        let mut undecided = false;
        let protocols = if datagrams { DATAGRAM_PROTOCOLS } else { PROTOCOLS };
        for protocol in protocols.iter().filter(|p| disproved != Some(p.name)) {
            match (protocol.detect)(whole) {
                Detection::Match(found) => return Answer::Found(protocol, found),
                Detection::NeedMore => undecided = true,
                Detection::No => {}
            }
        }
        if undecided && whole.len() < MAX_UNDECIDED {
            self.undecided.push(Piece { direction, bytes: bytes.to_vec(), mark });
            return Answer::Perhaps;
        }
        self.undecided.retain(|p| p.direction != direction);
        Answer::Unknown { exhausted }
    }
}
