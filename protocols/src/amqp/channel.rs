//! What a channel holds: who consumes, which content is in transfer, what waits to be settled.

use std::collections::VecDeque;

use crate::exchange::{Exchange, KeyValue, Mark, Value};

/// Most messages of a connection that wait to be settled.
const MAX_WAITING: usize = 1024;
/// Most memory that they may hold together, bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Most bytes of a body that are looked at for a task or a result.
const MAX_TAP: usize = 2048;
/// Most consumers of a channel whose mode is remembered.
const MAX_CONSUMERS: usize = 256;
/// Most tags of a consumer of unknown mode that are remembered.
const MAX_TAGS: usize = 32;

/// Who settles what a consumer is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The consumer.
    Manual,
    /// Nobody: what is sent is settled (`no-ack`).
    Automatic,
    /// Its beginning was not seen. If one of these tags, which it was given last, is settled, it is manual.
    Unknown(VecDeque<u64>),
}

/// A consumer.
#[derive(Debug)]
pub(super) struct Consumer {
    /// Its tag, empty until the broker chooses one.
    pub tag: Box<[u8]>,
    pub queue: Option<Box<str>>,
    pub mode: Mode,
}

/// Whether and how the broker confirms what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirms {
    Off,
    /// The next message's number.
    On(u64),
    /// It may, but the numbers are not known.
    Unknown,
}

/// What a content belongs to.
#[derive(Debug)]
pub(super) enum Carried {
    Publish {
        mandatory: bool,
        tag: Option<u64>,
    },
    Return {
        code: u16,
    },
    Deliver {
        tag: u64,
        /// Whether the consumer settles it, if that is known.
        manual: Option<bool>,
        queue: Option<Box<str>>,
    },
    Got {
        tag: u64,
        get: Get,
    },
    /// A method that was not seen.
    Unknown,
}

/// The first bytes of a body.
#[derive(Debug, Default)]
pub(super) struct Tap {
    pub bytes: Vec<u8>,
    /// `correlation-id`: of a result, the task's id.
    pub correlation: Box<str>,
    /// What follows is not their continuation, or not wanted.
    closed: bool,
}

impl Tap {
    /// Of a message with this `correlation-id`.
    pub(super) fn of(correlation: &[u8]) -> Self {
        Self { correlation: String::from_utf8_lossy(correlation).into(), ..Self::default() }
    }

    /// Adds what was seen of the next `len` bytes.
    pub(super) fn feed(&mut self, seen: &[u8], len: u64) {
        if self.closed {
            return;
        }
        let taken = seen.len().min(MAX_TAP - self.bytes.len());
        self.bytes.extend_from_slice(&seen[..taken]);
        self.closed = taken as u64 != len;
    }
}

/// A message in transfer.
#[derive(Debug)]
pub(super) struct Content {
    pub carried: Carried,
    pub exchange: Box<str>,
    pub routing_key: Box<str>,
    pub first: Mark,
    /// Bytes of the body that are yet to come, once the header was seen.
    pub left: Option<u64>,
    /// Size of its largest body frame.
    pub frame: u32,
    /// What becomes of it, once its header was seen.
    pub span: Option<Box<Exchange>>,
    /// The first bytes of a body that may be Celery's.
    pub tap: Option<Tap>,
    /// Size of its body, together with where it was sent: what a return is recognised by.
    pub size: u64,
}

/// A `basic.get` without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Get {
    pub first: Mark,
    pub last: Mark,
    pub queue: Box<str>,
}

/// A message that waits to be settled.
#[derive(Debug)]
pub(super) struct Waiting {
    pub tag: u64,
    pub span: Box<Exchange>,
    /// Where it was sent and its size, if it may be returned.
    pub mandatory: Option<(Box<str>, Box<str>, u64)>,
    /// Code with which it was returned.
    pub returned: Option<u16>,
}

impl Waiting {
    /// Bytes that it holds, about.
    fn weight(&self) -> usize {
        let text = |a: &KeyValue| if let Value::Str(text) = &a.value { text.len() } else { 0 };
        let attributes = &self.span.attributes;
        size_of::<Self>()
            + size_of::<Exchange>()
            + attributes.capacity() * size_of::<KeyValue>()
            + attributes.iter().map(text).sum::<usize>()
    }
}

/// What all channels of a connection hold together.
#[derive(Debug, Default)]
pub(super) struct Load {
    count: usize,
    pub bytes: usize,
}

/// Messages that wait to be settled, by ascending tag.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    list: VecDeque<Waiting>,
}

impl Ledger {
    /// Takes a message in; gives it back if there are too many.
    pub(super) fn push(&mut self, waiting: Waiting, load: &mut Load) -> Option<Waiting> {
        let weight = waiting.weight();
        let ascending = self.list.back().is_none_or(|last| last.tag < waiting.tag);
        if !ascending || load.count >= MAX_WAITING || load.bytes + weight > MAX_BYTES {
            return Some(waiting);
        }
        load.count += 1;
        load.bytes += weight;
        self.list.push_back(waiting);
        None
    }

    fn removed(load: &mut Load, waiting: &Waiting) {
        load.count -= 1;
        load.bytes -= waiting.weight();
    }

    /// Takes out the message of this tag, or all up to it (all, if it is 0: AMQP 0-9-1 reference, basic.ack).
    pub(super) fn take(&mut self, tag: u64, multiple: bool, load: &mut Load) -> Vec<Waiting> {
        let taken: Vec<_> = if multiple {
            let len = if tag == 0 { self.list.len() } else { self.list.partition_point(|w| w.tag <= tag) };
            self.list.drain(..len).collect()
        } else {
            let found = self.list.binary_search_by_key(&tag, |w| w.tag).ok();
            found.and_then(|at| self.list.remove(at)).into_iter().collect()
        };
        taken.iter().for_each(|waiting| Self::removed(load, waiting));
        if self.list.is_empty() {
            self.list = VecDeque::new();
        }
        taken
    }

    /// Takes out all.
    pub(super) fn clear(&mut self, load: &mut Load) -> Vec<Waiting> {
        self.take(0, true, load)
    }

    /// Marks the oldest message that fits as returned.
    pub(super) fn returned(&mut self, content: &Content, code: u16) {
        let fits = |w: &&mut Waiting| {
            w.returned.is_none()
                && w.mandatory.as_ref().is_some_and(|(exchange, key, size)| {
                    (exchange, key, *size) == (&content.exchange, &content.routing_key, content.size)
                })
        };
        if let Some(waiting) = self.list.iter_mut().find(fits) {
            waiting.returned = Some(code);
        }
    }
}

/// One channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub consumers: Vec<Consumer>,
    /// The queue declared last: what an empty name stands for (AMQP 0-9-1 reference, basic.consume).
    pub queue: Option<Box<str>>,
    pub confirms: Confirms,
    /// Published, to be confirmed.
    pub published: Ledger,
    /// Delivered, to be acknowledged.
    pub delivered: Ledger,
    pub get: Option<Get>,
    /// A second `basic.get` came before the answer to the first: which answer is whose is not certain any more.
    pub gets_overlap: bool,
    pub sending: Option<Content>,
    pub receiving: Option<Content>,
    /// One side closed it: until the other agrees, what it still sends is for nobody.
    pub closing: bool,
}

impl Channel {
    pub(super) fn new(confirms: Confirms) -> Self {
        Self {
            consumers: Vec::new(),
            queue: None,
            confirms,
            published: Ledger::default(),
            delivered: Ledger::default(),
            get: None,
            gets_overlap: false,
            sending: None,
            receiving: None,
            closing: false,
        }
    }

    /// Notes a consumer.
    pub(super) fn consume(&mut self, tag: &[u8], queue: Option<Box<str>>, mode: Mode) {
        self.consumers.retain(|c| c.tag.as_ref() != tag);
        if self.consumers.len() < MAX_CONSUMERS {
            self.consumers.push(Consumer { tag: tag.into(), queue, mode });
        }
    }

    /// The consumer that is given a message of this tag, and whether it is to settle it, if that is known.
    pub(super) fn deliver(&mut self, consumer: &[u8], tag: u64) -> (Option<bool>, Option<Box<str>>) {
        let found = self.consumers.iter_mut().find(|c| c.tag.as_ref() == consumer);
        let Some(found) = found else {
            self.consume(consumer, None, Mode::Unknown([tag].into()));
            return (None, None);
        };
        let manual = match &mut found.mode {
            Mode::Manual => Some(true),
            Mode::Automatic => Some(false),
            Mode::Unknown(tags) => {
                if tags.len() == MAX_TAGS {
                    tags.pop_front();
                }
                tags.push_back(tag);
                None
            }
        };
        (manual, found.queue.clone())
    }

    /// A tag was settled: that proves who settles.
    pub(super) fn settles(&mut self, tag: u64) {
        for consumer in &mut self.consumers {
            if matches!(&consumer.mode, Mode::Unknown(tags) if tags.contains(&tag)) {
                consumer.mode = Mode::Manual;
            }
        }
    }
}
