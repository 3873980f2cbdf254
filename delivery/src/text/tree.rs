//! A trace as an indented tree.
//!
//! ```text
//! 12:03:04.512Z  trace 4bf92f3577b34da6a3ce929d0e0e4736  18.4 ms  3 spans  1 error
//! └─ curl ‹client› GET              18.4 ms             500 ✗
//!    └─ nginx ‹server› GET /orders  18.1 ms  +  201 µs  500 ✗
//! ```

use std::collections::HashMap;
use std::io::Write;

use wirespan_signals::{Span, SpanKind, Status, Trace, Value, hex};

use super::words::{duration, harmless, shorten, time_of_day, width};

/// What lines may look like.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Use colours.
    pub color: bool,
    /// Columns of the terminal, if there is one.
    pub width: Option<usize>,
    /// The most spans of a trace that are shown.
    pub rows: usize,
}

/// What a span did itself is told if it took so long, nanoseconds.
const WORTH_TELLING: u64 = 10_000_000;
const DIM: &str = "2";
const BOLD: &str = "1";
const ERROR: &str = "1;31";
/// Colours that services are told apart by: none is red, which means trouble.
const SERVICES: [&str; 6] = ["36", "33", "35", "34", "32", "96"];

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Style {
    /// A line that is no trace, followed by an empty one.
    pub fn heading(self, time: &str, text: &str) -> String {
        format!("{}  {}\n\n", self.paint(DIM, time), self.paint(BOLD, text))
    }
}

/// Appends a trace's header and its tree, followed by an empty line.
pub fn render(trace: &Trace, style: Style, out: &mut Vec<u8>) {
    let Some(first) = trace.spans.first() else { return };
    let begin = trace.spans.iter().map(|s| s.start_unix_nano).min().unwrap_or(0);
    let end = trace.spans.iter().map(|s| s.end_unix_nano).max().unwrap_or(begin);
    let errors = trace.spans.iter().filter(|s| s.is_error()).count();
    let mut header = format!(
        "{}  trace {}  {}  {}",
        style.paint(DIM, &time_of_day(begin)),
        style.paint(BOLD, &hex(&first.trace_id)),
        style.paint(BOLD, &duration(end.saturating_sub(begin))),
        count(trace.spans.len(), "span"),
    );
    if errors > 0 {
        header.push_str(&format!("  {}", style.paint(ERROR, &count(errors, "error"))));
    }
    let places = walk(&trace.spans).into_iter().take(style.rows);
    let rows: Vec<Row> = places.map(|p| Row::new(&trace.spans[p.span], p, begin)).collect();
    let columns = Columns::of(&rows, style.width);
    // Writing to memory does not fail.
    let _ = writeln!(out, "{header}");
    for row in &rows {
        let _ = writeln!(out, "{}", row.line(&columns, style));
    }
    let more = trace.spans.len() - rows.len();
    if more > 0 {
        let _ = writeln!(out, "{}", style.paint(DIM, &format!("   … {}", count(more, "more span"))));
    }
    out.push(b'\n');
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A span's place in the tree.
struct Place {
    span: usize,
    /// The lines that lead to it: `│  └─ `.
    lead: String,
    /// Nothing above it in this piece of the trace.
    top: bool,
}

/// The spans in the order in which they are shown: children below their parent, siblings by start. A span whose parent
/// is not here stands at the top; so does one of a circle of parents, which must not make spans vanish.
fn walk(spans: &[Span]) -> Vec<Place> {
    let index: HashMap<[u8; 8], usize> = spans.iter().enumerate().rev().map(|(i, s)| (s.span_id, i)).collect();
    let mut children = vec![Vec::new(); spans.len()];
    let mut tops = Vec::new();
    for (i, span) in spans.iter().enumerate() {
        match index.get(&span.parent_span_id) {
            Some(parent) if *parent != i => children[*parent].push(i),
            _ => tops.push(i),
        }
    }
    mark_circles(&children, &mut tops);
    let by_start = |list: &mut Vec<usize>| list.sort_by_key(|i| spans[*i].start_unix_nano);
    children.iter_mut().for_each(by_start);
    by_start(&mut tops);

    let mut places = Vec::with_capacity(spans.len());
    let mut seen = vec![false; spans.len()];
    // A stack instead of recursion: a stranger decides how deep traces nest.
    let mut stack: Vec<(usize, String, bool, bool)> = Vec::new();
    push(&mut stack, &tops, "", true);
    while let Some((span, above, last, top)) = stack.pop() {
        if std::mem::replace(&mut seen[span], true) {
            continue;
        }
        places.push(Place { span, lead: format!("{above}{}", if last { "└─ " } else { "├─ " }), top });
        let below = cap(format!("{above}{}", if last { "   " } else { "│  " }));
        push(&mut stack, &children[span], &below, false);
    }
    places
}

fn push(stack: &mut Vec<(usize, String, bool, bool)>, spans: &[usize], above: &str, top: bool) {
    let last = spans.last().copied();
    stack.extend(spans.iter().rev().map(|s| (*s, above.to_owned(), Some(*s) == last, top)));
}

/// Indentation stops to grow at some depth: beyond, depth shows nothing and would cost memory quadratically.
fn cap(above: String) -> String {
    const DEEPEST: usize = 40;
    let excess = (above.chars().count() / 3).saturating_sub(DEEPEST);
    above.chars().skip(3 * excess).collect()
}

/// Adds one span of every circle to the tops.
fn mark_circles(children: &[Vec<usize>], tops: &mut Vec<usize>) {
    let mut seen = vec![false; children.len()];
    let mut stack = tops.clone();
    for start in 0..=children.len() {
        while let Some(span) = stack.pop() {
            if !std::mem::replace(&mut seen[span], true) {
                stack.extend(&children[span]);
            }
        }
        if start < children.len() && !seen[start] {
            tops.push(start);
            stack.push(start);
        }
    }
}

/// One line's parts, as plain text.
struct Row {
    lead: String,
    service: String,
    kind: &'static str,
    name: String,
    note: String,
    duration: String,
    offset: String,
    status: String,
    error: bool,
}

impl Row {
    fn new(span: &Span, place: Place, begin: u64) -> Self {
        let offset = span.start_unix_nano.saturating_sub(begin);
        Self {
            lead: place.lead,
            service: harmless(span.resource.service_name()).into_owned(),
            kind: kind(span.kind),
            name: harmless(&span.name).into_owned(),
            note: match (place.top && span.parent_span_id != [0; 8], span.parent_is_remote) {
                (false, _) => spent(span),
                (true, true) => "(remote parent)".to_owned(),
                (true, false) => "(parent in another piece)".to_owned(),
            },
            duration: duration(span.end_unix_nano.saturating_sub(span.start_unix_nano)),
            offset: if offset == 0 { String::new() } else { format!("+{}", duration(offset)) },
            status: status(span),
            error: span.is_error(),
        }
    }

    /// Columns of what stands before the name.
    fn fixed(&self) -> usize {
        width(&self.lead) + width(&self.service) + 1 + width(self.kind)
    }

    fn left(&self) -> usize {
        let note = if self.note.is_empty() { 0 } else { 1 + width(&self.note) };
        self.fixed() + 1 + width(&self.name) + note
    }

    fn line(&self, columns: &Columns, style: Style) -> String {
        let lead = shorten(&self.lead, columns.left / 2);
        let service = shorten(&self.service, columns.left.saturating_sub(width(&lead) + width(self.kind) + 4));
        let mut used = width(&lead) + width(&service) + 1 + width(self.kind) + 1;
        let name = shorten(&self.name, columns.left.saturating_sub(used).max(1));
        used += width(&name);
        let mut note = String::new();
        if !self.note.is_empty() && used + 1 + width(&self.note) <= columns.left {
            note = format!(" {}", self.note);
            used += width(&note);
        }
        let status = shorten(&self.status, columns.status);
        let line = format!(
            "{}{} {} {}{}{}  {}{}  {}{}  {}",
            style.paint(DIM, &lead),
            style.paint(service_color(&self.service), &service),
            style.paint(DIM, self.kind),
            name,
            style.paint(DIM, &note),
            " ".repeat(columns.left.saturating_sub(used)),
            " ".repeat(columns.duration.saturating_sub(width(&self.duration))),
            style.paint(BOLD, &self.duration),
            " ".repeat(columns.offset.saturating_sub(width(&self.offset))),
            style.paint(DIM, &self.offset),
            if self.error { style.paint(ERROR, &status) } else { status.into_owned() },
        );
        line.trim_end().to_owned()
    }
}

/// How wide each column of a trace is.
struct Columns {
    left: usize,
    duration: usize,
    offset: usize,
    status: usize,
}

impl Columns {
    fn of(rows: &[Row], terminal: Option<usize>) -> Self {
        let widest = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
        let (left, status) = (widest(Row::left), widest(|r| width(&r.status)));
        let (duration, offset) = (widest(|r| width(&r.duration)), widest(|r| width(&r.offset)));
        let Some(terminal) = terminal else { return Self { left, duration, offset, status } };
        // The three gaps are two columns each. Names give way first, down to a third of the line.
        let room = terminal.saturating_sub(duration + offset + 6);
        let status = status.min(room / 2).max(room.saturating_sub(left).min(status));
        Self { left: left.min(room.saturating_sub(status)).max(1), duration, offset, status }
    }
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "‹internal›",
        SpanKind::Server => "‹server›",
        SpanKind::Client => "‹client›",
        SpanKind::Producer => "‹producer›",
        SpanKind::Consumer => "‹consumer›",
    }
}

/// The protocol's own status code, and for a failure a mark and what it is called, if that is not the same again.
fn status(span: &Span) -> String {
    let text = |key: &str| {
        span.attributes.iter().find(|a| a.key == key).and_then(|a| match &a.value {
            Value::Int(code) => Some(code.to_string()),
            Value::Str(text) => Some(harmless(text).into_owned()),
            _ => None,
        })
    };
    let code =
        ["http.response.status_code", "rpc.grpc.status_code", "db.response.status_code"].into_iter().find_map(text);
    let mut status = code.clone().unwrap_or_default();
    let exception = span.events.iter().rev().find(|event| event.name == "exception").map(|event| {
        let of = |key: &str| event.attributes.iter().find(|a| a.key == key).map(|a| &a.value);
        [of("exception.type"), of("exception.message")].map(|value| match value {
            Some(Value::Str(text)) => harmless(text).into_owned(),
            _ => String::new(),
        })
    });
    let why = match (&span.status, exception) {
        // It says more than a code.
        (_, Some(exception)) => exception.map(Some),
        (Status::Error(message), None) => [text("error.type"), Some(harmless(message).into_owned())],
        _ => return status,
    };
    let why: Vec<String> = why.into_iter().flatten().filter(|w| !w.is_empty() && Some(w) != code.as_ref()).collect();
    status = [&status, "✗", &why.join(": ")].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ");
    status
}

/// Where its own time went, if that is long and not all of it was work.
fn spent(span: &Span) -> String {
    if span.kind != SpanKind::Server {
        return String::new();
    }
    let nanos = |part: &str| match span.attribute(&format!("wirespan.time.{part}")) {
        Some(Value::Double(seconds)) if seconds.is_finite() => (seconds * 1e9) as u64,
        _ => 0,
    };
    let (ran, queued, blocked) = (nanos("cpu"), nanos("runqueue"), nanos("blocked"));
    if ran + queued + blocked < WORTH_TELLING || (queued + blocked) * 10 < ran {
        return String::new();
    }
    let parts = [(ran, "on CPU"), (queued, "waiting for a CPU"), (blocked, "blocked")];
    let told =
        parts.iter().filter(|(nanos, _)| *nanos >= 100_000).map(|(nanos, what)| format!("{} {what}", duration(*nanos)));
    format!("({})", told.collect::<Vec<_>>().join(", "))
}

/// The same service always has the same colour (FNV-1a).
fn service_color(service: &str) -> &'static str {
    let hash = service.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    SERVICES[hash as usize % SERVICES.len()]
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
