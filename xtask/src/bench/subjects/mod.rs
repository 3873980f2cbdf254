//! The programs under load, started as a person would start them: one row each.

use std::process::Command;

use anyhow::Result;

use super::client::pace::Protocol;
use super::mark::mark;
use super::server::Server;

mod flask;
pub mod go;
pub mod grpc;
mod http2;
mod java;
pub mod nginx;
mod node;
pub mod postgres;
mod redis;

/// One program, how it is loaded, and what is expected of it.
pub struct Subject {
    /// Part of the keys in the JSON file, and what `--only` takes: never changed.
    pub key: &'static str,
    pub title: &'static str,
    pub start: fn() -> Result<Server>,
    /// What drives it to its limit.
    pub load: Load,
    /// Connections of the load at the limit, and of the one at a fixed rate.
    pub connections: u32,
    /// Requests a second at which latency is measured, well below the limit; `None` leaves latency out.
    pub rate: Option<f64>,
    /// The server has the first processor and its load the last: for servers of one thread, where the scheduler's choice of
    /// who runs where would change the rate by more than the agent does. The agent goes where it likes.
    pub pinned: bool,
    /// What all its spans contain, in OTLP and in JSON; `None` for the path.
    pub mark: Option<&'static str>,
    /// Every request is to become a span: the agent knows its protocol.
    pub spans: bool,
    /// The least requests/s with ÷ without that we aim for.
    pub aim: Option<f64>,
    /// Belongs to the short run.
    pub short: bool,
}

/// A load generator that asks as fast as it is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// wrk.
    Http,
    /// redis-benchmark, so many commands in one write.
    Redis { pipeline: u32 },
    /// h2load, with so many streams under way on each connection.
    Http2 { streams: u32 },
    /// grpcio's client, likewise.
    Grpc { streams: u32 },
    /// pgbench, one row by its key.
    Pgbench,
}

impl Load {
    /// For the requests at a fixed rate; `None` where our own client does not speak it.
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Http => Some(Protocol::Http),
            Self::Redis { .. } => Some(Protocol::Redis),
            Self::Http2 { .. } | Self::Grpc { .. } | Self::Pgbench => None,
        }
    }
}

impl Subject {
    /// What tells its spans from others.
    pub fn mark(&self) -> &'static str {
        self.mark.unwrap_or_else(mark)
    }

    /// Where the load runs, to be followed by its program.
    pub fn load_prefix(&self) -> Vec<String> {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        let first = if self.pinned { all - 1 } else { 0 };
        ["taskset", "--cpu-list", &format!("{first}-{}", all - 1)].map(Into::into).into()
    }
}

/// A command that runs `program` on the first processor.
pub fn pinned(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0"]).arg(program);
    command
}

/// All of them, in the order of the report.
pub const SUBJECTS: [Subject; 10] = [
    nginx::SUBJECT,
    http2::SUBJECT,
    redis::SUBJECT,
    redis::PIPELINED,
    postgres::SUBJECT,
    node::SUBJECT,
    flask::SUBJECT,
    grpc::SUBJECT,
    go::SUBJECT,
    java::SUBJECT,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_subjects_have_the_same_key() {
        let keys: HashSet<&str> = SUBJECTS.iter().map(|subject| subject.key).collect();
        assert_eq!(keys.len(), SUBJECTS.len());
    }

    #[test]
    fn latency_is_asked_for_where_our_client_speaks_the_protocol() {
        assert!(SUBJECTS.iter().all(|subject| subject.rate.is_none() || subject.load.protocol().is_some()));
    }
}
