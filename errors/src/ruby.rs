//! `a.rb:1:in 'm': message (Type)`, then lines `from a.rb:2:in 'n'`; or what servers say before the frames: `Type (message):`,
//! `#<Type: message>`, ` - Type - message:`.

use std::collections::VecDeque;

use crate::exception::{Exception, Language, What};
use crate::machine::{Grammar, Open, Said};
use crate::text::{before_numbers, is_exceptions, is_qualified};

pub const GRAMMAR: Grammar = Grammar { opens, goes_on };

/// Rails leaves an empty line between what it says and the frames.
const REACH: usize = 3;

/// Where the place of a frame ends, and the name of its method.
fn method(line: &str) -> Option<usize> {
    let at = line.find(":in `").or_else(|| line.find(":in '"))?;
    let place = line[..at].trim_start();
    let place = place.strip_prefix("from ").unwrap_or(place);
    before_numbers(place).map(|_| at)
}

fn is_frame(line: &str) -> bool {
    line.ends_with('\'') && method(line).is_some()
}

/// `a.rb:1:in 'm': message (Type)`: the message and the type.
fn own_head(line: &str) -> Option<(&str, &str)> {
    let rest = &line[method(line)? + ":in '".len()..];
    let (_, said) = rest.split_once("': ")?;
    let (message, kind) = said.strip_suffix(')')?.rsplit_once(" (")?;
    is_qualified(kind).then_some((message, kind))
}

fn head(line: &str) -> Option<(String, Exception)> {
    let told = line.rsplit_once("#<").and_then(|(_, rest)| rest.strip_suffix('>')?.split_once(": "));
    let rails = || line.strip_suffix("):").and_then(|rest| rest.split_once(" ("));
    let sinatra = || {
        let (rest, message) = line.strip_suffix(':')?.rsplit_once(" - ")?;
        Some((rest.rsplit_once(" - ").map_or(rest, |(_, kind)| kind), message))
    };
    let plain = || line.split_once(": ");
    let (kind, message) = [told, rails(), sinatra(), plain()]
        .into_iter()
        .flatten()
        .find(|(kind, _)| is_qualified(kind) && is_exceptions(kind))?;
    Some((format!("{kind}: {message}"), Exception::new(Language::Ruby, kind, message)))
}

fn opens(line: &str, before: &VecDeque<String>) -> Option<Open> {
    if let Some((message, kind)) = own_head(line) {
        let mut open = Open::new(Exception::new(Language::Ruby, kind, message), 0);
        let text = format!(
            "{}': {kind}: {message}",
            &line[..line.len() - message.len() - kind.len() - "': ".len() - " ()".len()]
        );
        open.exception.push(What::Head, &text, text.len() - message.len());
        return Some(open);
    }
    is_frame(line).then(|| Open::with_head(before, REACH, line, head))?
}

fn goes_on(_: &mut Open, line: &str) -> Option<Said> {
    if let Some((message, kind)) = own_head(line) {
        return Some((What::Head, line.len() - message.len() - kind.len() - " ()".len()));
    }
    is_frame(line).then_some((What::Frame, 0))
}
