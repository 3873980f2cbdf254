//! What exchanges take of memory, in bytes: for those who hold many and must know how much that is.
//!
//! Estimates, to within what an allocator adds: sizes of the structures, capacities of what they own, and
//! [`ALLOCATION`] for each piece.

use std::borrow::Cow;

use crate::context::TraceContext;
use crate::exchange::{Event, Exchange, KeyValue, Started, Status, TaskEvent, TaskFact, Value};

/// What a piece of memory takes beside its size, about.
pub const ALLOCATION: usize = 16;

/// A piece of `bytes`, if there is one at all.
pub fn piece(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes + ALLOCATION }
}

/// What a text owns.
#[expect(clippy::ptr_arg, reason = "a `&str` owns nothing")]
pub fn text(text: &Cow<'static, str>) -> usize {
    match text {
        Cow::Borrowed(_) => 0,
        Cow::Owned(text) => piece(text.capacity()),
    }
}

/// What a list of attributes owns, itself included.
pub fn attributes(attributes: &Vec<KeyValue>) -> usize {
    let owned: usize = attributes.iter().map(|a| text(&a.key) + value(&a.value)).sum();
    piece(attributes.capacity() * size_of::<KeyValue>()) + owned
}

/// What a list of trace contexts owns, itself included.
pub fn contexts(contexts: &Vec<TraceContext>) -> usize {
    let states: usize = contexts.iter().map(|c| piece(c.trace_state.len())).sum();
    piece(contexts.capacity() * size_of::<TraceContext>()) + states
}

/// What a status owns.
pub fn status(status: &Status) -> usize {
    match status {
        Status::Error(message) => text(message),
        Status::Unset | Status::Ok => 0,
    }
}

fn value(value: &Value) -> usize {
    match value {
        Value::Str(own) => text(own),
        Value::StrArray(all) => {
            piece(all.capacity() * size_of::<Cow<'static, str>>()) + all.iter().map(text).sum::<usize>()
        }
        Value::Bytes(bytes) => piece(bytes.capacity()),
        Value::List(all) => piece(all.capacity() * size_of::<Value>()) + all.iter().map(self::value).sum::<usize>(),
        Value::Map(all) => attributes(all),
        Value::Int(_) | Value::Bool(_) | Value::Double(_) | Value::Empty => 0,
    }
}

impl Started {
    /// What it owns, beside its own size.
    pub fn weight(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| piece(message.id.len()));
        let context = self.context.as_ref().map_or(0, |context| piece(context.trace_state.len()));
        context + contexts(&self.links) + message
    }
}

impl Event {
    /// All of it, with its own size.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + text(&self.name) + attributes(&self.attributes)
    }
}

impl Exchange {
    /// All of it, with its own size: exchanges are passed on boxed.
    pub fn weight(&self) -> usize {
        let events: usize = self.events.iter().map(|e| text(&e.name) + attributes(&e.attributes)).sum();
        let own = piece(size_of::<Self>()) + text(&self.name) + status(&self.status) + attributes(&self.attributes);
        own + piece(self.events.capacity() * size_of::<Event>()) + events
    }
}

impl TaskEvent {
    /// All of it, with its own size: such events are passed on boxed.
    pub fn weight(&self) -> usize {
        let owned = match &self.fact {
            TaskFact::Taken(task) => {
                size_of_val(&**task) + task.id.len() + text(&task.name) + attributes(&task.attributes)
            }
            TaskFact::Settled { tag } => piece(tag.len()),
            TaskFact::SentAgain { id, .. } => piece(id.len()),
            TaskFact::State(state) => {
                size_of_val(&**state)
                    + state.id.len()
                    + status(&state.status)
                    + attributes(&state.attributes)
                    + attributes(&state.exception)
            }
        };
        piece(size_of::<Self>()) + owned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Marks;

    fn exchange(name: Cow<'static, str>, attributes: Vec<KeyValue>) -> Exchange {
        let (request, status) = (Marks::default(), Status::Unset);
        Exchange { id: 1, name, request, response: None, end: 0, status, attributes, events: Vec::new() }
    }

    #[test]
    fn what_is_owned_counts_and_what_is_borrowed_does_not() {
        let bare = exchange("GET /".into(), Vec::new()).weight();
        assert!(bare >= size_of::<Exchange>());
        let named = exchange("x".repeat(1000).into(), Vec::new()).weight();
        assert!((1000..1100).contains(&(named - bare)), "{named} {bare}");
        let long = vec![KeyValue::str("url.path", "y".repeat(5000))];
        let more = exchange("GET /".into(), long).weight();
        assert!((5000..5200).contains(&(more - bare)), "{more} {bare}");
    }

    #[test]
    fn what_lies_in_lists_and_maps_counts() {
        let inner = vec![KeyValue::str("k", "z".repeat(700))];
        let list = Value::List(vec![Value::Map(inner), Value::Bytes(vec![0; 300])]);
        let all = vec![KeyValue { key: "list".into(), value: list }];
        assert!(attributes(&all) > 1000);
    }
}
