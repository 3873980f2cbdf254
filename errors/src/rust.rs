//! `thread 'main' panicked at src/main.rs:1:2:`, the message, perhaps `stack backtrace:` with numbered frames, `note: …`.

use crate::exception::{Exception, Language, What};
use crate::machine::{Grammar, MAX_LOOSE, Open, Said};
use crate::text::{before_numbers, is_record};

pub const GRAMMAR: Grammar = Grammar { opens: |line, _| opens(line), goes_on };

/// Before the message.
const SAID: u8 = 0;
/// The message has begun.
const MESSAGE: u8 = 1;
/// Frames.
const FRAMES: u8 = 2;

fn opens(line: &str) -> Option<Open> {
    let (_, place) = line.strip_prefix("thread '")?.split_once(" panicked at ")?;
    // (Until Rust 1.73: `panicked at 'message', src/main.rs:1:2`.)
    let (message, phase) = match place.rsplit_once(", ") {
        Some((message, place)) if before_numbers(place).is_some() => (message.trim_matches('\''), FRAMES),
        _ => {
            before_numbers(place.strip_suffix(':')?)?;
            ("", SAID)
        }
    };
    let mut open = Open::new(Exception::new(Language::Rust, "panic", message), phase);
    let at = if phase == SAID { line.len() } else { line.len() - place.len() };
    open.exception.push(What::Head, line, at);
    Some(open)
}

fn goes_on(open: &mut Open, line: &str) -> Option<Said> {
    if line == "stack backtrace:" || line.starts_with("note: ") {
        open.phase = FRAMES;
        return Some((What::Frame, 0));
    }
    if open.phase == FRAMES {
        let text = line.trim_start();
        let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let numbered = number.len() < text.len() && number.starts_with(": ");
        let place = text.strip_prefix("at ").is_some_and(|place| before_numbers(place).is_some());
        return (line.starts_with(' ') && (numbered || place)).then_some((What::Frame, 0));
    }
    open.loose += 1;
    let first = open.phase == SAID;
    if open.loose > MAX_LOOSE || (!first && is_record(line)) {
        return None;
    }
    if first {
        open.exception.message = line.to_owned();
        open.phase = MESSAGE;
    }
    Some((What::Text, 0))
}
