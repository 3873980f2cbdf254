//! Whoever sent the call said, before it did, on which connection the request had come that it is made for; and that connection
//! has exactly one under way. Exact; where records were lost, once that has been answered.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::{Alone, Made, Maker};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let Maker::Unit(Made { relays: Some(connection), time, .. }) = asked.book.maker(asked.call) else {
        return Verdict::Silent;
    };
    if asked.stage < Stage::Settled {
        return Verdict::Waits(Until::Settled);
    }
    match asked.book.under_way_on(connection, time) {
        // It may have been over, and the next one be missing: not if this one is answered after.
        Alone::One(request) if asked.book.is_doubted(request) && !asked.book.is_over(request) => {
            Verdict::Claims(request, Until::Over)
        }
        Alone::One(request) => Verdict::Claims(request, Until::Settled),
        Alone::Several => Verdict::Refuses(Missing::SeveralRequests),
        Alone::Lost => Verdict::Refuses(Missing::LostRecords),
        Alone::None => Verdict::Refuses(Missing::NoRequest),
    }
}
