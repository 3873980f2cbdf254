//! Workers of event loops and of pools: what their results say, and greenlets that hand requests on.

use slotmap::SlotMap;
use wirespan_common::{UNIT_GREENLET, UNIT_TASK};

use super::*;
use crate::facts::{At, Cause, Place, UnitKey};

const LOOP: UnitKey = UnitKey { tgid: 1, kind: 0, id: 1 };
/// A thread of a pool.
const THREAD: UnitKey = UnitKey { tgid: 1, kind: 0, id: 2 };
/// Tasks that answer, and one that works for them.
const T: UnitKey = UnitKey { tgid: 1, kind: UNIT_TASK, id: 0x7000 };
const U: UnitKey = UnitKey { tgid: 1, kind: UNIT_TASK, id: 0x8000 };
const WORKER: UnitKey = UnitKey { tgid: 1, kind: UNIT_TASK, id: 0x9000 };
const GREENLETS: [UnitKey; 2] =
    [UnitKey { tgid: 1, kind: UNIT_GREENLET, id: 0x7000 }, UnitKey { tgid: 1, kind: UNIT_GREENLET, id: 0x8000 }];
/// The context of a callback.
const CALLBACK: u64 = 0xc0;

fn at(time: u64, mark: u64) -> At {
    At { time, tid: 1, mark, ..At::default() }
}

fn read(request: SpanKey, unit: UnitKey, time: u64, mark: u64) -> Fact {
    Fact::Read { request, unit, connection: time, cookie: 0, at: at(time, mark), waited: false, queued: true }
}

fn called(call: SpanKey, unit: UnitKey, time: u64) -> Fact {
    Fact::Called { call, unit, place: Place::Connection(5), at: at(time, 0), opened: None }
}

fn over(request: SpanKey, unit: UnitKey, time: u64) -> Fact {
    Fact::Over { request, answered: Some((Some(unit), at(time, 0))), read: None }
}

fn born(unit: UnitKey, of: UnitKey, time: u64) -> Fact {
    Fact::Born { unit, of: Some(of), site: 0, mark: if of == LOOP { CALLBACK } else { 0 }, time }
}

fn ended(unit: UnitKey, time: u64) -> Fact {
    Fact::Ended { unit, with_process: false, time }
}

fn gave(by: UnitKey, unit: UnitKey, time: u64) -> Fact {
    Fact::Resolved { unit, by, time }
}

fn job(time: u64) -> Fact {
    Fact::Turn { thread: THREAD, cause: Cause::Immediate, cookie: 0, newest: 0, time }
}

const RESOLVED: Option<Evidence> = Some(Evidence::Resolved);

/// A court that has heard of two requests, served by a task each, and a third that is a long while under way.
struct Bench {
    court: Court,
    requests: [SpanKey; 2],
    call: SpanKey,
}

impl Bench {
    fn new(facts: impl FnOnce(&[SpanKey; 2], SpanKey) -> Vec<Fact>) -> Self {
        let mut court = Court::new(true, Arc::default());
        let mut keys: SlotMap<SpanKey, ()> = SlotMap::with_key();
        let [r, s, call] = std::array::from_fn(|_| keys.insert(()));
        for fact in [born(WORKER, LOOP, 1), read(r, LOOP, 10, CALLBACK), born(T, LOOP, 11)] {
            court.hear(&fact);
        }
        for fact in [read(s, LOOP, 12, CALLBACK), born(U, LOOP, 13)] {
            court.hear(&fact);
        }
        facts(&[r, s], call).iter().for_each(|fact| drop(court.hear(fact)));
        Self { court, requests: [r, s], call }
    }

    /// Once all that happened has been told, except just after the call.
    fn judge(&mut self, stage: Stage) -> Decision {
        if stage > Stage::Made {
            self.court.book.passes(2 * SETTLED);
        }
        self.court.ask(self.call, stage, |_| Ok(()))
    }
}

#[test]
fn a_workers_call_is_of_the_request_of_the_task_that_it_gives_its_result_to() {
    let mut bench = Bench::new(|[r, s], call| {
        let facts = vec![called(call, WORKER, 20), gave(WORKER, U, 30), over(*s, U, 40), over(*r, T, 50)];
        facts
    });
    assert_eq!(bench.judge(Stage::Quiet), Decision::Below(bench.requests[1], RESOLVED));
    assert!(matches!(bench.judge(Stage::Settled), Decision::Wait(Some(_), Until::Quiet)));
    // While it may answer something itself, its request's trace waits.
    let mut bench = Bench::new(|[_, s], call| vec![called(call, WORKER, 20), gave(WORKER, U, 30), over(*s, U, 40)]);
    assert_eq!(bench.judge(Stage::Quiet), Decision::Wait(Some(bench.requests[1]), Until::Unit(WORKER)));
}

#[test]
fn what_waits_for_a_worker_is_asked_again_when_it_gives_its_result_and_when_that_is_answered() {
    let mut bench = Bench::new(|_, call| vec![called(call, WORKER, 20)]);
    let (call, [r, s]) = (bench.call, bench.requests);
    assert!(bench.court.hear(&gave(WORKER, U, 30)).contains(&call));
    assert!(bench.court.hear(&over(s, U, 40)).contains(&call));
    bench.court.hear(&over(r, T, 50));
    assert_eq!(bench.judge(Stage::Quiet), Decision::Below(s, RESOLVED));
}

#[test]
fn what_a_worker_gave_may_be_told_before_its_call() {
    for worker in [WORKER, THREAD] {
        let mut bench = Bench::new(|_, call| vec![job(15), gave(worker, U, 30), called(call, worker, 20)]);
        let (call, [r, s]) = (bench.call, bench.requests);
        assert!(matches!(bench.judge(Stage::Made), Decision::Wait(..)), "{worker:?}");
        assert!(bench.court.hear(&over(s, U, 40)).contains(&call), "{worker:?}");
        bench.court.hear(&over(r, T, 50));
        assert_eq!(bench.judge(Stage::Quiet), Decision::Below(s, RESOLVED), "{worker:?}");
    }
}

#[test]
fn a_worker_that_gives_results_to_several_works_for_none_of_them() {
    let mut bench = Bench::new(|[r, s], call| {
        let gives = [gave(WORKER, T, 30), gave(WORKER, U, 31)];
        [called(call, WORKER, 20)].into_iter().chain(gives).chain([over(*s, U, 40), over(*r, T, 50)]).collect()
    });
    assert!(matches!(bench.judge(Stage::Late), Decision::Root(_)));
}

#[test]
fn what_was_asked_for_after_the_call_was_not_what_it_was_made_for() {
    let mut bench = Bench::new(|[r, s], call| {
        // The call is older than both requests.
        vec![called(call, WORKER, 5), gave(WORKER, U, 30), over(*s, U, 40), over(*r, T, 50)]
    });
    assert!(matches!(bench.judge(Stage::Late), Decision::Root(_)));
}

#[test]
fn what_a_task_fetches_for_its_own_request_is_not_of_those_that_it_shares_it_with() {
    let mut bench = Bench::new(|[_, s], call| vec![called(call, T, 20), gave(T, U, 30), over(*s, U, 40)]);
    assert!(matches!(bench.judge(Stage::Quiet), Decision::Wait(..)), "it may answer its own yet");
    let mut bench =
        Bench::new(|[r, s], call| vec![called(call, T, 20), gave(T, U, 30), over(*s, U, 40), over(*r, T, 50)]);
    assert_eq!(bench.judge(Stage::Quiet), Decision::Below(bench.requests[0], None));
}

#[test]
fn a_worker_that_a_request_had_made_works_for_those_that_it_gives_results_to_though_it_ends() {
    let child = UnitKey { id: 0xa000, ..T };
    for to in [U, T] {
        let mut bench = Bench::new(|[r, s], call| {
            let facts = [born(child, T, 15), called(call, child, 20), gave(child, to, 30), ended(child, 32)];
            facts.into_iter().chain([over(*s, U, 40), over(*r, T, 50)]).collect()
        });
        let expected = bench.requests[usize::from(to == U)];
        assert_eq!(bench.judge(Stage::Quiet), Decision::Below(expected, RESOLVED), "{to:?}");
    }
}

#[test]
fn a_child_whose_maker_ended_before_the_call_and_answers_nothing_is_nobodys() {
    let [through, next] = [0xa000, 0xb000].map(|id| UnitKey { id, ..T });
    for outlived in [false, true] {
        let mut bench = Bench::new(|[r, s], call| {
            let end = ended(through, if outlived { 18 } else { 25 });
            let births = [born(through, T, 15), born(next, through, 17)];
            births
                .into_iter()
                .chain([end, called(call, next, 20), ended(next, 30), over(*s, U, 40), over(*r, T, 50)])
                .collect()
        });
        let decision = bench.judge(Stage::Quiet);
        match outlived {
            true => assert!(matches!(decision, Decision::Root(_)), "{decision:?}"),
            false => assert_eq!(decision, Decision::Below(bench.requests[0], Some(Evidence::ChildUnit))),
        }
    }
}

#[test]
fn a_threads_call_is_of_the_job_in_which_it_was_made() {
    // The job before is nobody's, and its thread is on to the next before anybody asks.
    let mut bench = Bench::new(|[r, s], call| {
        vec![job(14), called(call, THREAD, 20), job(25), gave(THREAD, U, 30), over(*s, U, 40), over(*r, T, 50)]
    });
    assert!(matches!(bench.judge(Stage::Late), Decision::Root(_)));
    let mut bench = Bench::new(|[r, s], call| {
        vec![job(14), job(18), called(call, THREAD, 20), gave(THREAD, U, 30), job(31), over(*s, U, 40), over(*r, T, 50)]
    });
    assert_eq!(bench.judge(Stage::Quiet), Decision::Below(bench.requests[1], RESOLVED));
}

#[test]
fn a_thread_of_which_no_job_is_told_gives_nothing() {
    let mut bench = Bench::new(|[r, s], call| {
        vec![called(call, THREAD, 20), gave(THREAD, U, 30), over(*s, U, 40), over(*r, T, 50)]
    });
    assert!(matches!(bench.judge(Stage::Late), Decision::Root(_)));
}

#[test]
fn a_greenlets_call_is_inferred_and_none_is_made_where_greenlets_hand_requests_on() {
    let [g, h] = GREENLETS;
    let mut bench =
        Bench::new(|[r, _], call| vec![born(g, LOOP, 14), read(*r, g, 15, 0), called(call, g, 20), over(*r, g, 30)]);
    assert_eq!(bench.judge(Stage::Quiet), Decision::Below(bench.requests[0], Some(Evidence::SameGreenlet)));
    let mut bench = Bench::new(|[r, s], call| {
        let reads = [born(g, LOOP, 14), born(h, LOOP, 14), read(*s, h, 15, 0), read(*r, g, 16, 0)];
        reads.into_iter().chain([called(call, g, 20), over(*s, g, 25), over(*r, g, 30)]).collect()
    });
    assert!(matches!(bench.judge(Stage::Late), Decision::Root(_)), "what one read the other answered");
}

#[test]
fn what_a_greenlet_that_another_made_calls_is_its_requests_if_it_is_through_when_that_is_answered() {
    let [g, h] = GREENLETS;
    for (through, linked) in [(28, true), (40, false)] {
        let mut bench = Bench::new(|[r, _], call| {
            let facts = [born(g, LOOP, 14), read(*r, g, 15, 0), born(h, g, 16), called(call, h, 20)];
            let mut facts = Vec::from(facts);
            facts.extend([ended(h, through), over(*r, g, 30)]);
            facts
        });
        let child = Decision::Below(bench.requests[0], Some(Evidence::ChildUnit));
        let decision = bench.judge(Stage::Quiet);
        assert_eq!(decision == child, linked, "a pool's, which has taken up another's job: {decision:?}");
    }
}
