use super::*;
use slotmap::SlotMap;

use crate::rules::{Evidence, lone_request, waiting_thread};

fn spans() -> [SpanKey; 3] {
    let mut map: SlotMap<SpanKey, ()> = SlotMap::with_key();
    [(); 3].map(|()| map.insert(()))
}

/// A request read by a thread that waits for it.
fn waiting(span: SpanKey, connection: u64) -> Request {
    Request { span, connection, nonblocking: false, queued: true }
}

/// A request read by a thread that was told that there is one.
fn polled(span: SpanKey, connection: u64) -> Request {
    Request { span, connection, nonblocking: true, queued: true }
}

/// What speaks for a call that was made at `moment`.
fn evidence(units: &Units, moment: Moment, ran_on: bool) -> Option<Evidence> {
    let lone = lone_request::speaks(units, moment, ran_on).then_some(Evidence::LoneRequest);
    lone.or_else(|| waiting_thread::speaks(units, moment).then_some(Evidence::WaitingThread))
}

const A: UnitKey = UnitKey { tgid: 1, kind: 0, id: 1 };
const B: UnitKey = UnitKey { tgid: 1, kind: 0, id: 2 };
const C: UnitKey = UnitKey { tgid: 1, kind: 0, id: 3 };

#[test]
fn a_call_hangs_below_the_one_request_in_flight_and_below_none_after_its_answer() {
    let [s, ..] = spans();
    let mut units = Units::default();
    assert_eq!(units.proof(A), Proof::None);
    units.read_request(A, waiting(s, 1));
    assert_eq!(units.proof(A), Proof::Request(s));
    assert_eq!(units.proof(B), Proof::None);
    units.over(A, s, true);
    assert_eq!(units.proof(A), Proof::None);
    assert_eq!(units.len(), 1, "that the process has served");
}

#[test]
fn a_thread_that_read_a_second_request_before_answering_proves_nothing_any_more() {
    let [s, t, u] = spans();
    let mut units = Units::default();
    units.read_request(A, waiting(s, 1));
    units.read_request(A, waiting(t, 2));
    assert_eq!(units.proof(A), Proof::None);
    units.over(A, s, true);
    units.over(A, t, true);
    units.read_request(A, waiting(u, 3));
    assert_eq!(units.proof(A), Proof::None);
}

#[test]
fn pipelined_requests_of_one_connection_prove_nothing_while_they_overlap_but_make_no_event_loop() {
    let [s, t, u] = spans();
    let mut units = Units::default();
    units.read_request(A, waiting(s, 1));
    units.read_request(A, waiting(t, 1));
    assert_eq!(units.proof(A), Proof::None);
    units.over(A, s, true);
    units.over(A, t, true);
    units.read_request(A, waiting(u, 1));
    assert_eq!(units.proof(A), Proof::Request(u));
}

#[test]
fn calls_of_a_thread_created_for_a_request_are_proven_when_it_ends() {
    let [s, call, _] = spans();
    let mut units = Units::default();
    units.read_request(A, waiting(s, 1));
    units.created(A, B);
    assert_eq!(units.proof(B), Proof::IfOneShot(s));
    units.wait_for_end(B, call);
    assert_eq!(units.ended(B, false), [(call, s)]);
}

#[test]
fn the_end_of_a_process_does_not_make_its_pooled_threads_one_shots() {
    let [s, call, other] = spans();
    let child = UnitKey::thread(7, 7);
    let mut units = Units::default();
    units.read_request(A, waiting(s, 1));
    units.created(A, B);
    units.created(A, child);
    units.wait_for_end(B, call);
    units.wait_for_end(child, other);
    assert_eq!(units.ended(B, true), []);
    assert_eq!(units.ended(child, true), [(other, s)]);
}

#[test]
fn a_thread_created_by_such_a_thread_waits_for_its_creator_too() {
    let [s, call, _] = spans();
    let mut units = Units::default();
    units.read_request(A, waiting(s, 1));
    units.created(A, B);
    units.created(B, C);
    units.wait_for_end(C, call);
    assert_eq!(units.ended(C, false), []);
    assert_eq!(units.ended(B, false), [(call, s)]);
}

#[test]
fn a_thread_created_by_an_idle_or_multiplexing_creator_belongs_to_nothing() {
    let [s, t, _] = spans();
    let mut units = Units::default();
    units.created(A, B);
    assert_eq!(units.proof(B), Proof::None);
    units.read_request(A, waiting(s, 1));
    units.read_request(A, waiting(t, 2));
    units.created(A, C);
    assert_eq!(units.proof(C), Proof::None);
}

#[test]
fn threads_prove_nothing_where_a_request_was_answered_by_another_than_read_it() {
    let [s, call, _] = spans();
    let elsewhere = UnitKey::thread(2, 9);
    let mut units = Units::default();
    units.read_request(A, waiting(s, 1));
    units.read_request(elsewhere, waiting(s, 2));
    units.created(A, C);
    units.wait_for_end(C, call);
    units.passed(A, A);
    assert_eq!(units.proof(A), Proof::Request(s));
    units.passed(B, C);
    assert_eq!(units.proof(A), Proof::None);
    assert_eq!(units.ended(C, false), []);
    assert_eq!(units.proof(elsewhere), Proof::Request(s));
}

#[test]
fn after_a_loss_a_thread_proves_nothing_until_what_it_had_in_flight_is_over() {
    let [s, t, u] = spans();
    let mut units = Units::default();
    units.read_request(A, waiting(s, 1));
    units.created(A, B);
    units.lost_records(None, true);
    units.read_request(C, waiting(t, 2));
    assert_eq!((units.proof(A), units.proof(B), units.proof(C)), (Proof::None, Proof::None, Proof::None));
    units.lost_records(None, false);
    assert_eq!((units.proof(A), units.proof(B), units.proof(C)), (Proof::None, Proof::None, Proof::None));
    // The answer to the first was missed, which makes no event loop.
    units.read_request(A, waiting(u, 3));
    assert_eq!(units.proof(A), Proof::None);
    units.over(A, s, true);
    assert_eq!(units.proof(A), Proof::Request(u));
    units.read_request(A, waiting(t, 4));
    units.over(A, t, true);
    assert_eq!(units.proof(A), Proof::None);
}

#[test]
fn an_event_loop_is_known_without_a_list_of_what_it_has_in_flight() {
    let [s, t, u] = spans();
    let mut units = Units::default();
    for (connection, span) in [s, t, u].into_iter().enumerate() {
        units.read_request(A, polled(span, connection as u64));
    }
    assert!(units.states[&A].does_more() && units.states[&A].in_flight.is_empty());
}

#[test]
fn a_thread_id_that_comes_back_is_another_thread() {
    let [s, t, u] = spans();
    let mut units = Units::default();
    units.read_request(B, waiting(s, 1));
    units.read_request(B, waiting(t, 2));
    units.created(A, B);
    units.read_request(B, waiting(u, 3));
    assert_eq!(units.proof(B), Proof::Request(u));
}

/// What speaks for a call by `unit` now, and would later if nothing happened.
fn spoken(units: &Units, unit: UnitKey) -> Option<(SpanKey, Option<Evidence>)> {
    match units.proof(unit) {
        Proof::Perhaps(server, moment) => Some((server, evidence(units, moment, true))),
        _ => None,
    }
}

#[test]
fn a_lone_request_of_an_event_loop_has_evidence_but_no_proof() {
    let [s, ..] = spans();
    let mut units = Units::default();
    units.read_request(A, polled(s, 1));
    assert_eq!(spoken(&units, A), Some((s, Some(Evidence::LoneRequest))));
}

#[test]
fn an_event_loop_that_reads_a_second_request_soon_after_loses_the_evidence_for_the_first() {
    let [s, t, _] = spans();
    let mut units = Units::default();
    units.read_request(A, polled(s, 1));
    let Proof::Perhaps(_, moment) = units.proof(A) else { panic!("{:?}", units.proof(A)) };
    units.read_request(A, polled(t, 2));
    assert_eq!(evidence(&units, moment, true), None);
}

#[test]
fn an_event_loop_that_ever_calls_without_a_request_has_no_evidence_any_more() {
    let [s, t, _] = spans();
    let mut units = Units::default();
    units.read_request(A, polled(s, 1));
    let Proof::Perhaps(_, moment) = units.proof(A) else { panic!("{:?}", units.proof(A)) };
    units.over(A, s, true);
    units.calls(A);
    assert_eq!(evidence(&units, moment, true), None);
    units.read_request(A, polled(t, 1));
    assert_eq!(units.proof(A), Proof::None);
}

#[test]
fn what_a_program_calls_before_its_first_request_is_held_against_nobody() {
    let [s, ..] = spans();
    let mut units = Units::default();
    units.calls(A);
    units.read_request(A, polled(s, 1));
    assert_eq!(spoken(&units, A), Some((s, Some(Evidence::LoneRequest))));
}

#[test]
fn a_request_on_another_loop_of_the_process_takes_the_evidence_away() {
    let [s, t, _] = spans();
    let mut units = Units::default();
    units.read_request(B, polled(s, 1));
    units.read_request(C, polled(t, 2));
    assert_eq!(spoken(&units, B), Some((s, None)));
    units.over(B, s, true);
    assert_eq!(spoken(&units, C), Some((t, None)));
}

#[test]
fn a_pool_of_workers_that_block_for_responses_is_told_from_event_loops() {
    let [s, t, u] = spans();
    let mut units = Units::default();
    units.read_request(B, polled(s, 1));
    units.read_request(C, polled(t, 2));
    units.waited(B);
    assert_eq!(spoken(&units, B), Some((s, Some(Evidence::WaitingThread))));
    assert_eq!(spoken(&units, C), Some((t, None)));
    units.read_request(B, polled(u, 3));
    assert_eq!(spoken(&units, B), None);
}

#[test]
fn a_process_that_takes_in_what_cannot_be_read_has_no_lone_requests() {
    let [s, t, _] = spans();
    let mut units = Units::default();
    units.reads_unknown(A.tgid);
    units.read_request(A, polled(s, 1));
    assert_eq!(spoken(&units, A), Some((s, None)));
    // Threads that wait for their requests are not concerned.
    units.read_request(B, waiting(t, 2));
    assert_eq!(units.proof(B), Proof::Request(t));
}

#[test]
fn after_a_loss_evidence_from_before_counts_for_nothing() {
    let [s, ..] = spans();
    let mut units = Units::default();
    units.read_request(A, polled(s, 1));
    let Proof::Perhaps(_, moment) = units.proof(A) else { panic!("{:?}", units.proof(A)) };
    units.lost_records(None, true);
    units.lost_records(None, false);
    assert_eq!(evidence(&units, moment, true), None);
}

#[test]
fn what_one_process_lost_is_held_against_no_other() {
    let [s, t, ..] = spans();
    let elsewhere = UnitKey::thread(A.tgid + 1, 9);
    let mut units = Units::default();
    units.read_request(A, waiting(s, 1));
    units.read_request(elsewhere, polled(t, 2));
    let Proof::Perhaps(_, moment) = units.proof(elsewhere) else { panic!("{:?}", units.proof(elsewhere)) };
    units.lost_records(Some(A.tgid), true);
    assert_eq!((units.proof(A), units.missing(A)), (Proof::None, Missing::LostRecords));
    assert_eq!(units.proof(elsewhere), Proof::Perhaps(t, moment));
    units.lost_records(Some(A.tgid), false);
    assert_eq!(units.proof(A), Proof::None);
    assert!(units.stands(moment));
    units.lost_records(Some(elsewhere.tgid), true);
    units.lost_records(Some(elsewhere.tgid), false);
    assert!(!units.stands(moment));
}

#[test]
fn a_client_that_leaves_makes_no_event_loop_of_the_thread_that_waited_for_it() {
    let [s, t, u] = spans();
    let mut units = Units::default();
    units.read_request(A, waiting(s, 1));
    units.read_request(A, waiting(t, 2));
    assert_eq!(units.proof(A), Proof::None);
    units.over(A, s, false);
    assert_eq!(units.proof(A), Proof::Request(t));
    units.read_request(A, waiting(u, 3));
    units.over(A, t, true);
    units.read_request(A, waiting(s, 4));
    assert_eq!(units.proof(A), Proof::None);
}

#[test]
fn what_an_event_loop_starts_proves_nothing() {
    let [s, ..] = spans();
    let mut units = Units::default();
    units.read_request(A, polled(s, 1));
    units.created(A, B);
    assert_eq!(units.proof(B), Proof::None);
}

#[test]
fn a_call_after_a_sleep_has_no_evidence_but_that_of_a_worker_unless_no_request_came_before() {
    let [s, t, _] = spans();
    let mut units = Units::default();
    units.read_request(A, polled(t, 1));
    let Proof::Perhaps(_, moment) = units.proof(A) else { panic!("{:?}", units.proof(A)) };
    assert_eq!(evidence(&units, moment, false), Some(Evidence::LoneRequest));
    units.over(A, t, true);
    units.read_request(A, polled(s, 1));
    let Proof::Perhaps(_, moment) = units.proof(A) else { panic!("{:?}", units.proof(A)) };
    assert_eq!(evidence(&units, moment, false), None);
    units.waited(A);
    assert_eq!(evidence(&units, moment, false), Some(Evidence::WaitingThread));
}

#[test]
fn requests_that_overlap_on_one_connection_show_an_event_loop_unless_their_reader_waits_and_they_queue() {
    let [s, t, u] = spans();
    let streams = |span| Request { queued: false, ..waiting(span, 1) };
    for (first, second) in [(polled(s, 1), polled(t, 1)), (streams(s), streams(t))] {
        let mut units = Units::default();
        units.read_request(A, first);
        units.read_request(A, second);
        units.over(A, s, true);
        units.over(A, t, true);
        units.read_request(A, Request { span: u, ..first });
        assert_eq!(units.proof(A), Proof::None);
    }
}

const SECOND: u64 = 1_000_000_000;

impl Units {
    /// Requests are read and answered one at a time, ten a second, from `from` on. Returns when that ends.
    fn one_at_a_time(&mut self, from: u64, seconds: u64, request: Request) -> u64 {
        for n in 0..10 * seconds {
            self.set_time(from + n * SECOND / 10);
            self.read_request(A, request);
            self.over(A, request.span, true);
            self.passed(A, A);
        }
        from + seconds * SECOND
    }
}

#[test]
fn an_event_loop_that_showed_one_request_at_a_time_for_long_has_evidence_again_and_a_relapse_takes_it_away() {
    let [s, t, _] = spans();
    let mut units = Units::default();
    units.read_request(A, polled(s, 1));
    units.read_request(A, polled(t, 2));
    units.over(A, s, true);
    units.over(A, t, true);
    units.one_at_a_time(SECOND, 9, polled(s, 1));
    units.read_request(A, polled(t, 1));
    assert_eq!(spoken(&units, A), None, "not yet");
    units.over(A, t, true);
    let now = units.one_at_a_time(10 * SECOND, 3, polled(s, 1));
    units.read_request(A, polled(t, 1));
    assert_eq!(spoken(&units, A), Some((t, Some(Evidence::LoneRequest))));
    units.read_request(A, polled(s, 2));
    units.over(A, s, true);
    units.over(A, t, true);
    let now = units.one_at_a_time(now, 12, polled(s, 1));
    units.read_request(A, polled(t, 1));
    assert_eq!(spoken(&units, A), None, "twice as long");
    units.over(A, t, true);
    units.one_at_a_time(now, 12, polled(s, 1));
    units.read_request(A, polled(t, 1));
    assert_eq!(spoken(&units, A), Some((t, Some(Evidence::LoneRequest))));
}

#[test]
fn calls_outside_requests_keep_the_doubt_alive() {
    let [s, t, _] = spans();
    let mut units = Units::default();
    units.read_request(A, polled(s, 1));
    units.over(A, s, true);
    units.calls(A);
    let mut now = 0;
    for _ in 0..30 {
        now = units.one_at_a_time(now, 5, polled(s, 1));
        units.calls(A);
    }
    units.read_request(A, polled(t, 1));
    assert_eq!(spoken(&units, A), None);
}

#[test]
fn a_thread_that_was_ever_in_doubt_proves_nothing_but_may_be_believed() {
    let [s, t, _] = spans();
    for overlap in [true, false] {
        let mut units = Units::default();
        match overlap {
            true => {
                units.read_request(A, waiting(s, 1));
                units.read_request(A, waiting(t, 2));
                units.over(A, s, true);
                units.over(A, t, true);
            }
            false => units.passed(A, B),
        }
        units.one_at_a_time(SECOND, 12, waiting(s, 1));
        units.read_request(A, waiting(t, 1));
        let Proof::Perhaps(request, moment) = units.proof(A) else { panic!("{:?}", units.proof(A)) };
        assert_eq!(request, t);
        units.waited(A);
        assert_eq!(evidence(&units, moment, false), Some(Evidence::WaitingThread));
    }
}

#[test]
fn what_cannot_be_read_stands_in_the_way_of_lone_requests_for_good_and_of_nothing_else() {
    let [s, t, _] = spans();
    let mut units = Units::default();
    units.reads_unknown(A.tgid);
    units.one_at_a_time(SECOND, 100, polled(s, 1));
    units.read_request(A, polled(t, 1));
    assert_eq!(spoken(&units, A), Some((t, None)));
    assert_eq!(units.held(A.tgid), Held { unread: Some(0), ..Held::default() });
    units.waited(A);
    assert_eq!(spoken(&units, A), Some((t, Some(Evidence::WaitingThread))));
}
