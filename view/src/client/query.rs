//! `wirespan query`: which traces a running agent has.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;

use super::answer::{Found, Summary};
use super::{Client, ClientError, Endpoint, NOTHING_FOUND, failed, print};
use wirespan_delivery::text::words::{duration, harmless, time_of_day, width};

/// What to look for, and how to show it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Filters as the API has them: `service`, `min_ms`, …
    pub filters: Vec<(&'static str, String)>,
    /// Only traces that began since so long.
    pub since: Option<Duration>,
    /// One JSON object a line.
    pub json: bool,
}

/// Asks, and prints what there is. The exit status is 0 if there is anything, 1 if there is nothing.
pub fn run(endpoint: Endpoint, query: &Query) -> ExitCode {
    match ask(endpoint, query) {
        Ok(0) => ExitCode::from(NOTHING_FOUND),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn ask(endpoint: Endpoint, query: &Query) -> Result<usize, ClientError> {
    let client = Client::new(endpoint)?;
    let mut filters = query.filters.clone();
    filters.extend(query.since.map(from));
    if query.json {
        let mut found: Json = client.get("/api/v1/search", &filters)?;
        let traces = found["traces"].as_array_mut().map(std::mem::take).unwrap_or_default();
        print(traces.iter().map(|trace| format!("{trace}\n")).collect::<String>().as_bytes());
        return Ok(traces.len());
    }
    let found: Found = client.get("/api/v1/search", &filters)?;
    print(table(&found.traces).as_bytes());
    let left_out = found.matched.saturating_sub(found.traces.len() as u64);
    if left_out > 0 {
        eprintln!("wirespan: {left_out} more match: narrow the search, or raise --limit");
    }
    Ok(found.traces.len())
}

/// The filter for what is at most so old.
pub(super) fn from(since: Duration) -> (&'static str, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ("from", now.saturating_sub(since).as_millis().to_string())
}

/// A line for each trace: when, id, how long, spans, who and what, how it ended.
fn table(traces: &[Summary]) -> String {
    let rows: Vec<[String; 6]> = traces.iter().map(row).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (wide, cell) in widths.iter_mut().zip(row) {
            *wide = width(cell).max(*wide);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let fill = " ".repeat(widths[at] - width(cell));
            // Numbers stand to the right.
            let (before, after) = if (2..4).contains(&at) { (&*fill, "") } else { ("", &*fill) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(trace: &Summary) -> [String; 6] {
    let status = trace.http_status.map(|status| status.to_string());
    let why = trace.error_type.as_deref().filter(|why| Some(*why) != status.as_deref()).unwrap_or_default();
    let mark = if trace.errors > 0 { "✗" } else { "" };
    let ended: Vec<&str> =
        [status.as_deref().unwrap_or_default(), mark, why].into_iter().filter(|s| !s.is_empty()).collect();
    [
        time_of_day(trace.start_unix_ns.parse().unwrap_or(0)),
        harmless(&trace.trace_id).into_owned(),
        duration(trace.duration_ns),
        format!("{} span{}", trace.spans, if trace.spans == 1 { "" } else { "s" }),
        format!("{} {}", harmless(&trace.service), harmless(&trace.name)),
        harmless(&ended.join(" ")).into_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(id: &str, name: &str, spans: u64, errors: u64, status: Option<u64>, why: Option<&str>) -> Summary {
        Summary {
            trace_id: id.repeat(32),
            service: "shop".to_owned(),
            name: name.to_owned(),
            start_unix_ns: "43384512000000".to_owned(),
            duration_ns: 18_400_000,
            spans,
            errors,
            http_status: status,
            error_type: why.map(str::to_owned),
        }
    }

    #[test]
    fn traces_are_lines_in_columns() {
        let traces = [
            summary("a", "GET /orders/{id}", 12, 1, Some(500), Some("500")),
            summary("b", "GET /", 1, 0, Some(200), None),
            summary("c", "x\x1b[2J", 2, 1, None, Some("timeout")),
        ];
        let expected = format!(
            "12:03:04.512Z  {}  18.4 ms  12 spans  shop GET /orders/{{id}}  500 ✗\n\
             12:03:04.512Z  {}  18.4 ms    1 span  shop GET /             200\n\
             12:03:04.512Z  {}  18.4 ms   2 spans  shop x\\x1b[2J          ✗ timeout\n",
            "a".repeat(32),
            "b".repeat(32),
            "c".repeat(32)
        );
        assert_eq!(table(&traces), expected);
    }
}
