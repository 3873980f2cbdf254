//! The agent whose memory is measured: every sink is stuck.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::harmless::sink::Sink;

/// What it prints once every hook is attached, and where its view is.
const READY: &str = "wirespan: tracing, see http://";
const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(5);

/// What is resident of an agent, MiB.
#[derive(Clone, Copy)]
pub struct Resident {
    /// Everything: its file too, and the ring that it shares with the kernel, as far as that was ever used.
    pub all: u64,
    /// What it has asked for itself, which it can give back.
    pub own: u64,
}

impl Resident {
    /// The larger of each.
    pub fn max(self, other: Self) -> Self {
        Self { all: self.all.max(other.all), own: self.own.max(other.own) }
    }
}

/// A running agent; dropping it kills it.
pub struct Subject {
    child: Child,
    stdout: Option<ChildStdout>,
    log: mpsc::Receiver<String>,
    view: SocketAddr,
    /// Takes connections into its backlog and does not answer.
    endpoint: Option<TcpListener>,
}

impl Subject {
    /// Starts it with a bound of so many MiB, and waits until it traces.
    pub fn start(bound: u64) -> Result<Self> {
        let endpoint = TcpListener::bind("127.0.0.1:0").context("a port")?;
        let address = endpoint.local_addr().context("a port's address")?;
        let ourselves = std::env::current_exe().context("this program's path")?;
        let mut command = wirespan_tests::agent::command();
        command.args(["--output=json", "--listen=127.0.0.1:0", "--stats=true", "--stats-interval=24h", "--log=info"]);
        command.arg(format!("--include=exe:{}", ourselves.display())).arg(format!("--max-memory={bound}MiB"));
        command.args([&format!("--otlp-endpoint=http://{address}"), "--otlp-protocol=http/protobuf"]);
        let mut child = spawn(&mut command)?;
        let stdout = child.stdout.take();
        let log = lines(child.stderr.take().context("the agent has no standard error")?);
        let view = match ready(&log) {
            Ok(view) => view,
            Err(error) => {
                let _ = child.kill();
                return Err(error);
            }
        };
        Ok(Self { child, stdout, log, view, endpoint: Some(endpoint) })
    }

    /// Its resident memory.
    pub fn resident(&self) -> Result<Resident> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("the agent is gone")?;
        let mib = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("the agent ended by itself")?;
            let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().context("a number of KiB")?;
            Ok(kib.div_ceil(1024))
        };
        Ok(Resident { all: mib("VmRSS:")?, own: mib("RssAnon:")? })
    }

    /// What it says that it holds, MiB, and how much of that are traces that its view keeps.
    pub fn held(&self) -> Result<(u64, u64)> {
        let counters = counters(self.view)?;
        let held = counters.get("memory_held").copied().context("the view tells memory_held")?;
        let kept = counters.get("store_bytes").copied().unwrap_or_default();
        Ok((held.div_ceil(1 << 20), kept >> 20))
    }

    /// From now on somebody reads its standard output, and its endpoint answers.
    pub fn read_on(&mut self) -> Result<()> {
        if let Some(endpoint) = self.endpoint.take() {
            Sink::at(endpoint)?;
        }
        if let Some(mut stdout) = self.stdout.take() {
            thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        }
        Ok(())
    }

    /// Asks it to end, and returns its counters. One that ended before, or with another status than 0, is an error.
    pub fn stop(mut self) -> Result<BTreeMap<String, u64>> {
        ensure!(self.child.try_wait().context("the agent is lost")?.is_none(), "the agent ended by itself");
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("cannot signal the agent")?;
        let until = Instant::now() + STOP;
        let status = loop {
            match self.child.try_wait().context("the agent is lost")? {
                Some(status) => break status,
                None if Instant::now() > until => bail!("the agent does not end"),
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        let said: Vec<String> = self.log.iter().collect();
        ensure!(status.success(), "the agent ended with {status}; it said:\n{}", said.join("\n"));
        let line = said.iter().find_map(|line| line.split_once("counters at exit: ")).context("counters at exit")?.1;
        Ok(line
            .split(' ')
            .filter_map(|pair| pair.rsplit_once('='))
            .map(|(k, v)| (k.to_owned(), v.parse().unwrap_or(0)))
            .collect())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().context("cannot start the agent")
}

fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Waits until it traces; where its view is.
fn ready(log: &mpsc::Receiver<String>) -> Result<SocketAddr> {
    let (until, mut said) = (Instant::now() + START, Vec::new());
    loop {
        match log.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.split_once(READY) {
                Some((_, view)) => return view.trim_end_matches('/').parse().context("the view's address"),
                None => said.push(line),
            },
            Err(error) => bail!("the agent never said that it traces ({error}):\n{}", said.join("\n")),
        }
    }
}

/// The counters that the view tells.
fn counters(view: SocketAddr) -> Result<BTreeMap<String, u64>> {
    let mut stream = TcpStream::connect(view).context("the view listens")?;
    stream.set_read_timeout(Some(PATIENCE)).context("a timeout")?;
    write!(stream, "GET /api/v1/status HTTP/1.1\r\nHost: {view}\r\nConnection: close\r\n\r\n")
        .context("the view reads")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("the view answers")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer with a body")?;
    let json: serde_json::Value = serde_json::from_str(body).with_context(|| format!("JSON, and not {body}"))?;
    let counters = json["counters"].as_object().context("counters")?;
    Ok(counters.iter().filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect())
}
