//! The HTTP/1 parser, through its public face.

mod attributes;
mod captures;
mod detection;
mod ends;
mod framing;
mod gaps;
mod hostile;
mod properties;
mod replay;
mod rules;
mod wire;

use wirespan_protocols::http1::parser;
