//! Unary calls of gRPC: grpcio's server on asyncio, and grpcio's client with 32 calls under way on one connection.

use std::net::TcpStream;
use std::process::Command;

use anyhow::Result;

use super::{Load, Subject};
use crate::bench::mark::mark;
use crate::bench::server::{Place, Server};
use crate::services;

const CLIENT: &str = include_str!("programs/grpc_client.py");

pub const SUBJECT: Subject = Subject {
    key: "grpc",
    title: "gRPC, unary, grpcio on asyncio",
    start,
    load: Load::Grpc { streams: 32 },
    connections: 1,
    rate: None,
    pinned: true,
    mark: None,
    spans: true,
    aim: None,
    short: false,
};

fn start() -> Result<Server> {
    let place = Place::new("grpc")?;
    let file = place.write("server.py", include_str!("programs/grpc_server.py"))?;
    let mut command = super::pinned(services::python()?);
    command.arg(file).arg(place.address.to_string());
    Server::start(command, place, |address| Ok(TcpStream::connect(address).map(drop)?))
}

/// The client's command line: so many calls, on so many connections with so many streams each.
pub fn ask(command: &mut Command, server: &Server, calls: u64, connections: u32, streams: u32) {
    // The mark begins with the slash between service and method.
    command.args(["-c", CLIENT, &server.address.to_string(), &format!("/bench.v1.Echo{}", mark())]);
    command.args([calls.to_string(), connections.to_string(), streams.to_string()]);
}
