//! OTLP: batches of spans to a collector; and by the same way to Zipkin, as Zipkin takes them.
//!
//! ```text
//! export() ──Parcel──▶ encoder (thread) ──Batch──▶ sender (task) ──▶ gRPC | HTTP
//!            admitted by number of spans                └─ again, after a pause
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `encoder`, `batch`, `encode`, `wire` | spans to protobuf, many resources in a request |
//! | `sender`, `backoff`, `outcome`, `report` | delivery, retries, what the log learns |
//! | [`figures`], [`metrics`] | metrics to protobuf, and their delivery |
//! | [`relay`] | applications' metrics and logs, passed on, and the way out of our own logs |
//! | [`logs`] | our own records, gathered |
//! | `grpc`, `http`, `tls` | the transports |
//! | [`own`] | connections of ours, as who serves them knows them |
//!
//! `docs/decisions/002-otlp-exporter.md` says why this is not `opentelemetry-otlp`.

pub(crate) mod backoff;
mod encoder;
pub mod figures;
mod grpc;
mod http;
pub mod logs;
pub mod metrics;
mod outcome;
pub mod own;
pub mod relay;
mod report;
mod sender;
mod tls;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use log::warn;
use tokio::sync::watch;

use crate::config::otlp::{BatchConfig, Compression, OtlpConfig, Protocol, Signal};
use crate::metrics::Counters;
use crate::vital::Vital;

use super::admission::Admission;
use super::{Bundle, Parcel};
use encoder::{Batch, Encoder, gzip};
use grpc::GrpcTransport;
use http::HttpTransport;
use outcome::Outcome;
use report::Reporter;
use sender::Sender;

pub use tls::TlsError;
pub(crate) use tls::connector_to;

/// How wirespan names itself to collectors.
const USER_AGENT: &str = concat!("wirespan-otlp-exporter-rust/", env!("CARGO_PKG_VERSION"));

/// HTTP/2 connections are probed this often while a request is under way, so that a peer which vanished is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Why the OTLP exporter cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gives no thread.
    #[error("cannot start the OTLP encoder thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// As what spans travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OTLP's protobuf.
    Otlp,
    /// Zipkin's JSON.
    Zipkin,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Otlp => "application/x-protobuf",
            Self::Zipkin => "application/json",
        }
    }
}

/// The running exporter.
pub(super) struct OtlpExporter {
    config: OtlpConfig,
    transport: Arc<Transport>,
    parcels: mpsc::Sender<Parcel>,
    admission: Arc<Admission>,
    counters: Arc<Counters>,
    stop: watch::Sender<Option<tokio::time::Instant>>,
    done: mpsc::Receiver<()>,
}

impl OtlpExporter {
    /// Starts the encoder's thread, and the sender on `runtime`.
    pub(super) fn start(
        (config, format): (OtlpConfig, Format),
        batch: BatchConfig,
        admission: Arc<Admission>,
        counters: Arc<Counters>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, OtlpError> {
        let transport = Arc::new(Transport::new(&config, Signal::Traces, format)?);
        let (parcels, parcels_out) = mpsc::channel();
        let (batches, batches_out) = tokio::sync::mpsc::unbounded_channel();
        let (stop, stop_out) = watch::channel(None);
        let (done_in, done) = mpsc::sync_channel(1);
        let encoder = Encoder {
            config: batch,
            format,
            gzip: transport.takes_gzip(),
            admission: Arc::clone(&admission),
            parcels: parcels_out,
            batches,
        };
        let (thread, encoding, sending) = match format {
            Format::Otlp => ("otlp-encoder", "the encoder of OTLP", "the sender of OTLP"),
            Format::Zipkin => ("zipkin-encoder", "the encoder for Zipkin", "the sender to Zipkin"),
        };
        std::thread::Builder::new().name(thread.to_owned()).spawn(move || {
            let _vital = Vital::of(encoding);
            encoder.run();
        })?;
        let sender = Sender {
            transport: Arc::clone(&transport),
            timeout: config.timeout,
            batches: batches_out,
            stop: stop_out,
            admission: Arc::clone(&admission),
            counters: Arc::clone(&counters),
            reporter: Reporter::new(config.endpoint.to_string(), "spans"),
        };
        runtime.spawn(async move {
            let _vital = Vital::of(sending);
            sender.run().await;
            let _ = done_in.send(());
        });
        Ok(Self { config, transport, parcels, admission, counters, stop, done })
    }

    /// Its connections, for another signal.
    pub(super) fn way(&self) -> Way {
        Way { config: self.config.clone(), transport: Arc::clone(&self.transport) }
    }

    /// Takes what fits.
    pub(super) fn export(&self, traces: &Bundle) {
        let (parcel, dropped) = Parcel::admit(traces, &self.admission, &self.counters.queues);
        if dropped > 0 && self.admission.overflows(dropped) {
            warn!("the queue of an exporter is full: spans are dropped and counted (queue-size, max-memory)");
        }
        if let Some(parcel) = parcel {
            // The encoder's thread ends only after this sender is gone.
            let _ = self.parcels.send(parcel);
        }
    }

    /// Begins to stop; [`Stopping::wait`] finishes.
    pub(super) fn stop(self, deadline: Instant) -> Stopping {
        // Fails only if the sender is gone, which `wait` notices.
        let _ = self.stop.send(Some(deadline.into()));
        // The encoder flushes once nobody can give it parcels any more.
        drop(self.parcels);
        Stopping { admission: self.admission, done: self.done, deadline }
    }
}

/// Connections that lead somewhere.
pub struct Way {
    config: OtlpConfig,
    transport: Arc<Transport>,
}

/// An exporter that delivers what is left.
pub(super) struct Stopping {
    admission: Arc<Admission>,
    done: mpsc::Receiver<()>,
    deadline: Instant,
}

impl Stopping {
    /// Waits for the end or the deadline; the number of spans that were not acknowledged.
    pub(super) fn wait(self) -> usize {
        // Early disconnection means that the runtime is gone, and nothing is left to wait for.
        let _ = self.done.recv_timeout(self.deadline.saturating_duration_since(Instant::now()));
        self.admission.held()
    }
}

/// The body of a request, and whether it is compressed.
#[derive(Clone)]
struct Packed {
    body: Bytes,
    gzipped: bool,
}

/// How requests travel.
enum Transport {
    Grpc(GrpcTransport),
    Http { http: HttpTransport, gzip: bool },
}

impl Transport {
    fn new(config: &OtlpConfig, signal: Signal, format: Format) -> Result<Self, TlsError> {
        let connector = tls::connector(config)?;
        Ok(match config.protocol {
            Protocol::Grpc => Self::Grpc(GrpcTransport::new(config, signal, connector)),
            Protocol::HttpProtobuf => Self::Http {
                http: HttpTransport::new(config, format, connector),
                gzip: config.compression == Compression::Gzip,
            },
        })
    }

    /// The way of a signal: over the connections of `beside`, if they lead where it is to go.
    fn by(beside: Option<&Way>, config: &OtlpConfig, signal: Signal) -> Result<Self, TlsError> {
        let shared = beside.and_then(|way| way.transport.beside(&way.config, config, signal));
        shared.map_or_else(|| Self::new(config, signal, Format::Otlp), Ok)
    }

    /// A way for another signal over the connections of this one, which go to `to`, if they lead where it is to go.
    fn beside(&self, to: &OtlpConfig, config: &OtlpConfig, signal: Signal) -> Option<Self> {
        let place = |config: &OtlpConfig| (config.endpoint.scheme().cloned(), config.endpoint.authority().cloned());
        let same = to.protocol == config.protocol && place(to) == place(config) && to.tls == config.tls;
        match self {
            _ if !same => None,
            Self::Grpc(_) if to.compression != config.compression => None,
            Self::Grpc(grpc) => Some(Self::Grpc(grpc.beside(config, signal))),
            Self::Http { http, .. } => {
                Some(Self::Http { http: http.beside(config), gzip: config.compression == Compression::Gzip })
            }
        }
    }

    /// Whether batches are to be compressed before they are sent: tonic compresses by itself.
    fn takes_gzip(&self) -> bool {
        matches!(self, Self::Http { gzip: true, .. })
    }

    async fn send(self: Arc<Self>, batch: &Batch) -> Outcome {
        let (body, gzipped) = if self.takes_gzip() {
            batch.stored()
        } else {
            match batch.plain() {
                Ok(body) => (body, false),
                Err(error) => return Outcome::Refused { reason: format!("a batch was damaged in memory: {error}") },
            }
        };
        self.send_body(body, gzipped).await
    }

    /// A body as it travels: compressed, if it is to be and can be.
    fn pack(&self, body: Bytes) -> Packed {
        match self.takes_gzip().then(|| gzip(&body)) {
            Some(Ok(packed)) => Packed { body: packed.into(), gzipped: true },
            _ => Packed { body, gzipped: false },
        }
    }

    async fn send_body(&self, body: Bytes, gzipped: bool) -> Outcome {
        match self {
            Self::Grpc(grpc) => grpc.clone().send(body).await,
            Self::Http { http, .. } => http.clone().send(body, gzipped).await,
        }
    }
}
