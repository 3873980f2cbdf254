//! The text protocol.

use super::lines::Piece;
use super::work::{Answer, Work, render};
use super::{Memcached, detect, here};
use crate::db::Pipeline;
use crate::exchange::{Mark, Marks, Output, Reason};
use crate::{Detection, Direction, Progress};

/// Largest block of data; the server's own limit is 1 GiB.
const MAX_DATA: u64 = 1 << 30;
/// Longest name of a command.
const MAX_VERB: usize = 16;

/// What stands behind a command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Key, flags, time, length; then data.
    Store,
    /// Keys.
    Get,
    /// A time, keys.
    GetAndTouch,
    /// A key, a number.
    KeyAndNumber,
    /// A key.
    Key,
    /// Anything.
    Other,
    /// A key, a length, flags; then data.
    MetaStore,
    /// A key, flags.
    Meta,
}

/// The commands.
pub(super) static VERBS: [(&[u8], Shape); 36] = [
    (b"get", Shape::Get),
    (b"gets", Shape::Get),
    (b"set", Shape::Store),
    (b"add", Shape::Store),
    (b"replace", Shape::Store),
    (b"append", Shape::Store),
    (b"prepend", Shape::Store),
    (b"cas", Shape::Store),
    (b"gat", Shape::GetAndTouch),
    (b"gats", Shape::GetAndTouch),
    (b"touch", Shape::KeyAndNumber),
    (b"incr", Shape::KeyAndNumber),
    (b"decr", Shape::KeyAndNumber),
    (b"delete", Shape::Key),
    (b"stats", Shape::Other),
    (b"version", Shape::Other),
    (b"verbosity", Shape::Other),
    (b"flush_all", Shape::Other),
    (b"quit", Shape::Other),
    (b"shutdown", Shape::Other),
    (b"mn", Shape::Other),
    (b"ms", Shape::MetaStore),
    (b"mg", Shape::Meta),
    (b"md", Shape::Meta),
    (b"ma", Shape::Meta),
    (b"me", Shape::Meta),
    (b"cache_memlimit", Shape::Other),
    (b"debugtime", Shape::Other),
    (b"extstore", Shape::Other),
    (b"lru", Shape::Other),
    (b"lru_crawler", Shape::Other),
    (b"misbehave", Shape::Other),
    (b"refresh_certs", Shape::Other),
    (b"shutdown_graceful", Shape::Other),
    (b"slabs", Shape::Other),
    (b"watch", Shape::Other),
];

/// A number without a sign.
pub(super) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 19 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(word.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

/// The words without the wish for no answer, and whether that was there.
pub(super) fn without_noreply<'w, 'a>(words: &'w [&'a [u8]]) -> (&'w [&'a [u8]], bool) {
    match words {
        [rest @ .., b"noreply"] => (rest, true),
        _ => (words, false),
    }
}

impl Memcached {
    pub(super) fn command_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        let fresh = self.commands.begin(mark);
        if fresh {
            self.pipeline = Pipeline::default();
        }
        if self.commands.lost {
            if !fresh || detect(bytes) != Detection::Match(Direction::Request) {
                self.calls.requests_hidden(out);
                return Progress::Continue;
            }
            self.commands.expect();
        }
        let mut at = 0;
        while at < bytes.len() {
            if self.commands.at_boundary() {
                self.commands.first = here(mark, at);
            }
            let (len, piece) = self.commands.read(&bytes[at..]);
            at += len;
            let sound = match piece {
                Piece::More => true,
                Piece::Data => {
                    self.sent();
                    true
                }
                Piece::Line(line) => line.is_empty() || self.command(&line, out),
                Piece::Invalid => false,
            };
            if !sound {
                self.tell_silent(true, out);
                return self.command_nonsense(out);
            }
        }
        if self.commands.data.is_some() {
            self.sent();
        }
        self.tell_silent(self.commands.at_boundary(), out);
        Progress::Continue
    }

    /// Data of the latest command passed.
    fn sent(&mut self) {
        let operation = self.commands.operation;
        if let Some(call) = self.calls.latest().filter(|_| !self.silent.latest) {
            call.marks.last = operation;
        }
    }

    fn command_nonsense(&mut self, out: &mut Vec<Output>) -> Progress {
        let sound = self.commands.doubtful || self.calls.len() > 0;
        self.commands.lose();
        if sound {
            self.calls.requests_hidden(out);
            return Progress::Continue;
        }
        Progress::LostSync
    }

    /// A command's line. Whether it makes sense.
    fn command(&mut self, line: &[u8], out: &mut Vec<Output>) -> bool {
        let words: Vec<_> = line.split(|b| *b == b' ').filter(|w| !w.is_empty()).take(64).collect();
        let Some(verb) = words.first().filter(|v| v.len() <= MAX_VERB) else { return false };
        if !verb.iter().all(|b| b.is_ascii_lowercase() || *b == b'_') {
            return false;
        }
        let known = VERBS.iter().find(|v| v.0 == *verb);
        let shape = known.map_or(Shape::Other, |v| v.1);
        let data = match shape {
            Shape::Store => words.get(4).and_then(|w| number(w)),
            Shape::MetaStore => words.get(2).and_then(|w| number(w)),
            _ => None,
        };
        self.commands.data = data.filter(|len| *len <= MAX_DATA).map(|len| len + 2);
        // Of what nobody knows, no name is told: it may be anything.
        let name = known.map(|(name, _)| String::from_utf8_lossy(name));
        if matches!(*verb, b"quit" | b"shutdown") {
            return true;
        }
        let answer = match shape {
            Shape::Get | Shape::GetAndTouch => Answer::Items,
            Shape::Meta | Shape::MetaStore => Answer::Meta,
            _ if *verb == b"stats" => Answer::Items,
            _ if *verb == b"mn" => Answer::NoOp,
            _ => Answer::Line,
        };
        let meta = answer == Answer::Meta;
        let quiet = meta && words.iter().skip(2).any(|w| *w == b"q");
        let (_, silent) = without_noreply(&words);
        let marks = Marks { first: self.commands.first, last: self.commands.operation };
        let text = render(line, name.is_some(), self.settings.keep_query_text);
        let mut work = Work { name, text, answer, behind_quiet: self.quiet, bulk: None };
        if quiet || (silent && !meta) {
            self.quiet |= quiet;
            self.pipeline = Pipeline::default();
            self.silently(marks, work);
            return true;
        }
        self.tell_silent(true, out);
        self.silent.latest = false;
        self.quiet = false;
        if !work.behind_quiet && self.pipeline.adds(&mut self.calls, marks, &mut work, out) {
            return true;
        }
        let mergeable = !work.behind_quiet;
        let verdict = self.calls.pairs(&marks, out);
        let alone = self.calls.len() == 0;
        let id = self.calls.start(marks, work, verdict, out);
        if id.is_some() && alone {
            self.replies.expect();
        }
        self.pipeline.began(&mut self.calls, id.filter(|_| mergeable), out);
        true
    }

    pub(super) fn command_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) {
        let fresh = self.commands.begin(mark);
        if fresh {
            self.pipeline = Pipeline::default();
        }
        if self.commands.lost {
            // More of an operation whose rest is known to be hidden changes nothing.
            if fresh || mark.lost {
                self.calls.requests_hidden(out);
            }
            return;
        }
        if self.commands.skip(len).0 {
            return self.sent();
        }
        self.commands.lose();
        self.calls.requests_hidden(out);
        if !mark.lost {
            self.pipeline.cut(&mut self.calls);
        }
    }

    pub(super) fn reply_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.replies.begin(mark);
        let mut at = 0;
        while at < bytes.len() {
            if self.replies.lost {
                self.unknown_reply();
                break;
            }
            if self.replies.at_boundary() {
                self.replies.first = here(mark, at);
            }
            let (len, piece) = self.replies.read(&bytes[at..]);
            at += len;
            let sound = match piece {
                Piece::More => true,
                Piece::Data => {
                    self.data_came(out);
                    true
                }
                Piece::Line(line) => self.reply(&line, out),
                Piece::Invalid => false,
            };
            if !sound {
                return self.reply_nonsense(out);
            }
        }
        if self.replies.data.is_some() {
            self.touch_reply();
        }
        Progress::Continue
    }

    fn touch_reply(&mut self) {
        self.calls.touch(&self.replies.first, &self.replies.operation);
    }

    /// The data of a value is complete: with a meta command, so is the answer.
    fn data_came(&mut self, out: &mut Vec<Output>) {
        if self.calls.len() == 0 {
            return;
        }
        self.touch_reply();
        if self.awaited().is_some_and(|(answer, _)| answer == Answer::Meta) {
            self.answered(out);
        }
    }

    fn unknown_reply(&mut self) {
        if self.calls.end_is_hidden() {
            self.calls.touch(&self.replies.operation, &self.replies.operation);
        } else {
            self.calls.responses_unread();
        }
    }

    fn reply_nonsense(&mut self, out: &mut Vec<Output>) -> Progress {
        let doubtful = self.replies.doubtful;
        self.replies.lose();
        if doubtful {
            self.calls.disproved(out);
            return Progress::Continue;
        }
        self.calls.forget(Reason::Nonsense, out);
        Progress::LostSync
    }

    /// A line of the server. Whether it makes sense.
    fn reply(&mut self, line: &[u8], out: &mut Vec<Output>) -> bool {
        let words: Vec<_> = line.split(|b| *b == b' ').filter(|w| !w.is_empty()).take(8).collect();
        let Some(word) = words.first().copied() else { return false };
        if !word.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_') {
            return false;
        }
        let len = match word {
            b"VALUE" => words.get(3),
            b"VA" => words.get(1),
            _ => None,
        };
        self.replies.data = len.and_then(|w| number(w)).filter(|len| *len <= MAX_DATA).map(|len| len + 2);
        self.replies.doubtful = false;
        if self.calls.len() == 0 {
            self.calls.responses_unread();
            return true;
        }
        let Some((answer, behind_quiet)) = self.awaited() else {
            // One of many, of which is only known that they were asked for.
            self.touch_reply();
            return true;
        };
        let error = matches!(word, b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR");
        if behind_quiet && answer == Answer::NoOp && word != b"MN" {
            return true;
        }
        if behind_quiet && answer != Answer::NoOp {
            // It may answer a quiet command as well.
            self.calls.responses_hidden(out);
            return true;
        }
        if error {
            self.fail(word);
        }
        self.touch_reply();
        let items = answer == Answer::Items && matches!(word, b"VALUE" | b"STAT");
        if error || (!items && self.replies.data.is_none()) {
            self.answered(out);
        }
        true
    }

    pub(super) fn reply_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) {
        self.replies.begin(mark);
        if self.replies.lost {
            return self.unknown_reply();
        }
        match self.replies.skip(len) {
            (true, true) => self.data_came(out),
            (true, false) => self.touch_reply(),
            (false, _) => {
                let begun = self.replies.data.is_some();
                self.replies.lose();
                if begun || self.calls.oldest().is_some_and(|c| c.response.is_some()) {
                    let carried = self.answers_cut();
                    self.calls.response_end_hidden(carried, out);
                } else {
                    self.calls.responses_hidden(out);
                }
            }
        }
    }
}
