//! The agent at its most intrusive: everything traced, the largest capture, all outputs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::check::World;
use super::sink::Sink;

/// What it prints once every hook is attached.
const READY: &str = "tracing";
const START: Duration = Duration::from_secs(30);
/// How long it may take to end when asked.
const STOP: Duration = Duration::from_secs(15);
/// No `include`, so everything that owns a socket is traced, also what exports spans itself; the most bytes of every operation; nothing hidden.
const SETTINGS: &[&str] = &[
    "--output=json",
    "--query-values=true",
    "--capture-bytes=4096",
    "--allow-duplicate-spans=true",
    "--stats=true",
    "--stats-interval=24h",
    "--log=info",
    "--otlp-protocol=http/protobuf",
    "--batch-delay=50ms",
];

/// A running agent; dropping it kills it.
pub struct Agent {
    child: Child,
    sink: Sink,
    lines: Option<JoinHandle<u64>>,
    log: mpsc::Receiver<String>,
    said: Vec<String>,
}

/// What an agent did while it was attached.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    /// Spans that it wrote as JSON.
    pub json_spans: u64,
    /// Export requests that it made.
    pub exports: u64,
    /// Its own counters at the end.
    pub counters: BTreeMap<String, u64>,
}

impl Agent {
    /// Starts it, and waits until it traces.
    pub fn start(world: &World) -> Result<Self> {
        let sink = Sink::start()?;
        let mut command = Command::new(&world.binary);
        let ours = |name: &str| name.starts_with("OTEL_") || name.starts_with("WIRESPAN_") || name == "RUST_LOG";
        for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.args(SETTINGS).arg(format!("--otlp-endpoint=http://127.0.0.1:{}", sink.port()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", world.binary.display()))?;
        let stdout = child.stdout.take().context("the agent has no standard output")?;
        let lines = Some(thread::spawn(move || count_lines(stdout)));
        let log = read_log(child.stderr.take().context("the agent has no standard error")?);
        let mut agent = Self { child, sink, lines, log, said: Vec::new() };
        agent.wait_until_ready()?;
        Ok(agent)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) if line.contains(READY) => break,
                Ok(line) => self.said.push(line),
                Err(error) => bail!("the agent never said that it is {READY} ({error}):\n{}", self.said.join("\n")),
            }
        }
        self.wait_until_it_can_end(deadline)
    }

    /// It may say that it traces a moment before it takes SIGTERM as a request to end.
    fn wait_until_it_can_end(&self, deadline: Instant) -> Result<()> {
        let path = format!("/proc/{}/status", self.child.id());
        while !catches_term(&std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?) {
            if Instant::now() > deadline {
                bail!("the agent takes no notice of SIGTERM");
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot send {signal:?} to the agent"))
    }

    /// Kills it as the kernel's memory killer would.
    pub fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait().map(drop).context("the agent is lost")
    }

    /// Asks it to end. An agent that ended before, takes too long or ends with another status than 0 is an error.
    pub fn stop(mut self) -> Result<Witness> {
        if let Some(status) = self.child.try_wait().context("the agent is lost")? {
            bail!("the agent ended by itself with {status}; it said:\n{}", self.last_words());
        }
        self.signal(Signal::TERM)?;
        let status = self.wait()?;
        let words = self.last_words();
        if !status.success() {
            bail!("the agent ended with {status}; it said:\n{words}");
        }
        let json_spans = self.lines.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        Ok(Witness { json_spans, exports: self.sink.requests(), counters: counters(&words) })
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("the agent is lost")? {
                return Ok(status);
            }
            if asked.elapsed() > STOP {
                bail!("the agent did not end within {} s", STOP.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn last_words(&mut self) -> String {
        self.said.extend(self.log.iter());
        self.said.join("\n")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the signals that `/proc/PID/status` calls caught have SIGTERM among them (proc(5), `SigCgt`).
fn catches_term(status: &str) -> bool {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (Signal::TERM.as_raw() - 1)) != 0)
}

fn count_lines(mut stdout: impl Read) -> u64 {
    let (mut buffer, mut lines) = (vec![0; 1 << 18], 0);
    while let Ok(count @ 1..) = stdout.read(&mut buffer) {
        lines += buffer[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    lines
}

fn read_log(stderr: impl Read + Send + 'static) -> mpsc::Receiver<String> {
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

/// Every `name=number` of a log; the last one of a name counts.
fn counters(log: &str) -> BTreeMap<String, u64> {
    let pairs = log.split([' ', ',', '\n', '\t']).filter_map(|word| word.rsplit_once('='));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::counters;

    #[test]
    fn the_last_value_of_a_counter_counts() {
        let found = counters("info events=5 spans=1\nevents=7, name=x");
        assert_eq!(found.get("events"), Some(&7));
        assert_eq!(found.get("spans"), Some(&1));
        assert_eq!(found.len(), 2);
    }
}
