//! The JDK's `HttpServer` with a fixed pool of threads.

use std::process::Command;

use anyhow::{Context, Result};

use super::{Load, Subject};
use crate::bench::mark::mark;
use crate::bench::server::{Place, Server, get};
use crate::{services, shell};

pub const SUBJECT: Subject = Subject {
    key: "java",
    title: "Java, `HttpServer`, fixed pool",
    start,
    load: Load::Http,
    connections: 16,
    rate: Some(2_000.0),
    pinned: false,
    mark: None,
    spans: true,
    aim: None,
    short: false,
};

fn start() -> Result<Server> {
    let place = Place::new("java")?;
    let source = place.write("Bench.java", include_str!("programs/Bench.java"))?;
    let javac = services::find("javac").context("javac is not installed")?;
    shell::run_aside(Command::new(javac).arg("-d").arg(&place.folder).arg(source))?;
    let mut command = Command::new(services::find("java").context("java is not installed")?);
    // Its head and its body are two writes: without this, Nagle's algorithm holds the second back for 40 ms.
    command
        .args(["-Xmx256m", "-Dsun.net.httpserver.nodelay=true", "-cp"])
        .arg(&place.folder)
        .arg("Bench")
        .arg(place.address.port().to_string());
    Server::start(command, place, |address| get(address, mark()).map(drop))
}
