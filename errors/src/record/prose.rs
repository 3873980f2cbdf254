//! A record that is text behind a time and a level, in the usual forms: Python's, Log4j's and Logback's, Spring's, nginx', Monolog's,
//! Ruby's, glog's, `env_logger`'s, syslog's.

use super::Record;
use super::level::{self, Severity};

/// Things before a level that are looked at: times, names in brackets.
const MAX_HEAD: usize = 10;
/// Of these, plain words: names of programs and loggers, behind a time.
const MAX_WORDS: usize = 3;

pub(super) fn parse(line: &str) -> Option<Record> {
    let (severity, level, message) = find(line)?;
    if message.trim().is_empty() {
        return None;
    }
    let (level, message) = (level.to_owned(), message.trim_end().to_owned());
    Some(Record { severity: Some(severity), level, message, ..Record::default() })
}

fn find(line: &str) -> Option<(Severity, &str, &str)> {
    if let Some(found) = priority(line).or_else(|| letter(line)) {
        return Some(found);
    }
    let (mut rest, mut timed, mut words) = (line.trim_start(), false, 0);
    for _ in 0..MAX_HEAD {
        let (token, behind) = token(rest)?;
        if let Some(found) = names_level(rest, token.len()) {
            return Some(found);
        }
        let plain = token.trim_start_matches(['[', '(', '"']);
        match plain.bytes().next()? {
            _ if !plain.bytes().any(|b| b.is_ascii_alphanumeric()) => {}
            b'0'..=b'9' => timed = true,
            _ if token.starts_with(['[', '(']) => timed |= plain.bytes().any(|b| b.is_ascii_digit()),
            _ if is_day(plain) => timed = true,
            _ if timed && words < MAX_WORDS => words += 1,
            _ => return None,
        }
        rest = behind.trim_start();
    }
    None
}

/// The next thing: what is in brackets, or a word.
fn token(text: &str) -> Option<(&str, &str)> {
    if text.is_empty() {
        return None;
    }
    let end = match text.starts_with('[') {
        true => text.find(']').map(|at| at + 1),
        false => text.find(char::is_whitespace),
    };
    Some(text.split_at(end.unwrap_or(text.len())))
}

/// The level that the first thing of a text names, which is so long, and the message behind it. A word names one if it is written as
/// levels are, or marked as one.
fn names_level(text: &str, length: usize) -> Option<(Severity, &str, &str)> {
    let (token, behind) = text.split_at(length);
    let is_loud = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase());
    if let Some(inner) = token.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        // `[error]`, `[2026-11-30T09:12:17Z INFO shop]`
        let mut parts = inner.split([' ', ':']).map(|part| part.trim_matches(['/', '|']));
        let alone = !inner.contains([' ', ':']);
        let word = parts.find(|part| level::of_word(part).is_some() && (alone || is_loud(part)))?;
        return Some((level::of_word(word)?, word, message(behind)));
    }
    // `INFO:root:it`, `app.ERROR:`, `INFO`, `error:`, `INFO|`
    let (first, more) = match token.find([':', '|']) {
        Some(at) => (&token[..at], Some(&token[at + 1..])),
        None => (token, None),
    };
    let word = first.rsplit('.').next().unwrap_or(first).trim_matches(['[', ']', '(', ')', '<', '>', ',', '-']);
    let severity = level::of_word(word).filter(|_| is_loud(word) || (more == Some("") && first == word))?;
    let rest = if more.is_some() { &text[first.len() + 1..] } else { behind };
    Some((severity, word, message(rest)))
}

/// A message without what parts it from the level.
fn message(text: &str) -> &str {
    let text = text.trim_start_matches([' ', '\t', ':', '|', ']']);
    ["--- ", "-- : ", "-- ", "- "].iter().find_map(|sign| text.strip_prefix(sign)).unwrap_or(text).trim_start()
}

/// `<3>it`, as programs under systemd write.
fn priority(line: &str) -> Option<(Severity, &str, &str)> {
    let (number, message) = line.strip_prefix('<')?.split_once('>')?;
    let severity = level::of_syslog(number.parse::<u8>().ok()?);
    Some((severity, number, message.trim_start()))
}

/// `I1130 09:12:17.512345 12 shop.go:7] it`, `E, [2026-11-30T09:12:17 #12] ERROR -- shop: it`
fn letter(line: &str) -> Option<(Severity, &str, &str)> {
    let (first, rest) = line.split_at_checked(1)?;
    let severity = level::of_letter(first.bytes().next()?)?;
    let dated =
        rest.as_bytes().get(..5).is_some_and(|date| date[..4].iter().all(u8::is_ascii_digit) && date[4] == b' ');
    if dated {
        return Some((severity, first, rest.split_once("] ")?.1));
    }
    let (_, behind) = rest.strip_prefix(", [")?.split_once("] ")?;
    let (word, message) = behind.trim_start().split_once(" -- ")?;
    Some((level::of_word(word).unwrap_or(severity), word, message.strip_prefix(": ").unwrap_or(message)))
}

/// Names of months and days, as times begin with them.
fn is_day(word: &str) -> bool {
    const DAYS: [&str; 19] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Mon", "Tue", "Wed", "Thu",
        "Fri", "Sat", "Sun",
    ];
    DAYS.contains(&word.trim_end_matches(','))
}
