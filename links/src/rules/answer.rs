//! This request alone was answered in the piece of a loop's work that the call's response began; nothing else says whose the call
//! is, or that is contradicted and this one had been waiting. And such responses hardly ever answered several. Inferred.

use super::{Asked, Missing, Until, Verdict};
use crate::book::loops::Said;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    match asked.book.loops.says(asked.call.key) {
        Said::Answer(request) => Verdict::Claims(request, Until::Quiet),
        Said::Likely(request) => Verdict::Suggests(request, Until::Quiet, Missing::Unconfirmed),
        _ => Verdict::Silent,
    }
}
