//! Goroutines that others made: helpers of a request, workers of a pool that grows as needed, and what is done after the answer.

use slotmap::SlotMap;
use wirespan_common::UNIT_GOROUTINE;

use super::*;
use crate::facts::{At, Handle, Place, UnitKey};

const MILLI: u64 = 1_000_000;
const SITE: u64 = 0x4_5000;
/// Who serves all requests: they come on one connection.
const SERVER: UnitKey = goroutine(1);
/// Who writes what they call.
const WRITER: UnitKey = goroutine(2);
const SOCKET: Place = Place::Connection(5);
/// Where who calls writes itself.
const OWN: Place = Place::Connection(6);

const fn goroutine(id: u64) -> UnitKey {
    UnitKey { tgid: 1, kind: UNIT_GOROUTINE, id }
}

/// Requests one after the other, each 100 ms long, with a helper that calls.
struct Program {
    court: Court,
    keys: SlotMap<SpanKey, ()>,
    /// Requests so far.
    count: u64,
}

/// When a helper does what, milliseconds after the request was read. The answer is at 50.
#[derive(Clone, Copy)]
struct Helper {
    calls: u64,
    ends: Option<u64>,
}

const GOOD: Helper = Helper { calls: 20, ends: Some(40) };

impl Program {
    fn new() -> Self {
        Self { court: Court::new(true, Arc::default()), keys: SlotMap::with_key(), count: 0 }
    }

    /// When the last request began.
    fn now(&self) -> u64 {
        (self.count + 1) * 1000 * MILLI
    }

    fn hear(&mut self, facts: impl IntoIterator<Item = Fact>) {
        facts.into_iter().for_each(|fact| drop(self.court.hear(&fact)));
    }

    /// One request, which is told of in reverse where that is possible. Returns it, and its helper's call.
    fn serves(&mut self, helper: Helper) -> (SpanKey, SpanKey) {
        let (request, call) = (self.keys.insert(()), self.keys.insert(()));
        self.count += 1;
        let (begin, unit) = (self.now(), goroutine(100 + self.count));
        let time = |millis: u64| begin + millis * MILLI;
        let at = |millis: u64| At { time: time(millis), tid: 1, ..At::default() };
        let hands = Fact::HandedOver { by: unit, to: SOCKET, handle: None, time: time(helper.calls) };
        let called = Fact::Called { call, unit: WRITER, place: SOCKET, at: at(helper.calls), opened: None };
        let over = Fact::Over { request, answered: Some((Some(SERVER), at(50))), read: None };
        let (born, read) = (born(unit, SERVER, time(10)), read(request, SERVER, 1, time(0)));
        self.hear([born, read, called, hands]);
        self.hear(helper.ends.map(|ends| Fact::Ended { unit, with_process: false, time: time(ends) }));
        self.hear([over]);
        (request, call)
    }

    /// Asks about a call of the last request, when that is over and all is told.
    fn judge(&mut self, call: SpanKey, stage: Stage) -> Decision {
        self.court.book.passes(self.now() + 500 * MILLI);
        self.court.ask(call, stage, |_| Ok(()))
    }

    /// So many of them.
    fn serve_many(&mut self, helper: Helper, count: u32) {
        for _ in 0..count {
            let (request, call) = self.serves(helper);
            // What is to be learnt must not depend on whether the trace has left.
            self.court.book.forget(request);
            self.court.book.forget(call);
            self.court.book.passes(self.now() + 500 * MILLI);
        }
    }
}

fn read(request: SpanKey, unit: UnitKey, connection: u64, time: u64) -> Fact {
    let at = At { time, tid: 1, ..At::default() };
    Fact::Read { request, unit, connection, cookie: 0, at, waited: true, queued: true }
}

fn born(unit: UnitKey, of: UnitKey, time: u64) -> Fact {
    Fact::Born { unit, of: Some(of), site: SITE, mark: 0, time }
}

fn below(request: SpanKey) -> Decision {
    Decision::Below(request, Some(Evidence::SpawnedGoroutine))
}

/// It may well be, but its place has not shown that often enough.
fn beside(request: SpanKey) -> Decision {
    Decision::Beside(request, Evidence::SpawnedGoroutine, Missing::NoRequest)
}

#[test]
fn a_helpers_call_is_its_requests_once_its_place_has_shown_that_it_makes_helpers() {
    let mut program = Program::new();
    for n in 0..32 {
        let (request, call) = program.serves(GOOD);
        match n {
            31 => {}
            _ => assert_eq!(program.judge(call, Stage::Quiet), beside(request), "{n}"),
        }
    }
    let (request, call) = program.serves(GOOD);
    assert_eq!(program.judge(call, Stage::Settled), Decision::Wait(Some(request), Until::Quiet));
    assert_eq!(program.judge(call, Stage::Quiet), below(request));
}

#[test]
fn a_call_waits_until_the_request_is_over() {
    let mut program = Program::new();
    program.serve_many(GOOD, 40);
    let (request, call) = (program.keys.insert(()), program.keys.insert(()));
    program.count += 1;
    let begin = program.now();
    let at = |millis: u64| At { time: begin + millis * MILLI, tid: 1, ..At::default() };
    let unit = goroutine(7);
    program.hear([
        read(request, SERVER, 1, begin),
        born(unit, SERVER, at(10).time),
        Fact::Called { call, unit, place: OWN, at: at(20), opened: None },
    ]);
    program.court.book.passes(at(5000).time);
    for stage in [Stage::Settled, Stage::Quiet] {
        assert_eq!(program.judge(call, stage), Decision::Wait(Some(request), Until::Over));
    }
    program.hear([Fact::Ended { unit, with_process: false, time: at(5010).time }]);
    let told = Fact::Over { request, answered: Some((Some(SERVER), at(5020))), read: None };
    program.court.book.may_hang(call, request);
    assert_eq!(program.court.hear(&told), [call]);
    program.court.book.passes(at(5500).time);
    assert_eq!(program.judge(call, Stage::Quiet), below(request));
}

#[test]
fn a_place_whose_goroutines_outlive_requests_is_not_believed() {
    let late_end = Helper { calls: 20, ends: Some(70) };
    let no_end = Helper { calls: 20, ends: None };
    let late_call = Helper { calls: 60, ends: Some(70) };
    for bad in [late_end, no_end, late_call] {
        let mut program = Program::new();
        program.serve_many(GOOD, 40);
        let (_, call) = program.serves(bad);
        assert!(matches!(program.judge(call, Stage::Quiet), Decision::Root(_)));
        let (_, call) = program.serves(GOOD);
        assert!(matches!(program.judge(call, Stage::Quiet), Decision::Root(_)), "it makes workers, too");
        program.serve_many(GOOD, 40);
        let (request, call) = program.serves(GOOD);
        assert_eq!(program.judge(call, Stage::Quiet), below(request), "it has shown otherwise for long");
    }
}

#[test]
fn after_a_loss_nobody_knows_who_made_whom() {
    let mut program = Program::new();
    program.serve_many(GOOD, 40);
    let (_, call) = program.serves(GOOD);
    program.hear([Fact::Lost { of: None, losing: true }, Fact::Lost { of: None, losing: false }]);
    assert!(matches!(program.judge(call, Stage::Quiet), Decision::Root(_)));
}

/// What is wanted of a process's births since that was last asked.
fn wanted(program: &mut Program) -> Vec<(u32, bool)> {
    program.court.book.births.take_wishes()
}

#[test]
fn births_are_asked_for_where_a_call_needs_them_and_no_longer_where_they_explain_nothing() {
    let mut program = Program::new();
    let told = |births, time| Fact::Watched { tgid: 1, births, time };
    program.hear([told(false, MILLI)]);
    // Its goroutines are not told: that of the helper is the only one here.
    let calls = |program: &mut Program, handle| {
        program.count += 1;
        let (request, call) = (program.keys.insert(()), program.keys.insert(()));
        let begin = program.now();
        let at = |millis: u64| At { time: begin + millis * MILLI, tid: 1, ..At::default() };
        let facts = [
            read(request, SERVER, 1, at(0).time),
            Fact::Named { unit: SERVER, handle: Handle(1, 2), lasts: false, time: at(1).time },
            Fact::HandedOver { by: goroutine(50 + program.count), to: SOCKET, handle, time: at(20).time },
            Fact::Called { call, unit: WRITER, place: SOCKET, at: at(20), opened: None },
            Fact::Over { request, answered: Some((Some(SERVER), at(50))), read: None },
        ];
        program.hear(facts);
        let decision = program.judge(call, Stage::Settled);
        program.court.book.stays_root(call);
        decision
    };
    assert_eq!(calls(&mut program, None), Decision::Root(Missing::NoRequest));
    assert_eq!(wanted(&mut program), [(1, true)]);
    let now = program.now();
    program.hear([told(true, now)]);
    program.serve_many(GOOD, 40);
    let (request, call) = program.serves(GOOD);
    assert_eq!(program.judge(call, Stage::Quiet), below(request));
    assert_eq!(wanted(&mut program), []);
    // Calls that say whose they are need no births.
    program.count += 700;
    let now = program.now();
    program.court.book.sweep(now, |_| true);
    assert_eq!(wanted(&mut program), [(1, false)]);
    let (_, call) = program.serves(GOOD);
    assert!(
        matches!(program.judge(call, Stage::Quiet), Decision::Root(_)),
        "what is still told is not the whole of it"
    );
    // What its places have shown is not forgotten.
    assert_eq!(wanted(&mut program), []);
    assert_eq!(calls(&mut program, None), Decision::Root(Missing::NoRequest));
    assert_eq!(wanted(&mut program), [(1, true)]);
    let now = program.now();
    program.hear([told(true, now)]);
    let (request, call) = program.serves(GOOD);
    assert_eq!(program.judge(call, Stage::Quiet), below(request));
}

#[test]
fn calls_that_name_their_request_need_no_births() {
    let mut program = Program::new();
    program.hear([Fact::Watched { tgid: 1, births: false, time: MILLI }]);
    for _ in 0..40 {
        program.count += 1;
        let (request, call) = (program.keys.insert(()), program.keys.insert(()));
        let begin = program.now();
        let at = |millis: u64| At { time: begin + millis * MILLI, tid: 1, ..At::default() };
        let (handle, by) = (Some(Handle(1, program.count)), goroutine(50 + program.count));
        let facts = [
            read(request, SERVER, 1, at(0).time),
            Fact::Named { unit: SERVER, handle: Handle(1, program.count), lasts: false, time: at(1).time },
            Fact::HandedOver { by, to: SOCKET, handle, time: at(20).time },
            Fact::Called { call, unit: WRITER, place: SOCKET, at: at(20), opened: None },
        ];
        program.hear(facts);
        assert_eq!(program.judge(call, Stage::Settled), Decision::Below(request, None));
        program.hear([Fact::Over { request, answered: Some((Some(SERVER), at(50))), read: None }]);
    }
    assert_eq!(wanted(&mut program), []);
}

#[test]
fn a_helper_of_a_helper_works_for_the_same_request_if_both_were_through() {
    let mut program = Program::new();
    program.serve_many(GOOD, 40);
    for (through, linked) in [(45, true), (80, false)] {
        let (request, call) = (program.keys.insert(()), program.keys.insert(()));
        program.count += 1;
        let begin = program.now();
        let at = |millis: u64| At { time: begin + millis * MILLI, tid: 1, ..At::default() };
        let (helper, its) = (goroutine(1000 + program.count), goroutine(2000 + program.count));
        program.hear([
            read(request, SERVER, 1, begin),
            born(helper, SERVER, at(10).time),
            born(its, helper, at(11).time),
            Fact::Called { call, unit: its, place: OWN, at: at(20), opened: None },
            Fact::Ended { unit: its, with_process: false, time: at(30).time },
            Fact::Ended { unit: helper, with_process: false, time: at(through).time },
            Fact::Over { request, answered: Some((Some(SERVER), at(50))), read: None },
        ]);
        program.court.book.passes(at(500).time);
        let decision = program.judge(call, Stage::Quiet);
        assert_eq!(decision == below(request), linked, "{decision:?}");
    }
}

#[test]
fn a_handle_that_outlives_the_answer_names_its_request_after_it_as_well() {
    let handle = Handle(0xc000, 7);
    for (lasts, serves_another) in [(true, false), (false, false), (true, true)] {
        let mut program = Program::new();
        let [r, s, call] = std::array::from_fn(|_| program.keys.insert(()));
        let at = |time: u64| At { time, tid: 1, ..At::default() };
        let helper = goroutine(9);
        program.hear([
            read(r, SERVER, 10, 10),
            Fact::Named { unit: SERVER, handle, lasts, time: 11 },
            Fact::Over { request: r, answered: Some((Some(SERVER), at(20))), read: None },
            read(s, if serves_another { helper } else { SERVER }, 30, 30),
            Fact::HandedOver { by: helper, to: SOCKET, handle: Some(handle), time: 40 },
            Fact::Called { call, unit: WRITER, place: SOCKET, at: at(41), opened: None },
        ]);
        let expected = match (lasts, serves_another) {
            (true, false) => Decision::Below(r, None),
            // What it serves is what it works for, whatever context it has kept.
            (_, true) => Decision::Below(s, None),
            _ => Decision::Root(Missing::NoRequest),
        };
        assert_eq!(program.judge(call, Stage::Settled), expected, "{lasts} {serves_another}");
    }
}
