//! The real agent's process.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::program::Program;
use crate::receiver::Receiver;
use crate::wait;

/// How long the agent may take until it traces.
const START: Duration = wait::PATIENCE;
/// Counters that each stand for spans which were not delivered.
const LOSSES: [&str; 6] = [
    "kernel_ring_full",
    "kernel_over_budget",
    "exchanges_dropped",
    "spans_evicted",
    "exporter_queue_dropped",
    "spans_rejected",
];
/// How long it may take to end (issue 2, *Shutdown*).
pub const SHUTDOWN: Duration = Duration::from_secs(2);
/// What it prints once every hook is attached.
const READY: &str = "tracing";

/// The agent, tracing.
pub struct Agent {
    program: Program,
}

/// The binary under test: `WIRESPAN_BIN`, or the release build of this workspace.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("WIRESPAN_BIN") {
        return path.into();
    }
    let path = target_dir().join("release/wirespan");
    assert!(path.exists(), "{} is not there: run `cargo xtask build`, or set WIRESPAN_BIN", path.display());
    path
}

/// Cargo's target directory, in which this very binary lies: a test in `<target>/<profile>/deps`, a program in
/// `<target>/<profile>`.
pub fn target_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("this binary's path");
    let deps = exe.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "deps"));
    let profile = deps.unwrap_or(&exe).parent().expect("cargo puts binaries into <target>/<profile>");
    profile.parent().expect("a target directory").to_owned()
}

/// A command that starts the agent with nothing inherited that would configure it.
pub fn command() -> Command {
    unconfigured(Command::new(binary()))
}

/// A command without our own environment's configuration of the agent and of OpenTelemetry.
pub fn unconfigured(mut command: Command) -> Command {
    let ours = |name: &str| name.starts_with("OTEL_") || name.starts_with("WIRESPAN_");
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command
}

/// The binary where every user may run it, with the directory that keeps it.
pub fn copy_for_everybody() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("a directory that everybody may enter");
    let copy = dir.path().join("wirespan");
    std::fs::copy(binary(), &copy).expect("a copy of the agent");
    (dir, copy)
}

/// A command that exports to `receiver` at once.
pub fn exporting_to(receiver: &Receiver) -> Command {
    let mut command = command();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", receiver.protocol().name())
        .env("OTEL_BSP_SCHEDULE_DELAY", "200");
    command
}

impl Agent {
    /// Starts `command` and waits until the agent traces.
    pub fn start(dir: &Path, command: &mut Command) -> Self {
        let program = Program::start("wirespan", dir, command);
        let begun = Instant::now();
        let mut agent = Self { program };
        let ready = wait::until_true(START, || !agent.program.is_running() || agent.log().contains(READY));
        assert!(
            ready && agent.program.is_running(),
            "the agent does not trace after {:?}; it said:\n{}",
            begun.elapsed(),
            agent.log()
        );
        agent
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Everything that it wrote on standard output and standard error.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// Asks it to end, and checks that it does in time and with status 0. Everything it knew has been exported then.
    pub fn stop(&mut self) {
        let took = self.try_stop().unwrap_or_else(|e| panic!("{e:#}"));
        assert!(took <= SHUTDOWN, "the agent took {took:?} to end; it said:\n{}", self.log());
    }

    /// Like [`Agent::stop`], but says how long it took.
    ///
    /// # Errors
    ///
    /// When it ended before, does not end within ten seconds, or ends with another status than 0.
    pub fn try_stop(&mut self) -> anyhow::Result<Duration> {
        ensure!(self.program.is_running(), "the agent ended before it was asked to; it said:\n{}", self.log());
        let begun = Instant::now();
        self.program.signal(Signal::TERM);
        let status = self.program.wait(SHUTDOWN + Duration::from_secs(8));
        ensure!(status.is_some_and(|s| s.success()), "the agent ended with {status:?}; it said:\n{}", self.log());
        Ok(begun.elapsed())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Kills it as the kernel's memory killer would.
    pub fn kill(&mut self) -> ExitStatus {
        self.program.signal(Signal::KILL);
        self.program.wait(SHUTDOWN).expect("nothing survives SIGKILL")
    }

    /// A counter that the agent logs at its end.
    ///
    /// # Panics
    ///
    /// When the log does not state it.
    pub fn counter(&self, name: &str) -> u64 {
        self.try_counter(name).unwrap_or_else(|| panic!("the agent's log does not state {name}:\n{}", self.log()))
    }

    /// How much the agent says, at its end, that was lost where a span may be missing for it.
    pub fn lost(&self) -> u64 {
        LOSSES.iter().map(|name| self.counter(name)).sum()
    }

    /// A counter that the agent logs at its end, if it does.
    pub fn try_counter(&self, name: &str) -> Option<u64> {
        find_counter(&self.log(), name)
    }
}

/// The number that follows the last occurrence of `name` in a log: `name=1`, `name: 1` and `name 1` alike.
fn find_counter(log: &str, name: &str) -> Option<u64> {
    let edge = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    log.rmatch_indices(name).find_map(|(at, _)| {
        let (before, after) = (&log[..at], &log[at + name.len()..]);
        if !edge(before.chars().next_back()) || !edge(after.chars().next()) {
            return None;
        }
        let value = after.trim_start_matches([' ', '=', ':', '"', '\t']);
        value.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::find_counter;

    #[test]
    fn a_counter_is_found_however_the_log_writes_it() {
        let log = "kernel_events=7 events: 5\nspans_finished 12, events=6";
        assert_eq!(find_counter(log, "events"), Some(6));
        assert_eq!(find_counter(log, "kernel_events"), Some(7));
        assert_eq!(find_counter(log, "spans_finished"), Some(12));
        assert_eq!(find_counter(log, "spans"), None);
    }
}
