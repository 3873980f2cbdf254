//! What passes inside a session of TLS on a connection: a stream in each direction, with positions of its own, and a reader of
//! its own. Parsers, joins, units and muting see this one; of the wire below it only the ends and the hellos matter.

use std::num::NonZeroU32;
use std::ops::Range;

use wirespan_common::{EGRESS, PlainEvent, TIE_CALLED};
use wirespan_links::Signal;
use wirespan_protocols::End;
use wirespan_protocols::exchange::{Mark, Unit};

use super::emit::Origin;
use super::order::{Operation, Order};
use super::reading::{Context, Feed, Reading};
use super::sessions::SessionKey;
use super::unit_at;

/// One session's plaintext.
pub struct Layer {
    /// Which session.
    pub key: SessionKey,
    /// Who reads it.
    pub reading: Reading,
    order: Order,
}

impl Layer {
    /// Nothing was read yet.
    pub fn new(key: SessionKey, origin: Origin, now: u64) -> Self {
        Self { key, reading: Reading::new(origin, now), order: Order::new(true) }
    }

    /// It is known by now, if it is, that all of it was seen.
    pub fn is_whole(&mut self, whole: bool) {
        if let Some(inside) = &mut self.reading.origin.inside {
            inside.whole |= whole;
        }
    }

    /// Plaintext passed, of which `bytes` were captured.
    pub fn take_in(&mut self, event: &PlainEvent, bytes: &[u8], cx: &mut Context<'_>) {
        let PlainEvent { direction, time, tx, rx, .. } = *event;
        let unit = Unit { ran: event.ran, queued: event.queued, ..unit_at(&event.unit, event.flags) };
        let (end, opposite) = if direction == EGRESS { (tx, rx) } else { (rx, tx) };
        let wire = NonZeroU32::new(event.wire).filter(|_| event.tie == TIE_CALLED);
        let operation = Operation { direction, bytes, len: u64::from(event.len), end, opposite, time, unit, wire };
        self.reading.last_seen = time;
        self.order.operation(operation, &mut Feed { reading: &mut self.reading, cx });
    }

    /// The direction ended, or both did by a reset.
    pub fn end(&mut self, direction: u8, end: End, time: u64, unit: Unit, cx: &mut Context<'_>) {
        if self.order.end(direction, &mut Feed { reading: &mut self.reading, cx }) {
            let (position, opposite) = (self.order.next(direction), self.order.next(1 - direction));
            self.reading.end(direction, end, &Mark { time, position, opposite, unit, lost: false, wire: None }, cx);
        }
    }

    /// Hands on what was held and whose turn has come, or whose wait has been long enough.
    pub fn release(&mut self, now: u64, cx: &mut Context<'_>) {
        self.order.release(now, &mut Feed { reading: &mut self.reading, cx });
    }

    /// Whether anything waits for its turn.
    pub fn is_holding(&self) -> bool {
        self.order.is_holding()
    }

    /// Tells the names of requests that began in `began` and have no end yet.
    pub fn under_way(&self, began: &Range<u64>, out: &mut Vec<Signal>) {
        self.reading.under_way(began, out);
    }

    /// Bytes of memory that it takes, itself and its parser included.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.reading.bytes() + self.order.held_bytes()
    }
}
