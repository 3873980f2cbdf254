//! The only request in flight in its process, which is not known to do anything else; and the thread ran on, without going
//! to sleep, from taking in something of it to the call, or no request came before. Inferred.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::units::{Moment, Proof, Units};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let Proof::Perhaps(request, moment) = asked.call.proof else { return Verdict::Silent };
    if asked.book.is_doubted(request) {
        return Verdict::Refuses(Missing::LostRecords);
    }
    // What the thread ran on from may yet be told.
    let ran_on = asked.stage < Stage::Quiet || asked.book.ran_on(asked.call, request);
    match speaks(&asked.book.units, moment, ran_on) {
        true => Verdict::Claims(request, Until::Quiet),
        false => Verdict::Refuses(Missing::Unconfirmed),
    }
}

/// Whether what was seen until now speaks for it.
pub fn speaks(units: &Units, moment: Moment, ran_on: bool) -> bool {
    let alone = moment.alone && (ran_on || moment.first);
    alone && units.stands(moment) && !units.process_does_more(moment.unit.tgid)
}
