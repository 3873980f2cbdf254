//! Rates, errors and durations of operations and of calls between services, by time.
//!
//! Spans are reckoned when their trace has been quiet for a while, so that a call is known by both of its ends: into
//! buckets of five seconds by the span's end. They do not come from the traces that are kept, so they are right even
//! when traces are forgotten after seconds. The oldest buckets go after an hour, or when there are too many figures.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};

use super::histogram::Histogram;
use super::intern::{Interner, Sym};
use super::memory::Slot;
use super::trace::{Row, Stored};
use wirespan_delivery::latency::Latencies;
use wirespan_signals::SpanKind;

/// How long a trace must have been quiet.
const QUIET: Duration = Duration::from_secs(2);
/// Seconds of a bucket.
const BUCKET: u64 = 5;
/// Seconds that are remembered.
pub const MEMORY: u64 = 3600;
/// Figures that are remembered in all buckets, at most, and for how many bytes of the store there is one.
const MAX_CELLS: usize = 40_000;
const BYTES_PER_CELL: usize = 2_048;
/// Figures of one bucket.
const MAX_BUCKET_CELLS: usize = 4_000;
/// The same of senders whose message was received.
const MAX_RECEIVED: usize = 65_536;
const BYTES_PER_RECEIVED: usize = 1_024;
/// Operations whose usual duration is known.
const MAX_USUAL: usize = 4_096;
/// Traces of an operation after which is known what is slow for it.
const ENOUGH: u32 = 20;
/// What is slow before that, nanoseconds.
const SLOW: u64 = 1_000_000_000;

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Service.
    pub service: Sym,
    /// Span name.
    pub name: Sym,
    /// What is spoken.
    pub protocol: Sym,
    /// Kind.
    pub kind: SpanKind,
}

/// A way between two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    /// Caller or sender.
    pub from: Sym,
    /// Callee or receiver.
    pub to: Sym,
    /// What is spoken.
    pub protocol: Sym,
    /// `to` makes no spans: it is a peer's name.
    pub external: bool,
}

/// Figures of an operation or an edge.
#[derive(Clone, Debug, Default)]
struct Cell {
    calls: u32,
    errors: u32,
    slowest: u64,
    slowest_trace: [u8; 16],
    times: Histogram,
}

/// The figures of several cells.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How many.
    pub calls: u64,
    /// How many of them failed.
    pub errors: u64,
    /// The longest, nanoseconds.
    pub slowest: u64,
    /// Its trace.
    pub slowest_trace: [u8; 16],
    /// Durations.
    pub times: Latencies,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Unix time in seconds, divided by [`BUCKET`].
    number: u64,
    operations: FxHashMap<Operation, Cell>,
    edges: FxHashMap<Edge, Cell>,
}

/// What is usual for an operation.
#[derive(Debug, Default)]
struct Usual {
    traces: u32,
    /// Follows the duration that 95 of 100 do not exceed, nanoseconds.
    slow: f64,
}

/// The figures.
#[derive(Debug, Default)]
pub struct Stats {
    max_cells: usize,
    max_received: usize,
    due: VecDeque<(Instant, Slot, [u8; 16])>,
    /// In order of time.
    buckets: VecDeque<Bucket>,
    cells: usize,
    times: usize,
    received: FxHashSet<([u8; 16], u64)>,
    received_order: VecDeque<([u8; 16], u64)>,
    usual: FxHashMap<(Sym, Sym), Usual>,
}

impl Stats {
    /// No figures yet, for a store of this many bytes: a small store must not be full of figures.
    pub fn new(bytes: usize) -> Self {
        Self {
            max_cells: (bytes / BYTES_PER_CELL).min(MAX_CELLS),
            max_received: (bytes / BYTES_PER_RECEIVED).min(MAX_RECEIVED),
            ..Self::default()
        }
    }

    /// A piece has arrived, whose rows begin at `from`.
    pub fn arrived(&mut self, slot: Slot, stored: &Stored, from: usize, now: Instant) {
        self.due.push_back((now + QUIET, slot, stored.id));
        for link in stored.links_from(from) {
            let sender = (link.trace_id, link.span_id);
            if self.received.insert(sender) {
                self.received_order.push_back(sender);
            }
        }
        while self.received_order.len() > self.max_received {
            if let Some(sender) = self.received_order.pop_front() {
                self.received.remove(&sender);
            }
        }
    }

    /// The next trace that is to be reckoned now.
    pub fn due(&mut self, now: Instant) -> Option<(Slot, [u8; 16])> {
        self.due.pop_front_if(|(at, ..)| *at <= now).map(|(_, slot, id)| (slot, id))
    }

    /// Reckons the rows of a trace that were not yet. `sender` finds a span by trace and id. `now` is Unix time in
    /// seconds.
    pub fn reckon(
        &mut self,
        stored: &Stored,
        now: u64,
        texts: &mut Interner,
        sender: impl Fn(&[u8; 16], u64) -> Option<Row>,
    ) {
        let from = stored.reckoned as usize;
        if from >= stored.rows.len() {
            return;
        }
        let places = stored.places();
        let callee = |row: &&Row| matches!(row.kind, SpanKind::Server | SpanKind::Consumer);
        let answered: FxHashSet<u64> = stored.rows.iter().filter(callee).map(|row| row.parent).collect();
        for (at, row) in stored.rows.iter().enumerate().skip(from) {
            let Some(bucket) = self.bucket(row.start.saturating_add(row.duration), now, texts) else { continue };
            let operation = Operation { service: row.service, name: row.name, protocol: row.protocol, kind: row.kind };
            self.count_operation(bucket, operation, row, &stored.id, texts);
            let caller = places.get(&row.parent).map(|at| stored.rows[*at as usize]);
            let edge = match row.kind {
                SpanKind::Client if !answered.contains(&row.id) => external(row),
                SpanKind::Producer if !answered.contains(&row.id) && !self.is_received(stored, row) => external(row),
                SpanKind::Server | SpanKind::Consumer => {
                    let link = stored.link_of(at as u32);
                    let sender = link.and_then(|link| sender(&link.trace_id, link.span_id));
                    caller.filter(|c| c.service != row.service || is_caller(c)).or(sender).map(|c| edge(&c, row))
                }
                _ => None,
            };
            if let Some((edge, seen)) = edge {
                self.count_edge(bucket, edge, &seen, &stored.id, texts);
            }
        }
    }

    fn is_received(&self, stored: &Stored, row: &Row) -> bool {
        self.received.contains(&(stored.id, row.id))
    }

    /// The index of the bucket for a moment, Unix time in nanoseconds; `None` if it is too long ago.
    fn bucket(&mut self, end: u64, now: u64, texts: &mut Interner) -> Option<usize> {
        let seconds = (end / 1_000_000_000).min(now);
        if seconds + MEMORY < now {
            return None;
        }
        let number = seconds / BUCKET;
        let at = match self.buckets.binary_search_by_key(&number, |bucket| bucket.number) {
            Ok(at) => at,
            Err(at) => {
                self.buckets.insert(at, Bucket { number, ..Bucket::default() });
                at
            }
        };
        if self.cells < self.max_cells || self.buckets.len() == 1 {
            return Some(at);
        }
        self.forget_first(texts);
        at.checked_sub(1)
    }

    fn count_operation(&mut self, at: usize, key: Operation, row: &Row, trace: &[u8; 16], texts: &mut Interner) {
        let bucket = &mut self.buckets[at];
        if !bucket.operations.contains_key(&key) {
            if bucket.operations.len() >= MAX_BUCKET_CELLS {
                return;
            }
            [key.service, key.name, key.protocol].into_iter().for_each(|sym| texts.again(sym));
            self.cells += 1;
        }
        self.times += bucket.operations.entry(key).or_default().count(row, trace);
    }

    fn count_edge(&mut self, at: usize, key: Edge, row: &Row, trace: &[u8; 16], texts: &mut Interner) {
        let bucket = &mut self.buckets[at];
        if !bucket.edges.contains_key(&key) {
            if bucket.edges.len() >= MAX_BUCKET_CELLS {
                return;
            }
            [key.from, key.to, key.protocol].into_iter().for_each(|sym| texts.again(sym));
            self.cells += 1;
        }
        self.times += bucket.edges.entry(key).or_default().count(row, trace);
    }

    /// Whether a trace takes longer than 19 of 20 of its kind. Learns from it what is usual.
    pub fn is_slow(&mut self, stored: &Stored, texts: &mut Interner) -> bool {
        /// How fast it follows.
        const STEP: f64 = 0.1;
        let Some(root) = stored.root() else { return false };
        if self.usual.len() >= MAX_USUAL {
            for ((service, name), _) in self.usual.drain() {
                texts.release(service);
                texts.release(name);
            }
        }
        let key = (root.service, root.name);
        let duration = stored.duration() as f64;
        let usual = self.usual.entry(key).or_insert_with(|| {
            texts.again(key.0);
            texts.again(key.1);
            Usual { traces: 0, slow: duration.max(1.0) }
        });
        usual.traces = usual.traces.saturating_add(1);
        let slow = match usual.traces > ENOUGH {
            true => duration > usual.slow,
            false => stored.duration() >= SLOW,
        };
        usual.slow *= if duration > usual.slow { 1.0 + STEP * 0.95 } else { 1.0 - STEP * 0.05 };
        slow
    }

    /// Forgets buckets that are too old. `now` is Unix time in seconds.
    pub fn forget_old(&mut self, now: u64, texts: &mut Interner) {
        while self.buckets.front().is_some_and(|bucket| (bucket.number + 1) * BUCKET + MEMORY < now) {
            self.forget_first(texts);
        }
    }

    fn forget_first(&mut self, texts: &mut Interner) {
        let Some(bucket) = self.buckets.pop_front() else { return };
        self.cells -= bucket.operations.len() + bucket.edges.len();
        for (key, cell) in &bucket.operations {
            self.times -= cell.times.bytes();
            [key.service, key.name, key.protocol].into_iter().for_each(|sym| texts.release(sym));
        }
        for (key, cell) in &bucket.edges {
            self.times -= cell.times.bytes();
            [key.from, key.to, key.protocol].into_iter().for_each(|sym| texts.release(sym));
        }
    }

    /// The buckets of the last `window` seconds, and how many seconds they stand for.
    fn window(&self, window: u64, now: u64) -> (impl Iterator<Item = &Bucket>, u64) {
        let first = now.saturating_sub(window) / BUCKET;
        let oldest = self.buckets.front().map_or(now, |bucket| bucket.number * BUCKET);
        let seconds = window.min(now.saturating_sub(oldest)).max(1);
        (self.buckets.iter().filter(move |bucket| bucket.number >= first), seconds)
    }

    /// The operations of the last `window` seconds, and how many seconds these figures stand for.
    pub fn operations(&self, window: u64, now: u64) -> (FxHashMap<Operation, Figures>, u64) {
        let (buckets, seconds) = self.window(window, now);
        (sum(buckets.flat_map(|bucket| &bucket.operations)), seconds)
    }

    /// The calls between services of the last `window` seconds, and how many seconds these figures stand for.
    pub fn edges(&self, window: u64, now: u64) -> (FxHashMap<Edge, Figures>, u64) {
        let (buckets, seconds) = self.window(window, now);
        (sum(buckets.flat_map(|bucket| &bucket.edges)), seconds)
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        const CELL: usize = size_of::<(Operation, Cell)>() * 2;
        self.cells * CELL
            + self.times
            + self.due.capacity() * size_of::<(Instant, Slot, [u8; 16])>()
            + self.received.capacity() * 2 * size_of::<([u8; 16], u64)>()
            + self.usual.capacity() * size_of::<((Sym, Sym), Usual)>()
            + self.buckets.capacity() * size_of::<Bucket>()
    }
}

impl Cell {
    /// Counts a span; the bytes by which this grew.
    fn count(&mut self, row: &Row, trace: &[u8; 16]) -> usize {
        self.calls = self.calls.saturating_add(1);
        self.errors = self.errors.saturating_add(u32::from(row.error));
        if row.duration >= self.slowest {
            (self.slowest, self.slowest_trace) = (row.duration, *trace);
        }
        let before = self.times.bytes();
        self.times.record(row.duration);
        self.times.bytes() - before
    }
}

fn is_caller(row: &Row) -> bool {
    matches!(row.kind, SpanKind::Client | SpanKind::Producer)
}

/// A call to something that makes no spans.
fn external(row: &Row) -> Option<(Edge, Row)> {
    let edge = Edge { from: row.service, to: row.peer, protocol: row.protocol, external: true };
    (!row.peer.is_empty()).then_some((edge, *row))
}

/// A call whose two ends are known. A caller's span tells how long it was waited for.
fn edge(caller: &Row, callee: &Row) -> (Edge, Row) {
    let edge = Edge { from: caller.service, to: callee.service, protocol: callee.protocol, external: false };
    let mut seen = if caller.kind == SpanKind::Client { *caller } else { *callee };
    seen.error |= callee.error;
    (edge, seen)
}

fn sum<'a, K: Copy + Eq + std::hash::Hash + 'a>(
    cells: impl Iterator<Item = (&'a K, &'a Cell)>,
) -> FxHashMap<K, Figures> {
    let mut sums: FxHashMap<K, Figures> = FxHashMap::default();
    for (key, cell) in cells {
        let figures = sums.entry(*key).or_default();
        figures.calls += u64::from(cell.calls);
        figures.errors += u64::from(cell.errors);
        cell.times.add_to(&mut figures.times);
        if cell.slowest >= figures.slowest {
            (figures.slowest, figures.slowest_trace) = (cell.slowest, cell.slowest_trace);
        }
    }
    sums
}

impl Figures {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.times.add_all(&other.times);
        if other.slowest >= self.slowest {
            (self.slowest, self.slowest_trace) = (other.slowest, other.slowest_trace);
        }
    }
}
