//! Commands of one operation that are one call, if they are too many to be told one by one
//! (`docs/decisions/030-batches.md`).

use super::{Calls, MAX_SINGLES, Request};
use crate::exchange::{Marks, Output, Reason};
use crate::pairing::Verdict;

/// A request that may stand for many.
pub(crate) trait Gather: Request {
    /// It stands for many from now on, of which it is the first.
    fn gather(&mut self);
    /// One more of those that it stands for, if it does.
    fn add(&mut self, other: &mut Self);
    /// It has more of them where nobody looked. False if it stands for itself alone.
    fn go_on(&mut self) -> bool;
}

/// Commands of the present operation that may be one call.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    first: Option<u64>,
    count: u32,
    /// They are one, which is this call.
    many: Option<u64>,
}

impl Pipeline {
    /// The command is one more of the present operation's one call, if that has begun.
    pub(crate) fn adds<T: Gather>(
        &self,
        calls: &mut Calls<T>,
        marks: Marks,
        command: &mut T,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(id) = self.many else { return false };
        if calls.by_id(id).is_none() {
            return false;
        }
        if calls.pairs_more(&marks, false, out) != Verdict::Pair {
            calls.doom(id, Reason::Gap);
        }
        let Some(call) = calls.by_id(id) else { return false };
        call.marks.last = marks.last;
        call.request.add(command);
        calls.reweigh(id);
        if calls.asks() {
            // What the other end reads by itself may begin here.
            calls.join(marks, id, out);
        }
        true
    }

    /// A command began as call `id`, or one that is for itself (`None`). If the operation has carried too many to be told one
    /// by one, they are one: which call that is.
    pub(crate) fn began<T: Gather>(
        &mut self,
        calls: &mut Calls<T>,
        id: Option<u64>,
        out: &mut Vec<Output>,
    ) -> Option<u64> {
        let Some(id) = id else {
            *self = Self::default();
            return None;
        };
        let first = *self.first.get_or_insert(id);
        self.count += 1;
        if self.count <= MAX_SINGLES {
            return None;
        }
        let Some(others) = calls.merge(first, out) else {
            *self = Self::default();
            return None;
        };
        let call = calls.by_id(first)?;
        call.request.gather();
        for mut other in others {
            call.request.add(&mut other.request);
        }
        calls.reweigh(first);
        self.many = Some(first);
        self.many
    }

    /// The rest of the present operation is hidden: if it is one call, that goes on there.
    pub(crate) fn cut<T: Gather>(&mut self, calls: &mut Calls<T>) {
        let Some(id) = self.many.take() else { return };
        let sure = calls.goes_on();
        let Some(call) = calls.by_id(id) else { return };
        if !(sure && call.request.go_on()) {
            calls.doom(id, Reason::Gap);
        }
    }
}
