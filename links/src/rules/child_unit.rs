//! The unit that made the call answers nothing and ends, and was made by one that answers this request next, which had been read
//! by then. Inferred: it may have done another's work as well. One that does not end is a worker, and whose work it does is not
//! known by who made it. What a thread does in a context that a unit lent it is such a unit: it ends when the context is gone.

use super::answering_unit::may_answer;
use super::{Asked, Until, Verdict};
use crate::book::lives::{Answer, Moment};
use crate::facts::UnitKey;

/// Units from the one that calls to the one that answers.
const MAX_DEPTH: usize = 8;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let (book, at) = (asked.book, Moment::from(asked.call.at));
    let Some(unit) = asked.fed_or_lent_maker() else { return Verdict::Silent };
    if book.lives.last_answer(unit, at).is_some() || book.lives.next_answer(unit, at).is_some() {
        return Verdict::Silent;
    }
    let ended = book.lives.has_ended(unit, at.time);
    match above(asked, unit, at) {
        Above::Nothing => Verdict::Silent,
        Above::Unknown(answering) => Verdict::Waits(Until::Unit(answering)),
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
    let (book, mut unit, mut at) = (asked.book, unit, at);
    for _ in 0..MAX_DEPTH {
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
