//! The HTTP/1 parser, through its public face.

mod attributes;
mod detection;
mod ends;
mod framing;
mod gaps;
mod hostile;
mod wire;
