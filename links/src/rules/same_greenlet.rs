//! The greenlet that made the call answers a request next that it had read itself, and had read nothing else. Inferred, if no
//! request of its process was answered by another than read it: a greenlet may be a thread of a pool that does not know it is
//! one, and what is true of those (`same_thread`) is true of it. It may hand its request on, take up another's job, and be the
//! one that answers in the end.

use super::answering_unit::{Next, is_its_own, next};
use super::{Asked, Missing, Until, Verdict};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    match next(asked) {
        Next::Answer(unit, ..) if !unit.is_greenlet() => Verdict::Silent,
        Next::Answer(unit, at, answer) => match is_its_own(asked, unit, at, &answer) {
            true if asked.book.units.held(unit.tgid).hands_on.is_some() => Verdict::Refuses(Missing::HandsOn),
            true => Verdict::Claims(answer.request, Until::Quiet),
            false => Verdict::Refuses(Missing::Unconfirmed),
        },
        Next::Unknown(unit) if unit.is_greenlet() => Verdict::Waits(Until::Unit(unit)),
        Next::None | Next::Unknown(_) | Next::Never => Verdict::Silent,
    }
}
