//! Spans out: OTLP, Zipkin, the console and the local view's store; and records of logs, to OTLP and the store.
//!
//! | module | what it is |
//! |---|---|
//! | [`otlp`] | batches to a collector, by gRPC or HTTP, with a bounded queue and retries |
//! | [`console`] | finished traces on standard output: a tree for people, JSON lines for programs |
//!
//! Which traces the console and OTLP get is decided before ([`wirespan_sampling`]); the view gets all.
//!
//! Invariants: [`Exporters::export`] never blocks and never fails. Each exporter bounds what it holds by a number of
//! spans and of bytes; what does not fit is dropped whole trace by whole trace, newest first (what waits has waited longest and may
//! complete traces that the backend has begun to receive), of services that ask for much before others ([`admission`]), and
//! counted in `exporter_queue_dropped`.

pub mod console;
pub mod otlp;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::clock;
use crate::config::otlp::{BatchConfig, OtlpConfig};
use crate::memory::{Account, Ledger};
use crate::metrics::Counters;
use crate::span::Trace;
use crate::store::{Reader, Settings as StoreSettings, Store};

pub(crate) use wirespan_delivery::{Bundle, Parcel, admission};

use admission::Admission;
use console::{Console, ConsoleSettings};
use otlp::logs::LogsExporter;
use otlp::{Format, OtlpExporter};
use wirespan_sampling::Sampler;
use wirespan_signals::Log;

/// Which exporters run, and how.
#[derive(Clone, Debug, Default)]
pub struct ExportSettings {
    /// OTLP, if wanted.
    pub otlp: Option<OtlpConfig>,
    /// Zipkin, if wanted.
    pub zipkin: Option<OtlpConfig>,
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
    /// The same of Zipkin.
    pub zipkin: usize,
    /// Spans that were not written to standard output.
    pub console: usize,
    /// Spans that did not get into the local view's store.
    pub store: usize,
    /// Records that the OTLP endpoint did not acknowledge. Some may have arrived.
    pub logs: usize,
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
    /// Decides which are kept; all are without.
    sampler: Arc<Mutex<Option<Sampler>>>,
    counters: Arc<Counters>,
}

struct Running {
    otlp: Option<OtlpExporter>,
    zipkin: Option<OtlpExporter>,
    console: Option<Console>,
    store: Option<Store>,
    logs: Option<LogsExporter>,
}

impl Feed {
    /// Nobody holds it for longer than it takes to queue some traces.
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands finished pieces of traces to every exporter. Never blocks; what does not fit a queue, or comes after the
    /// shutdown, is dropped and counted.
    pub fn export(&self, traces: Vec<Trace>) {
        self.export_told(traces, |_, _| {});
    }

    /// The same. `tell` is told before of all traces whether each is kept for certain; all are if nothing is said.
    pub fn export_told(&self, traces: Vec<Trace>, tell: impl FnOnce(&[Trace], Option<&[bool]>)) {
        if traces.is_empty() {
            return;
        }
        let mut sampler = self.sampler();
        let Some(decides) = sampler.as_mut() else {
            drop(sampler);
            tell(&traces, None);
            let all = Bundle::new(traces);
            return self.pass(Some(&all), std::slice::from_ref(&all), &[]);
        };
        let taken = decides.take(traces, clock::now());
        drop(sampler);
        tell(taken.all.lot(), Some(&taken.kept));
        let kept = taken.kept.iter().enumerate().filter_map(|(at, kept)| kept.then_some(at)).collect();
        self.pass(Some(&taken.all), &[taken.all.only(kept)], &taken.dropped);
    }

    /// Hands records to the view and to who sends them. Never blocks; what does not fit, or comes after the shutdown, is dropped and
    /// counted. (Whether a trace is kept says nothing of its records, as OpenTelemetry has it.)
    pub fn export_logs(&self, logs: Vec<Log>) {
        if logs.is_empty() {
            return;
        }
        let running = self.running();
        let Some(Running { store, logs: exporter, .. }) = &*running else {
            return self.counters.log_records_dropped.add(logs.len() as u64);
        };
        store.iter().for_each(|store| store.take_lines(&logs));
        if let Some(exporter) = exporter {
            exporter.export(logs);
        }
    }

    /// Decides about traces that have waited for that until `now`, or about all.
    fn release(&self, now: u64) {
        let released = self.sampler().as_mut().map(|sampler| sampler.release(now)).unwrap_or_default();
        if !(released.kept.is_empty() && released.dropped.is_empty()) {
            self.pass(None, &released.kept, &released.dropped);
        }
    }

    fn sampler(&self) -> MutexGuard<'_, Option<Sampler>> {
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The view gets all, and is told which had better go first; the others get what is kept.
    fn pass(&self, all: Option<&Bundle>, kept: &[Bundle], dropped: &[[u8; 16]]) {
        let running = self.running();
        let Some(Running { otlp, zipkin, console, store, .. }) = &*running else {
            let spans = all.iter().flat_map(|bundle| bundle.lot()).map(|trace| trace.spans.len()).sum::<usize>();
            return self.counters.queues.exporter_queue_dropped.add(spans as u64);
        };
        if let Some(store) = store {
            all.iter().for_each(|all| store.export(all));
            store.dispensable(dropped);
        }
        for bundle in kept {
            console.iter().for_each(|console| console.export(bundle));
            otlp.iter().for_each(|otlp| otlp.export(bundle));
            zipkin.iter().for_each(|zipkin| zipkin.export(bundle));
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
        let ExportSettings { otlp, zipkin, console, store, batch, memory } = settings;
        let mut queues = 0..;
        let mut admission = || {
            let nth = queues.next().unwrap_or_default();
            let bytes = memory.as_ref().map_or_else(|| Account::new(usize::MAX), |ledger| ledger.queue(nth));
            Arc::new(Admission::new(batch.queue_spans, bytes))
        };
        let mut sending = |config: Option<OtlpConfig>, format| {
            let start =
                |config| OtlpExporter::start((config, format), batch, admission(), Arc::clone(&counters), runtime);
            config.map(start).transpose()
        };
        let (otlp, zipkin) = (sending(otlp, Format::Otlp)?, sending(zipkin, Format::Zipkin)?);
        let console = console.map(|c| Console::start(c, admission(), Arc::clone(&counters))).transpose()?;
        let failed = |source| ExportError::System { what: "the store", source };
        let store =
            store.map(|s| Store::start(s, admission(), Arc::clone(&counters.view), Arc::clone(&counters.queues)));
        let running = Running { otlp, zipkin, console, store: store.transpose().map_err(failed)?, logs: None };
        let (running, sampler) = (Arc::new(Mutex::new(Some(running))), Arc::default());
        Ok(Self { feed: Feed { running, sampler, counters } })
    }

    /// From now on, not all traces are kept.
    pub fn decide_by(&self, sampler: Sampler) {
        *self.feed.sampler() = Some(sampler);
    }

    /// From now on records are sent, too.
    pub fn send_logs(&self, logs: LogsExporter) {
        if let Some(running) = self.feed.running().as_mut() {
            running.logs = Some(logs);
        }
    }

    /// Hands on records, see [`Feed::export_logs`].
    pub fn export_logs(&self, logs: Vec<Log>) {
        self.feed.export_logs(logs);
    }

    /// Where others may put traces in.
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Hands finished pieces of traces to every exporter, see [`Feed::export`].
    pub fn export(&self, traces: Vec<Trace>) {
        self.feed.export(traces);
    }

    /// The same, see [`Feed::export_told`].
    pub fn export_told(&self, traces: Vec<Trace>, tell: impl FnOnce(&[Trace], Option<&[bool]>)) {
        self.feed.export_told(traces, tell);
    }

    /// Does what time demands, at `now`: to be called some times a second.
    pub fn tick(&self, now: u64) {
        self.feed.release(now);
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
        self.feed.release(u64::MAX);
        let running = self.feed.running().take();
        let Some(Running { otlp, zipkin, console, store, logs }) = running else { return Lost::default() };
        // OTLP is told first, so that it works while the others drain.
        let (otlp, zipkin) = (otlp.map(|o| o.stop(deadline)), zipkin.map(|z| z.stop(deadline)));
        let console = console.map_or(0, |c| c.shutdown(deadline));
        let store = store.map_or(0, |s| s.shutdown(deadline));
        let logs = logs.map_or(0, |logs| logs.shutdown(deadline));
        let wait = |stopping: Option<otlp::Stopping>| stopping.map_or(0, otlp::Stopping::wait);
        Lost { otlp: wait(otlp), zipkin: wait(zipkin), console, store, logs }
    }
}
