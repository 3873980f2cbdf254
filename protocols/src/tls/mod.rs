//! TLS 1.0 to 1.3 (RFC 8446, RFC 5246): what both ends say before everything is encrypted. Which session it is (the client's
//! random), which name the client asks for, on which version they agree.
//!
//! What is encrypted is read elsewhere, by who sees it before it is: here it is only passed over.

mod hello;
mod records;

use crate::exchange::{Mark, Output, Secured};
use crate::{Detection, Direction, End, Parser, Progress, Settings};
use hello::{ClientHello, server_version};
use records::Handshake;

/// Types of records.
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// Header of a record.
const HEADER: usize = 5;
/// The largest record: RFC 8446, section 5.2, and what earlier versions add.
const MAX_RECORD: usize = (1 << 14) + 2048;
/// Types of messages.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// The shortest of them: version, random, three empty lists.
const SHORTEST_HELLO: u16 = 38;

/// The length of the record whose header begins here; `None` if none does.
fn record_length(bytes: &[u8]) -> Option<usize> {
    let [kind, 3, minor, high, low, ..] = bytes else { return None };
    let length = usize::from(*high) << 8 | usize::from(*low);
    ((20..=24).contains(kind) && *minor <= 4 && (1..=MAX_RECORD).contains(&length)).then_some(length)
}

/// Looks at the first bytes of one direction: a hello, or records that fit together.
pub fn detect(bytes: &[u8]) -> Detection {
    if bytes.len() < HEADER {
        let begins = matches!(bytes, [] | [20..=24] | [20..=24, 3] | [20..=24, 3, 0..=4, ..]);
        return if begins { Detection::NeedMore } else { Detection::No };
    }
    let Some(length) = record_length(bytes) else { return Detection::No };
    let rest = &bytes[HEADER..];
    if bytes[0] == HANDSHAKE {
        match rest {
            [] => return Detection::NeedMore,
            [CLIENT_HELLO | SERVER_HELLO] | [CLIENT_HELLO | SERVER_HELLO, _] | [CLIENT_HELLO | SERVER_HELLO, _, _] => {
                return Detection::NeedMore;
            }
            [CLIENT_HELLO, 0, high, low, 3, ..] if fits(*high, *low) => {
                return Detection::Match(Direction::Request);
            }
            [SERVER_HELLO, 0, high, low, 3, ..] if fits(*high, *low) => {
                return Detection::Match(Direction::Response);
            }
            [CLIENT_HELLO | SERVER_HELLO, 0, high, low] if fits(*high, *low) => return Detection::NeedMore,
            _ => {}
        }
    }
    // The middle of a connection: whole records, the first of them encrypted.
    if bytes[0] != APPLICATION_DATA {
        return Detection::No;
    }
    match rest.get(length..) {
        None => Detection::NeedMore,
        Some([]) => Detection::Match(Direction::Request),
        Some(next) if next.len() < HEADER => detect(next),
        Some(next) if record_length(next).is_some() => Detection::Match(Direction::Request),
        Some(_) => Detection::No,
    }
}

/// Whether a hello can be so long.
fn fits(high: u8, low: u8) -> bool {
    u16::from_be_bytes([high, low]) >= SHORTEST_HELLO
}

/// Reads one connection.
#[derive(Debug, Default)]
pub struct Tls {
    hellos: [Handshake; 2],
    known: Secured,
}

/// A parser for one connection.
pub fn parser(_: Settings) -> Box<dyn Parser> {
    Box::new(Tls::default())
}

impl Tls {
    /// The first message of a direction is here.
    fn heard(&mut self, direction: Direction, message: &[u8], out: &mut Vec<Output>) {
        match direction {
            Direction::Request => {
                let Some(hello) = ClientHello::read(message) else { return };
                (self.known.random, self.known.server_name) = (hello.random, hello.server_name);
            }
            Direction::Response => match server_version(message) {
                Some(version) if self.known.random != [0; 32] => self.known.version = Some(version),
                _ => return,
            },
        }
        out.push(Output::Secured(Box::new(self.known.clone())));
    }
}

impl Parser for Tls {
    fn data(&mut self, direction: Direction, bytes: &[u8], _: &Mark, out: &mut Vec<Output>) -> Progress {
        if let Some(message) = self.hellos[direction as usize].take(bytes) {
            self.heard(direction, &message, out);
        }
        Progress::Continue
    }

    fn gap(&mut self, direction: Direction, _: u64, _: &Mark, _: &mut Vec<Output>) -> Progress {
        self.hellos[direction as usize].give_up();
        Progress::Continue
    }

    fn end(&mut self, _: Direction, _: End, _: &Mark, _: &mut Vec<Output>) {}

    fn buffered(&self) -> usize {
        self.hellos.iter().map(Handshake::buffered).sum()
    }
}

#[cfg(test)]
mod tests;
