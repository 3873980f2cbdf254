//! The call was made in a piece of a loop's work that was about this request, as far as that is seen; and the request was answered in
//! the piece that the call's response began, or after what was called in that. Inferred: either alone is often wrong, where requests
//! wait for each other.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::loops::Said;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    match asked.book.loops.says(asked.call.key) {
        Said::Turn(request) => Verdict::Claims(request, Until::Quiet),
        Said::Nothing(Some(request)) => Verdict::Claims(request, Until::Over),
        Said::Nothing(None) if asked.stage < Stage::Settled => Verdict::Waits(Until::Settled),
        Said::Nothing(None) => Verdict::Waits(Until::Quiet),
        Said::Never => Verdict::Refuses(Missing::Unconfirmed),
        Said::NoLoop | Said::Chain(_) | Said::Answer(_) | Said::Likely(_) => Verdict::Silent,
    }
}
