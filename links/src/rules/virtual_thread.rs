//! The virtual thread that made the call had read one request, and answers it itself after the call. Inferred: it is one flow
//! of control that was made for a piece of work, and runs no other's, unless it is of a pool. One of a pool shows that by the
//! connections that it reads requests of, and then nothing is believed of its process any more; until then it may be wrong.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::{Alone, Maker};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let book = asked.book;
    let made = match book.maker(asked.call) {
        Maker::Unit(made) if made.by.is_virtual() && made.relays.is_none() => made,
        _ => return Verdict::Silent,
    };
    let request = match book.in_flight(made.by, made.time) {
        _ if !made.by.is_told() => return Verdict::Refuses(Missing::Unconfirmed),
        Alone::One(request) => request,
        // That it was read may yet be told.
        Alone::None if asked.stage == Stage::Made => return Verdict::Waits(Until::Settled),
        Alone::None => return Verdict::Refuses(Missing::NoRequest),
        Alone::Several => return Verdict::Refuses(Missing::SeveralRequests),
        Alone::Lost => return Verdict::Refuses(Missing::LostRecords),
    };
    let Some(note) = book.request(request) else { return Verdict::Refuses(Missing::NoRequest) };
    if book.virtuals.are_pooled(made.by.tgid) {
        return Verdict::Refuses(Missing::HandsOn);
    }
    match note.answered {
        Some((Some(by), at)) if by == made.by && at.time >= made.time => Verdict::Claims(request, Until::Quiet),
        Some(_) => Verdict::Refuses(Missing::HandsOn),
        None if note.is_over => Verdict::Refuses(Missing::Unconfirmed),
        None => Verdict::Claims(request, Until::Over),
    }
}
