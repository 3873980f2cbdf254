//! The parsers of databases, through their public face.

mod captures;
mod detection;
mod redis;
mod wire;
