//! What Jaeger's query service answers, so that its page and Grafana's data source work against this one.
//!
//! Jaeger calls this API internal and documents it little; addresses, parameters and answers are those of its
//! `http_handler.go`, `query_parser.go` and `uimodel` (github.com/jaegertracing/jaeger).
//!
//! | module | what it is |
//! |---|---|
//! | `model` | a trace in Jaeger's JSON |
//! | `query` | parameters of a search, and which spans they mean |

mod model;
mod query;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::api::spans_of;
use super::params::{Params, Refusal, json};
use super::problem::Problem as Said;
use super::{Shared, render};
use crate::store::packed::{Packed, ReadError};
use crate::store::stop::{Stop, Stopped};
use crate::store::{MAX_TRACE_BYTES, Memory, Reader, unix_seconds};
use model::Trace;
use query::Query;
use wirespan_signals::kind;

/// How far back dependencies go if nobody says, milliseconds.
const LOOKBACK_MS: u64 = 24 * 3600 * 1000;

/// What every answer looks like.
#[derive(Serialize)]
struct Envelope<T> {
    data: Option<T>,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<Problem>>,
}

#[derive(Debug, Serialize)]
struct Problem {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

/// A refusal as Jaeger writes it.
struct Refused(u16, String);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let (status, sentence) = refusal.parts();
        Self(status.as_u16(), sentence.to_owned())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let problem = Problem { code: Some(self.0), msg: self.1, trace_id: None };
        let sentence = Said(problem.msg.clone());
        let mut response =
            json(&Envelope::<()> { data: None, total: 0, limit: 0, offset: 0, errors: Some(vec![problem]) });
        *response.status_mut() = axum::http::StatusCode::from_u16(self.0).unwrap_or_default();
        if self.0 == 503 {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(sentence);
        response
    }
}

type Answer = Result<Response, Refused>;
type Asked = State<Arc<Shared>>;

fn envelope<T>(data: T, total: usize, errors: Option<Vec<Problem>>) -> Envelope<T> {
    Envelope { data: Some(data), total, limit: 0, offset: 0, errors }
}

/// An answer of so many things.
fn list<T>(data: Vec<T>) -> Envelope<Vec<T>> {
    let total = data.len();
    envelope(data, total, None)
}

/// The addresses.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operation_names))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(traces))
        .route("/api/traces/{id}", get(trace))
        .route("/api/dependencies", get(dependencies))
        .route("/api/metrics/{*rest}", get(metrics))
}

async fn services(State(shared): Asked) -> Answer {
    Ok(shared.figures(|memory| list(memory.services(""))).await?)
}

async fn operation_names(State(shared): Asked, Path(service): Path<String>) -> Answer {
    let names = move |memory: &Memory| {
        let operations = memory.operations(Some(&service), "");
        let mut names: Vec<String> = operations.into_iter().map(|(name, _)| name).collect();
        names.dedup();
        list(names)
    };
    Ok(shared.figures(names).await?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: String,
    span_kind: &'static str,
}

async fn operations(State(shared): Asked, params: Params) -> Answer {
    let service = params.get("service").map(str::to_owned);
    let service = service.ok_or_else(|| Refused(400, "parameter 'service' is required".to_owned()))?;
    let wanted = params.get("spanKind").map(str::to_ascii_lowercase);
    let operations = move |memory: &Memory| {
        let all = memory.operations(Some(&service), "").into_iter();
        let all = all.map(|(name, span_kind)| Operation { name, span_kind: kind(span_kind) });
        list(all.filter(|operation| wanted.as_ref().is_none_or(|wanted| operation.span_kind == wanted)).collect())
    };
    Ok(shared.figures(operations).await?)
}

async fn traces(State(shared): Asked, params: Params) -> Answer {
    let query = Query::parse(&params, unix_seconds()).map_err(|sentence| Refused(400, sentence))?;
    let read = move |reader: &Reader, stop: &Stop| {
        let mut answer = Traces::default();
        match query.ids.is_empty() {
            true => query.find(reader, stop, &mut answer)?,
            false => by_ids(reader, &query.ids, stop, &mut answer)?,
        }
        let Traces { traces, errors, .. } = answer;
        render(&envelope(traces, 0, (!errors.is_empty()).then_some(errors)))
    };
    Ok(shared.spans(read).await?)
}

/// Bytes of spans in one answer, before they are written as JSON.
const MAX_BYTES: usize = MAX_TRACE_BYTES;

/// The traces of an answer.
#[derive(Default)]
struct Traces {
    traces: Vec<Trace>,
    /// Bytes of their spans.
    bytes: usize,
    errors: Vec<Problem>,
}

impl Traces {
    /// Whether there is room for a trace, at least for the first; says in the answer if not.
    fn has_room(&mut self, packed: &Packed) -> bool {
        let fits = self.traces.is_empty() || self.bytes + packed.plain <= MAX_BYTES;
        if !fits {
            let msg = format!("the answer ends after {} traces: it would be too long", self.traces.len());
            self.errors.push(Problem { code: None, msg, trace_id: None });
        }
        self.bytes += packed.plain;
        fits
    }
}

fn by_ids(reader: &Reader, ids: &[[u8; 16]], stop: &Stop, answer: &mut Traces) -> Result<(), Stopped> {
    for id in ids {
        let packed = taken(reader, id);
        if packed.as_ref().is_some_and(|packed| !answer.has_room(packed)) {
            break;
        }
        match packed.map(|packed| packed.spans(stop)) {
            Some(Ok(spans)) => answer.traces.push(Trace::new(id, &spans)),
            Some(Err(ReadError::Stopped(stopped))) => return Err(stopped),
            None | Some(Err(ReadError::Piece(_))) => {
                let trace_id = Some(model::trace_id(id));
                answer.errors.push(Problem { code: None, msg: "trace not found".to_owned(), trace_id });
            }
        }
    }
    Ok(())
}

fn taken(reader: &Reader, id: &[u8; 16]) -> Option<Packed> {
    let memory = reader.read();
    memory.get(id).map(|stored| memory.pack(stored))
}

async fn trace(State(shared): Asked, Path(id): Path<String>) -> Answer {
    let wanted = query::trace_id(&id).ok_or_else(|| Refused(400, format!("{id} is no trace id")))?;
    let read = move |reader: &Reader, stop: &Stop| {
        let packed = taken(reader, &wanted).ok_or_else(|| Refusal::not_found("trace not found"))?;
        let spans = spans_of(&packed, stop)?;
        render(&envelope([Trace::new(&wanted, &spans)], 0, None))
    };
    Ok(shared.spans(read).await?)
}

async fn dependencies(State(shared): Asked, params: Params) -> Answer {
    let end = params.count("endTs", unix_seconds() * 1000, 0, u64::MAX / 1_000_000)?;
    let lookback = params.count("lookback", LOOKBACK_MS, 0, u64::MAX / 1_000_000)?;
    let service = params.get("service").map(str::to_owned);
    let (from, to) = (end.saturating_sub(lookback) * 1_000_000, end * 1_000_000);
    let links = move |memory: &Memory| {
        let mut links = memory.dependencies(from, to);
        if let Some(service) = service {
            links.retain(|link| link.parent == service || link.child == service);
        }
        envelope(links, 0, None)
    };
    Ok(shared.figures(links).await?)
}

async fn metrics() -> Answer {
    Err(Refused(501, "metrics are not answered here; see /api/v1/operations".to_owned()))
}

#[cfg(test)]
mod tests;
