//! `/api/v1/linking`: how well the calls of each process find the requests that they were made for.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use super::Shared;
use super::params::{Refusal, json};
use wirespan_signals::ProcessLinks;

#[derive(Serialize)]
struct Processes<'a> {
    processes: Vec<Process<'a>>,
}

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    service: &'a str,
    exact: u64,
    inferred: BTreeMap<&'static str, u64>,
    missing: BTreeMap<&'static str, u64>,
    rules: Vec<Rule>,
    threads_in_doubt: usize,
}

#[derive(Serialize)]
struct Rule {
    name: &'static str,
    strength: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    off: Option<Off>,
}

#[derive(Serialize)]
struct Off {
    why: &'static str,
    /// Absent if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_unix_ns: Option<String>,
    passes: bool,
}

/// Answers.
pub async fn processes(State(shared): State<Arc<Shared>>) -> Result<axum::response::Response, Refusal> {
    let list = shared.shown.linking.get();
    Ok(json(&Processes { processes: list.iter().map(process).collect() }))
}

fn process(process: &ProcessLinks) -> Process<'_> {
    let rules = process.rules.iter().map(|rule| Rule {
        name: rule.name,
        strength: if rule.exact { "exact" } else { "inferred" },
        off: rule.off.as_ref().map(|off| Off {
            why: off.why,
            since_unix_ns: off.since_unix_nano.map(|since| since.to_string()),
            passes: off.passes,
        }),
    });
    Process {
        pid: process.pid,
        service: process.resource.service_name(),
        exact: process.exact,
        inferred: process.inferred.iter().copied().collect(),
        missing: process.missing.iter().copied().collect(),
        rules: rules.collect(),
        threads_in_doubt: process.threads_in_doubt,
    }
}
