//! `Uncaught Type: message in file:line`, `Stack trace:`, `#0 …`, perhaps `Next Type: …` (which is what was thrown in the end),
//! `thrown in … on line …`. Monolog says `[stacktrace]`.

use std::collections::VecDeque;

use crate::exception::{Exception, Language, What};
use crate::machine::{BEFORE, Grammar, Open, Said};
use crate::text::{is_exceptions, is_qualified, kind_and_message, kind_within};

pub const GRAMMAR: Grammar = Grammar { opens, goes_on };

/// The next exception was named, and its message may go on.
const SAID: u8 = 1;

fn is_start(line: &str) -> bool {
    matches!(line.trim(), "Stack trace:" | "PHP Stack trace:" | "[stacktrace]")
}

fn is_frame(line: &str) -> bool {
    let line = line.strip_prefix("PHP").map_or(line, str::trim_start);
    let numbered =
        line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(' '));
    numbered || (line.trim_start().starts_with("thrown in ") && line.contains(" on line "))
}

/// A message without the place behind it.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" in /").or_else(|| message.rsplit_once(" at /")).map_or(message, |(message, _)| message)
}

fn head(line: &str) -> Option<(String, Exception)> {
    let (kind, message) = match line.split_once("Uncaught ") {
        Some((_, rest)) => kind_and_message(rest)?,
        None => match line.split_once("[object] (").and_then(|(_, rest)| rest.split_once("(code: ")) {
            Some((kind, rest)) if is_qualified(kind) => (kind, rest.split_once("): ")?.1),
            _ => kind_within(line, is_exceptions)?,
        },
    };
    let message = without_place(message);
    Some((format!("{kind}: {message}"), Exception::new(Language::Php, kind, message)))
}

fn opens(line: &str, before: &VecDeque<String>) -> Option<Open> {
    is_start(line).then(|| Open::with_head(before, BEFORE, line, head))?
}

fn goes_on(open: &mut Open, line: &str) -> Option<Said> {
    if is_frame(line) || is_start(line) {
        open.phase = 0;
        return Some((What::Frame, 0));
    }
    if let Some((kind, message)) = line.strip_prefix("Next ").and_then(kind_and_message) {
        let whole = without_place(message);
        (open.exception.kind, open.exception.message) = (kind.to_owned(), whole.to_owned());
        open.phase = SAID;
        return Some((What::Head, line.len() - message.len()));
    }
    match open.phase {
        SAID => open.loosely(line),
        _ if line.is_empty() => Some((What::Text, 0)),
        _ => None,
    }
}
