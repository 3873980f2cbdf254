//! The thread that made the call had read this request last, and answers it next; it waits for responses, and threads of its process
//! that read requests never answer each other's. Inferred, where requests are answered by other threads than read them: those are
//! helpers then, to which a thread hands what it read. If a thread's request could come back to it from there, others would come to
//! it as well.

use super::{Asked, Missing, Until, Verdict};
use crate::facts::UnitKey;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let Some((thread, time)) = asked.pools_thread() else { return Verdict::Silent };
    let book = asked.book;
    let Some([Some(before), after]) = book.readers.around(thread, time) else { return Verdict::Silent };
    let Some(note) = before.read().and_then(|request| book.request(request)) else { return Verdict::Silent };
    if book.readers.mixes(thread.tgid) {
        return Verdict::Refuses(Missing::HandsOn);
    }
    match after {
        None if !note.is_over => Verdict::Claims(before.span, Until::Over),
        Some(after) if after.answered() == Some(before.span) && (note.waited || waits(asked, thread)) => {
            Verdict::Claims(before.span, Until::Quiet)
        }
        _ => Verdict::Refuses(Missing::HandsOn),
    }
}

/// Whether a thread waits for the responses to its calls, and is no event loop.
pub fn waits(asked: &Asked<'_>, thread: UnitKey) -> bool {
    let book = asked.book;
    let waits = book.readers.has_waited(thread) || book.units.has_waited(thread) || book.sleeps.waits(thread);
    waits && !book.sleeps.is_loop(thread)
}
