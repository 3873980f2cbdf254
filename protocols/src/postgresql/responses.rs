//! What the server says.

use std::borrow::Cow;

use super::awaited::{Asked, Awaited};
use super::wire;
use super::work::{Names, tag};
use super::{PostgreSql, here};
use crate::Progress;
use crate::db::{Failure, Frame, Read, Skip};
use crate::exchange::{Mark, Output, Reason};
use crate::pairing::Verdict;

/// `error.type` of a call that the server passed over because one before it in the same sequence failed.
const ABORTED: &str = "pipeline_aborted";
/// `error.type` of a failure whose code is hidden.
const UNKNOWN: &str = "_OTHER";

impl PostgreSql {
    pub(super) fn response_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.responses.begin(mark);
        let mut at = 0;
        while at < bytes.len() {
            if self.responses.lost {
                self.unknown_response();
                break;
            }
            let rest = &bytes[at..];
            if self.responses.at_boundary() && std::mem::take(&mut self.encryption) {
                match rest[0] {
                    b'S' | b'G' => return Progress::Left,
                    b'N' => {
                        at += 1;
                        continue;
                    }
                    _ => {}
                }
            }
            match self.responses.read(&wire::RESPONSE, rest, here(mark, at)) {
                Read::More => break,
                Read::Frame(len, frame) => {
                    at += len;
                    if self.response(&frame, out) == Progress::Left {
                        self.calls.forget(Reason::Left, out);
                        return Progress::Left;
                    }
                }
                Read::Invalid => return self.response_nonsense(out),
            }
        }
        self.touch_open();
        Progress::Continue
    }

    /// Rows that are under way belong to the call that they answer.
    fn touch_open(&mut self) {
        if self.responses.open_head().is_some_and(|head| matches!(head[0], b'D' | b'd' | b'T'))
            && !self.awaited.is_empty()
        {
            self.calls.touch(&self.responses.open_first(), &self.responses.operation);
        }
    }

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
        self.lose_answers();
        if doubtful {
            self.calls.disproved(out);
            return Progress::Continue;
        }
        self.calls.forget(Reason::Nonsense, out);
        Progress::LostSync
    }

    pub(super) fn lose_answers(&mut self) {
        // How strings are meant now may be among what was missed.
        self.dialect = self.dialect.unsure();
        self.awaited.clear();
        self.open = None;
        self.copying = false;
        self.skipping = false;
        self.encryption = false;
        self.hidden = None;
        // What the present sequence adds cannot be told, either.
        self.blind = self.group.is_some() && self.calls.end_is_hidden() && self.runs_on();
        if self.group.is_some() && !self.blind {
            self.group = Some(Verdict::Drop);
        }
        if !self.blind {
            self.ran = None;
        }
    }

    pub(super) fn response_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.responses.begin(mark);
        if self.responses.lost {
            self.unknown_response();
            return Progress::Continue;
        }
        let lost = match self.responses.skip(len) {
            Skip::Within => false,
            Skip::Ended(frame, beyond) => {
                if self.response(&frame, out) == Progress::Left {
                    self.calls.forget(Reason::Left, out);
                    return Progress::Left;
                }
                beyond
            }
            Skip::Lost => true,
        };
        if lost {
            self.responses.lose();
            self.starting = false;
            self.answers_cut(out);
            self.lose_answers();
        } else {
            self.touch_open();
        }
        Progress::Continue
    }

    fn response(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) -> Progress {
        let kind = frame.head()[0];
        self.responses.doubtful = false;
        match kind {
            b'W' => return Progress::Left,
            b'S' => self.parameter(frame),
            b'N' => self.notice(frame),
            b'A' | b'R' | b'K' | b'v' => {}
            b'Z' if self.starting => self.starting = false,
            _ if self.starting || self.replication => {}
            _ => self.answer(kind, frame, out),
        }
        Progress::Continue
    }

    /// How backslashes in strings are meant.
    fn parameter(&mut self, frame: &Frame<'_>) {
        if let Some((b"standard_conforming_strings", value)) = wire::text(&frame.body) {
            self.dialect.backslash = match wire::text(value) {
                Some((b"on", _)) => Some(false),
                Some((b"off", _)) => Some(true),
                _ => None,
            };
        }
    }

    /// A warning has a code; other notices say nothing.
    fn notice(&mut self, frame: &Frame<'_>) {
        let code = wire::code(&frame.body).filter(|code| code.starts_with("01"));
        if let (Some(code), Some(call)) = (code, self.calls.oldest()) {
            call.code.get_or_insert(code.into());
        }
    }

    fn answer(&mut self, kind: u8, frame: &Frame<'_>, out: &mut Vec<Output>) {
        let Some(Awaited { asked, owner }) = self.awaited.front() else {
            if kind == b'1' {
                // It may have prepared anything, under any name.
                self.statements = Names::default();
            }
            if let Some(hidden) = self.hidden {
                return self.answer_hidden(hidden, frame, out);
            }
            if kind == b'Z' && self.calls.len() == 0 {
                self.calls.response_to_nothing();
            }
            return;
        };
        if owner.is_some() {
            self.calls.touch(&frame.first, &self.responses.operation);
        }
        self.copying &= !matches!(kind, b'C' | b'E' | b'Z');
        use Asked::{Bind, Close, Describe, Execute, Function, Parse, Query, Sync};
        match (asked, kind) {
            (Parse, b'1') | (Bind, b'2') | (Close, b'3') | (Describe, b'T' | b'n') => self.answered(out),
            (Describe, b't') | (Execute | Query, b'D' | b'H' | b'd' | b'c') | (Query, b'T') | (Function, b'V') => {}
            (Query, b'C' | b'I') => self.ran(frame),
            (Execute, b'C' | b'I' | b's') => {
                self.ran(frame);
                self.answered(out);
            }
            (Execute | Query, b'G') => self.copies_in(),
            (Sync | Query | Function, b'Z') => self.answered(out),
            (Sync | Query | Function, b'E') => self.failed(frame),
            (_, b'E') => {
                self.failed(frame);
                self.abort(out);
            }
            _ => {
                // The answers are not those that are waited for: something was hidden.
                self.calls.responses_hidden(out);
                self.lose_answers();
            }
        }
    }

    /// What the server ran, in its own words.
    pub(super) fn ran(&mut self, frame: &Frame<'_>) {
        let Some(call) = self.calls.oldest() else { return };
        if frame.head()[0] == b'C' && call.request.runs > 1 && call.request.said.is_none() {
            call.request.said = wire::text(&frame.body).and_then(|(text, _)| tag(text));
        }
        if frame.head()[0] == b'C' && call.request.tag.is_none() && call.request.query.is_none() {
            call.request.tag = wire::text(&frame.body).and_then(|(text, _)| tag(text));
        }
    }

    fn failed(&mut self, frame: &Frame<'_>) {
        if let Some(id) = self.awaited.front().and_then(|a| a.owner) {
            self.fail(id, frame);
        }
    }

    pub(super) fn fail(&mut self, id: u64, frame: &Frame<'_>) {
        let (time, keep_values) = (self.responses.operation.time, self.settings.keep_query_text);
        let Some(call) = self.calls.by_id(id) else { return };
        let (error, code) = wire::code(&frame.body).map_or((UNKNOWN.into(), false), |code| (Cow::Owned(code), true));
        call.request.failed = Some(Failure { time, index: call.request.done, error: error.clone(), code });
        if code {
            let words = wire::words(&frame.body, &error, keep_values);
            call.fail(error, words);
        } else {
            call.failure = Some((error, "".into()));
        }
    }

    /// The answer that was waited for came.
    fn answered(&mut self, out: &mut Vec<Output>) {
        let Some(Awaited { asked, owner }) = self.awaited.pop() else { return };
        let Some(call) = owner.and_then(|id| self.calls.by_id(id)) else { return };
        call.request.done = call.request.done.saturating_add(u32::from(asked == Asked::Execute));
        self.settle_answers(owner, 1, out);
    }

    /// So many answers less are to come for a call.
    fn settle_answers(&mut self, owner: Option<u64>, answers: u32, out: &mut Vec<Output>) {
        let Some(call) = owner.and_then(|id| self.calls.by_id(id)) else { return };
        call.request.pending = call.request.pending.saturating_sub(answers);
        if call.request.closed && call.request.pending == 0 {
            self.calls.complete(out);
        }
    }

    /// The server passes over everything until `Sync`.
    fn abort(&mut self, out: &mut Vec<Output>) {
        let failed = self.awaited.front().and_then(|a| a.owner);
        self.skipping = true;
        while let Some(next) = self.awaited.front() {
            if next.asked == Asked::Sync {
                self.skipping = false;
                break;
            }
            if let Some(call) = next.owner.filter(|id| Some(*id) != failed).and_then(|id| self.calls.by_id(id)) {
                call.failure.get_or_insert((ABORTED.into(), "".into()));
            }
            let operation = self.responses.operation;
            if next.owner.is_some() {
                self.calls.touch(&operation, &operation);
            }
            if let Some((owner, answers)) = self.awaited.pass() {
                self.settle_answers(owner, answers, out);
            }
        }
        self.skipping &= self.hidden.is_none();
        if self.skipping {
            let ran = self.ran.as_ref().map(|ran| ran.call);
            // Nothing more of it will be looked at.
            let open = self.open.take().filter(|open| Some(*open) != ran);
            if let Some(call) = open.and_then(|id| self.calls.by_id(id)) {
                call.request.closed = true;
                if call.request.pending == 0 {
                    self.calls.complete(out);
                }
            }
        }
    }

    /// The server passes over a `Sync` that comes before the rows.
    fn copies_in(&mut self) {
        self.copying = true;
        while let Some(owner) = self.awaited.pass_sync() {
            if let Some(call) = owner.and_then(|id| self.calls.by_id(id)) {
                call.request.pending = call.request.pending.saturating_sub(1);
            }
        }
    }
}
