//! OTLP in: spans that applications make themselves, over gRPC and HTTP, go where our own spans go.
//!
//! ```text
//! connection ──▶ gate ──▶ grpc | http ──▶ convert ──Vec<Trace>──▶ the exporters
//!   bounded      origin, token,            ids, limits, resource
//!                room                      and scope kept
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `server` | connections: how many, HTTP/1.1 and HTTP/2 on the same port |
//! | `gate` | who may send, and how much at one time |
//! | `grpc`, `http` | the two transports of the OTLP specification |
//! | `room`, `weigh` | what messages take of the bound on memory |
//! | [`relay`] | metrics and logs, passed on as they came |
//! | `convert`, `limits` | protobuf's spans into ours, and how much of each |
//!
//! Whoever sends is treated as hostile: a message, compressed or not, has at most [`Settings::max_message`] bytes, and what
//! is under way at one time is bounded, in number and in bytes, also of what it becomes. What does not fit an exporter's queue is counted there.
//! Source: <https://opentelemetry.io/docs/specs/otlp/>.

mod convert;
mod gate;
mod grpc;
mod http;
mod limits;
pub mod relay;
mod room;
mod server;
#[cfg(test)]
mod tests;
mod weigh;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::runtime::Handle;

use crate::memory::Account;
use crate::metrics::Counters;
use crate::span::Trace;

use convert::Converter;
pub use limits::Limits;
use server::Server;

/// What to receive, and from whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; each address speaks gRPC and HTTP.
    pub addresses: Vec<SocketAddr>,
    /// What senders must state as `Authorization: Bearer …`, if anything.
    pub token: Option<Arc<str>>,
    /// Bytes of one message, before and after decompression.
    pub max_message: usize,
    /// How much of each span is kept.
    pub limits: Limits,
    /// What messages may take while they are read and understood, all together.
    pub memory: Account,
}

/// Where metrics and logs of applications go, if anywhere.
#[derive(Clone, Default)]
pub struct Relays {
    /// Metrics.
    pub metrics: Option<relay::Pass>,
    /// Logs.
    pub logs: Option<relay::Pass>,
}

/// The running receiver. Dropping it closes every connection.
pub struct Ingest {
    servers: Vec<Server>,
    addresses: Vec<SocketAddr>,
}

impl Ingest {
    /// Listens, and hands what comes to `sink`, which must not block. An address that cannot be had costs that address
    /// alone, and is said in the log.
    pub fn start(
        settings: &Settings,
        counters: &Arc<Counters>,
        runtime: &Handle,
        relays: &Relays,
        sink: impl Fn(Vec<Trace>) + Send + Sync + 'static,
    ) -> Self {
        let counters = Arc::clone(counters);
        let inbox =
            Arc::new(Inbox { sink: Box::new(sink), converter: Mutex::new(Converter::new(settings.limits)), counters });
        let router = gate::router(settings, &inbox, relays);
        let mut ingest = Self { servers: Vec::new(), addresses: Vec::new() };
        for address in &settings.addresses {
            let bound = TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                ingest.addresses.push(listener.local_addr()?);
                Server::start(listener, router.clone(), runtime)
            });
            match bound {
                Ok(server) => ingest.servers.push(server),
                Err(error) => log::error!(
                    "no OTLP is received on {address}: {error}; free that port, or choose another with --otlp-listen"
                ),
            }
        }
        ingest
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// The traces of a request, as if it had been received.
pub fn traces(request: ExportTraceServiceRequest) -> Vec<Trace> {
    Converter::default().convert(request).traces
}

/// Where both transports put what they decoded.
struct Inbox {
    sink: Box<dyn Fn(Vec<Trace>) + Send + Sync>,
    converter: Mutex<Converter>,
    counters: Arc<Counters>,
}

/// Spans of a request beyond which it is not taken between the other work of a thread.
const MANY: usize = 100;

impl Inbox {
    /// Takes a request's spans, off the threads that serve connections if there are many.
    async fn take_aside(self: &Arc<Self>, request: ExportTraceServiceRequest) -> ExportTraceServiceResponse {
        let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
        if request.resource_spans.len() + scopes.map(|scope| 1 + scope.spans.len()).sum::<usize>() <= MANY {
            return self.take(request);
        }
        let inbox = Arc::clone(self);
        // Fails only if taking panics, and then nothing was taken.
        tokio::task::spawn_blocking(move || inbox.take(request)).await.unwrap_or_default()
    }

    /// Takes a request's spans; those that can be none of a trace are refused and counted.
    fn take(&self, request: ExportTraceServiceRequest) -> ExportTraceServiceResponse {
        let mut converter = self.converter.lock().unwrap_or_else(PoisonError::into_inner);
        let converted = converter.convert(request);
        drop(converter);
        let accepted: usize = converted.traces.iter().map(|trace| trace.spans.len()).sum();
        (self.sink)(converted.traces);
        self.counters.otlp_requests_received.inc();
        self.counters.spans_received.add(accepted as u64);
        self.counters.spans_refused.add(converted.refused);
        self.counters.received_parts_dropped.add(converted.dropped);
        self.counters.received_texts_shortened.add(converted.shortened);
        // Absent when everything was taken (OTLP, *Full Success*).
        let partial_success = (converted.refused > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(converted.refused).unwrap_or(i64::MAX),
            error_message: convert::WHY_REFUSED.to_owned(),
        });
        ExportTraceServiceResponse { partial_success }
    }
}
