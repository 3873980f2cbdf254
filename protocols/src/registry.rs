//! Every protocol, one line each.

use crate::pages::{self, Pages};
use crate::{
    Detection, Parser, Settings, amqp, dns, fastcgi, http1, http2, memcached, mysql, postgresql, redis, scgi, tls,
    uwsgi,
};

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
    /// Chapters of `docs/protocols.md` that together name every attribute of its spans ([`crate::pages`]).
    pub pages: Pages,
}

/// All protocols over streams, in the order in which they are asked.
#[rustfmt::skip] // one line each
pub static PROTOCOLS: &[Protocol] = &[
    Protocol { name: "http", streams: false, detect: http1::detect, parser: http1::parser, pages: pages::HTTP },
    Protocol { name: "http2", streams: true, detect: http2::detect, parser: http2::parser, pages: pages::HTTP },
    Protocol { name: "postgresql", streams: false, detect: postgresql::detect, parser: postgresql::parser, pages: pages::POSTGRESQL },
    Protocol { name: "mysql", streams: false, detect: mysql::detect, parser: mysql::parser, pages: pages::MYSQL },
    Protocol { name: "redis", streams: false, detect: redis::detect, parser: redis::parser, pages: pages::REDIS },
    Protocol { name: "memcached", streams: false, detect: memcached::detect, parser: memcached::parser, pages: pages::MEMCACHED },
    Protocol { name: "amqp", streams: true, detect: amqp::detect, parser: amqp::parser, pages: pages::AMQP },
    Protocol { name: "fastcgi", streams: false, detect: fastcgi::detect, parser: fastcgi::parser, pages: pages::FASTCGI },
    Protocol { name: "uwsgi", streams: false, detect: uwsgi::detect, parser: uwsgi::parser, pages: pages::UWSGI },
    Protocol { name: "scgi", streams: false, detect: scgi::detect, parser: scgi::parser, pages: pages::SCGI },
    Protocol { name: "tls", streams: false, detect: tls::detect, parser: tls::parser, pages: pages::TLS },
];

/// All protocols over datagrams: each call of their parsers' [`Parser::data`] is one datagram, and nothing is known of
/// order or loss.
#[rustfmt::skip] // one line each
pub static DATAGRAM_PROTOCOLS: &[Protocol] = &[
    Protocol { name: "dns", streams: false, detect: dns::detect, parser: dns::parser, pages: pages::DNS },
];
