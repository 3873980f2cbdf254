//! Virtual threads: made for one piece of work each, or of a pool.

use slotmap::SlotMap;
use wirespan_common::UNIT_VIRTUAL;

use super::*;
use crate::facts::{At, Place, UnitKey};

const MILLI: u64 = 1_000_000;
const FOUND: Option<Evidence> = Some(Evidence::VirtualThread);

const fn thread(id: u64) -> UnitKey {
    UnitKey { tgid: 1, kind: UNIT_VIRTUAL, id }
}

struct Bench {
    court: Court,
    keys: SlotMap<SpanKey, ()>,
}

impl Bench {
    fn new() -> Self {
        Self { court: Court::new(true, Arc::default()), keys: SlotMap::with_key() }
    }

    fn keys<const N: usize>(&mut self) -> [SpanKey; N] {
        [(); N].map(|()| self.keys.insert(()))
    }

    fn hear<'a>(&mut self, facts: impl IntoIterator<Item = &'a Fact>) {
        facts.into_iter().for_each(|fact| drop(self.court.hear(fact)));
    }

    fn judge(&self, call: SpanKey, stage: Stage) -> Decision {
        self.court.ask(call, stage, |_| Ok(()))
    }
}

/// On one of two carriers, in turn: which one says nothing.
fn at(millis: u64) -> At {
    At { time: millis * MILLI, tid: 10 + (millis % 2) as u32, switches: millis as u32, ..At::default() }
}

fn read(request: SpanKey, unit: UnitKey, connection: u64, millis: u64) -> Fact {
    Fact::Read { request, unit, connection, cookie: 0, at: at(millis), waited: false, queued: true }
}

fn called(call: SpanKey, unit: UnitKey, millis: u64) -> Fact {
    Fact::Called { call, unit, place: Place::Connection(1000 + unit.id), at: at(millis), opened: None }
}

fn over(request: SpanKey, unit: UnitKey, millis: u64) -> Fact {
    Fact::Over { request, answered: Some((Some(unit), at(millis))), read: None }
}

#[test]
fn calls_of_virtual_threads_are_their_requests_however_many_are_in_flight() {
    let mut bench = Bench::new();
    let [r, s, first, second, stray] = bench.keys();
    let (a, b, other) = (thread(30), thread(31), thread(32));
    bench.hear(&[
        read(r, a, 1, 10),
        read(s, b, 2, 11),
        called(second, b, 12),
        called(first, a, 13),
        called(stray, other, 14),
    ]);
    assert_eq!(bench.judge(first, Stage::Settled), Decision::Wait(Some(r), Until::Over));
    bench.hear(&[over(s, b, 20), over(r, a, 21)]);
    assert_eq!(bench.judge(first, Stage::Settled), Decision::Wait(Some(r), Until::Quiet));
    assert_eq!(bench.judge(first, Stage::Quiet), Decision::Below(r, FOUND));
    assert_eq!(bench.judge(second, Stage::Quiet), Decision::Below(s, FOUND));
    assert_eq!(bench.judge(stray, Stage::Quiet), Decision::Root(Missing::NoRequest));
}

#[test]
fn it_does_not_matter_in_which_order_that_is_told_and_what_is_missing_makes_no_other_link() {
    let mut bench = Bench::new();
    let [r, s, call] = bench.keys();
    let (a, b) = (thread(30), thread(31));
    let facts = [read(r, a, 1, 10), read(s, b, 2, 11), called(call, a, 13), over(r, a, 21), over(s, b, 22)];
    for rotation in 0..facts.len() {
        for missing in 0..=facts.len() {
            let mut bench = Bench::new();
            let order = (0..facts.len()).map(|n| (n + rotation) % facts.len());
            bench.hear(order.filter(|n| *n != missing).map(|n| &facts[n]));
            for stage in [Stage::Made, Stage::Settled, Stage::Quiet, Stage::Late] {
                let decision = bench.judge(call, stage);
                assert!(!matches!(decision, Decision::Below(found, _) if found != r), "{rotation} {missing}");
            }
            if rotation == 0 && missing == facts.len() {
                assert_eq!(bench.judge(call, Stage::Quiet), Decision::Below(r, FOUND));
            }
        }
    }
}

#[test]
fn a_request_that_another_answers_may_have_been_handed_on() {
    let mut bench = Bench::new();
    let [r, call] = bench.keys();
    bench.hear(&[read(r, thread(30), 1, 10), called(call, thread(30), 12), over(r, thread(31), 20)]);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Root(Missing::HandsOn));
}

#[test]
fn what_is_done_after_the_answer_is_nobodys() {
    let mut bench = Bench::new();
    let [r, call] = bench.keys();
    bench.hear(&[read(r, thread(30), 1, 10), over(r, thread(30), 20), called(call, thread(30), 30)]);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Root(Missing::NoRequest));
}

#[test]
fn one_that_reads_requests_of_several_connections_is_a_pools() {
    let mut bench = Bench::new();
    let [r, s, t, long, call] = bench.keys();
    let (a, b) = (thread(30), thread(31));
    bench.hear(&[read(long, thread(40), 9, 5), read(r, a, 1, 10), called(call, a, 12), over(r, a, 20)]);
    bench.hear(&[read(s, b, 1, 30), over(s, b, 31)]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(Some(r), Until::Quiet));
    bench.hear(&[read(t, b, 2, 40), over(t, b, 41)]);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Root(Missing::HandsOn));
}

#[test]
fn one_that_could_not_be_told_is_nobody() {
    let mut bench = Bench::new();
    let [r, call] = bench.keys();
    bench.hear(&[read(r, thread(0), 1, 10), called(call, thread(0), 12), over(r, thread(0), 20)]);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Root(Missing::Unconfirmed));
}
