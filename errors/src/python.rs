//! `Traceback (most recent call last):`, frames, `Type: message`; then perhaps a sentence and the next of its chain. Of a chain the
//! last is what was raised in the end; of a group the first.

use crate::exception::{Exception, Language, What};
use crate::machine::{Grammar, Open, Said};
use crate::text::kind_and_message;

pub const GRAMMAR: Grammar = Grammar { opens: |line, _| opens(line), goes_on };

/// Frames, until the line that says what it is.
const FRAMES: u8 = 0;
/// That was said.
const SAID: u8 = 1;
/// Behind an empty line.
const GAP: u8 = 2;
/// A sentence says that another comes.
const LINKED: u8 = 3;
const LINKS: [&str; 2] = [
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
];

fn is_start(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '|', '+']);
    line.strip_prefix("Exception Group ").unwrap_or(line) == "Traceback (most recent call last):"
}

fn opens(line: &str) -> Option<Open> {
    let mut open = is_start(line).then(|| Open::new(Exception::new(Language::Python, "", ""), FRAMES))?;
    open.exception.push(What::Frame, line, 0);
    Some(open)
}

/// A line without the bars of the groups that it is in, and whether there are any.
fn inner(line: &str) -> (&str, bool) {
    match line.trim_start().strip_prefix('|') {
        Some(rest) => (rest.strip_prefix(' ').unwrap_or(rest), true),
        None => (line, false),
    }
}

fn goes_on(open: &mut Open, line: &str) -> Option<Said> {
    let (text, grouped) = inner(line);
    let ruler = line.trim_start().starts_with("+-");
    if open.phase == FRAMES || grouped || ruler {
        if ruler || is_start(line) {
            open.phase = FRAMES;
            return Some((What::Frame, 0));
        }
        if open.phase == FRAMES && text.starts_with([' ', '\t']) {
            return Some((What::Frame, 0));
        }
        if open.phase == FRAMES {
            let (kind, message) = kind_and_message(text)?;
            if open.exception.kind.is_empty() || !grouped {
                (open.exception.kind, open.exception.message) = (kind.to_owned(), message.to_owned());
            }
            open.phase = SAID;
            return Some((What::Head, line.len() - message.len()));
        }
        return Some((What::Text, 0));
    }
    if LINKS.contains(&line) {
        open.phase = LINKED;
        return Some((What::Frame, 0));
    }
    match open.phase {
        LINKED if is_start(line) => {
            open.phase = FRAMES;
            Some((What::Frame, 0))
        }
        LINKED | SAID | GAP if line.trim().is_empty() => {
            open.phase = open.phase.max(GAP);
            Some((What::Text, 0))
        }
        SAID => open.loosely(line),
        _ => None,
    }
}
