//! Metrics and logs of applications: passed on as they came, by either transport.
//!
//! They are not understood here; only that a body is a list of what the signal's requests hold is looked at, so that nobody
//! makes the agent send what is no request at all. Room for them is limited in bytes: what finds none is to be sent again.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prost::bytes::Buf as _;
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::BoxFuture;
use tonic::server::UnaryService;

use crate::metrics::Counters;

use super::http::{Http, Refusal};
use super::room::Room;

/// Where requests of one signal go: whether there was room.
pub type Pass = Arc<dyn Fn(Bytes) -> bool + Send + Sync>;

/// One signal, as it is received.
pub(super) struct Relaying {
    pub(super) pass: Pass,
    pub(super) http: Arc<Http>,
    pub(super) counters: Arc<Counters>,
}

impl Relaying {
    /// Passes a body on, or says why not.
    fn take(&self, body: Bytes) -> Result<(), Problem> {
        if !is_request(&body) {
            return Err(Problem::NoRequest);
        }
        if !body.is_empty() && !(self.pass)(body) {
            self.counters.relayed_requests_refused.inc();
            return Err(Problem::NoRoom);
        }
        self.counters.otlp_requests_received.inc();
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    NoRequest,
    NoRoom,
}

impl Problem {
    fn sentence(self) -> &'static str {
        match self {
            Self::NoRequest => "the body is no request of this signal",
            Self::NoRoom => "what came before has not been passed on yet: send it again later",
        }
    }
}

/// Whether a body is a list of messages, as requests of every signal are: fields with the number 1, each with its length.
fn is_request(mut body: &[u8]) -> bool {
    while let Some((key, rest)) = body.split_first() {
        body = rest;
        let Some(length) = (*key == 0x0a).then(|| varint(&mut body)).flatten() else { return false };
        let Some(rest) = usize::try_from(length).ok().and_then(|length| body.get(length..)) else { return false };
        body = rest;
    }
    true
}

fn varint(body: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10 {
        let (byte, rest) = body.split_first()?;
        *body = rest;
        value |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// `POST /v1/metrics`, `POST /v1/logs`.
pub(super) async fn http(
    State(relaying): State<Arc<Relaying>>,
    Extension(room): Extension<Arc<Room>>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let protobuf =
        head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-protobuf"));
    if !protobuf {
        let why = "metrics and logs are passed on as they come: send application/x-protobuf".to_owned();
        return Refusal { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, why }.into_response();
    }
    let body = match relaying.http.plain(&head.headers, body, &room).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    match relaying.take(body) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, "application/x-protobuf")], Body::empty()).into_response(),
        Err(problem) => {
            let status = match problem {
                Problem::NoRequest => StatusCode::BAD_REQUEST,
                Problem::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            };
            Refusal { status, why: problem.sentence().to_owned() }.into_response()
        }
    }
}

/// `MetricsService.Export`, `LogsService.Export`.
pub(super) async fn grpc(State(relaying): State<Arc<Relaying>>, request: Request) -> Response {
    let mut server = tonic::server::Grpc::new(Raw)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(relaying.http.max_message);
    server.unary(Export(relaying), request).await.map(Body::new)
}

struct Export(Arc<Relaying>);

impl UnaryService<Bytes> for Export {
    type Response = ();
    type Future = BoxFuture<tonic::Response<()>, Status>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let relaying = Arc::clone(&self.0);
        Box::pin(async move {
            relaying.take(request.into_inner()).map(tonic::Response::new).map_err(|problem| match problem {
                Problem::NoRequest => Status::invalid_argument(problem.sentence()),
                Problem::NoRoom => Status::unavailable(problem.sentence()),
            })
        })
    }
}

/// Messages as they are; the answer has nothing in it.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = ();
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
    use prost::Message as _;

    #[test]
    fn a_request_is_a_list_of_messages_and_nothing_else_is_one() {
        let group = ResourceLogs { scope_logs: vec![ScopeLogs::default(); 300], ..Default::default() };
        let request = ExportLogsServiceRequest { resource_logs: vec![group; 3] }.encode_to_vec();
        assert!(is_request(&request) && is_request(&[]));
        for bad in [&request[..request.len() - 1], b"GET / HTTP/1.1", &[0x0a], &[0x0a, 5, 1], &[0x12, 0]] {
            assert!(!is_request(bad));
        }
        assert!(!is_request(&[&[0x0a][..], &[0xff; 12]].concat()));
    }
}
