//! What a request asked for: the calls below one span, in the order in which they were made.

use rustc_hash::FxHashMap;
use wirespan_signals::{Span, SpanKind};

/// The calls below one span, of the process that it is of.
pub(crate) struct Calls<'a> {
    /// The request.
    pub(crate) parent: &'a Span,
    /// In the order of their begins.
    pub(crate) calls: Vec<&'a Span>,
}

impl<'a> Calls<'a> {
    /// Those of every request that made any.
    pub(crate) fn of(spans: &'a [Span]) -> Vec<Self> {
        let mut by_parent: FxHashMap<[u8; 8], Vec<&'a Span>> = FxHashMap::default();
        for span in spans.iter().filter(|span| span.kind == SpanKind::Client && span.parent_span_id != [0; 8]) {
            by_parent.entry(span.parent_span_id).or_default().push(span);
        }
        let with_calls = |parent: &'a Span| {
            let mut calls = by_parent.remove(&parent.span_id)?;
            calls.retain(|call| {
                std::sync::Arc::ptr_eq(&call.resource, &parent.resource) || call.resource == parent.resource
            });
            calls.sort_by_key(|call| call.start_unix_nano);
            (!calls.is_empty()).then_some(Self { parent, calls })
        };
        spans.iter().filter(|span| span.kind != SpanKind::Client).filter_map(with_calls).collect()
    }
}

/// Whom it went to.
pub(crate) fn place(span: &Span) -> (Option<&str>, Option<i64>) {
    (span.text("server.address"), span.number("server.port"))
}

/// How long it took, nanoseconds.
pub(crate) fn duration(span: &Span) -> u64 {
    span.end_unix_nano.saturating_sub(span.start_unix_nano)
}

/// A statement that only reads from tables, as far as its text says; without its values.
pub(crate) fn select(span: &Span) -> Option<&str> {
    let statement = span.text("db.query.text")?;
    let begins = |word: &str| statement.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    // `FOR UPDATE` takes locks, and what stands in several statements may do anything.
    let upper = statement.to_ascii_uppercase();
    let reads = begins("SELECT ") && upper.contains(" FROM ") && !upper.contains(" FOR ") && !statement.contains(';');
    let several = span.number("db.operation.batch.size").is_some_and(|size| size > 1);
    (reads && !several && span.text("db.system.name").is_some()).then_some(statement)
}

/// The whole URL of a request that only reads, if all of it is known: no value was replaced.
pub(crate) fn get(span: &Span) -> Option<&str> {
    let reads = matches!(span.text("http.request.method"), Some("GET" | "HEAD"));
    span.text("url.full").filter(|url| reads && !url.contains("REDACTED"))
}

/// Whether a call got the answer that it asked for.
pub(crate) fn succeeded(span: &Span) -> bool {
    let code = span.number("http.response.status_code");
    !span.is_error() && span.text("error.type").is_none() && code.is_none_or(|code| (200..300).contains(&code))
}
