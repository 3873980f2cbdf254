//! Methods (AMQP 0-9-1 §1.3, §1.4 of the reference, with RabbitMQ's extensions): which there are, who sends them, and
//! the arguments of those that matter here.

use super::reader::Reader;
use crate::Direction;

/// Who sends a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Broker,
    Either,
}

impl Sender {
    pub(super) fn sends(self, direction: Direction) -> bool {
        match self {
            Sender::Either => true,
            Sender::Client => direction == Direction::Request,
            Sender::Broker => direction == Direction::Response,
        }
    }
}

/// A method that matters, with those of its arguments that do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Method<'a> {
    /// `connection.tune-ok`: the largest frame, 0 for any.
    TuneOk {
        frame_max: u32,
    },
    /// `connection.close`.
    ConnectionClose {
        code: u16,
    },
    ChannelOpen,
    /// `channel.close`.
    ChannelClose {
        code: u16,
    },
    ChannelCloseOk,
    /// `queue.declare-ok`.
    DeclareOk {
        queue: &'a [u8],
    },
    Consume {
        queue: &'a [u8],
        consumer: &'a [u8],
        no_ack: bool,
    },
    ConsumeOk {
        consumer: &'a [u8],
    },
    Publish {
        exchange: &'a [u8],
        routing_key: &'a [u8],
        mandatory: bool,
    },
    Return {
        code: u16,
        exchange: &'a [u8],
        routing_key: &'a [u8],
    },
    Deliver {
        consumer: &'a [u8],
        tag: u64,
        exchange: &'a [u8],
        routing_key: &'a [u8],
    },
    Get {
        queue: &'a [u8],
    },
    GetOk {
        tag: u64,
        exchange: &'a [u8],
        routing_key: &'a [u8],
    },
    GetEmpty,
    Ack {
        tag: u64,
        multiple: bool,
    },
    Nack {
        tag: u64,
        multiple: bool,
    },
    Reject {
        tag: u64,
    },
    /// `basic.recover` and its asynchronous form.
    Recover,
    /// `confirm.select`.
    ConfirmSelect,
    /// Any other.
    Other,
}

/// Class and method of a payload.
fn ids(payload: &[u8]) -> Option<(u16, u16)> {
    let mut reader = Reader::new(payload);
    Some((reader.u16()?, reader.u16()?))
}

/// Who sends the method of this payload, if there is such a method.
pub(super) fn sender(payload: &[u8]) -> Option<Sender> {
    use Sender::{Broker, Client, Either};
    let (class, method) = ids(payload)?;
    Some(match (class, method) {
        // connection
        (10, 10 | 20 | 30 | 41 | 60 | 61 | 71) => Broker,
        (10, 11 | 21 | 31 | 40 | 70) => Client,
        (10, 50 | 51) => Either,
        // channel
        (20, 10) => Client,
        (20, 11) => Broker,
        (20, 20 | 21 | 40 | 41) => Either,
        // exchange
        (40, 10 | 20 | 30 | 40) => Client,
        (40, 11 | 21 | 31 | 51) => Broker,
        // queue
        (50, 10 | 20 | 30 | 40 | 50) => Client,
        (50, 11 | 21 | 31 | 41 | 51) => Broker,
        // basic
        (60, 10 | 20 | 40 | 70 | 90 | 100 | 110) => Client,
        (60, 11 | 21 | 50 | 60 | 71 | 72 | 111) => Broker,
        (60, 30 | 31 | 80 | 120) => Either,
        // confirm, tx
        (85, 10) | (90, 10 | 20 | 30) => Client,
        (85, 11) | (90, 11 | 21 | 31) => Broker,
        _ => return None,
    })
}

/// Whether a payload, perhaps cut short, may be that of a method on this channel: the class `connection` is on channel
/// 0, and no other is.
pub(super) fn plausible(channel: u16, payload: &[u8]) -> bool {
    match payload {
        [] | [0] => true,
        [0, class] => matches!(class, 10 | 20 | 40 | 50 | 60 | 85 | 90),
        [0, _, 0] => true,
        _ => sender(payload).is_some() && (channel == 0) == (ids(payload).is_some_and(|(class, _)| class == 10)),
    }
}

/// Reads a method; `None` if its arguments are cut short or make no sense.
pub(super) fn decode(payload: &[u8]) -> Option<Method<'_>> {
    let mut reader = Reader::new(payload);
    let ids = (reader.u16()?, reader.u16()?);
    let r = &mut reader;
    Some(match ids {
        (10, 31) => {
            r.u16()?;
            Method::TuneOk { frame_max: r.u32()? }
        }
        (10, 50) => Method::ConnectionClose { code: r.u16()? },
        (20, 10) => Method::ChannelOpen,
        (20, 40) => Method::ChannelClose { code: r.u16()? },
        (20, 41) => Method::ChannelCloseOk,
        (50, 11) => Method::DeclareOk { queue: r.short()? },
        (60, 20) => {
            r.u16()?;
            let (queue, consumer, bits) = (r.short()?, r.short()?, r.u8()?);
            Method::Consume { queue, consumer, no_ack: bits & 2 != 0 }
        }
        (60, 21) => Method::ConsumeOk { consumer: r.short()? },
        (60, 40) => {
            r.u16()?;
            let (exchange, routing_key, bits) = (r.short()?, r.short()?, r.u8()?);
            Method::Publish { exchange, routing_key, mandatory: bits & 1 != 0 }
        }
        (60, 50) => {
            let (code, _text) = (r.u16()?, r.short()?);
            Method::Return { code, exchange: r.short()?, routing_key: r.short()? }
        }
        (60, 60) => {
            let (consumer, tag, _redelivered) = (r.short()?, r.u64()?, r.u8()?);
            Method::Deliver { consumer, tag, exchange: r.short()?, routing_key: r.short()? }
        }
        (60, 70) => {
            r.u16()?;
            Method::Get { queue: r.short()? }
        }
        (60, 71) => {
            let (tag, _redelivered) = (r.u64()?, r.u8()?);
            Method::GetOk { tag, exchange: r.short()?, routing_key: r.short()? }
        }
        (60, 72) => Method::GetEmpty,
        (60, 80) => Method::Ack { tag: r.u64()?, multiple: r.u8()? & 1 != 0 },
        (60, 90) => Method::Reject { tag: r.u64()? },
        (60, 100 | 110) => Method::Recover,
        (60, 120) => Method::Nack { tag: r.u64()?, multiple: r.u8()? & 1 != 0 },
        (85, 10) => Method::ConfirmSelect,
        _ => Method::Other,
    })
}

/// The specification's name of a reply code (§1.2 of the reference), which serves as `error.type`.
pub(super) fn code_name(code: u16) -> Option<&'static str> {
    Some(match code {
        311 => "content-too-large",
        312 => "no-route",
        313 => "no-consumers",
        320 => "connection-forced",
        402 => "invalid-path",
        403 => "access-refused",
        404 => "not-found",
        405 => "resource-locked",
        406 => "precondition-failed",
        501 => "frame-error",
        502 => "syntax-error",
        503 => "command-invalid",
        504 => "channel-error",
        505 => "unexpected-frame",
        506 => "resource-error",
        530 => "not-allowed",
        540 => "not-implemented",
        541 => "internal-error",
        _ => return None,
    })
}
