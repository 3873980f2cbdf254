//! Redis, a key of 63 bytes: what traffic costs that is little work for its server, one command in a write, and sixteen.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Load, Subject};
use crate::bench::mark::mark;
use crate::bench::server::{Place, Server};
use crate::services;

pub const SUBJECT: Subject = Subject {
    key: "redis",
    title: "Redis, GET",
    start,
    load: Load::Redis { pipeline: 1 },
    connections: 16,
    rate: Some(5_000.0),
    pinned: true,
    // `db.system.name`: a key may well be left out of a span.
    mark: Some("redis"),
    spans: true,
    aim: None,
    short: true,
};

pub const PIPELINED: Subject = Subject {
    key: "redis_pipelined",
    title: "Redis, GET, 16 in a write",
    load: Load::Redis { pipeline: 16 },
    // One command at a time would be the same as above.
    rate: None,
    short: false,
    ..SUBJECT
};

fn start() -> Result<Server> {
    let place = Place::new("redis")?;
    let mut command = super::pinned(services::find("redis-server").context("redis-server is not installed")?);
    let port = place.address.port().to_string();
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port]);
    command.arg("--dir").arg(&place.folder);
    Server::start(command, place, fill)
}

/// Sets the key that is asked for.
fn fill(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let key = mark();
    write!(stream, "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$63\r\n{}\r\n", key.len(), "x".repeat(63))?;
    let mut response = [0; 5];
    stream.read_exact(&mut response)?;
    ensure!(&response == b"+OK\r\n", "Redis answers {}", String::from_utf8_lossy(&response));
    Ok(())
}
