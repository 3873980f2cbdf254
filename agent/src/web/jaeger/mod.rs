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
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::Shared;
use super::params::{Params, Refusal, json};
use crate::span::kind;
use crate::store::{Memory, unix_seconds};
use model::Trace;
use query::Query;

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
        let mut response =
            json(&Envelope::<()> { data: None, total: 0, limit: 0, offset: 0, errors: Some(vec![problem]) });
        *response.status_mut() = axum::http::StatusCode::from_u16(self.0).unwrap_or_default();
        response
    }
}

type Answer = Result<Response, Refused>;
type Asked = State<Arc<Shared>>;

fn answer<T: Serialize>(data: T, total: usize, errors: Option<Vec<Problem>>) -> Answer {
    Ok(json(&Envelope { data: Some(data), total, limit: 0, offset: 0, errors }))
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
    let services = shared.ask(|memory| memory.services("")).await?;
    let total = services.len();
    answer(services, total, None)
}

async fn operation_names(State(shared): Asked, Path(service): Path<String>) -> Answer {
    let operations = shared.ask(move |memory| memory.operations(Some(&service), "")).await?;
    let mut names: Vec<String> = operations.into_iter().map(|(name, _)| name).collect();
    names.dedup();
    let total = names.len();
    answer(names, total, None)
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
    let operations = shared.ask(move |memory| memory.operations(Some(&service), "")).await?;
    let operations: Vec<Operation> = operations
        .into_iter()
        .map(|(name, span_kind)| Operation { name, span_kind: kind(span_kind) })
        .filter(|operation| wanted.as_ref().is_none_or(|wanted| operation.span_kind == wanted))
        .collect();
    let total = operations.len();
    answer(operations, total, None)
}

async fn traces(State(shared): Asked, params: Params) -> Answer {
    let query = Query::parse(&params, unix_seconds()).map_err(|sentence| Refused(400, sentence))?;
    let found = shared
        .ask(move |memory| if query.ids.is_empty() { (query.find(memory), None) } else { by_ids(memory, &query.ids) });
    let (traces, errors) = found.await?;
    answer(traces, 0, errors)
}

fn by_ids(memory: &Memory, ids: &[[u8; 16]]) -> (Vec<Trace>, Option<Vec<Problem>>) {
    let (mut traces, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match read(memory, id) {
            Some(trace) => traces.push(trace),
            None => {
                let trace_id = Some(model::trace_id(id));
                missing.push(Problem { code: None, msg: "trace not found".to_owned(), trace_id });
            }
        }
    }
    (traces, (!missing.is_empty()).then_some(missing))
}

fn read(memory: &Memory, id: &[u8; 16]) -> Option<Trace> {
    let stored = memory.get(id)?;
    memory.spans(stored).ok().map(|spans| Trace::new(id, &spans))
}

async fn trace(State(shared): Asked, Path(id): Path<String>) -> Answer {
    let wanted = query::trace_id(&id).ok_or_else(|| Refused(400, format!("{id} is no trace id")))?;
    let found = shared.ask(move |memory| read(memory, &wanted)).await?;
    let trace = found.ok_or_else(|| Refused(404, "trace not found".to_owned()))?;
    answer([trace], 0, None)
}

async fn dependencies(State(shared): Asked, params: Params) -> Answer {
    let end = params.count("endTs", unix_seconds() * 1000, 0, u64::MAX / 1_000_000)?;
    let lookback = params.count("lookback", LOOKBACK_MS, 0, u64::MAX / 1_000_000)?;
    let service = params.get("service").map(str::to_owned);
    let (from, to) = (end.saturating_sub(lookback) * 1_000_000, end * 1_000_000);
    let mut links = shared.ask(move |memory| memory.dependencies(from, to)).await?;
    if let Some(service) = service {
        links.retain(|link| link.parent == service || link.child == service);
    }
    answer(links, 0, None)
}

async fn metrics() -> Answer {
    Err(Refused(501, "metrics are not answered here; see /api/v1/operations".to_owned()))
}

#[cfg(test)]
mod tests;
