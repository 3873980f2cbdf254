//! Spans out: OTLP and the console.
//!
//! | module | what it is |
//! |---|---|
//! | [`otlp`] | batches to a collector, by gRPC or HTTP, with a bounded queue and retries |
//! | [`console`] | finished traces on standard output: a tree for people, JSON lines for programs |
//!
//! Invariants: [`Exporters::export`] never blocks and never fails. Each exporter bounds what it holds by a number of
//! spans; what does not fit is dropped whole trace by whole trace, newest first (what waits has waited longest and may
//! complete traces that the backend has begun to receive), and counted in `exporter_queue_dropped`.

pub mod admission;
pub mod console;
pub mod otlp;
#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) use otlp::round_trip as otlp_round_trip;

use std::sync::Arc;
use std::time::Instant;

use crate::config::otlp::{BatchConfig, OtlpConfig};
use crate::metrics::Counters;
use crate::span::Trace;

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
    /// How OTLP gathers spans. Its queue size bounds the console's queue too.
    pub batch: BatchConfig,
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
}

/// Some finished traces on their way to an exporter: the first `traces` of `all`, which the exporters share.
pub(crate) struct Parcel {
    all: Arc<Vec<Trace>>,
    traces: usize,
}

impl Parcel {
    /// As many traces from the front of `all` as `admission` has room for, and the number of spans that were left out.
    fn admit(all: &Arc<Vec<Trace>>, admission: &Admission) -> (Option<Self>, usize) {
        let admitted = all.iter().take_while(|t| admission.enter(t.spans.len())).count();
        let dropped = all[admitted..].iter().map(|t| t.spans.len()).sum();
        let parcel = (admitted > 0).then(|| Self { all: Arc::clone(all), traces: admitted });
        (parcel, dropped)
    }

    /// The traces that were admitted.
    fn traces(&self) -> &[Trace] {
        &self.all[..self.traces]
    }
}

/// The running exporters.
pub struct Exporters {
    otlp: Option<OtlpExporter>,
    console: Option<Console>,
}

impl Exporters {
    /// Starts the configured exporters. OTLP sends on `runtime` and encodes on a thread of its own; the console has a
    /// thread of its own. The runtime needs its I/O and time drivers.
    ///
    /// # Errors
    /// If certificates cannot be read or a thread cannot be started. An endpoint that does not answer is no error: it
    /// may come up later.
    pub fn start(
        settings: ExportSettings,
        counters: Arc<Counters>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, ExportError> {
        let ExportSettings { otlp, console, batch } = settings;
        let otlp = otlp.map(|c| OtlpExporter::start(c, batch, Arc::clone(&counters), runtime)).transpose()?;
        let console = console.map(|c| Console::start(c, batch.queue_spans, counters)).transpose()?;
        Ok(Self { otlp, console })
    }

    /// Hands finished pieces of traces to every exporter. Never blocks; what does not fit a queue is dropped and
    /// counted.
    pub fn export(&self, traces: Vec<Trace>) {
        if traces.is_empty() {
            return;
        }
        let traces = Arc::new(traces);
        if let Some(console) = &self.console {
            console.export(&traces);
        }
        if let Some(otlp) = &self.otlp {
            otlp.export(&traces);
        }
    }

    /// Delivers what is queued until `deadline`, and says what was lost. Blocks: call it from a plain thread, while the
    /// runtime still runs.
    pub fn shutdown(self, deadline: Instant) -> Lost {
        // OTLP is told first, so that it works while the console drains.
        let otlp = self.otlp.map(|o| o.stop(deadline));
        let console = self.console.map_or(0, |c| c.shutdown(deadline));
        Lost { otlp: otlp.map_or(0, |o| o.wait()), console }
    }
}
