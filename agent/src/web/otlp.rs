//! One trace as OTLP/JSON: what other tools take, and what loses nothing.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::Shared;
use super::detail;
use super::params::{Refusal, json};
use crate::export::otlp;
use crate::store::Memory;

/// `/api/v1/trace/{id}/otlp`: an `ExportTraceServiceRequest`.
pub async fn trace(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let wanted = detail::trace_id(&id)
        .ok_or_else(|| Refusal::bad(format!("{id}: write the 32 hexadecimal digits of a trace id")))?;
    let read = move |memory: &Memory| memory.get(&wanted).map(|stored| memory.spans(stored));
    let spans = shared.ask(read).await?;
    let spans = spans.ok_or_else(|| {
        Refusal::not_found("this trace is not here: it never was, or it is forgotten since (store-bytes)")
    })?;
    let spans = spans.map_err(|error| {
        log::error!("a trace in memory cannot be read: {error}");
        Refusal::internal()
    })?;
    let request = ExportTraceServiceRequest::decode(&*otlp::request(&spans)).map_err(|_| Refusal::internal())?;
    Ok(json(&request))
}
