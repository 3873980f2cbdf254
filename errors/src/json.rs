//! Lines of JSON that carry a stack trace in one of their fields, as loggers write them.

use serde_json::{Map, Value};

use crate::exception::Exception;
use crate::machine::Machine;

/// Fields in which loggers put a stack trace, or an object that has one.
const FIELDS: [&str; 16] = [
    "stack_trace",
    "stacktrace",
    "stackTrace",
    "exception.stacktrace",
    "error.stack_trace",
    "error.stack",
    "exc_info",
    "exc_text",
    "exception",
    "traceback",
    "stack",
    "thrown",
    "err",
    "error",
    "errorVerbose",
    "extendedStackTrace",
];
/// Objects within objects.
const MAX_DEPTH: usize = 3;

/// The exception of a line, if it is an object that has one.
pub fn exception(line: &str) -> Option<Exception> {
    // (A stack trace has several lines; most records have not, and are not looked into.)
    if !line.starts_with('{') || !line.ends_with('}') || !line.contains("\\n") {
        return None;
    }
    let record: Map<String, Value> = serde_json::from_str(line).ok()?;
    within(&record, MAX_DEPTH)
}

fn within(record: &Map<String, Value>, depth: usize) -> Option<Exception> {
    FIELDS.iter().filter_map(|field| record.get(*field)).find_map(|value| match value {
        Value::String(trace) => of_trace(trace).or_else(|| of_trace(&with_head(record, trace)?)),
        Value::Object(inner) if depth > 0 => within(inner, depth - 1),
        _ => None,
    })
}

/// A trace whose head stands in other fields: pino's, Zap's.
fn with_head(record: &Map<String, Value>, trace: &str) -> Option<String> {
    let text = |names: [&str; 4]| names.into_iter().find_map(|name| record.get(name)?.as_str());
    let kind = text(["type", "class", "name", "kind"])?;
    let message = text(["message", "msg", "value", "text"]).unwrap_or_default();
    Some(format!("{kind}: {}\n{trace}", message.lines().next().unwrap_or_default()))
}

/// The only exception of a text.
fn of_trace(trace: &str) -> Option<Exception> {
    let mut machine = Machine::default();
    let mut found: Vec<Exception> = trace.lines().filter_map(|line| machine.line(line, true).0).collect();
    found.extend(machine.end());
    if found.len() == 1 { found.pop() } else { None }
}
