//! What the server says.

use super::bulk::Statement;
use super::wire::{self, FULL, le16, le32, lenenc};
use super::work::{Answer, CHANGE_USER, INIT_DB, STMT_PREPARE};
use super::{MySql, Phase, here};
use crate::Progress;
use crate::db::{Frame, Read, Skip};
use crate::exchange::{Mark, Output, Reason};

/// Most prepared statements that are remembered of one connection.
const MAX_STATEMENTS: usize = 512;
/// Most memory that they may hold, bytes.
const MAX_BYTES: usize = 512 * 1024;

/// MariaDB's word in the middle of a long command is dressed as an error of this number (*Progress Reporting*).
const PROGRESS: u16 = 0xffff;

/// Where in the results of the oldest command the next packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The first packet of an answer, or of one more result.
    First,
    /// Columns of a result set: so many to come.
    Columns(u64),
    /// Behind them: perhaps an `EOF`, then rows.
    BehindColumns,
    /// Rows, or what ends them.
    Rows,
    /// Parameters and columns of a statement: so many to come, and how many `EOF`s, if that is known.
    Parts { parameters: u64, columns: u64, ends: Option<u32> },
}

impl MySql {
    pub(super) fn response_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.responses.begin(mark);
        self.heard(&mark.unit, out);
        let mut at = 0;
        while at < bytes.len() {
            if self.responses.lost {
                self.unknown_response();
                break;
            }
            match self.responses.read(&wire::RESPONSE, &bytes[at..], here(mark, at)) {
                Read::More => break,
                Read::Frame(len, frame) => {
                    at += len;
                    match self.response(&frame, out) {
                        Progress::Continue => {}
                        progress => return progress,
                    }
                }
                Read::Invalid => return self.response_nonsense(out),
            }
        }
        self.touch_open();
        Progress::Continue
    }

    /// A row that is under way belongs to the command that it answers.
    fn touch_open(&mut self) {
        if self.responses.open_head().is_some() && self.phase == Phase::Commands {
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
        self.mode(None);
        self.stage = Stage::First;
        if doubtful {
            self.calls.disproved(out);
            return Progress::Continue;
        }
        self.calls.forget(Reason::Nonsense, out);
        Progress::LostSync
    }

    pub(super) fn response_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.responses.begin(mark);
        if self.responses.lost {
            self.unknown_response();
            return Progress::Continue;
        }
        let (progress, lost) = match self.responses.skip(len) {
            Skip::Within => (Progress::Continue, false),
            Skip::Ended(frame, beyond) => (self.response(&frame, out), beyond),
            Skip::Lost => (Progress::Continue, true),
        };
        if progress != Progress::Continue {
            return progress;
        }
        if lost {
            if self.phase != Phase::Commands {
                // How the introduction went on is hidden; it ended before the next command.
                self.phase = Phase::Commands;
            }
            self.responses.lose();
            self.stage = Stage::First;
            self.continues[1] = false;
            self.perhaps_eof = None;
            self.response_end_hidden(out);
        } else {
            self.touch_open();
        }
        Progress::Continue
    }

    fn response(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) -> Progress {
        let continues = std::mem::replace(&mut self.continues[1], frame.len == FULL);
        let (sequence, first) = (frame.head()[3], frame.body.first().copied());
        if sequence == 0
            && self.calls.len() == 0
            && let Some((version, capabilities)) = wire::greeting(&frame.body)
        {
            let mariadb = version.windows(7).any(|w| w.eq_ignore_ascii_case(b"MariaDB"));
            self.system = if mariadb { "mariadb" } else { "mysql" };
            self.offered = Some(capabilities);
            self.phase = Phase::Greeted;
            return Progress::Continue;
        }
        if self.phase != Phase::Commands {
            return self.authentication(first, frame);
        }
        if self.ends_parts(sequence, first, frame.len) {
            return Progress::Continue;
        }
        if self.calls.len() == 0 {
            self.calls.responses_unread();
            return Progress::Continue;
        }
        self.calls.touch(&frame.first, &self.responses.operation);
        if continues {
            return Progress::Continue;
        }
        if self.stage == Stage::First && sequence == 0 {
            return self.response_nonsense(out);
        }
        let sound = match first {
            _ if frame.len == 0 => false,
            // A gap hides all of it.
            None => return self.packet_hidden(out),
            Some(first) => self.packet(first, frame, out),
        };
        if sound {
            self.responses.doubtful = false;
            return Progress::Continue;
        }
        self.response_nonsense(out)
    }

    /// Whether this is the `EOF` behind the parts of a statement, if nobody knew whether one comes: the numbers of packets go on,
    /// and an answer begins with 1.
    fn ends_parts(&mut self, sequence: u8, first: Option<u8>, len: u64) -> bool {
        let ends = self.perhaps_eof.take() == Some(sequence) && sequence > 1 && first == Some(0xfe) && len == 5;
        if ends {
            self.without_eof = Some(false);
        }
        ends
    }

    fn packet_hidden(&mut self, out: &mut Vec<Output>) -> Progress {
        match self.stage {
            Stage::Columns(left) => self.stage = columns(left - 1),
            // A row, most likely; if it was the end, the next command says so.
            _ => {
                self.responses.lose();
                self.stage = Stage::First;
                self.response_end_hidden(out);
            }
        }
        Progress::Continue
    }

    fn response_end_hidden(&mut self, out: &mut Vec<Output>) {
        self.mode(None);
        if self.calls.requests().any(|work| matches!(work.byte, INIT_DB | CHANGE_USER) || work.selects.is_some()) {
            self.namespace = None;
        }
        self.calls.response_end_hidden(false, out);
    }

    /// What the server tells of how strings are meant.
    fn mode(&mut self, status: Option<u16>) {
        self.dialect.backslash = status.map(|status| status & wire::NO_BACKSLASH_ESCAPES == 0);
    }

    fn authentication(&mut self, first: Option<u8>, frame: &Frame<'_>) -> Progress {
        if first == Some(0) && self.phase == Phase::Authentication {
            self.phase = Phase::Commands;
            self.mode(wire::status(&frame.body, frame.len));
            if self.compressed {
                return Progress::Left;
            }
        }
        Progress::Continue
    }

    /// Reads a packet that answers the oldest command. Whether it makes sense.
    fn packet(&mut self, first: u8, frame: &Frame<'_>, out: &mut Vec<Output>) -> bool {
        match self.stage {
            Stage::First => self.first(first, frame, out),
            Stage::Columns(left) if first == 0xff => left > 0 && self.error(frame, out),
            Stage::Columns(left) => {
                self.stage = columns(left - 1);
                true
            }
            Stage::BehindColumns if first == 0xfe && frame.len == 5 => {
                self.without_eof = Some(false);
                self.stage = Stage::Rows;
                let status = wire::status(&frame.body, frame.len).unwrap_or(0);
                // A cursor's rows are fetched by commands of their own.
                if status & wire::CURSOR_EXISTS != 0 { self.result_ends(frame, out) } else { true }
            }
            Stage::BehindColumns | Stage::Rows => self.row(first, frame, out),
            Stage::Parts { parameters, columns, ends } => self.part(first, frame, (parameters, columns, ends), out),
        }
    }

    fn row(&mut self, first: u8, frame: &Frame<'_>, out: &mut Vec<Output>) -> bool {
        match first {
            0xff => self.error(frame, out),
            0xfe if frame.len < FULL => self.result_ends(frame, out),
            _ => {
                self.stage = Stage::Rows;
                true
            }
        }
    }

    fn first(&mut self, first: u8, frame: &Frame<'_>, out: &mut Vec<Output>) -> bool {
        let Some(call) = self.calls.oldest() else { return false };
        match (call.request.answer, first) {
            (_, 0xff) => self.error(frame, out),
            (Answer::Text, _) => self.complete(out),
            (Answer::Authentication, 0xfe | 1) => true,
            (Answer::Columns, 0xfe) => self.result_ends(frame, out),
            (Answer::Columns, _) => true,
            (Answer::Rows, _) => {
                self.stage = Stage::Rows;
                self.row(first, frame, out)
            }
            (Answer::Statement, 0) => self.described(frame, out),
            (_, 0 | 0xfe) => self.result_ends(frame, out),
            (Answer::Any, 0xfb) => {
                self.uploads = true;
                true
            }
            (Answer::Any, _) => self.result_set(frame),
            _ => false,
        }
    }

    /// How many columns there are; MariaDB may say that it leaves out their description (`MARIADB_CLIENT_CACHE_METADATA`).
    fn result_set(&mut self, frame: &Frame<'_>) -> bool {
        let Some((count, rest)) = lenenc(&frame.body) else { return false };
        if !(1..=4096).contains(&count) || rest.len() > 1 || !frame.is_whole() {
            return false;
        }
        self.stage = if rest == [0] { Stage::BehindColumns } else { Stage::Columns(count) };
        true
    }

    /// Answer to `COM_STMT_PREPARE`: number, columns, parameters.
    fn described(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) -> bool {
        let body = &frame.body;
        let part = |at: usize| body.get(at..);
        let (Some(id), Some(columns), Some(parameters)) =
            (part(1).and_then(le32), part(5).and_then(le16), part(7).and_then(le16))
        else {
            self.calls.response_end_hidden(false, out);
            self.responses.lose();
            return true;
        };
        let query =
            self.calls.oldest().filter(|c| c.request.byte == STMT_PREPARE).and_then(|c| c.request.query.clone());
        if let Some(query) = query {
            self.remember(id, Statement { parameters: Some(parameters), ..Statement::new(query) });
            self.number_known(id);
        }
        let (columns, parameters) = (u64::from(columns), u64::from(parameters));
        let ends = u32::from(columns > 0) + u32::from(parameters > 0);
        let ends = self.without_eof.map(|without| if without { 0 } else { ends });
        if columns + parameters == 0 || body.get(12) == Some(&0) && frame.len > 12 {
            return self.complete(out);
        }
        self.stage = Stage::Parts { parameters, columns, ends };
        true
    }

    fn remember(&mut self, id: u32, statement: Statement) {
        if self.statements.len() == MAX_STATEMENTS || self.statement_bytes + statement.weight() > MAX_BYTES {
            // What is forgotten runs without its text from then on.
            self.statements.clear();
            self.statement_bytes = 0;
        }
        self.statement_bytes += statement.weight();
        if let Some(before) = self.statements.insert(id, statement) {
            self.statement_bytes -= before.weight();
        }
    }

    fn part(&mut self, first: u8, frame: &Frame<'_>, parts: (u64, u64, Option<u32>), out: &mut Vec<Output>) -> bool {
        let (mut parameters, mut columns, mut ends) = parts;
        let behind_parameters = std::mem::take(&mut self.behind_parameters);
        if first == 0xfe && frame.len == 5 {
            if ends.is_none() {
                self.without_eof = Some(false);
                ends = Some(1 + u32::from(columns > 0));
            }
            ends = ends.map(|n| n.saturating_sub(1));
        } else if parameters > 0 {
            parameters -= 1;
            self.behind_parameters = parameters == 0;
        } else if columns > 0 {
            columns -= 1;
            // Columns straight behind parameters: there is no EOF between them, and so none at the end.
            if ends.is_none() && behind_parameters {
                self.without_eof = Some(true);
                ends = Some(0);
            }
        } else {
            return false;
        }
        if parameters + columns == 0 && ends.unwrap_or(0) == 0 {
            // If nobody knows whether an EOF comes, one that does answers nothing.
            self.perhaps_eof = ends.is_none().then(|| frame.head()[3].wrapping_add(1));
            return self.complete(out);
        }
        self.stage = Stage::Parts { parameters, columns, ends };
        true
    }

    /// An `OK` or `EOF` packet ends a result. More may follow.
    fn result_ends(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) -> bool {
        let status = wire::status(&frame.body, frame.len);
        self.stage = Stage::First;
        self.mode(status);
        if status.unwrap_or(0) & wire::MORE_RESULTS != 0 {
            return true;
        }
        if let Some(call) = self.calls.oldest() {
            let changes = matches!(call.request.byte, INIT_DB | CHANGE_USER);
            if let Some(selected) = call.request.selects.take() {
                self.namespace = Some(selected).filter(|s| !s.is_empty());
            } else if changes {
                // To what is hidden.
                self.namespace = None;
            }
        }
        self.complete(out)
    }

    fn error(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) -> bool {
        match wire::error(&frame.body) {
            Some((PROGRESS, _)) => return true,
            Some((code, state)) => self.fail(Some(code), state.map(|s| format!("SQLSTATE {s}")).unwrap_or_default()),
            None => self.fail(None, String::new()),
        }
        self.complete(out)
    }

    fn complete(&mut self, out: &mut Vec<Output>) -> bool {
        self.stage = Stage::First;
        self.uploads = false;
        self.answered(out);
        true
    }
}

/// So many columns are still to be described.
fn columns(left: u64) -> Stage {
    if left == 0 { Stage::BehindColumns } else { Stage::Columns(left) }
}
