//! An OTLP/HTTP receiver on hyper's server.

use std::convert::Infallible;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::receiver::{Answer, Book, response};

pub async fn serve(listener: TcpListener, book: Book, tls: Option<ServerConfig>) {
    let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
    while let Ok((stream, _)) = listener.accept().await {
        let (book, acceptor) = (book.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, book).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connection(stream, book).await;
                    }
                }
            }
        });
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, book: Book) {
    let service = service_fn(move |request| answer(request, book.clone()));
    // The client may break off whenever it likes.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, book: Book) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    assert_eq!(head.method, "POST");
    assert_eq!(head.headers[CONTENT_TYPE], "application/x-protobuf");
    let mut body = body.collect().await.expect("a whole body").to_bytes().to_vec();
    if head.headers.get(CONTENT_ENCODING).is_some_and(|e| e == "gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain).expect("gzip");
        body = plain;
    }
    let message = ExportTraceServiceRequest::decode(&*body).expect("an export request");
    let reply = |status, partial| {
        let body = Full::from(response(partial).encode_to_vec());
        Response::builder().status::<u16>(status).header(CONTENT_TYPE, "application/x-protobuf").body(body).unwrap()
    };
    Ok(match book.enter(head.uri.path(), head.headers, message) {
        None => reply(200, None),
        Some(Answer::Partial(rejected, message)) => reply(200, Some((rejected, message))),
        Some(Answer::Http(status, retry_after)) => {
            let body = Full::from(StatusCode::from_u16(status).unwrap().to_string());
            let mut refusal = Response::builder().status(status).body(body).unwrap();
            if let Some(value) = retry_after {
                refusal.headers_mut().insert(RETRY_AFTER, value.parse().unwrap());
            }
            refusal
        }
        Some(Answer::Silence) => std::future::pending().await,
        Some(Answer::Grpc(_)) => unreachable!("not in an HTTP script"),
    })
}
