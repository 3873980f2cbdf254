//! The traces of the last while, to be looked at: what the local view shows.
//!
//! ```text
//! export() ──Parcel──▶ thread `store` ──▶ Memory ──▶ search, one trace, figures
//!           admitted by number of spans      └─ changes ──▶ those who watch
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `memory` | every trace; which goes first when there is no more room |
//! | `trace`, `row`, `piece` | one trace: a row a span to search by, and its spans compressed |
//! | `roots`, `senders` | which spans of a long trace have no parent; who sent a message |
//! | [`packed`], [`stop`] | a trace to be read while memory goes on; when to give up |
//! | [`lines`] | records of logs |
//! | `intern`, `resources`, `terms`, `keys` | what spans share; attributes as hashes, and their names |
//! | [`filter`], [`query`] | what may be asked |
//! | [`stats`], `histogram`, [`report`] | figures of operations and calls by time |
//! | `disk` | a copy that outlives the agent |
//!
//! Invariants: nothing here waits for a reader or for a disk longer than it takes to read memory; all memory is counted
//! and bounded; `Store::export` never blocks.

mod disk;
pub mod filter;
mod histogram;
mod intern;
mod keys;
pub mod lines;
mod memory;
pub mod packed;
mod piece;
pub mod query;
pub mod report;
mod resources;
mod roots;
mod row;
mod senders;
pub mod stats;
pub mod stop;
mod terms;
#[cfg(test)]
mod tests;
mod trace;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::Counters;
use disk::Keeper;
use lines::Lines;
use wirespan_delivery::admission::Admission;
use wirespan_delivery::vital::Vital;
use wirespan_delivery::{Account, Bundle, Parcel};
use wirespan_signals::Log;

pub use memory::{Limits, MAX_TRACE_BYTES, MAX_TRACE_SPANS, Memory};
pub use piece::PieceError;
pub use terms::{is, text};
pub use trace::{Row, Stored};

/// What is kept, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much.
    pub limits: Limits,
    /// A file that outlives the agent, if one is wanted.
    pub path: Option<PathBuf>,
    /// Bytes of records of logs, which do not outlive it; 0 if there are none.
    pub lines: usize,
}

/// Traces that the thread may still have to be told of that sampling dropped them; beyond, they stay as others do.
const MAX_DISPENSABLE: usize = 100_000;
/// Of what records may take, those on their way may take this part besides.
const LINES_COMING: usize = 8;
/// How often time is looked at.
const TICK: Duration = Duration::from_millis(250);

/// The traces, for those who read them. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    /// How much there may be.
    pub limits: Limits,
    /// Whether records of logs are kept.
    pub has_lines: bool,
    /// They.
    pub lines: Arc<RwLock<Lines>>,
    memory: Arc<RwLock<Memory>>,
    changed: watch::Receiver<u64>,
}

impl Reader {
    /// The traces, which do not change meanwhile: be quick.
    pub fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every change by its number.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }
}

/// What the thread is told.
enum Work {
    /// Traces to take in.
    Parcel(Parcel),
    /// Records of logs, so many bytes.
    Lines(Vec<Log>, usize),
    /// Traces that sampling dropped.
    Dispensable(Box<[[u8; 16]]>),
}

/// Takes finished traces.
pub struct Store {
    work: Sender<Work>,
    /// How many [`Work::Dispensable`] are on their way.
    dispensable: Arc<AtomicUsize>,
    /// Bytes of records that are on their way.
    lines: Account,
    admission: Arc<Admission>,
    counters: Arc<Counters>,
    queues: Arc<wirespan_delivery::Counters>,
    reader: Reader,
    keeper: Option<Keeper>,
    done: Receiver<()>,
}

impl Store {
    /// Starts the thread that takes traces in.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        settings: Settings,
        admission: Arc<Admission>,
        counters: Arc<Counters>,
        queues: Arc<wirespan_delivery::Counters>,
    ) -> std::io::Result<Self> {
        let memory = Arc::new(RwLock::new(Memory::new(settings.limits)));
        let (work, work_out) = mpsc::channel();
        let (changes, changed) = watch::channel(0);
        let (done_in, done) = mpsc::sync_channel(1);
        let keeper = settings.path.map(|path| Keeper::start(&path, Arc::clone(&memory), Arc::clone(&counters)));
        let (keeper, ready) = keeper.transpose()?.unzip();
        let dispensable = Arc::<AtomicUsize>::default();
        let lines = Arc::new(RwLock::new(Lines::new(settings.lines)));
        let coming = Account::new(settings.lines / LINES_COMING);
        let writer = Writer {
            memory: Arc::clone(&memory),
            lines: Arc::clone(&lines),
            coming: coming.clone(),
            admission: Arc::clone(&admission),
            dispensable: Arc::clone(&dispensable),
            counters: Arc::clone(&counters),
            changes,
        };
        std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            let _vital = Vital::of("the store");
            if let Some(ready) = ready {
                // Fails if the disk's thread has ended, and nothing has to be waited for then.
                let _ = ready.recv();
            }
            writer.run(&work_out);
            let _ = done_in.send(());
        })?;
        Ok(Self {
            work,
            dispensable,
            lines: coming,
            admission,
            counters,
            queues,
            reader: Reader { limits: settings.limits, has_lines: settings.lines > 0, lines, memory, changed },
            keeper,
            done,
        })
    }

    /// Those who read.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Takes what fits the queue.
    pub fn export(&self, traces: &Bundle) {
        let (parcel, dropped) = Parcel::admit(traces, &self.admission, &self.queues);
        if dropped > 0 && self.admission.overflows(dropped) {
            log::warn!("traces come faster than the local view stores them: some are not shown there, and counted");
        }
        if let Some(parcel) = parcel {
            // The thread ends only after this sender is gone.
            let _ = self.work.send(Work::Parcel(parcel));
        }
    }

    /// Takes the records that there is room for on their way, if any are kept.
    pub fn take_lines(&self, logs: &[Log]) {
        if !self.reader.has_lines {
            return;
        }
        let fitting: Vec<Log> = logs.iter().filter(|log| self.lines.try_take(log.weight())).cloned().collect();
        let bytes = fitting.iter().map(Log::weight).sum();
        self.counters.store_lines_refused.add((logs.len() - fitting.len()) as u64);
        // The thread ends only after this sender is gone.
        let _ = self.work.send(Work::Lines(fitting, bytes));
    }

    /// Traces that sampling dropped: they go first when there is no more room. (Of one that is not here, nothing is kept.)
    pub fn dispensable(&self, traces: &[[u8; 16]]) {
        let waiting = self.dispensable.load(Ordering::Relaxed);
        if !traces.is_empty() && waiting + traces.len() <= MAX_DISPENSABLE {
            self.dispensable.fetch_add(traces.len(), Ordering::Relaxed);
            let _ = self.work.send(Work::Dispensable(traces.into()));
        }
    }

    /// Takes in what is queued until `deadline`; the number of spans that were not.
    pub fn shutdown(self, deadline: Instant) -> usize {
        drop(self.work);
        let _ = self.done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        if let Some(keeper) = self.keeper {
            keeper.finish(deadline);
        }
        self.admission.held()
    }
}

/// What the thread works with.
struct Writer {
    memory: Arc<RwLock<Memory>>,
    lines: Arc<RwLock<Lines>>,
    coming: Account,
    admission: Arc<Admission>,
    dispensable: Arc<AtomicUsize>,
    counters: Arc<Counters>,
    changes: watch::Sender<u64>,
}

impl Writer {
    fn run(self, work: &Receiver<Work>) {
        let mut due = Instant::now() + TICK;
        loop {
            match work.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Work::Parcel(parcel)) => self.parcel(&parcel),
                Ok(Work::Lines(logs, bytes)) => self.take_lines(logs, bytes),
                Ok(Work::Dispensable(traces)) => {
                    traces.iter().for_each(|id| self.memory().dispense_with(id));
                    self.dispensable.fetch_sub(traces.len(), Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= due {
                while self.memory().tick(unix_seconds()) {}
                self.show();
                due = Instant::now() + TICK;
            }
        }
    }

    fn memory(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_lines(&self, logs: Vec<Log>, bytes: usize) {
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        let gone = lines.insert(logs);
        let (held, many) = (lines.bytes(), lines.len());
        drop(lines);
        self.coming.give(bytes);
        self.counters.store_lines_evicted.add(gone as u64);
        self.counters.store_lines.set(many as u64);
        self.counters.store_lines_bytes.set(held as u64);
    }

    /// How much there is, for those who must not wait for the memory.
    fn show(&self) {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        let (traces, spans, bytes) = (memory.traces(), memory.span_count(), memory.bytes());
        drop(memory);
        self.counters.store_traces.set(traces as u64);
        self.counters.store_spans.set(spans as u64);
        self.counters.store_bytes.set(bytes as u64);
    }

    fn parcel(&self, parcel: &Parcel) {
        for (trace, weight) in parcel.traces() {
            // Readers get their turn between two traces.
            let mut memory = self.memory();
            let inserted = memory.insert(trace);
            drop(memory);
            self.show();
            self.counters.store_evicted_traces.add(inserted.evicted as u64);
            self.counters.store_evicted_spans.add(inserted.evicted_spans as u64);
            self.counters.store_spans_refused.add(inserted.refused as u64);
            self.admission.leave(trace.spans.len(), weight);
        }
        self.admission.overflow_ended();
        let change = self.memory.read().unwrap_or_else(PoisonError::into_inner).change();
        self.changes.send_replace(change);
    }
}

/// Unix time in seconds.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
