//! What is made of a loop that numbers its work: small runs of one thread, told in order and out of it.

use std::ops::Range;

use super::*;
use crate::facts::{At, Cause, Place, UnitKey, Work};
use slotmap::SlotMap;

const THREAD: UnitKey = UnitKey { tgid: 1, kind: 0, id: 1 };
/// Sockets: of the client, and what calls go out on.
const FRONT: u64 = 100;
const BACK: u64 = 200;

/// A run of one loop, written down by hand.
#[derive(Default)]
struct Run {
    keys: SlotMap<SpanKey, ()>,
    time: u64,
    newest: u64,
    /// What calls ask for.
    operation: u64,
    facts: Vec<Fact>,
}

impl Run {
    /// A piece of work begins, in which some numbers are given.
    fn begins(&mut self, cause: Cause, cookie: u64) -> &mut Self {
        self.time += 10;
        let (newest, time) = (self.newest, self.time);
        self.facts.push(Fact::Turn { thread: THREAD, cause, cookie, newest, time });
        self.newest += 5;
        self
    }

    fn at(&mut self, runs: u64, by: u64) -> At {
        self.time += 1;
        let work = Work { runs, by, newest: self.newest };
        At { time: self.time, tid: 1, work, ..At::default() }
    }

    /// A request comes on the connection of its number, in a piece of work of its own.
    fn reads(&mut self, n: u64) -> SpanKey {
        self.begins(Cause::Arrival, FRONT + n);
        let (request, at, cookie) = (self.keys.insert(()), self.at(0, 0), FRONT + n);
        self.facts.push(Fact::Read { request, unit: THREAD, connection: n, cookie, at, waited: false, queued: true });
        request
    }

    /// A call goes out on a kept connection; what runs has these numbers.
    fn calls(&mut self, n: u64, runs: u64, by: u64) -> SpanKey {
        let (call, at) = (self.keys.insert(()), self.at(runs, by));
        let place = Place::Connection(BACK + n);
        self.facts.push(Fact::Called { call, unit: THREAD, place, at, opened: None });
        call
    }

    /// Connections are opened, in a piece of work each is there, and a call goes out on it.
    fn opens(&mut self, connections: Range<u64>) -> Vec<SpanKey> {
        let given = self.newest;
        let opened: Vec<At> = connections.clone().map(|_| self.at(given, given)).collect();
        let calls = connections.zip(opened).map(|(n, opened)| {
            self.begins(Cause::Connected, BACK + n);
            let (call, at, place) = (self.keys.insert(()), self.at(given, given), Place::Connection(BACK + n));
            self.facts.push(Fact::Called { call, unit: THREAD, place, at, opened: Some(opened) });
            call
        });
        calls.collect()
    }

    /// Its response comes, in a piece of work of its own.
    fn responds(&mut self, call: SpanKey, n: u64) {
        self.begins(Cause::Arrival, BACK + n);
        let at = self.at(0, 0);
        let (units, operation) = ([Some(THREAD); 2], 1 + self.operation);
        self.facts.push(Fact::Responded { call, units, at: [at; 2], waited: false, operation });
    }

    /// A request makes three calls, one after the other, over a kept connection.
    fn three_in_turn(&mut self, n: u64) -> (SpanKey, [SpanKey; 3]) {
        let request = self.reads(n);
        let calls = [(); 3].map(|()| {
            let call = self.calls(n, 0, 0);
            self.responds(call, n);
            call
        });
        self.answers(request);
        (request, calls)
    }

    fn answers(&mut self, request: SpanKey) {
        let at = self.at(0, 0);
        self.facts.push(Fact::Over { request, answered: Some((Some(THREAD), at)), read: None });
    }

    /// The round of the loop is over: what became of a call?
    fn decision(&mut self, call: SpanKey, stage: Stage) -> Decision {
        self.begins(Cause::Immediate, 0);
        let facts = self.facts.clone();
        decide(&facts, call, stage)
    }
}

fn decide(facts: &[Fact], call: SpanKey, stage: Stage) -> Decision {
    let mut court = Court::new(true, Arc::default());
    facts.iter().for_each(|fact| drop(court.hear(fact)));
    court.book.loops.advance(u64::MAX);
    court.ask(call, stage, |_| Ok(()))
}

/// For whom something is said at a moment.
fn said(run: &mut Run, at: At) -> Decision {
    run.begins(Cause::Immediate, 0);
    let key = run.keys.insert(());
    let mut court = Court::new(true, Arc::default());
    run.facts.iter().for_each(|fact| drop(court.hear(fact)));
    court.book.says(key, THREAD, at);
    court.book.loops.advance(u64::MAX);
    court.ask(key, Stage::Quiet, |_| Ok(()))
}

fn below(request: SpanKey, evidence: Evidence) -> Decision {
    Decision::Below(request, Some(evidence))
}

#[test]
fn what_is_called_in_a_requests_turn_and_answered_with_is_its() {
    let mut run = Run::default();
    let first = run.reads(1);
    let call = run.calls(1, 0, 0);
    let second = run.reads(2);
    let other = run.calls(2, 0, 0);
    run.responds(other, 2);
    run.answers(second);
    run.responds(call, 1);
    // The response of the first is gone on with: only the second call of that request is answered with.
    let next = run.calls(1, 0, 0);
    run.responds(next, 1);
    run.answers(first);
    for (call, request) in [(call, first), (other, second), (next, first)] {
        assert_eq!(run.decision(call, Stage::Quiet), below(request, Evidence::Turn));
    }
}

#[test]
fn it_does_not_matter_in_which_order_that_is_told() {
    let mut run = Run::default();
    let first = run.reads(1);
    let call = run.calls(1, 0, 0);
    let second = run.reads(2);
    let other = run.calls(2, 0, 0);
    run.responds(call, 1);
    run.answers(first);
    run.responds(other, 2);
    run.answers(second);
    run.begins(Cause::Immediate, 0);
    // What happened to one exchange keeps its order; turns are told first, as the kernel does.
    let (turns, rest): (Vec<Fact>, Vec<Fact>) = run.facts.drain(..).partition(|f| matches!(f, Fact::Turn { .. }));
    let [a, b]: [Vec<Fact>; 2] = [[first, call], [second, other]].map(|spans| {
        let about = |fact: &&Fact| match fact {
            Fact::Read { request: span, .. } | Fact::Over { request: span, .. } => spans.contains(span),
            Fact::Called { call: span, .. } | Fact::Responded { call: span, .. } => spans.contains(span),
            _ => false,
        };
        rest.iter().filter(about).cloned().collect()
    });
    for facts in [[turns.clone(), a.clone(), b.clone()].concat(), [turns, b, a].concat()] {
        assert_eq!(decide(&facts, call, Stage::Quiet), below(first, Evidence::Turn));
        assert_eq!(decide(&facts, other, Stage::Quiet), below(second, Evidence::Turn));
    }
}

#[test]
fn numbers_lead_over_a_timer_to_the_request_that_set_it() {
    let mut run = Run::default();
    let first = run.reads(1);
    let timer = run.newest;
    run.reads(2);
    run.begins(Cause::Timer, 0);
    let call = run.calls(1, timer, timer - 1);
    assert_eq!(run.decision(call, Stage::Quiet), below(first, Evidence::AsyncId));
}

#[test]
fn what_makes_calls_again_and_again_is_nobodys() {
    let mut run = Run::default();
    run.reads(1);
    let interval = run.newest;
    run.reads(2);
    run.begins(Cause::Timer, 0);
    let call = run.calls(1, interval, interval - 1);
    run.begins(Cause::Timer, 0);
    let again = run.calls(2, interval, interval - 1);
    for call in [call, again] {
        assert!(matches!(run.decision(call, Stage::Quiet), Decision::Root(_)));
    }
}

#[test]
fn a_chain_that_the_answers_contradict_is_none() {
    let mut run = Run::default();
    run.reads(1);
    let timer = run.newest;
    let second = run.reads(2);
    run.begins(Cause::Timer, 0);
    let call = run.calls(1, timer, timer - 1);
    run.responds(call, 1);
    run.answers(second);
    assert!(matches!(run.decision(call, Stage::Quiet), Decision::Root(_)));
}

/// A worker takes up the next job in the piece of work that a response began: each call seems to be the one before's.
fn handed_over(run: &mut Run, jobs: usize) -> Vec<(SpanKey, SpanKey)> {
    let requests: Vec<SpanKey> = (0..jobs as u64).map(|n| run.reads(n)).collect();
    run.begins(Cause::Immediate, 0);
    let mut call = run.calls(1, 0, 0);
    let mut made = Vec::new();
    for request in requests {
        made.push((call, request));
        run.responds(call, 1);
        run.answers(request);
        call = run.calls(1, 0, 0);
    }
    made
}

/// It hangs below nothing, and is suggested for no other request.
fn is_root(decision: &Decision, request: SpanKey) -> bool {
    match decision {
        Decision::Root(_) => true,
        Decision::Beside(suggested, Evidence::Answer, _) => *suggested == request,
        _ => false,
    }
}

#[test]
fn what_speaks_for_another_request_than_was_answered_is_not_believed_and_the_answer_only_with_experience() {
    let mut run = Run::default();
    let made = handed_over(&mut run, 50);
    let decisions: Vec<Decision> = made.iter().map(|(call, _)| run.decision(*call, Stage::Quiet)).collect();
    for (decision, (_, request)) in decisions.iter().zip(&made) {
        assert!(*decision == below(*request, Evidence::Answer) || is_root(decision, *request), "{decision:?}");
    }
    let linked = decisions.iter().filter(|decision| matches!(decision, Decision::Below(..))).count();
    assert_eq!(linked, 50 - 8, "the first eight are experience");
}

#[test]
fn that_a_worker_goes_on_with_the_next_is_held_against_nobody() {
    let mut run = Run::default();
    handed_over(&mut run, 50);
    let (request, calls) = run.three_in_turn(100);
    for call in calls {
        assert_eq!(run.decision(call, Stage::Quiet), below(request, Evidence::Turn));
    }
}

/// Who waits for one of few connections goes on where another's first call is through, which calls again later.
fn takes_turns(run: &mut Run) {
    let first = run.reads(80);
    let call = run.calls(8, 0, 0);
    let second = run.reads(81);
    run.responds(call, 8);
    let other = run.calls(8, 0, 0);
    run.responds(other, 8);
    run.answers(second);
    let again = run.calls(8, 0, 0);
    run.responds(again, 8);
    run.answers(first);
}

#[test]
fn what_was_contradicted_is_believed_no_more_after_the_same_is_asked() {
    let mut run = Run::default();
    takes_turns(&mut run);
    let (_, same) = run.three_in_turn(1);
    assert_eq!(run.decision(same[1], Stage::Quiet), Decision::Root(Missing::SeveralRequests));
    run.operation = 5;
    let (request, others) = run.three_in_turn(2);
    for call in others {
        assert_eq!(run.decision(call, Stage::Quiet), below(request, Evidence::Turn));
    }
}

#[test]
fn calls_side_by_side_over_connections_of_their_own_are_confirmed_by_the_last() {
    let mut run = Run::default();
    let request = run.reads(1);
    let calls = run.opens(1..4);
    run.reads(2);
    for (n, call) in (1..).zip(&calls) {
        run.responds(*call, n);
    }
    run.answers(request);
    for call in calls {
        assert_eq!(run.decision(call, Stage::Quiet), below(request, Evidence::Turn));
    }
}

#[test]
fn calls_one_after_the_other_over_connections_of_their_own_are_confirmed_by_the_last() {
    let mut run = Run::default();
    let request = run.reads(1);
    let mut made = Vec::new();
    for n in 1..4 {
        let call = run.opens(n..n + 1)[0];
        run.reads(10 + n);
        run.responds(call, n);
        made.push(call);
    }
    run.answers(request);
    for call in made {
        assert_eq!(run.decision(call, Stage::Quiet), below(request, Evidence::Turn));
    }
}

#[test]
fn a_call_waits_for_its_requests_end_where_nothing_was_answered_yet() {
    let mut run = Run::default();
    run.reads(2);
    let first = run.reads(1);
    let call = run.calls(1, 0, 0);
    run.responds(call, 1);
    assert_eq!(run.decision(call, Stage::Quiet), Decision::Wait(Some(first), Until::Over));
    assert!(matches!(run.decision(call, Stage::Late), Decision::Root(_)));
    let next = run.calls(2, 0, 0);
    run.responds(next, 2);
    run.answers(first);
    for call in [call, next] {
        assert!(is_root(&run.decision(call, Stage::Quiet), first), "a round of the loop is between");
    }
}

#[test]
fn after_a_loss_nothing_is_anybodys() {
    let mut run = Run::default();
    let first = run.reads(1);
    run.facts.push(Fact::Lost { of: Some(1), losing: true });
    let call = run.calls(1, 0, 0);
    run.responds(call, 1);
    run.answers(first);
    run.begins(Cause::Immediate, 0);
    let mut court = Court::new(true, Arc::default());
    for fact in &run.facts {
        court.book.loops.advance(fact.time().unwrap_or_default().saturating_sub(1));
        court.hear(fact);
    }
    court.book.loops.advance(u64::MAX);
    assert!(!matches!(court.ask(call, Stage::Late, |_| Ok(())), Decision::Below(_, Some(Evidence::Turn))));
}

#[test]
fn what_is_said_is_said_for_the_request_that_alone_is_answered_then() {
    let mut run = Run::default();
    let (first, second) = (run.reads(1), run.reads(2));
    let at = run.at(0, 0);
    run.answers(second);
    assert_eq!(said(&mut run, at), below(second, Evidence::Turn));
    let third = run.reads(3);
    let at = run.at(0, 0);
    run.answers(first);
    run.answers(third);
    assert_eq!(said(&mut run, at), Decision::Root(Missing::SeveralRequests));
}

#[test]
fn what_is_left_to_be_said_is_said_for_the_request_that_alone_was_answered_where_it_was_left() {
    let mut run = Run::default();
    let first = run.reads(1);
    let left = run.newest;
    run.answers(first);
    let second = run.reads(2);
    run.begins(Cause::Immediate, 0);
    let at = run.at(left, 0);
    run.answers(second);
    assert_eq!(said(&mut run, at), below(first, Evidence::Turn));
}

#[test]
fn what_a_timer_says_is_said_for_the_request_that_set_it() {
    let mut run = Run::default();
    let first = run.reads(1);
    let timer = run.newest;
    run.reads(2);
    run.begins(Cause::Timer, 0);
    let at = run.at(timer, timer - 1);
    assert_eq!(said(&mut run, at), below(first, Evidence::AsyncId));
}

#[test]
fn what_runs_with_a_connections_own_number_is_not_for_whoever_opened_it() {
    let mut run = Run::default();
    let first = run.reads(1);
    let number = run.newest;
    let opened = run.opens(1..2)[0];
    run.responds(opened, 1);
    let second = run.reads(2);
    let asked = run.calls(1, 0, 0);
    run.responds(asked, 1);
    // A callback, as drivers of databases have them.
    let next = run.calls(3, run.newest, number);
    run.responds(next, 3);
    run.answers(second);
    run.begins(Cause::Timer, 0);
    run.answers(first);
    for call in [asked, next] {
        assert_eq!(run.decision(call, Stage::Quiet), below(second, Evidence::Turn));
    }
}

#[test]
fn what_is_sent_on_a_stream_is_for_whoever_is_answered_with_what_it_got() {
    let mut run = Run::default();
    let session = run.newest + 1;
    run.reads(90);
    for n in 0..12 {
        let request = run.reads(n);
        run.begins(Cause::Immediate, 0);
        let (call, at) = (run.keys.insert(()), run.at(session, session));
        run.facts.push(Fact::Called { call, unit: THREAD, place: Place::Stream(BACK, n), at, opened: None });
        run.responds(call, 0);
        run.answers(request);
        let decision = run.decision(call, Stage::Quiet);
        match n {
            0..8 => {
                assert!(matches!(decision, Decision::Beside(to, Evidence::Answer, _) if to == request), "{decision:?}")
            }
            _ => assert_eq!(decision, below(request, Evidence::Answer), "{n}"),
        }
    }
}

#[test]
fn a_sibling_says_nothing_before_it_is_seen_what_was_done_with_the_response() {
    let mut run = Run::default();
    let waiting = run.reads(1);
    // Who waits for the second goes on in its piece of work.
    let second = run.reads(2);
    let timer = run.newest - 10;
    let own = run.calls(1, timer, timer);
    let other = run.calls(2, 0, 0);
    run.responds(own, 1);
    run.answers(second);
    assert_eq!(run.decision(other, Stage::Quiet), Decision::Wait(Some(second), Until::Over));
    run.responds(other, 2);
    run.answers(waiting);
    assert!(is_root(&run.decision(other, Stage::Quiet), waiting));
}
