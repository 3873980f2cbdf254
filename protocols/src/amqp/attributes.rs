//! Names and attributes of spans, as in the messaging semantic conventions and those for RabbitMQ
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/rabbitmq/>). Of a message's body only the size is told.

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::properties::Properties;
use crate::celery::{Action, Task};
use crate::exchange::{KeyValue, MessageKey, Status, TaskFact};
use crate::redact::clip;
use crate::template::template;

/// Longest text of a message's own that is kept. Short strings have at most 255 bytes anyway.
const MAX_TEXT: usize = 255;
/// `messaging.system`.
const SYSTEM: &str = "rabbitmq";
/// Longest key of a message.
const MAX_KEY: usize = 1024;

/// What was done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Publish,
    Process,
    Receive,
}

impl Operation {
    /// `messaging.operation.name`, `messaging.operation.type`.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Operation::Publish => ("publish", "send"),
            Operation::Process => ("process", "process"),
            Operation::Receive => ("receive", "receive"),
        }
    }
}

/// Where a message was sent, and where it was found.
pub(super) struct Destination<'a> {
    pub exchange: &'a str,
    pub routing_key: &'a str,
    pub queue: Option<&'a str>,
}

impl<'a> Destination<'a> {
    /// The parts that name it: those that are not empty, and the queue only where it is not the routing key.
    fn parts(&self) -> impl Iterator<Item = &'a str> {
        let queue = self.queue.filter(|queue| *queue != self.routing_key);
        [Some(self.exchange), Some(self.routing_key), queue].into_iter().flatten().filter(|part| !part.is_empty())
    }

    fn name(&self) -> String {
        let parts: Vec<_> = self.parts().collect();
        if parts.is_empty() { "amq.default".into() } else { parts.join(":") }
    }

    /// The name with the parts that vary replaced, so that it can stand in a span's name. Empty if all vary.
    fn template(&self) -> String {
        let named = self.parts().filter(|part| !is_generated(part));
        let parts: Vec<_> = named.map(|part| template(&["/", part].concat()).split_off(1)).collect();
        if parts.is_empty() && self.parts().next().is_none() { "amq.default".into() } else { parts.join(":") }
    }

    /// Whether a broker or a client made the name up.
    fn is_anonymous(&self) -> bool {
        self.parts().any(is_generated)
    }
}

/// Names of queues that RabbitMQ makes (`amq.gen-…`), of answers to a client that declared none
/// (`amq.rabbitmq.reply-to.…`), of Spring's and others' queues for one connection.
fn is_generated(name: &str) -> bool {
    ["amq.gen-", "amq.rabbitmq.reply-to", "amq_", "spring.gen-"].iter().any(|prefix| name.starts_with(prefix))
}

/// A span's name and attributes.
pub(super) fn message(
    operation: Operation,
    destination: &Destination<'_>,
    tag: Option<u64>,
    properties: Option<&Properties<'_>>,
    task: Option<&Task<'_>>,
) -> (Cow<'static, str>, Vec<KeyValue>) {
    let (operation_name, operation_type) = match (operation, task) {
        // What runs a task is another thread than takes it, and a span of its own.
        (Operation::Process, Some(_)) => Operation::Receive.names(),
        _ => operation.names(),
    };
    let mut attributes = Vec::with_capacity(12);
    let mut text = |key, value: Cow<'static, str>| attributes.push(KeyValue::str(key, value));
    text(semconv::MESSAGING_SYSTEM, SYSTEM.into());
    text(semconv::MESSAGING_OPERATION_NAME, operation_name.into());
    text(semconv::MESSAGING_OPERATION_TYPE, operation_type.into());
    text(semconv::NETWORK_PROTOCOL_NAME, "amqp".into());
    text(semconv::NETWORK_PROTOCOL_VERSION, "0.9.1".into());
    let (name, template) = (destination.name(), destination.template());
    if !template.is_empty() && template != name {
        text(semconv::MESSAGING_DESTINATION_TEMPLATE, template.clone().into());
    }
    text(semconv::MESSAGING_DESTINATION_NAME, name.into());
    if !destination.routing_key.is_empty() {
        text(semconv::MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY, destination.routing_key.to_owned().into());
    }
    if destination.is_anonymous() {
        let value = crate::exchange::Value::Bool(true);
        attributes.push(KeyValue { key: semconv::MESSAGING_DESTINATION_ANONYMOUS.into(), value });
    }
    attributes.extend(tag.map(|tag| size(semconv::MESSAGING_RABBITMQ_MESSAGE_DELIVERY_TAG, tag)));
    if let Some(properties) = properties {
        described(properties, task.is_some(), &mut attributes);
    }
    let action = match operation {
        Operation::Publish => Action::Publish,
        Operation::Process | Operation::Receive => Action::Receive,
    };
    let name = match task {
        Some(task) => task.span_name(action),
        None if template.is_empty() => operation_name.into(),
        None => [operation_name, " ", &template].concat().into(),
    };
    if let Some(task) = task {
        task.attributes(action, &mut attributes);
    }
    (name, attributes)
}

/// What a message with a task says of the task's execution.
pub(super) fn fact(operation: Operation, destination: &Destination<'_>, task: &Task<'_>) -> Option<TaskFact> {
    match operation {
        Operation::Publish => task.sent(),
        // Whoever asks for one message is no worker.
        Operation::Receive => None,
        Operation::Process => {
            let name = KeyValue::str(semconv::MESSAGING_DESTINATION_NAME, destination.name());
            task.taken(None, SYSTEM, Some(name))
        }
    }
}

/// What the message says of itself.
fn described(properties: &Properties<'_>, is_task: bool, attributes: &mut Vec<KeyValue>) {
    attributes.push(size(semconv::MESSAGING_MESSAGE_BODY_SIZE, properties.body_size));
    let ids = [
        (semconv::MESSAGING_MESSAGE_ID, properties.message_id, !is_task),
        (semconv::MESSAGING_MESSAGE_CONVERSATION_ID, properties.correlation_id, true),
    ];
    for (key, id, told) in ids {
        if told && !id.is_empty() {
            let id = String::from_utf8_lossy(id);
            attributes.push(KeyValue::str(key, clip(&id, MAX_TEXT).to_owned()));
        }
    }
}

/// What a message without a trace context is known by: a task's id, or the id that its sender gave it (else the
/// correlation id) together with where it was sent. A reply has the correlation id of its request, and goes elsewhere.
pub(super) fn key(
    exchange: &str,
    routing_key: &str,
    properties: &Properties<'_>,
    task: Option<&Task<'_>>,
) -> Option<MessageKey> {
    if let Some(task) = task {
        return task.key();
    }
    let (kind, id) = match (properties.message_id, properties.correlation_id) {
        (b"", b"") => return None,
        (b"", correlation) => ("correlation", correlation),
        (message, _) => ("message", message),
    };
    let id = String::from_utf8(id.to_vec()).ok()?;
    let id = [exchange, ":", routing_key, ":", kind, ":", &id].concat();
    // Of properties that are cut short, an id may be missing that the other side sees.
    (properties.whole && id.len() <= MAX_KEY).then(|| MessageKey { system: "rabbitmq", id: id.into() })
}

/// Says why an exchange failed.
pub(super) fn failed(error: Cow<'static, str>, attributes: &mut Vec<KeyValue>) -> Status {
    attributes.push(KeyValue::str(semconv::ERROR_TYPE, error));
    Status::Error("".into())
}

/// No message was there to be received.
pub(super) fn no_message() -> KeyValue {
    KeyValue::int(semconv::MESSAGING_BATCH_MESSAGE_COUNT, 0)
}

fn size(key: &'static str, bytes: u64) -> KeyValue {
    KeyValue::int(key, i64::try_from(bytes).unwrap_or(i64::MAX))
}
