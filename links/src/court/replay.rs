//! Real runs, replayed: what was told in them (`links/captures/`), in its order, and in others that it could have come in.
//!
//! The truth stands in the names: a call was made for the request whose number it has.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use slotmap::SlotMap;

use super::{Court, Decision, SETTLED};
use crate::facts::Fact;
use crate::live::SpanKey;
use crate::log::{Entry, read};
use crate::rules::{Evidence, Missing, Stage};

/// Facts come at most this late, nanoseconds.
const LATE: u64 = 50_000_000;
/// As `leave.rs` has it.
const QUIET: u64 = 500_000_000;

pub(super) struct Run {
    pub facts: Vec<Fact>,
    /// The number that stands in a span's name: the truth.
    pub numbers: HashMap<SpanKey, u64>,
}

/// What came of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Score {
    /// Right and wrong.
    pub exact: [usize; 2],
    /// Right and wrong.
    pub inferred: [usize; 2],
    /// Right and wrong, of those that hang below nothing and may well be for a request.
    pub suggested: [usize; 2],
    pub none: usize,
}

impl Score {
    fn wrong(&self) -> usize {
        self.exact[1] + self.inferred[1]
    }
}

fn load(name: &str) -> Run {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut run = Run { facts: Vec::new(), numbers: HashMap::new() };
    // A real run uses the place of a span again when it has left; here all stay.
    let mut spans: SlotMap<SpanKey, ()> = SlotMap::with_key();
    let mut known: HashMap<SpanKey, SpanKey> = HashMap::new();
    let mut own = |span: &mut SpanKey| *span = *known.entry(*span).or_insert_with(|| spans.insert(()));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match read(line).unwrap_or_else(|| panic!("{name}: {line}")) {
            Entry::Fact(mut fact) => {
                exchange_mut(&mut fact).into_iter().for_each(&mut own);
                run.facts.push(fact);
            }
            Entry::Name(mut span, text) => {
                own(&mut span);
                // `/hop/NUMBER/HOP`.
                let number = text.rsplit('/').nth(1).and_then(|part| part.parse().ok());
                run.numbers.extend(number.map(|number| (span, number)));
            }
        }
    }
    run
}

struct Replay<'a> {
    court: Court,
    run: &'a Run,
    waiting: VecDeque<(u64, SpanKey)>,
    /// Calls that wait, and the requests that they may be for.
    quiet: Vec<(SpanKey, Option<SpanKey>)>,
    found: HashMap<SpanKey, Option<(SpanKey, Option<Evidence>)>>,
    suggested: HashMap<SpanKey, SpanKey>,
    now: u64,
}

impl<'a> Replay<'a> {
    fn new(run: &'a Run) -> Self {
        Self {
            court: Court::new(true, Arc::default()),
            run,
            waiting: VecDeque::new(),
            quiet: Vec::new(),
            found: HashMap::new(),
            suggested: HashMap::new(),
            now: 0,
        }
    }

    fn tell(&mut self, fact: &Fact, now: u64) {
        self.now = self.now.max(now);
        self.court.book.passes(self.now);
        while let Some((_, call)) = self.waiting.pop_front_if(|(at, _)| *at <= self.now) {
            self.ask(call, Stage::Settled);
        }
        for call in self.court.book.loops.advance(self.now.saturating_sub(SETTLED)) {
            self.ask(call, Stage::Settled);
        }
        for call in self.court.hear(fact) {
            // What is decided stays so; what else its unit did may yet be told.
            let fed = self.court.book.call(call).is_some_and(|note| note.writer.is_fed());
            if !self.found.contains_key(&call) {
                self.ask(call, if fed { Stage::Made } else { Stage::Settled });
            }
        }
        if let Fact::Called { call, .. } = fact {
            self.ask(*call, Stage::Made);
        }
        let quiet = std::mem::take(&mut self.quiet);
        for (call, request) in quiet {
            match self.is_quiet(call, request) {
                true => self.ask(call, Stage::Quiet),
                false => self.quiet.push((call, request)),
            }
        }
    }

    /// Whether half a second passed since the call's response and its request's answer.
    fn is_quiet(&self, call: SpanKey, request: Option<SpanKey>) -> bool {
        let book = &self.court.book;
        let Some(note) = book.call(call) else { return true };
        let responded = note.responded.map(|(_, at)| at[1].time);
        let last = match request.map(|request| book.request(request).and_then(|r| r.over)) {
            None => responded,
            Some(over) => responded.zip(over).map(|(a, b)| a.max(b)),
        };
        last.is_some_and(|last| last + QUIET <= self.now)
    }

    fn ask(&mut self, call: SpanKey, stage: Stage) {
        if self.found.contains_key(&call) {
            return;
        }
        let book = &self.court.book;
        let fits = |request| {
            let (Some(note), Some(above)) = (book.call(call), book.request(request)) else {
                return Err(Missing::NoRequest);
            };
            if note.began() < above.read.time { Err(Missing::Earlier) } else { Ok(()) }
        };
        match self.court.ask(call, stage, fits) {
            Decision::Wait(_, crate::rules::Until::Settled) => self.waiting.push_back((self.now + SETTLED, call)),
            Decision::Wait(request, _) => {
                request.into_iter().for_each(|request| self.court.book.may_hang(call, request));
                self.quiet.retain(|(waiting, _)| *waiting != call);
                self.quiet.push((call, request));
            }
            Decision::Below(request, evidence) => {
                self.court.book.hangs(call, request);
                self.found.insert(call, Some((request, evidence)));
            }
            Decision::Beside(request, ..) => {
                self.suggested.insert(call, request);
                self.found.insert(call, None);
            }
            Decision::Root(_) => drop(self.found.insert(call, None)),
        }
    }

    fn score(mut self) -> Score {
        self.court.book.loops.advance(u64::MAX);
        let rest: Vec<SpanKey> = self.waiting.drain(..).map(|(_, call)| call).collect();
        rest.into_iter().for_each(|call| self.ask(call, Stage::Settled));
        let rest = std::mem::take(&mut self.quiet);
        rest.into_iter().for_each(|(call, _)| self.ask(call, Stage::Late));
        let mut score = Score::default();
        for (call, request) in &self.suggested {
            let truth = self.run.numbers.get(call);
            score.suggested[usize::from(truth.is_some() && self.run.numbers.get(request) != truth)] += 1;
        }
        for (call, found) in &self.found {
            let Some(truth) = self.run.numbers.get(call) else { continue };
            match found {
                None => score.none += 1,
                Some((request, evidence)) => {
                    let wrong = usize::from(self.run.numbers.get(request) != Some(truth));
                    if wrong == 1 {
                        eprintln!("wrong: {truth} below {:?} by {evidence:?}", self.run.numbers.get(request));
                    }
                    if evidence.is_none() { score.exact[wrong] += 1 } else { score.inferred[wrong] += 1 }
                }
            }
        }
        score
    }
}

/// Tells the facts in the order of `arrival`.
pub(super) fn replay(run: &Run, arrival: &[(u64, usize)]) -> Score {
    let mut replay = Replay::new(run);
    arrival.iter().for_each(|(now, index)| replay.tell(&run.facts[*index], *now));
    replay.score()
}

pub(super) fn in_order(run: &Run) -> Vec<(u64, usize)> {
    let mut now = 0;
    run.facts
        .iter()
        .enumerate()
        .map(|(index, fact)| {
            now = now.max(fact.time().unwrap_or(0));
            (now, index)
        })
        .collect()
}

/// One fact in `one_in` comes late by chance. What happened to one exchange keeps its order, as its connection does.
pub(super) fn shuffled(run: &Run, one_in: u32, random: &mut fastrand::Rng) -> Vec<(u64, usize)> {
    let mut last: HashMap<SpanKey, u64> = HashMap::new();
    let mut arrival: Vec<(u64, usize)> = in_order(run)
        .into_iter()
        .map(|(time, index)| {
            let mut now = time + if random.u32(0..one_in) == 0 { random.u64(0..LATE) } else { 0 };
            if let Some(span) = exchange(&run.facts[index]) {
                let before = last.entry(span).or_default();
                now = now.max(*before);
                *before = now;
            }
            (now, index)
        })
        .collect();
    arrival.sort();
    arrival
}

fn exchange(fact: &Fact) -> Option<SpanKey> {
    match fact {
        Fact::Read { request: span, .. } | Fact::Over { request: span, .. } => Some(*span),
        Fact::Called { call: span, .. } | Fact::Responded { call: span, .. } => Some(*span),
        _ => None,
    }
}

fn exchange_mut(fact: &mut Fact) -> Option<&mut SpanKey> {
    match fact {
        Fact::Read { request: span, .. } | Fact::Over { request: span, .. } => Some(span),
        Fact::Called { call: span, .. } | Fact::Responded { call: span, .. } => Some(span),
        _ => None,
    }
}

/// The same run where the kernel lost records now and then, of anybody: of a stretch of 10 ms one fact in `one_in` is missing, and
/// that is told around what is left of it. Of an exchange whose first record is lost nothing is seen; that one ended whose last is
/// lost is told a while later without a moment, or never.
fn lossy(run: &Run, one_in: u32, random: &mut fastrand::Rng) -> Run {
    let mut facts: Vec<Fact> = Vec::new();
    let mut gone: HashSet<SpanKey> = HashSet::new();
    let mut ends: VecDeque<(u64, Fact)> = VecDeque::new();
    let (mut stretch, mut losing) = (0, false);
    for (now, index) in in_order(run) {
        let fact = &run.facts[index];
        if now >= stretch {
            facts.extend(losing.then_some(Fact::Lost { of: None, losing: false }));
            (stretch, losing) = (now + 10_000_000, random.u32(0..4) == 0);
            facts.extend(losing.then_some(Fact::Lost { of: None, losing: true }));
        }
        while let Some((_, end)) = ends.pop_front_if(|(at, _)| *at <= now) {
            facts.push(end);
        }
        if exchange(fact).is_some_and(|span| gone.contains(&span)) {
            continue;
        }
        if !losing || random.u32(0..one_in) > 0 {
            facts.push(fact.clone());
            continue;
        }
        gone.extend(exchange(fact));
        if let (&Fact::Over { request, .. }, true) = (fact, random.bool()) {
            ends.push_back((now + LATE, Fact::Over { request, answered: None, read: None }));
        }
    }
    Run { facts, numbers: run.numbers.clone() }
}

/// Golden logs; how many of their calls are linked exactly, and by inference, and how many have a link to the one request that
/// they may well be for.
const CAPTURES: [(&str, usize, usize, usize); 13] = [
    ("tomcat.facts", 0, 180, 0),
    ("webrick.facts", 0, 180, 0),
    // Its reactor reads most requests that its workers answer: that they work for what they answer next shows in a while.
    ("puma.facts", 0, 67, 0),
    ("puma-shapes.facts", 0, 221, 0),
    ("java-fixed.facts", 0, 101, 0),
    // Its threads answer each other's requests.
    ("hard-java.facts", 0, 0, 0),
    ("python-threads.facts", 0, 180, 0),
    ("node.facts", 0, 1, 0),
    ("fastapi.facts", 82, 46, 0),
    ("workers.facts", 0, 233, 0),
    ("node-loop.facts", 0, 470, 20),
    ("hard-node.facts", 0, 401, 28),
    ("goroutines.facts", 304, 85, 24),
];

#[test]
fn real_runs_are_linked_as_they_were_and_never_wrong() {
    let found = CAPTURES.map(|(name, ..)| {
        let run = load(name);
        let score = replay(&run, &in_order(&run));
        assert_eq!((score.wrong(), score.suggested[1]), (0, 0), "{name}: {score:?}");
        (name, score.exact[0], score.inferred[0], score.suggested[0])
    });
    assert_eq!(found, CAPTURES);
}

/// Replays each of the recorded runs in so many ways, each by a seed of its own, with chances in turn.
fn never_wrong(seeds: u64, chances: [u32; 4], told: impl Fn(&Run, u32, &mut fastrand::Rng) -> Score) {
    for (name, ..) in CAPTURES {
        let run = load(name);
        for (seed, one_in) in (0..seeds).zip(chances.into_iter().cycle()) {
            let score = told(&run, one_in, &mut fastrand::Rng::with_seed(seed));
            assert_eq!(score.wrong(), 0, "{name}, seed {seed}, one in {one_in}: {score:?}");
        }
    }
}

#[test]
fn whatever_the_order_no_exact_link_is_wrong() {
    never_wrong(40, [1, 3, 20, 100], |run, one_in, random| replay(run, &shuffled(run, one_in, random)));
}

#[test]
fn whatever_is_lost_no_link_is_wrong() {
    never_wrong(12, [1, 2, 5, 20], |run, one_in, random| {
        let run = lossy(run, one_in, random);
        replay(&run, &in_order(&run))
    });
}
