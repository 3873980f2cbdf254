//! A pipeline that its client sends in several writes.
//!
//! A driver that packs commands into a buffer writes when that is full, and goes on. So writes are one pipeline if each but the
//! last was cut off where a buffer ends: within a command, or at the first command beyond the size that redis-py allows; if one
//! unit sends them, and nothing was answered in between. The last one must not have been cut off so: an event loop that sends
//! several pipelines of about that size, one for each of its requests, would look the same but for that.

use super::Redis;
use super::command::Command;
use crate::Role;
use crate::db::{Call, Gather, MAX_SINGLES, Pipeline};
use crate::exchange::{Mark, Output, Unit};

/// redis-py (and what is derived of it) writes when what it has packed is longer than this, bytes.
const PACKED: u64 = 6000;
/// Commands of one pipeline: each is announced, so that what the server read by itself is found.
const MAX_COMMANDS: u32 = 16 * 1024;

/// Writes that may be one pipeline.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// The call of the first command.
    first: Option<u64>,
    unit: Unit,
    writes: u32,
    commands: u32,
    /// Where the present write begins, how far it was seen, and where its last command begins.
    place: (u64, u64, u64),
    /// All of its commands may be among many, and nothing is hidden.
    sound: bool,
}

/// Whether one unit did both, and, of a loop's thread, one piece of its work.
fn same(one: &Unit, other: &Unit) -> bool {
    one.is(other) && one.id == other.id
}

impl Run {
    /// A command that begins at `first` is of this run, if it may be among many.
    pub(super) fn takes(&mut self, mergeable: bool, first: &Mark) {
        self.sound &= mergeable;
        self.commands = self.commands.saturating_add(1);
        self.place.2 = first.position;
    }

    /// It began as this call, if any.
    pub(super) fn began(&mut self, id: Option<u64>) {
        self.sound &= id.is_some();
        self.first = self.first.or(id);
    }

    /// A part of it is hidden.
    pub(super) fn spoil(&mut self) {
        self.sound = false;
    }
}

impl Redis {
    /// `len` bytes of a write are about to be read, and perhaps the first of it.
    pub(super) fn writes(&mut self, fresh: bool, mark: &Mark, len: usize, out: &mut Vec<Output>) {
        if self.settings.role != Role::Client {
            return;
        }
        if fresh {
            let goes_on = self.run.sound && self.is_cut_off() && same(&self.run.unit, &mark.unit);
            if !goes_on || self.run.commands >= MAX_COMMANDS {
                self.end_run(out);
                self.run = Run { unit: mark.unit, sound: true, ..Run::default() };
            }
            self.run.writes = self.run.writes.saturating_add(1);
            self.run.place = (mark.position, mark.position, mark.position);
        }
        self.run.place.1 += len as u64;
    }

    /// Whether the present write was ended by a buffer's.
    fn is_cut_off(&self) -> bool {
        let (start, end, last) = self.run.place;
        let within = !self.requests.reader.at_boundary();
        within || (end.saturating_sub(start) > PACKED && last.saturating_sub(start) <= PACKED)
    }

    /// No write follows that belongs to the present ones: they are one call if they are one pipeline.
    pub(super) fn end_run(&mut self, out: &mut Vec<Output>) {
        let whole = self.run.sound && !self.is_cut_off();
        let run = std::mem::take(&mut self.run);
        let many = run.writes > 1 && run.commands > MAX_SINGLES;
        let Some(first) = run.first.filter(|_| whole && many) else { return };
        let Some(others) = self.calls.merge(first, out) else { return };
        if let Some(call) = self.calls.by_id(first) {
            gather(call, others);
        }
        self.calls.reweigh(first);
        self.pipeline = Pipeline::default();
        self.sent.iter_mut().filter(|sent| sent.call > first).for_each(|sent| sent.call = first);
    }
}

/// Makes one of many.
fn gather(call: &mut Call<Command>, others: Vec<Call<Command>>) {
    if call.request.bulk.is_none() {
        call.request.gather();
    }
    for mut other in others {
        call.request.add(&mut other.request);
    }
}
