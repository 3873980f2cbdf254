//! Pools of threads, made up with their truth: threads that serve, hand requests on, run each other's jobs, answer what others
//! read, and work on after the answer. In whatever order that is told, late, or in part.

use std::collections::{BinaryHeap, HashMap};

use fastrand::Rng;
use slotmap::SlotMap;

use super::replay::{Run, Score, in_order, replay, shuffled};
use crate::facts::{At, Fact, Place, UnitKey};
use crate::live::SpanKey;

const MICRO: u64 = 1000;
const MILLI: u64 = 1000 * MICRO;
const PROCESS: u32 = 100;

/// A program.
#[derive(Clone, Copy, Debug)]
struct Program {
    threads: u32,
    /// It has no other thread than the one that serves.
    only: bool,
    /// Of a thousand requests, so many are handed on: some thread of the pool calls for them, and answers.
    hands_on: u32,
    /// So many are answered at once, and a job of the pool calls for them after.
    after: u32,
    /// Threads that do the jobs, if the pool does not.
    helpers: u32,
    /// A thread of its own reads all requests.
    reader: bool,
    /// Microseconds between two requests.
    pace: u64,
}

/// The thread that only reads.
const READER: u32 = 1000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Serve(u64),
    /// A call for a request, and whether the request is to be answered with that.
    Job(u64, bool),
}

struct World {
    program: Program,
    random: Rng,
    keys: SlotMap<SpanKey, ()>,
    facts: Vec<(u64, Fact)>,
    numbers: HashMap<SpanKey, u64>,
    requests: HashMap<u64, SpanKey>,
    /// What is to be done, the earliest first.
    queue: BinaryHeap<std::cmp::Reverse<(u64, Task)>>,
}

impl World {
    fn at(&self, thread: u32, time: u64) -> At {
        // (Whether it slept in between says nothing to the rules of threads that wait.)
        At { time, tid: PROCESS + thread, switches: (time / MILLI) as u32, only: self.program.only, ..At::default() }
    }

    fn tell(&mut self, time: u64, fact: Fact) {
        self.facts.push((time, fact));
    }

    fn key(&mut self, number: u64) -> SpanKey {
        let key = self.keys.insert(());
        self.numbers.insert(key, number);
        key
    }

    /// Makes one call for a request; when its response is there.
    fn call(&mut self, number: u64, thread: u32, time: u64) -> u64 {
        let (call, unit) = (self.key(number), UnitKey::thread(PROCESS, PROCESS + thread));
        let (sent, first) = (self.at(thread, time), time + self.random.u64(200..8000) * MICRO);
        self.tell(
            time,
            Fact::Called { call, unit, place: Place::Connection(u64::from(thread)), at: sent, opened: None },
        );
        let at = [self.at(thread, first), self.at(thread, first + 5 * MICRO)];
        self.tell(at[1].time, Fact::Responded { call, units: [Some(unit); 2], at, waited: true, operation: 0 });
        at[1].time
    }

    fn answer(&mut self, number: u64, thread: u32, time: u64) {
        let unit = UnitKey::thread(PROCESS, PROCESS + thread);
        let (request, at) = (self.requests[&number], self.at(thread, time));
        self.tell(time, Fact::Over { request, answered: Some((Some(unit), at)), read: None });
    }

    /// Does a task, which was there at `ready`, on a thread from `time` on; when it is done.
    fn run(&mut self, task: Task, thread: u32, ready: u64, time: u64) -> u64 {
        let number = match task {
            Task::Serve(number) => number,
            Task::Job(number, answers) => {
                let done = self.call(number, thread, time) + 20 * MICRO;
                if answers {
                    self.answer(number, thread, done);
                }
                return done + 5 * MICRO;
            }
        };
        let Program { hands_on, after, reader, .. } = self.program;
        let (reads, came) = if reader { (READER, ready) } else { (thread, time) };
        let (request, unit) = (self.key(number), UnitKey::thread(PROCESS, PROCESS + reads));
        self.requests.insert(number, request);
        let at = self.at(reads, came);
        let waited = !reader;
        self.tell(came, Fact::Read { request, unit, connection: number, cookie: 0, at, waited, queued: true });
        let kind = self.random.u32(0..1000);
        let later = time + self.random.u64(50..6000) * MICRO;
        if kind < hands_on {
            self.queue.push(std::cmp::Reverse((later, Task::Job(number, true))));
            return time + 30 * MICRO;
        }
        let mut done = time + 30 * MICRO;
        if kind < hands_on + after {
            self.queue.push(std::cmp::Reverse((later, Task::Job(number, false))));
        } else {
            for _ in 0..self.random.u32(1..3) {
                done = self.call(number, thread, done) + 30 * MICRO;
            }
        }
        self.answer(number, thread, done);
        done + 5 * MICRO
    }
}

/// What a program does with so many requests.
fn run(program: Program, requests: u64, seed: u64) -> Run {
    let mut world = World {
        program,
        random: Rng::with_seed(seed),
        keys: SlotMap::with_key(),
        facts: Vec::new(),
        numbers: HashMap::new(),
        requests: HashMap::new(),
        queue: BinaryHeap::new(),
    };
    let mut time = MILLI;
    for number in 0..requests {
        time += world.random.u64(1..2 * program.pace) * MICRO;
        world.queue.push(std::cmp::Reverse((time, Task::Serve(number))));
    }
    let pool = program.threads as usize;
    let mut free = vec![0; pool + program.helpers as usize];
    while let Some(std::cmp::Reverse((ready, task))) = world.queue.pop() {
        let mine = match task {
            Task::Job(..) if program.helpers > 0 => pool..free.len(),
            _ => 0..pool,
        };
        // Any of those that are free by then, or the one that is first.
        let first = free[mine.clone()].iter().copied().min().unwrap_or(0);
        let begin = ready.max(first);
        let idle: Vec<usize> = mine.filter(|n| free[*n] <= begin).collect();
        let thread = idle[world.random.usize(0..idle.len())];
        free[thread] = world.run(task, thread as u32, ready, begin);
    }
    world.facts.sort_by_key(|(time, _)| *time);
    Run { facts: world.facts.into_iter().map(|(_, fact)| fact).collect(), numbers: world.numbers }
}

/// The same run with a piece of it missing, which is told.
fn with_loss(run: &Run, random: &mut Rng) -> Run {
    let from = random.usize(0..run.facts.len());
    let to = (from + random.usize(1..40)).min(run.facts.len());
    let mut facts = run.facts.clone();
    let of = random.bool().then_some(PROCESS);
    facts.splice(from..to, [Fact::Lost { of, losing: true }, Fact::Lost { of, losing: false }]);
    Run { facts, numbers: run.numbers.clone() }
}

fn sum(scores: impl IntoIterator<Item = Score>) -> Score {
    scores.into_iter().fold(Score::default(), |mut sum, score| {
        for n in 0..2 {
            sum.exact[n] += score.exact[n];
            sum.inferred[n] += score.inferred[n];
        }
        sum.none += score.none;
        sum
    })
}

const PLAIN: Program =
    Program { threads: 8, only: false, hands_on: 0, after: 0, helpers: 0, reader: false, pace: 1000 };
const SINGLE: Program = Program { threads: 1, only: true, pace: 5000, ..PLAIN };

/// Pools that do what their threads do not show.
fn hard() -> Vec<Program> {
    let mut all = Vec::new();
    for threads in [1, 2, 4, 16] {
        for (hands_on, after) in [(1000, 0), (500, 0), (500, 300), (16, 500), (300, 0), (0, 500)] {
            for pace in [300, 3000, 30_000] {
                all.push(Program { threads, hands_on, after, pace, ..PLAIN });
            }
        }
    }
    all
}

#[test]
fn a_process_of_one_thread_that_waits_is_linked_exactly_and_one_of_many_by_inference() {
    for seed in 0..8 {
        let (single, plain) = (run(SINGLE, 60, seed), run(PLAIN, 120, seed));
        let [single, plain] = [&single, &plain].map(|run| replay(run, &in_order(run)));
        assert_eq!((single.exact[1], single.inferred, single.none), (0, [0, 0], 0), "seed {seed}");
        assert_eq!((plain.exact, plain.inferred[1], plain.none), ([0, 0], 0, 0), "seed {seed}");
    }
}

#[test]
fn no_pool_is_linked_exactly_and_hardly_any_of_its_calls_wrongly() {
    let mut all = Vec::new();
    for program in hard() {
        let scores = (0..40).map(|seed| run(program, 10, seed)).map(|run| replay(&run, &in_order(&run)));
        let sum = sum(scores);
        assert_eq!(sum.exact, [0, 0], "{program:?}");
        all.push(sum);
    }
    let all = sum(all);
    assert!(1000 * all.inferred[1] <= all.inferred[0], "{all:?}");
}

#[test]
fn where_others_answer_what_a_pool_reads_or_read_what_it_answers_its_calls_are_linked() {
    for seed in 0..8 {
        let helped = Program { hands_on: 300, after: 100, helpers: 3, ..PLAIN };
        let read_for = Program { reader: true, pace: 3000, ..PLAIN };
        for (program, wanted) in [(helped, 40), (read_for, 70)] {
            let run = run(program, 400, seed);
            let score = replay(&run, &in_order(&run));
            let all = score.inferred[0] + score.none;
            assert_eq!((score.exact, score.inferred[1]), ([0, 0], 0), "{program:?}, seed {seed}: {score:?}");
            assert!(100 * score.inferred[0] > wanted * all, "{program:?}, seed {seed}: {score:?}");
        }
    }
}

#[test]
fn hardly_any_call_is_linked_wrongly_of_pools_that_others_read_for_or_help() {
    let mut all = Vec::new();
    for threads in [2, 16] {
        for (hands_on, after) in [(1000, 0), (300, 300), (16, 500), (0, 16)] {
            for (helpers, pace) in [(0, 3000), (2, 3000), (2, 300)] {
                for reader in [false, true] {
                    let program = Program { threads, hands_on, after, helpers, reader, pace, ..PLAIN };
                    let score = run(program, 400, u64::from(threads + after));
                    let score = replay(&score, &in_order(&score));
                    assert_eq!(score.exact, [0, 0], "{program:?}");
                    all.push((program, score));
                }
            }
        }
    }
    let sum = sum(all.iter().map(|(_, score)| *score));
    let worst: Vec<_> = all.iter().filter(|(_, score)| score.inferred[1] > 0).collect();
    assert!(1000 * sum.inferred[1] <= sum.inferred[0], "{sum:?}: {worst:#?}");
}

#[test]
fn whatever_the_order_and_whatever_is_lost_no_exact_link_is_wrong() {
    let others = [Program { reader: true, ..PLAIN }, Program { helpers: 2, hands_on: 300, ..PLAIN }];
    let programs = hard().into_iter().step_by(7).chain([PLAIN, SINGLE]).chain(others);
    for (n, program) in programs.enumerate() {
        for (seed, one_in) in (0..4).zip([1, 3, 20, 100].into_iter().cycle()) {
            let mut random = Rng::with_seed(1000 * n as u64 + seed);
            let whole = run(program, 50, seed);
            for told in [&whole, &with_loss(&whole, &mut random)] {
                let score = replay(told, &shuffled(told, one_in, &mut random));
                assert_eq!(score.exact[1], 0, "{program:?}, seed {seed}, one in {one_in}: {score:?}");
            }
        }
    }
}
