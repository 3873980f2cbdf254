//! One call.

use std::borrow::Cow;

use crate::db::{Description, Request};
use crate::exchange::KeyValue;

/// Longest text of a command that is kept.
const MAX_TEXT: usize = 1024;
/// Most words that are shown of one.
const MAX_WORDS: usize = 32;

/// How a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// By one line.
    Line,
    /// By values, or statistics, and `END`.
    Items,
    /// By one line, and data if that says so.
    Meta,
    /// By `MN`: all before it is answered.
    NoOp,
    /// Binary: by frames of the same opcode and mark.
    Frame { opcode: u8, opaque: u32, quiet: bool },
}

/// One call in flight.
#[derive(Debug)]
pub(super) struct Work {
    /// `None` if no server is known to have such a command.
    pub name: Option<Cow<'static, str>>,
    pub text: String,
    pub answer: Answer,
    /// Commands that may be answered, or not, came before it.
    pub behind_quiet: bool,
}

/// The command with its words masked, the first one as well unless it is `known`; or as it is.
pub(super) fn render(line: &[u8], known: bool, keep: bool) -> String {
    if keep {
        return String::from_utf8_lossy(&line[..line.len().min(MAX_TEXT)]).into_owned();
    }
    let mut words = line.split(|b| *b == b' ').filter(|w| !w.is_empty());
    let first = words.next().unwrap_or_default();
    let mut out = if known { String::from_utf8_lossy(first).into_owned() } else { "?".to_owned() };
    let count = words.count();
    for _ in 0..count.min(MAX_WORDS) {
        out.push_str(" ?");
    }
    if count > MAX_WORDS {
        out.push_str(" ...");
    }
    out
}

impl Request for Work {
    fn weight(&self) -> usize {
        self.text.capacity()
    }

    fn describe(self) -> (Cow<'static, str>, Vec<KeyValue>) {
        let text = Some(self.text).filter(|text| !text.is_empty()).map(Cow::Owned);
        Description { system: "memcached", operation: self.name, text, ..Description::default() }.render()
    }
}
