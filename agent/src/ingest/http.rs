//! OTLP/HTTP: a POST with protobuf or JSON, perhaps compressed by gzip; the answer comes in the same format.

use std::io::Read as _;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;

use super::room::Room;
use super::{Inbox, weigh};

/// What the handler works with.
pub(super) struct Http {
    pub(super) inbox: Arc<Inbox>,
    pub(super) max_message: usize,
}

/// How a body is written.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Protobuf,
    Json,
}

/// Why a request is not taken. The body is a `google.rpc.Status`, as the specification demands.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: String,
}

/// Bodies larger than this are not decoded between the other work of the thread.
const LONG: usize = 64 << 10;

/// `POST /v1/traces`.
pub(super) async fn export(
    State(http): State<Arc<Http>>,
    Extension(room): Extension<Arc<Room>>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let format = match format(&head.headers) {
        Ok(format) => format,
        Err(refusal) => return refusal.write(Format::Json),
    };
    match http.answer(format, &head.headers, body, room).await {
        Ok(response) => response,
        Err(refusal) => refusal.write(format),
    }
}

impl Http {
    async fn answer(
        self: &Arc<Self>,
        format: Format,
        headers: &HeaderMap,
        body: Body,
        room: Arc<Room>,
    ) -> Result<Response, Refusal> {
        let gzipped = encoding(headers)?;
        let body = self.read(headers, body).await?;
        let request = if body.len() <= LONG {
            self.decode(format, gzipped, &body, &room)?
        } else {
            let http = Arc::clone(self);
            let decoded = tokio::task::spawn_blocking(move || http.decode(format, gzipped, &body, &room)).await;
            decoded.map_err(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "the body could not be decoded"))??
        };
        Ok(answer(format, &self.inbox.take_aside(request).await))
    }

    /// The body without its compression.
    pub(super) async fn plain(&self, headers: &HeaderMap, body: Body, room: &Room) -> Result<Bytes, Refusal> {
        let gzipped = encoding(headers)?;
        let body = self.read(headers, body).await?;
        if gzipped { self.inflate(&body, room).map(Bytes::from) } else { Ok(body) }
    }

    /// The body, unless it is too long.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
        let stated = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if stated.is_some_and(|length| length > self.max_message) {
            return Err(self.too_large());
        }
        match Limited::new(body, self.max_message).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Err(_) => Err(refusal(StatusCode::BAD_REQUEST, "the body broke off")),
        }
    }

    fn decode(
        &self,
        format: Format,
        gzipped: bool,
        body: &[u8],
        room: &Room,
    ) -> Result<ExportTraceServiceRequest, Refusal> {
        let plain = if gzipped { self.inflate(body, room)? } else { Vec::new() };
        let body = if gzipped { &plain[..] } else { body };
        let weight = match format {
            Format::Protobuf => weigh::protobuf(body),
            Format::Json => weigh::json(body),
        };
        if !room.grow(weight) {
            return Err(no_room());
        }
        let wrong = |error: &dyn std::fmt::Display| {
            refusal(StatusCode::BAD_REQUEST, format!("the body is no ExportTraceServiceRequest: {error}"))
        };
        match format {
            Format::Protobuf => ExportTraceServiceRequest::decode(body).map_err(|e| wrong(&e)),
            Format::Json => serde_json::from_slice(body).map_err(|e| wrong(&e)),
        }
    }

    /// What a body holds, piece by piece, as far as there is room.
    fn inflate(&self, body: &[u8], room: &Room) -> Result<Vec<u8>, Refusal> {
        let (mut plain, mut gzip) = (Vec::new(), MultiGzDecoder::new(body));
        loop {
            // (The vector may have room for twice as many.)
            if !room.grow(2 * LONG) {
                return Err(no_room());
            }
            let piece = gzip.by_ref().take(LONG as u64).read_to_end(&mut plain);
            let piece = piece
                .map_err(|error| refusal(StatusCode::BAD_REQUEST, format!("the body is not valid gzip: {error}")))?;
            if plain.len() > self.max_message {
                return Err(self.too_large());
            }
            if piece < LONG {
                return Ok(plain);
            }
        }
    }

    fn too_large(&self) -> Refusal {
        let why = format!(
            "more than {} bytes, before or after decompression: send smaller batches, or raise --otlp-max-message (and --max-memory)",
            self.max_message
        );
        refusal(StatusCode::PAYLOAD_TOO_LARGE, why)
    }
}

/// The gate says what that means for the sender.
fn no_room() -> Refusal {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "there is no room for the message")
}

fn refusal(status: StatusCode, why: impl Into<String>) -> Refusal {
    Refusal { status, why: why.into() }
}

/// The format that `Content-Type` states, parameters apart.
fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let stated = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match stated.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Ok(Format::Protobuf),
        "application/json" => Ok(Format::Json),
        _ => Err(refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type must be application/x-protobuf or application/json",
        )),
    }
}

/// Whether the body is compressed.
fn encoding(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content encoding must be gzip or none")),
    }
}

fn answer(format: Format, taken: &ExportTraceServiceResponse) -> Response {
    let body = match (format, &taken.partial_success) {
        (Format::Protobuf, _) => taken.encode_to_vec(),
        (Format::Json, None) => b"{}".to_vec(),
        (Format::Json, Some(partial)) => {
            // 64-bit numbers are texts in OTLP's JSON.
            let rejected = partial.rejected_spans.to_string();
            let partial = serde_json::json!({ "rejectedSpans": rejected, "errorMessage": partial.error_message });
            serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    };
    (StatusCode::OK, [(CONTENT_TYPE, format.name())], body).into_response()
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

impl Refusal {
    fn write(self, format: Format) -> Response {
        let code = match self.status {
            StatusCode::UNAUTHORIZED => tonic::Code::Unauthenticated,
            StatusCode::FORBIDDEN => tonic::Code::PermissionDenied,
            StatusCode::NOT_FOUND => tonic::Code::Unimplemented,
            StatusCode::SERVICE_UNAVAILABLE => tonic::Code::Unavailable,
            StatusCode::REQUEST_TIMEOUT => tonic::Code::DeadlineExceeded,
            _ => tonic::Code::InvalidArgument,
        } as i32;
        let body = match format {
            Format::Protobuf => tonic_types::Status { code, message: self.why, details: Vec::new() }.encode_to_vec(),
            Format::Json => serde_json::json!({ "code": code, "message": self.why }).to_string().into_bytes(),
        };
        (self.status, [(CONTENT_TYPE, format.name())], body).into_response()
    }
}

impl IntoResponse for Refusal {
    /// Where the request's format is not known.
    fn into_response(self) -> Response {
        self.write(Format::Json)
    }
}
