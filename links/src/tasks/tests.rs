use slotmap::SlotMap;

use super::runner::{GROWN, Start};
use super::*;

const MAIN: UnitKey = UnitKey { tgid: 1, kind: 0, id: 1 };
/// First threads of two children of `MAIN`'s process, and another thread of that process.
const ONE: UnitKey = UnitKey { tgid: 11, kind: 0, id: 11 };
const TWO: UnitKey = UnitKey { tgid: 12, kind: 0, id: 12 };
const POOLED: UnitKey = UnitKey { tgid: 1, kind: 0, id: 5 };

/// Older than anything that happens in these tests.
const T: u64 = 100 * GROWN;

struct World {
    tasks: Tasks,
    keys: SlotMap<SpanKey, ()>,
}

fn actor(unit: UnitKey) -> Actor {
    let parent = if unit.tgid == MAIN.tgid { 0 } else { MAIN.tgid };
    Actor { unit, parent, since: Some(GROWN) }
}

impl World {
    fn new() -> Self {
        Self { tasks: Tasks::default(), keys: SlotMap::with_key() }
    }

    fn take(&mut self, id: &str, at: u64) -> SpanKey {
        self.take_attempt(id, "run/a", 0, at)
    }

    fn take_attempt(&mut self, id: &str, name: &'static str, retries: u32, at: u64) -> SpanKey {
        let span = self.keys.insert(());
        let task = TakenTask {
            id: id.into(),
            retries,
            tag: Some(format!("tag of {id}").into()),
            silent: false,
            grouped: false,
            name: name.into(),
            attributes: Vec::new(),
        };
        let delivery = Delivery { span, protocol: "redis", links: Vec::new(), message: None, sent: None };
        assert!(self.tasks.taken(MAIN, T + at, task, delivery));
        span
    }

    /// Nothing was ever seen to follow on tasks of this name.
    fn quiet(&mut self, name: &'static str) {
        let worker = self.tasks.workers.entry(MAIN.tgid).or_default();
        worker.note_habit((name.into(), false), Seen { call: false, silence: true });
    }

    fn settle(&mut self, id: &str, at: u64) {
        self.tasks.settled_tag(MAIN, &format!("tag of {id}"), T + at);
    }

    /// A call of a thread that slept before it.
    fn call(&mut self, unit: UnitKey, at: u64) -> (SpanKey, Verdict) {
        self.call_after(unit, at, u32::try_from(at).unwrap())
    }

    fn call_after(&mut self, unit: UnitKey, at: u64, switches: u32) -> (SpanKey, Verdict) {
        let span = self.keys.insert(());
        (span, self.tasks.calls(&actor(unit), Call { span, at: T + at, switches }))
    }

    /// A call that has to wait.
    fn held(&mut self, unit: UnitKey, at: u64) -> SpanKey {
        let (span, verdict) = self.call(unit, at);
        assert_eq!(verdict, Verdict::Wait(None), "at {at}");
        span
    }

    fn end(&mut self, unit: UnitKey, id: &str, at: u64) -> Ended {
        let ended = self.tasks.ended(&actor(unit), id, false, T + at, u32::try_from(at).unwrap());
        if ended.execution.is_some() {
            let span = self.keys.insert(());
            self.tasks.executed(unit, span);
        }
        ended
    }

    /// The children of a task that ended, in the order of their calls.
    fn children(&mut self, unit: UnitKey, id: &str, at: u64) -> Children {
        self.end(unit, id, at).execution.expect("an execution").children
    }
}

type Children = Vec<(SpanKey, Option<Evidence>)>;

const LIKELY: Option<Evidence> = Some(Evidence::TaskResult);

#[test]
fn calls_since_the_task_had_certainly_begun_are_its_own_and_those_before_are_so_by_evidence() {
    let mut world = World::new();
    let delivery = world.take("a", 10);
    let early = world.held(ONE, 12);
    world.settle("a", 14);
    let late = world.held(ONE, 20);
    let Ended { execution: Some(run), released, .. } = world.end(ONE, "a", 30) else { panic!() };
    assert_eq!(run.children, [(early, LIKELY), (late, None)]);
    assert_eq!((run.delivery.span, run.start, run.start_is), (delivery, T + 12, Start::Acknowledged));
    assert!(released.is_empty() && world.tasks.held == 0 && world.tasks.deliveries.is_empty());
}

#[test]
fn a_task_that_says_that_it_begins_has_an_exact_start() {
    let mut world = World::new();
    world.take("a", 10);
    world.tasks.begun(&actor(ONE), "a", T + 15);
    let call = world.held(ONE, 15);
    let run = world.end(ONE, "a", 30).execution.unwrap();
    assert_eq!((run.start, run.start_is, run.children), (T + 15, Start::Started, vec![(call, None)]));
}

#[test]
fn without_either_the_start_is_the_delivery_or_the_end_of_the_task_before() {
    let mut world = World::new();
    world.take("a", 10);
    world.take("b", 11);
    let first = world.end(ONE, "a", 30).execution.unwrap();
    let second = world.end(ONE, "b", 40).execution.unwrap();
    assert_eq!((first.start, first.start_is), (T + 10, Start::Received));
    assert_eq!((second.start, second.start_is), (T + 30, Start::Received));
}

#[test]
fn tasks_in_two_processes_keep_their_calls_apart() {
    let mut world = World::new();
    world.take("a", 10);
    world.take("b", 11);
    let (of_b, of_a) = (world.held(TWO, 20), world.held(ONE, 21));
    assert_eq!(world.children(ONE, "a", 30), [(of_a, LIKELY)]);
    assert_eq!(world.children(TWO, "b", 31), [(of_b, LIKELY)]);
}

#[test]
fn a_call_after_a_task_without_a_sleep_is_that_ones_and_no_proof_for_the_next() {
    let mut world = World::new();
    world.take("a", 10);
    world.end(ONE, "a", 30);
    // Nothing else is to be done: it is the first task's.
    let (call, verdict) = world.call_after(ONE, 31, 30);
    assert!(matches!(verdict, Verdict::Of(_, LIKELY)), "{verdict:?}");
    world.tasks.responded(ONE, call, 35);
    let (next, verdict) = world.call_after(ONE, 36, 35);
    assert!(matches!(verdict, Verdict::Of(_, LIKELY)), "{verdict:?}");
    // The next task is there: whose the call is cannot be told, and neither whose what follows on its response is.
    world.take("b", 40);
    world.tasks.responded(ONE, next, 41);
    for (at, switches) in [(42, 41), (44, 43)] {
        let (call, verdict) = world.call_after(ONE, at, switches);
        assert_eq!(verdict, Verdict::Wait(None));
        world.tasks.responded(ONE, call, 43);
    }
    // Such tasks are followed by calls: only what is exact is the next one's.
    world.settle("b", 55);
    let own = world.held(ONE, 56);
    assert_eq!(world.children(ONE, "b", 60), [(own, None)]);
}

#[test]
fn a_call_before_a_task_had_certainly_begun_is_its_own_where_silence_was_seen_to_follow_on_such_as_came_before() {
    let mut world = World::new();
    world.take("a", 10);
    world.take("b", 11);
    world.end(ONE, "a", 20);
    let call = world.held(ONE, 25);
    assert_eq!(world.end(ONE, "b", 30).released, [call], "it may be for the task before");
    // Nothing for a while.
    world.take("c", SILENCE + 30);
    world.take("d", SILENCE + 31);
    let call = world.held(ONE, SILENCE + 32);
    assert_eq!(world.children(ONE, "c", SILENCE + 40), [(call, LIKELY)]);
    let call = world.held(ONE, SILENCE + 42);
    assert_eq!(world.children(ONE, "d", SILENCE + 50), [(call, LIKELY)]);
}

#[test]
fn what_the_operation_that_tells_the_end_tells_besides_is_the_tasks() {
    let mut world = World::new();
    world.take("a", 10);
    world.take("b", 11);
    let write = world.held(ONE, 30);
    assert_eq!(world.children(ONE, "a", 30), [(write, LIKELY)]);
    let (_, verdict) = world.call(ONE, 30);
    assert!(matches!(verdict, Verdict::Of(_, None)), "{verdict:?}");
    assert!(world.end(ONE, "a", 30).execution.is_none(), "told once more");
}

#[test]
fn a_thread_that_was_seen_to_do_more_after_a_task_has_exact_calls_only() {
    let mut world = World::new();
    world.take("a", 10);
    world.end(ONE, "a", 20);
    assert_eq!(world.call(ONE, 25).1, Verdict::Free, "after a sleep, and nobody's");
    world.take("b", 30);
    let doubtful = world.held(ONE, 32);
    world.settle("b", 34);
    let sure = world.held(ONE, 36);
    let Ended { execution: Some(run), released, .. } = world.end(ONE, "b", 40) else { panic!() };
    assert_eq!((run.children, released), (vec![(sure, None)], vec![doubtful]));
}

#[test]
fn a_task_that_may_have_come_and_gone_without_a_result_takes_the_evidence_away() {
    let mut world = World::new();
    world.quiet("run/a");
    world.take("a", 10);
    world.take_attempt("quiet", "run/other", 0, 11);
    world.take("b", 12);
    world.end(ONE, "a", 20);
    let doubtful = world.held(ONE, 22);
    world.settle("quiet", 23);
    world.settle("b", 25);
    let sure = world.held(ONE, 26);
    let Ended { execution: Some(run), released, .. } = world.end(ONE, "b", 30) else { panic!() };
    assert_eq!((run.children, released), (vec![(sure, None)], vec![doubtful]));
    // It had begun before this thread's last task was over: it is not what the thread does now.
    world.take("c", 40);
    let own = world.held(ONE, 42);
    assert_eq!(world.children(ONE, "c", 50), [(own, LIKELY)]);
}

#[test]
fn calls_are_in_doubt_while_another_task_may_have_been_run_before_on_the_same_thread() {
    let mut world = World::new();
    world.quiet("run/a");
    for (n, id) in (10..).zip(["a", "other", "b", "c"]) {
        world.take(id, n);
    }
    world.end(ONE, "a", 20);
    world.settle("other", 22);
    let call = world.held(ONE, 23);
    world.settle("b", 24);
    let sure = world.held(ONE, 25);
    let run = world.end(ONE, "b", 30).execution.unwrap();
    let (doubtful, awaits) = run.doubtful.clone();
    assert_eq!((run.children, &doubtful, awaits.len()), (vec![(sure, None)], &vec![call], 1));
    let execution = world.keys.insert(());
    world.tasks.defer(ONE, execution, run.doubtful, T + 30).unwrap();
    assert!(world.end(ONE, "c", 35).resolved.is_empty());
    let resolved = world.end(TWO, "other", 40).resolved;
    assert_eq!(resolved.iter().map(|d| (d.execution, d.calls.clone())).collect::<Vec<_>>(), [(execution, vec![call])]);
}

#[test]
fn what_stays_in_doubt_is_given_up() {
    let mut world = World::new();
    world.take("a", 10);
    world.end(ONE, "a", 20);
    let (execution, call, never) = (world.keys.insert(()), world.keys.insert(()), world.keys.insert(()));
    world.tasks.defer(ONE, execution, (vec![call], vec![never]), T).unwrap();
    assert!(world.tasks.given_up(T + DOUBT - 1).is_empty());
    assert_eq!(world.tasks.given_up(T + DOUBT).len(), 1);
    world.tasks.defer(ONE, execution, (vec![call], vec![never]), T).unwrap();
    assert_eq!(world.tasks.gone(MAIN).1.len(), 1);
    assert_eq!(world.tasks.defer(ONE, execution, (vec![call], vec![never]), T), Err(vec![call]));
}

#[test]
fn who_takes_tasks_speaks_for_others_and_runs_none() {
    let mut world = World::new();
    world.take("a", 10);
    assert_eq!(world.call(MAIN, 15).1, Verdict::Free);
    let call = world.held(ONE, 16);
    assert!(world.end(MAIN, "a", 20).execution.is_none(), "stopped, or never run");
    let Ended { execution, released, .. } = world.end(ONE, "a", 21);
    assert!(execution.is_none(), "it is over");
    assert_eq!(released, [call]);
    assert!(world.tasks.gone(ONE).0.is_empty() && world.tasks.deliveries.is_empty());
}

#[test]
fn a_revoked_task_is_run_by_nobody() {
    let mut world = World::new();
    world.take("a", 10);
    world.tasks.revoked(&actor(MAIN), "a");
    assert_eq!(world.call(ONE, 16).1, Verdict::Free);
    assert!(world.end(ONE, "a", 20).execution.is_none());
}

#[test]
fn processes_that_are_no_children_of_the_worker_run_none_of_its_tasks() {
    let mut world = World::new();
    world.take("a", 10);
    let stranger = Actor { parent: 99, ..actor(ONE) };
    let span = world.keys.insert(());
    assert_eq!(world.tasks.calls(&stranger, Call { span, at: T + 12, switches: 0 }), Verdict::Free);
    assert!(world.tasks.ended(&stranger, "a", false, T + 20, 0).execution.is_none());
    // Nor do other threads of its children.
    let helper = UnitKey { id: 77, ..ONE };
    assert_eq!(world.call(helper, 12).1, Verdict::Free);
    assert!(world.end(ONE, "a", 30).execution.is_some());
}

#[test]
fn a_pooled_thread_that_settles_a_task_runs_it() {
    let mut world = World::new();
    world.take("a", 10);
    world.take("b", 11);
    world.tasks.settled_tag(POOLED, "tag of a", T + 20);
    let call = world.held(POOLED, 21);
    let other = UnitKey { id: 6, ..MAIN };
    assert!(world.end(other, "a", 25).execution.is_none(), "another thread runs it");
    let run = world.end(POOLED, "a", 30).execution.unwrap();
    assert_eq!((run.start, run.start_is, run.children), (T + 20, Start::Acknowledged, vec![(call, None)]));
}

#[test]
fn the_thread_that_sends_a_task_again_runs_the_attempt_before() {
    let mut world = World::new();
    let first = world.take_attempt("a", "run/a", 0, 10);
    world.tasks.sent_again(&actor(ONE), "a", 1);
    let second = world.take_attempt("a", "run/a", 1, 12);
    // The second attempt is over before the first says that it is to be tried again.
    assert_eq!(world.end(TWO, "a", 20).execution.unwrap().delivery.span, second);
    assert_eq!(world.end(ONE, "a", 21).execution.unwrap().delivery.span, first);
}

#[test]
fn of_two_deliveries_of_one_task_neither_is_told() {
    let mut world = World::new();
    world.take("a", 10);
    world.take("a", 11);
    let call = world.held(ONE, 15);
    let Ended { execution, released, .. } = world.end(ONE, "a", 20);
    assert!(execution.is_none());
    assert_eq!(released, [call]);
    assert!(world.tasks.deliveries.is_empty());
}

#[test]
fn the_end_of_a_task_from_before_the_agent_gives_its_calls_to_nobody() {
    let mut world = World::new();
    world.take("b", 10);
    let call = world.held(ONE, 15);
    assert_eq!(world.end(ONE, "a", 20).released, [call]);
    assert_eq!(world.call(ONE, 20).1, Verdict::Wait(None), "of the same operation");
    world.settle("b", 24);
    let own = world.held(ONE, 25);
    assert_eq!(world.children(ONE, "b", 30), [(own, None)]);
}

#[test]
fn a_child_that_is_younger_than_its_task_may_still_begin() {
    let mut world = World::new();
    world.take("a", 10);
    let young = Actor { since: Some(T + 5), ..actor(ONE) };
    let beginning = world.held(ONE, 12);
    world.settle("a", 14);
    let sure = world.held(ONE, 16);
    let ended = world.tasks.ended(&young, "a", false, T + 20, 20);
    assert_eq!((ended.execution.unwrap().children, ended.released), (vec![(sure, None)], vec![beginning]));
}

#[test]
fn after_a_loss_only_what_is_exact_counts() {
    // Of nobody knows whom, of the worker's own process, of the one that runs the task.
    for of in [None, Some(MAIN.tgid), Some(ONE.tgid)] {
        let mut world = World::new();
        world.quiet("run/a");
        world.take("a", 10);
        let doubtful = world.held(ONE, 12);
        world.settle("a", 14);
        let sure = world.held(ONE, 16);
        world.tasks.lost_records(of, T + 18);
        let ended = world.end(ONE, "a", 20);
        assert_eq!((ended.execution.unwrap().children, ended.released), (vec![(sure, None)], vec![doubtful]));
        world.take("b", 30);
        let own = world.held(ONE, 32);
        assert_eq!(world.children(ONE, "b", 40), [(own, LIKELY)]);
    }
}

#[test]
fn what_another_process_lost_is_held_against_no_worker() {
    let mut world = World::new();
    world.quiet("run/a");
    world.take("a", 10);
    let own = world.held(ONE, 12);
    world.tasks.lost_records(Some(99), T + 18);
    assert_eq!(world.children(ONE, "a", 20), [(own, LIKELY)]);
}

#[test]
fn what_a_process_of_a_pool_lost_before_it_ran_anything_counts_too() {
    let mut world = World::new();
    world.quiet("run/a");
    world.take("a", 10);
    world.tasks.lost_records(Some(ONE.tgid), T + 11);
    let doubtful = world.held(ONE, 12);
    assert_eq!(world.end(ONE, "a", 20).released, [doubtful]);
}

#[test]
fn calls_wait_for_a_bounded_time_and_in_bounded_number() {
    let mut world = World::new();
    world.take("a", 10);
    let first = world.held(ONE, 12);
    for _ in 1..MAX_HELD_BY_ONE {
        world.held(ONE, 13);
    }
    assert_eq!(world.call(ONE, 14).1, Verdict::Wait(Some(first)), "the oldest gives way");
    assert_eq!(world.tasks.held, MAX_HELD_BY_ONE);
    assert!(world.tasks.expired(T + HOLD_UNPROVEN).is_empty());
    assert_eq!(world.tasks.expired(T + HOLD_UNPROVEN + SWEEP + 20).len(), MAX_HELD_BY_ONE);
    assert_eq!(world.tasks.held, 0);
}

#[test]
fn tasks_without_results_are_remembered_in_bounded_number() {
    let mut world = World::new();
    for n in 0..MAX_TAKEN as u64 {
        world.take(&n.to_string(), n);
    }
    let span = world.keys.insert(());
    let task = TakenTask {
        id: "one more".into(),
        retries: 0,
        tag: None,
        silent: false,
        grouped: false,
        name: "run/a".into(),
        attributes: Vec::new(),
    };
    let delivery = Delivery { span, protocol: "redis", links: Vec::new(), message: None, sent: None };
    assert!(!world.tasks.taken(MAIN, T, task, delivery), "the oldest is forgotten");
    assert_eq!((world.tasks.workers[&1].taken.len(), world.tasks.deliveries.len()), (MAX_TAKEN, MAX_TAKEN));
    assert!(world.end(ONE, "0", 9000).execution.is_none());
}

#[test]
fn calls_wait_no_more_where_no_result_is_ever_told_until_one_is() {
    let mut world = World::new();
    world.take("a", 10);
    let call = world.held(ONE, 12);
    assert_eq!(world.tasks.expired(T + HOLD_UNPROVEN + 20), [call]);
    assert_eq!(world.call(ONE, HOLD_UNPROVEN / 10).1, Verdict::Free);
    assert!(world.end(ONE, "a", HOLD_UNPROVEN / 9).execution.is_some());
    world.take("b", HOLD_UNPROVEN / 8);
    let call = world.held(ONE, HOLD_UNPROVEN / 7);
    assert_eq!(world.children(ONE, "b", HOLD_UNPROVEN / 6), [(call, LIKELY)]);
}

#[test]
fn tasks_that_tell_no_end_are_forgotten_once_they_run_nowhere() {
    let mut world = World::new();
    world.quiet("run/a");
    for n in 0..MANY as u64 {
        world.take_attempt(&n.to_string(), "run/quiet", 0, n);
        world.settle(&n.to_string(), 100 + n);
    }
    world.take("a", 500);
    world.take("b", 501);
    world.call(TWO, 550);
    world.end(ONE, "a", 600);
    assert_eq!(world.tasks.workers[&1].taken.len(), MANY + 1, "another thread may run one");
    world.end(TWO, "b", 700);
    assert_eq!(world.tasks.workers[&1].taken.len(), MANY, "few enough");
    world.take("c", 701);
    world.take("d", 702);
    world.end(TWO, "c", 720);
    assert_eq!(world.tasks.workers[&1].taken.len(), 1);
    let own = world.held(TWO, 730);
    assert_eq!(world.children(TWO, "d", 740), [(own, LIKELY)]);
}

#[test]
fn what_a_process_leaves_behind_goes_with_it() {
    let mut world = World::new();
    world.take("a", 10);
    let call = world.held(ONE, 12);
    let other = world.held(TWO, 13);
    assert_eq!(world.tasks.gone(ONE).0, [call]);
    assert_eq!(world.tasks.gone(MAIN).0, [other]);
    let Tasks { workers, runners, deliveries, held, .. } = &world.tasks;
    assert!(workers.is_empty() && runners.is_empty() && deliveries.is_empty() && *held == 0);
}
