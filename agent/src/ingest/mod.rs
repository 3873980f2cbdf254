//! OTLP in: spans that applications make themselves, over gRPC and HTTP, go where our own spans go.
//!
//! ```text
//! connection ──▶ gate ──▶ grpc | http ──▶ convert ──Vec<Trace>──▶ (bounded) ──▶ the exporters
//!   bounded      origin, token,            ids, limits, resource
//!                room                      and scope kept
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `server` | connections: how many, HTTP/1.1 and HTTP/2 on the same port |
//! | `gate` | who may send, and how much at one time |
//! | `grpc`, `http` | the two transports of the OTLP specification |
//! | `convert` | protobuf's spans into ours |
//!
//! Whoever sends is treated as hostile: a message, compressed or not, has at most [`Settings::max_message`] bytes; what
//! does not fit the queue is refused with a status that says *again later*, as OTLP 1.x, *Failures*, has it.
//! Source: <https://opentelemetry.io/docs/specs/otlp/>.

mod convert;
mod gate;
mod grpc;
mod http;
mod server;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::runtime::Handle;

use crate::metrics::Counters;
use crate::span::Trace;

use convert::Converter;
use server::Server;

/// Requests that may wait for the exporters. They take what is there every few milliseconds.
const QUEUE: usize = 8;

/// What to receive, and from whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; each address speaks gRPC and HTTP.
    pub addresses: Vec<SocketAddr>,
    /// What senders must state as `Authorization: Bearer …`, if anything.
    pub token: Option<Arc<str>>,
    /// Bytes of one message, before and after decompression.
    pub max_message: usize,
}

/// The running receiver. Dropping it closes every connection.
pub struct Ingest {
    servers: Vec<Server>,
    addresses: Vec<SocketAddr>,
}

impl Ingest {
    /// Listens, and hands what comes to the receiver that it returns. An address that cannot be had costs that address
    /// alone, and is said in the log.
    pub fn start(settings: &Settings, counters: &Arc<Counters>, runtime: &Handle) -> (Self, Receiver<Vec<Trace>>) {
        let (traces, received) = sync_channel(QUEUE);
        let inbox = Arc::new(Inbox { traces, converter: Mutex::default(), counters: Arc::clone(counters) });
        let router = gate::router(settings, &inbox);
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
        (ingest, received)
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
    traces: SyncSender<Vec<Trace>>,
    converter: Mutex<Converter>,
    counters: Arc<Counters>,
}

/// Nothing of a request was taken, and it may be sent again.
struct Full;

impl Inbox {
    /// Takes a request's spans; those that can be none of a trace are refused and counted.
    fn take(&self, request: ExportTraceServiceRequest) -> Result<ExportTraceServiceResponse, Full> {
        let mut converter = self.converter.lock().unwrap_or_else(PoisonError::into_inner);
        let converted = converter.convert(request);
        drop(converter);
        let accepted: usize = converted.traces.iter().map(|trace| trace.spans.len()).sum();
        if accepted > 0 {
            match self.traces.try_send(converted.traces) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(Full),
            }
        }
        self.counters.otlp_requests_received.inc();
        self.counters.spans_received.add(accepted as u64);
        self.counters.spans_refused.add(converted.refused);
        // Absent when everything was taken (OTLP, *Full Success*).
        let partial_success = (converted.refused > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(converted.refused).unwrap_or(i64::MAX),
            error_message: convert::WHY_REFUSED.to_owned(),
        });
        Ok(ExportTraceServiceResponse { partial_success })
    }
}
