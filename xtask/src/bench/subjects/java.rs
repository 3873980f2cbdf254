//! The JDK's `HttpServer` with a fixed pool of threads.

use std::process::Command;

use anyhow::{Context, Result};

use super::{Load, Subject};
use crate::bench::server::{Place, Server, get};
use crate::bench::sink::MARK;
use crate::{services, shell};

pub const SUBJECT: Subject = Subject {
    key: "java",
    title: "Java, `HttpServer`, fixed pool",
    start,
    load: Load::Http,
    connections: 16,
    rate: Some(2_000.0),
    pinned: false,
    mark: MARK,
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
    command.args(["-Xmx256m", "-cp"]).arg(&place.folder).arg("Bench").arg(place.address.port().to_string());
    Server::start(command, place, |address| get(address, MARK).map(drop))
}
