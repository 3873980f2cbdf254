//! One call.

use std::borrow::Cow;

use super::bulk::Bulk;
use crate::db::{Description, Failure, Request};
use crate::exchange::{Event, KeyValue, unknown};

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
    /// It is many.
    pub bulk: Option<Box<Bulk>>,
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
        self.text.capacity() + self.bulk.as_ref().map_or(0, |bulk| bulk.held())
    }

    fn events(&mut self) -> Vec<Event> {
        let failures = self.bulk.as_mut().map(|bulk| bulk.take_failures());
        failures.unwrap_or_default().into_iter().map(Failure::event).collect()
    }

    fn describe(mut self) -> (Cow<'static, str>, Vec<KeyValue>) {
        let mut described = Description { system: "memcached", operation: self.name, ..Description::default() };
        let mut hidden = [None; 2];
        if let Some(bulk) = self.bulk.take() {
            hidden = bulk.unknown();
            let (name, text, batch) = bulk.describe();
            self.text = text;
            (described.operation, described.batch) = (Some(name), Some(batch));
        }
        described.text = Some(self.text).filter(|text| !text.is_empty()).map(Cow::Owned);
        let (name, mut attributes) = described.render();
        attributes.extend(unknown(hidden));
        (name, attributes)
    }
}
