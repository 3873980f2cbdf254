//! PostgreSQL, one row of 100 000 by its key (`pgbench -S`): a database that answers from memory, one process a connection.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Load, Subject};
use crate::bench::server::{Place, Server};
use crate::{services, shell};

pub const SUBJECT: Subject = Subject {
    key: "postgres",
    title: "PostgreSQL, pgbench -S",
    start,
    load: Load::Pgbench,
    connections: 4,
    // pgbench keeps a rate, but its figures of latency are no percentiles.
    rate: None,
    pinned: false,
    // `db.system.name`
    mark: Some("postgresql"),
    spans: true,
    aim: None,
    short: false,
};

/// `initdb`, `postgres`, `pgbench`.
pub fn program(name: &str) -> Result<std::path::PathBuf> {
    Ok(services::postgres_programs().context("postgresql is not installed")?.join(name))
}

fn start() -> Result<Server> {
    let place = place()?;
    let (data, port) = (place.folder.join("data"), place.address.port().to_string());
    let mut initdb = unprivileged(&program("initdb")?);
    initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]).arg("-D").arg(&data);
    shell::read(&mut initdb)?;
    let mut command = unprivileged(&program("postgres")?);
    command.arg("-D").arg(&data).args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    command.args(["-c", "autovacuum=off", "-c"]).arg(format!("unix_socket_directories={}", place.folder.display()));
    let server = Server::start(command, place, |address| {
        let mut ready = Command::new(program("pg_isready")?);
        shell::read(ready.args(["-q", "-h", "127.0.0.1", "-p", &address.port().to_string()])).map(drop)
    })?;
    let mut fill = Command::new(program("pgbench")?);
    shell::read(fill.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-i", "-q", "-s", "1", "postgres"]))?;
    Ok(server)
}

/// A folder that another user can reach, which need not be so of the target folder.
fn place() -> Result<Place> {
    let Place { folder, address } = Place::new("postgres")?;
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    let folder = std::env::temp_dir().join(format!("wirespan-bench-postgres-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).context("its permissions")?;
    Ok(Place { folder, address })
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    if !shell::is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"]).arg(program).current_dir("/");
    command
}
