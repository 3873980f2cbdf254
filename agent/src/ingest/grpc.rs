//! OTLP/gRPC: `TraceService.Export`, unary.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

use super::Inbox;

/// Where gRPC calls go.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/{method}";

/// The service.
pub(super) fn service(inbox: &Arc<Inbox>, max_message: usize) -> TraceServiceServer<Grpc> {
    TraceServiceServer::new(Grpc(Arc::clone(inbox)))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(max_message)
}

/// Answers calls.
pub(super) struct Grpc(Arc<Inbox>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(self.0.take_aside(request.into_inner()).await))
    }
}
