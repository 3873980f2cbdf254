//! Pipelines: many commands of one operation, which are one call.
//!
//! As with Redis (`docs/decisions/030-batches.md`): if one operation carries more than [`MAX_SINGLES`] commands that are
//! answered, those before are taken back, and all of them are one call. Answers come in the order of the commands, so
//! which one failed is known by its place. If the rest of a pipeline is beyond what was captured of its operation and all
//! its commands are answered alike, its answers tell how many commands there were.

use std::borrow::Cow;
use std::collections::VecDeque;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::Memcached;
use super::work::{Answer, Work};
use crate::db::{Batch, Failure, MAX_FAILURES, MAX_SINGLES, Together};
use crate::exchange::{Marks, Output, Reason};
use crate::pairing::Verdict;

/// Many commands.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    commands: Together,
    /// Answers that are to come; those that are alike are counted.
    awaited: VecDeque<(Answer, u32)>,
    /// How all of them are answered, if that is the same.
    alike: Option<Answer>,
    /// Answers that came.
    done: u32,
    /// More was asked for where nobody looked.
    hidden: bool,
    /// How much that was is not known, either.
    unsure: bool,
    failures: Vec<Failure>,
}

impl Bulk {
    /// One more command.
    fn add(&mut self, work: &mut Work) {
        let first = self.commands.size == 0;
        self.alike = if first { Some(work.answer) } else { self.alike.filter(|alike| *alike == work.answer) };
        self.commands.add(work.name.as_ref(), Cow::Owned(std::mem::take(&mut work.text)));
        match self.awaited.back_mut() {
            Some((answer, count)) if *answer == work.answer => *count = count.saturating_add(1),
            _ => self.awaited.push_back((work.answer, 1)),
        }
    }

    /// How the answer that comes next is built, if that is known.
    fn next(&self) -> Option<Answer> {
        self.awaited.front().map(|(answer, _)| *answer).or(self.alike.filter(|_| self.hidden))
    }

    /// An answer came.
    fn answered(&mut self) {
        self.done = self.done.saturating_add(1);
        if let Some((_, count)) = self.awaited.front_mut() {
            *count -= 1;
            if *count == 0 {
                self.awaited.pop_front();
            }
        }
    }

    /// Whether all that was asked for is answered.
    fn is_answered(&self) -> bool {
        self.awaited.is_empty() && !self.hidden
    }

    /// What happened within it.
    pub(super) fn take_failures(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.failures)
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>()
            + self.commands.held()
            + self.awaited.capacity() * size_of::<(Answer, u32)>()
            + self.failures.capacity() * size_of::<Failure>()
    }

    /// What of it is not known.
    pub(super) fn unknown(&self) -> [Option<&'static str>; 2] {
        [self.hidden.then_some(semconv::DB_OPERATION_NAME), self.unsure.then_some(semconv::DB_OPERATION_BATCH_SIZE)]
    }

    /// `db.operation.name`, `db.query.text`, and what is said of a batch.
    pub(super) fn describe(self) -> (Cow<'static, str>, String, Batch) {
        let size = if self.hidden { self.commands.size.max(self.done) } else { self.commands.size };
        self.commands.describe("PIPELINE", (!self.unsure).then_some(size), self.hidden)
    }
}

/// Commands of the present operation that may be a pipeline.
#[derive(Debug, Default)]
pub(super) struct Group {
    first: Option<u64>,
    count: u32,
    /// They are one, which is this call.
    bulk: Option<u64>,
}

impl Memcached {
    /// The command adds to the pipeline of the present operation, if there is one.
    pub(super) fn adds(&mut self, marks: Marks, work: &mut Work, out: &mut Vec<Output>) -> bool {
        let Some(id) = self.group.bulk.filter(|_| !work.behind_quiet) else { return false };
        if self.calls.by_id(id).is_none() {
            return false;
        }
        if self.calls.pairs_more(&marks.first, false, out) != Verdict::Pair {
            self.calls.doom(id, Reason::Gap);
        }
        let Some(call) = self.calls.by_id(id) else { return false };
        call.marks.last = marks.last;
        if let Some(bulk) = &mut call.request.bulk {
            bulk.add(work);
        }
        self.calls.reweigh(id);
        true
    }

    /// A command began as call `id`: if the operation has carried too many for them to be told one by one, they are one.
    pub(super) fn group(&mut self, id: Option<u64>, mergeable: bool, out: &mut Vec<Output>) {
        let Some(id) = id.filter(|_| mergeable) else {
            self.group = Group::default();
            return;
        };
        let first = *self.group.first.get_or_insert(id);
        self.group.count += 1;
        if self.group.count <= MAX_SINGLES {
            return;
        }
        let Some(others) = self.calls.merge(first, out) else {
            self.group = Group::default();
            return;
        };
        let Some(call) = self.calls.by_id(first) else { return };
        let mut bulk = Bulk::default();
        bulk.add(&mut call.request);
        for mut work in others {
            bulk.add(&mut work);
        }
        call.request.bulk = Some(Box::new(bulk));
        self.calls.reweigh(first);
        self.group.bulk = Some(first);
    }

    /// The rest of the present operation is hidden: if a pipeline is under way, it goes on there.
    pub(super) fn pipeline_cut(&mut self) {
        let Some(id) = self.group.bulk.take() else { return };
        let sure = self.calls.goes_on();
        let Some(call) = self.calls.by_id(id) else { return };
        match &mut call.request.bulk {
            Some(bulk) if sure => {
                bulk.hidden = true;
                bulk.unsure = bulk.alike.is_none();
            }
            _ => self.calls.doom(id, Reason::Gap),
        }
    }

    /// How the answer that comes next is built, and whether it may answer a quiet command as well. `None` if that is
    /// not known.
    pub(super) fn awaited(&mut self) -> Option<(Answer, bool)> {
        let work = &self.calls.oldest()?.request;
        match &work.bulk {
            Some(bulk) => bulk.next().map(|answer| (answer, false)),
            None => Some((work.answer, work.behind_quiet)),
        }
    }

    /// The answer that comes next is an error, which this word says.
    pub(super) fn fail(&mut self, word: &[u8]) {
        let time = self.replies.operation.time;
        let Some(call) = self.calls.oldest() else { return };
        let error: Cow<'static, str> = String::from_utf8_lossy(word).into_owned().into();
        match &mut call.request.bulk {
            Some(bulk) if bulk.failures.len() < MAX_FAILURES => {
                let failure = Failure { time, index: bulk.done, error: error.clone(), code: true };
                bulk.failures.push(failure);
            }
            _ => {}
        }
        // The first is the error of all.
        if call.failure.is_none() {
            call.fail(error, "");
        }
    }

    /// An answer is complete.
    pub(super) fn answered(&mut self, out: &mut Vec<Output>) {
        let Some(call) = self.calls.oldest() else { return };
        let over = match &mut call.request.bulk {
            Some(bulk) => {
                bulk.answered();
                bulk.is_answered()
            }
            None => true,
        };
        if over {
            self.calls.complete(out);
        }
    }

    /// Where answers begin is hidden: how many commands a pipeline has that goes on where nobody looked is unknown. Whether
    /// there is one.
    pub(super) fn answers_cut(&mut self) -> bool {
        let Some(bulk) = self.calls.oldest().and_then(|call| call.request.bulk.as_mut()) else { return false };
        bulk.unsure |= bulk.hidden;
        bulk.hidden
    }
}
