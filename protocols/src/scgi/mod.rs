//! SCGI (<https://python.ca/scgi/protocol.txt>): variables in a netstring, then the body; the response is that of CGI.

use crate::cgi::Variables;
use crate::cgi::single::{Layout, Place, Single};
use crate::{Detection, Direction, Parser, Settings};

/// What the variables begin with, as the protocol demands.
const BEGINNING: &[u8] = b"CONTENT_LENGTH\0";
/// Most digits of the variables' length.
const MAX_DIGITS: usize = 5;

static LAYOUT: Layout = Layout { place, each };

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(Single::new(settings, &LAYOUT))
}

fn place(bytes: &[u8]) -> Place {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > MAX_DIGITS || bytes.first() == Some(&b'0') {
        return Place::Invalid;
    }
    match (bytes.get(digits), std::str::from_utf8(&bytes[..digits]).ok().and_then(|text| text.parse::<usize>().ok())) {
        (None, _) => Place::NeedMore,
        (Some(b':'), Some(len)) => {
            let (from, to) = (digits + 1, digits + 1 + len);
            Place::At { from, to, end: to + 1 }
        }
        _ => Place::Invalid,
    }
}

fn each<'a>(bytes: &'a [u8], variables: &mut Variables<'a>) {
    let whole = bytes.iter().rposition(|byte| *byte == 0).unwrap_or(0);
    let mut parts = bytes[..whole].split(|byte| *byte == 0);
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        variables.offer(name, value);
    }
}

/// Whether bytes begin with a request: by its length, and its first variable.
pub fn detect(bytes: &[u8]) -> Detection {
    match place(bytes) {
        Place::At { from, to, .. } if to - from > BEGINNING.len() => {
            let begun = &bytes[from..];
            match begun.get(..BEGINNING.len()) {
                Some(BEGINNING) => Detection::Match(Direction::Request),
                None if BEGINNING.starts_with(begun) => Detection::NeedMore,
                _ => Detection::No,
            }
        }
        Place::NeedMore => Detection::NeedMore,
        Place::At { .. } | Place::Invalid => Detection::No,
    }
}
