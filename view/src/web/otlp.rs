//! One trace as OTLP/JSON: what other tools take, and what loses nothing.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::api::{packed, spans_of};
use super::params::Refusal;
use super::{Shared, detail, render};
use wirespan_delivery::otlp;

/// `/api/v1/trace/{id}/otlp`: an `ExportTraceServiceRequest`.
pub async fn trace(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let wanted = detail::trace_id(&id)
        .ok_or_else(|| Refusal::bad(format!("{id}: write the 32 hexadecimal digits of a trace id")))?;
    shared
        .spans(move |reader, stop| {
            let spans = spans_of(&packed(reader, &wanted)?, stop)?;
            let encoded = otlp::request(&spans);
            // The spans go before their message comes: a long trace is in memory once.
            drop(spans);
            let request = ExportTraceServiceRequest::decode(&*encoded).map_err(|_| Refusal::internal())?;
            drop(encoded);
            stop.check()?;
            render(&request)
        })
        .await
}
