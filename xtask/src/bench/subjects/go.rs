//! Go's `net/http`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Load, Subject};
use crate::bench::mark::mark;
use crate::bench::server::{Place, Server, get};
use crate::{services, shell};

pub const SUBJECT: Subject = Subject {
    key: "go",
    title: "Go, `net/http`",
    start,
    load: Load::Http,
    connections: 16,
    rate: Some(4_000.0),
    pinned: false,
    mark: None,
    spans: true,
    aim: None,
    short: false,
};

fn start() -> Result<Server> {
    let place = Place::new("go")?;
    let program = build(&place, include_str!("programs/main.go"))?;
    let mut command = Command::new(&program);
    command.arg(place.address.to_string());
    Server::start(command, place, |address| get(address, mark()).map(drop))
}

/// A program of one file.
pub fn build(place: &Place, source: &str) -> Result<PathBuf> {
    let source = place.write("main.go", source)?;
    let program = place.folder.join("server");
    let mut build = Command::new(services::go()?);
    build.arg("build").arg("-o").arg(&program).arg(&source).current_dir(&place.folder);
    // Another toolchain is never fetched, and what is compiled stays with our own results.
    build.env("GOTOOLCHAIN", "local").env("GOCACHE", services::folder()?.join("go-cache")).env("GOFLAGS", "");
    shell::run_aside(&mut build)?;
    Ok(program)
}
