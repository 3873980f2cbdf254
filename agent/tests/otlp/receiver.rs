//! What both receivers share: a script of answers, and a record of what came.

use std::collections::{HashSet, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::runtime::Runtime;
use tokio_rustls::rustls::ServerConfig;
use wirespan_agent::config::otlp::Protocol;

use crate::{grpc_receiver, http_receiver};

/// An answer. Where the script ends, everything is accepted.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Some spans are not taken.
    Partial(i64, &'static str),
    /// A gRPC error.
    Grpc(tonic::Status),
    /// An HTTP status, with `Retry-After`.
    Http(u16, Option<&'static str>),
    /// None, ever.
    Silence,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Instant,
    pub path: String,
    pub headers: HeaderMap,
    pub request: ExportTraceServiceRequest,
}

/// The script and the record.
#[derive(Clone, Default)]
pub struct Book {
    script: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Book {
    /// Records a request and says how to answer it.
    pub fn enter(&self, path: &str, headers: HeaderMap, request: ExportTraceServiceRequest) -> Option<Answer> {
        self.seen.lock().unwrap().push(Seen { at: Instant::now(), path: path.to_owned(), headers, request });
        self.script.lock().unwrap().pop_front()
    }
}

/// A running receiver.
pub struct Receiver {
    pub address: SocketAddr,
    book: Book,
    runtime: Option<Runtime>,
}

impl Receiver {
    /// Listens on a port of its own.
    pub fn start(protocol: Protocol, script: impl IntoIterator<Item = Answer>) -> Self {
        Self::on(reserve(), protocol, script, None)
    }

    /// Listens with TLS.
    pub fn start_tls(protocol: Protocol, tls: ServerConfig) -> Self {
        Self::on(reserve(), protocol, [], Some(tls))
    }

    /// Listens on a socket that is bound already.
    pub fn on(
        listener: TcpListener,
        protocol: Protocol,
        script: impl IntoIterator<Item = Answer>,
        tls: Option<ServerConfig>,
    ) -> Self {
        let book = Book { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Book::default() };
        let runtime = crate::runtime();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).unwrap()
        };
        match protocol {
            Protocol::Grpc => runtime.spawn(grpc_receiver::serve(listener, book.clone(), tls)),
            Protocol::HttpProtobuf => runtime.spawn(http_receiver::serve(listener, book.clone(), tls)),
        };
        Self { address, book, runtime: Some(runtime) }
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.book.seen.lock().unwrap().clone()
    }

    /// The ids of the spans so far; a request that was answered with an error counts too.
    pub fn span_ids(&self) -> HashSet<Vec<u8>> {
        let seen = self.book.seen.lock().unwrap();
        let resources = seen.iter().flat_map(|s| &s.request.resource_spans);
        resources.flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).map(|s| s.span_id.clone()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Connections break off: whatever is not answered yet never will be.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A socket on an ephemeral port.
fn reserve() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
}

/// The message that says that some spans were not taken.
pub fn response(partial: Option<(i64, &str)>) -> ExportTraceServiceResponse {
    let partial_success = partial.map(|(rejected_spans, message)| ExportTracePartialSuccess {
        rejected_spans,
        error_message: message.to_owned(),
    });
    ExportTraceServiceResponse { partial_success }
}
