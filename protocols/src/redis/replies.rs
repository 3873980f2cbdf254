//! Replies, and what the server says unasked.

use super::command::{Command, Effect};
use super::messages::Popped;
use super::resp::{Token, number};
use super::{Redis, here, names};
use crate::Progress;
use crate::db::{Call, Failure, MAX_FAILURES};
use crate::exchange::{Mark, Output, Reason};

/// Most of a reply's first word that is kept.
const WORD: usize = 32;

/// `error.type` of an error that is not Redis' own.
const OTHER: &str = "_OTHER";

/// What matters of the reply in transfer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// Its type's byte; 0 before it is known.
    kind: u8,
    /// It has no value.
    null: bool,
    /// A simple reply's text, or an aggregate's first element: the beginning.
    word: Vec<u8>,
    /// Elements of the aggregate that are complete.
    elements: u64,
    /// The last integer among them.
    integer: i64,
    /// Errors among its elements: where, and their first words.
    inner: Vec<(u64, Vec<u8>)>,
    /// Its texts, if it may bring a message.
    pub popped: Option<Box<Popped>>,
}

impl Reply {
    pub(super) fn held(&self) -> usize {
        self.word.capacity() + self.popped.as_ref().map_or(0, |popped| popped.held())
    }

    fn begin(&mut self) {
        self.word.clear();
        self.inner.clear();
        *self = Self { word: std::mem::take(&mut self.word), popped: self.popped.take(), ..Self::default() };
    }

    fn line(&mut self, depth: usize, kind: u8, text: &[u8]) {
        if depth == 0 {
            self.begin();
            (self.kind, self.null) = (kind, text == b"-1");
        }
        let simple = matches!(kind, b'+' | b'-' | b':' | b'#' | b',' | b'(');
        if simple && (depth == 0 || (depth == 1 && self.elements == 0)) {
            self.word.extend_from_slice(&text[..text.len().min(WORD)]);
        }
        if depth == 1 && kind == b'-' && self.inner.len() < MAX_FAILURES {
            self.inner.push((self.elements, text[..text.len().min(WORD)].to_vec()));
        }
        if depth == 1 && kind == b':' {
            self.integer = number(text).unwrap_or(0);
        }
        self.elements += u64::from(depth == 1 && simple);
    }

    fn bulk(&mut self, depth: usize, part: &[u8]) {
        if let Some(popped) = &mut self.popped
            && depth == 1
        {
            popped.extend(self.elements, part);
        }
        let wanted = depth == 1 && self.elements == 0 || depth == 0 && self.kind == b'!';
        if wanted && self.word.len() < WORD {
            self.word.extend_from_slice(&part[..part.len().min(WORD - self.word.len())]);
        }
    }

    pub(super) fn is_error(&self) -> bool {
        matches!(self.kind, b'-' | b'!')
    }

    /// What it says of commands among many that failed: it answers the one at `index`, or all of them (`EXEC`).
    pub(super) fn failures(&self, index: u32, of_all: bool, time: u64) -> Vec<Failure> {
        let failure = |index: u32, word: &[u8]| {
            let known = error_word(word);
            Failure { time, index, error: known.unwrap_or(OTHER).into(), code: known.is_some() }
        };
        if self.is_error() {
            return vec![failure(index, &self.word)];
        }
        let place = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
        self.inner.iter().filter(|_| of_all).map(|(at, word)| failure(place(*at), word)).collect()
    }

    /// Says of a call that it failed: by the word that says what kind of error it is, if that is one of Redis' own.
    fn fail(&self, call: &mut Call<Command>) {
        match error_word(&self.word) {
            Some(word) => call.fail(word, ""),
            None => call.failure = Some((OTHER.into(), "".into())),
        }
    }
}

/// The word that says what kind of error it is, if it is one of Redis' own.
fn error_word(text: &[u8]) -> Option<&'static str> {
    let word = text.split(|b| !(b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')).next();
    names::error(word.unwrap_or_default())
}

impl Redis {
    pub(super) fn response_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.responses.begin(mark);
        let mut at = 0;
        while at < bytes.len() {
            if self.replicating {
                return Progress::Continue;
            }
            if self.responses.lost {
                self.unknown_response();
                return Progress::Continue;
            }
            let rest = &bytes[at..];
            if self.responses.reader.at_boundary() {
                // A master that prepares a copy says so from time to time.
                if rest[0] == b'\n' && self.awaits_copy() {
                    at += 1;
                    continue;
                }
                self.responses.first = here(mark, at);
                self.reply.begin();
                self.reply.popped = (rest[0] == b'*' && self.awaits_message()).then(Box::default);
            }
            let Some(len) = self.reply_token(rest) else { return self.response_nonsense(out) };
            at += len;
            if self.responses.reader.take_complete() || self.begins_copy() {
                self.reply(out);
            }
        }
        Progress::Continue
    }

    fn reply_token(&mut self, bytes: &[u8]) -> Option<usize> {
        let depth = self.responses.reader.depth();
        let (len, token) = self.responses.reader.next(bytes, false).ok()?;
        match token {
            Token::Nothing => {}
            Token::Line(kind, text) => self.reply.line(depth, kind, text),
            Token::Bulk(part) => self.reply.bulk(depth, part),
            Token::BulkEnd => self.reply.elements += u64::from(depth == 1),
        }
        Some(len)
    }

    /// `SYNC` is answered by a copy of the database straight away.
    fn begins_copy(&mut self) -> bool {
        self.reply.kind == b'$' && self.awaits_copy()
    }

    fn awaits_copy(&mut self) -> bool {
        self.calls.oldest().is_some_and(|call| call.request.effect == Effect::Replicate)
    }

    /// A value of the server is complete.
    fn reply(&mut self, out: &mut Vec<Output>) {
        let answers = self.answers();
        let (first, operation) = (self.responses.first, self.responses.operation);
        self.responses.doubtful = false;
        if self.replicating {
            return self.calls.forget(Reason::Left, out);
        }
        if !answers {
            return;
        }
        let (namespace, error) = (self.namespace, self.reply.is_error());
        let Some(call) = self.calls.oldest() else { return self.calls.response_to_nothing() };
        call.request.namespace = namespace;
        if call.request.bulk.is_some() {
            self.bulk_replied(out);
            return;
        }
        if error {
            self.reply.fail(call);
        }
        if let Effect::Subscribe { left, .. } = &mut call.request.effect
            && !error
        {
            *left -= 1;
            if *left > 0 {
                return self.calls.touch(&first, &operation);
            }
        }
        let effect = std::mem::take(&mut call.request.effect);
        self.calls.touch(&first, &operation);
        let whole = self.calls.oldest().and_then(|call| call.response);
        if !error {
            self.apply(effect);
        }
        self.calls.complete(out);
        if let Some(marks) = whole {
            self.receives(marks, out);
        }
    }

    /// Whether the value answers a command.
    fn answers(&mut self) -> bool {
        let reply = &self.reply;
        let aggregate = matches!(reply.kind, b'*' | b'>');
        let word = reply.word.as_slice();
        let awaited = self.calls.oldest().map(|call| &call.request.effect);
        if aggregate && word.ends_with(b"subscribe") && reply.elements == 3 {
            let subscribing = matches!(awaited, Some(Effect::Subscribe { .. }));
            let confirms = matches!(awaited, Some(Effect::Subscribe { name, .. }) if name.as_bytes() == word);
            // More confirmations than channels come of an UNSUBSCRIBE from all.
            if subscribing || reply.kind == b'>' || self.subscribed {
                self.subscribed = reply.integer > 0;
                return confirms;
            }
        }
        if aggregate && word.eq_ignore_ascii_case(b"REPLCONF") {
            // A replica reports to its master: what went the other way were no requests.
            self.replicating = true;
            return false;
        }
        if reply.kind == b'>' {
            return false;
        }
        if aggregate && self.subscribed && matches!(word, b"message" | b"pmessage" | b"smessage") {
            return false;
        }
        !(self.monitoring && reply.kind == b'+' && word.first().is_some_and(u8::is_ascii_digit))
    }

    pub(super) fn apply(&mut self, effect: Effect) {
        let queued = self.reply.kind == b'+' && self.reply.word == b"QUEUED";
        match effect {
            Effect::Select(index) if queued => self.queued_select = Some(index),
            Effect::Select(index) => self.namespace = Some(index),
            Effect::Execute => {
                let selected = self.queued_select.take().filter(|_| !self.reply.null && self.reply.kind != b'_');
                self.namespace = selected.or(self.namespace);
            }
            Effect::Reset => {
                self.namespace = Some(0);
                (self.subscribed, self.monitoring) = (false, false);
            }
            Effect::Monitor => self.monitoring = true,
            Effect::Replicate => self.replicating = true,
            Effect::Subscribe { .. } | Effect::None => {}
        }
    }

    /// Bytes of a reply whose end is hidden, or of nobody knows what.
    fn unknown_response(&mut self) {
        if self.calls.end_is_hidden() {
            self.calls.touch(&self.responses.operation, &self.responses.operation);
        } else {
            self.calls.responses_unread();
        }
    }

    fn response_nonsense(&mut self, out: &mut Vec<Output>) -> Progress {
        let doubtful = self.responses.doubtful;
        self.responses.lose();
        if self.unasked && doubtful {
            self.calls.abandon(out);
            return Progress::Continue;
        }
        if doubtful {
            self.calls.disproved(out);
            return Progress::Continue;
        }
        self.calls.forget(Reason::Nonsense, out);
        Progress::LostSync
    }

    pub(super) fn response_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) {
        self.responses.begin(mark);
        if self.responses.lost {
            return self.unknown_response();
        }
        let depth = self.responses.reader.depth();
        if let Some(popped) = &mut self.reply.popped {
            popped.hidden = true;
        }
        let begun = !self.responses.reader.at_boundary() && self.reply.kind != b'>' && self.reply.kind != 0;
        if self.unasked && depth == 1 && self.reply.elements == 0 {
            // Whether it answers anything would have been said here.
            self.calls.responses_hidden(out);
        }
        if self.responses.reader.skip(len) {
            if !self.responses.reader.in_string() {
                self.reply.elements += u64::from(depth == 1);
            }
            if self.responses.reader.take_complete() {
                self.reply(out);
            }
            return;
        }
        let selects = |command: &Command| matches!(command.effect, Effect::Select(_) | Effect::Execute | Effect::Reset);
        if self.calls.requests().any(selects) {
            self.namespace = None;
        }
        if self.unasked {
            // What comes next may be anything.
            self.calls.abandon(out);
        } else if self.many_answered() {
            let hidden = self.replies_cut();
            let (first, operation) = (self.responses.first, self.responses.operation);
            self.calls.touch(&first, &operation);
            self.calls.response_end_hidden(hidden, out);
        } else if begun && self.answers() && !self.transacting() {
            let error = self.reply.is_error();
            self.calls.touch(&self.responses.first, &self.responses.operation);
            let namespace = self.namespace;
            if let Some(call) = self.calls.oldest() {
                call.request.namespace = namespace;
                if error {
                    self.reply.fail(call);
                }
            }
            self.calls.response_end_hidden(false, out);
        } else {
            self.calls.responses_hidden(out);
        }
        self.responses.lose();
    }
}
