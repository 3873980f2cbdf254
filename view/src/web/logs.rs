//! `/api/v1/logs`: records of logs, of one trace or of all.

use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use wirespan_signals::{Log, hex};

use super::detail::{self, Attributes};
use super::params::{Params, Refusal};
use super::{Shared, render};
use crate::store::lines::{Found, SEVERITIES, Wanted};
use crate::store::query::millis;

/// Most records in one answer.
const MAX_LIMIT: u64 = 1000;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/api/v1/logs", get(logs))
}

/// The answer.
#[derive(Serialize)]
struct Logs {
    /// Whether there are any: `--logs`.
    told: bool,
    matched: usize,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    time_unix_ns: String,
    time_ms: f64,
    severity: u8,
    severity_text: String,
    level: &'static str,
    body: String,
    service: String,
    trace_id: Option<String>,
    span_id: Option<String>,
    attributes: Attributes,
}

impl Line {
    fn new(log: Log) -> Self {
        let span = log.span.as_ref();
        let level = SEVERITIES.iter().rev().find(|(_, least)| log.severity >= *least).map_or("", |(name, _)| name);
        Self {
            time_unix_ns: log.time_unix_nano.to_string(),
            time_ms: millis(log.time_unix_nano),
            severity: log.severity,
            level,
            service: log.resource.service_name().to_owned(),
            trace_id: span.map(|span| hex(&span.trace_id)),
            span_id: span.filter(|span| span.span_id != [0; 8]).map(|span| hex(&span.span_id)),
            severity_text: log.severity_text.into(),
            body: log.body.into(),
            attributes: Attributes(log.attributes),
        }
    }
}

async fn logs(State(shared): State<Arc<Shared>>, params: Params) -> Result<Response, Refusal> {
    let wanted = wanted(&params)?;
    let limit = params.count("limit", 200, 1, MAX_LIMIT)? as usize;
    shared
        .spans(move |reader, stop| {
            let lines = reader.lines.read().unwrap_or_else(PoisonError::into_inner);
            let (told, found) = (reader.has_lines, lines.find(&wanted, limit, stop));
            drop(lines);
            let Found { lines, matched } = found?;
            render(&Logs { told, matched, lines: lines.into_iter().map(Line::new).collect() })
        })
        .await
}

fn wanted(params: &Params) -> Result<Wanted, Refusal> {
    let trace = params.get("trace").map(|id| {
        let problem = || Refusal::bad(format!("trace={id}: write the 32 hexadecimal digits of a trace id"));
        detail::trace_id(id).ok_or_else(problem)
    });
    let span = params.get("span").map(|id| {
        let problem = || Refusal::bad(format!("span={id}: write the 16 hexadecimal digits of a span id"));
        let number = (id.len() == 16).then(|| u64::from_str_radix(id, 16).ok()).flatten();
        number.map(u64::to_be_bytes).ok_or_else(problem)
    });
    Ok(Wanted {
        trace: trace.transpose()?,
        span: span.transpose()?,
        service: params.get("service").map(str::to_owned),
        severity: params.word("severity", &SEVERITIES)?.unwrap_or_default(),
        text: params.get("text").map(str::to_owned),
        from: params.millis("from")?.unwrap_or_default(),
    })
}
