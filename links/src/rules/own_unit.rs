//! The runtime's unit that made the call has exactly one request in flight. Exact: such a unit is one flow of control, and
//! takes up no work of another without being seen to read it or to be handed it.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::{Alone, Maker};
use crate::live::SpanKey;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let found = match asked.book.maker(asked.call) {
        // (A greenlet, and a virtual thread, is believed by what it answers.)
        Maker::Unit(made)
            if made.by.is_thread() || made.by.is_lent() || made.by.is_greenlet() || made.by.is_virtual() =>
        {
            return Verdict::Silent;
        }
        Maker::Unit(made) => Some(match asked.book.in_flight(made.by, made.time) {
            // A handler that panics never answers.
            Alone::None => asked.book.unanswered(made.by, made.time).map_or(Alone::None, Alone::One),
            found => found,
        }),
        Maker::Unseen => None,
    };
    let Some(found) = found.filter(|_| asked.stage >= Stage::Settled) else {
        return match asked.stage {
            Stage::Made => Verdict::Waits(Until::Settled),
            _ => Verdict::Refuses(Missing::Unseen),
        };
    };
    match found {
        Alone::One(request) if !is_same(asked, request) => Verdict::Refuses(Missing::Unconfirmed),
        Alone::One(request) => Verdict::Claims(request, Until::Settled),
        Alone::Several => Verdict::Refuses(Missing::SeveralRequests),
        Alone::Lost => Verdict::Refuses(Missing::LostRecords),
        Alone::None => Verdict::Refuses(Missing::NoRequest),
    }
}

/// Whether a unit whose id is used again is the one that read the request.
fn is_same(asked: &Asked<'_>, request: SpanKey) -> bool {
    let Some(note) = asked.book.request(request) else { return false };
    !note.unit.is_fed() || asked.book.lives.is_same(note.unit, note.read.into(), asked.call.at.into())
}
