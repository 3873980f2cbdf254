//! What the client says.

use std::sync::Arc;

use super::responses::Stage;
use super::wire::{self, FULL, introduction, le32};
use super::work::{self, Answer, Command, Work};
use super::{MySql, Phase, detect, here};
use crate::db::{Frame, Read, Skip};
use crate::exchange::{Mark, Marks, Output, Reason};
use crate::pairing::Verdict;
use crate::sql::Query;
use crate::{Detection, Direction, Progress};

/// Number of the statement that was prepared last, for clients that do not wait for its own.
const LAST_STATEMENT: u32 = u32::MAX;

impl MySql {
    pub(super) fn request_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        let fresh = self.requests.begin(mark);
        if self.requests.lost {
            // Servers read a packet's head by itself. Where a turn opens, everything before is answered: a packet begins.
            let begins = detect(bytes) == Detection::Match(Direction::Request) || self.calls.opens(mark);
            if !fresh || !begins {
                self.calls.requests_hidden(out);
                return Progress::Continue;
            }
            self.requests.expect();
        }
        let mut at = 0;
        while at < bytes.len() {
            match self.requests.read(&wire::REQUEST, &bytes[at..], here(mark, at)) {
                Read::More => break,
                Read::Frame(len, frame) => {
                    at += len;
                    match self.request(&frame, out) {
                        Some(Progress::Continue) => {}
                        Some(progress) => return progress,
                        None => return self.request_nonsense(out),
                    }
                }
                Read::Invalid => return self.request_nonsense(out),
            }
        }
        Progress::Continue
    }

    fn request_nonsense(&mut self, out: &mut Vec<Output>) -> Progress {
        if self.requests.doubtful || self.calls.len() > 0 {
            self.requests_lost(out);
            return Progress::Continue;
        }
        Progress::LostSync
    }

    fn requests_lost(&mut self, out: &mut Vec<Output>) {
        self.requests.lose();
        self.continues[0] = false;
        // What was prepared meanwhile has numbers that are known, but not here; what was closed has none any more.
        self.statements.clear();
        (self.statement_bytes, self.prepared, self.last) = (0, None, None);
        (self.namespace, self.uploads) = (None, false);
        if self.phase != Phase::Commands {
            self.phase = Phase::Commands;
        }
        self.calls.requests_hidden(out);
    }

    pub(super) fn request_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.requests.begin(mark);
        if self.requests.lost {
            self.calls.requests_hidden(out);
            return Progress::Continue;
        }
        match self.requests.skip(len) {
            Skip::Within => Progress::Continue,
            Skip::Ended(frame, beyond) => {
                let progress = self.request(&frame, out).unwrap_or(Progress::Continue);
                if beyond {
                    self.requests_lost(out);
                }
                progress
            }
            Skip::Lost => {
                self.requests_lost(out);
                Progress::Continue
            }
        }
    }

    /// Reads a packet. `None` if it makes no sense.
    fn request(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) -> Option<Progress> {
        let sequence = frame.head()[3];
        let continues = std::mem::replace(&mut self.continues[0], frame.len == FULL);
        match self.phase {
            Phase::Greeted => return Some(self.introduction(frame)),
            Phase::Authentication => return Some(Progress::Continue),
            Phase::Commands => {}
        }
        if self.uploads || continues || (sequence != 0 && self.calls.len() > 0) {
            self.uploads &= frame.len > 0;
            if let Some(call) = self.calls.latest() {
                call.marks.last = self.requests.operation;
            }
            return Some(Progress::Continue);
        }
        if frame.body.is_empty() && frame.len > 0 {
            // The command itself is hidden.
            self.requests_lost(out);
            self.requests.expect();
            return Some(Progress::Continue);
        }
        let command = work::find(*frame.body.first()?).filter(|_| sequence == 0)?;
        self.command(command, frame, out);
        Some(Progress::Continue)
    }

    fn introduction(&mut self, frame: &Frame<'_>) -> Progress {
        self.phase = Phase::Authentication;
        let Some(introduction) = introduction(&frame.body, frame.is_whole()) else { return Progress::Continue };
        let capabilities = introduction.capabilities & self.offered.unwrap_or(u32::MAX);
        if capabilities & wire::SSL != 0 && frame.len == 32 {
            return Progress::Left;
        }
        self.compressed = capabilities & (wire::COMPRESS | wire::ZSTD) != 0;
        self.without_eof = Some(capabilities & wire::DEPRECATE_EOF != 0);
        self.namespace = introduction.database.map(name);
        Progress::Continue
    }

    fn command(&mut self, command: &Command, frame: &Frame<'_>, out: &mut Vec<Output>) {
        let rest = &frame.body[1..];
        let statement = le32(rest);
        let query = match command.byte {
            work::QUERY | work::STMT_PREPARE => sql(rest).map(|sql| self.read(sql, frame.is_whole())),
            work::STMT_EXECUTE | work::STMT_FETCH | work::STMT_BULK_EXECUTE | work::STMT_RESET => {
                statement.and_then(|id| self.statement(id))
            }
            _ => None,
        };
        match command.byte {
            work::STMT_PREPARE => (self.prepared, self.last) = (query.clone(), None),
            work::STMT_CLOSE => self.forget_statement(statement),
            work::RESET_CONNECTION | work::CHANGE_USER => {
                self.statements.clear();
                self.statement_bytes = 0;
            }
            _ => {}
        }
        match command.answer {
            Answer::Nothing => return self.calls.passes(&frame.first),
            Answer::Stream => {
                self.replication = true;
                return self.calls.forget(Reason::Left, out);
            }
            _ => {}
        }
        let selects = match command.byte {
            work::INIT_DB => Some(name(rest)).filter(|_| frame.is_whole()),
            work::CHANGE_USER => changed_to(rest).map(name),
            work::QUERY => query.as_ref().and_then(|q| used(q, frame.is_whole())),
            _ => None,
        };
        let (system, namespace) = (self.system, self.namespace.clone());
        let byte = command.byte;
        let bulk = statement.filter(|_| byte == work::STMT_BULK_EXECUTE);
        let number = if bulk == Some(LAST_STATEMENT) { self.last } else { bulk };
        let rows = number.and_then(|id| self.rows(id, frame));
        let awaited = bulk == Some(LAST_STATEMENT) && number.is_none() && frame.is_whole();
        let uncounted = awaited.then(|| frame.body.get(5..).unwrap_or_default().into());
        let statement = statement.filter(|_| byte == work::STMT_EXECUTE);
        let (answer, name, many) = (command.answer, command.name, None);
        let work = Work { byte, answer, name, system, query, namespace, selects, statement, rows, uncounted, many };
        self.start(frame, work, out);
    }

    fn start(&mut self, frame: &Frame<'_>, work: Work, out: &mut Vec<Output>) {
        let marks = Marks { first: frame.first, last: self.requests.operation };
        if self.adds(marks, &work, out) {
            return;
        }
        let follows = self.follows(&marks, &work);
        let verdict = self.calls.pairs(&marks, out);
        if verdict != Verdict::Drop && self.calls.len() == 0 {
            self.responses.expect();
            self.stage = Stage::First;
            self.continues[1] = false;
        }
        let id = self.calls.start(marks, work, verdict, out);
        self.group(id, follows, &marks, out);
    }

    /// How many rows a bulk brings.
    fn rows(&mut self, id: u32, frame: &Frame<'_>) -> Option<u32> {
        let statement = self.statements.get_mut(&id)?;
        let before = statement.weight();
        let rows = statement.rows(frame.body.get(5..)?);
        self.statement_bytes = self.statement_bytes + statement.weight() - before;
        rows.filter(|_| frame.is_whole())
    }

    /// The statement that was prepared last has this number: counts the rows of bulks that were sent before that was known.
    pub(super) fn number_known(&mut self, id: u32) {
        let is_last = !self.calls.behind_oldest().any(|call| call.request.byte == work::STMT_PREPARE);
        self.last = is_last.then_some(id);
        let Some(statement) = self.statements.get_mut(&id) else { return };
        let before = statement.weight();
        for call in self.calls.behind_oldest().take_while(|call| call.request.byte != work::STMT_PREPARE) {
            if let Some(body) = call.request.uncounted.take() {
                call.request.rows = statement.rows(&body);
            }
        }
        self.statement_bytes = self.statement_bytes + statement.weight() - before;
    }

    fn read(&self, sql: &[u8], whole: bool) -> Arc<Query> {
        // What is in flight may change how strings are meant.
        let dialect = if self.calls.len() == 0 { self.dialect } else { self.dialect.unsure() };
        let query = Query::read(sql, dialect, self.settings.keep_query_text);
        Arc::new(if whole { query.with(self.settings.rules, sql) } else { query.cut() })
    }

    fn statement(&self, id: u32) -> Option<Arc<Query>> {
        let known = || self.statements.get(&id).map(|statement| Arc::clone(&statement.query));
        if id == LAST_STATEMENT { self.prepared.clone() } else { known() }
    }

    fn forget_statement(&mut self, id: Option<u32>) {
        if let Some(statement) = id.and_then(|id| self.statements.remove(&id)) {
            self.statement_bytes -= statement.weight();
        }
    }
}

fn name(bytes: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(bytes).into()
}

/// The text of a query. Attributes may come before it (`CLIENT_QUERY_ATTRIBUTES`): if there are any, it is not looked for.
fn sql(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [0, 1, sql @ ..] => Some(sql),
        [b'\t' | b'\n' | b'\r' | b' '.., ..] | [] => Some(rest),
        _ => None,
    }
}

/// The database of `COM_CHANGE_USER`: behind the user's name and the proof, whose length is told.
fn changed_to(rest: &[u8]) -> Option<&[u8]> {
    let (_, rest) = wire::text(rest)?;
    let rest = rest.get(1 + usize::from(*rest.first()?)..)?;
    wire::text(rest).map(|(database, _)| database)
}

/// The database that `USE name` selects: an empty name if it is hidden.
fn used(query: &Query, whole: bool) -> Option<Arc<str>> {
    let Some((operation, target)) = query.summary.as_deref().and_then(|s| s.split_once(' ')) else {
        return (!whole).then(|| "".into());
    };
    let uses = operation.eq_ignore_ascii_case("USE") && query.statements == 1;
    uses.then(|| if whole { target.trim_matches('`') } else { "" }.into())
}
