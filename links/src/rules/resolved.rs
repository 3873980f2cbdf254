//! The unit that made the call gave its result to one task, which waited for it; and that answers this request next, which had
//! been read before the call. Inferred: a result is what the work was done for, as far as was ever seen; what only wakes others
//! (locks, events, queues) hands over none.
//!
//! A worker is asked for nobody's sake but whom it gives its result to: neither who made it, nor what that serves, says whose
//! its calls are. One that may answer a request itself is waited for: what such a one fetches it fetches for its own.

use super::answering_unit::{is_its_own, may_answer};
use super::{Asked, Missing, Stage, Until, Verdict, child_unit};
use crate::book::lives::Moment;
use crate::book::results::Given;
use crate::book::{Made, Maker};
use crate::facts::UnitKey;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    let (book, at) = (asked.book, Moment::from(asked.call.at));
    let Some(worker) = worker(asked) else { return Verdict::Silent };
    match book.results.given(worker, at.time) {
        Given::To(task, time) => {
            let verdict = of_task(asked, task, Moment { time, mark: 0 });
            match verdict {
                Verdict::Claims(request, _) if worker.is_fed() && may_answer(asked, worker, at) => {
                    Verdict::Claims(request, Until::Unit(worker))
                }
                verdict => verdict,
            }
        }
        Given::Several => Verdict::Refuses(Missing::SeveralRequests),
        // (A task that may do something yet is waited for by other rules.)
        Given::Yet if is_awaited(asked, worker, Stage::Late) => Verdict::Waits(Until::Unit(worker)),
        // The loop may not have come round yet to what a thread has done.
        Given::Nothing if is_awaited(asked, worker, Stage::Quiet) => Verdict::Waits(Until::Unit(worker)),
        Given::Yet | Given::Nothing => Verdict::Silent,
    }
}

/// Who made the call, if it may be a worker.
fn worker(asked: &Asked<'_>) -> Option<UnitKey> {
    match asked.book.maker(asked.call) {
        Maker::Unit(Made { by, handle: None, relays: None, .. }) => {
            let works = by.is_thread() || (by.is_fed() && !by.is_lent() && !by.is_greenlet());
            works.then_some(by).filter(|by| asked.book.lives.last_answer(*by, asked.call.at.into()).is_none())
        }
        _ => None,
    }
}

/// Whether somebody may wait for what a thread of a pool does, until then.
fn is_awaited(asked: &Asked<'_>, thread: UnitKey, until: Stage) -> bool {
    let works = thread.is_thread() && asked.book.results.works(thread);
    works && asked.stage < until && asked.book.is_open(thread.tgid, asked.call.at.time)
}

/// The request of the task that was given the result then.
fn of_task(asked: &Asked<'_>, task: UnitKey, at: Moment) -> Verdict {
    let (lives, called) = (&asked.book.lives, asked.call.at.time);
    let Some(answer) = lives.next_answer(task, at) else {
        return match may_answer(asked, task, at) {
            true => Verdict::Waits(Until::Unit(task)),
            // It works for another itself.
            false => child_unit::of(asked, task, at),
        };
    };
    let read = asked.book.request(answer.request).map(|request| request.read.time);
    let fits = read.is_some_and(|read| read <= called);
    match fits && (is_its_own(asked, task, at, &answer) || lives.is_first(task, &answer)) {
        // The call's trace may have been quiet for long by then.
        true if asked.stage < Stage::Late && !asked.book.is_settled(answer.at.time) => {
            Verdict::Claims(answer.request, Until::Unit(task))
        }
        true => Verdict::Claims(answer.request, Until::Quiet),
        false => Verdict::Refuses(Missing::Unconfirmed),
    }
}
