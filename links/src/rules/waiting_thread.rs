//! The only request in flight on a thread that does not wait for its requests, but for the responses to its calls: a worker,
//! and no event loop. Inferred.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::units::{Moment, Proof, Units};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let Proof::Perhaps(request, moment) = asked.call.proof else { return Verdict::Silent };
    let units = &asked.book.units;
    // That it waits may yet be seen.
    let may_wait = asked.stage < Stage::Quiet && units.stands(moment);
    match asked.is_writers_own() && (may_wait || speaks(units, moment)) {
        true => Verdict::Claims(request, Until::Quiet),
        false => Verdict::Refuses(Missing::Unconfirmed),
    }
}

/// Whether what was seen until now speaks for it.
pub fn speaks(units: &Units, moment: Moment) -> bool {
    units.stands(moment) && units.has_waited(moment.unit)
}
