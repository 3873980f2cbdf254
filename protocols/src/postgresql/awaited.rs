//! Answers that are waited for, in order. A batch has two or three for each of its rows, and may have any number of
//! rows, so rows that are asked alike are counted.

use std::collections::VecDeque;

/// A message of the client that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Parse,
    Bind,
    Describe,
    Execute,
    Close,
    Sync,
    /// Until `ReadyForQuery`.
    Query,
    /// Until `ReadyForQuery`.
    Function,
}

/// An answer that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    pub asked: Asked,
    /// The call that it belongs to.
    pub owner: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    One(Asked),
    /// So many times `Bind`, perhaps `Describe`, and `Execute`; of the first so many steps are answered.
    Rows {
        described: bool,
        step: u8,
        left: u32,
    },
}

impl What {
    fn first(self) -> Asked {
        match self {
            Self::One(asked) => asked,
            Self::Rows { step: 0, .. } => Asked::Bind,
            Self::Rows { described: true, step: 1, .. } => Asked::Describe,
            Self::Rows { .. } => Asked::Execute,
        }
    }

    fn last(self) -> Asked {
        match self {
            Self::One(asked) => asked,
            Self::Rows { .. } => Asked::Execute,
        }
    }

    fn steps(described: bool) -> u32 {
        if described { 3 } else { 2 }
    }

    /// Answers that are yet to come.
    fn answers(self) -> u32 {
        match self {
            Self::One(_) => 1,
            Self::Rows { described, step, left } => {
                left.saturating_mul(Self::steps(described)).saturating_sub(u32::from(step))
            }
        }
    }
}

/// Them all.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<(What, Option<u64>)>,
}

impl Queue {
    pub(super) fn held(&self) -> usize {
        self.entries.capacity() * size_of::<(What, Option<u64>)>()
    }

    /// Entries: what they take.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.entries = VecDeque::new();
    }

    pub(super) fn front(&self) -> Option<Awaited> {
        self.entries.front().map(|(what, owner)| Awaited { asked: what.first(), owner: *owner })
    }

    pub(super) fn back(&self) -> Option<Awaited> {
        self.entries.back().map(|(what, owner)| Awaited { asked: what.last(), owner: *owner })
    }

    pub(super) fn push(&mut self, asked: Asked, owner: Option<u64>) {
        self.entries.push_back((What::One(asked), owner));
        if asked == Asked::Execute && owner.is_some() {
            self.join_row(owner);
        }
    }

    /// The last messages are a row: they are counted as such.
    fn join_row(&mut self, owner: Option<u64>) {
        let is = |entry: Option<&(What, Option<u64>)>, asked| entry == Some(&(What::One(asked), owner));
        let from_end = |n: usize| self.entries.len().checked_sub(n).and_then(|at| self.entries.get(at));
        let described = is(from_end(2), Asked::Describe);
        let len = if described { 3 } else { 2 };
        if !is(from_end(len), Asked::Bind) {
            return;
        }
        self.entries.truncate(self.entries.len() - len);
        if let Some((What::Rows { described: same, left, .. }, of)) = self.entries.back_mut()
            && *same == described
            && *of == owner
        {
            *left = left.saturating_add(1);
            return;
        }
        self.entries.push_back((What::Rows { described, step: 0, left: 1 }, owner));
    }

    /// The first answer came.
    pub(super) fn pop(&mut self) -> Option<Awaited> {
        let first = self.front()?;
        if let Some((What::Rows { described, step, left }, _)) = self.entries.front_mut() {
            *step += 1;
            if u32::from(*step) < What::steps(*described) {
                return Some(first);
            }
            (*step, *left) = (0, *left - 1);
            if *left > 0 {
                return Some(first);
            }
        }
        self.entries.pop_front();
        Some(first)
    }

    /// Takes out what is asked next, with all rows that are alike: whose, and how many answers.
    pub(super) fn pass(&mut self) -> Option<(Option<u64>, u32)> {
        self.entries.pop_front().map(|(what, owner)| (owner, what.answers()))
    }

    /// Takes out a `Sync` that is asked directly behind the first answer: whose it is.
    pub(super) fn pass_sync(&mut self) -> Option<Option<u64>> {
        let alone = self.entries.front().is_some_and(|(what, _)| what.answers() == 1);
        if !alone || self.entries.get(1)?.0 != What::One(Asked::Sync) {
            return None;
        }
        self.entries.remove(1).map(|(_, owner)| owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_asked_alike_take_one_place_and_are_answered_step_by_step() {
        let mut queue = Queue::default();
        queue.push(Asked::Parse, Some(1));
        for _ in 0..1000 {
            queue.push(Asked::Bind, Some(1));
            queue.push(Asked::Describe, Some(1));
            queue.push(Asked::Execute, Some(1));
        }
        queue.push(Asked::Sync, Some(1));
        assert_eq!(queue.len(), 3);
        let answers: Vec<Asked> = std::iter::from_fn(|| queue.pop().map(|a| a.asked)).collect();
        assert_eq!(answers.len(), 3002);
        assert_eq!(answers[..4], [Asked::Parse, Asked::Bind, Asked::Describe, Asked::Execute]);
        assert_eq!(answers[2998..], [Asked::Bind, Asked::Describe, Asked::Execute, Asked::Sync]);
    }

    #[test]
    fn rows_of_other_calls_or_asked_otherwise_take_places_of_their_own() {
        let mut queue = Queue::default();
        for (owner, described) in [(1, false), (1, true), (2, true)] {
            queue.push(Asked::Bind, Some(owner));
            if described {
                queue.push(Asked::Describe, Some(owner));
            }
            queue.push(Asked::Execute, Some(owner));
        }
        assert_eq!(queue.len(), 3);
        queue.pop();
        assert_eq!(
            (queue.pass(), queue.pass(), queue.pass()),
            (Some((Some(1), 1)), Some((Some(1), 3)), Some((Some(2), 3)))
        );
    }
}
