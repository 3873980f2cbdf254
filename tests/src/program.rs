//! A process that a test started: in a process group of its own, with its output in a file, ended by pid.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait;

/// How long a program may take until it answers.
pub const START: Duration = Duration::from_secs(60);
/// How long a program may take to end when asked.
const STOP: Duration = Duration::from_secs(5);

/// Ends what tests left behind that were killed: processes that work in a directory there whose name begins so. (Each test has one of
/// its own, and none begins before the last one's programs have ended.)
pub fn end_leftovers(parent: &Path, prefix: &str) {
    let works_there = |pid: &i32| {
        let at = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        at.strip_prefix(parent).is_ok_and(|below| below.to_string_lossy().starts_with(prefix))
    };
    wait::until_true(STOP, || {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let left: Vec<Pid> = pids.filter(works_there).filter_map(Pid::from_raw).collect();
        for pid in &left {
            let _ = kill_process(*pid, Signal::KILL);
        }
        left.is_empty()
    });
}

/// A running program.
pub struct Program {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    log: PathBuf,
}

impl Program {
    /// Starts `command`, with its output in `<dir>/<name>.log`.
    pub fn start(name: &str, dir: &Path, command: &mut Command) -> Self {
        Self::try_start(name, dir, command).unwrap_or_else(|e| panic!("{e:#}"))
    }

    /// Like [`Program::start`].
    ///
    /// # Errors
    ///
    /// When the log cannot be created or the program cannot be started.
    pub fn try_start(name: &str, dir: &Path, command: &mut Command) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let spawned = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("a second handle on the log")?)
            .stderr(file)
            .spawn();
        let child = spawned.with_context(|| format!("{name} does not start ({command:?})"))?;
        Ok(Self { name: name.to_owned(), child, status: None, log })
    }

    /// Its process id, which is its process group too.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it wrote.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it accepts connections on a TCP port.
    pub fn listens_on(self, port: u16) -> Self {
        self.ready("listen", |_| wait::listens(port))
    }

    /// Waits until it accepts connections on the IPv6 loopback address.
    pub fn listens_on_v6(self, port: u16) -> Self {
        self.ready("listen", |_| wait::listens(port))
    }

    /// Waits until it accepts connections on a Unix socket.
    pub fn listens_at(self, path: &Path) -> Self {
        self.ready("listen", |_| UnixStream::connect(path).is_ok())
    }

    /// Waits until `condition` holds.
    pub fn ready(mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Self {
        self.try_ready(what, condition).unwrap_or_else(|e| panic!("{e:#}"));
        self
    }

    /// Waits until `condition` holds.
    ///
    /// # Errors
    ///
    /// When the program ends or the deadline passes before it does.
    pub fn try_ready(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let up = wait::until_true(START, || !self.is_running() || condition(self));
        ensure!(up && self.is_running(), "{} does not {what}; it said:\n{}", self.name, self.log());
        Ok(())
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("waiting for our own child");
        }
        self.status.is_none()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        wait::until(deadline, || if self.is_running() { None } else { self.status })
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            let _ = kill_process(self.as_pid(), signal);
        }
    }

    /// Ends the whole group, politely at first.
    pub fn stop(&mut self) {
        let group = self.as_pid();
        if self.is_running() {
            let _ = kill_process_group(group, Signal::TERM);
            self.wait(STOP);
        }
        if self.is_running() {
            let _ = kill_process_group(group, Signal::KILL);
            self.wait(STOP);
        }
    }

    fn as_pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            eprintln!("--- {} said at the end:\n{}", self.name, tail.join("\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_test_left_behind_is_ended_and_nothing_else() {
        const PREFIX: &str = "left-by-a-test-";
        let folder = |prefix| tempfile::Builder::new().prefix(prefix).tempdir().expect("a directory");
        let (left, other) = (folder(PREFIX), folder("somebody-else-"));
        let start = |name, dir: &Path| Program::start(name, dir, Command::new("sleep").arg("60").current_dir(dir));
        let (mut gone, mut stays) = (start("gone", left.path()), start("stays", other.path()));
        assert!(gone.is_running() && stays.is_running());
        end_leftovers(&std::env::temp_dir(), PREFIX);
        assert!(!gone.is_running() && stays.is_running());
    }
}
