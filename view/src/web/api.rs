//! The page's own API, under `/api/v1/`. `docs/view.md` describes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::detail::{self, Detail};
use super::linking;
use super::live;
use super::otlp;
use super::params::{Params, Refusal, json};
use super::{Shared, render};
use crate::store::filter::Filter;
use crate::store::packed::{Packed, ReadError};
use crate::store::query::Sort;
use crate::store::stop::Stop;
use crate::store::{Memory, Reader, stats, unix_seconds};
use wirespan_signals::Span;

/// Most traces in one answer.
const MAX_LIMIT: u64 = 1000;
/// Most names suggested.
const MAX_SUGGESTIONS: usize = 1000;
/// Counters that say that something was lost.
const LOSSES: [&str; 16] = [
    "kernel_ring_full",
    "kernel_over_budget",
    "kernel_faults",
    "kernel_io_uring",
    "kernel_missed",
    "events_malformed",
    "gaps",
    "connections_evicted",
    "connections_failed",
    "connections_lost_sync",
    "exchanges_dropped",
    "spans_evicted",
    "exporter_queue_dropped",
    "spans_rejected",
    "store_spans_refused",
    "store_disk_errors",
];

type Answer = Result<Response, Refusal>;
type Asked = State<Arc<Shared>>;

/// The addresses.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/search", get(search))
        .route("/api/v1/histogram", get(histogram))
        .route("/api/v1/trace/{id}", get(trace))
        .route("/api/v1/trace/{id}/otlp", get(otlp::trace))
        .route("/api/v1/services", get(services))
        .route("/api/v1/operations", get(operations))
        .route("/api/v1/suggest", get(suggest))
        .route("/api/v1/linking", get(linking::processes))
        .route("/api/v1/live", get(live::watch))
}

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    host: String,
    kernel: String,
    started_ms: f64,
    traces: u64,
    spans: u64,
    bytes: u64,
    max_bytes: usize,
    max_traces: usize,
    persistent: bool,
    counters: BTreeMap<&'static str, u64>,
    lost: BTreeMap<&'static str, u64>,
    otlp_listen: &'a Option<String>,
}

async fn status(State(shared): Asked) -> Answer {
    let machine = rustix::system::uname();
    let counters: BTreeMap<_, _> =
        shared.shown.readings.snapshot().into_iter().map(|(name, _, value)| (name, value)).collect();
    let lost = counters.iter().filter(|(name, value)| **value > 0 && LOSSES.contains(name));
    let lost = lost.map(|(name, value)| (*name, *value)).collect();
    // Not asked of the memory itself, which may be held for a moment.
    let count = |name| counters.get(name).copied().unwrap_or_default();
    let limits = shared.shown.reader.limits;
    let (traces, spans, bytes) = (count("store_traces"), count("store_spans"), count("store_bytes"));
    Ok(json(&Status {
        version: env!("CARGO_PKG_VERSION"),
        host: machine.nodename().to_string_lossy().into_owned(),
        kernel: machine.release().to_string_lossy().into_owned(),
        started_ms: shared.started,
        traces,
        spans,
        bytes,
        max_bytes: limits.bytes,
        max_traces: limits.traces,
        persistent: shared.shown.persistent,
        counters,
        lost,
        otlp_listen: &shared.shown.otlp_listen,
    }))
}

async fn search(State(shared): Asked, params: Params) -> Answer {
    let filter = params.filter()?;
    let sort = params.word("sort", &[("recent", Sort::Recent), ("slow", Sort::Slow)])?.unwrap_or_default();
    let limit = params.count("limit", 100, 1, MAX_LIMIT)? as usize;
    if !filter.reads_spans() {
        return shared.figures(move |memory| memory.search(&filter, sort, limit)).await;
    }
    let read = move |reader: &Reader, stop: &Stop| {
        let found = reader.read().find(&filter, sort, limit);
        render(&found.check(&filter, stop)?)
    };
    shared.spans(read).await
}

async fn histogram(State(shared): Asked, params: Params) -> Answer {
    let filter: Filter = params.filter()?;
    let columns = params.count("buckets", 60, 1, 1000)? as usize;
    let rows = params.count("rows", 20, 1, 200)? as usize;
    shared.figures(move |memory| memory.histogram(&filter, columns, rows)).await
}

async fn trace(State(shared): Asked, Path(id): Path<String>) -> Answer {
    let wanted = detail::trace_id(&id)
        .ok_or_else(|| Refusal::bad(format!("{id}: write the 32 hexadecimal digits of a trace id")))?;
    shared
        .spans(move |reader, stop| {
            let packed = packed(reader, &wanted)?;
            render(&Detail::new(&packed, spans_of(&packed, stop)?))
        })
        .await
}

/// A trace, taken out of memory.
pub(super) fn packed(reader: &Reader, id: &[u8; 16]) -> Result<Packed, Refusal> {
    let memory = reader.read();
    let packed = memory.get(id).map(|stored| memory.pack(stored));
    let sentence = "this trace is not here: it never was, or it is forgotten since (store-bytes)";
    packed.ok_or_else(|| Refusal::not_found(sentence))
}

/// Its spans.
pub(super) fn spans_of(packed: &Packed, stop: &Stop) -> Result<Vec<Span>, Refusal> {
    packed.spans(stop).map_err(|error| match error {
        ReadError::Stopped(stopped) => stopped.into(),
        ReadError::Piece(error) => {
            log::error!("a trace in memory cannot be read: {error}");
            Refusal::internal()
        }
    })
}

async fn services(State(shared): Asked, params: Params) -> Answer {
    let window = params.count("window_s", 300, 1, stats::MEMORY)?;
    shared.figures(move |memory| memory.map(window, unix_seconds())).await
}

async fn operations(State(shared): Asked, params: Params) -> Answer {
    let window = params.count("window_s", 60, 1, stats::MEMORY)?;
    shared.figures(move |memory| memory.operation_rates(window, unix_seconds())).await
}

#[derive(Serialize)]
struct Suggestions {
    values: Vec<String>,
}

#[derive(Clone, Copy)]
enum Field {
    Service,
    Operation,
    Attribute,
}

async fn suggest(State(shared): Asked, params: Params) -> Answer {
    let fields = [("service", Field::Service), ("operation", Field::Operation), ("attribute", Field::Attribute)];
    let field = params.word("field", &fields)?;
    let field = field.ok_or_else(|| Refusal::bad("say which field: service, operation or attribute"))?;
    let service = params.get("service").map(str::to_owned);
    let prefix = params.get("prefix").unwrap_or_default().to_owned();
    let suggestions = move |memory: &Memory| {
        let mut values = match field {
            Field::Service => memory.services(&prefix),
            Field::Attribute => memory.keys(&prefix),
            Field::Operation => {
                let mut names: Vec<String> =
                    memory.operations(service.as_deref(), &prefix).into_iter().map(|(name, _)| name).collect();
                names.dedup();
                names
            }
        };
        values.truncate(MAX_SUGGESTIONS);
        Suggestions { values }
    };
    shared.figures(suggestions).await
}
