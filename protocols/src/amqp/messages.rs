//! What frames do to the connection's state.

use opentelemetry_semantic_conventions::attribute as semconv;

use super::Amqp;
use super::attributes::{self, Destination, Operation};
use super::channel::{Carried, Channel, Confirms, Content, Get, Mode, Tap, Waiting};
use super::method::{self, Method};
use super::properties::Properties;
use crate::Direction;
use crate::celery::{self, Task};
use crate::exchange::{Exchange, Mark, Marks, Output, Reason, SpanKind, Started, Status, TaskEvent, TaskFact};

impl Amqp {
    /// A method was read; `cut` if some of it is missing.
    pub(super) fn method(&mut self, direction: Direction, id: u16, payload: &[u8], cut: bool, out: &mut Vec<Output>) {
        let Some(method) = method::decode(payload) else {
            return if cut {
                self.unseen(direction, Reason::Gap, out)
            };
        };
        let (first, here) = (self.lane(direction).first, self.lane(direction).operation);
        match method {
            Method::TuneOk { frame_max } => self.largest_body = frame_max.saturating_sub(8),
            Method::ConnectionClose { code } => self.closing(direction, None, code, here.time, out),
            Method::ChannelClose { code } => self.closing(direction, Some(id), code, here.time, out),
            Method::ChannelOpen => {
                self.closed(direction, Some(id), 0, here.time, out);
                if let Some(channel) = self.channel(id) {
                    channel.confirms = Confirms::Off;
                }
            }
            Method::ChannelCloseOk => {
                self.closed(direction, Some(id), 0, here.time, out);
                self.channels.remove(&id);
            }
            Method::Publish { exchange, routing_key, mandatory } => {
                self.publish(id, first, exchange, routing_key, mandatory, out);
            }
            Method::Return { code, exchange, routing_key } => {
                self.begin(direction, id, Carried::Return { code }, first, (exchange, routing_key), out);
            }
            Method::Deliver { consumer, tag, exchange, routing_key } => {
                let Some(channel) = self.channel(id) else { return };
                let (manual, queue) = channel.deliver(consumer, tag);
                let carried = Carried::Deliver { tag, manual, queue };
                self.begin(direction, id, carried, first, (exchange, routing_key), out);
            }
            Method::Get { queue } => self.get(id, Marks { first, last: here }, queue),
            Method::GetOk { tag, exchange, routing_key } => {
                let get = self.channel(id).and_then(|channel| channel.get.take());
                let carried = get.map_or(Carried::Unknown, |get| Carried::Got { tag, get });
                self.begin(direction, id, carried, first, (exchange, routing_key), out);
            }
            Method::GetEmpty => self.get_empty(id, Marks { first, last: here }, out),
            Method::Ack { tag, multiple } => self.settled(direction, id, (tag, multiple), None, out),
            Method::Nack { tag, multiple } => self.settled(direction, id, (tag, multiple), Some("nack"), out),
            Method::Reject { tag } => self.settled(direction, id, (tag, false), Some("reject"), out),
            Method::Recover => self.recover(id, out),
            other => {
                if let Some(channel) = self.channel(id) {
                    noted(channel, &other);
                }
            }
        }
    }

    fn publish(
        &mut self,
        id: u16,
        first: Mark,
        exchange: &[u8],
        routing_key: &[u8],
        mandatory: bool,
        out: &mut Vec<Output>,
    ) {
        let Some(channel) = self.channel(id) else { return };
        let tag = match &mut channel.confirms {
            Confirms::On(next) => {
                *next += 1;
                Some(*next - 1)
            }
            Confirms::Off | Confirms::Unknown => None,
        };
        self.begin(Direction::Request, id, Carried::Publish { mandatory, tag }, first, (exchange, routing_key), out);
    }

    /// A method that carries a message was read.
    fn begin(
        &mut self,
        direction: Direction,
        id: u16,
        carried: Carried,
        first: Mark,
        (exchange, routing_key): (&[u8], &[u8]),
        out: &mut Vec<Output>,
    ) {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned().into_boxed_str();
        let closing = self.channels.get(&id).is_some_and(|channel| channel.closing);
        let content = Content {
            carried: if closing { Carried::Unknown } else { carried },
            exchange: text(exchange),
            routing_key: text(routing_key),
            first,
            left: None,
            frame: 0,
            span: None,
            tap: None,
            size: 0,
        };
        self.replace(direction, id, Some(content), Reason::Nonsense, out);
    }

    /// The message in transfer on a channel is over; whatever it was is dropped.
    pub(super) fn replace(
        &mut self,
        direction: Direction,
        id: u16,
        by: Option<Content>,
        reason: Reason,
        out: &mut Vec<Output>,
    ) {
        let Some(channel) = self.channel(id) else { return };
        let slot = match direction {
            Direction::Request => &mut channel.sending,
            Direction::Response => &mut channel.receiving,
        };
        if let Some(span) = std::mem::replace(slot, by).and_then(|content| content.span) {
            out.push(Output::Dropped { id: span.id, reason });
        }
    }

    /// The message in transfer on a channel.
    pub(super) fn content(&mut self, direction: Direction, id: u16) -> Option<&mut Content> {
        let channel = self.channels.get_mut(&id)?;
        match direction {
            Direction::Request => channel.sending.as_mut(),
            Direction::Response => channel.receiving.as_mut(),
        }
    }

    /// A content header was read.
    pub(super) fn header(&mut self, direction: Direction, id: u16, payload: &[u8], cut: bool, out: &mut Vec<Output>) {
        let Some(mut properties) = Properties::read(payload) else {
            return self.replace(direction, id, None, Reason::Nonsense, out);
        };
        properties.whole &= !cut;
        if self.content(direction, id).is_none_or(|content| content.left.is_some()) {
            // Whose it is was not seen. Its body is passed through all the same.
            let lane = self.lane(direction);
            let first = lane.first;
            self.begin(direction, id, Carried::Unknown, first, (b"", b""), out);
        }
        let (operation, span_id) = (self.lane(direction).operation, self.next_id);
        let Some(content) = self.content(direction, id) else { return };
        content.left = Some(properties.body_size);
        content.size = properties.body_size;
        let task = properties.task.clone().task();
        if let (Some(_), Carried::Deliver { manual: manual @ None, .. }) = (&task, &mut content.carried) {
            // Celery's workers settle what they take.
            *manual = Some(true);
        }
        let may_be_celery = task.is_none() && is_json(&properties) && !properties.correlation_id.is_empty();
        content.tap = may_be_celery.then(|| Tap::of(properties.correlation_id));
        if let Some((started, span, fact)) = start(content, span_id, operation, &properties, task.as_ref()) {
            content.span = Some(span);
            self.next_id += 1;
            out.push(Output::Started(started));
            tell(span_id, operation, fact, out);
        }
        if properties.body_size == 0 {
            self.body_frame_ended(direction, id, out);
        }
    }

    /// `len` bytes of a body passed; `seen` are those that were captured.
    pub(super) fn body(&mut self, direction: Direction, id: u16, len: u64, seen: &[u8]) {
        let (operation, size) = (self.lane(direction).operation, self.lane(direction).frame_size());
        let Some(content) = self.content(direction, id) else { return };
        let Some(left) = &mut content.left else { return };
        *left = left.saturating_sub(len);
        content.frame = content.frame.max(size);
        if let Some(tap) = &mut content.tap {
            tap.feed(seen, len);
        }
        if let Some(span) = &mut content.span {
            touch(span, &content.carried, operation);
        }
    }

    /// A body's frame, or a header without a body, ended: perhaps the message with it.
    pub(super) fn body_frame_ended(&mut self, direction: Direction, id: u16, out: &mut Vec<Output>) {
        let operation = self.lane(direction).operation;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let slot = match direction {
            Direction::Request => &mut channel.sending,
            Direction::Response => &mut channel.receiving,
        };
        let Some(mut content) = slot.take_if(|content| content.left == Some(0)) else { return };
        if let Carried::Return { code } = content.carried {
            return channel.published.returned(&content, code);
        }
        let Some(mut span) = content.span.take() else { return };
        touch(&mut span, &content.carried, operation);
        span.end = operation.time;
        if let Some(tap) = &content.tap {
            tell(span.id, operation, look_into(tap, &content.carried, &mut span), out);
        }
        let (ledger, tag, mandatory) = match content.carried {
            Carried::Publish { mandatory, tag: Some(tag) } => {
                let sent = mandatory.then_some((content.exchange, content.routing_key, content.size));
                (&mut channel.published, tag, sent)
            }
            Carried::Deliver { tag, manual: Some(true), .. } => (&mut channel.delivered, tag, None),
            _ => return out.push(Output::Finished(span)),
        };
        let is_delivery = direction == Direction::Response;
        match ledger.push(Waiting { tag, span, mandatory, returned: None }, &mut self.load) {
            None => {}
            Some(refused) if is_delivery => out.push(Output::Dropped { id: refused.span.id, reason: Reason::Refused }),
            Some(refused) => out.push(Output::Finished(refused.span)),
        }
    }

    fn get(&mut self, id: u16, marks: Marks, queue: &[u8]) {
        let Some(channel) = self.channel(id) else { return };
        channel.gets_overlap |= channel.get.is_some();
        let queue = named(queue, channel.queue.as_deref()).unwrap_or_default();
        let get = Get { first: marks.first, last: marks.last, queue };
        channel.get = (!channel.gets_overlap).then_some(get);
    }

    fn get_empty(&mut self, id: u16, response: Marks, out: &mut Vec<Output>) {
        let Some(get) = self.channel(id).and_then(|channel| channel.get.take()) else { return };
        let mut exchange = self.get_span(&get, out);
        exchange.attributes.push(attributes::no_message());
        (exchange.response, exchange.end) = (Some(response), response.last.time);
        out.push(Output::Finished(exchange));
    }

    /// Begins the span of a `basic.get` that brings no message.
    pub(super) fn get_span(&mut self, get: &Get, out: &mut Vec<Output>) -> Box<Exchange> {
        let destination = Destination { exchange: "", routing_key: "", queue: Some(&get.queue) };
        let (name, attributes) = attributes::message(Operation::Receive, &destination, None, None, None);
        let (id, request) = (self.next_id, Marks { first: get.first, last: get.last });
        self.next_id += 1;
        out.push(Output::Started(Started::call(id, request, SpanKind::Client, None, false)));
        Box::new(Exchange {
            id,
            name,
            request,
            response: None,
            end: 0,
            status: Status::Unset,
            attributes,
            events: Vec::new(),
        })
    }
}

/// What changes nothing but the channel.
fn noted(channel: &mut Channel, method: &Method<'_>) {
    match *method {
        Method::DeclareOk { queue } => channel.queue = named(queue, None),
        Method::Consume { queue, consumer, no_ack } => {
            let queue = named(queue, channel.queue.as_deref());
            channel.consume(consumer, queue, if no_ack { Mode::Automatic } else { Mode::Manual });
        }
        Method::ConsumeOk { consumer } => {
            // The tag that the broker chose for a consumer without one.
            if let Some(unnamed) = channel.consumers.iter_mut().find(|c| c.tag.is_empty()) {
                unnamed.tag = consumer.into();
            }
        }
        Method::ConfirmSelect if channel.confirms == Confirms::Off => channel.confirms = Confirms::On(1),
        _ => {}
    }
}

/// A queue's name; the one declared last, if it is empty.
fn named(queue: &[u8], last: Option<&str>) -> Option<Box<str>> {
    match queue {
        [] => last.map(Into::into),
        name => Some(String::from_utf8_lossy(name).into_owned().into()),
    }
}

/// The present operation moved bytes of a message.
fn touch(span: &mut Exchange, carried: &Carried, operation: Mark) {
    match (carried, &mut span.response) {
        (Carried::Got { .. }, Some(response)) => response.last = operation,
        _ => span.request.last = operation,
    }
}

/// Begins the span of a message whose header was read.
fn start(
    content: &Content,
    id: u64,
    operation: Mark,
    properties: &Properties<'_>,
    task: Option<&Task<'_>>,
) -> Option<(Started, Box<Exchange>, Option<TaskFact>)> {
    let here = Marks { first: content.first, last: operation };
    let (kind, what, tag, queue, request, response) = match &content.carried {
        Carried::Publish { .. } => (SpanKind::Producer, Operation::Publish, None, None, here, None),
        Carried::Deliver { tag, queue, .. } => {
            (SpanKind::Consumer, Operation::Process, Some(*tag), queue.as_deref(), here, None)
        }
        Carried::Got { tag, get } => {
            let request = Marks { first: get.first, last: get.last };
            (SpanKind::Client, Operation::Receive, Some(*tag), Some(&*get.queue), request, Some(here))
        }
        Carried::Return { .. } | Carried::Unknown => return None,
    };
    let destination = Destination { exchange: &content.exchange, routing_key: &content.routing_key, queue };
    let (name, attributes) = attributes::message(what, &destination, tag, Some(properties), task);
    let fact = task.and_then(|task| attributes::fact(what, &destination, task));
    let found = properties.carrier.context();
    let message = match found {
        Some(_) => None,
        None => attributes::key(&content.exchange, &content.routing_key, properties, task),
    };
    let denied = kind == SpanKind::Producer && found.is_none() && properties.carrier.denies_sampling();
    // A sender's span hangs below the context in the message; a receiver's is linked to it.
    let (context, links) = match kind {
        SpanKind::Producer => (found, Vec::new()),
        _ => (None, found.into_iter().collect()),
    };
    let span = Exchange { id, name, request, response, end: 0, status: Status::Unset, attributes, events: Vec::new() };
    let started = Started { links, message, ..Started::call(id, request, kind, context, denied) };
    Some((started, Box::new(span), fact))
}

/// Says of an exchange that is under way what it tells of a task's execution.
fn tell(exchange: u64, at: Mark, fact: Option<TaskFact>, out: &mut Vec<Output>) {
    out.extend(fact.map(|fact| Output::Task(Box::new(TaskEvent { exchange, at, fact }))));
}

/// Whether the body is JSON, as Celery's are by default.
fn is_json(properties: &Properties<'_>) -> bool {
    properties.content_type == b"application/json"
}

/// Looks for what Celery says in a body rather than in headers: tasks of message protocol 1, and results. Who sends a
/// result says how a task's execution stands.
fn look_into(tap: &Tap, carried: &Carried, span: &mut Exchange) -> Option<TaskFact> {
    let is_sent = matches!(carried, Carried::Publish { .. });
    if let Some(task) = celery::embedded(&tap.bytes) {
        let action = if is_sent { celery::Action::Publish } else { celery::Action::Receive };
        span.name = task.span_name(action);
        span.attributes.retain(|a| a.key != semconv::MESSAGING_MESSAGE_ID);
        task.attributes(action, &mut span.attributes);
        return None;
    }
    let outcome = celery::outcome(&tap.bytes)?;
    // That a task failed is no failure of the message that says so.
    outcome.attributes(&mut span.attributes);
    let other = outcome.task_id.as_deref().is_some_and(|id| id != &*tap.correlation);
    if is_sent && !other { outcome.fact(&tap.correlation) } else { None }
}
