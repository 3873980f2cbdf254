use slotmap::SlotMap;

use super::*;
use crate::facts::{At, Handle, Place, UnitKey};

/// Units of a runtime, of one process; and a unit of its own that writes for others.
const G: UnitKey = UnitKey { tgid: 1, kind: 1, id: 7 };
const H: UnitKey = UnitKey { tgid: 1, kind: 1, id: 8 };
const WRITER: UnitKey = UnitKey { tgid: 1, kind: 1, id: 99 };
const SOCKET: Place = Place::Connection(5);

struct Bench {
    court: Court,
    keys: SlotMap<SpanKey, ()>,
}

fn at(time: u64) -> At {
    At { time, tid: 1, switches: 0 }
}

impl Bench {
    fn new() -> Self {
        Self { court: Court::new(true, Arc::default()), keys: SlotMap::with_key() }
    }

    fn key(&mut self) -> SpanKey {
        self.keys.insert(())
    }

    fn hear(&mut self, facts: &[Fact]) {
        facts.iter().for_each(|fact| drop(self.court.hear(fact)));
    }

    fn judge(&self, call: SpanKey, stage: Stage) -> Decision {
        self.court.ask(call, stage, |_| Ok(()))
    }
}

fn read(request: SpanKey, unit: UnitKey, time: u64) -> Fact {
    Fact::Read { request, unit, connection: time, at: at(time), waited: false, queued: true }
}

fn called(call: SpanKey, unit: UnitKey, time: u64) -> Fact {
    Fact::Called { call, unit, place: SOCKET, at: at(time), opened: None }
}

fn over(request: SpanKey, unit: UnitKey, time: u64) -> Fact {
    Fact::Over { request, answered: Some((Some(unit), at(time))), read: None }
}

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(n - 1);
    let insert = |order: &Vec<usize>, place: usize| {
        let mut longer = order.clone();
        longer.insert(place, n - 1);
        longer
    };
    shorter.iter().flat_map(|order| (0..n).map(move |place| insert(order, place))).collect()
}

#[test]
fn a_units_call_hangs_below_its_request_in_whatever_order_all_is_told() {
    let mut bench = Bench::new();
    let [r, s, call] = [bench.key(), bench.key(), bench.key()];
    let facts = [read(r, G, 10), called(call, G, 15), over(r, G, 20), read(s, G, 30)];
    for order in orders(facts.len()) {
        let mut bench = Bench::new();
        for fact in order.iter().map(|n| &facts[*n]) {
            bench.court.hear(fact);
        }
        let decision = bench.judge(call, Stage::Settled);
        // An end that is told before its beginning is not understood, which costs the link and makes no wrong one.
        let understood = order.iter().position(|n| *n == 2) > order.iter().position(|n| *n == 0);
        match understood {
            true => assert_eq!(decision, Decision::Below(r, None), "{order:?}"),
            false => assert!(!matches!(decision, Decision::Below(request, _) if request != r), "{order:?}"),
        }
    }
}

#[test]
fn a_call_that_was_handed_over_is_its_makers_in_whatever_order_that_is_told() {
    let mut bench = Bench::new();
    let [r, s, first, second, third] = std::array::from_fn(|_| bench.key());
    let hands = |by, time| Fact::HandedOver { by, to: SOCKET, handle: None, time };
    let facts =
        [hands(G, 20), called(first, WRITER, 21), hands(H, 30), called(second, WRITER, 31), called(third, WRITER, 41)];
    for order in orders(facts.len()) {
        let mut bench = Bench::new();
        bench.hear(&[read(r, G, 10), read(s, H, 11)]);
        for fact in order.iter().map(|n| &facts[*n]) {
            bench.court.hear(fact);
        }
        assert_eq!(bench.judge(first, Stage::Settled), Decision::Below(r, None), "{order:?}");
        assert_eq!(bench.judge(second, Stage::Settled), Decision::Below(s, None), "{order:?}");
        assert_eq!(bench.judge(third, Stage::Settled), Decision::Root(Missing::Unseen), "{order:?}");
    }
}

#[test]
fn a_handle_names_the_request_in_flight_that_carries_it_and_none_that_is_over() {
    let handle = Handle(0xc000, 0xd000);
    let mut bench = Bench::new();
    let [r, s, call, late] = std::array::from_fn(|_| bench.key());
    bench.hear(&[
        read(r, G, 10),
        Fact::Named { unit: G, handle, time: 11 },
        Fact::HandedOver { by: H, to: SOCKET, handle: Some(handle), time: 20 },
        called(call, WRITER, 21),
        over(r, G, 30),
        // The memory is used again, for another request.
        read(s, H, 40),
        Fact::Named { unit: H, handle, time: 41 },
        Fact::HandedOver { by: WRITER, to: SOCKET, handle: Some(handle), time: 50 },
        called(late, WRITER, 51),
    ]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Below(r, None));
    assert_eq!(bench.judge(late, Stage::Settled), Decision::Below(s, None));
}

#[test]
fn exact_rules_that_disagree_cancel_each_other_and_that_is_counted() {
    let handle = Handle(1, 2);
    let mut bench = Bench::new();
    let [r, s, call] = std::array::from_fn(|_| bench.key());
    bench.hear(&[
        read(r, G, 10),
        Fact::Named { unit: G, handle, time: 11 },
        read(s, H, 12),
        Fact::HandedOver { by: H, to: SOCKET, handle: Some(handle), time: 20 },
        called(call, WRITER, 21),
    ]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Root(Missing::Disagreement));
    assert_eq!(bench.court.counters.links_disagreed.get(), 1);
}

#[test]
fn after_a_loss_what_was_on_its_way_is_nobodys() {
    let mut bench = Bench::new();
    let [r, call] = std::array::from_fn(|_| bench.key());
    bench.hear(&[
        read(r, G, 10),
        Fact::HandedOver { by: G, to: SOCKET, handle: None, time: 20 },
        Fact::Lost(true),
        Fact::Lost(false),
        called(call, WRITER, 21),
    ]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Root(Missing::Unseen));
}

#[test]
fn without_inferred_links_only_exact_ones_are_made() {
    let thread = UnitKey::thread(2, 2);
    let mut bench = Bench::new();
    let [r, call] = std::array::from_fn(|_| bench.key());
    bench.hear(&[read(r, thread, 10), called(call, thread, 15)]);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Below(r, Some(Evidence::LoneRequest)));
    bench.court.inferred = false;
    assert!(matches!(bench.judge(call, Stage::Quiet), Decision::Root(_)));
}

#[test]
fn a_thread_whose_request_another_answers_proves_nothing_of_its_calls() {
    let (reader, other) = (UnitKey::thread(2, 2), UnitKey::thread(2, 3));
    let read =
        |request, unit, time| Fact::Read { request, unit, connection: time, at: at(time), waited: true, queued: true };
    let mut bench = Bench::new();
    let [r, call, s, next] = std::array::from_fn(|_| bench.key());
    bench.hear(&[read(r, reader, 10), called(call, reader, 15)]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(Some(r), Until::Quiet));
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Below(r, None), "it takes long");
    bench.hear(&[over(r, other, 20)]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Root(Missing::HandsOn));
    // One that answers itself is believed as soon as it has.
    let mut bench = Bench::new();
    bench.hear(&[read(s, reader, 30), called(next, reader, 35)]);
    bench.court.book.may_hang(next, s);
    assert_eq!(bench.court.hear(&over(s, reader, 40)), [next]);
    assert_eq!(bench.judge(next, Stage::Settled), Decision::Below(s, None));
}
