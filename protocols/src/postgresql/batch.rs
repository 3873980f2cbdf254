//! One statement that runs many times in one sequence: a batch, which is one call.
//!
//! A driver that is given a statement and a list of rows sends `Bind` and `Execute` for each row and one `Sync` behind
//! them. What runs the statement that ran last in the same sequence adds to its call, so both ends of a connection see
//! the same batch, however it was cut into operations. A `Sync`, or another statement, ends it.
//!
//! A sequence may be longer than what is captured of an operation. All that the server says up to its `ReadyForQuery` is
//! then about that sequence. A batch, of which two rows were seen, goes on, and its rows are counted by their answers; what
//! prepares anything, or is called otherwise, ends it. A call that is no batch ends with its own completion.

use std::sync::Arc;

use super::PostgreSql;
use super::wire;
use super::work::{Kind, Names, tag};
use crate::db::Frame;
use crate::exchange::Output;
use crate::pairing::Verdict;
use crate::sql::Query;

/// The call that the present sequence ran last.
#[derive(Debug)]
pub(super) struct Ran {
    pub call: u64,
    /// Name of its statement.
    name: Box<[u8]>,
    query: Option<Arc<Query>>,
}

/// The present sequence goes on where nobody looked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden {
    /// The call that answers may still belong to.
    pub call: Option<u64>,
    /// It is a batch.
    pub batch: bool,
}

impl Ran {
    /// Whether it ran this statement, as far as a span tells.
    fn is(&self, name: &[u8], query: Option<&Arc<Query>>) -> bool {
        match (&self.query, query) {
            (Some(ran), Some(query)) => {
                Arc::ptr_eq(ran, query) || (ran.text == query.text && ran.summary == query.summary)
            }
            (None, None) => *self.name == *name,
            _ => false,
        }
    }
}

impl PostgreSql {
    /// A statement is about to run: if it is the one that ran last, it adds to its call.
    pub(super) fn go_on(&mut self, name: &[u8], query: Option<&Arc<Query>>) {
        if self.open.is_some() {
            return;
        }
        let Some(id) = self.ran.as_ref().filter(|ran| ran.is(name, query)).map(|ran| ran.call) else { return };
        if let Some(call) = self.calls.by_id(id) {
            call.request.closed = false;
            self.open = Some(id);
        }
    }

    /// The call ran the statement that was bound last.
    pub(super) fn note_run(&mut self, call: u64, query: Option<Arc<Query>>) {
        match &mut self.ran {
            Some(ran) if ran.call == call && *ran.name == *self.bound => ran.query = query,
            ran => *ran = Some(Ran { call, name: self.bound.clone(), query }),
        }
    }

    /// Whether the call that ran last is in flight.
    pub(super) fn runs_on(&mut self) -> bool {
        let ran = self.ran.as_ref().map(|ran| ran.call);
        ran.is_some_and(|id| self.calls.by_id(id).is_some())
    }

    /// Nothing is added to what ran last.
    pub(super) fn end_run(&mut self, out: &mut Vec<Output>) {
        if let Some(ran) = self.ran.take() {
            self.end_call(ran.call, out);
        }
    }

    fn end_call(&mut self, id: u64, out: &mut Vec<Output>) {
        let Some(call) = self.calls.by_id(id) else { return };
        call.request.closed = true;
        let over = call.request.pending == 0 && call.response.is_some();
        if over && self.calls.oldest().is_some_and(|oldest| oldest.id == id) {
            self.calls.complete(out);
        }
    }

    /// The client wants its answers now: it may take its time to go on.
    pub(super) fn flush(&mut self, out: &mut Vec<Output>) {
        self.untold = false;
        let ran = self.ran.as_ref().map(|ran| ran.call);
        if let Some(id) = self.open.take().or(ran) {
            self.end_call(id, out);
        }
    }

    /// Whether a message behind a batch is a `Bind` of which so much is hidden that nobody knows of what.
    pub(super) fn is_hidden_row(&mut self, frame: &Frame<'_>) -> bool {
        let named = |body: &[u8]| wire::text(body).and_then(|(_, rest)| wire::text(rest)).is_some();
        if frame.head()[0] != b'B' || named(&frame.body) || self.open.is_some() {
            return false;
        }
        let ran = self.ran.as_ref().map(|ran| ran.call);
        ran.and_then(|id| self.calls.by_id(id)).is_some_and(|call| call.request.runs > 1)
    }

    /// The present sequence goes on where nobody looked, if there is one. Whether there is.
    pub(super) fn goes_on_hidden(&mut self, out: &mut Vec<Output>) -> bool {
        let ran = self.ran.take().map(|ran| ran.call);
        let open = self.open.take();
        let told = matches!(self.group, Some(Verdict::Pair | Verdict::Probe)) && !self.starting && !self.skipping;
        let Some(id) = open.or(ran).filter(|_| told && !self.blind) else { return false };
        let Some(call) = self.calls.by_id(id) else { return false };
        let batch = call.request.runs > u32::from(open.is_none());
        call.request.closed = !batch && open.is_none();
        let owner = (!call.request.closed).then_some(id);
        self.requests.lose();
        self.hidden = Some(Hidden { call: owner, batch });
        self.portals = Names::default();
        self.add_hidden(out);
        true
    }

    /// More of the present sequence passed, and was not looked at.
    pub(super) fn add_hidden(&mut self, out: &mut Vec<Output>) {
        let operation = self.requests.operation;
        let batch = self.hidden.filter(|hidden| hidden.batch).and_then(|hidden| hidden.call);
        if let Some(call) = batch.and_then(|id| self.calls.by_id(id)) {
            call.marks.last = operation;
        }
        self.calls.requests_hidden(out);
    }

    /// An answer to what was asked for where nobody looked.
    pub(super) fn answer_hidden(&mut self, hidden: Hidden, frame: &Frame<'_>, out: &mut Vec<Output>) {
        let kind = frame.head()[0];
        if let Some(id) = hidden.call {
            if self.calls.oldest().is_none_or(|oldest| oldest.id != id) {
                // Answers were counted wrong.
                self.calls.responses_hidden(out);
                return self.lose_answers();
            }
            if !self.is_answer_of(hidden, id, kind, frame) {
                self.hidden = Some(Hidden { call: None, ..hidden });
                self.end_call(id, out);
            } else {
                self.take_answer(id, kind, frame);
            }
        }
        if kind == b'Z' {
            self.end_hidden(out);
        }
    }

    /// Nothing more of the present sequence comes.
    pub(super) fn end_hidden(&mut self, out: &mut Vec<Output>) {
        if let Some(id) = self.hidden.take().and_then(|hidden| hidden.call) {
            self.end_call(id, out);
        }
        (self.ran, self.open, self.group) = (None, None, None);
    }

    /// Whether an answer belongs to the call that was under way, or to another statement behind it.
    fn is_answer_of(&mut self, hidden: Hidden, id: u64, kind: u8, frame: &Frame<'_>) -> bool {
        let Some(call) = self.calls.by_id(id) else { return false };
        let work = &call.request;
        match kind {
            // Who failed need not have been the last.
            b'Z' => hidden.batch || work.failed.is_none(),
            b'1' => false,
            _ if !hidden.batch => work.done == 0 && work.failed.is_none(),
            b'C' => work.said.is_none() || work.said == said(frame),
            _ => true,
        }
    }

    fn take_answer(&mut self, id: u64, kind: u8, frame: &Frame<'_>) {
        self.calls.touch(&frame.first, &self.responses.operation);
        match kind {
            b'C' | b'I' => self.ran(frame),
            b'E' => self.fail(id, frame),
            _ => {}
        }
        let Some(call) = self.calls.by_id(id) else { return };
        let work = &mut call.request;
        match kind {
            b'D' => work.kind = Kind::Run,
            b'C' | b'I' | b's' => {
                work.kind = Kind::Run;
                work.done = work.done.saturating_add(1);
            }
            // What was to come behind it is not answered, so nobody knows how much that was.
            b'E' => work.more = true,
            _ => {}
        }
    }

    /// Where answers begin is hidden.
    pub(super) fn answers_cut(&mut self, out: &mut Vec<Output>) {
        let batch = self.hidden.filter(|hidden| hidden.batch).and_then(|hidden| hidden.call);
        if let Some(call) = batch.and_then(|id| self.calls.by_id(id)) {
            call.request.more = true;
        }
        self.calls.response_end_hidden(batch.is_some(), out);
    }
}

/// What the server says that it ran.
fn said(frame: &Frame<'_>) -> Option<Box<str>> {
    wire::text(&frame.body).and_then(|(text, _)| tag(text))
}
