//! The call carries a handle that one request carries: its context derives from that request's. Exact. Of one that is over by
//! then only if the handle outlives it, and if whoever made the call serves no other.

use super::{Asked, Missing, Until, Verdict};
use crate::book::{Alone, Made, Maker};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let Maker::Unit(Made { by, handle: Some(handle), time, .. }) = asked.book.maker(asked.call) else {
        return Verdict::Silent;
    };
    match asked.book.named(by.tgid, handle, time) {
        // (A client that was made with the context of the first request is used for all.)
        Alone::One(request) if asked.book.was_over(request, time) && asked.book.in_flight(by, time) != Alone::None => {
            Verdict::Silent
        }
        Alone::One(request) => Verdict::Claims(request, Until::Settled),
        Alone::Several => Verdict::Refuses(Missing::SeveralRequests),
        Alone::Lost => Verdict::Refuses(Missing::LostRecords),
        Alone::None => Verdict::Silent,
    }
}
