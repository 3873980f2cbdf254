//! memcached is recognised by a whole command or answer of the text protocol, or by a head of the binary one.

use super::binary;
use super::text::{self, Shape, number};
use crate::{Detection, Direction};

/// Longest line by which a connection is recognised.
const MAX_LINE: usize = 2048;

/// Whether the first bytes of a direction are memcached.
pub fn detect(bytes: &[u8]) -> Detection {
    match bytes.first().copied() {
        None => Detection::NeedMore,
        Some(binary::REQUEST | binary::RESPONSE) => binary::detect(bytes),
        Some(b'a'..=b'z') => line(bytes, command),
        Some(b'A'..=b'Z') => line(bytes, reply),
        Some(_) => Detection::No,
    }
}

fn line(bytes: &[u8], judge: impl Fn(&[&[u8]]) -> Option<Direction>) -> Detection {
    let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n'));
    let line = &bytes[..end.unwrap_or(bytes.len())];
    if line.len() > MAX_LINE || line.iter().any(|b| *b < b' ' || *b == 0x7f) {
        return Detection::No;
    }
    let words: Vec<_> = line.split(|b| *b == b' ').collect();
    match end.map(|end| &bytes[end..]) {
        Some([b'\r', b'\n', ..]) => judge(&words).map_or(Detection::No, Detection::Match),
        None | Some([b'\r']) if begins(&words) => Detection::NeedMore,
        _ => Detection::No,
    }
}

/// The first word is known, or the beginning of one that is.
fn begins(words: &[&[u8]]) -> bool {
    let known = text::VERBS.iter().map(|v| v.0).chain(REPLIES.iter().copied());
    let whole = words.len() > 1;
    words.first().is_some_and(|word| known.into_iter().any(|k| if whole { k == *word } else { k.starts_with(word) }))
}

/// Answers that no other protocol gives.
const REPLIES: [&[u8]; 6] = [b"VALUE", b"STORED", b"NOT_STORED", b"NOT_FOUND", b"DELETED", b"TOUCHED"];

fn numbers(words: &[&[u8]]) -> bool {
    words.iter().all(|w| number(w.strip_prefix(b"-").unwrap_or(w)).is_some())
}

fn key(word: &[u8]) -> bool {
    (1..=250).contains(&word.len())
}

fn command(words: &[&[u8]]) -> Option<Direction> {
    let (verb, shape) = text::VERBS.iter().find(|v| Some(&v.0) == words.first())?;
    let rest = &words[1..];
    let (rest, _) = text::without_noreply(rest);
    let fits = match (shape, rest) {
        (Shape::Store, [name, numbers_ @ ..]) => {
            key(name) && numbers(numbers_) && numbers_.len() == if *verb == b"cas" { 4 } else { 3 }
        }
        (Shape::Get, names) => !names.is_empty() && names.iter().all(|n| key(n)),
        (Shape::GetAndTouch, [time, names @ ..]) => {
            !names.is_empty() && numbers(&[time]) && names.iter().all(|n| key(n))
        }
        (Shape::KeyAndNumber, [name, amount]) => key(name) && numbers(&[amount]),
        (Shape::Key, [name]) => key(name),
        (Shape::MetaStore, [name, len, ..]) => key(name) && numbers(&[len]),
        (Shape::Meta, [name, ..]) => key(name),
        _ => false,
    };
    fits.then_some(Direction::Request)
}

fn reply(words: &[&[u8]]) -> Option<Direction> {
    let fits = match words {
        [b"VALUE", name, rest @ ..] => key(name) && (2..=3).contains(&rest.len()) && numbers(rest),
        [word] => REPLIES[1..].contains(word),
        _ => false,
    };
    fits.then_some(Direction::Response)
}
