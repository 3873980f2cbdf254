//! `Type [CODE]: message`, `at f (/a.js:1:2)`; then perhaps what else the error has, in braces, causes among it.

use std::collections::VecDeque;

use crate::exception::{Exception, Language, What};
use crate::machine::{BEFORE, Grammar, MAX_LOOSE, Open, Said};
use crate::text::{before_numbers, called_at, is_exceptions, kind_within};

pub const GRAMMAR: Grammar = Grammar { opens, goes_on };

/// Lines of what else an error has.
const MAX_PROPERTIES: usize = 16 * MAX_LOOSE;
const PLACES: [&str; 7] = ["node:", "file:", "/", "webpack", "internal/", "http", "evalmachine"];

fn is_frame(line: &str) -> bool {
    let Some(call) = called_at(line) else { return false };
    let call = call.trim_end_matches([' ', '{', ',']);
    let call = call.strip_prefix("async ").unwrap_or(call);
    let place = match call.strip_suffix(')').and_then(|call| call.rsplit_once('(')) {
        Some((_, place)) => place,
        None => call,
    };
    let file = before_numbers(place);
    let drive = |file: &str| file.get(1..3) == Some(":\\");
    matches!(place, "<anonymous>" | "native") && call.len() > place.len()
        || file.is_some_and(|file| PLACES.iter().any(|begin| file.starts_with(begin)) || drive(file))
}

fn head(line: &str) -> Option<(String, Exception)> {
    let own = line.strip_prefix("Uncaught ").unwrap_or(line);
    let end = own.find(|c: char| !(c.is_alphanumeric() || "_$.".contains(c))).unwrap_or(own.len());
    let (kind, rest) = own.split_at(end);
    let behind = match rest.strip_prefix(" [").and_then(|code| code.split_once(']')) {
        Some((_, behind)) => behind,
        None => rest,
    };
    let message = if behind.is_empty() { Some("") } else { behind.strip_prefix(": ") };
    if let Some(message) = message.filter(|_| is_exceptions(kind)) {
        return Some((own.to_owned(), Exception::new(Language::Node, kind, message)));
    }
    let (kind, message) = kind_within(line, is_exceptions)?;
    Some(Exception::with_head(Language::Node, kind, message))
}

fn opens(line: &str, before: &VecDeque<String>) -> Option<Open> {
    is_frame(line).then_some(())?;
    let mut open = Open::with_head(before, BEFORE, line, head)?;
    open.depth = u32::from(line.ends_with('{'));
    Some(open)
}

fn goes_on(open: &mut Open, line: &str) -> Option<Said> {
    let text = line.trim();
    let opens = u32::from(text.ends_with(['{', '[']));
    if is_frame(line) || (text.starts_with("... ") && text.ends_with("matching cause stack trace ...")) {
        open.depth += opens;
        return Some((What::Frame, 0));
    }
    if open.depth == 0 {
        return None;
    }
    open.loose += 1;
    if open.loose > MAX_PROPERTIES {
        return None;
    }
    open.depth = (open.depth - u32::from(text.starts_with(['}', ']']))) + opens;
    Some((What::Text, 0))
}
