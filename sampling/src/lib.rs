//! Which traces are kept: by the samplers of the specification, by the Collector's tail sampling, and within a budget.
//!
//! ```text
//! finished traces ──▶ Sampler::take ──┬─▶ all of them: the view, as long as it has room
//!                       │   ▲         └─▶ kept: console, OTLP
//!                       ▼   │ later pieces follow
//!                     wait ─┴─▶ Sampler::release
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`head`] | `OTEL_TRACES_SAMPLER`: decided by the trace's id and what its request says |
//! | [`tail`] | the Collector's block `tail_sampling`: decided by the whole trace |
//! | `budget` | so many traces a second of each service |
//! | [`threshold`] | consistent probability sampling: `ot=th:` in `tracestate` |
//! | `waiting`, `decided` | traces before and after their decision, bounded |
//! | [`block`] | a block of configuration |
//!
//! Invariants: what waits is bounded by number and by bytes, and what finds no room is decided about before its time, never
//! lost; all pieces of a trace have the same fate as long as its decision is remembered. Metrics are made before
//! (`docs/decisions/042-metrics-of-every-span.md`), so that no figure depends on what is kept.
#![forbid(unsafe_code)]

pub mod block;
mod budget;
mod decided;
pub mod head;
pub mod tail;
#[cfg(test)]
mod tests;
pub mod threshold;
mod waiting;

use std::sync::Arc;

use wirespan_delivery::Bundle;
use wirespan_signals::{Span, Trace};

use budget::Budget;
use decided::{Decided, ENTRY, Fate};
use head::Head;
use tail::{Subject, Tail};
use threshold::Threshold;
use waiting::{Room, Waiting};

wirespan_signals::counters! {
    /// What becomes of traces.
    pub struct Counters;
    sampling_traces_kept: "Traces that sampling let pass, of those that it decided about",
    sampling_traces_dropped: "Traces that sampling dropped, which the view keeps as long as it has room",
    sampling_spans_dropped: "Spans of those",
    sampling_traces_waiting: "Traces that wait to be decided about (decision_wait)",
    sampling_hurried: "Traces decided about before their time, because too many waited or took too many bytes (no loss)",
    sampling_too_large: "Traces dropped because they are larger than maximum_trace_size_bytes",
    memory_sampling: "Bytes of traces that wait to be decided about",
}

/// What decides.
#[derive(Debug, Default)]
pub struct Settings {
    /// The sampler of the specification.
    pub head: Head,
    /// The Collector's tail sampling.
    pub tail: Option<Tail>,
    /// Traces a second of each service.
    pub traces_per_second: Option<u32>,
    /// Bytes that may wait, and for decisions that are remembered.
    pub bytes: usize,
}

impl Settings {
    /// Whether anything is ever dropped.
    pub fn decides(&self) -> bool {
        !self.head.keeps_all() || self.tail.is_some() || self.traces_per_second.is_some()
    }
}

/// The part of all bytes that decisions have; the rest is for traces that wait.
const OF_DECISIONS: usize = 4;

/// Decides about every trace.
#[derive(Debug)]
pub struct Sampler {
    head: Head,
    tail: Option<Tail>,
    budget: Option<Budget>,
    room: Room,
    bytes: usize,
    decided: Decided,
    /// The last time that was told.
    now: u64,
    counters: Arc<Counters>,
}

/// What becomes of a piece that has come.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// It has the fate of its trace.
    Decided(Fate),
    /// It waits for that, and has passed a threshold.
    Waits(Threshold),
}

/// Traces that have just come, and what is known of them by now.
#[derive(Debug)]
pub struct Taken {
    /// All of them, for those who look at whatever there is room for.
    pub all: Bundle,
    /// Whether each is kept; one that waits is not yet.
    pub kept: Vec<bool>,
    /// Which are not.
    pub dropped: Vec<[u8; 16]>,
}

/// Traces that have waited.
#[derive(Debug, Default)]
pub struct Released {
    /// Those that are kept.
    pub kept: Vec<Bundle>,
    /// Which are not.
    pub dropped: Vec<[u8; 16]>,
}

impl Sampler {
    /// Nothing is decided yet.
    pub fn new(settings: Settings, counters: Arc<Counters>) -> Self {
        let Settings { head, tail, traces_per_second, bytes } = settings;
        let wanted = tail.as_ref().map_or(usize::MAX, |tail| tail.remembered);
        let decided = Decided::new((bytes / OF_DECISIONS / ENTRY).min(wanted));
        let (budget, waiting) = (traces_per_second.map(Budget::new), bytes - bytes / OF_DECISIONS);
        Self { head, tail, budget, room: Room::default(), bytes: waiting, decided, now: 0, counters }
    }

    /// Takes pieces of traces. `now`: nanoseconds of a clock that never goes back.
    pub fn take(&mut self, mut traces: Vec<Trace>, now: u64) -> Taken {
        self.now = now;
        let (mut kept, mut dropped, mut waits) = (Vec::with_capacity(traces.len()), Vec::new(), Vec::new());
        for (at, trace) in traces.iter_mut().enumerate() {
            let Some(id) = trace.spans.first().map(|span| span.trace_id) else {
                kept.push(false);
                continue;
            };
            let next = match self.decided.get(&id) {
                Some(fate) => Next::Decided(fate),
                None => self.arrives(id, trace),
            };
            match next {
                Next::Decided(Fate::Kept(threshold)) => mark(&mut trace.spans, threshold),
                Next::Decided(Fate::Dropped) => {
                    self.counters.sampling_spans_dropped.add(trace.spans.len() as u64);
                    dropped.push(id);
                }
                Next::Waits(passed) => {
                    mark(&mut trace.spans, passed);
                    waits.push((id, at, passed));
                }
            }
            kept.push(matches!(next, Next::Decided(Fate::Kept(_))));
        }
        let all = Bundle::new(traces);
        waits.into_iter().for_each(|(id, at, passed)| self.wait(id, (all.clone(), at), passed));
        self.tell();
        Taken { all, kept, dropped }
    }

    /// What becomes of a trace that nothing was decided about yet.
    fn arrives(&mut self, id: [u8; 16], trace: &Trace) -> Next {
        if let Some(passed) = self.room.passed(&id) {
            return Next::Waits(passed);
        }
        let by_id = self.head.threshold(trace).unwrap_or_default();
        if !head::keeps(by_id, trace) {
            return Next::Decided(self.decide(id, Fate::Dropped));
        }
        if self.tail.as_ref().is_some_and(|tail| !tail.wait.is_zero()) {
            return Next::Waits(by_id);
        }
        let fate = self.whole(id, trace.spans.iter().collect(), by_id);
        Next::Decided(self.decide(id, fate))
    }

    /// What tail sampling and the budget say of a trace that is there as a whole, and has passed a threshold.
    fn whole(&mut self, trace_id: [u8; 16], spans: Vec<&Span>, passed: Threshold) -> Fate {
        let trace = Subject { trace_id, spans, now: self.now };
        if self.tail.as_mut().is_some_and(|tail| !tail.keeps(&trace)) {
            return Fate::Dropped;
        }
        let (Some(budget), Some(root)) = (&mut self.budget, trace.spans.first()) else { return Fate::Kept(passed) };
        let failed = trace.spans.iter().any(|span| span.is_error());
        let threshold = budget.threshold(root, failed, trace.now).max(passed);
        let keeps = threshold.keeps(threshold::randomness(&trace_id, &root.trace_state));
        if keeps { Fate::Kept(threshold) } else { Fate::Dropped }
    }

    fn decide(&mut self, id: [u8; 16], fate: Fate) -> Fate {
        match fate {
            Fate::Kept(_) => self.counters.sampling_traces_kept.inc(),
            Fate::Dropped => self.counters.sampling_traces_dropped.inc(),
        }
        self.decided.insert(id, fate);
        fate
    }

    fn wait(&mut self, id: [u8; 16], piece: (Bundle, usize), passed: Threshold) {
        let Some(tail) = &self.tail else { return };
        let is_root = |span: &Span| span.parent_span_id == [0; 8];
        let rooted = tail.wait_after_root.filter(|_| piece.0.trace(piece.1).spans.iter().any(is_root));
        self.room.add(id, piece, self.now.saturating_add(tail.wait.as_nanos() as u64), passed);
        if let Some(wait) = rooted {
            self.room.rooted(id, self.now.saturating_add(wait.as_nanos() as u64));
        }
    }

    /// Decides about those that have waited long enough, or for which there is no room; about all with `u64::MAX` as
    /// `now`, at the exit.
    pub fn release(&mut self, now: u64) -> Released {
        let mut released = Released::default();
        let Some((traces, drop_pending)) = self.tail.as_ref().map(|tail| (tail.traces, tail.drop_pending)) else {
            return released;
        };
        let ends = now == u64::MAX;
        if !ends {
            self.now = now;
        }
        loop {
            let crowded = self.room.traces() > traces || self.room.bytes() > self.bytes;
            let Some((id, waiting)) = self.room.take_due(if crowded { u64::MAX } else { now }) else { break };
            if crowded && !ends {
                self.counters.sampling_hurried.inc();
            }
            self.leaves(id, &waiting, ends && drop_pending, &mut released);
        }
        self.tell();
        released
    }

    /// Decides about a trace that has waited.
    fn leaves(&mut self, id: [u8; 16], waiting: &Waiting, discard: bool, released: &mut Released) {
        let pieces = || waiting.pieces.iter().map(|(bundle, at)| bundle.trace(*at));
        let large = self.tail.as_ref().and_then(|tail| tail.trace_bytes).is_some_and(|most| waiting.bytes > most);
        if large {
            self.counters.sampling_too_large.inc();
        }
        let spans: Vec<&Span> = pieces().flat_map(|trace| &trace.spans).collect();
        let count = spans.len();
        let fate = if large || discard { Fate::Dropped } else { self.whole(id, spans, waiting.passed) };
        match self.decide(id, fate) {
            Fate::Dropped => {
                self.counters.sampling_spans_dropped.add(count as u64);
                released.dropped.push(id);
            }
            // What is shared with the view cannot be written on.
            Fate::Kept(threshold) if threshold > waiting.passed => {
                let mut copies: Vec<Trace> = pieces().cloned().collect();
                copies.iter_mut().for_each(|trace| mark(&mut trace.spans, threshold));
                released.kept.push(Bundle::new(copies));
            }
            Fate::Kept(_) => released.kept.extend(waiting.pieces.iter().map(|(bundle, at)| bundle.only(vec![*at]))),
        }
    }

    fn tell(&self) {
        self.counters.sampling_traces_waiting.set(self.room.traces() as u64);
        self.counters.memory_sampling.set(self.room.bytes() as u64);
    }
}

/// Writes down by which threshold spans were kept, if any were not.
fn mark(spans: &mut [Span], threshold: Threshold) {
    if threshold > Threshold::ALWAYS {
        for span in spans {
            span.trace_state = threshold::write(&span.trace_state, threshold);
        }
    }
}
