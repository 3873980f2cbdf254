//! Node's own `http` server.

use anyhow::{Context, Result};

use super::{Load, Subject};
use crate::bench::mark::mark;
use crate::bench::server::{Place, Server, get};
use crate::services;

pub const SUBJECT: Subject = Subject {
    key: "node",
    title: "Node, `http`",
    start,
    load: Load::Http,
    connections: 16,
    rate: Some(2_000.0),
    pinned: true,
    mark: None,
    spans: true,
    aim: None,
    short: false,
};

fn start() -> Result<Server> {
    let place = Place::new("node")?;
    let file = place.write("server.js", include_str!("programs/server.js"))?;
    let mut command = super::pinned(services::find("node").context("node is not installed")?);
    command.arg(file).arg(place.address.port().to_string());
    Server::start(command, place, |address| get(address, mark()).map(drop))
}
