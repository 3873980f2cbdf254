//! Pipelines: many commands of one operation, which are one call.
//!
//! As with Redis (`docs/decisions/030-batches.md`): if one operation carries more than [`MAX_SINGLES`](crate::db::MAX_SINGLES) commands that are
//! answered, those before are taken back, and all of them are one call. Answers come in the order of the commands, so
//! which one failed is known by its place. If the rest of a pipeline is beyond what was captured of its operation and all
//! its commands are answered alike, its answers tell how many commands there were.
//!
//! Commands that nothing will answer (`noreply`, quiet ones) are told when what was captured of their operation is read: each
//! by itself, or as one if there were more. How many there were is unknown if that ends within one.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::Memcached;
use super::work::{Answer, Work};
use crate::db::{Batch, Failure, Gather, MAX_FAILURES, MAX_SINGLES, Together};
use crate::exchange::{Marks, Output};

/// Commands of the present operation, one directly after the other, that nothing will answer.
#[derive(Debug, Default)]
pub(super) struct Silent {
    /// As long as they are few.
    few: Vec<(Marks, Work)>,
    /// All of them, and where they are.
    many: Option<(Marks, Box<Bulk>)>,
    /// The latest command is one: data that follow are its own.
    pub latest: bool,
}

impl Silent {
    /// One more of them.
    fn add(&mut self, marks: Marks, mut work: Work) {
        if self.many.is_none() && self.few.len() < MAX_SINGLES as usize {
            return self.few.push((marks, work));
        }
        let (all, bulk) = self.many.get_or_insert_with(|| {
            let first = self.few.first().map_or(marks, |(marks, _)| *marks);
            let mut bulk = Box::<Bulk>::default();
            self.few.drain(..).for_each(|(_, mut work)| bulk.add_silent(&mut work));
            (first, bulk)
        });
        all.last = marks.last;
        bulk.add_silent(&mut work);
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.few.capacity() * size_of::<(Marks, Work)>() + self.many.as_ref().map_or(0, |(_, bulk)| bulk.held())
    }
}

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

    /// One more command that nothing will answer.
    fn add_silent(&mut self, work: &mut Work) {
        self.commands.add(work.name.as_ref(), Cow::Owned(std::mem::take(&mut work.text)));
    }

    /// How the answer that comes next is built, if that is known.
    fn next(&self) -> Option<Answer> {
        self.awaited.front().map(|(answer, _)| *answer).or(self.alike.filter(|_| self.commands.hidden))
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
        self.awaited.is_empty() && !self.commands.hidden
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
        self.commands.unknown()
    }

    /// `db.operation.name`, `db.query.text`, and what is said of a batch.
    pub(super) fn describe(self) -> (Cow<'static, str>, String, Batch) {
        self.commands.describe("PIPELINE", self.done)
    }
}

impl Gather for Work {
    fn gather(&mut self) {
        let mut bulk = Bulk::default();
        bulk.add(self);
        self.bulk = Some(Box::new(bulk));
    }

    fn add(&mut self, other: &mut Self) {
        if let Some(bulk) = &mut self.bulk {
            bulk.add(other);
        }
    }

    fn go_on(&mut self) -> bool {
        let Some(bulk) = &mut self.bulk else { return false };
        bulk.commands.hidden = true;
        bulk.commands.unsure = bulk.alike.is_none();
        true
    }
}

impl Memcached {
    /// A command that nothing will answer.
    pub(super) fn silently(&mut self, marks: Marks, work: Work) {
        self.calls.passes(&marks.first);
        self.silent.latest = true;
        self.silent.add(marks, work);
    }

    /// Tells the commands that nothing will answer. `whole`: what was captured of their operation does not end within one.
    pub(super) fn tell_silent(&mut self, whole: bool, out: &mut Vec<Output>) {
        for (marks, work) in self.silent.few.drain(..) {
            self.calls.unanswered(marks, work, out);
        }
        self.silent.few.shrink_to_fit();
        let Some((marks, mut bulk)) = self.silent.many.take() else { return };
        if !whole {
            (bulk.commands.hidden, bulk.commands.unsure) = (true, true);
        }
        let answer = Answer::Line;
        let work = Work { name: None, text: String::new(), answer, behind_quiet: false, bulk: Some(bulk) };
        self.calls.unanswered(marks, work, out);
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
        let bulk = self.calls.oldest().and_then(|call| call.request.bulk.as_mut());
        bulk.is_some_and(|bulk| bulk.commands.answers_cut())
    }
}
