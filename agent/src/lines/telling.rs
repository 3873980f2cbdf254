//! What is told of what programs write: exceptions as events, records as logs; without secrets, and within bounds.

use std::sync::Arc;

use wirespan_errors::{Exception, Field, Found, Record, Severity};
use wirespan_links::Said;
use wirespan_protocols::exchange::{Event, KeyValue, Mark, Value};
use wirespan_protocols::redact::complaint;
use wirespan_protocols::secrets;
use wirespan_signals::{Log, LogSpan};

use super::places::Origin;
use crate::discovery::Process;
use crate::metrics::Counters;

/// The longest name of a type.
const MAX_KIND: usize = 256;
/// Bytes of the body of a record.
const MAX_BODY: usize = 16 << 10;
/// Bytes of the value of a field.
const MAX_VALUE: usize = 1024;
/// Bytes of its name.
const MAX_NAME: usize = 128;
/// What stands for a secret.
const REDACTED: &str = "REDACTED";

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Exceptions are events on spans.
    pub events: bool,
    /// Exceptions are records.
    pub exceptions: bool,
    /// All else is, too.
    pub records: bool,
    /// What exceptions quote, and values of query strings, are kept.
    pub keep_values: bool,
}

impl Default for Telling {
    fn default() -> Self {
        Self { events: true, exceptions: false, records: false, keep_values: false }
    }
}

impl Telling {
    /// Whether anything is told as records.
    pub fn has_records(self) -> bool {
        self.records || self.exceptions
    }

    /// What is told of something that was found, if anything is. (An event only of what is its writer's own.)
    pub(super) fn of(
        self,
        found: &Found<Mark>,
        process: &Process,
        origin: Option<&Origin>,
        counters: &Counters,
    ) -> Option<Said> {
        let exception = found.exception.as_ref();
        let event = exception.filter(|_| self.events && found.is_own).map(|exception| self.event(exception, found));
        let record = self.records || (self.exceptions && exception.is_some());
        let log = record.then(|| self.log(found, process, origin, counters));
        (event.is_some() || log.is_some()).then_some(Said { time: found.began.time, event, log })
    }

    /// An exception as an event, as the semantic conventions have it.
    fn event(self, exception: &Exception, found: &Found<Mark>) -> Event {
        Event { time: found.began.time, name: "exception".into(), attributes: self.attributes(exception) }
    }

    fn attributes(self, exception: &Exception) -> Vec<KeyValue> {
        let keep = self.keep_values;
        let mut attributes = vec![KeyValue::str("exception.type", kind(exception))];
        if !exception.message.is_empty() {
            attributes.push(KeyValue::str("exception.message", complaint(&exception.message, keep)));
        }
        attributes.push(KeyValue::str("exception.stacktrace", exception.trace(|said| complaint(said, keep))));
        attributes
    }

    fn log(self, found: &Found<Mark>, process: &Process, origin: Option<&Origin>, counters: &Counters) -> Log {
        let Record { severity, level, message, fields, context, is_cut } = match (&found.line, &found.exception) {
            (Some(line), _) => Record::parse(line),
            (None, Some(exception)) => self.record(exception),
            (None, None) => Record::default(),
        };
        let mut clean = Cleaner { keep_values: self.keep_values, found: false, is_cut: is_cut || found.is_cut };
        let body = clean.text(&message, MAX_BODY);
        let mut attributes: Vec<KeyValue> = fields.into_iter().map(|(name, field)| clean.field(name, field)).collect();
        if let Some(exception) = &found.exception {
            attributes.retain(|attribute| !holds(&attribute.value, exception));
            attributes.extend(self.attributes(exception));
        }
        attributes.extend(origin.map(Origin::attribute));
        counters.log_records_shortened.add(clean.is_cut.into());
        counters.log_records_redacted.add(clean.found.into());
        Log {
            time_unix_nano: 0,
            severity: severity.map_or(0, Severity::number),
            severity_text: level.into(),
            body: body.into(),
            attributes,
            // (Whether that trace is kept, who made it knows.)
            span: context.map(|context| LogSpan { trace_id: context.trace_id, span_id: context.span_id, flags: 0 }),
            resource: Arc::clone(&process.resource),
        }
    }

    /// An exception that nobody introduced.
    fn record(self, exception: &Exception) -> Record {
        let (kind, message) = (kind(exception), complaint(&exception.message, self.keep_values));
        let message = if message.is_empty() { kind } else { format!("{kind}: {message}") };
        Record { severity: Some(Severity::ERROR), message, ..Record::default() }
    }
}

fn kind(exception: &Exception) -> String {
    clipped(exception.kind.clone(), MAX_KIND)
}

/// Whether a field is the stack trace that is told as an exception, with all that it says.
fn holds(value: &Value, exception: &Exception) -> bool {
    let Value::Str(text) = value else { return false };
    exception.lines.iter().any(|line| line.text.len() > 8 && text.contains(line.text.trim()))
}

/// Takes secrets out, and then what is too long (of a secret that is cut, the rest would look like none); remembers whether there were any.
struct Cleaner {
    keep_values: bool,
    found: bool,
    is_cut: bool,
}

impl Cleaner {
    fn text(&mut self, text: &str, most: usize) -> String {
        let clean = secrets::without(text, self.keep_values);
        self.found |= clean != text;
        self.is_cut |= clean.len() > most;
        clipped(clean.into_owned(), most)
    }

    fn field(&mut self, name: String, field: Field) -> KeyValue {
        let secret = secrets::is_secret(&name);
        self.found |= secret;
        let value = match field {
            _ if secret => Value::Str(REDACTED.into()),
            Field::Text(text) => Value::Str(self.text(&text, MAX_VALUE).into()),
            Field::Int(number) => Value::Int(number),
            Field::Double(number) => Value::Double(number),
            Field::Bool(is) => Value::Bool(is),
        };
        KeyValue { key: clipped(name, MAX_NAME).into(), value }
    }
}

fn clipped(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}
