//! What a worker says of a task that ended: the JSON of result backends.

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::json::{self, Member};
use super::task::Value;
use crate::exchange::{KeyValue, Status, TaskFact, TaskPhase, TaskState};
use crate::redact::{self, clip};

/// Bytes of a traceback that are kept.
const MAX_TRACEBACK: usize = 16 << 10;
/// Longest name of a state or exception that is kept.
const MAX_TEXT: usize = 255;

/// A task's state, as the result backend is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Id of the task.
    pub task_id: Option<Cow<'a, str>>,
    /// `SUCCESS`, `FAILURE`, `RETRY`, `STARTED`, `REVOKED`, or a state of the application's own.
    pub state: Cow<'a, str>,
    /// Class of the exception of a task that failed or is tried again, with its module: `builtins.ValueError`.
    pub exception: Option<String>,
    /// What that says of itself, without what it quotes.
    pub message: Option<String>,
    /// Its traceback, without that, as far as it was seen.
    pub traceback: Option<String>,
}

impl Outcome<'_> {
    /// Adds state and exception.
    pub fn attributes(&self, attributes: &mut Vec<KeyValue>) {
        attributes.push(KeyValue::str("celery.state", clip(&self.state, MAX_TEXT).to_owned()));
        if let Some(exception) = &self.exception {
            attributes.push(KeyValue::str(semconv::EXCEPTION_TYPE, clip(exception, MAX_TEXT).to_owned()));
        }
    }

    /// `error.type` of the task's execution, if it failed.
    pub fn error(&self) -> Option<&str> {
        (self.state == "FAILURE").then(|| self.exception.as_deref().map_or("FAILURE", |e| clip(e, MAX_TEXT)))
    }

    /// What the state means for the task's execution. `None`: nothing, as of the application's own states, which anybody
    /// may write.
    fn phase(&self) -> Option<TaskPhase> {
        Some(match &*self.state {
            "STARTED" => TaskPhase::Begun,
            // An attempt that is to be tried again is over.
            "SUCCESS" | "FAILURE" | "RETRY" => TaskPhase::Ended,
            "REVOKED" => TaskPhase::Revoked,
            _ => return None,
        })
    }

    /// The exception as the semantic conventions have it in events.
    fn event(&self) -> Vec<KeyValue> {
        let Some(class) = &self.exception else { return Vec::new() };
        let mut attributes = vec![KeyValue::str(semconv::EXCEPTION_TYPE, clip(class, MAX_TEXT).to_owned())];
        let named = [(semconv::EXCEPTION_MESSAGE, &self.message), (semconv::EXCEPTION_STACKTRACE, &self.traceback)];
        attributes.extend(named.into_iter().filter_map(|(name, text)| Some(KeyValue::str(name, text.clone()?))));
        attributes
    }

    /// What the thread that writes this says of the execution of task `id`.
    pub fn fact(&self, id: &str) -> Option<TaskFact> {
        let phase = self.phase().filter(|_| (1..=MAX_TEXT).contains(&id.len()))?;
        let (mut attributes, mut status) = (Vec::new(), Status::Unset);
        self.attributes(&mut attributes);
        if let Some(error) = self.error() {
            attributes.push(KeyValue::str(semconv::ERROR_TYPE, error.to_owned()));
            status = Status::Error("".into());
        }
        let exception = self.event();
        Some(TaskFact::State(Box::new(TaskState { id: id.into(), phase, attributes, status, exception })))
    }
}

/// Reads the result in a message or a value, from as many bytes of it as there are. Celery writes the state before the
/// result, and the id after it, so of a long result cut short the id is unknown.
pub fn outcome(bytes: &[u8]) -> Option<Outcome<'_>> {
    let (mut task_id, mut state, mut exception, mut message, mut traceback, mut marks) =
        (None, None, None, None, None, 0);
    json::members(bytes, |name, member| {
        match name {
            "status" => state = if let Value::Text(text) = member.value() { Some(text) } else { None },
            "task_id" => task_id = if let Value::Text(text) = member.value() { Some(text) } else { None },
            "result" => {
                marks |= 1;
                (exception, message) = exception_of(member);
            }
            "traceback" => {
                marks |= 2;
                traceback = text_of(member).map(|text| without_values(&text)).filter(|text| !text.is_empty());
            }
            "children" => marks |= 4,
            _ => {}
        }
        true
    });
    // Nothing is taken for a result that does not show at least two of its members.
    let state = state.filter(|s| is_state(s) && (task_id.is_some() || marks != 0))?;
    let exception = exception.filter(|_| matches!(&*state, "FAILURE" | "RETRY" | "REVOKED"));
    let (message, traceback) = (message.filter(|_| exception.is_some()), traceback.filter(|_| exception.is_some()));
    Some(Outcome { task_id, state, exception, message, traceback })
}

/// States are words in capitals.
fn is_state(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

/// `{"exc_type": "ValueError", "exc_message": […], "exc_module": "builtins"}`.
fn exception_of(member: Member<'_>) -> (Option<String>, Option<String>) {
    let (Member::Object(raw) | Member::Cut(raw)) = member else { return (None, None) };
    let (mut class, mut module, mut message) = (None, None, None);
    json::members(raw, |name, member| {
        let slot = match name {
            "exc_type" => &mut class,
            "exc_module" => &mut module,
            "exc_message" => {
                message =
                    first_text(member).map(|text| redact::complaint(&text, false)).filter(|text| !text.is_empty());
                return true;
            }
            _ => return true,
        };
        *slot = if let Value::Text(text) = member.value() { Some(text) } else { None };
        true
    });
    let Some(class) = class else { return (None, None) };
    let name = match module {
        Some(module) => format!("{module}.{class}"),
        None => class.into_owned(),
    };
    // Anything else is no class, and may be what only its message should say.
    let is_name = |name: &String| name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_'));
    (Some(name).filter(is_name), message)
}

/// A text, or its beginning.
fn text_of(member: Member<'_>) -> Option<Cow<'_, str>> {
    let (Member::Text(raw) | Member::Cut(raw)) = member else { return None };
    let raw = raw.strip_prefix(b"\"").unwrap_or(raw);
    // (Cut within an escape, or a character: what stands before that is whole.)
    let whole = raw.len().min(MAX_TRACEBACK);
    (whole.saturating_sub(8)..=whole).rev().find_map(|end| json::text(&raw[..end]))
}

/// A text, or the first of a list of them: `["no such order"]`, as exceptions have arguments.
fn first_text(member: Member<'_>) -> Option<Cow<'_, str>> {
    let (Member::Other(list) | Member::Cut(list)) = member else { return text_of(member) };
    // (Of a text that is cut, where it ends is not known, and so not what it quotes.)
    let text = list.strip_prefix(b"[")?.trim_ascii_start().strip_prefix(b"\"")?;
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        *byte == b'"' && !escaped || {
            escaped = *byte == b'\\' && !escaped;
            false
        }
    })?;
    json::text(&text[..end])
}

/// A traceback without what its exceptions quote: of what is no frame, the types and what they say beside values.
fn without_values(traceback: &str) -> String {
    let mut clean = String::with_capacity(traceback.len());
    for line in traceback.lines() {
        let is_frame = line.starts_with([' ', '\t']) || line.starts_with("Traceback ") || line.is_empty();
        let is_chain = line.starts_with("During handling of ") || line.starts_with("The above exception was ");
        let said = match line.split_once(": ") {
            _ if is_frame || is_chain => line.to_owned(),
            Some((class, message)) => format!("{class}: {}", redact::complaint(message, false)),
            // More of a message, or a class alone.
            None => redact::complaint(line, false),
        };
        clean.push_str(&said);
        clean.push('\n');
    }
    clean.truncate(clean.trim_end().len());
    clean
}
