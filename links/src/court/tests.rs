use slotmap::SlotMap;
use wirespan_common::{UNIT_LENT, UNIT_TASK};

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
    At { time, tid: 1, ..At::default() }
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
    Fact::Read { request, unit, connection: time, cookie: 0, at: at(time), waited: false, queued: true }
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
fn a_call_is_its_makers_even_if_its_write_is_told_after_the_request_was_answered() {
    let handle = Handle(0xc000, 0xd000);
    for handle in [Some(handle), None] {
        let mut bench = Bench::new();
        let [r, s, call] = std::array::from_fn(|_| bench.key());
        let named = handle.map(|handle| Fact::Named { unit: G, handle, lasts: false, time: 11 });
        bench.hear(&[read(r, G, 10)]);
        bench.hear(named.as_slice());
        bench.hear(&[
            Fact::HandedOver { by: G, to: Place::Unit(WRITER), handle, time: 20 },
            // Whoever was asked answered before the write returned, and so did G.
            over(r, G, 30),
            called(call, WRITER, 35),
            read(s, G, 40),
        ]);
        assert_eq!(bench.judge(call, Stage::Settled), Decision::Below(r, None), "{handle:?}");
    }
}

#[test]
fn a_handle_names_the_request_in_flight_that_carries_it_and_none_that_is_over() {
    let handle = Handle(0xc000, 0xd000);
    let mut bench = Bench::new();
    let [r, s, call, late] = std::array::from_fn(|_| bench.key());
    bench.hear(&[
        read(r, G, 10),
        Fact::Named { unit: G, handle, lasts: false, time: 11 },
        Fact::HandedOver { by: H, to: SOCKET, handle: Some(handle), time: 20 },
        called(call, WRITER, 21),
        over(r, G, 30),
        // The memory is used again, for another request.
        read(s, H, 40),
        Fact::Named { unit: H, handle, lasts: false, time: 41 },
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
        Fact::Named { unit: G, handle, lasts: false, time: 11 },
        read(s, H, 12),
        Fact::HandedOver { by: H, to: SOCKET, handle: Some(handle), time: 20 },
        called(call, WRITER, 21),
    ]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Root(Missing::Disagreement));
    assert_eq!(bench.court.counters.links_disagreed.get(), 1);
}

#[test]
fn after_a_loss_what_was_on_its_way_is_nobodys() {
    for of in [None, Some(G.tgid), Some(G.tgid + 1)] {
        let mut bench = Bench::new();
        let [r, call] = std::array::from_fn(|_| bench.key());
        bench.hear(&[
            read(r, G, 10),
            Fact::HandedOver { by: G, to: SOCKET, handle: None, time: 20 },
            Fact::Lost { of, losing: true },
            Fact::Lost { of, losing: false },
            called(call, WRITER, 21),
        ]);
        let anothers = of.is_some_and(|tgid| tgid != G.tgid);
        let expected = if anothers { Decision::Below(r, None) } else { Decision::Root(Missing::Unseen) };
        assert_eq!(bench.judge(call, Stage::Settled), expected, "of {of:?}");
    }
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
    let read = |request, unit, time| Fact::Read {
        request,
        unit,
        connection: time,
        cookie: 0,
        at: at(time),
        waited: true,
        queued: true,
    };
    let mut bench = Bench::new();
    let [r, call, s, next] = std::array::from_fn(|_| bench.key());
    bench.hear(&[read(r, reader, 10), called(call, reader, 15)]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(Some(r), Until::Quiet));
    let same_thread = Some(Evidence::SameThread);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Below(r, same_thread), "it takes long");
    bench.hear(&[over(r, other, 20)]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Root(Missing::HandsOn));
    // One that answers itself is believed, if nothing contradicts.
    let mut bench = Bench::new();
    bench.hear(&[read(s, reader, 30), called(next, reader, 35)]);
    bench.court.book.may_hang(next, s);
    assert_eq!(bench.court.hear(&over(s, reader, 40)), [next]);
    assert_eq!(bench.judge(next, Stage::Settled), Decision::Wait(Some(s), Until::Quiet));
    assert_eq!(bench.judge(next, Stage::Quiet), Decision::Below(s, same_thread));
}

/// A pool's thread reads `r` and hands it on, takes up a job of `earlier`, and is the one that answers `r` in the end.
fn handed_on_and_taken_back(r: SpanKey, earlier: SpanKey, call: SpanKey, only: bool) -> Vec<Fact> {
    let thread = UnitKey::thread(2, 3);
    let at = |time| At { only, ..at(time) };
    let read = |request, time| Fact::Read {
        request,
        unit: thread,
        connection: time,
        cookie: 0,
        at: at(time),
        waited: true,
        queued: true,
    };
    let over = |request, time| Fact::Over { request, answered: Some((Some(thread), at(time))), read: None };
    let called = Fact::Called { call, unit: thread, place: SOCKET, at: at(30), opened: None };
    vec![read(earlier, 10), over(earlier, 15), read(r, 20), called, over(r, 40)]
}

#[test]
fn what_a_thread_among_others_does_between_reading_and_answering_is_never_exact() {
    let mut bench = Bench::new();
    let [r, earlier, call] = std::array::from_fn(|_| bench.key());
    let facts = handed_on_and_taken_back(r, earlier, call, false);
    for (order, missing) in orders(facts.len()).iter().flat_map(|order| (0..=facts.len()).map(move |n| (order, n))) {
        let mut bench = Bench::new();
        for n in order.iter().filter(|n| **n != missing) {
            bench.court.hear(&facts[*n]);
        }
        for stage in [Stage::Made, Stage::Settled, Stage::Quiet, Stage::Late] {
            let decision = bench.judge(call, stage);
            assert!(!matches!(decision, Decision::Below(_, None)), "{order:?} without {missing}: {decision:?}");
        }
    }
    // Nobody else is there who could have left a job: it is the request's own call.
    let mut bench = Bench::new();
    bench.hear(&handed_on_and_taken_back(r, earlier, call, true));
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Below(r, None));
    // Unless the process has worked outside its requests before.
    let mut bench = Bench::new();
    let stray = bench.key();
    let facts = handed_on_and_taken_back(r, earlier, call, true);
    bench.hear(&facts[..2]);
    bench.hear(&[called(stray, UnitKey::thread(2, 3), 17)]);
    bench.hear(&facts[2..]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(Some(r), Until::Quiet));
}

#[test]
fn a_call_is_not_its_threads_where_another_request_is_answered_by_another_thread_soon_after() {
    let mut bench = Bench::new();
    let [r, earlier, call, s] = std::array::from_fn(|_| bench.key());
    bench.hear(&handed_on_and_taken_back(r, earlier, call, false));
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(Some(r), Until::Quiet));
    let (reader, other) = (UnitKey::thread(2, 4), UnitKey::thread(2, 5));
    bench.hear(&[read(s, reader, 50), over(s, other, 60)]);
    assert_eq!(bench.judge(call, Stage::Quiet), Decision::Root(Missing::HandsOn));
}

/// Tasks of a loop, whose thread reads for them.
const T: UnitKey = UnitKey { tgid: 1, kind: UNIT_TASK, id: 0x7000 };
const U: UnitKey = UnitKey { tgid: 1, kind: UNIT_TASK, id: 0x8000 };
const LOOP: UnitKey = UnitKey { tgid: 1, kind: 0, id: 1 };
/// The context of a connection's callback.
const CALLBACK: u64 = 0xc0;

fn marked(time: u64, mark: u64) -> At {
    At { mark, ..at(time) }
}

fn read_by_loop(request: SpanKey, time: u64) -> Fact {
    Fact::Read {
        request,
        unit: LOOP,
        connection: 1,
        cookie: 0,
        at: marked(time, CALLBACK),
        waited: false,
        queued: true,
    }
}

fn called_by(call: SpanKey, unit: UnitKey, time: u64, number: u64) -> Fact {
    Fact::Called { call, unit, place: SOCKET, at: marked(time, number), opened: None }
}

fn answered_by(request: SpanKey, unit: UnitKey, time: u64, number: u64) -> Fact {
    Fact::Over { request, answered: Some((Some(unit), marked(time, number))), read: None }
}

fn born(unit: UnitKey, of: UnitKey, time: u64, mark: u64) -> Fact {
    Fact::Born { unit, of: Some(of), site: 0, mark, time }
}

fn ended(unit: UnitKey, time: u64) -> Fact {
    Fact::Ended { unit, with_process: false, time }
}

fn woke(unit: UnitKey, time: u64, mark: u64) -> Fact {
    Fact::Woke { unit, by: LOOP, at: marked(time, mark) }
}

/// Several requests were in flight at a time: being the only one proves nothing.
fn crowd(bench: &mut Bench) {
    let [x, y] = [bench.key(), bench.key()];
    let facts = [read_by_loop(x, 1), read_by_loop(y, 2), answered_by(x, LOOP, 3, 0), answered_by(y, LOOP, 4, 0)];
    bench.hear(&facts);
}

/// What becomes of a call in every order in which the facts can be told, and with each of them missing: never another request
/// than `right`.
fn decisions(facts: &[Fact], call: SpanKey, right: SpanKey) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for order in orders(facts.len()) {
        for missing in 0..=facts.len() {
            let mut bench = Bench::new();
            crowd(&mut bench);
            for fact in order.iter().filter(|n| **n != missing).map(|n| &facts[*n]) {
                bench.court.hear(fact);
            }
            for stage in [Stage::Made, Stage::Settled, Stage::Quiet, Stage::Late] {
                let decision = bench.judge(call, stage);
                if let Decision::Below(request, None) = decision {
                    assert_eq!(request, right, "{order:?} without {missing}");
                }
                if stage == Stage::Settled && missing == facts.len() {
                    decisions.push(decision);
                }
            }
        }
    }
    decisions
}

#[test]
fn a_task_that_is_made_for_a_request_and_answers_it_made_its_calls_for_it() {
    let mut bench = Bench::new();
    let [r, call] = [bench.key(), bench.key()];
    let facts = [
        read_by_loop(r, 10),
        born(T, LOOP, 12, CALLBACK),
        called_by(call, T, 20, 5),
        answered_by(r, T, 30, 5),
        ended(T, 40),
    ];
    let decisions = decisions(&facts, call, r);
    assert!(decisions.contains(&Decision::Below(r, None)));
    let mut bench = Bench::new();
    crowd(&mut bench);
    bench.hear(&facts[..3]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(None, Until::Unit(T)), "it has not answered yet");
    assert!(bench.court.hear(&facts[3]).contains(&call));
    assert_eq!(bench.judge(call, Stage::Made), Decision::Wait(Some(r), Until::Settled));
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Below(r, None));
}

#[test]
fn a_thread_in_a_context_that_a_task_lent_it_works_for_that_task_once_the_context_is_gone() {
    let lent = UnitKey { tgid: 1, kind: UNIT_LENT, id: 0x9000 };
    let mut bench = Bench::new();
    let [r, call] = [bench.key(), bench.key()];
    crowd(&mut bench);
    bench.hear(&[
        read_by_loop(r, 10),
        born(T, LOOP, 12, CALLBACK),
        born(lent, T, 15, 5),
        called_by(call, lent, 20, 15),
    ]);
    bench.hear(&[answered_by(r, T, 30, 5)]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(Some(r), Until::Unit(lent)), "it may be a worker's");
    assert!(bench.court.hear(&ended(lent, 35)).contains(&call));
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Below(r, Some(Evidence::ChildUnit)));
}

#[test]
fn a_connections_task_is_believed_only_after_what_read_the_request_woke_it() {
    let mut bench = Bench::new();
    let [r, s, first, late, second] = std::array::from_fn(|_| bench.key());
    crowd(&mut bench);
    bench.hear(&[
        born(T, LOOP, 1, CALLBACK),
        read_by_loop(r, 10),
        woke(T, 11, CALLBACK),
        called_by(first, T, 20, 5),
        answered_by(r, T, 30, 5),
        // It is not done with the first request when the second is read; a timer wakes it.
        read_by_loop(s, 40),
        woke(T, 41, 0xdd),
        called_by(late, T, 45, 5),
        woke(T, 50, CALLBACK),
        called_by(second, T, 55, 5),
        answered_by(s, T, 60, 5),
    ]);
    assert_eq!(bench.judge(first, Stage::Settled), Decision::Below(r, None));
    assert_eq!(bench.judge(late, Stage::Late), Decision::Root(Missing::NoRequest));
    assert_eq!(bench.judge(second, Stage::Settled), Decision::Below(s, None));
}

#[test]
fn an_address_that_is_used_again_is_another_task() {
    let mut bench = Bench::new();
    let [r, s, call]: [SpanKey; 3] = std::array::from_fn(|_| bench.key());
    crowd(&mut bench);
    // Without births, its number tells.
    bench.hear(&[read_by_loop(r, 10), called_by(call, T, 20, 5), answered_by(r, T, 30, 6)]);
    assert_eq!(bench.judge(call, Stage::Late), Decision::Root(Missing::NoRequest));
    // Without a number, births do.
    let mut bench = Bench::new();
    crowd(&mut bench);
    bench.hear(&[
        read_by_loop(s, 10),
        born(T, LOOP, 11, 0),
        called_by(call, T, 20, 0),
        ended(T, 22),
        born(T, LOOP, 23, 0),
        answered_by(s, T, 30, 0),
    ]);
    assert_eq!(bench.judge(call, Stage::Late), Decision::Root(Missing::NoRequest));
    // Without either, nothing does.
    let mut bench = Bench::new();
    crowd(&mut bench);
    bench.hear(&[read_by_loop(s, 10), called_by(call, T, 20, 0), answered_by(s, T, 30, 0)]);
    assert_eq!(bench.judge(call, Stage::Late), Decision::Root(Missing::NoRequest));
}

#[test]
fn a_child_that_ends_made_its_calls_for_what_its_maker_answers_and_a_worker_did_not() {
    let mut bench = Bench::new();
    let [r, call] = [bench.key(), bench.key()];
    let facts =
        [read_by_loop(r, 10), born(U, T, 15, 5), called_by(call, U, 20, 6), ended(U, 25), answered_by(r, T, 30, 5)];
    let child = Decision::Below(r, Some(Evidence::ChildUnit));
    assert!(decisions(&facts, call, r).contains(&child));
    bench.hear(&[&facts[..3], &facts[4..]].concat());
    assert!(matches!(bench.judge(call, Stage::Settled), Decision::Wait(Some(_), Until::Unit(U))), "it may be a worker");
    assert_eq!(bench.judge(call, Stage::Late), Decision::Root(Missing::NoRequest));
}

#[test]
fn what_a_task_does_after_its_only_answer_is_that_requests_once_it_ends() {
    let mut bench = Bench::new();
    let [r, call] = [bench.key(), bench.key()];
    crowd(&mut bench);
    bench.hear(&[
        read_by_loop(r, 10),
        born(T, LOOP, 12, CALLBACK),
        answered_by(r, T, 30, 5),
        called_by(call, T, 40, 5),
    ]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(Some(r), Until::Unit(T)));
    assert_eq!(bench.court.hear(&ended(T, 50)), [call]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Below(r, Some(Evidence::AfterAnswer)));
}

#[test]
fn a_program_that_serves_nothing_waits_for_no_answer() {
    let mut bench = Bench::new();
    let call = bench.key();
    bench.hear(&[called_by(call, T, 20, 5)]);
    assert_eq!(bench.judge(call, Stage::Made), Decision::Wait(None, Until::Settled));
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Root(Missing::NoRequest));
}

#[test]
fn a_task_made_by_its_connections_task_for_a_request_made_its_calls_for_it() {
    let mut bench = Bench::new();
    let [r, s, call, late] = std::array::from_fn(|_| bench.key());
    crowd(&mut bench);
    bench.hear(&[
        born(T, LOOP, 5, CALLBACK),
        read_by_loop(r, 10),
        woke(T, 11, CALLBACK),
        born(U, T, 12, 5),
        called_by(call, U, 20, 6),
        answered_by(r, U, 30, 6),
        // It goes on with something else, and answers again.
        read_by_loop(s, 40),
        called_by(late, U, 50, 6),
        answered_by(s, U, 60, 6),
    ]);
    assert_eq!(bench.judge(call, Stage::Settled), Decision::Below(r, None));
    assert_eq!(bench.judge(late, Stage::Late), Decision::Root(Missing::NoRequest));
}

/// A loop's one thread, and a request that it read on the connection with this cookie.
fn on_connection(request: SpanKey, cookie: u64, queued: bool, time: u64) -> Fact {
    let unit = UnitKey::thread(2, 2);
    Fact::Read { request, unit, connection: cookie, cookie, at: at(time), waited: false, queued }
}

#[test]
fn what_a_proxy_passes_on_is_the_requests_of_the_connection_that_it_names() {
    let thread = UnitKey::thread(2, 2);
    let relayed = |of, time| Fact::Relayed { by: thread, to: 5, of, time };
    let mut bench = Bench::new();
    let [r, s, first, second] = std::array::from_fn(|_| bench.key());
    let facts = [relayed(10, 20), called(first, thread, 21), relayed(11, 30), called(second, thread, 31)];
    for order in orders(facts.len()) {
        let mut bench = Bench::new();
        bench.hear(&[on_connection(r, 10, true, 1), on_connection(s, 11, true, 2)]);
        for fact in order.iter().map(|n| &facts[*n]) {
            bench.court.hear(fact);
        }
        assert_eq!(bench.judge(first, Stage::Settled), Decision::Below(r, None), "{order:?}");
        assert_eq!(bench.judge(second, Stage::Settled), Decision::Below(s, None), "{order:?}");
    }
}

#[test]
fn of_requests_that_were_read_before_the_one_before_was_over_a_proxy_names_none() {
    let thread = UnitKey::thread(2, 2);
    let relayed = Fact::Relayed { by: thread, to: 5, of: 10, time: 30 };
    let decide = |second: u64, queued: bool, first_over: Option<u64>| {
        let mut bench = Bench::new();
        let [r, s, call] = std::array::from_fn(|_| bench.key());
        bench.hear(&[on_connection(r, 10, queued, 1), on_connection(s, 10, queued, second)]);
        bench.hear(&first_over.map(|time| over(r, thread, time)).into_iter().collect::<Vec<_>>());
        bench.hear(&[relayed.clone(), called(call, thread, 31)]);
        (bench.judge(call, Stage::Settled), r, s)
    };
    let (found, _, s) = decide(20, true, Some(19));
    assert_eq!(found, Decision::Below(s, None), "one after the other");
    assert_eq!(decide(10, true, Some(19)).0, Decision::Root(Missing::SeveralRequests), "pipelined");
    assert_eq!(decide(10, true, None).0, Decision::Root(Missing::SeveralRequests));
    assert_eq!(decide(20, false, Some(19)).0, Decision::Root(Missing::SeveralRequests), "streams");
    let (found, r, _) = decide(40, true, None);
    assert_eq!(found, Decision::Below(r, None), "what is read later is not it");
}

/// The next request is missing, and the call may be made for that.
#[test]
fn a_proxys_request_that_may_be_over_since_records_were_lost_is_believed_once_it_is_answered_later() {
    let thread = UnitKey::thread(2, 2);
    let relayed = Fact::Relayed { by: thread, to: 5, of: 10, time: 20 };
    let lost = |losing| Fact::Lost { of: Some(2), losing };
    let unknown = |request| Fact::Over { request, answered: None, read: None };
    // While it was in flight, or while it was read.
    for at in [1, 0] {
        let decide = |end: fn(SpanKey) -> Fact| {
            let mut bench = Bench::new();
            let [r, call] = std::array::from_fn(|_| bench.key());
            let mut facts = vec![on_connection(r, 10, true, 1), lost(false), relayed.clone(), called(call, thread, 21)];
            facts.insert(at, lost(true));
            bench.hear(&facts);
            assert_eq!(bench.judge(call, Stage::Settled), Decision::Wait(Some(r), Until::Over));
            bench.hear(&[end(r)]);
            (bench.judge(call, Stage::Settled), r)
        };
        let (found, r) = decide(|r| over(r, UnitKey::thread(2, 2), 30));
        assert_eq!(found, Decision::Below(r, None), "it was under way all the time");
        assert_eq!(decide(unknown).0, Decision::Root(Missing::SeveralRequests), "it ended at no known moment");
        assert_eq!(decide(|r| over(r, UnitKey::thread(2, 2), 15)).0, Decision::Root(Missing::NoRequest));
    }
}

#[test]
fn what_a_runtimes_unit_serves_is_not_known_where_records_were_lost_meanwhile() {
    let unit = UnitKey { tgid: 2, kind: 1, id: 9 };
    let lost = |losing| Fact::Lost { of: None, losing };
    for at in 0..3 {
        let mut bench = Bench::new();
        let [r, call] = std::array::from_fn(|_| bench.key());
        let mut facts = vec![read(r, unit, 1), called(call, unit, 21)];
        facts.splice(at..at, [lost(true), lost(false)]);
        bench.hear(&facts);
        let found = bench.judge(call, Stage::Settled);
        // (What comes after a loss may be inferred: what was lost is not about that.)
        assert!(
            found == Decision::Root(Missing::LostRecords) || at == 0 && matches!(found, Decision::Wait(..)),
            "{at}: {found:?}"
        );
    }
}
