//! Who sent which message: a receiver's span gets a span *link* to the sender's, never a place in its trace.
//!
//! A message can lie in its queue for hours, so what is known of a sender outlives its span. A key that two senders use
//! proves nothing of either.

use std::collections::VecDeque;

use rustc_hash::FxHashMap as HashMap;
use wirespan_protocols::exchange::MessageKey;

use super::live::SpanKey;
use wirespan_signals::Slim as _;

/// Keys remembered; the oldest go first, and their messages are received without a link.
const MAX_KEYS: usize = 32_768;
/// Their bytes, whatever else there is room for.
const MAX_BYTES: usize = 6 << 20;
/// What a key takes beside its letters: it is kept twice.
const KEY: usize = 2 * (size_of::<MessageKey>() + 24) + size_of::<Sender>();

/// The sender of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A span that has not been handed on.
    Live(SpanKey),
    /// A span that has: its trace and its id.
    Sent([u8; 16], [u8; 8]),
    /// Several used the key, or the span is not exported.
    Unknown,
}

/// All senders remembered.
#[derive(Debug)]
pub struct Messages {
    senders: HashMap<MessageKey, Sender>,
    order: VecDeque<MessageKey>,
    bytes: usize,
    max_bytes: usize,
}

fn weight(key: &MessageKey) -> usize {
    KEY + 2 * key.id.len()
}

impl Messages {
    /// None, in so many bytes at most.
    pub fn new(max_bytes: usize) -> Self {
        Self { senders: HashMap::default(), order: VecDeque::new(), bytes: 0, max_bytes: max_bytes.min(MAX_BYTES) }
    }

    /// Gives room back that is not needed.
    pub fn slim(&mut self) {
        self.senders.slim();
        self.order.slim();
    }

    /// A span sends a message.
    pub fn sends(&mut self, key: MessageKey, span: SpanKey) {
        if let Some(sender) = self.senders.get_mut(&key) {
            *sender = Sender::Unknown;
            return;
        }
        self.bytes += weight(&key);
        while (self.order.len() >= MAX_KEYS || self.bytes > self.max_bytes)
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= weight(&oldest);
            self.senders.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.senders.insert(key, Sender::Live(span));
    }

    /// A sender's span leaves: exported with these ids, or not at all.
    pub fn leaves(&mut self, key: &MessageKey, span: SpanKey, ids: Option<([u8; 16], [u8; 8])>) {
        if let Some(sender) = self.senders.get_mut(key).filter(|s| **s == Sender::Live(span)) {
            *sender = ids.map_or(Sender::Unknown, |(trace, span)| Sender::Sent(trace, span));
        }
    }

    /// Bytes of memory held, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who sent a message, if anybody here did.
    pub fn sender(&self, key: &MessageKey) -> Option<Sender> {
        self.senders.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    fn key(id: &str) -> MessageKey {
        MessageKey { system: "test", id: id.into() }
    }

    fn spans() -> [SpanKey; 2] {
        let mut map: SlotMap<SpanKey, ()> = SlotMap::with_key();
        [(); 2].map(|()| map.insert(()))
    }

    #[test]
    fn a_sender_is_known_after_its_span_left() {
        let [span, other] = spans();
        let mut messages = Messages::new(usize::MAX);
        messages.sends(key("a"), span);
        assert_eq!(messages.sender(&key("a")), Some(Sender::Live(span)));
        messages.leaves(&key("a"), other, Some(([9; 16], [9; 8])));
        messages.leaves(&key("a"), span, Some(([1; 16], [2; 8])));
        assert_eq!(messages.sender(&key("a")), Some(Sender::Sent([1; 16], [2; 8])));
        assert_eq!(messages.sender(&key("b")), None);
    }

    #[test]
    fn a_key_that_two_senders_use_names_neither() {
        let [first, second] = spans();
        let mut messages = Messages::new(usize::MAX);
        messages.sends(key("a"), first);
        messages.sends(key("a"), second);
        messages.leaves(&key("a"), second, Some(([1; 16], [2; 8])));
        assert_eq!(messages.sender(&key("a")), Some(Sender::Unknown));
    }

    #[test]
    fn long_keys_are_bounded_by_their_bytes() {
        let [span, _] = spans();
        let mut messages = Messages::new(usize::MAX);
        for n in 0..MAX_KEYS {
            messages.sends(key(&format!("{n:01000}")), span);
            assert!(messages.bytes() <= MAX_BYTES);
        }
        assert!(messages.senders.len() < MAX_KEYS / 8);
        assert_eq!(messages.sender(&key(&format!("{:01000}", MAX_KEYS - 1))), Some(Sender::Live(span)));
    }

    #[test]
    fn the_oldest_keys_give_way() {
        let [span, _] = spans();
        let mut messages = Messages::new(usize::MAX);
        for n in 0..=MAX_KEYS {
            messages.sends(key(&n.to_string()), span);
        }
        assert_eq!((messages.senders.len(), messages.order.len()), (MAX_KEYS, MAX_KEYS));
        assert_eq!(messages.sender(&key("0")), None);
    }
}
