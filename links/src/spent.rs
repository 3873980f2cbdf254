//! Where the time of a request went on the thread that served it: it ran, it waited for a CPU, it was blocked.
//!
//! Each operation says how long its thread had run by then, and waited for a CPU. Between two operations of one thread the
//! difference is exact. A request's own time are the stretches between its first byte, the calls that were made for it, and
//! its answer. Whose work the thread did in a stretch has to be known as well:
//!
//! - A thread that serves one request at a time, and waits for what it needs, did that request's. All of it is told.
//! - A loop may have turned to others while the request waited. Only what it did without going to sleep, in one piece of its work,
//!   is told: *at least* so much, and nothing of what the request waited for.
//! - A goroutine's threads are others' too, as are those of tasks: nothing is told.

use wirespan_protocols::exchange::{CLOCK, Exchange, KeyValue, LOOP, Mark, SpanKind, Unit, Value};

use super::book::{Alone, Book};
use super::facts::UnitKey;
use super::live::{LiveSpan, Parent, SpanKey, Spans};

/// What begins the attributes; seconds of the span's own time.
const CPU: &str = "wirespan.time.cpu";
const RUN_QUEUE: &str = "wirespan.time.runqueue";
const BLOCKED: &str = "wirespan.time.blocked";
/// How much of it is told.
const COVERAGE: &str = "wirespan.time.coverage";
/// A difference beyond is none: two clocks that disagree, or more than half an hour.
const HALF: u32 = 1 << 31;

/// Parts of a time, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    ran: u64,
    queued: u64,
    blocked: u64,
}

impl Parts {
    /// What a thread did from one operation to another of it.
    fn between(from: &Mark, to: &Mark) -> Self {
        let wall = to.time.saturating_sub(from.time);
        let since = |now: u32, then: u32| match now.wrapping_sub(then) {
            difference if difference < HALF => u64::from(difference) * CLOCK,
            _ => 0,
        };
        let ran = since(to.unit.ran, from.unit.ran).min(wall);
        let queued = since(to.unit.queued, from.unit.queued).min(wall - ran);
        match wall - ran - queued {
            // It never went to sleep: what is left, interrupts and the hypervisor took.
            rest if from.unit.switches == to.unit.switches => Self { ran, queued: queued + rest, blocked: 0 },
            blocked => Self { ran, queued, blocked },
        }
    }

    fn and(self, more: Self) -> Self {
        Self { ran: self.ran + more.ran, queued: self.queued + more.queued, blocked: self.blocked + more.blocked }
    }

    /// Takes so much out: of an operation that is told when it has returned, and has had its effect before. Whoever it woke may
    /// have had the CPU meanwhile, so what the thread waited goes first.
    fn take(&mut self, mut nanos: u64) -> Self {
        let mut out_of = |part: &mut u64| {
            let taken = nanos.min(*part);
            (*part, nanos) = (*part - taken, nanos - taken);
            taken
        };
        let (queued, ran) = (out_of(&mut self.queued), out_of(&mut self.ran));
        Self { ran, queued, blocked: out_of(&mut self.blocked) }
    }
}

/// What is known of where a span's own time went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spent {
    parts: Parts,
    /// It is all of it; else at least so much, and nothing is known of what it was blocked for.
    is_exact: bool,
}

/// Writes on the spans of a group that are finished where their time went, where that is known. Their times are agreed on.
pub fn tell(spans: &mut Spans, members: &[SpanKey], book: &Book) {
    let mut told = Vec::new();
    for key in members.iter().filter(|key| spans.get(**key).is_some_and(|span| is_served(span))) {
        reckon(spans, *key, book, &mut told);
    }
    for (key, Spent { parts, is_exact }) in told {
        let Some(exchange) = spans.get_mut(key).and_then(|span| span.exchange.as_mut()) else { continue };
        let shares = [(CPU, parts.ran), (RUN_QUEUE, parts.queued), (BLOCKED, if is_exact { parts.blocked } else { 0 })];
        // (What is not there is nothing.)
        for (key, nanos) in shares.into_iter().filter(|(_, nanos)| *nanos >= 1000) {
            exchange.attributes.push(KeyValue { key: key.into(), value: Value::Double((nanos / 1000) as f64 / 1e6) });
        }
        exchange.attributes.push(KeyValue::str(COVERAGE, if is_exact { "exact" } else { "lower_bound" }));
    }
}

fn is_served(span: &LiveSpan) -> bool {
    span.kind == SpanKind::Server && span.is_request() && !span.dropped
}

/// The first and the last operation of an exchange that is complete, if one thread did both and its clocks are known.
fn ends(span: &LiveSpan) -> Option<(Mark, Mark)> {
    let exchange: &Exchange = span.exchange.as_deref()?;
    // (The other end may know that it ended before the last operation returned.)
    let last = exchange.response.map(|response| response.last).filter(|last| last.time >= exchange.end)?;
    let first = exchange.request.first;
    let known = |unit: &Unit| unit.ran != 0 && (unit.since == 0 || unit.kind == LOOP);
    let is_one = (first.unit.tgid, first.unit.tid, first.unit.kind) == (last.unit.tgid, last.unit.tid, last.unit.kind);
    (is_one && known(&first.unit) && known(&last.unit) && first.time <= last.time).then_some((first, last))
}

/// Whether all that the thread did from reading a request to answering it was for that request.
fn waits(first: &Mark, last: &Mark, book: &Book) -> bool {
    let thread = UnitKey::thread(first.unit.tgid, first.unit.tid);
    let only = first.unit.only && last.unit.only;
    let was_seen = || book.units.has_waited(thread) || book.sleeps.waits(thread);
    first.unit.kind == 0
        && !book.sleeps.is_loop(thread)
        && (only || !book.units.is_in_doubt(thread))
        && (!first.unit.nonblocking || only || was_seen())
}

/// Whether the thread did nothing else in between: it did not go to sleep, and nothing else came up.
fn ran_on(from: &Mark, to: &Mark, book: &Book) -> bool {
    let is_one_piece = match from.unit.kind {
        // What is handed from thread to thread may have come to this one.
        0 => !book.units.is_in_doubt(UnitKey::thread(from.unit.tgid, from.unit.tid)),
        _ => from.unit.id != 0 && from.unit.id == to.unit.id,
    };
    from.unit.switches == to.unit.switches && is_one_piece
}

/// Where a request's own time went, and that of the calls that were made for it.
fn reckon(spans: &Spans, request: SpanKey, book: &Book, told: &mut Vec<(SpanKey, Spent)>) {
    let Some((first, last)) = ends(&spans[request]) else { return };
    let Some(note) = book.request(request).filter(|note| note.over == Some(last.time)) else { return };
    let thread = UnitKey::thread(first.unit.tgid, first.unit.tid);
    let is_alone = book.in_flight(thread, first.time) == Alone::One(request);
    // A loop with others under way tells its pieces of work apart, or nothing does.
    if !is_alone && first.unit.kind != LOOP || !matches!(first.unit.kind, 0 | LOOP) {
        return;
    }
    // One that was handed on, or is still open, may have been made at any time.
    if note.calls.iter().any(|call| spans.get(*call).is_none_or(|call| call.exchange.is_none() && !call.dropped)) {
        return;
    }
    let below = |call: &&SpanKey| spans[**call].parent == Parent::Live(request) && !spans[**call].dropped;
    let (mut calls, mut elsewhere) = (Vec::new(), false);
    for call in note.calls.iter().filter(below) {
        match ends(&spans[*call]).filter(|(from, to)| is_on(&first, from) && is_on(&first, to)) {
            Some((from, to)) => calls.push((from, to, *call)),
            None => elsewhere = true,
        }
    }
    calls.sort_by_key(|(from, ..)| from.time);
    let waits = is_alone && waits(&first, &last, book);
    let own = stretches(first, last, &calls);
    let told_of = own.iter().filter(|(from, to)| waits || ran_on(from, to, book));
    let (mut parts, mut count) = (Parts::default(), 0);
    for (from, to) in told_of {
        (parts, count) = (parts.and(Parts::between(from, to)), count + 1);
    }
    if count == 0 {
        return;
    }
    // What others saw of these operations before they returned.
    let end = spans[request].exchange.as_ref().map_or(last.time, |exchange| exchange.end);
    parts.take(last.time - end.min(last.time));
    for (from, to, call) in &calls {
        let early = parts.take(from.time.saturating_sub(spans[*call].request.first.time));
        if waits && !elsewhere {
            told.push((*call, Spent { parts: Parts::between(from, to).and(early), is_exact: true }));
        }
    }
    told.push((request, Spent { parts, is_exact: count == own.len() && !elsewhere }));
}

fn is_on(first: &Mark, other: &Mark) -> bool {
    (first.unit.tgid, first.unit.tid) == (other.unit.tgid, other.unit.tid)
}

/// What is left of a request's time without its calls, which are sorted by their beginnings and may overlap.
fn stretches(first: Mark, last: Mark, calls: &[(Mark, Mark, SpanKey)]) -> Vec<(Mark, Mark)> {
    let (mut own, mut at) = (Vec::with_capacity(calls.len() + 1), first);
    for (from, to, _) in calls {
        if from.time >= at.time && from.time <= last.time {
            own.push((at, *from));
        }
        if to.time > at.time {
            at = *to;
        }
    }
    if at.time < last.time || own.is_empty() {
        own.push((at, last));
    }
    own
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    /// A thread's operation: microseconds by the clock, that it ran, that it waited for a CPU, and how often it had slept.
    fn mark(time: u64, ran: u64, queued: u64, switches: u32) -> Mark {
        let clock = |micros: u64| (1_000_000 + micros * 1000 / CLOCK) as u32;
        let unit = Unit { tgid: 1, tid: 2, switches, ran: clock(ran), queued: clock(queued), ..Unit::default() };
        Mark { time: time * 1000, unit, ..Mark::default() }
    }

    fn millis(parts: Parts) -> [u64; 3] {
        [parts.ran, parts.queued, parts.blocked].map(|nanos| (nanos + 500_000) / 1_000_000)
    }

    #[test]
    fn what_a_thread_did_between_two_operations_is_the_difference_of_its_clocks() {
        let parts = Parts::between(&mark(0, 0, 0, 3), &mark(61_000, 38_000, 14_000, 5));
        assert_eq!(millis(parts), [38, 14, 9]);
    }

    #[test]
    fn who_never_slept_was_not_blocked() {
        let parts = Parts::between(&mark(0, 0, 0, 3), &mark(10_000, 6_000, 1_000, 3));
        assert_eq!(millis(parts), [6, 4, 0]);
    }

    #[test]
    fn parts_are_never_longer_than_the_whole_nor_do_clocks_go_back() {
        let parts = Parts::between(&mark(0, 0, 0, 1), &mark(10_000, 90_000, 5_000, 2));
        assert_eq!(millis(parts), [10, 0, 0]);
        let parts = Parts::between(&mark(0, 50_000, 9_000, 1), &mark(10_000, 49_999, 8_999, 2));
        assert_eq!(millis(parts), [0, 0, 10]);
    }

    #[test]
    fn what_an_operation_took_after_its_effect_was_mostly_waiting() {
        let mut parts = Parts { ran: 5, queued: 3, blocked: 9 };
        assert_eq!(parts.take(4), Parts { ran: 1, queued: 3, blocked: 0 });
        assert_eq!(parts, Parts { ran: 4, queued: 0, blocked: 9 });
        assert_eq!(parts.take(100), Parts { ran: 4, queued: 0, blocked: 9 }, "no more than there is");
    }

    #[test]
    fn clocks_go_on_beyond_what_holds_them() {
        let (mut from, mut to) = (mark(0, 0, 0, 1), mark(10_000, 0, 0, 2));
        (from.unit.ran, to.unit.ran) = (u32::MAX - 1, 3000);
        assert_eq!(millis(Parts::between(&from, &to)), [3, 0, 7]);
    }

    #[test]
    fn own_time_is_what_no_call_covers() {
        let mut keys: SlotMap<SpanKey, ()> = SlotMap::with_key();
        let at = |time| mark(time, 0, 0, 0);
        let mut times = |calls: &[(u64, u64)]| -> Vec<(u64, u64)> {
            let calls: Vec<_> = calls.iter().map(|(from, to)| (at(*from), at(*to), keys.insert(()))).collect();
            let own = stretches(at(10), at(100), &calls);
            own.iter().map(|(from, to)| (from.time / 1000, to.time / 1000)).collect()
        };
        assert_eq!(times(&[]), [(10, 100)]);
        assert_eq!(times(&[(20, 40), (50, 60)]), [(10, 20), (40, 50), (60, 100)]);
        assert_eq!(times(&[(20, 60), (30, 40), (50, 70)]), [(10, 20), (70, 100)], "calls at a time");
        assert_eq!(times(&[(20, 100)]), [(10, 20)]);
        assert_eq!(times(&[(10, 120)]), [(10, 10)]);
    }

    #[test]
    fn a_loops_piece_of_work_is_one_as_long_as_its_number_stays_and_it_does_not_sleep() {
        let numbered = |id, switches| {
            let mut mark = mark(0, 0, 0, switches);
            (mark.unit.kind, mark.unit.id) = (LOOP, id);
            mark
        };
        let ran_on = |from: Mark, to: Mark| ran_on(&from, &to, &Book::default());
        assert!(ran_on(numbered(7, 1), numbered(7, 1)));
        assert!(!ran_on(numbered(7, 1), numbered(8, 1)));
        assert!(!ran_on(numbered(7, 1), numbered(7, 2)));
        assert!(!ran_on(numbered(0, 1), numbered(0, 1)), "no piece is known to run");
        assert!(ran_on(mark(0, 0, 0, 1), mark(0, 0, 0, 1)));
    }
}
