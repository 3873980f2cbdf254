//! The envelope of a task.

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::json;
use crate::exchange::{KeyValue, MessageKey, TakenTask, TaskFact};
use crate::redact::clip;

/// Longest name of a task, id, time or host that is kept.
const MAX_TEXT: usize = 255;

/// A header's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// `true`.
    True,
    /// `false`, `null`, or a value of another type.
    Other,
}

/// What is done with a task: the middle of the names that OpenTelemetry's Celery instrumentation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is sent.
    Publish,
    /// A worker takes it from the broker. The instrumentation has no such span.
    Receive,
    /// A worker runs it.
    Run,
}

impl Action {
    /// As `celery.action` and span names have it.
    fn name(self) -> &'static str {
        match self {
            Action::Publish => "apply_async",
            Action::Receive => "receive",
            Action::Run => "run",
        }
    }
}

/// A task, as its envelope describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task<'a> {
    /// Name: `shop.tasks.charge`.
    pub name: Cow<'a, str>,
    /// Id, mostly a UUID.
    pub id: Cow<'a, str>,
    /// The first task of the workflow that this one belongs to.
    pub root_id: Option<Cow<'a, str>>,
    /// The task that sent this one.
    pub parent_id: Option<Cow<'a, str>>,
    /// How often it was tried before.
    pub retries: u32,
    /// Not to be run before, ISO 8601.
    pub eta: Option<Cow<'a, str>>,
    /// Not to be run after, ISO 8601.
    pub expires: Option<Cow<'a, str>>,
    /// Process and host that sent it: `gen4711@host`.
    pub origin: Option<Cow<'a, str>>,
    /// Its result is not to be kept, whatever else is said of tasks of this name.
    pub ignores_result: bool,
    /// It is one of a group, or of a chord's header.
    pub grouped: bool,
}

impl Task<'_> {
    /// What sender and receiver know this sending by. A retry has the id of the task that it repeats, and is another
    /// message, so it counts. Absent if the id is absurdly long.
    pub fn key(&self) -> Option<MessageKey> {
        if self.id.len() > MAX_TEXT {
            return None;
        }
        let id = match self.retries {
            0 => self.id.as_ref().into(),
            retries => format!("{}/{retries}", self.id).into(),
        };
        Some(MessageKey { system: "celery", id })
    }

    /// What a worker that takes it is to remember: the task's execution may follow. `tag`: what the message is settled by.
    /// The destination is the caller's to tell. Absent if the id is absurdly long.
    pub fn taken(&self, tag: Option<&str>, system: &'static str, destination: Option<KeyValue>) -> Option<TaskFact> {
        let mut attributes = vec![
            KeyValue::str(semconv::MESSAGING_SYSTEM, system),
            KeyValue::str(semconv::MESSAGING_OPERATION_NAME, "process"),
            KeyValue::str(semconv::MESSAGING_OPERATION_TYPE, "process"),
        ];
        attributes.extend(destination);
        self.attributes(Action::Run, &mut attributes);
        (self.id.len() <= MAX_TEXT).then(|| {
            TaskFact::Taken(Box::new(TakenTask {
                id: self.id.as_ref().into(),
                retries: self.retries,
                tag: tag.map(Into::into),
                silent: self.ignores_result,
                grouped: self.grouped,
                name: self.span_name(Action::Run),
                attributes,
            }))
        })
    }

    /// What a thread says of itself that sends this task: that it runs the attempt before, if there was one.
    pub fn sent(&self) -> Option<TaskFact> {
        let again = self.retries > 0 && self.id.len() <= MAX_TEXT;
        again.then(|| TaskFact::SentAgain { id: self.id.as_ref().into(), retries: self.retries })
    }

    /// `apply_async/shop.tasks.charge`.
    pub fn span_name(&self, action: Action) -> Cow<'static, str> {
        [action.name(), "/", clip(&self.name, MAX_TEXT)].concat().into()
    }

    /// Adds what OpenTelemetry's Celery instrumentation says of a task, and its relations. The caller gives the
    /// destination, and leaves out its own `messaging.message.id`.
    pub fn attributes(&self, action: Action, attributes: &mut Vec<KeyValue>) {
        let text = |text: &str| clip(text, MAX_TEXT).to_owned();
        attributes.push(KeyValue::str("celery.action", action.name()));
        attributes.push(KeyValue::str("celery.task_name", text(&self.name)));
        attributes.push(KeyValue::str(semconv::MESSAGING_MESSAGE_ID, text(&self.id)));
        if self.retries > 0 {
            attributes.push(KeyValue::int("celery.retries", i64::from(self.retries)));
        }
        let texts = [
            ("celery.root_id", &self.root_id),
            ("celery.parent_id", &self.parent_id),
            ("celery.eta", &self.eta),
            ("celery.expires", &self.expires),
            ("celery.hostname", &self.origin),
        ];
        for (key, value) in texts {
            attributes.extend(value.as_ref().map(|value| KeyValue::str(key, text(value))));
        }
    }
}

/// Collects a message's headers, in which message protocol 2 keeps the envelope.
#[derive(Clone, Debug, Default)]
pub struct Headers<'a> {
    task: Task<'a>,
    /// `retries`, `root_id` and `lang` are there: nothing but Celery writes all of them.
    marks: u8,
}

impl<'a> Headers<'a> {
    /// Looks at one header.
    pub fn offer(&mut self, name: &str, value: Value<'a>) {
        let text = |value| if let Value::Text(text) = value { Some(text) } else { None };
        let task = &mut self.task;
        match name {
            "task" => task.name = text(value).unwrap_or_default(),
            "id" => task.id = text(value).unwrap_or_default(),
            "root_id" => {
                self.marks |= 1;
                task.root_id = text(value);
            }
            "parent_id" => task.parent_id = text(value),
            "retries" => {
                self.marks |= 2;
                task.retries = if let Value::Int(n) = value { u32::try_from(n).unwrap_or(0) } else { 0 };
            }
            "lang" => self.marks |= 4,
            "eta" => task.eta = text(value),
            "expires" => task.expires = text(value),
            "origin" => task.origin = text(value),
            "group" => task.grouped = text(value).is_some(),
            "ignore_result" => task.ignores_result = value == Value::True,
            _ => {}
        }
    }

    /// The task, if these are the headers of one.
    pub fn task(self) -> Option<Task<'a>> {
        let sound = self.marks == 7 && !self.task.name.is_empty() && !self.task.id.is_empty();
        sound.then_some(self.task)
    }
}

/// The task in the body of a message of protocol 1, from as many bytes of it as there are. The body has no `lang`, but
/// `task`, `id`, `args`, `kwargs` and `retries`.
pub fn embedded(body: &[u8]) -> Option<Task<'_>> {
    let (mut headers, mut arguments) = (Headers::default(), 0);
    json::members(body, |name, member| {
        match name {
            // A task of protocol 1 does not know its root; what is called so is of its arguments.
            "args" => arguments |= 1,
            "kwargs" => arguments |= 2,
            "task" | "id" | "retries" | "eta" | "expires" => headers.offer(name, member.value()),
            _ => {}
        }
        true
    });
    let sound = arguments == 3 && headers.marks == 2 && !headers.task.name.is_empty() && !headers.task.id.is_empty();
    sound.then_some(headers.task)
}
