//! nginx in HTTP/2, asked by h2load on a hundred streams at once.

use std::net::TcpStream;

use anyhow::Result;

use super::{Load, Subject, nginx};
use crate::bench::server::{Place, Server};

pub const SUBJECT: Subject = Subject {
    key: "http2",
    title: "nginx, HTTP/2, 100 streams on a connection",
    start,
    load: Load::Http2 { streams: 100 },
    connections: 2,
    // One request at a time would say nothing of streams.
    rate: None,
    pinned: true,
    mark: None,
    spans: true,
    aim: None,
    short: false,
};

fn start() -> Result<Server> {
    let place = Place::new("http2")?;
    let listen = format!("listen {} http2; http2_max_concurrent_streams 128;", place.address);
    // nginx 1.22 refuses HTTP/1 on such a port, so that it listens must do.
    nginx::serve(place, &listen, 63, |address| Ok(TcpStream::connect(address).map(drop)?))
}
