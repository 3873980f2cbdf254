//! The unit that made the call answers a request next that had been read before, and it had answered none until then, as far as
//! was seen. Inferred: it may have called for itself before it took the request up.

use super::answering_unit::{Next, next};
use super::{Asked, Missing, Until, Verdict};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    match next(asked) {
        Next::Answer(unit, ..) if unit.is_greenlet() => Verdict::Silent,
        Next::Answer(unit, _, answer) if asked.book.lives.is_first(unit, &answer) => {
            Verdict::Claims(answer.request, Until::Settled)
        }
        Next::Answer(..) => Verdict::Refuses(Missing::Unconfirmed),
        Next::None | Next::Unknown(_) | Next::Never => Verdict::Silent,
    }
}
