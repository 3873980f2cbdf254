//! Many commands that are one call: a pipeline, or a transaction.
//!
//! A transaction is what `MULTI` begins and `EXEC` or `DISCARD` ends, in whatever pieces it is sent. A pipeline is a batch
//! if one operation carries more than [`MAX_SINGLES`](crate::db::MAX_SINGLES) commands: those before are taken back, and all of them are one
//! call. Each command has its own reply, so what a reply means (`SELECT`) and which one failed is known by its place.
//!
//! If the rest of a pipeline is beyond what was captured of its operation, its replies tell how many commands there were:
//! all that comes before the client asks anew answers what it had asked.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::Redis;
use super::command::{Command, Effect};
use super::messages::{self, Written};
use crate::Role;
use crate::db::{Batch, Failure, Gather, MAX_FAILURES, Together};
use crate::exchange::{Marks, Output, Reason};
use crate::pairing::Verdict;

/// Most replies of it that have an effect.
const MAX_EFFECTS: usize = 64;

/// What ties the commands together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pipeline,
    /// `MULTI` to `EXEC`.
    Transaction,
}

/// Many commands.
#[derive(Debug)]
pub(super) struct Bulk {
    kind: Kind,
    /// Those that do not only make a transaction of the others.
    commands: Together,
    /// Replies that are to come in all, and those that came.
    asked: u32,
    pub done: u32,
    /// More may be asked for.
    pub open: bool,
    /// Effects were too many.
    overflown: bool,
    /// Effects of replies that have any, by their place.
    effects: VecDeque<(u32, Effect)>,
    pub failures: Vec<Failure>,
}

impl Bulk {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            commands: Together::default(),
            asked: 0,
            done: 0,
            open: true,
            overflown: false,
            effects: VecDeque::new(),
            failures: Vec::new(),
        }
    }

    /// A command that only makes a transaction of the others.
    pub(super) fn frame(&mut self, effect: Effect) {
        self.expect(effect);
    }

    /// One more command.
    pub(super) fn add(&mut self, command: &mut Command) {
        let name = Some(&command.name).filter(|name| !name.is_empty());
        self.commands.add(name, command.text.clone());
        self.expect(std::mem::take(&mut command.effect));
    }

    fn expect(&mut self, effect: Effect) {
        // What else has an effect may not be among many.
        if matches!(effect, Effect::Select(_) | Effect::Reset | Effect::Execute) {
            self.note(self.asked, effect);
        }
        self.asked = self.asked.saturating_add(1);
    }

    fn note(&mut self, at: u32, effect: Effect) {
        self.overflown |= self.effects.len() == MAX_EFFECTS;
        if !self.overflown {
            self.effects.push_back((at, effect));
        }
    }

    /// All commands of another one, of which none was answered, are of this one.
    fn absorb(&mut self, other: Self) {
        for (at, effect) in other.effects {
            self.note(self.asked.saturating_add(at), effect);
        }
        self.asked = self.asked.saturating_add(other.asked);
        self.overflown |= other.overflown;
        self.commands.absorb(other.commands);
    }

    /// A reply came: what it does.
    pub(super) fn replied(&mut self) -> Effect {
        let at = self.done;
        self.done = self.done.saturating_add(1);
        match self.effects.front() {
            Some((place, _)) if *place == at => self.effects.pop_front().map(|(_, effect)| effect).unwrap_or_default(),
            _ => Effect::None,
        }
    }

    /// Whether all that was asked for is answered.
    pub(super) fn is_answered(&self) -> bool {
        self.done >= self.asked
    }

    /// Which command the reply that comes next answers.
    pub(super) fn index(&self) -> u32 {
        match self.kind {
            Kind::Pipeline => self.done,
            // `MULTI` has the first.
            Kind::Transaction => self.done.saturating_sub(1),
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>()
            + self.commands.held()
            + self.effects.capacity() * size_of::<(u32, Effect)>()
            + self.failures.capacity() * size_of::<Failure>()
    }

    /// What of it is not known.
    pub(super) fn unknown(&self) -> [Option<&'static str>; 2] {
        self.commands.unknown()
    }

    /// What its span says: `db.operation.name`, `db.query.text`, and what is said of a batch.
    pub(super) fn describe(self) -> (Cow<'static, str>, String, Batch) {
        let word = match self.kind {
            Kind::Pipeline => "PIPELINE",
            Kind::Transaction => "MULTI",
        };
        self.commands.describe(word, self.done)
    }
}

impl Gather for Command {
    fn gather(&mut self) {
        let mut bulk = Bulk::new(Kind::Pipeline);
        bulk.open = false;
        bulk.add(self);
        self.bulk = Some(Box::new(bulk));
    }

    fn add(&mut self, other: &mut Self) {
        match (&mut self.bulk, other.bulk.take()) {
            (Some(bulk), Some(many)) => bulk.absorb(*many),
            (Some(bulk), None) => bulk.add(other),
            (None, _) => {}
        }
    }

    fn go_on(&mut self) -> bool {
        let Some(bulk) = &mut self.bulk else { return false };
        bulk.commands.hidden = true;
        true
    }
}

/// Commands since `MULTI`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    /// All of them, unless it is not known where that began.
    pub call: Option<u64>,
    /// How many.
    pub queued: u32,
}

/// What a command is to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Begins,
    Belongs,
    Ends,
    Stranger,
}

impl Redis {
    /// What the command in transfer is to a transaction.
    pub(super) fn part(&self) -> Part {
        if self.arguments.is(0, b"MULTI") {
            return Part::Begins;
        }
        match self.transaction {
            None => Part::Stranger,
            Some(_) if self.arguments.is(0, b"EXEC") || self.arguments.is(0, b"DISCARD") => Part::Ends,
            Some(_) => Part::Belongs,
        }
    }

    /// The command belongs to the transaction that is under way: adds it to its call. False if there is none.
    pub(super) fn transacts(&mut self, part: Part, marks: Marks, command: &mut Command, out: &mut Vec<Output>) -> bool {
        let Some(id) = self.transaction.and_then(|transaction| transaction.call) else { return false };
        if !matches!(part, Part::Belongs | Part::Ends) {
            return false;
        }
        let answered = match self.calls.by_id(id).and_then(|call| call.request.bulk.as_ref()) {
            Some(bulk) => bulk.is_answered(),
            None => return false,
        };
        if self.calls.pairs_more(&marks, answered, out) != Verdict::Pair {
            self.calls.doom(id, Reason::Gap);
        }
        let told = messages::written(&self.arguments);
        let Some(call) = self.calls.by_id(id) else { return false };
        call.marks.last = marks.last;
        let outcome = &mut call.request.outcome;
        let mut fact = None;
        match told {
            Some(Written::Result(attributes, state)) => {
                fact = state;
                outcome.extend(if outcome.is_empty() { attributes } else { Vec::new() });
            }
            Some(Written::Settled(tag)) => fact = Some(tag),
            // Nothing is sent inside a transaction.
            Some(Written::Task(_)) | None => {}
        }
        if let Some(bulk) = &mut call.request.bulk {
            match part {
                Part::Ends => {
                    bulk.frame(std::mem::take(&mut command.effect));
                    bulk.open = false;
                }
                _ => bulk.add(command),
            }
        }
        if self.settings.role == Role::Client {
            messages::tell(id, marks.last, fact, out);
        }
        self.calls.reweigh(id);
        if part == Part::Ends {
            self.transaction = None;
        }
        true
    }

    /// A command began as call `id`, or one that is for itself: those of its operation may be one call.
    pub(super) fn group(&mut self, id: Option<u64>, out: &mut Vec<Output>) {
        if let Some(first) = self.pipeline.began(&mut self.calls, id, out) {
            self.sent.iter_mut().filter(|sent| sent.call > first).for_each(|sent| sent.call = first);
        }
    }

    /// Requests may be hidden: what belongs to a transaction that is under way cannot be told.
    pub(super) fn requests_hidden(&mut self, out: &mut Vec<Output>) {
        if let Some(id) = self.transaction.take().and_then(|transaction| transaction.call) {
            self.calls.doom(id, Reason::Gap);
            if let Some(bulk) = self.calls.by_id(id).and_then(|call| call.request.bulk.as_mut()) {
                bulk.open = false;
            }
            self.end_bulk(id, out);
        }
        self.calls.requests_hidden(out);
    }

    /// A call of many commands is over if all is answered.
    fn end_bulk(&mut self, id: u64, out: &mut Vec<Output>) {
        let Some(oldest) = self.calls.oldest().filter(|oldest| oldest.id == id) else { return };
        let Some(bulk) = oldest.request.bulk.as_ref() else { return };
        if bulk.is_answered() && !bulk.open && !bulk.commands.hidden {
            let overflown = bulk.overflown;
            self.calls.complete(out);
            if overflown {
                // Another database may be selected.
                self.namespace = None;
            }
        }
    }

    /// A reply to one of many commands is complete. False if the oldest call is one command.
    pub(super) fn bulk_replied(&mut self, out: &mut Vec<Output>) -> bool {
        let (first, operation) = (self.responses.first, self.responses.operation);
        let Some(call) = self.calls.oldest() else { return false };
        let id = call.id;
        let Some(bulk) = &mut call.request.bulk else { return false };
        let index = bulk.index();
        let effect = bulk.replied();
        let failures = self.reply.failures(index, effect == Effect::Execute, operation.time);
        let failed = self.reply.is_error();
        if let Some(failure) = failures.first()
            && bulk.failures.is_empty()
        {
            if failure.code {
                call.code = Some(failure.error.clone());
            }
            call.failure = Some((failure.error.clone(), "".into()));
        }
        failures.into_iter().for_each(|failure| bulk.fail(failure));
        self.calls.touch(&first, &operation);
        if !failed {
            self.apply(effect);
        }
        self.end_bulk(id, out);
        true
    }

    /// Whether the oldest call is many commands, of which one was answered, and more are not asked for.
    pub(super) fn many_answered(&mut self) -> bool {
        let many = |bulk: &Bulk| !bulk.open;
        self.calls
            .oldest()
            .is_some_and(|call| call.response.is_some() && call.request.bulk.as_deref().is_some_and(many))
    }

    /// Whether the oldest call is a transaction to which more may be added.
    pub(super) fn transacting(&mut self) -> bool {
        self.calls.oldest().is_some_and(|call| call.request.bulk.as_ref().is_some_and(|bulk| bulk.open))
    }

    /// Where replies begin is hidden: how many commands a pipeline has that goes on where nobody looked is unknown. Whether
    /// there is one.
    pub(super) fn replies_cut(&mut self) -> bool {
        let bulk = self.calls.oldest().and_then(|call| call.request.bulk.as_mut());
        bulk.is_some_and(|bulk| bulk.commands.answers_cut())
    }
}
