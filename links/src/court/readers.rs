//! Pools in which requests are answered by other threads than read them: whose a thread's calls are, in whatever order all is told.

use slotmap::SlotMap;

use super::*;
use crate::facts::{At, Place, SleptOn, UnitKey};

const MICRO: u64 = 1000;
const SECOND: u64 = 1_000_000_000;
/// Threads that read requests, and one that never does.
const T: UnitKey = UnitKey { tgid: 1, kind: 0, id: 10 };
const U: UnitKey = UnitKey { tgid: 1, kind: 0, id: 11 };
const HELPER: UnitKey = UnitKey { tgid: 1, kind: 0, id: 20 };
const POOL_THREAD: Option<Evidence> = Some(Evidence::PoolThread);
const ANSWERING: Option<Evidence> = Some(Evidence::AnsweringThread);

struct Bench {
    court: Court,
    keys: SlotMap<SpanKey, ()>,
    now: u64,
}

fn at(unit: UnitKey, time: u64) -> At {
    At { time, tid: unit.id as u32, ..At::default() }
}

fn read_so(request: SpanKey, unit: UnitKey, time: u64, waited: bool) -> Fact {
    Fact::Read { request, unit, connection: time, cookie: 0, at: at(unit, time), waited, queued: true }
}

fn read(request: SpanKey, unit: UnitKey, time: u64) -> Fact {
    read_so(request, unit, time, true)
}

fn called(call: SpanKey, unit: UnitKey, time: u64) -> Fact {
    Fact::Called { call, unit, place: Place::Connection(5), at: at(unit, time), opened: None }
}

fn responded(call: SpanKey, unit: UnitKey, time: u64) -> Fact {
    Fact::Responded { call, units: [Some(unit); 2], at: [at(unit, time); 2], waited: true, operation: 0 }
}

fn over(request: SpanKey, unit: UnitKey, time: u64) -> Fact {
    Fact::Over { request, answered: Some((Some(unit), at(unit, time))), read: None }
}

impl Bench {
    /// So many requests have been read by one thread, and answered by another, one at a time.
    fn after(reader: UnitKey, answers: UnitKey, requests: u64) -> Self {
        let mut bench = Self { court: Court::new(true, Arc::default()), keys: SlotMap::with_key(), now: SECOND };
        for _ in 0..requests {
            let (request, call) = (bench.key(), bench.key());
            let now = bench.now;
            bench.hear(&[
                read(request, reader, now),
                called(call, answers, now + MICRO),
                responded(call, answers, now + 2 * MICRO),
                over(request, answers, now + 3 * MICRO),
            ]);
            bench.pass(SECOND);
        }
        bench
    }

    fn key(&mut self) -> SpanKey {
        self.keys.insert(())
    }

    fn keys<const N: usize>(&mut self) -> [SpanKey; N] {
        std::array::from_fn(|_| self.key())
    }

    /// Tells what happened, and that all of it has been told.
    fn hear(&mut self, facts: &[Fact]) {
        facts.iter().for_each(|fact| drop(self.court.hear(fact)));
    }

    fn pass(&mut self, time: u64) {
        self.now += time;
        self.court.book.passes(self.now);
    }

    fn judge(&self, call: SpanKey, stage: Stage) -> Decision {
        self.court.ask(call, stage, |_| Ok(()))
    }
}

/// Every order of these, and every order of these without one of them.
fn told(facts: &[Fact]) -> Vec<Vec<Fact>> {
    let mut all = permuted(facts.to_vec());
    for without in 0..facts.len() {
        let mut fewer = facts.to_vec();
        fewer.remove(without);
        all.extend(permuted(fewer));
    }
    all
}

fn permuted(facts: Vec<Fact>) -> Vec<Vec<Fact>> {
    if facts.len() <= 1 {
        return vec![facts];
    }
    (0..facts.len())
        .flat_map(|first| {
            let mut rest = facts.clone();
            let first = rest.remove(first);
            permuted(rest).into_iter().map(move |mut order| {
                order.insert(0, first.clone());
                order
            })
        })
        .collect()
}

fn is_told_before(facts: &[Fact], first: &Fact, second: &Fact) -> bool {
    let place = |fact| facts.iter().position(|other| other == fact);
    place(first).zip(place(second)).is_some_and(|(first, second)| first < second)
}

#[test]
fn where_helpers_answer_a_threads_call_is_of_what_it_read_last_and_answers_next_however_it_is_told() {
    let mut bench = Bench::after(T, HELPER, 2);
    let ([r, s, call], now) = (bench.keys(), bench.now);
    let [reads, calls] = [read(r, T, now), called(call, T, now + 10)];
    let [answers, next] = [over(r, T, now + 30), read(s, T, now + 40)];
    let facts = [reads.clone(), calls.clone(), responded(call, T, now + 20), answers.clone(), next.clone()];
    let mut found = 0;
    for told in told(&facts).into_iter().filter(|told| told.contains(&calls)) {
        let mut bench = Bench::after(T, HELPER, 2);
        let _: [SpanKey; 3] = bench.keys();
        bench.hear(&told);
        bench.pass(SECOND);
        match bench.judge(call, Stage::Quiet) {
            Decision::Below(request, evidence) => {
                assert_eq!((request, evidence), (r, POOL_THREAD), "{told:?}");
                found += 1;
            }
            decision => assert!(!is_told_before(&told, &reads, &answers), "{decision:?}: {told:?}"),
        }
    }
    assert!(found > 60, "{found}");
}

#[test]
fn a_call_waits_for_the_answer_of_its_thread_and_is_asked_of_again_with_that() {
    let mut bench = Bench::after(T, HELPER, 2);
    let ([r, call], now) = (bench.keys(), bench.now);
    bench.hear(&[read(r, T, now), called(call, T, now + 10), responded(call, T, now + 20)]);
    for stage in [Stage::Made, Stage::Settled, Stage::Quiet] {
        assert_eq!(bench.judge(call, stage), Decision::Wait(Some(r), Until::Over));
    }
    assert_eq!(bench.court.hear(&over(r, T, now + 30)), [call]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(Some(r), Until::Quiet));
    // Another thread answers: it was handed on, and the thread was at something else.
    let mut bench = Bench::after(T, HELPER, 2);
    let ([r, call], now) = (bench.keys(), bench.now);
    bench.hear(&[read(r, T, now), called(call, T, now + 10), over(r, HELPER, now + 30)]);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Root(Missing::HandsOn));
}

#[test]
fn where_a_thread_that_reads_answers_anothers_request_no_threads_call_is_anybodys() {
    for later in [false, true] {
        let mut bench = Bench::after(T, HELPER, 2);
        let ([r, s, t, call], now) = (bench.keys(), bench.now);
        let mixes = [read(s, T, now), read(t, U, now + 1), over(s, U, now + 3), over(t, U, now + 4)];
        let call_of_r = [read(r, T, now + 10), called(call, T, now + 20), over(r, T, now + 30)];
        // It may show until the answer is half a second old.
        match later {
            false => bench.hear(&[&mixes[..], &call_of_r[..]].concat()),
            true => bench.hear(&[&call_of_r[..], &mixes[..]].concat()),
        }
        bench.pass(SECOND);
        assert_eq!(bench.judge(call, Stage::Quiet), Decision::Root(Missing::HandsOn), "{later}");
    }
}

#[test]
fn a_thread_that_has_several_requests_at_a_time_is_an_event_loop_and_its_calls_are_nobodys() {
    let mut bench = Bench::after(T, HELPER, 2);
    let ([r, s, t, call], now) = (bench.keys(), bench.now);
    bench.hear(&[read(s, T, now), read(t, T, now + 1), over(s, T, now + 3), over(t, T, now + 4)]);
    bench.hear(&[read(r, T, now + 10), called(call, T, now + 20), over(r, T, now + 30)]);
    bench.pass(SECOND);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Root(Missing::HandsOn));
}

#[test]
fn a_thread_that_reads_without_waiting_must_be_seen_to_wait_for_responses() {
    let waits = Fact::Slept { thread: T, on: SleptOn::Own, cookie: 5, time: 2 * SECOND };
    let sleeps_on_many = Fact::Slept { thread: T, on: SleptOn::Many, cookie: 0, time: 2 * SECOND };
    for (slept, linked) in [(vec![], false), (vec![waits.clone()], true), (vec![waits, sleeps_on_many], false)] {
        let mut bench = Bench::after(T, HELPER, 2);
        let ([r, call], now) = (bench.keys(), bench.now);
        bench.hear(&[read_so(r, T, now, false), called(call, T, now + 10)]);
        bench.hear(&slept);
        bench.hear(&[over(r, T, now + 30)]);
        bench.pass(SECOND);
        let decision = bench.judge(call, Stage::Quiet);
        assert_eq!(decision == Decision::Below(r, POOL_THREAD), linked, "{slept:?}: {decision:?}");
    }
}

#[test]
fn behind_a_reader_a_threads_call_is_of_what_it_answers_next_however_it_is_told() {
    let mut bench = Bench::after(T, HELPER, 80);
    let ([r, s, call], now) = (bench.keys(), bench.now);
    let [reads, calls] = [read(r, T, now), called(call, HELPER, now + 10)];
    let [takes, answers] = [responded(call, HELPER, now + 20), over(r, HELPER, now + 30)];
    let facts = [reads.clone(), calls.clone(), takes.clone(), answers.clone(), read(s, T, now + 40)];
    let before = |told: &[Fact], first, second| is_told_before(told, first, second);
    for told in told(&facts).into_iter().filter(|told| told.contains(&calls)) {
        let mut bench = Bench::after(T, HELPER, 80);
        let _: [SpanKey; 3] = bench.keys();
        bench.hear(&told);
        bench.pass(SECOND);
        match bench.judge(call, Stage::Quiet) {
            Decision::Below(request, evidence) => assert_eq!((request, evidence), (r, ANSWERING), "{told:?}"),
            decision => {
                assert!(!before(&told, &reads, &answers) || !before(&told, &calls, &takes), "{decision:?}: {told:?}")
            }
        }
    }
}

#[test]
fn before_threads_were_often_seen_without_work_nothing_is_made_of_what_they_answer_next() {
    let decide = |idle: u64, more: &dyn Fn(&mut Bench)| {
        let mut bench = Bench::after(T, HELPER, idle);
        more(&mut bench);
        let ([r, call], now) = (bench.keys(), bench.now);
        bench.hear(&[read(r, T, now), called(call, HELPER, now + 10), responded(call, HELPER, now + 20)]);
        let waits = bench.judge(call, Stage::Quiet);
        bench.hear(&[over(r, HELPER, now + 30)]);
        bench.pass(SECOND);
        (waits, bench.judge(call, Stage::Quiet), r)
    };
    let (waits, found, r) = decide(80, &|_| {});
    assert_eq!((waits, found), (Decision::Wait(None, Until::Over), Decision::Below(r, ANSWERING)));
    assert_eq!(decide(60, &|_| {}).1, Decision::Root(Missing::HandsOn));
    // One that calls when it has answered, before another request is there.
    let strays = |bench: &mut Bench| {
        let ([s, call], now) = (bench.keys(), bench.now);
        bench.hear(&[called(call, HELPER, now), read(s, T, now + 10), over(s, HELPER, now + 20)]);
        bench.pass(SECOND);
    };
    assert_eq!(decide(80, &strays).1, Decision::Root(Missing::HandsOn));
    // Who is on to something else before the response is there waits for nothing.
    let mut bench = Bench::after(T, HELPER, 80);
    let ([r, call], now) = (bench.keys(), bench.now);
    bench.hear(&[read(r, T, now), called(call, HELPER, now + 10), over(r, HELPER, now + 20)]);
    bench.hear(&[responded(call, HELPER, now + 30)]);
    bench.pass(SECOND);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Root(Missing::HandsOn));
}

#[test]
fn after_a_loss_it_is_not_known_what_a_thread_did_before() {
    for of in [None, Some(T.tgid), Some(T.tgid + 1)] {
        let mut bench = Bench::after(T, HELPER, 2);
        let ([r, call], now) = (bench.keys(), bench.now);
        bench.hear(&[read(r, T, now), called(call, T, now + 10)]);
        bench.hear(&[Fact::Lost { of, losing: true }, Fact::Lost { of, losing: false }]);
        bench.hear(&[responded(call, T, now + 20), over(r, T, now + 30)]);
        bench.pass(SECOND);
        let anothers = of.is_some_and(|tgid| tgid != T.tgid);
        let decision = bench.judge(call, Stage::Quiet);
        assert_eq!(decision == Decision::Below(r, POOL_THREAD), anothers, "of {of:?}: {decision:?}");
    }
}

#[test]
fn where_every_request_is_answered_by_its_reader_these_rules_say_nothing() {
    let mut bench = Bench::after(T, T, 80);
    let ([r, call], now) = (bench.keys(), bench.now);
    bench.hear(&[read(r, T, now), called(call, T, now + 10), responded(call, T, now + 20), over(r, T, now + 30)]);
    bench.pass(SECOND);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Below(r, Some(Evidence::SameThread)));
}
