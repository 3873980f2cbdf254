//! OTLP/HTTP: protobuf in the body of a POST.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use crate::config::otlp::OtlpConfig;

use super::outcome::Outcome;
use super::own::Connector;
use super::{Format, KEEP_ALIVE};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// The most of a response that is read. What a collector has to say is short.
const MAX_RESPONSE: usize = 64 << 10;

/// Connections close when unused for so long: before the 60 s at which servers and balancers commonly drop them, so
/// that a request does not meet a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(50);

/// Posts export requests. Clones share their connections.
#[derive(Clone)]
pub(super) struct HttpTransport {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    endpoint: Uri,
    headers: HeaderMap,
}

impl HttpTransport {
    /// The same connections for another signal.
    pub(super) fn beside(&self, config: &OtlpConfig) -> Self {
        Self { client: self.client.clone(), endpoint: config.endpoint.clone(), headers: headers(config, Format::Otlp) }
    }

    pub(super) fn new(config: &OtlpConfig, format: Format, connector: HttpsConnector<Connector>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .build(connector);
        Self { client, endpoint: config.endpoint.clone(), headers: headers(config, format) }
    }

    /// Sends one request.
    pub(super) async fn send(self, body: Bytes, gzipped: bool) -> Outcome {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint;
        *request.headers_mut() = self.headers;
        if gzipped {
            request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        match self.client.request(request).await {
            Ok(response) => read(response).await,
            Err(error) => Outcome::unreachable(&error),
        }
    }
}

fn headers(config: &OtlpConfig, format: Format) -> HeaderMap {
    let mut headers = config.headers.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(super::USER_AGENT));
    headers
}

async fn read(response: http::Response<Incoming>) -> Outcome {
    let (head, body) = response.into_parts();
    // The status alone decides; a body that breaks off or goes on for ever only takes the details away.
    let body = Limited::new(body, MAX_RESPONSE).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let protobuf = head.headers.get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(PROTOBUF.as_bytes()));
    if head.status.is_success() {
        let said =
            if protobuf { ExportTraceServiceResponse::decode(body).unwrap_or_default() } else { Default::default() };
        return Outcome::accepted(said);
    }
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
    Outcome::from_http(head.status, retry_after, &explanation(&body, protobuf))
}

/// What the body of an error says: the message of a `google.rpc.Status`, or the beginning of a text.
fn explanation(body: &[u8], protobuf: bool) -> String {
    if protobuf {
        return tonic_types::Status::decode(body).map(|s| s.message).unwrap_or_default();
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
    text.lines().next().unwrap_or_default().trim().to_owned()
}
