//! `Type: message`, `at a.b.C.m(C.java:1)`, `Caused by: …`, `Suppressed: …`, `... 5 more`; with what Logback puts behind a frame.

use std::collections::VecDeque;

use crate::exception::{Exception, Language, What};
use crate::machine::{BEFORE, Grammar, Open, Said};
use crate::text::{called_at, is_exceptions, kind_and_message, kind_within, last_part};

pub const GRAMMAR: Grammar = Grammar { opens, goes_on };

/// A head was the last that was said, so its message may go on.
const SAID: u8 = 1;
const SOURCES: [&str; 6] = [".java", ".kt", ".scala", ".groovy", ".clj", ".kts"];
const LINKS: [&str; 3] = ["Caused by: ", "Suppressed: ", "Wrapped by: "];

fn is_frame(line: &str) -> bool {
    let Some(call) = called_at(line) else { return false };
    let Some((name, rest)) = call.split_once('(') else { return false };
    let Some((place, _)) = rest.split_once(')') else { return false };
    let sound = |c: char| c.is_alphanumeric() || "_.$@/<>-".contains(c);
    let file = place.rsplit_once(':').map_or(place, |(file, _)| file);
    name.contains('.')
        && name.chars().all(sound)
        && (["Native Method", "Unknown Source", "<generated>"].contains(&place)
            || SOURCES.iter().any(|end| file.ends_with(end)))
}

fn is_more(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("... ") && (line.ends_with(" more") || line.ends_with("common frames omitted"))
        || line.starts_with("[CIRCULAR REFERENCE")
}

/// `a.b.C`, or a name that exceptions have.
fn is_throwable(name: &str) -> bool {
    let packaged = name.contains('.') && name.starts_with(|c: char| c.is_ascii_lowercase());
    is_exceptions(name) || (packaged && last_part(name).starts_with(|c: char| c.is_ascii_uppercase()))
}

fn opens(line: &str, before: &VecDeque<String>) -> Option<Open> {
    is_frame(line).then_some(())?;
    Open::with_head(before, BEFORE, line, |line| {
        let own = kind_and_message(line).filter(|(kind, _)| is_throwable(kind));
        let (kind, message) = own.or_else(|| kind_within(line, is_throwable))?;
        Some(Exception::with_head(Language::Jvm, kind, message))
    })
}

fn goes_on(open: &mut Open, line: &str) -> Option<Said> {
    if is_frame(line) || is_more(line) {
        open.phase = 0;
        return Some((What::Frame, 0));
    }
    let text = line.trim_start();
    if let Some(rest) = LINKS.iter().find_map(|link| text.strip_prefix(link)) {
        open.phase = SAID;
        let message = kind_and_message(rest).map_or(rest, |(_, message)| message);
        return Some((What::Head, line.len() - message.len()));
    }
    if open.phase == SAID { open.loosely(line) } else { None }
}
