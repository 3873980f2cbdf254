//! OTLP/gRPC: tonic's client calling over hyper, with bodies that are encoded already.

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status};

use crate::config::otlp::{Compression, OtlpConfig, Signal};

use super::outcome::Outcome;
use super::own::Connector;
use super::{KEEP_ALIVE, USER_AGENT};

/// What is called.
const fn method(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// Calls `Export` of a signal's service. Clones share one connection, whatever they send.
#[derive(Clone)]
pub(super) struct GrpcTransport {
    client: Grpc<Client<HttpsConnector<Connector>, tonic::body::Body>>,
    headers: HeaderMap,
    signal: Signal,
}

impl GrpcTransport {
    /// The same connection for another signal, with headers and compression of its own.
    pub(super) fn beside(&self, config: &OtlpConfig, signal: Signal) -> Self {
        Self { client: self.client.clone(), headers: headers(config), signal }
    }

    pub(super) fn new(config: &OtlpConfig, signal: Signal, connector: HttpsConnector<Connector>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .build(connector);
        let mut client = Grpc::with_origin(client, config.endpoint.clone());
        if config.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        Self { client, headers: headers(config), signal }
    }

    /// Sends one request, which tonic compresses if configured.
    pub(super) async fn send(mut self, body: Bytes) -> Outcome {
        if let Err(error) = self.client.ready().await {
            return Outcome::unreachable(&error);
        }
        let mut request = Request::new(body);
        *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(self.headers);
        match self.client.unary(request, PathAndQuery::from_static(method(self.signal)), ExportCodec).await {
            Ok(response) => Outcome::accepted(response.into_inner()),
            Err(status) => Outcome::from_grpc(&status),
        }
    }
}

fn headers(config: &OtlpConfig) -> HeaderMap {
    let mut headers = config.headers.clone();
    headers.entry(http::header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    headers
}

/// Encoded bytes out, a response message in. (The answers for all signals have the same fields: how many parts were not taken,
/// and why.)
#[derive(Clone, Copy)]
struct ExportCodec;

impl Codec for ExportCodec {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for ExportCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.len());
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for ExportCodec {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        // The call succeeded, whatever the message says; unreadable, it says nothing.
        let response = ExportTraceServiceResponse::decode(&mut *buffer).unwrap_or_default();
        buffer.advance(buffer.remaining());
        Ok(Some(response))
    }
}
