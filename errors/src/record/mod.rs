//! What one record says: how grave it is, its message, and what else it names. Loggers write JSON, logfmt, or text behind a time and
//! a level; anything else is a message without a level.

mod json;
mod level;
mod logfmt;
mod prose;

pub use level::Severity;

use crate::text;

/// Things that a record names beside its message, at most.
pub const MAX_FIELDS: usize = 32;
/// Bytes of the word that says how grave it is.
const MAX_LEVEL: usize = 128;

/// A value of JSON, as far as it has one of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// A text, or a list or a whole object as JSON.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Any number.
    Double(f64),
    /// A truth value.
    Bool(bool),
}

/// Which span a record says that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span, all zero if it says none.
    pub span_id: [u8; 8],
}

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// How grave it is, if that is said.
    pub severity: Option<Severity>,
    /// The word or number by which that is said.
    pub level: String,
    /// What is said.
    pub message: String,
    /// What else is named, in its order, as long as it was written: secrets are known by all of a name and of a value.
    pub fields: Vec<(String, Field)>,
    /// The span that it names.
    pub context: Option<Context>,
    /// Something is left out.
    pub is_cut: bool,
}

impl Record {
    /// Reads a record as it was written.
    pub fn parse(written: &str) -> Self {
        let line = text::without_colours(written);
        let record = json::parse(&line).or_else(|| logfmt::parse(&line)).or_else(|| prose::parse(&line));
        record.unwrap_or_else(|| Self { message: line.trim_end().to_owned(), ..Self::default() })
    }

    /// Keeps what is named, unless it says what has a place of its own.
    fn names(&mut self, name: &str, field: Field) {
        if level::NAMES.contains(&name) && self.severity.is_none() {
            self.severity = level::of_field(&field);
            if self.severity.is_some() {
                self.level = text_of(&field);
                return;
            }
        }
        if MESSAGES.contains(&name)
            && self.message.is_empty()
            && let Field::Text(message) = &field
        {
            self.message.clone_from(message);
            return;
        }
        if TIMES.contains(&name) || self.names_context(name, &field) {
            return;
        }
        self.keep(name, field);
    }

    fn keep(&mut self, name: &str, field: Field) {
        if self.fields.len() == MAX_FIELDS {
            self.is_cut = true;
            return;
        }
        self.fields.push((name.to_owned(), field));
    }

    /// Whether this names a span: what does so is kept in its place. (A span without a trace names none.)
    fn names_context(&mut self, name: &str, field: &Field) -> bool {
        let Field::Text(text) = field else { return false };
        if TRACES.contains(&name)
            && let Some(trace_id) = id(text)
        {
            let span_id = self.context.map_or([0; 8], |context| context.span_id);
            self.context = Some(Context { trace_id, span_id });
            return true;
        }
        if SPANS.contains(&name)
            && let Some(span_id) = id(text)
        {
            let trace_id = self.context.map_or([0; 16], |context| context.trace_id);
            self.context = Some(Context { trace_id, span_id });
            return true;
        }
        false
    }

    /// What it says, once all is read: a message is there, and a context is whole.
    fn read(mut self, line: &str) -> Self {
        if self.message.trim().is_empty() {
            self.message = line.trim_end().to_owned();
        }
        self.context = self.context.filter(|context| context.trace_id != [0; 16]);
        self
    }
}

/// Names under which loggers put the message.
const MESSAGES: [&str; 8] = ["message", "msg", "@m", "@mt", "short_message", "event", "MESSAGE", "Message"];
/// Names under which they put the time, which is that of the write.
const TIMES: [&str; 9] = ["time", "timestamp", "ts", "@timestamp", "@t", "datetime", "asctime", "Timestamp", "date"];
const TRACES: [&str; 5] = ["trace_id", "traceId", "trace.id", "traceid", "otelTraceID"];
const SPANS: [&str; 5] = ["span_id", "spanId", "span.id", "spanid", "otelSpanID"];

fn text_of(field: &Field) -> String {
    match field {
        Field::Text(text) => text[..text.floor_char_boundary(MAX_LEVEL)].to_owned(),
        Field::Int(number) => number.to_string(),
        Field::Double(number) => number.to_string(),
        Field::Bool(is) => is.to_string(),
    }
}

/// Bytes of their hexadecimal digits; not all zero.
fn id<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    if text.len() != 2 * BYTES || !text.is_ascii() {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    (bytes != [0; BYTES]).then_some(bytes)
}
