//! `wirespan logs`: which records of logs a running agent has.

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value as Json;

use super::query::from;
use super::{Client, ClientError, Endpoint, NOTHING_FOUND, failed, print};
use wirespan_delivery::text::words::{harmless, time_of_day};

/// What to look for, and how to show it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Filters as the API has them: `service`, `trace`, …
    pub filters: Vec<(&'static str, String)>,
    /// Only records that were written since so long.
    pub since: Option<std::time::Duration>,
    /// One JSON object a line.
    pub json: bool,
}

/// `/api/v1/logs`, as far as people are told.
#[derive(Debug, Deserialize)]
struct Line {
    time_unix_ns: String,
    level: String,
    body: String,
    service: String,
    trace_id: Option<String>,
}

/// Asks, and prints what there is. The exit status is 0 if there is anything, 1 if there is nothing.
pub fn run(endpoint: Endpoint, wanted: &Wanted) -> ExitCode {
    match ask(endpoint, wanted) {
        Ok(0) => ExitCode::from(NOTHING_FOUND),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn ask(endpoint: Endpoint, wanted: &Wanted) -> Result<usize, ClientError> {
    let client = Client::new(endpoint)?;
    let mut filters = wanted.filters.clone();
    filters.extend(wanted.since.map(from));
    let mut found: Json = client.get("/api/v1/logs", &filters)?;
    let lines = found["lines"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let many = lines.len();
    let text: String = match wanted.json {
        true => lines.iter().map(|line| format!("{line}\n")).collect(),
        false => {
            lines.into_iter().filter_map(|line| serde_json::from_value(line).ok()).map(|line| show(&line)).collect()
        }
    };
    print(text.as_bytes());
    if found["told"] == false {
        eprintln!("wirespan: this agent reads no records of logs: start it with --logs all");
    }
    let left_out = found["matched"].as_u64().unwrap_or_default().saturating_sub(many as u64);
    if left_out > 0 {
        eprintln!("wirespan: {left_out} more match: narrow the search, or raise --limit");
    }
    Ok(many)
}

/// When, how grave, who, what, and its trace. A record of several lines stays one line.
fn show(line: &Line) -> String {
    let time = time_of_day(line.time_unix_ns.parse().unwrap_or(0));
    let trace = line.trace_id.as_deref().unwrap_or("-");
    let (service, body) = (harmless(&line.service), harmless(&line.body));
    format!("{time}  {:5}  {trace}  {service}  {body}\n", line.level.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_in_which_nothing_hurts_a_terminal() {
        let line = Line {
            time_unix_ns: "43384512000000".to_owned(),
            level: "warn".to_owned(),
            body: "a\nb\x1b[2J".to_owned(),
            service: "shop".to_owned(),
            trace_id: None,
        };
        assert_eq!(show(&line), "12:03:04.512Z  WARN   -  shop  a\\nb\\x1b[2J\n");
    }
}
