//! What a server read of one call in several pieces is one span.
//!
//! Servers of Redis and memcached read as much as their buffer holds, wherever that ends, and answer what is whole in it: a pipeline of
//! two thousand commands is seven reads. At the server's end alone nobody can tell whether the next read belongs to the same call.
//! The caller's end can: each command of its batch was announced, so each piece was joined to one of them.

use wirespan_protocols::exchange::{Event, Exchange, KeyValue, Status, UNKNOWN, Value};
use wirespan_protocols::{BATCH_FAILURE, BATCH_INDEX};

use super::live::{Parent, SpanKey, Spans};

/// How many there are, of what is many.
pub const BATCH_SIZE: &str = "db.operation.batch.size";
/// Protocols whose servers read ahead.
const READ_AHEAD: [&str; 2] = ["redis", "memcached"];
/// What both ends say of a call in the same words.
const WORDS: [&str; 2] = ["db.operation.name", "db.query.text"];
/// What says that it failed.
const ERRORS: [&str; 2] = ["db.response.status_code", "error.type"];
/// How many commands one read carried.
const READ: &str = "wirespan.pipeline.size";

/// How many calls an exchange stands for, if it is many.
pub fn size(exchange: &Exchange) -> Option<i64> {
    match value(exchange, BATCH_SIZE)? {
        Value::Int(size) => Some(*size),
        _ => None,
    }
}

fn value<'e>(exchange: &'e Exchange, key: &str) -> Option<&'e Value> {
    exchange.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
}

/// Makes one of the pieces among the members of a trace that belong to one call each. Their order is that of their beginnings, below
/// the same parents.
pub fn put_together(spans: &mut Spans, members: &[SpanKey]) {
    let mut pieces: Vec<(SpanKey, SpanKey)> =
        members.iter().filter_map(|piece| Some((batch_above(spans, *piece)?, *piece))).collect();
    if pieces.len() < 2 {
        return;
    }
    // (Those of one call stay in their order.)
    pieces.sort_by_key(|(batch, piece)| (*batch, spans[*piece].request.first.time));
    for of_one in pieces.chunk_by(|(one, _), (other, _)| one == other).filter(|of_one| of_one.len() > 1) {
        let (batch, first) = of_one[0];
        let connection = spans[first].key.connection;
        if of_one.iter().any(|(_, piece)| spans[*piece].key.connection != connection) {
            continue;
        }
        let mut whole = Whole::default();
        for (_, piece) in of_one {
            whole.take(spans[*piece].exchange.take());
            if *piece != first {
                spans[*piece].dropped = true;
                spans[*piece].batch = Some(first);
            }
        }
        let words = spans[batch].exchange.as_deref().map(|call| whole.speaks_as(call));
        spans[first].exchange = words.and(whole.exchange);
        spans[first].parent = Parent::Live(batch);
    }
}

/// The caller's batch that a server's span is a piece of.
fn batch_above(spans: &Spans, piece: SpanKey) -> Option<SpanKey> {
    let span = &spans[piece];
    if !span.joined || !span.is_callee() || span.exchange.is_none() || !READ_AHEAD.contains(&span.protocol) {
        return None;
    }
    let Parent::Live(mut above) = span.parent else { return None };
    while spans.get(above)?.dropped {
        above = spans[above].batch?;
    }
    let batch = &spans[above];
    let call = batch.exchange.as_deref().filter(|call| size(call).is_some() && value(call, UNKNOWN).is_none())?;
    (batch.group == span.group && !call.attributes.is_empty()).then_some(above)
}

/// Pieces that are put together.
#[derive(Default)]
struct Whole {
    exchange: Option<Box<Exchange>>,
    size: i64,
}

impl Whole {
    /// One more piece.
    fn take(&mut self, piece: Option<Box<Exchange>>) {
        let Some(mut piece) = piece else { return };
        let before = self.size;
        let alone = size(&piece).is_none();
        self.size += size(&piece).unwrap_or(1);
        if alone && piece.status != Status::Unset {
            piece.events.push(failure(&piece));
        }
        piece.events.iter_mut().for_each(|event| shift(event, before));
        let Some(whole) = &mut self.exchange else {
            self.exchange = Some(piece);
            return;
        };
        whole.end = whole.end.max(piece.end);
        if let (Some(response), Some(last)) = (&mut whole.response, piece.response) {
            response.last = last.last;
        }
        whole.events.append(&mut piece.events);
        if whole.status == Status::Unset && piece.status != Status::Unset {
            whole.status = piece.status;
            whole.attributes.extend(piece.attributes.into_iter().filter(|a| ERRORS.contains(&&*a.key)));
        }
    }

    /// It is the other end of this call.
    fn speaks_as(&mut self, call: &Exchange) {
        let Some(whole) = &mut self.exchange else { return };
        whole.name = call.name.clone();
        whole.attributes.retain(|a| a.key != BATCH_SIZE && a.key != READ && !WORDS.contains(&&*a.key));
        whole.attributes.extend(call.attributes.iter().filter(|a| WORDS.contains(&&*a.key)).cloned());
        whole.attributes.push(KeyValue { key: BATCH_SIZE.into(), value: Value::Int(self.size) });
    }
}

/// What a batch says of a command in it that failed.
fn failure(alone: &Exchange) -> Event {
    let mut attributes = vec![KeyValue::int(BATCH_INDEX, 0)];
    attributes.extend(alone.attributes.iter().filter(|a| ERRORS.contains(&&*a.key)).cloned());
    Event { time: alone.end, name: BATCH_FAILURE.into(), attributes }
}

/// So many commands come before.
fn shift(event: &mut Event, before: i64) {
    if event.name != BATCH_FAILURE {
        return;
    }
    for attribute in event.attributes.iter_mut().filter(|a| a.key == BATCH_INDEX) {
        if let Value::Int(index) = &mut attribute.value {
            *index += before;
        }
    }
}
