//! What the client says.

use std::sync::Arc;

use super::awaited::Asked;
use super::wire::{self, CANCEL_REQUEST, GSS_REQUEST, SSL_REQUEST, be32, text};
use super::work::{Kind, Work};
use super::{PostgreSql, detect, here};
use crate::db::{Frame, Read, Skip};
use crate::exchange::{Mark, Marks, Output, Reason};
use crate::pairing::Verdict;
use crate::sql::Query;
use crate::{Detection, Direction, Progress};

/// Most answers that are waited for.
const MAX_AWAITED: usize = 8192;

impl PostgreSql {
    pub(super) fn request_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        let fresh = self.requests.begin(mark);
        if self.requests.lost {
            if let Some(hidden) = self.hidden {
                // The client waited for what it had asked: that is all of it, unless it is a batch.
                if !fresh || hidden.batch || !self.calls.opens(mark) {
                    self.add_hidden(out);
                    return Progress::Continue;
                }
                self.end_hidden(out);
            }
            if !fresh || detect(bytes) != Detection::Match(Direction::Request) {
                self.calls.requests_hidden(out);
                return Progress::Continue;
            }
            self.requests.expect();
            if matches!(bytes.first(), Some(b'Q' | b'F')) {
                // A sequence that was lost on the way is over: nobody asks so in the middle of one.
                self.group = None;
            }
        }
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if self.requests.at_boundary() {
                self.introduces = rest[0] == 0;
            }
            let layout = if self.introduces { &wire::STARTUP } else { &wire::REQUEST };
            match self.requests.read(layout, rest, here(mark, at)) {
                Read::More => break,
                Read::Frame(len, frame) => {
                    at += len;
                    self.request(&frame, out);
                }
                Read::Invalid => return self.request_nonsense(out),
            }
        }
        Progress::Continue
    }

    fn request_nonsense(&mut self, out: &mut Vec<Output>) -> Progress {
        if self.requests.doubtful || self.calls.len() > 0 {
            self.requests_lost(out);
            self.calls.requests_hidden(out);
            return Progress::Continue;
        }
        Progress::LostSync
    }

    /// Messages may be hidden.
    fn requests_lost(&mut self, out: &mut Vec<Output>) {
        self.requests.lose();
        self.known = true;
        (self.statements, self.portals) = Default::default();
        let complete =
            matches!(self.awaited.back(), Some(a) if matches!(a.asked, Asked::Sync | Asked::Query | Asked::Function));
        if self.open.take().is_some() || !complete {
            self.calls.forget(Reason::Gap, out);
            self.awaited.clear();
        }
        (self.group, self.skipping, self.starting) = (None, false, false);
        (self.ran, self.hidden, self.blind, self.untold) = (None, None, false, false);
    }

    /// Messages are hidden: by a record that was lost, or by the bound on what is captured of one.
    fn requests_cut(&mut self, fresh: bool, mark: &Mark, out: &mut Vec<Output>) {
        if fresh || mark.lost || !self.goes_on_hidden(out) {
            self.requests_lost(out);
        }
        self.calls.requests_hidden(out);
    }

    pub(super) fn request_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) {
        let fresh = self.requests.begin(mark);
        if self.requests.lost {
            if self.hidden.is_some() && !mark.lost {
                return self.add_hidden(out);
            }
            if self.hidden.is_some() {
                self.requests_lost(out);
            }
            return self.calls.requests_hidden(out);
        }
        match self.requests.skip(len) {
            Skip::Within => {}
            // A row of a batch whose statement's name is hidden is one more of what is hidden.
            Skip::Ended(frame, true) if !fresh && !mark.lost && self.is_hidden_row(&frame) => {
                self.requests_cut(fresh, mark, out);
            }
            Skip::Ended(frame, beyond) => {
                self.request(&frame, out);
                if beyond {
                    self.requests_cut(fresh, mark, out);
                }
            }
            Skip::Lost => self.requests_cut(fresh, mark, out),
        }
    }

    fn request(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) {
        if self.introduces {
            return self.introduction(frame);
        }
        if self.replication {
            return;
        }
        let (kind, body) = (frame.head()[0], &frame.body);
        // Clients wait for the end of the beginning; it was hidden.
        self.starting &= kind == b'p';
        if !std::mem::replace(&mut self.known, true) && !matches!(kind, b'Q' | b'F') {
            // Earlier messages of the same sequence may not have been seen.
            self.calls.requests_hidden(out);
        }
        match kind {
            b'Q' => {
                let query = text(body).map_or(body.as_ref(), |(sql, _)| sql);
                let query = self.read(query, frame.is_whole());
                self.simple(frame, Kind::Run, Some(query), Asked::Query, out);
            }
            b'F' => self.simple(frame, Kind::Function, None, Asked::Function, out),
            b'P' => self.parse(frame, out),
            b'B' => self.bind(frame, out),
            b'D' => self.add(frame, Kind::Describe, Asked::Describe, out),
            b'C' => {
                if let Some((name, _)) = body.get(1..).and_then(text) {
                    let names = if body[0] == b'S' { &mut self.statements } else { &mut self.portals };
                    names.remove(name);
                }
                self.add(frame, Kind::Close, Asked::Close, out);
            }
            b'E' => self.execute(frame, out),
            b'H' => self.flush(out),
            b'S' => self.sync(frame, out),
            // Rows of COPY belong to the call that asked for them.
            b'd' | b'c' | b'f' => {
                if let Some(call) = self.calls.oldest() {
                    call.marks.last = self.requests.operation;
                }
            }
            _ => {}
        }
    }

    /// `StartupMessage` and what may come before it.
    fn introduction(&mut self, frame: &Frame<'_>) {
        let (body, whole) = (&frame.body, frame.is_whole());
        match be32(body) {
            Some(SSL_REQUEST | GSS_REQUEST) => self.encryption = true,
            Some(CANCEL_REQUEST) | None => {}
            Some(_) => {
                let mut rest = &body[4..];
                let (mut user, mut database) = (None, None);
                while let Some((name, after)) = text(rest).filter(|(name, _)| !name.is_empty()) {
                    let Some((value, after)) = text(after) else { break };
                    match name {
                        b"user" => user = Some(value),
                        b"database" => database = Some(value),
                        b"replication" => self.replication = !matches!(value, b"false" | b"off" | b"no" | b"0"),
                        _ => {}
                    }
                    rest = after;
                }
                // Without one, the database is called like the user.
                self.namespace = database.or(user.filter(|_| whole)).map(|name| String::from_utf8_lossy(name).into());
                (self.starting, self.known) = (true, true);
                self.responses.expect();
            }
        }
    }

    fn work(&self, kind: Kind) -> Work {
        Work::new(kind, self.namespace.clone())
    }

    /// Whether answers to what comes now can be told. A sequence that `Sync` ends stands and falls together.
    fn verdict(&mut self, first: &Mark, out: &mut Vec<Output>) -> Verdict {
        if let Some(verdict) = self.group {
            if verdict == Verdict::Drop {
                self.calls.requests_hidden(out);
            }
            return verdict;
        }
        let request = Marks { first: *first, last: self.requests.operation };
        let verdict = self.calls.pairs(&request, out);
        if self.calls.len() == 0 {
            self.awaited.clear();
            if verdict != Verdict::Drop {
                self.responses.expect();
            }
        }
        self.group = Some(verdict);
        verdict
    }

    fn start(&mut self, frame: &Frame<'_>, work: Work, out: &mut Vec<Output>) -> Option<u64> {
        let verdict = self.verdict(&frame.first, out);
        let marks = Marks { first: frame.first, last: self.requests.operation };
        let refused = match (self.skipping, self.blind) {
            // The server passes over it.
            (true, _) => Some(Reason::Unanswered),
            (_, true) => Some(Reason::Gap),
            _ => (self.awaited.len() >= MAX_AWAITED).then_some(Reason::Refused),
        };
        if let Some(reason) = refused {
            self.calls.refuse(marks, reason, out);
            if reason == Reason::Refused {
                self.group = Some(Verdict::Drop);
            }
            return None;
        }
        let id = self.calls.start(marks, work, verdict, out);
        if verdict != Verdict::Drop && id.is_none() {
            // No room: what answers it will answer nothing.
            self.group = Some(Verdict::Drop);
        }
        id
    }

    /// The answer to a message of the call `owner` is to come.
    fn await_answer(&mut self, asked: Asked, owner: Option<u64>) {
        if let Some(call) = owner.and_then(|id| self.calls.by_id(id)) {
            call.request.pending += 1;
            call.marks.last = self.requests.operation;
        }
        self.awaited.push(asked, owner);
    }

    fn simple(
        &mut self,
        frame: &Frame<'_>,
        kind: Kind,
        query: Option<Arc<Query>>,
        asked: Asked,
        out: &mut Vec<Output>,
    ) {
        self.close();
        self.end_run(out);
        (self.skipping, self.blind, self.untold) = (false, false, false);
        let work = Work { query, closed: true, ..self.work(kind) };
        if let Some(id) = self.start(frame, work, out) {
            self.await_answer(asked, Some(id));
        }
        self.group = None;
    }

    /// One more message of the extended protocol, that runs nothing yet.
    fn add(&mut self, frame: &Frame<'_>, kind: Kind, asked: Asked, out: &mut Vec<Output>) {
        if self.skipping || self.blind || self.verdict(&frame.first, out) == Verdict::Drop {
            // It is one request with what comes behind it.
            if self.open.is_none() && !std::mem::replace(&mut self.untold, true) {
                let work = self.work(kind);
                self.start(frame, work, out);
            }
            return;
        }
        if self.open.is_none() {
            self.end_run(out);
            let work = self.work(kind);
            self.open = self.start(frame, work, out);
        }
        if let Some(call) = self.open.and_then(|id| self.calls.by_id(id)) {
            call.request.kind = call.request.kind.max(kind);
            self.await_answer(asked, self.open);
        }
    }

    fn parse(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) {
        let Some((name, rest)) = text(&frame.body) else {
            // Any name may mean another statement now.
            (self.statements, self.portals) = Default::default();
            return self.add(frame, Kind::Prepare, Asked::Parse, out);
        };
        let sql = text(rest).map_or(rest, |(sql, _)| sql);
        let query = self.read(sql, frame.is_whole());
        self.statements.insert(name, Some(query.clone()));
        self.go_on(name, Some(&query));
        self.add(frame, Kind::Prepare, Asked::Parse, out);
        self.about(Some(query));
    }

    fn read(&self, sql: &[u8], whole: bool) -> Arc<Query> {
        // What is in flight may change how strings are meant.
        let told = self.calls.len() == 0 && self.awaited.is_empty();
        let dialect = if told { self.dialect } else { self.dialect.unsure() };
        let query = Query::read(sql, dialect, self.settings.keep_query_text);
        Arc::new(if whole { query.with(self.settings.rules, sql) } else { query.cut() })
    }

    /// What the open call is about.
    fn about(&mut self, query: Option<Arc<Query>>) {
        if let Some(call) = self.open.and_then(|id| self.calls.by_id(id)) {
            call.request.query = query;
        }
    }

    fn bind(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) {
        let names = text(&frame.body).and_then(|(portal, rest)| Some((portal, text(rest)?.0)));
        let query = names.and_then(|(_, statement)| self.statements.get(statement));
        if let Some((portal, statement)) = names {
            self.portals.insert(portal, query.clone());
            if *self.bound != *statement {
                self.bound = statement.into();
            }
            self.go_on(statement, query.as_ref());
        }
        self.add(frame, Kind::Bind, Asked::Bind, out);
        self.about(query);
    }

    fn execute(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) {
        let query = match text(&frame.body) {
            Some((portal, _)) => self.portals.get(portal),
            // What was bound just before.
            None => self.open.and_then(|id| self.calls.by_id(id)).and_then(|call| call.request.query.clone()),
        };
        if std::mem::take(&mut self.untold) {
            return;
        }
        if self.open.is_none() {
            self.end_run(out);
            let work = self.work(Kind::Run);
            self.open = self.start(frame, work, out);
        }
        let Some(id) = self.open.take() else { return };
        let operation = self.requests.operation;
        let Some(call) = self.calls.by_id(id) else { return };
        (call.request.kind, call.request.query) = (Kind::Run, query.clone());
        call.request.runs = call.request.runs.saturating_add(1);
        call.marks.last = operation;
        if !self.skipping && !self.blind {
            self.await_answer(Asked::Execute, Some(id));
        }
        self.note_run(id, query);
    }

    /// Nothing is added to the open call.
    fn close(&mut self) {
        if let Some(call) = self.open.take().and_then(|id| self.calls.by_id(id)) {
            call.request.closed = true;
        }
    }

    fn sync(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) {
        let verdict = self.verdict(&frame.first, out);
        self.untold = false;
        self.close();
        let skipped = std::mem::take(&mut self.skipping);
        let blind = std::mem::take(&mut self.blind);
        self.group = None;
        // The last call of the sequence ends with it, if it has not ended.
        let last = self.awaited.back().filter(|a| a.asked != Asked::Sync).and_then(|a| a.owner);
        let last = last.or(self.ran.as_ref().map(|ran| ran.call).filter(|_| skipped));
        let answered = verdict != Verdict::Drop && !blind && self.awaited.len() < MAX_AWAITED;
        if answered {
            self.await_answer(Asked::Sync, last);
        }
        if !blind {
            self.end_run(out);
        }
        self.ran = None;
    }
}
