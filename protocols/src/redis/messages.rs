//! Celery's tasks in Redis: spans of their own beside those of the commands that carry them.
//!
//! A task that is sent is a PRODUCER span beside the CLIENT span of its `LPUSH`, with the same operations and the same
//! outcome: the command is a call that Redis answers, whose other end is joined, and the message outlives it. A task in
//! the reply to `BRPOP` is a CONSUMER span beside the command's. What is said inside `MULTI` sends nothing: kombu puts
//! messages back that way which were taken and not settled. Only the client's end of a connection tells of messages.

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::Redis;
use super::command::{Arguments, Command};
use crate::celery::{self, Action, Queued, Write};
use crate::context::TraceContext;
use crate::exchange::{
    Exchange, KeyValue, Mark, Marks, MessageKey, Output, Reason, SpanKind, Started, Status, TaskEvent, TaskFact,
};
use crate::redact::clip;
use crate::{Role, db};

/// Most of a message that is read, bytes; more than one operation's capture.
pub(super) const MAX_MESSAGE: usize = 16 * 1024;
/// Longest name of a queue, or key of a result.
pub(super) const MAX_KEY: usize = 256;
/// `messaging.system`: the transport, of which the conventions know no name.
const SYSTEM: &str = "redis";
/// Most messages that wait for their command's reply.
const MAX_SENT: usize = 64;

/// A message whose command is not answered yet.
#[derive(Debug)]
pub(super) struct Sent {
    /// The command's exchange.
    pub call: u64,
    /// The message's own.
    id: u64,
    name: Cow<'static, str>,
    attributes: Vec<KeyValue>,
}

impl Sent {
    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.attributes.capacity() * size_of::<KeyValue>() + 512
    }
}

/// The two texts of a reply to `BRPOP`, as far as they were captured.
#[derive(Debug, Default)]
pub(super) struct Popped {
    pub queue: Vec<u8>,
    pub message: Vec<u8>,
    /// Bytes of it are hidden: what follows is not what comes next.
    pub hidden: bool,
}

impl Popped {
    /// More bytes of the reply's `element`.
    pub(super) fn extend(&mut self, element: u64, part: &[u8]) {
        let (text, most) = match element {
            0 => (&mut self.queue, MAX_KEY),
            1 => (&mut self.message, MAX_MESSAGE),
            _ => return,
        };
        if !self.hidden {
            text.extend_from_slice(&part[..part.len().min(most - text.len())]);
        }
    }

    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + self.queue.capacity() + self.message.capacity()
    }
}

/// A task, as a span tells it.
pub(super) struct Message {
    name: Cow<'static, str>,
    attributes: Vec<KeyValue>,
    key: Option<MessageKey>,
    context: Option<TraceContext>,
    denied: bool,
    /// What it says of a task's execution.
    fact: Option<TaskFact>,
}

/// What a command is to Celery.
pub(super) enum Written {
    /// It sends a task.
    Task(Box<Message>),
    /// It says how a task stands, in attributes of its own, and perhaps of the task's execution.
    Result(Vec<KeyValue>, Option<TaskFact>),
    /// It settles a task.
    Settled(TaskFact),
}

/// What a command is to Celery; most are nothing.
pub(super) fn written(arguments: &Arguments) -> Option<Written> {
    let command = arguments.get(0)?;
    if arguments.count == 3
        && let Some(tag) = arguments.get(2).and_then(|field| celery::settled(command, field))
    {
        return Some(Written::Settled(TaskFact::Settled { tag: tag.into() }));
    }
    Some(match celery::write(command, arguments.get(1)?, arguments.message()?)? {
        Write::Task(task) => Written::Task(Box::new(describe(&task, Action::Publish))),
        Write::Result { task_id, outcome } => {
            let mut attributes = Vec::new();
            outcome.attributes(&mut attributes);
            Written::Result(attributes, outcome.fact(&task_id))
        }
    })
}

impl Redis {
    /// A command that sends a task went out as `call`: announces the message.
    pub(super) fn sends(&mut self, call: u64, marks: Marks, message: Message, out: &mut Vec<Output>) {
        if self.settings.role != Role::Client || self.transaction.is_some() {
            return;
        }
        let id = self.calls.reserve();
        let mut started = Started::call(id, marks, SpanKind::Producer, message.context, message.denied);
        started.message = message.key;
        out.push(Output::Started(started));
        if self.sent.len() >= MAX_SENT {
            return out.push(Output::Dropped { id, reason: Reason::Refused });
        }
        tell(id, marks.last, message.fact, out);
        self.sent.push_back(Sent { call, id, name: message.name, attributes: message.attributes });
    }

    /// Ends the messages whose commands ended in `out` since `before`, and as those did.
    pub(super) fn settle_sent(&mut self, before: usize, out: &mut Vec<Output>) {
        if self.sent.is_empty() {
            return;
        }
        for at in before..out.len() {
            let call = match &out[at] {
                Output::Finished(exchange) => exchange.id,
                Output::Dropped { id, .. } => *id,
                _ => continue,
            };
            let Some(place) = self.sent.iter().position(|sent| sent.call == call) else { continue };
            let Some(sent) = self.sent.remove(place) else { continue };
            let end = match &out[at] {
                Output::Finished(exchange) => Output::Finished(Box::new(as_sent(sent, exchange))),
                Output::Dropped { reason, .. } => Output::Dropped { id: sent.id, reason: *reason },
                _ => continue,
            };
            out.push(end);
        }
    }

    /// The reply in transfer, which is complete, may bring a task.
    pub(super) fn receives(&mut self, marks: Marks, out: &mut Vec<Output>) {
        let Some(popped) = self.reply.popped.take() else { return };
        let Some(task) = celery::reply(&popped.queue, &popped.message) else { return };
        let Message { name, attributes, key, context, fact, .. } = describe(&task, Action::Receive);
        let id = self.calls.reserve();
        let mut started = Started::call(id, marks, SpanKind::Consumer, None, false);
        started.message = key;
        started.links.extend(context);
        out.push(Output::Started(started));
        tell(id, marks.last, fact, out);
        let (end, status) = (marks.last.time, Status::Unset);
        let exchange =
            Exchange { id, name, request: marks, response: None, end, status, attributes, events: Vec::new() };
        out.push(Output::Finished(Box::new(exchange)));
    }

    /// Whether the reply to the oldest command may bring a task.
    pub(super) fn awaits_message(&mut self) -> bool {
        let is_client = self.settings.role == Role::Client;
        is_client && self.calls.oldest().is_some_and(|call: &mut db::Call<Command>| call.request.pops)
    }
}

/// Says of an exchange that is under way what it tells of a task's execution.
pub(super) fn tell(exchange: u64, at: Mark, fact: Option<TaskFact>, out: &mut Vec<Output>) {
    out.extend(fact.map(|fact| Output::Task(Box::new(TaskEvent { exchange, at, fact }))));
}

/// The message's exchange: the command's, by another name.
fn as_sent(sent: Sent, command: &Exchange) -> Exchange {
    let Sent { id, name, mut attributes, .. } = sent;
    attributes.extend(command.attributes.iter().filter(|a| a.key == semconv::ERROR_TYPE).cloned());
    Exchange { id, name, attributes, events: Vec::new(), ..command.clone() }
}

fn describe(task: &Queued<'_>, action: Action) -> Message {
    let queue = || KeyValue::str(semconv::MESSAGING_DESTINATION_NAME, clip(&task.queue, MAX_KEY).to_owned());
    let (operation, kind, fact) = match action {
        Action::Publish => ("publish", "send", task.task.sent()),
        _ => ("receive", "receive", task.task.taken(task.tag.as_deref(), SYSTEM, Some(queue()))),
    };
    let mut attributes = vec![
        KeyValue::str(semconv::MESSAGING_SYSTEM, SYSTEM),
        KeyValue::str(semconv::MESSAGING_OPERATION_NAME, operation),
        KeyValue::str(semconv::MESSAGING_OPERATION_TYPE, kind),
        queue(),
    ];
    task.task.attributes(action, &mut attributes);
    // A message that names its sender itself needs no key.
    let key = if task.context.is_none() { task.task.key() } else { None };
    Message {
        name: task.task.span_name(action),
        attributes,
        key,
        context: task.context.clone(),
        denied: task.denied,
        fact,
    }
}
