//! Every protocol, one line each.

use crate::{Detection, Parser, Settings, amqp, dns, http1, http2, memcached, mysql, postgresql, redis};

/// A protocol: how to recognise it and how to read it.
pub struct Protocol {
    /// Lower-case name, as in `docs/protocols.md`.
    pub name: &'static str,
    /// Whether one connection has several requests under way at once, in streams of their own. (Pipelined requests are
    /// answered one after the other.)
    pub streams: bool,
    /// Looks at the first bytes of one direction, whichever it is.
    pub detect: fn(&[u8]) -> Detection,
    /// A parser for one connection.
    pub parser: fn(Settings) -> Box<dyn Parser>,
}

/// All protocols over streams, in the order in which they are asked.
pub static PROTOCOLS: &[Protocol] = &[
    Protocol { name: "http", streams: false, detect: http1::detect, parser: http1::parser },
    Protocol { name: "http2", streams: true, detect: http2::detect, parser: http2::parser },
    Protocol { name: "postgresql", streams: false, detect: postgresql::detect, parser: postgresql::parser },
    Protocol { name: "mysql", streams: false, detect: mysql::detect, parser: mysql::parser },
    Protocol { name: "redis", streams: false, detect: redis::detect, parser: redis::parser },
    Protocol { name: "memcached", streams: false, detect: memcached::detect, parser: memcached::parser },
    Protocol { name: "amqp", streams: true, detect: amqp::detect, parser: amqp::parser },
];

/// All protocols over datagrams: each call of their parsers' [`Parser::data`] is one datagram, and nothing is known of
/// order or loss.
pub static DATAGRAM_PROTOCOLS: &[Protocol] =
    &[Protocol { name: "dns", streams: false, detect: dns::detect, parser: dns::parser }];
