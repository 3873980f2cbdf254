//! The agent under measurement: its process, its spans, its cost.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Sink;
use super::cpu;
use super::sink::{Counts, Receiver, count_lines};

/// What the agent prints once every hook is attached.
const READY: &str = "tracing";
const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(15);
/// What precedes its counters when it ends.
const COUNTERS: &str = "counters at exit: ";

/// How to start an agent.
pub struct Agent {
    pub binary: PathBuf,
    pub sink: Sink,
    /// Arguments besides those that say where the spans go.
    pub arguments: Vec<String>,
}

/// What an agent leaves behind.
pub struct Stopped {
    /// From SIGTERM to its end.
    pub took: Duration,
    /// Its own counters, by name; those that stayed zero are missing.
    pub counters: HashMap<String, f64>,
}

/// A started agent; dropping it kills it.
pub struct Running {
    child: Child,
    counts: Counts,
    /// Kept until the agent is gone.
    _receiver: Option<Receiver>,
    log: mpsc::Receiver<String>,
    said: Vec<String>,
}

impl Agent {
    /// Starts the agent, which is not ready yet.
    ///
    /// Spans that contain `mark` will be counted.
    pub fn spawn(&self, mark: &'static str) -> Result<Running> {
        let counts = Counts::of(mark);
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("OTEL_") || text.starts_with("WIRESPAN_") || text == "RUST_LOG" {
                command.env_remove(&name);
            }
        }
        command.args(&self.arguments).stdin(Stdio::null()).stderr(Stdio::piped());
        let receiver = match self.sink {
            Sink::Json => {
                command.args(["--output", "json"]).stdout(Stdio::piped());
                None
            }
            Sink::Otlp => {
                let receiver = Receiver::start(counts.clone())?;
                command.args(["--output", "none"]).stdout(Stdio::null());
                command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", receiver.address));
                command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
                Some(receiver)
            }
            Sink::None => {
                command.args(["--output", "none"]).stdout(Stdio::null());
                None
            }
        };
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        if let Some(stdout) = child.stdout.take() {
            let counts = counts.clone();
            thread::spawn(move || count_lines(BufReader::with_capacity(1 << 20, stdout), &counts));
        }
        let log = read_log(child.stderr.take().context("the agent has no standard error")?);
        Ok(Running { child, counts, _receiver: receiver, log, said: Vec::new() })
    }

    /// Starts the agent and waits until it traces.
    pub fn start(&self, mark: &'static str) -> Result<Running> {
        let mut running = self.spawn(mark)?;
        running.wait_until_tracing()?;
        Ok(running)
    }
}

fn read_log(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Running {
    /// The agent's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What arrived so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn wait_until_tracing(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) if line.contains(READY) => return Ok(()),
                Ok(line) => self.said.push(line),
                Err(error) => bail!("the agent never said that it is {READY} ({error}):\n{}", self.said.join("\n")),
            }
        }
    }

    /// Seconds of processor time used so far, user and system.
    pub fn cpu(&self) -> Result<f64> {
        cpu::of_threads(self.pid())
    }

    /// A field of `/proc/PID/status` in KiB, as MiB.
    pub fn memory(&self, field: &str) -> Result<f64> {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        Ok(kib.with_context(|| format!("{path} has no {field}"))? / 1024.0)
    }

    /// Tells the agent to stop and waits; its last spans have been counted by then.
    pub fn stop(mut self) -> Result<Stopped> {
        let start = Instant::now();
        crate::shell::run(Command::new("kill").args(["-TERM", &self.pid().to_string()]))?;
        while self.child.try_wait().context("the agent is lost")?.is_none() {
            if start.elapsed() > STOP {
                bail!("the agent did not stop within {} s", STOP.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let took = start.elapsed();
        self.counts.wait_until_quiet(Duration::from_millis(50));
        // The log ends with the agent.
        let last: Vec<String> = self.log.iter().collect();
        let counters = last.iter().find_map(|line| Some(parse_counters(line.split_once(COUNTERS)?.1)));
        Ok(Stopped { took, counters: counters.with_context(|| format!("the agent never said its `{COUNTERS}`"))? })
    }
}

/// `events=98 bytes=19120`
fn parse_counters(text: &str) -> HashMap<String, f64> {
    let pair = |word: &str| {
        let (name, value) = word.rsplit_once('=')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.split_whitespace().filter_map(pair).collect()
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_the_last_line_are_read() {
        let counters = parse_counters("events=98 bytes=19120");
        assert_eq!((counters["events"], counters["bytes"], counters.len()), (98.0, 19120.0, 2));
    }
}
