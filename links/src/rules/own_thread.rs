//! The thread that made the call read one request by waiting for it, and answers it itself after the call. Exact.
//!
//! A request that another thread answers was handed on, and what its reader did since may be anybody's: so the claim waits for
//! the answer, or until it is clear that there will be none for long.

use super::{Asked, Missing, Until, Verdict};
use crate::book::Alone;
use crate::book::units::Proof;
use crate::live::SpanKey;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let (call, book) = (asked.call, asked.book);
    if !call.thread.is_thread() || !asked.is_writers_own() {
        return Verdict::Silent;
    }
    let request = match call.proof {
        Proof::Request(request) => request,
        Proof::None => return Verdict::Refuses(call.missing),
        Proof::Perhaps(..) | Proof::IfOneShot(_) => return Verdict::Silent,
    };
    match book.in_flight(call.thread, call.at.time) {
        Alone::One(other) if other != request => Verdict::Refuses(Missing::SeveralRequests),
        Alone::Several => Verdict::Refuses(Missing::SeveralRequests),
        // Its answer came before the call, and was only told after.
        Alone::None if book.request(request).is_none_or(|r| r.over.is_some()) => Verdict::Refuses(Missing::NoRequest),
        // `None`: it ended at no known moment since, and nothing else was the thread seen to do.
        Alone::One(_) | Alone::None => claim(asked, request),
    }
}

fn claim(asked: &Asked<'_>, request: SpanKey) -> Verdict {
    let Some(note) = asked.book.request(request) else { return Verdict::Refuses(Missing::NoRequest) };
    match note.answered {
        _ if asked.book.units.was_in_doubt(asked.call.thread) => Verdict::Refuses(Missing::HandsOn),
        Some((by, at)) if by.map(|by| by.on_thread(at.tid)) != Some(note.thread()) => {
            Verdict::Refuses(Missing::HandsOn)
        }
        None if !note.is_over => Verdict::Claims(request, Until::Quiet),
        _ => Verdict::Claims(request, Until::Settled),
    }
}
