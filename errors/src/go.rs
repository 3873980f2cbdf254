//! `panic: …`, `goroutine 1 [running]:`, then pairs of a function and a place. `net/http` says `http: panic serving ADDRESS: …`
//! before them.

use std::collections::VecDeque;

use crate::exception::{Exception, Language, What};
use crate::machine::{Grammar, Open, Said};

pub const GRAMMAR: Grammar = Grammar { opens, goes_on };

/// Before the first goroutine.
const SAID: u8 = 0;
/// In a goroutine's frames.
const FRAMES: u8 = 1;
/// Behind one.
const GAP: u8 = 2;

fn is_goroutine(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("goroutine ") else { return false };
    rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(" [") && rest.ends_with("]:")
}

fn is_place(line: &str) -> bool {
    line.starts_with('\t') && (line.contains(".go:") || line.contains(".s:"))
}

fn is_function(line: &str) -> bool {
    if line.starts_with("created by ") || line.starts_with("panic(") {
        return true;
    }
    let Some((name, _)) = line.split_once('(') else { return false };
    line.ends_with(')') && !line.starts_with([' ', '\t']) && name.contains('.') && !name.contains(' ')
}

/// Where the arguments of a call begin, in a line that has some.
pub fn arguments(line: &str) -> Option<usize> {
    (line.ends_with(')') && !line.starts_with("created by ")).then(|| line.rfind('('))?
}

fn panic(message: &str) -> Exception {
    let message = message.strip_suffix(" [recovered]").unwrap_or(message);
    let kind = if message.starts_with("runtime error: ") { "runtime.Error" } else { "panic" };
    Exception::new(Language::Go, kind, message)
}

/// What a line says of a panic, wherever a logger puts it.
fn said(line: &str) -> Option<&str> {
    match line.split_once("panic serving ") {
        Some((_, rest)) => rest.split_once(": ").map(|(_, message)| message),
        None => Some(line.split_once("panic: ").or_else(|| line.split_once("panic recovered: "))?.1),
    }
}

fn opens(line: &str, before: &VecDeque<String>) -> Option<Open> {
    if is_goroutine(line) {
        let mut open = Open::with_head(before, 1, line, |line| {
            let exception = panic(said(line)?);
            Some((format!("panic: {}", exception.message), exception))
        })?;
        open.phase = FRAMES;
        return Some(open);
    }
    let exception = match (line.strip_prefix("panic: "), line.strip_prefix("fatal error: ")) {
        (Some(message), _) => panic(message),
        (None, Some(message)) => Exception::new(Language::Go, "fatal error", message),
        (None, None) => return None,
    };
    let mut open = Open::new(exception, SAID);
    open.exception.push(What::Head, line, line.find(": ").map_or(0, |at| at + 2));
    Some(open)
}

fn goes_on(open: &mut Open, line: &str) -> Option<Said> {
    const FRAME: Option<Said> = Some((What::Frame, 0));
    if is_goroutine(line) {
        open.phase = FRAMES;
        return FRAME;
    }
    match open.phase {
        _ if line.starts_with("exit status ") => FRAME,
        SAID if line.is_empty() => Some((What::Text, 0)),
        SAID if line.starts_with("\tpanic: ") || line.starts_with("[signal ") || line.starts_with("\t/") => {
            Some((What::Text, 0))
        }
        SAID => open.loosely(line),
        FRAMES if line.is_empty() => {
            open.phase = GAP;
            Some((What::Text, 0))
        }
        FRAMES if is_place(line) || is_function(line) => FRAME,
        _ => None,
    }
}
