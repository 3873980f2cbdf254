//! The only request in flight on a thread that does not wait for its requests, but for the responses to its calls: a worker,
//! and no event loop. Inferred, if nothing contradicts until the request was answered and half a second after:
//!
//! - it was seen to wait for a response: by a read that blocks, or by a sleep on exactly the connection of a call;
//! - it took in the response itself, and answered the request itself;
//! - it was never seen to sleep on several connections that are its own to watch;
//! - no request of its process was answered by another thread than read it.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::units::Proof;
use crate::facts::{At, UnitKey};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let Proof::Perhaps(request, moment) = asked.call.proof else { return Verdict::Silent };
    let (book, thread) = (asked.book, asked.call.thread);
    let loops = thread.is_thread() && book.sleeps.is_loop(thread);
    if !asked.is_writers_own() || !book.units.stands(moment) || loops || did_another(asked) {
        return Verdict::Refuses(Missing::Unconfirmed);
    }
    // That it waits may yet be seen.
    match asked.stage < Stage::Quiet || book.units.has_waited(thread) || book.sleeps.waits(thread) {
        true => Verdict::Claims(request, Until::Quiet),
        false => Verdict::Refuses(Missing::Unconfirmed),
    }
}

/// Whether another unit took in the response, or answered the request.
fn did_another(asked: &Asked<'_>) -> bool {
    let Proof::Perhaps(request, _) = asked.call.proof else { return false };
    let thread = Some(asked.call.thread);
    let answered = asked.book.request(request).and_then(|r| r.answered);
    let took = |(units, at): ([Option<UnitKey>; 2], [At; 2])| [0, 1].map(|n| units[n].map(|u| u.on_thread(at[n].tid)));
    asked.call.responded.is_some_and(|responded| took(responded) != [thread; 2])
        || answered.is_some_and(|(by, at)| by.map(|by| by.on_thread(at.tid)) != thread)
}

/// Whether a read that blocks speaks for it, as far as was seen until now.
#[cfg(test)]
pub fn speaks(units: &crate::book::units::Units, moment: crate::book::units::Moment) -> bool {
    units.stands(moment) && units.has_waited(moment.unit)
}
