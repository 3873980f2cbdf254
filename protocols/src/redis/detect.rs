//! Redis is recognised by a command with a name that it knows, or by a reply that no other protocol looks like.

use super::names::{self, MAX_NAME};
use super::resp::{Reader, Token, number};
use crate::{Detection, Direction};

/// Most arguments of a command by which a connection is recognised.
const MAX_ARGUMENTS: i64 = 4096;

/// How bytes fit.
enum Fit<'a, T> {
    Whole(T, &'a [u8]),
    Prefix,
    No,
}

/// A type's byte and a number, as in `*3` or `$5`.
fn header(kind: u8, bytes: &[u8]) -> Fit<'_, i64> {
    let Some((first, rest)) = bytes.split_first() else { return Fit::Prefix };
    if *first != kind {
        return Fit::No;
    }
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits > 7 || (digits == 0 && !rest.is_empty()) {
        return Fit::No;
    }
    match (&rest[digits..], number(&rest[..digits])) {
        ([] | [b'\r'], _) => Fit::Prefix,
        ([b'\r', b'\n', after @ ..], Some(n)) if n > 0 => Fit::Whole(n, after),
        _ => Fit::No,
    }
}

/// Whether the first bytes of a direction are Redis. A list of strings may be a command or a reply: it counts as a
/// command if the first is the name of one.
pub fn detect(bytes: &[u8]) -> Detection {
    match bytes.first() {
        None => Detection::NeedMore,
        Some(b'*') => command(bytes),
        Some(b'$' | b'%' | b'~' | b'>' | b'=') => reply(bytes),
        Some(_) => Detection::No,
    }
}

fn command(bytes: &[u8]) -> Detection {
    let (count, rest) = match header(b'*', bytes) {
        Fit::Whole(count, rest) if count <= MAX_ARGUMENTS => (count, rest),
        Fit::Prefix => return Detection::NeedMore,
        _ => return Detection::No,
    };
    let (len, rest) = match header(b'$', rest) {
        Fit::Whole(len, rest) if len <= MAX_NAME as i64 => (len as usize, rest),
        Fit::Prefix => return Detection::NeedMore,
        _ => return Detection::No,
    };
    let Some((name, rest)) = rest.split_at_checked(len) else { return Detection::NeedMore };
    if !names::known(name) {
        return Detection::No;
    }
    let subscription = name.to_ascii_lowercase().ends_with(b"subscribe");
    match rest {
        [] | [b'\r'] => Detection::NeedMore,
        [b'\r', b'\n', rest @ ..] if subscription && count == 3 => confirmation(rest),
        [b'\r', b'\n'] if count == 1 => Detection::Match(Direction::Request),
        [b'\r', b'\n', b'*', ..] if count == 1 => Detection::Match(Direction::Request),
        [b'\r', b'\n'] => Detection::NeedMore,
        [b'\r', b'\n', b'$', ..] if count > 1 => Detection::Match(Direction::Request),
        _ => Detection::No,
    }
}

/// `SUBSCRIBE a b` looks like the confirmation of `a`, but for the last element.
fn confirmation(rest: &[u8]) -> Detection {
    let (len, rest) = match header(b'$', rest) {
        Fit::Whole(len, rest) => (len as usize, rest),
        Fit::Prefix => return Detection::NeedMore,
        Fit::No => return Detection::No,
    };
    match rest.get(len + 2) {
        Some(b'$') => Detection::Match(Direction::Request),
        Some(b':') => Detection::Match(Direction::Response),
        Some(_) => Detection::No,
        None => Detection::NeedMore,
    }
}

/// A reply counts if the bytes are whole values, or one that is cut within a string.
fn reply(bytes: &[u8]) -> Detection {
    let mut reader = Reader::default();
    let (mut at, mut values) = (0, 0);
    while at < bytes.len() {
        match reader.next(&bytes[at..], false) {
            Ok((len, Token::Nothing)) if len > 32 => return Detection::No,
            Ok((len, _)) => at += len,
            Err(_) => return Detection::No,
        }
        values += usize::from(reader.take_complete());
    }
    if values > 0 { Detection::Match(Direction::Response) } else { Detection::NeedMore }
}
