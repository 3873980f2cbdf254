//! The client in front of everything: an open loop. It makes each request when its time has come, whatever became of the
//! others, and writes down how each ended.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A connection that idled for longer is not used again: servers close them after two seconds and more, and a request that
/// meets the close is lost.
const MAX_IDLE: Duration = Duration::from_secs(1);

/// What the driver takes.
#[derive(Args)]
pub struct Options {
    /// Where the server listens, on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// The requests: a JSON list of [`Arrival`].
    #[arg(long)]
    schedule: PathBuf,
    /// Milliseconds that a request may take.
    #[arg(long)]
    timeout: u64,
}

/// A request to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// Microseconds after the beginning.
    pub at: u64,
    /// Its number.
    pub request: u64,
    /// Path and query.
    pub target: String,
    /// On a connection of its own, closed after it; all others keep theirs.
    pub alone: bool,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its number.
    pub request: u64,
    /// Microseconds after the beginning when its time had come.
    pub at: u64,
    /// Microseconds from its time to its end.
    pub took: u64,
    /// The status, if there was a whole response.
    pub status: Option<u16>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

struct Idle {
    sender: SendRequest<Empty<Bytes>>,
    since: Instant,
}

struct Driver {
    port: u16,
    timeout: Duration,
    idle: RefCell<VecDeque<Idle>>,
}

/// Makes all requests of the schedule; one JSON [`Outcome`] a line on standard output.
pub fn command(options: &Options) -> Result<()> {
    let schedule = std::fs::read(&options.schedule).with_context(|| options.schedule.display().to_string())?;
    let schedule: Vec<Arrival> = serde_json::from_slice(&schedule)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let timeout = Duration::from_millis(options.timeout);
    let driver = Rc::new(Driver { port: options.port, timeout, idle: RefCell::default() });
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let begin = Instant::now();
        let mut running = tokio::task::JoinSet::new();
        for arrival in schedule {
            let due = begin + Duration::from_micros(arrival.at);
            tokio::time::sleep_until(due).await;
            let driver = Rc::clone(&driver);
            running.spawn_local(async move { driver.request(&arrival, due).await });
        }
        while let Some(outcome) = running.join_next().await {
            println!("{}", serde_json::to_string(&outcome?)?);
        }
        Ok(())
    })
}

impl Driver {
    async fn request(&self, arrival: &Arrival, due: Instant) -> Outcome {
        let done = tokio::time::timeout_at(due + self.timeout, self.exchange(arrival)).await;
        let (status, error) = match done {
            Ok(Ok(status)) => (Some(status), None),
            Ok(Err(error)) => (None, Some(format!("{error:#}"))),
            Err(_) => (None, Some("timeout".to_owned())),
        };
        let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        Outcome { request: arrival.request, at: arrival.at, took, status, error }
    }

    async fn exchange(&self, arrival: &Arrival) -> Result<u16> {
        let reused = if arrival.alone { None } else { self.reusable() };
        let mut sender = match reused {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let authority = format!("127.0.0.1:{}", self.port);
        let mut request = hyper::Request::get(&arrival.target).header(hyper::header::HOST, authority);
        if arrival.alone {
            request = request.header(hyper::header::CONNECTION, "close");
        }
        let response = sender.send_request(request.body(Empty::new())?).await?;
        let status = response.status();
        response.into_body().collect().await.context("the body")?;
        if !arrival.alone && sender.ready().await.is_ok() {
            self.idle.borrow_mut().push_back(Idle { sender, since: Instant::now() });
        }
        Ok(status.as_u16())
    }

    /// The connection that idled longest, of those that are still good.
    fn reusable(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(first) = idle.pop_front() {
            if first.since.elapsed() < MAX_IDLE && first.sender.is_ready() {
                return Some(first.sender);
            }
        }
        None
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its error is the request's as well.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(sender)
    }
}

/// The outcomes that a driver's log states.
///
/// # Errors
///
/// When a line is none: the driver failed.
pub fn outcomes(log: &str) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for line in log.lines() {
        match serde_json::from_str(line) {
            Ok(outcome) => outcomes.push(outcome),
            Err(_) => bail!("the driver says:\n{log}"),
        }
    }
    Ok(outcomes)
}
