//! Every protocol, one line each.

use crate::{Detection, Parser, Settings, amqp, dns, http1, http2, memcached, mysql, postgresql, redis};

/// A protocol: how to recognise it and how to read it.
pub struct Protocol {
    /// Lower-case name, as in `docs/protocols.md`.
    pub name: &'static str,
    /// Looks at the first bytes of one direction, whichever it is.
    pub detect: fn(&[u8]) -> Detection,
    /// A parser for one connection.
    pub parser: fn(Settings) -> Box<dyn Parser>,
}

/// All protocols over streams, in the order in which they are asked.
pub static PROTOCOLS: &[Protocol] = &[
    Protocol { name: "http", detect: http1::detect, parser: http1::parser },
    Protocol { name: "http2", detect: http2::detect, parser: http2::parser },
    Protocol { name: "postgresql", detect: postgresql::detect, parser: postgresql::parser },
    Protocol { name: "mysql", detect: mysql::detect, parser: mysql::parser },
    Protocol { name: "redis", detect: redis::detect, parser: redis::parser },
    Protocol { name: "memcached", detect: memcached::detect, parser: memcached::parser },
    Protocol { name: "amqp", detect: amqp::detect, parser: amqp::parser },
];

/// All protocols over datagrams: each call of their parsers' [`Parser::data`] is one datagram, and nothing is known of
/// order or loss.
pub static DATAGRAM_PROTOCOLS: &[Protocol] = &[Protocol { name: "dns", detect: dns::detect, parser: dns::parser }];
