//! An OTLP/gRPC receiver on tonic's server.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::receiver::{Answer, Book, response};

pub async fn serve(listener: TcpListener, book: Book, tls: Option<ServerConfig>) {
    let service = TraceServiceServer::new(Service(book)).accept_compressed(CompressionEncoding::Gzip);
    let server = Server::builder().add_service(service);
    let connections = TcpListenerStream::new(listener);
    let served = match tls {
        None => server.serve_with_incoming(connections).await,
        Some(mut tls) => {
            tls.alpn_protocols = vec![b"h2".to_vec()];
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            let secured = connections.then(move |c| {
                let acceptor = acceptor.clone();
                async move { acceptor.accept(c?).await }
            });
            // A client that does not like the certificate must not end the server.
            server.serve_with_incoming(secured.filter(Result::is_ok)).await
        }
    };
    served.expect("the receiver runs");
}

struct Service(Book);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        match self.0.enter("", metadata.into_headers(), message) {
            None => Ok(Response::new(response(None))),
            Some(Answer::Partial(rejected, message)) => Ok(Response::new(response(Some((rejected, message))))),
            Some(Answer::Grpc(status)) => Err(status),
            Some(Answer::Silence) => std::future::pending().await,
            Some(Answer::Http(..)) => unreachable!("not in a gRPC script"),
        }
    }
}
