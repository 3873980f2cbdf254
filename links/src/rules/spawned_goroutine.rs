//! The unit that made the call, whose number is never used again, was made by one that served this request then (or by one that
//! was made by that), and all of them were through when the request was answered. Inferred: one that a pool makes may do
//! another's work. So the places in the program that made them must have shown it many times, and never otherwise of late.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::spawns::Outcome;
use crate::book::{Made, Maker};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let Maker::Unit(Made { by, handle: None, relays: None, time }) = asked.book.maker(asked.call) else {
        return Verdict::Silent;
    };
    if !by.is_numbered() {
        return Verdict::Silent;
    }
    let Some(made) = asked.book.made_for(by, time) else {
        return if asked.stage == Stage::Made { Verdict::Waits(Until::Settled) } else { Verdict::Silent };
    };
    let spawns = &asked.book.spawns;
    let believed = made.sites.iter().all(|(site, _)| spawns.is_believed(by.tgid, *site));
    let doubted = made.sites.iter().any(|(site, _)| spawns.is_doubted(by.tgid, *site));
    match made.outcome {
        _ if asked.stage == Stage::Made => Verdict::Claims(made.request, Until::Settled),
        Outcome::Beyond => Verdict::Refuses(Missing::NoEnd),
        _ if doubted => Verdict::Refuses(Missing::Unconfirmed),
        Outcome::Open if !believed => Verdict::Suggests(made.request, Until::Over, Missing::Unconfirmed),
        Outcome::Open => Verdict::Claims(made.request, Until::Over),
        Outcome::Within if believed => Verdict::Claims(made.request, Until::Quiet),
        Outcome::Within | Outcome::Unclear => Verdict::Suggests(made.request, Until::Quiet, Missing::Unconfirmed),
    }
}
