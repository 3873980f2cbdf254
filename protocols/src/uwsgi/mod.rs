//! uwsgi (<https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html>), which nginx speaks to uWSGI: variables with their
//! lengths, then the body; the response is a document with a status line.

use crate::cgi::Variables;
use crate::cgi::single::{Layout, Place, Single};
use crate::{Detection, Direction, Parser, Settings};

/// Bytes before the variables.
const HEAD: usize = 4;
/// What an application is asked by: Python, Perl, Ruby, CGI, PHP.
const KINDS: [u8; 5] = [0, 5, 7, 9, 14];
/// Longest name of a first variable.
const MAX_NAME: usize = 64;

static LAYOUT: Layout = Layout { place, each };

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(Single::new(settings, &LAYOUT))
}

fn place(bytes: &[u8]) -> Place {
    let Some([kind, l0, l1, 0]) = bytes.first_chunk::<HEAD>() else {
        return if bytes.len() < HEAD { Place::NeedMore } else { Place::Invalid };
    };
    let end = HEAD + usize::from(u16::from_le_bytes([*l0, *l1]));
    if end > HEAD && KINDS.contains(kind) { Place::At { from: HEAD, to: end, end } } else { Place::Invalid }
}

/// A text with its length in front, and what follows.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [low, high, rest @ ..] = bytes else { return None };
    let len = usize::from(u16::from_le_bytes([*low, *high]));
    Some((rest.get(..len)?, rest.get(len..)?))
}

fn each<'a>(mut bytes: &'a [u8], variables: &mut Variables<'a>) {
    while let Some((name, rest)) = text(bytes)
        && let Some((value, rest)) = text(rest)
    {
        variables.offer(name, value);
        bytes = rest;
    }
}

/// Whether bytes begin with a request: by its head, and a first variable with a name as CGI's are.
pub fn detect(bytes: &[u8]) -> Detection {
    if let Place::Invalid = place(bytes) {
        return Detection::No;
    }
    let known = bytes.first().is_none_or(|kind| KINDS.contains(kind));
    let Some(len) = bytes.get(HEAD..HEAD + 2) else {
        return if known { Detection::NeedMore } else { Detection::No };
    };
    let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
    let rest = &bytes[HEAD + 2..];
    let name = &rest[..rest.len().min(len)];
    let sound =
        |(n, byte): (usize, &u8)| byte.is_ascii_uppercase() || (n > 0 && (*byte == b'_' || byte.is_ascii_digit()));
    if !(5..=MAX_NAME).contains(&len) || !name.iter().enumerate().all(sound) {
        return Detection::No;
    }
    match name.len() == len {
        true if name.contains(&b'_') || name == b"HTTPS" => Detection::Match(Direction::Request),
        true => Detection::No,
        false => Detection::NeedMore,
    }
}
