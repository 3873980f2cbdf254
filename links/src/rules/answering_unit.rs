//! The unit that made the call answers a request next that had been read before, and it was at work for that: it read it itself,
//! what read it woke it after, or it was made after by who was at work for it. Exact.
//!
//! That it answers the request next is not enough: what is left of the request before may call while the next one has already
//! been read.

use super::{Asked, Missing, Stage, Until, Verdict};
use crate::book::Alone;
use crate::book::lives::{Answer, Moment};
use crate::facts::UnitKey;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    match next(asked) {
        // (What a greenlet does is inferred.)
        Next::Answer(unit, ..) | Next::Unknown(unit) if unit.is_greenlet() => Verdict::Silent,
        Next::None => Verdict::Silent,
        Next::Unknown(_) if asked.stage == Stage::Made => Verdict::Waits(Until::Settled),
        Next::Unknown(unit) => Verdict::Waits(Until::Unit(unit)),
        Next::Never => Verdict::Refuses(Missing::NoRequest),
        Next::Answer(unit, at, answer) => match is_its_own(asked, unit, at, &answer) {
            true => Verdict::Claims(answer.request, Until::Settled),
            false => Verdict::Refuses(Missing::Unconfirmed),
        },
    }
}

/// What the unit that made a call answers next.
pub enum Next {
    /// It is no unit that others read for.
    None,
    /// It may yet answer something.
    Unknown(UnitKey),
    /// It has ended, and answered nothing; or what it answers next had not been read.
    Never,
    /// It made the call at that moment, and answers this.
    Answer(UnitKey, Moment, Answer),
}

pub fn next(asked: &Asked<'_>) -> Next {
    let (book, call) = (asked.book, asked.call);
    let Some(unit) = asked.fed_maker() else { return Next::None };
    let at = Moment::from(call.at);
    let Some(answer) = book.lives.next_answer(unit, at) else {
        return if may_answer(asked, unit, at) { Next::Unknown(unit) } else { Next::Never };
    };
    match book.request(answer.request) {
        Some(request) if request.read.time <= at.time => Next::Answer(unit, at, answer),
        _ => Next::Never,
    }
}

/// Whether a unit may yet answer a request that had been read at a moment.
pub fn may_answer(asked: &Asked<'_>, unit: UnitKey, at: Moment) -> bool {
    let (book, call) = (asked.book, asked.call.key);
    // That it was read may yet be told.
    let read = asked.stage == Stage::Made || book.is_open(unit.tgid, at.time);
    read && book.lives.is_awaited(unit, call) && !book.lives.has_ended(unit, at.time)
}

/// Whether a request that a unit answers was its own when it made a call.
pub fn is_its_own(asked: &Asked<'_>, unit: UnitKey, at: Moment, answer: &Answer) -> bool {
    let Some(request) = asked.book.request(answer.request) else { return false };
    // One that reads for itself may have read the next one with the one before.
    if request.unit == unit && asked.book.in_flight(unit, at.time) != Alone::One(answer.request) {
        return false;
    }
    asked.book.lives.works_for(unit, request.unit, request.read, at)
}
