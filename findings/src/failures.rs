//! What failed, and what became of it.

use rustc_hash::FxHashMap;
use wirespan_signals::{Span, SpanKind};

use super::calls::{Calls, duration, get, place};
use super::{Finding, Kind, time};

/// Between two attempts may lie so long, nanoseconds: what comes later may be another request for the same.
const PATIENCE: u64 = 60_000_000_000;

pub(crate) fn find(calls: &Calls<'_>, found: &mut Vec<Finding>) {
    let retried = retries(calls, found);
    swallowed(calls, &retried, found);
}

/// Whether it is an attempt to open a connection.
fn is_connect(span: &Span) -> bool {
    matches!(span.protocol, "tcp" | "unix")
}

/// Why a call got no answer that it could use, and another attempt may: it did not reach anybody, or nobody could serve it.
fn failure(span: &Span) -> Option<String> {
    if let Some(code) = span.number("http.response.status_code") {
        return (code == 429 || (500..600).contains(&code)).then(|| code.to_string());
    }
    if let Some(code) = span.text("rpc.response.status_code") {
        let broken = ["UNAVAILABLE", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "DATA_LOSS", "RESOURCE_EXHAUSTED"];
        return broken.contains(&code).then(|| code.to_owned());
    }
    let is_http = span.text("http.request.method").is_some();
    // Of a database, an error may be an answer that was expected (a row that is there already).
    let error = span.text("error.type").filter(|error| *error != "given_up")?;
    (span.is_error() && (is_http || is_connect(span))).then(|| error.to_owned())
}

/// What a call asks for: of two that ask for the very same, the same.
#[derive(PartialEq, Eq, Hash)]
enum Asks<'a> {
    Connection,
    Get(&'a str, Option<&'a str>),
}

type Place<'a> = (Option<&'a str>, Option<i64>);

fn asks(span: &Span) -> Option<(Place<'_>, Asks<'_>)> {
    let asks = match is_connect(span) {
        true => Asks::Connection,
        false => Asks::Get(get(span)?, span.text("http.request.method")),
    };
    Some((place(span), asks))
}

/// Chains of attempts, each but the last of which failed. Returns which calls were tried again.
fn retries(calls: &Calls<'_>, found: &mut Vec<Finding>) -> Vec<bool> {
    let calls = &calls.calls;
    let mut again = vec![false; calls.len()];
    let mut alike: FxHashMap<_, Vec<usize>> = FxHashMap::default();
    for (at, call) in calls.iter().enumerate() {
        if let Some(asks) = asks(call) {
            alike.entry(asks).or_default().push(at);
        }
    }
    for alike in alike.into_values().filter(|alike| alike.len() > 1) {
        let failures: Vec<Option<String>> = alike.iter().map(|at| failure(calls[*at])).collect();
        // The next attempt after one that failed, if there is any soon.
        let next = |at: usize| {
            let before = failures[at].as_ref().map(|_| calls[alike[at]].end_unix_nano)?;
            let next = alike.partition_point(|at| calls[*at].start_unix_nano < before).max(at + 1);
            let gap = calls[*alike.get(next)?].start_unix_nano - before;
            (gap < PATIENCE).then_some(next)
        };
        for (first, cause) in failures.iter().enumerate() {
            let Some(cause) = cause.as_ref().filter(|_| !again[alike[first]]) else { continue };
            let (mut tries, mut last) = (1, first);
            while let Some(after) = next(last) {
                // The last is only known to be tried again if it is not the end of the chain.
                again[alike[last]] = true;
                (tries, last) = (tries + 1, after);
            }
            if tries < 2 {
                continue;
            }
            let (begin, end) = (calls[alike[first]], calls[alike[last]]);
            let cost = end.end_unix_nano.saturating_sub(begin.start_unix_nano).saturating_sub(duration(end));
            let ended = if failures[last].is_some() { "and failed in the end" } else { "then it went well" };
            let evidence =
                format!("{} tried {tries} times because of {cause}, {ended}; {} lost", begin.name, time(cost));
            found.push(Finding { kind: Kind::Retries, evidence, span_id: begin.span_id, cost });
        }
    }
    again
}

/// A call failed for good, and what it was made for was answered well.
fn swallowed(calls: &Calls<'_>, retried: &[bool], found: &mut Vec<Finding>) {
    let parent = calls.parent;
    let code = parent.number("http.response.status_code");
    let rpc_went_well = parent.text("rpc.response.status_code") == Some("OK");
    let went_well = parent.kind == SpanKind::Server && !parent.is_error();
    if !went_well || !(rpc_went_well || code.is_some_and(|code| (200..300).contains(&code))) {
        return;
    }
    // One that went well and began once this one was over may have taken its place, at another server for one.
    let good = calls.calls.iter().rfind(|call| !call.is_error()).map(|call| call.start_unix_nano);
    for (call, _) in calls.calls.iter().zip(retried).filter(|(_, retried)| !**retried) {
        // What ended after the answer could not change it.
        let is_over = call.end_unix_nano <= parent.end_unix_nano && good.is_none_or(|good| good < call.end_unix_nano);
        let Some(cause) = failure(call).filter(|_| is_over) else { continue };
        let answer = code.map_or_else(|| "OK".to_owned(), |code| code.to_string());
        let evidence = format!("{} failed ({cause}), and {} was answered with {answer}", call.name, parent.name);
        found.push(Finding { kind: Kind::ErrorSwallowed, evidence, span_id: call.span_id, cost: duration(call) });
        return;
    }
}
