//! The thread that made the call, and waited for its response, answers this request next, which another had read by then. Inferred,
//! if threads of its process that answer were often seen to have nothing to do, and made no call then: what one calls, it calls for
//! what it answers next.

use super::pool_thread::waits;
use super::{Asked, Missing, Until, Verdict};
use crate::facts::UnitKey;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let Some((thread, time)) = asked.pools_thread() else { return Verdict::Silent };
    let readers = &asked.book.readers;
    if !readers.answers(thread) {
        return Verdict::Silent;
    }
    let Some([before, after]) = readers.around(thread, time) else { return Verdict::Silent };
    if !readers.answers_next(thread) {
        return Verdict::Refuses(Missing::HandsOn);
    }
    let Some(after) = after else { return Verdict::Waits(Until::Over) };
    let Some(note) = after.answered().and_then(|request| asked.book.request(request)) else {
        return Verdict::Refuses(Missing::HandsOn);
    };
    let other = before.and_then(|before| before.read()).is_some_and(|before| before != after.span);
    match !other
        && note.read.time <= asked.call.began()
        && has_response(asked, thread, after.time)
        && waits(asked, thread)
    {
        true => Verdict::Claims(after.span, Until::Quiet),
        false => Verdict::Refuses(Missing::HandsOn),
    }
}

/// Whether the thread took in the response itself, before a moment.
fn has_response(asked: &Asked<'_>, thread: UnitKey, before: u64) -> bool {
    asked.call.responded.is_some_and(|(units, at)| units == [Some(thread); 2] && at[1].time <= before)
}
