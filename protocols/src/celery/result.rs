//! What a worker says of a task that ended: the JSON of result backends.

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::json::{self, Member};
use super::task::Value;
use crate::exchange::{KeyValue, Status, TaskFact, TaskPhase, TaskState};
use crate::redact::clip;

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

    /// What the thread that writes this says of the execution of task `id`.
    pub fn fact(&self, id: &str) -> Option<TaskFact> {
        let phase = self.phase().filter(|_| (1..=MAX_TEXT).contains(&id.len()))?;
        let (mut attributes, mut status) = (Vec::new(), Status::Unset);
        self.attributes(&mut attributes);
        if let Some(error) = self.error() {
            attributes.push(KeyValue::str(semconv::ERROR_TYPE, error.to_owned()));
            status = Status::Error("".into());
        }
        Some(TaskFact::State(Box::new(TaskState { id: id.into(), phase, attributes, status })))
    }
}

/// Reads the result in a message or a value, from as many bytes of it as there are. Celery writes the state before the
/// result, and the id after it, so of a long result cut short the id is unknown.
pub fn outcome(bytes: &[u8]) -> Option<Outcome<'_>> {
    let (mut task_id, mut state, mut exception, mut marks) = (None, None, None, 0);
    json::members(bytes, |name, member| {
        match name {
            "status" => state = if let Value::Text(text) = member.value() { Some(text) } else { None },
            "task_id" => task_id = if let Value::Text(text) = member.value() { Some(text) } else { None },
            "result" => {
                marks |= 1;
                exception = exception_of(member);
            }
            "traceback" => marks |= 2,
            "children" => marks |= 4,
            _ => {}
        }
        true
    });
    // Nothing is taken for a result that does not show at least two of its members.
    let state = state.filter(|s| is_state(s) && (task_id.is_some() || marks != 0))?;
    let exception = exception.filter(|_| matches!(&*state, "FAILURE" | "RETRY" | "REVOKED"));
    Some(Outcome { task_id, state, exception })
}

/// States are words in capitals.
fn is_state(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

/// `{"exc_type": "ValueError", "exc_message": […], "exc_module": "builtins"}`.
fn exception_of(member: Member<'_>) -> Option<String> {
    let (Member::Object(raw) | Member::Cut(raw)) = member else { return None };
    let (mut class, mut module) = (None, None);
    json::members(raw, |name, member| {
        let slot = match name {
            "exc_type" => &mut class,
            "exc_module" => &mut module,
            _ => return true,
        };
        *slot = if let Value::Text(text) = member.value() { Some(text) } else { None };
        true
    });
    let class = class?;
    let name = match module {
        Some(module) => format!("{module}.{class}"),
        None => class.into_owned(),
    };
    // Anything else is no class, and may be what only its message should say.
    let is_name = |name: &String| name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_'));
    Some(name).filter(is_name)
}
