//! The unit that made the call had answered one request, this, and answers none after it until it ends. Inferred: what it does
//! after the answer is work that the request left to be done, as far as was ever seen.

use super::{Asked, Until, Verdict};
use crate::book::lives::Moment;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let (lives, at) = (&asked.book.lives, Moment::from(asked.call.at));
    let Some(unit) = asked.fed_maker() else { return Verdict::Silent };
    let Some((answer, true)) = lives.last_answer(unit, at) else { return Verdict::Silent };
    match lives.next_answer(unit, at) {
        Some(_) => Verdict::Silent,
        None if lives.has_ended(unit, at.time) => Verdict::Claims(answer.request, Until::Settled),
        None => Verdict::Claims(answer.request, Until::Unit(unit)),
    }
}
