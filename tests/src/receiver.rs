//! An OTLP receiver inside the test: gRPC and HTTP/protobuf, gzip or not, which keeps every span, metric and record.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use prost::Message;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;

use crate::log::{self, Log};
use crate::span::{Span, flatten};
use crate::wait;

/// Largest export request that is accepted, bytes.
const MAX_REQUEST: usize = 256 << 20;

/// How the agent is to talk to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf bodies.
    Http,
}

impl Protocol {
    /// As `OTEL_EXPORTER_OTLP_PROTOCOL` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        }
    }
}

/// What arrived.
#[derive(Default)]
struct Inbox {
    /// HTTP bodies that nobody has decoded yet: under load the machine belongs to what is measured.
    undecoded: Vec<Bytes>,
    spans: Vec<Span>,
    metrics: Vec<ResourceMetrics>,
    logs: Vec<Log>,
    /// Metrics are not taken.
    refuses_metrics: bool,
    /// Records are not taken.
    refuses_logs: bool,
    requests: usize,
    gzipped: usize,
}

/// Shared between the receiver and its connections.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Inbox>>);

impl Store {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().expect("no test panics while it holds the inbox")
    }
}

/// An OTLP endpoint on a port of its own, which can go away and come back.
pub struct Receiver {
    protocol: Protocol,
    port: u16,
    store: Store,
    /// Present while it listens. Its end takes every connection with it.
    runtime: Option<Runtime>,
}

impl Receiver {
    /// A receiver that listens.
    pub fn start(protocol: Protocol) -> Self {
        let mut receiver = Self::absent(protocol);
        receiver.up();
        receiver
    }

    /// A receiver that has a port but does not listen on it until [`Receiver::up`].
    pub fn absent(protocol: Protocol) -> Self {
        Self { protocol, port: wait::free_port(), store: Store::default(), runtime: None }
    }

    /// Where to export to.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Begins to listen.
    pub fn up(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp-receiver")
            .enable_all()
            .build()
            .expect("a runtime for the receiver");
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let store = self.store.clone();
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_reuseaddr(true).expect("SO_REUSEADDR");
            socket.bind(address).expect("the receiver's port is free");
            socket.listen(128).expect("listen")
        });
        match self.protocol {
            Protocol::Grpc => runtime.spawn(serve_grpc(listener, store)),
            Protocol::Http => runtime.spawn(serve_http(listener, store)),
        };
        self.runtime = Some(runtime);
    }

    /// Closes the listener and every connection: whoever exports now gets `ECONNREFUSED`.
    pub fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        let port = self.port;
        let refused = || !wait::listens(port);
        assert!(wait::until_true(Duration::from_secs(5), refused), "the receiver still listens");
    }

    /// Every span that arrived so far.
    pub fn spans(&self) -> Vec<Span> {
        self.decoded().spans.clone()
    }

    /// How many spans arrived so far that `counts`.
    pub fn count(&self, counts: impl Fn(&Span) -> bool) -> usize {
        self.decoded().spans.iter().filter(|span| counts(span)).count()
    }

    /// Every export of metrics that arrived so far, in their order.
    pub fn metrics(&self) -> Vec<ResourceMetrics> {
        self.store.lock().metrics.clone()
    }

    /// From now on metrics are refused for good, as by a receiver that knows traces alone.
    pub fn refuse_metrics(&self) {
        self.store.lock().refuses_metrics = true;
    }

    /// Every record that arrived so far.
    pub fn logs(&self) -> Vec<Log> {
        self.store.lock().logs.clone()
    }

    /// From now on records are refused for good.
    pub fn refuse_logs(&self) {
        self.store.lock().refuses_logs = true;
    }

    fn decoded(&self) -> MutexGuard<'_, Inbox> {
        let mut inbox = self.store.lock();
        for body in std::mem::take(&mut inbox.undecoded) {
            let request = ExportTraceServiceRequest::decode(body).expect("the agent sends valid protobuf");
            inbox.spans.extend(flatten(request));
        }
        inbox
    }

    /// Number of export requests, and how many of them were compressed.
    pub fn requests(&self) -> (usize, usize) {
        let inbox = self.store.lock();
        (inbox.requests, inbox.gzipped)
    }
}

/// gRPC service.
struct Grpc(Store);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let gzipped = request.metadata().get("grpc-encoding").is_some_and(|e| e == "gzip");
        let spans = flatten(request.into_inner());
        let mut inbox = self.0.lock();
        inbox.requests += 1;
        inbox.gzipped += usize::from(gzipped);
        inbox.spans.extend(spans);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let mut inbox = self.0.lock();
        if inbox.refuses_metrics {
            return Err(tonic::Status::unimplemented("traces only"));
        }
        inbox.metrics.extend(request.into_inner().resource_metrics);
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        let mut inbox = self.0.lock();
        if inbox.refuses_logs {
            return Err(tonic::Status::unimplemented("no logs"));
        }
        inbox.logs.extend(log::flatten(request.into_inner()));
        Ok(tonic::Response::new(ExportLogsServiceResponse::default()))
    }
}

async fn serve_grpc(listener: tokio::net::TcpListener, store: Store) {
    let metrics = MetricsServiceServer::new(Grpc(store.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_REQUEST);
    let logs = LogsServiceServer::new(Grpc(store.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_REQUEST);
    let service = TraceServiceServer::new(Grpc(store))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_REQUEST);
    let server = tonic::transport::Server::builder().add_service(service).add_service(metrics).add_service(logs);
    server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("gRPC server");
}

async fn serve_http(listener: tokio::net::TcpListener, store: Store) {
    let router = Router::new()
        .route("/v1/traces", post(accept_http))
        .route("/v1/metrics", post(accept_metrics))
        .route("/v1/logs", post(accept_logs))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(store);
    axum::serve(listener, router).await.expect("HTTP server");
}

/// The body of a request, unpacked, and whether it was packed; or what is wrong with it.
fn unpacked(headers: &HeaderMap, body: Bytes) -> Result<(Bytes, bool), StatusCode> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if header("content-type") != "application/x-protobuf" {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    if header("content-encoding") != "gzip" {
        return Ok((body, false));
    }
    let mut plain = Vec::new();
    match flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain) {
        Ok(_) => Ok((Bytes::from(plain), true)),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

async fn accept_metrics(State(store): State<Store>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut inbox = store.lock();
    if inbox.refuses_metrics {
        return StatusCode::NOT_FOUND;
    }
    let Ok((body, _)) = unpacked(&headers, body) else { return StatusCode::BAD_REQUEST };
    let request = ExportMetricsServiceRequest::decode(body).expect("the agent sends valid protobuf");
    inbox.metrics.extend(request.resource_metrics);
    StatusCode::OK
}

async fn accept_logs(State(store): State<Store>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut inbox = store.lock();
    if inbox.refuses_logs {
        return StatusCode::NOT_FOUND;
    }
    let Ok((body, _)) = unpacked(&headers, body) else { return StatusCode::BAD_REQUEST };
    let request = ExportLogsServiceRequest::decode(body).expect("the agent sends valid protobuf");
    inbox.logs.extend(log::flatten(request));
    StatusCode::OK
}

async fn accept_http(State(store): State<Store>, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap, Vec<u8>) {
    let (body, gzipped) = match unpacked(&headers, body) {
        Ok(unpacked) => unpacked,
        Err(status) => return (status, HeaderMap::new(), Vec::new()),
    };
    let mut inbox = store.lock();
    inbox.requests += 1;
    inbox.gzipped += usize::from(gzipped);
    inbox.undecoded.push(body);
    drop(inbox);
    let mut reply = HeaderMap::new();
    reply.insert("content-type", axum::http::HeaderValue::from_static("application/x-protobuf"));
    (StatusCode::OK, reply, ExportTraceServiceResponse::default().encode_to_vec())
}
