//! Commands.

use super::bulk::{Bulk, Kind, Part, Transaction};
use super::command::{Arguments, Command, Effect};
use super::messages::{self, Written};
use super::resp::{Token, number};
use super::{Redis, Replies, detect, here, names};
use crate::db::Pipeline;
use crate::exchange::{Mark, Marks, Output, Reason};
use crate::pairing::Verdict;
use crate::{Detection, Direction, Progress, Role};

/// Most arguments of one command; Redis's own limit.
const MAX_ARGUMENTS: i64 = 1024 * 1024;

/// What a token means for the command in transfer.
enum Step {
    Go,
    /// The command is complete.
    Command,
    Nonsense,
}

/// The words of an inline command, of whose line `first` is the first byte.
fn inline(arguments: &mut Arguments, first: u8, rest: &[u8], long: bool) -> Step {
    if rest.iter().any(|b| *b < b' ' && *b != b'\t') {
        return Step::Nonsense;
    }
    arguments.begin(0);
    arguments.extend(&[first], long);
    let joined = rest.first().is_some_and(|b| !b.is_ascii_whitespace());
    for (n, word) in rest.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty()).enumerate() {
        if n > 0 || !joined {
            arguments.end();
            arguments.count += 1;
        }
        arguments.extend(word, long);
    }
    arguments.end();
    arguments.count += 1;
    if arguments.get(0).is_some_and(names::plausible) { Step::Go } else { Step::Nonsense }
}

impl Redis {
    pub(super) fn request_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        let fresh = self.requests.begin(mark);
        if fresh {
            (self.batch, self.pipeline) = ((None, 0), Pipeline::default());
        }
        self.writes(fresh, mark, bytes.len(), out);
        if self.requests.lost {
            if !fresh || detect(bytes) != Detection::Match(Direction::Request) {
                self.requests_hidden(out);
                return Progress::Continue;
            }
            self.requests.expect();
        }
        let before = self.batch.1;
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if self.requests.reader.at_boundary() {
                if matches!(rest[0], b'\r' | b'\n') {
                    at += 1;
                    continue;
                }
                self.requests.first = here(mark, at);
                self.arguments.begin(0);
                self.inline = rest[0] != b'*';
                if self.inline && !rest[0].is_ascii_alphabetic() {
                    return self.request_nonsense(out);
                }
            }
            match self.request_token(rest) {
                Some((len, step)) => {
                    at += len;
                    match step {
                        Step::Go => {}
                        Step::Command => self.command(out),
                        Step::Nonsense => return self.request_nonsense(out),
                    }
                }
                None => return self.request_nonsense(out),
            }
        }
        if self.batch.1 > before {
            self.note_batch();
        }
        Progress::Continue
    }

    fn request_token(&mut self, bytes: &[u8]) -> Option<(usize, Step)> {
        let depth = self.requests.reader.depth();
        let long = self.settings.keep_query_text;
        if self.inline && !self.requests.reader.begins_with_a_name(bytes) {
            return None;
        }
        let (len, token) = self.requests.reader.next(bytes, self.inline).ok()?;
        let step = match token {
            Token::Nothing => Step::Go,
            Token::Line(first, rest) if self.inline => inline(&mut self.arguments, first, rest, long),
            Token::Line(b'*', text) if depth == 0 => match number(text) {
                Some(count) if (-1..=MAX_ARGUMENTS).contains(&count) => {
                    self.arguments.begin(count.max(0) as u64);
                    Step::Go
                }
                _ => Step::Nonsense,
            },
            Token::Line(b'$', text) if text.first() != Some(&b'-') => Step::Go,
            Token::Line(..) => Step::Nonsense,
            Token::Bulk(part) => {
                self.arguments.extend(part, long);
                Step::Go
            }
            Token::BulkEnd => {
                self.arguments.end();
                Step::Go
            }
        };
        if !matches!(step, Step::Go) || !self.requests.reader.take_complete() {
            return Some((len, step));
        }
        // Redis passes over `*0`.
        Some((len, if self.arguments.count > 0 { Step::Command } else { Step::Go }))
    }

    /// A command is complete, or its name and number of arguments are known and the rest is hidden.
    fn command(&mut self, out: &mut Vec<Output>) {
        let marks = Marks { first: self.requests.first, last: self.requests.operation };
        if self.arguments.is(0, b"REPLCONF") && self.arguments.is(1, b"ACK") {
            self.replicating = true;
            return self.calls.forget(Reason::Left, out);
        }
        if self.arguments.get(0).is_some_and(<[u8]>::is_empty) {
            // What answers a command, and what it does, depends on its name.
            self.namespace = None;
            self.requests_hidden(out);
            self.calls.start(marks, Command::new(&self.arguments, false), Verdict::Drop, out);
            return;
        }
        let silent = self.silences();
        let mut command = Command::new(&self.arguments, self.settings.keep_query_text);
        let part = self.part();
        let tracking = self.arguments.is(0, b"CLIENT") && self.arguments.is(1, b"TRACKING");
        self.unasked |= tracking || matches!(command.effect, Effect::Subscribe { .. } | Effect::Monitor);
        let mergeable = part == Part::Stranger && command.may_be_among_many();
        self.run.takes(mergeable && !silent, &marks.first);
        if silent {
            self.note_part(part, None);
            return self.calls.unanswered(marks, command, out);
        }
        if self.transacts(part, marks, &mut command, out)
            || (mergeable && self.pipeline.adds(&mut self.calls, marks, &mut command, out))
        {
            return;
        }
        if let Some(transaction) = self.transaction.filter(|_| part == Part::Ends) {
            command = command.runs(if self.arguments.is(0, b"EXEC") { transaction.queued } else { 0 });
        }
        if part == Part::Begins {
            let mut bulk = Bulk::new(Kind::Transaction);
            bulk.frame(Effect::None);
            command.bulk = Some(Box::new(bulk));
        }
        let id = self.start(marks, command, out);
        self.note_part(part, id);
        self.run.began(id);
        self.group(id.filter(|_| mergeable), out);
    }

    /// Where a transaction begins and ends, and how many commands it has.
    fn note_part(&mut self, part: Part, id: Option<u64>) {
        match part {
            Part::Begins => self.transaction = Some(Transaction { call: id, queued: 0 }),
            Part::Ends => self.transaction = None,
            Part::Belongs | Part::Stranger => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.queued = transaction.queued.saturating_add(1);
                }
            }
        }
    }

    /// A command is a call of its own.
    fn start(&mut self, marks: Marks, mut command: Command, out: &mut Vec<Output>) -> Option<u64> {
        let verdict = self.calls.pairs(&marks, out);
        let alone = self.calls.len() == 0;
        let (mut sent, mut fact) = (None, None);
        match messages::written(&self.arguments) {
            Some(Written::Task(message)) => sent = Some(message),
            Some(Written::Result(outcome, state)) => (command.outcome, fact) = (outcome, state),
            Some(Written::Settled(tag)) => fact = Some(tag),
            None => {}
        }
        let id = self.calls.start(marks, command, verdict, out);
        if let Some(call) = id.filter(|_| self.settings.role == Role::Client) {
            messages::tell(call, marks.last, fact, out);
            if let Some(message) = sent {
                self.sends(call, marks, *message, out);
            }
        }
        if id.is_some() && alone {
            self.responses.expect();
        }
        self.batch.0 = self.batch.0.or(id);
        self.batch.1 += 1;
        id
    }

    /// Whether the command gets no reply.
    fn silences(&mut self) -> bool {
        if self.arguments.is(0, b"CLIENT") && self.arguments.is(1, b"REPLY") {
            if self.arguments.is(2, b"ON") {
                self.replies = Replies::On;
            } else if self.arguments.is(2, b"OFF") {
                self.replies = Replies::Off;
            } else if self.arguments.is(2, b"SKIP") && self.replies == Replies::On {
                self.replies = Replies::Skip;
                return true;
            }
            return self.replies == Replies::Off;
        }
        match self.replies {
            Replies::On => false,
            Replies::Off => true,
            Replies::Skip => {
                self.replies = Replies::On;
                true
            }
        }
    }

    /// Every command of an operation knows how many there are.
    fn note_batch(&mut self) {
        let (Some(first), size @ 2..) = self.batch else { return };
        // Messages among them have ids of their own.
        for id in first..self.calls.next_id() {
            if let Some(call) = self.calls.by_id(id) {
                call.request.pipeline = size;
            }
        }
    }

    fn request_nonsense(&mut self, out: &mut Vec<Output>) -> Progress {
        self.run.spoil();
        let sound = self.requests.doubtful || self.calls.len() > 0;
        self.requests.lose();
        self.namespace = None;
        if sound {
            // What is in flight may still be answered.
            self.requests_hidden(out);
            return Progress::Continue;
        }
        self.calls.forget(Reason::Nonsense, out);
        Progress::LostSync
    }

    pub(super) fn request_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) {
        let fresh = self.requests.begin(mark);
        self.run.spoil();
        if fresh {
            (self.batch, self.pipeline) = ((None, 0), Pipeline::default());
        }
        if self.requests.lost {
            // More of an operation whose rest is known to be hidden changes nothing.
            if fresh || mark.lost {
                self.requests_hidden(out);
            }
            return;
        }
        self.arguments.cut();
        if self.requests.reader.skip(len) {
            if self.requests.reader.at_boundary() || self.requests.reader.take_complete() {
                self.arguments.end();
                self.requests.reader.take_complete();
                self.command(out);
                self.note_batch();
            } else if !self.requests.reader.in_string() {
                self.arguments.end();
            }
            return;
        }
        if self.arguments.get(0).is_some() && !self.requests.reader.at_boundary() && !self.inline {
            self.command(out);
            self.note_batch();
        }
        self.requests_hidden(out);
        if !mark.lost {
            self.pipeline.cut(&mut self.calls);
        }
        self.requests.lose();
        // Another may be selected there.
        self.namespace = None;
    }
}
