//! The call carries a handle that one request in flight carries: its context derives from that request's. Exact.

use super::{Asked, Missing, Until, Verdict};
use crate::book::{Alone, Made, Maker};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let Maker::Unit(Made { by, handle: Some(handle), time, .. }) = asked.book.maker(asked.call) else {
        return Verdict::Silent;
    };
    match asked.book.named(by.tgid, handle, time) {
        Alone::One(request) => Verdict::Claims(request, Until::Settled),
        Alone::Several => Verdict::Refuses(Missing::SeveralRequests),
        Alone::None => Verdict::Silent,
    }
}
