//! OTLP/gRPC: `TraceService.Export`, unary.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Extension, body::Bytes};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;
use prost::bytes::Buf as _;
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::BoxFuture;
use tonic::server::UnaryService;

use super::Inbox;
use super::room::Room;
use super::weigh;

/// Where calls go.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What the handler works with.
pub(super) struct Grpc {
    pub(super) inbox: Arc<Inbox>,
    pub(super) max_message: usize,
}

/// Answers a call.
pub(super) async fn export(
    State(grpc): State<Arc<Grpc>>,
    Extension(room): Extension<Arc<Room>>,
    request: Request,
) -> Response {
    let mut server = tonic::server::Grpc::new(Weighing(room))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(grpc.max_message);
    server.unary(Export(Arc::clone(&grpc.inbox)), request).await.map(Body::new)
}

/// The method.
struct Export(Arc<Inbox>);

impl UnaryService<ExportTraceServiceRequest> for Export {
    type Response = ExportTraceServiceResponse;
    type Future = BoxFuture<tonic::Response<ExportTraceServiceResponse>, Status>;

    fn call(&mut self, request: tonic::Request<ExportTraceServiceRequest>) -> Self::Future {
        let inbox = Arc::clone(&self.0);
        Box::pin(async move { Ok(tonic::Response::new(inbox.take_aside(request.into_inner()).await)) })
    }
}

/// Protobuf, of which nothing is decoded that there is no room for.
struct Weighing(Arc<Room>);

impl Codec for Weighing {
    type Encode = ExportTraceServiceResponse;
    type Decode = ExportTraceServiceRequest;
    type Encoder = Plain;
    type Decoder = Weighed;

    fn encoder(&mut self) -> Plain {
        Plain
    }

    fn decoder(&mut self) -> Weighed {
        Weighed(Arc::clone(&self.0))
    }
}

struct Plain;

impl Encoder for Plain {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to).map_err(|error| Status::internal(error.to_string()))
    }
}

struct Weighed(Arc<Room>);

impl Decoder for Weighed {
    type Item = ExportTraceServiceRequest;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let bytes: Bytes = from.copy_to_bytes(from.remaining());
        if !self.0.grow(weigh::protobuf(&bytes)) {
            return Err(Status::out_of_range("there is no room for the message"));
        }
        let decoded = ExportTraceServiceRequest::decode(bytes);
        decoded.map(Some).map_err(|error| Status::invalid_argument(format!("no ExportTraceServiceRequest: {error}")))
    }
}
