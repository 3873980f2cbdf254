//! The HTTP/2 parser, through its public face.

mod bytes;
mod calls;
mod captures;
mod conformance;
mod detection;
mod gaps;
mod hpack;
mod late;
mod properties;
#[path = "../http1/replay.rs"]
mod replay;
mod streams;
mod upgrade;
mod web;
#[path = "../http1/wire.rs"]
mod wire;
mod work;

use wirespan_protocols::http2::parser;
