//! The unit that made the call answers nothing and ends, and was made by one that answers this request next, which had been read
//! by then. Inferred: it may have done another's work as well. One that does not end is a worker, and whose work it does is not
//! known by who made it; nor of one that gives results to others ([`resolved`](super::resolved)), or that outlives its maker. A
//! greenlet must have ended before the answer. What a thread does in a context that a unit lent it is such a unit: it ends when the
//! context is gone.

use super::answering_unit::may_answer;
use super::{Asked, Missing, Until, Verdict};
use crate::book::lives::{Answer, Moment};
use crate::facts::UnitKey;

/// Units from the one that calls to the one that answers.
const MAX_DEPTH: usize = 8;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    match asked.fed_or_lent_maker() {
        Some(unit) => of(asked, unit, asked.call.at.into()),
        None => Verdict::Silent,
    }
}

/// The request that what a unit did at a moment was done for, if it is one of those.
pub fn of(asked: &Asked<'_>, unit: UnitKey, at: Moment) -> Verdict {
    let book = asked.book;
    if book.lives.last_answer(unit, at).is_some() || book.lives.next_answer(unit, at).is_some() {
        return Verdict::Silent;
    }
    let ended = book.lives.has_ended(unit, at.time);
    match above(asked, unit, at) {
        Above::Nothing => Verdict::Silent,
        Above::Unknown(answering) => Verdict::Waits(Until::Unit(answering)),
        // A pool's thread is a greenlet as well, under gevent's patch: one that shrinks ends too, but not while it has work.
        Above::Answer(answer) if ended && unit.is_greenlet() && !book.lives.ended_by(unit, at.time, answer.at.time) => {
            Verdict::Refuses(Missing::NoEnd)
        }
        Above::Answer(answer) if ended => Verdict::Claims(answer.request, Until::Settled),
        Above::Answer(answer) => Verdict::Claims(answer.request, Until::Unit(unit)),
    }
}

/// What the unit answers next that made another, or that made that.
enum Above {
    Nothing,
    Unknown(UnitKey),
    Answer(Answer),
}

fn above(asked: &Asked<'_>, unit: UnitKey, at: Moment) -> Above {
    let (book, first, mut unit, mut at) = (asked.book, unit, unit, at);
    for _ in 0..MAX_DEPTH {
        // Whose a worker's doings are, its results say.
        if book.results.gives(unit, book.lives.birth(unit, at).map_or(0, |birth| birth.at.time)) {
            return Above::Nothing;
        }
        // Nor of one that was left behind by who made it, and answers nothing: a client's next call, begun as one was through.
        if unit != first && book.lives.ended_by(unit, at.time, asked.call.at.time) {
            return Above::Nothing;
        }
        let Some(birth) = book.lives.birth(unit, at).filter(|birth| birth.of.is_fed()) else { return Above::Nothing };
        (unit, at) = (birth.of, birth.at);
        if let Some(answer) = book.lives.next_answer(unit, at) {
            let read = book.request(answer.request).map(|request| request.read.time);
            return if read.is_some_and(|read| read <= at.time) { Above::Answer(answer) } else { Above::Nothing };
        }
        if may_answer(asked, unit, at) {
            return Above::Unknown(unit);
        }
    }
    Above::Nothing
}
