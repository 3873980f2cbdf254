//! The thread that made the call is the only one of its process, read one request by waiting for it, and answers it itself
//! after the call. Exact: nobody else is there who could have handed it other work.
//!
//! That nothing was left over from an earlier request rests on two things: a thread that waits in its reads runs no event loop,
//! and its process was never seen to make a call outside a request.

use super::{Asked, Until, Verdict, same_thread};

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let (call, book) = (asked.call, asked.book);
    let request = match same_thread::served(asked) {
        Ok(request) => request,
        Err(verdict) => return verdict,
    };
    let Some(note) = book.request(request) else { return Verdict::Silent };
    let alone = note.read.only && call.at.only && note.answered.is_none_or(|(_, at)| at.only);
    match alone && !book.units.was_in_doubt(call.thread) && !book.units.strays(call.writer.tgid) {
        // There may be no answer for long.
        true if note.is_over => Verdict::Claims(request, Until::Settled),
        true => Verdict::Claims(request, Until::Quiet),
        false => Verdict::Silent,
    }
}
