//! Flask under gunicorn: two processes of four threads.

use std::process::Command;

use anyhow::Result;

use super::{Load, Subject};
use crate::bench::mark::mark;
use crate::bench::server::{Place, Server, get};
use crate::services;

pub const SUBJECT: Subject = Subject {
    key: "flask",
    title: "Flask under gunicorn",
    start,
    load: Load::Http,
    connections: 8,
    rate: Some(400.0),
    pinned: false,
    mark: None,
    spans: true,
    aim: Some(0.98),
    short: false,
};

fn start() -> Result<Server> {
    let place = Place::new("flask")?;
    place.write("app.py", include_str!("programs/app.py"))?;
    let mut command = Command::new(services::python()?);
    command.args(["-m", "gunicorn", "--workers", "2", "--threads", "4", "--keep-alive", "60", "--log-level", "error"]);
    command.arg("--bind").arg(place.address.to_string()).arg("app:app").current_dir(&place.folder);
    Server::start(command, place, |address| get(address, mark()).map(drop))
}
