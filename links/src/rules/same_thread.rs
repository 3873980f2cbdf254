//! The thread that made the call read one request by waiting for it, and answers it itself after the call. Inferred, if nothing
//! contradicts until half a second after the answer: a thread of a pool may hand its request on, take up another's job, and be
//! the one that answers in the end. Such a pool is known by the first request that another thread answers.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::Alone;
use crate::book::units::Proof;
use crate::live::SpanKey;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    match served(asked) {
        Ok(request) if !asked.book.units.is_in_doubt(asked.call.thread) => Verdict::Claims(request, Until::Quiet),
        Ok(_) => Verdict::Refuses(Missing::HandsOn),
        Err(verdict) => verdict,
    }
}

/// The one request that the call's thread had in flight, was waiting for, and answered itself, as far as that is told.
///
/// # Errors
///
/// What is to be said if there is none.
pub fn served(asked: &Asked<'_>) -> Result<SpanKey, Verdict> {
    let (call, book) = (asked.call, asked.book);
    if !call.thread.is_thread() || !asked.is_writers_own() {
        return Err(Verdict::Silent);
    }
    let request = match call.proof {
        Proof::Request(request) => request,
        Proof::None => return Err(Verdict::Refuses(call.missing)),
        Proof::Perhaps(..) | Proof::IfOneShot(_) => return Err(Verdict::Silent),
    };
    let Some(note) = book.request(request) else { return Err(Verdict::Refuses(Missing::NoRequest)) };
    // Its answer came before the call, and was only told after.
    if note.over.is_some_and(|over| over < call.at.time) {
        return Err(Verdict::Refuses(Missing::NoRequest));
    }
    match book.in_flight(call.thread, call.at.time) {
        Alone::One(other) if other != request => return Err(Verdict::Refuses(Missing::SeveralRequests)),
        // What is forgotten by now was looked at when the request was answered.
        Alone::Several if asked.stage >= Stage::Quiet && book.is_past(call.thread, call.at.time) => {}
        Alone::Several => return Err(Verdict::Refuses(Missing::SeveralRequests)),
        Alone::Lost => return Err(Verdict::Refuses(Missing::LostRecords)),
        // `None`: it ended at no known moment since, and nothing else was the thread seen to do.
        Alone::One(_) | Alone::None => {}
    }
    match note.answered {
        Some((by, at)) if by.map(|by| by.on_thread(at.tid)) != Some(note.thread()) => {
            Err(Verdict::Refuses(Missing::HandsOn))
        }
        _ => Ok(request),
    }
}
