//! PostgreSQL: `pg_isready`, pgbench in its three protocols, and whether the books balance afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use wirespan_tests::program::Program;
use wirespan_tests::wait;

use crate::harmless::check::{Outcome, Run, Selection, World};
use crate::harmless::process;

const LIMIT: Duration = Duration::from_secs(120);
/// Every transaction of pgbench writes one line of history, and the same amount to three tables.
const BOOKS: &str = "select count(*), sum(delta) = (select sum(abalance) from pgbench_accounts),
 sum(delta) = (select sum(bbalance) from pgbench_branches), sum(delta) = (select sum(tbalance) from pgbench_tellers) from pgbench_history";
/// A result of some megabytes whose every byte is known.
const LARGE: &str = "select md5(n::text), repeat(n::text, 20) from generate_series(1, 50000) n order by n";

/// A fresh database, work, and the books.
pub fn run(world: &World, _selection: &Selection) -> Result<Run> {
    let database = Database::start(world)?;
    let mut outcome = Outcome::new();
    for (way, host) in [("TCP", "127.0.0.1".to_owned()), ("Unix socket", database.home.display().to_string())] {
        let port = database.port.to_string();
        let mut say = |test: &str, program: &str, arguments: &[&str]| -> Result<()> {
            let mut command = database.command(program);
            command.args(["-h", &host, "-p", &port]).args(arguments);
            let ended = process::run(&mut command, &database.home.join("client.log"), LIMIT)?;
            let status = ended.status.map_or("out of time".to_owned(), |status| status.to_string());
            outcome.insert(format!("{way}: {test}"), format!("{}\n{status}", steady(&ended.text, &host, &port)));
            Ok(())
        };
        say("pg_isready", "pg_isready", &[])?;
        say("initialise", "pgbench", &["-i", "-q", "-s", "1", "postgres"])?;
        for protocol in ["simple", "extended", "prepared"] {
            let test = format!("pgbench {protocol}");
            say(&test, "pgbench", &["-n", "-c", "4", "-j", "2", "-t", "250", "-M", protocol, "postgres"])?;
        }
        say("a connection each", "pgbench", &["-n", "-C", "-c", "2", "-t", "50", "postgres"])?;
        say("the books", "psql", &["-X", "-At", "-c", BOOKS, "postgres"])?;
        say("a large result", "psql", &["-X", "-At", "-c", LARGE, "postgres"])?;
        say(
            "copy in and out",
            "psql",
            &["-X", "-At", "-c", COPY[0], "-c", COPY[1], "-c", COPY[2], "-c", COPY[3], "postgres"],
        )?;
    }
    Ok(Run { outcome, sound: Some("exit status: 0"), ..Run::default() })
}

/// A table through a program and back; the rows that are not in both are counted.
const COPY: [&str; 4] = [
    "create temp table a as select n, md5(n::text) m from generate_series(1, 30000) n; create temp table b (like a)",
    "\\copy a to program 'gzip -1 > copied.gz'",
    "\\copy b from program 'gzip -dc copied.gz'",
    "select count(*), (select count(*) from (table a except table b) x) from b",
];

/// What does not vary: no times, no rates; a long text as its hash.
fn steady(text: &str, host: &str, port: &str) -> String {
    let varies = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["tps =", "latency", "time =", "done in", "dropping", "pgbench (", "vacuuming", "notice:", " tuples ("]
            .iter()
            .any(|word| line.contains(word))
    };
    if text.len() > 10_000 {
        return format!("{} bytes, hash {:016x}", text.len(), fnv(text.as_bytes()));
    }
    text.lines()
        .filter(|line| !varies(line))
        .map(|line| line.replace(host, "HOST").replace(port, "PORT") + "\n")
        .collect()
}

/// FNV-1a, 64 bits (RFC 9923).
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// A cluster of its own, run by the user `postgres`, since PostgreSQL refuses root.
struct Database {
    home: PathBuf,
    bin: PathBuf,
    port: u16,
    _program: Program,
}

impl Database {
    fn start(world: &World) -> Result<Self> {
        let home = world.folder("postgres")?;
        let bin = newest(Path::new("/usr/lib/postgresql"))?.join("bin");
        let port = wait::free_port();
        let log = home.join("initdb.log");
        process::run(Command::new("chown").arg("postgres").arg(&home), &log, LIMIT)?.well("chown")?;
        let data = home.join("data");
        if data.exists() {
            fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
        }
        let mut init = as_postgres(&bin.join("initdb"), &home);
        process::run(init.args(["-A", "trust", "-N", "-D"]).arg(&data), &log, LIMIT)?.well("initdb")?;
        let mut command = as_postgres(&bin.join("postgres"), &home);
        command.arg("-D").arg(&data).arg("-k").arg(&home).args(["-p", &port.to_string(), "-c", "fsync=off"]);
        command.args(["-c", "autovacuum=off", "-c", "listen_addresses=127.0.0.1"]);
        let started = Program::start("postgres", &home, &mut command);
        let program = started.ready("accept connections", |_| {
            let mut ask = Command::new(bin.join("pg_isready"));
            ask.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().is_ok_and(|status| status.success())
        });
        Ok(Self { home, bin, port, _program: program })
    }

    fn command(&self, program: &str) -> Command {
        as_postgres(&self.bin.join(program), &self.home)
    }
}

fn as_postgres(program: &Path, home: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program).current_dir(home);
    command
}

/// The newest version's folder.
fn newest(folder: &Path) -> Result<PathBuf> {
    let names = fs::read_dir(folder).context("PostgreSQL is not there: `cargo xtask harmless` installs it")?;
    let versions = names.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    Ok(folder.join(versions.max().context("no version of PostgreSQL")?.to_string()))
}
