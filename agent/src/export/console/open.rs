//! What has been under way for a while, as a table for people.

use crate::span::{OPEN_AFTER, OpenList, OpenSpan};

use crate::span::{hex, kind};
use wirespan_delivery::text::words::{harmless, shorten, width};

/// Widest name that is shown whole, in columns.
const MAX_NAME: usize = 60;
/// Most requests that are shown.
const MAX_SHOWN: usize = 40;

/// The table, with a line that says how many there are. Each line ends with `\n`.
pub fn table(list: &OpenList) -> String {
    let seconds = OPEN_AFTER / 1_000_000_000;
    let mut text = match list.total {
        0 => return format!("wirespan: nothing has been under way for more than {seconds} s\n"),
        1 => format!("wirespan: 1 request has been under way for more than {seconds} s\n"),
        n => format!("wirespan: {n} requests have been under way for more than {seconds} s, the longest first\n"),
    };
    let shown = &list.spans[..list.spans.len().min(MAX_SHOWN)];
    let rows: Vec<[String; 4]> = shown.iter().map(row).collect();
    let widest = |n: usize| rows.iter().map(|row| width(&row[n])).max().unwrap_or(0);
    let columns = [widest(0), widest(1), widest(2)];
    for [age, who, name, rest] in &rows {
        let pad = |text: &str, column: usize| " ".repeat(columns[column] - width(text));
        text.push_str(&format!("  {}{age}  {who}{}  {name}{}  {rest}\n", pad(age, 0), pad(who, 1), pad(name, 2)));
    }
    if list.total > shown.len() {
        text.push_str(&format!("  … and {} more\n", list.total - shown.len()));
    }
    text
}

/// How long, who, what, and where it can be found.
fn row(span: &OpenSpan) -> [String; 4] {
    let who = format!("{} ‹{}›", harmless(span.resource.service_name()), kind(span.kind));
    let name = span.name.as_deref().unwrap_or(span.protocol);
    let mut rest = match span.peer {
        Some((address, port)) => std::net::SocketAddr::new(address, port).to_string(),
        None => "unix".to_owned(),
    };
    if let Some(trace_id) = span.trace_id {
        rest.push_str(&format!("  trace {}", hex(&trace_id)));
    }
    [age(span.age), who, shorten(&harmless(name), MAX_NAME).into_owned(), rest]
}

/// Hours, minutes and seconds: `2:03:17`, `4:09`, `0:07`.
pub(super) fn age(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::span::{KeyValue, Resource, SpanKind};

    use super::*;

    fn span(service: &'static str, name: Option<&'static str>, seconds: u64) -> OpenSpan {
        OpenSpan {
            start_unix_nano: 0,
            age: seconds * 1_000_000_000,
            name: name.map(Into::into),
            kind: SpanKind::Server,
            protocol: "http2",
            resource: Arc::new(Resource { attributes: vec![KeyValue::str("service.name", service)] }),
            peer: Some(([127, 0, 0, 1].into(), 50412)),
            trace_id: None,
            span_id: [1; 8],
        }
    }

    #[test]
    fn the_table_says_how_long_who_and_what() {
        let known = OpenSpan {
            trace_id: Some([0xab; 16]),
            peer: None,
            ..span("news\x1b[2J", Some("news.v1.News/Watch"), 7397)
        };
        let list = OpenList { total: 3, spans: vec![known, span("a", None, 65)], active: Vec::new() };
        let expected = "wirespan: 3 requests have been under way for more than 5 s, the longest first\n\
            \x20 2:03:17  news\\x1b[2J ‹server›  news.v1.News/Watch  unix  trace abababababababababababababababab\n\
            \x20    1:05  a ‹server›            http2               127.0.0.1:50412\n\
            \x20 … and 1 more\n";
        assert_eq!(table(&list), expected);
        assert_eq!(table(&OpenList::default()), "wirespan: nothing has been under way for more than 5 s\n");
    }
}
