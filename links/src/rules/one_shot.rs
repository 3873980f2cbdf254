//! The thread that made the call was made for a request, and did nothing else until it ended. Inferred: one of a pool that grows
//! as it is needed and shrinks again looks the same, until it is seen to do work for others.

use super::{Asked, Until, Verdict};
use crate::book::units::Proof;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    match asked.call.proof {
        Proof::IfOneShot(_) if !asked.is_writers_own() => Verdict::Silent,
        Proof::IfOneShot(request) if asked.call.one_shot => Verdict::Claims(request, Until::Settled),
        Proof::IfOneShot(request) => Verdict::Claims(request, Until::Unit(asked.call.thread)),
        _ => Verdict::Silent,
    }
}
