//! Every protocol, one line each.

use crate::{Detection, Parser, Settings, http1, memcached, mysql, otlp_grpc, postgresql, redis};

/// A protocol: how to recognise it and how to read it.
pub struct Protocol {
    /// Lower-case name, as in `docs/protocols.md`.
    pub name: &'static str,
    /// Looks at the first bytes of one direction, whichever it is.
    pub detect: fn(&[u8]) -> Detection,
    /// A parser for one connection.
    pub parser: fn(Settings) -> Box<dyn Parser>,
}

/// All protocols, in the order in which they are asked.
pub static PROTOCOLS: &[Protocol] = &[
    Protocol { name: "http", detect: http1::detect, parser: http1::parser },
    Protocol { name: "postgresql", detect: postgresql::detect, parser: postgresql::parser },
    Protocol { name: "mysql", detect: mysql::detect, parser: mysql::parser },
    Protocol { name: "redis", detect: redis::detect, parser: redis::parser },
    Protocol { name: "memcached", detect: memcached::detect, parser: memcached::parser },
];

/// Whether bytes from a client, of a connection whose protocol is not known, open an export of telemetry.
pub fn exports_telemetry(bytes: &[u8]) -> bool {
    otlp_grpc::is_otlp_grpc_export(bytes)
}
