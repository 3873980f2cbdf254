//! Who may send spans, and how many requests are under way at one time.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::Semaphore;
use tonic::Code;

use crate::memory::Account;
use crate::metrics::Counters;

use super::room::{Metered, NoRoom, Room};
use super::{Inbox, Relays, Settings, grpc, http, relay};

/// Requests whose bodies are being read or understood.
const AT_ONCE: usize = 16;
/// How long a request may wait for its turn.
const WAIT: Duration = Duration::from_secs(5);
/// How long it may take from then on.
const WHOLE: Duration = Duration::from_secs(30);

struct Gate {
    token: Option<Arc<str>>,
    turns: Semaphore,
    memory: Account,
    max_message: usize,
    counters: Arc<Counters>,
}

/// Everything that a listener answers.
pub(super) fn router(settings: &Settings, inbox: &Arc<Inbox>, relays: &Relays) -> Router {
    // One message must leave room for what it becomes.
    let max_message = settings.max_message.min(settings.memory.limit() / 4);
    let gate = Arc::new(Gate {
        token: settings.token.clone(),
        turns: Semaphore::new(AT_ONCE),
        memory: settings.memory.clone(),
        max_message,
        counters: Arc::clone(&inbox.counters),
    });
    let http = Arc::new(http::Http { inbox: Arc::clone(inbox), max_message });
    let grpc = grpc::Grpc { inbox: Arc::clone(inbox), max_message };
    let mut router = Router::new();
    for (pass, path, method) in [
        (&relays.metrics, "/v1/metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
        (&relays.logs, "/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
    ] {
        let Some(pass) = pass else { continue };
        let (pass, http, counters) = (Arc::clone(pass), Arc::clone(&http), Arc::clone(&inbox.counters));
        let relaying = Arc::new(relay::Relaying { pass, http, counters });
        router = router.route(path, post(relay::http).with_state(Arc::clone(&relaying)));
        router = router.route(method, post(relay::grpc).with_state(relaying));
    }
    router
        .route("/v1/traces", post(http::export).with_state(http))
        .route(grpc::PATH, post(grpc::export).with_state(Arc::new(grpc)))
        .fallback(unknown)
        .layer(from_fn_with_state(gate, pass))
}

/// Lets a request pass, and counts it if nothing of it was taken.
async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let response = gate.admit(request, next).await;
    // gRPC's failures are HTTP's successes; without a body, the status stands among the header fields.
    let failed = response.headers().get("grpc-status").is_some_and(|status| status.as_bytes() != b"0");
    if failed || !response.status().is_success() {
        gate.counters.otlp_requests_refused.inc();
    }
    response
}

impl Gate {
    async fn admit(&self, request: Request, next: Next) -> Response {
        let headers = request.headers();
        let grpc = is_grpc(headers);
        // Only a browser sends these: a page must not be able to write into the traces of whoever looks at it.
        if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
            return refuse(grpc, StatusCode::FORBIDDEN, Code::PermissionDenied, "browsers may not send spans here");
        }
        if let Some(token) = &self.token
            && !is_authorized(headers, token)
        {
            let why = "send the token of --token-file as `authorization: Bearer TOKEN` (OTEL_EXPORTER_OTLP_HEADERS)";
            return refuse(grpc, StatusCode::UNAUTHORIZED, Code::Unauthenticated, why);
        }
        let Ok(Ok(_permit)) = tokio::time::timeout(WAIT, self.turns.acquire()).await else {
            return busy(grpc);
        };
        let room = Room::new(&self.memory);
        // What tonic decompresses is not seen before it is there.
        let inflated = grpc && headers.get("grpc-encoding").is_some_and(|encoding| encoding.as_bytes() != b"identity");
        if inflated && !room.grow(self.max_message) {
            return busy(grpc);
        }
        let mut request = request.map(|body| Metered::body(body, Arc::clone(&room)));
        request.extensions_mut().insert(Arc::clone(&room));
        let answered = tokio::time::timeout(WHOLE, next.run(request)).await;
        match (room.refused(), answered) {
            (Some(NoRoom::Now), _) => busy(grpc),
            (Some(NoRoom::Ever), _) => {
                let why = "larger than the memory for messages: send smaller batches, or raise --max-memory";
                refuse(grpc, StatusCode::PAYLOAD_TOO_LARGE, Code::OutOfRange, why)
            }
            (None, Ok(response)) => response,
            (None, Err(_)) => {
                refuse(grpc, StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, "the request took too long")
            }
        }
    }
}

async fn unknown(request: Request) -> Response {
    let path = request.uri().path();
    let why = match path {
        "/v1/metrics" | "/v1/logs" => {
            "wirespan has no OTLP endpoint for these itself: set OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER to none, or give it one"
        }
        _ => "unknown path: traces go to /v1/traces, or to the gRPC service TraceService",
    };
    refuse(is_grpc(request.headers()), StatusCode::NOT_FOUND, Code::Unimplemented, why)
}

/// Whether a request speaks gRPC.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The scheme's name is not case sensitive (RFC 9110, 11.1). Every byte is compared, so that the time taken says
/// nothing of where a wrong token differs.
fn is_authorized(headers: &HeaderMap, token: &str) -> bool {
    let Some((scheme, stated)) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '))
    else {
        return false;
    };
    let differs = stated.bytes().zip(token.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    scheme.eq_ignore_ascii_case("bearer") && stated.len() == token.len() && differs == 0
}

/// *Again later* in the words of either transport (OTLP, *OTLP/HTTP Throttling* and *OTLP/gRPC Throttling*).
fn busy(grpc: bool) -> Response {
    let why = "too many requests at one time: send it again";
    let mut response = refuse(grpc, StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, why);
    if !grpc {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn refuse(grpc: bool, status: StatusCode, code: Code, why: &str) -> Response {
    if grpc {
        return tonic::Status::new(code, why).into_http::<axum::body::Body>();
    }
    let mut response = http::Refusal { status, why: why.to_owned() }.into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
