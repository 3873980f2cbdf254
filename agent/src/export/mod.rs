//! Spans out: OTLP, the console and the local view's store.
//!
//! | module | what it is |
//! |---|---|
//! | [`otlp`] | batches to a collector, by gRPC or HTTP, with a bounded queue and retries |
//! | [`console`] | finished traces on standard output: a tree for people, JSON lines for programs |
//!
//! Invariants: [`Exporters::export`] never blocks and never fails. Each exporter bounds what it holds by a number of
//! spans and of bytes; what does not fit is dropped whole trace by whole trace, newest first (what waits has waited longest and may
//! complete traces that the backend has begun to receive), of services that ask for much before others ([`admission`]), and
//! counted in `exporter_queue_dropped`.

pub mod console;
pub mod otlp;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config::otlp::{BatchConfig, OtlpConfig};
use crate::memory::{Account, Ledger};
use crate::metrics::Counters;
use crate::span::Trace;
use crate::store::{Reader, Settings as StoreSettings, Store};

pub(crate) use wirespan_delivery::{Bundle, Parcel, admission};

use admission::Admission;
use console::{Console, ConsoleSettings};
use otlp::OtlpExporter;

/// Which exporters run, and how.
#[derive(Clone, Debug, Default)]
pub struct ExportSettings {
    /// OTLP, if wanted.
    pub otlp: Option<OtlpConfig>,
    /// Standard output, if wanted.
    pub console: Option<ConsoleSettings>,
    /// The local view's store, if wanted.
    pub store: Option<StoreSettings>,
    /// How OTLP gathers spans. Its queue size bounds the other queues too.
    pub batch: BatchConfig,
    /// How many bytes each queue may take; as many as it likes without.
    pub memory: Option<Ledger>,
}

/// Why the exporters cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The OTLP exporter cannot.
    #[error(transparent)]
    Otlp(#[from] otlp::OtlpError),
    /// The system refused a thread or a file descriptor.
    #[error("cannot start {what}: {source}")]
    System {
        /// What was to be started.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// What an exporter could not deliver before the deadline of its shutdown, in spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Spans that the OTLP endpoint did not acknowledge. Some may have arrived.
    pub otlp: usize,
    /// Spans that were not written to standard output.
    pub console: usize,
    /// Spans that did not get into the local view's store.
    pub store: usize,
}

/// The running exporters.
pub struct Exporters {
    feed: Feed,
}

/// Where finished traces go in. Cheap to clone: whoever has traces of other origin may have one.
#[derive(Clone)]
pub struct Feed {
    /// Gone once the exporters are shut down.
    running: Arc<Mutex<Option<Running>>>,
    counters: Arc<Counters>,
}

struct Running {
    otlp: Option<OtlpExporter>,
    console: Option<Console>,
    store: Option<Store>,
}

impl Feed {
    /// Nobody holds it for longer than it takes to queue some traces.
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands finished pieces of traces to every exporter. Never blocks; what does not fit a queue, or comes after the
    /// shutdown, is dropped and counted.
    pub fn export(&self, traces: Vec<Trace>) {
        if traces.is_empty() {
            return;
        }
        let running = self.running();
        let Some(Running { otlp, console, store }) = &*running else {
            let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
            return self.counters.queues.exporter_queue_dropped.add(spans as u64);
        };
        let traces = Bundle::new(traces);
        if let Some(console) = console {
            console.export(&traces);
        }
        if let Some(store) = store {
            store.export(&traces);
        }
        if let Some(otlp) = otlp {
            otlp.export(&traces);
        }
    }
}

impl Exporters {
    /// Starts the configured exporters. OTLP sends on `runtime` and encodes on a thread of its own; the console and the
    /// store have threads of their own. The runtime needs its I/O and time drivers.
    ///
    /// # Errors
    /// If certificates cannot be read or a thread cannot be started. An endpoint that does not answer is no error: it
    /// may come up later.
    pub fn start(
        settings: ExportSettings,
        counters: Arc<Counters>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, ExportError> {
        let ExportSettings { otlp, console, store, batch, memory } = settings;
        let mut queues = 0..;
        let mut admission = || {
            let nth = queues.next().unwrap_or_default();
            let bytes = memory.as_ref().map_or_else(|| Account::new(usize::MAX), |ledger| ledger.queue(nth));
            Arc::new(Admission::new(batch.queue_spans, bytes))
        };
        let otlp =
            otlp.map(|c| OtlpExporter::start(c, batch, admission(), Arc::clone(&counters), runtime)).transpose()?;
        let console = console.map(|c| Console::start(c, admission(), Arc::clone(&counters))).transpose()?;
        let failed = |source| ExportError::System { what: "the store", source };
        let store =
            store.map(|s| Store::start(s, admission(), Arc::clone(&counters.view), Arc::clone(&counters.queues)));
        let running = Running { otlp, console, store: store.transpose().map_err(failed)? };
        Ok(Self { feed: Feed { running: Arc::new(Mutex::new(Some(running))), counters } })
    }

    /// Where others may put traces in.
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Hands finished pieces of traces to every exporter, see [`Feed::export`].
    pub fn export(&self, traces: Vec<Trace>) {
        self.feed.export(traces);
    }

    /// The connections by which spans go, if they go by OTLP.
    pub fn way(&self) -> Option<otlp::Way> {
        self.feed.running().as_ref()?.otlp.as_ref().map(OtlpExporter::way)
    }

    /// What the store holds, if there is one.
    pub fn reader(&self) -> Option<Reader> {
        let running = self.feed.running();
        running.as_ref()?.store.as_ref().map(Store::reader)
    }

    /// Delivers what is queued until `deadline`, and says what was lost. Blocks: call it from a plain thread, while the
    /// runtime still runs.
    pub fn shutdown(self, deadline: Instant) -> Lost {
        let running = self.feed.running().take();
        let Some(Running { otlp, console, store }) = running else { return Lost::default() };
        // OTLP is told first, so that it works while the others drain.
        let otlp = otlp.map(|o| o.stop(deadline));
        let console = console.map_or(0, |c| c.shutdown(deadline));
        let store = store.map_or(0, |s| s.shutdown(deadline));
        Lost { otlp: otlp.map_or(0, |o| o.wait()), console, store }
    }
}
