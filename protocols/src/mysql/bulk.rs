//! Many rows that are one call: in one command (MariaDB's `COM_STMT_BULK_EXECUTE`), or in commands that are sent without
//! waiting.
//!
//! Commands are a batch if more than [`MAX_SINGLES`] of them say the same, one directly after the other, and
//! are sent by the same unit while those before are not all answered, and before that unit has read an answer. Drivers
//! send them in pieces of any size, and another thread may read the answers meanwhile: so answers are held until it is known whether there will be
//! so many, which is at the latest when all are answered (`docs/decisions/037-batches-without-a-frame.md`).

use std::borrow::Cow;
use std::sync::Arc;

use super::MySql;
use super::wire::{le16, lenenc};
use super::work::{QUERY, STMT_EXECUTE, Work};
use crate::db::{Call, Failure, MAX_FAILURES, MAX_SINGLES};
use crate::exchange::{Marks, Output, Reason, Unit};
use crate::pairing::Verdict;
use crate::sql::Query;

/// `error.type` of a failure whose number is hidden.
const UNKNOWN: &str = "_OTHER";
/// A bulk says of which types its values are.
const WITH_TYPES: u16 = 128;
/// Most parameters of a statement whose bulks are counted.
const MAX_PARAMETERS: u16 = 1024;

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub query: Arc<Query>,
    /// How many parameters it has, if its description was seen.
    pub parameters: Option<u16>,
    /// Of which types they were when a bulk last said so.
    pub types: Option<Box<[u8]>>,
}

impl Statement {
    pub(super) fn new(query: Arc<Query>) -> Self {
        Self { query, parameters: None, types: None }
    }

    /// Bytes held beyond its own size.
    pub(super) fn weight(&self) -> usize {
        self.query.weight() + self.types.as_ref().map_or(0, |types| types.len())
    }

    /// How many rows a bulk of it brings, of whose command `body` is all behind the statement's number. Notes the types of
    /// its values.
    pub(super) fn rows(&mut self, body: &[u8]) -> Option<u32> {
        let parameters = usize::from(self.parameters.filter(|n| (1..=MAX_PARAMETERS).contains(n))?);
        let mut rest = body.get(2..)?;
        if le16(body)? & WITH_TYPES != 0 {
            let (types, values) = rest.split_at_checked(2 * parameters)?;
            self.types = Some(types.chunks_exact(2).map(|kind| kind[0]).collect());
            rest = values;
        }
        let types = self.types.as_deref().filter(|types| types.len() == parameters)?;
        let mut rows = 0;
        while !rest.is_empty() {
            for kind in types {
                rest = value(*kind, rest)?;
            }
            rows += 1;
        }
        Some(rows)
    }
}

/// What follows a bulk's value: a byte says whether there is one.
fn value(kind: u8, bytes: &[u8]) -> Option<&[u8]> {
    let (indicator, rest) = bytes.split_first()?;
    let len = match (indicator, kind) {
        // Null, the default, and as it is.
        (1..=3, _) | (0, 6) => 0,
        (0, 1) => 1,
        (0, 2 | 13) => 2,
        (0, 3 | 4 | 9) => 4,
        (0, 5 | 8) => 8,
        // Times say how exact they are.
        (0, 7 | 10 | 11 | 12 | 14) => 1 + usize::from(*rest.first()?),
        (0, _) => {
            let (len, text) = lenenc(rest)?;
            return text.get(usize::try_from(len).ok()?..);
        }
        _ => return None,
    };
    rest.get(len..)
}

/// Many commands that are one call.
#[derive(Debug)]
pub(super) struct Many {
    pub asked: u32,
    done: u32,
    failures: Vec<Failure>,
}

impl Many {
    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + self.failures.capacity() * size_of::<Failure>()
    }

    pub(super) fn take_failures(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.failures)
    }

    /// What became of one of them before they were many.
    fn takes(&mut self, index: u32, call: &mut Call<Work>) {
        if let (Some((error, _)), Some(marks)) = (&call.failure, &call.response) {
            let (time, code) = (marks.last.time, call.code.is_some());
            self.fail(Failure { time, index, error: error.clone(), code });
        }
    }

    fn fail(&mut self, failure: Failure) {
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }
}

/// Commands that may be a batch, or are.
#[derive(Debug)]
pub(super) struct Chain {
    /// Who sends them.
    unit: Unit,
    /// The first of them.
    first: u64,
    /// The latest, until they are a batch.
    last: u64,
    count: u32,
    /// They are.
    many: bool,
}

impl Work {
    /// Whether it runs what the `other` one runs.
    fn is_like(&self, other: &Self) -> bool {
        let known = self.statement.is_some() || self.query.is_some();
        let text = match (&self.query, &other.query) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.text == other.text,
            (one, other) => one.is_none() && other.is_none(),
        };
        let same = (self.byte, self.statement) == (other.byte, other.statement) && self.namespace == other.namespace;
        matches!(self.byte, STMT_EXECUTE | QUERY) && known && text && same && self.selects.is_none()
    }
}

impl MySql {
    /// Adds a command to the batch that is under way, if it is one more of that. Whether it was.
    pub(super) fn adds(&mut self, marks: Marks, work: &Work, out: &mut Vec<Output>) -> bool {
        let Some(chain) = self.chain.as_ref().filter(|chain| chain.many && !self.calls.end_is_hidden()) else {
            return false;
        };
        let id = chain.first;
        let ours = chain.unit.is(&marks.first.unit);
        if !ours || !self.calls.by_id(id).is_some_and(|call| call.request.is_like(work)) {
            return false;
        }
        if self.calls.pairs_more(&marks, false, out) != Verdict::Pair {
            self.calls.doom(id, Reason::Gap);
        }
        let Some(call) = self.calls.by_id(id) else { return false };
        let Some(many) = &mut call.request.many else { return false };
        many.asked = many.asked.saturating_add(1);
        call.marks.last = marks.last;
        self.calls.join(marks, id, out);
        true
    }

    /// Whether the command is like the one before it, which is not answered yet, and of the same unit.
    pub(super) fn follows(&mut self, marks: &Marks, work: &Work) -> bool {
        let chain = self.chain.as_ref().filter(|chain| !chain.many && chain.unit.is(&marks.first.unit));
        let Some(last) = chain.map(|chain| chain.last) else { return false };
        self.calls.by_id(last).is_some_and(|call| call.request.is_like(work))
    }

    /// A command began as call `id`, or nothing will be told of it. It may be one of many, and not only the first if it
    /// `follows` another.
    pub(super) fn group(&mut self, id: Option<u64>, follows: bool, marks: &Marks, out: &mut Vec<Output>) {
        let (Some(id), Some(chain)) = (id, self.chain.as_mut().filter(|_| follows)) else {
            self.calls.release(out);
            let unit = marks.first.unit;
            self.chain = id.map(|id| Chain { unit, first: id, last: id, count: 1, many: false });
            return;
        };
        if chain.count == 1 {
            self.calls.hold(chain.first);
        }
        (chain.last, chain.count) = (id, chain.count + 1);
        if chain.count > MAX_SINGLES {
            self.gather(out);
        }
    }

    /// They are a batch from now on.
    fn gather(&mut self, out: &mut Vec<Output>) {
        let Some(chain) = &mut self.chain else { return };
        let (first, done) = (chain.first, self.calls.held_calls());
        let Some(others) = self.calls.merge(first, out) else {
            self.chain = None;
            return self.calls.release(out);
        };
        chain.many = true;
        let Some(call) = self.calls.by_id(first) else { return };
        let mut many = Many { asked: chain.count, done: done as u32, failures: Vec::new() };
        many.takes(0, call);
        for (index, mut other) in (1..).zip(others) {
            many.takes(index, &mut other);
            if let (Some(response), Some(marks)) = (&mut call.response, other.response) {
                response.last = marks.last;
            }
            if call.failure.is_none() {
                (call.failure, call.code) = (other.failure, other.code);
            }
        }
        call.request.many = Some(Box::new(many));
        self.calls.reweigh(first);
    }

    /// An answer passes that `unit` reads: what it sends from now on, it may have waited with.
    pub(super) fn heard(&mut self, unit: &Unit, out: &mut Vec<Output>) {
        if self.chain.as_ref().is_some_and(|chain| chain.unit.is(unit)) {
            self.calls.release(out);
            self.chain = None;
        }
    }

    /// The answer that is complete says that its command failed.
    pub(super) fn fail(&mut self, code: Option<u16>, text: String) {
        let time = self.responses.operation.time;
        let Some(call) = self.calls.oldest() else { return };
        let error: Cow<'static, str> = code.map_or(UNKNOWN.into(), |code| code.to_string().into());
        if let Some(many) = &mut call.request.many {
            many.fail(Failure { time, index: many.done, error: error.clone(), code: code.is_some() });
        }
        // The first is the error of all.
        match code {
            _ if call.failure.is_some() => {}
            Some(_) => call.fail(error, text),
            None => call.failure = Some((error, "".into())),
        }
    }

    /// An answer is complete.
    pub(super) fn answered(&mut self, out: &mut Vec<Output>) {
        let many = self.calls.oldest().and_then(|call| call.request.many.as_mut());
        if let Some(many) = many {
            many.done += 1;
            if many.done < many.asked {
                return;
            }
        }
        self.calls.complete(out);
        if self.calls.len() == 0 {
            // What comes next was not sent before that.
            self.chain = None;
        }
    }
}
