//! `wirespan demo`: a small shop of real processes, a customer who orders, and the page that shows it.
//!
//! | module | what it is |
//! |---|---|
//! | `plan` | which program of this machine plays which part |
//! | `troupe` | the processes: started, watched, ended |
//! | [`own`] | the parts that this program plays itself |
//! | `services/` | the parts in other languages |
//!
//! An agent that runs already shows the shop; without one, the demo traces the shop itself, and nothing else.

pub mod own;
mod plan;
mod troupe;

use std::io::{IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use plan::Role;

use crate::client::answer::{AgentStatus, Found};
use crate::client::{Client, ClientError, Endpoint, failed};
use crate::config::view::DEFAULT_LISTEN;
use crate::config::{Config, Rule, ViewConfig};
use crate::run::{Signals, start_logger};
use crate::session::{RunError, Session, io_runtime};
use troupe::Troupe;

/// How long the first trace may take until the demo says that something is wrong.
const FIRST: Duration = Duration::from_secs(15);
/// How often it is asked for.
const ASK: Duration = Duration::from_millis(50);
/// How often it is looked whether everything still runs.
const WATCH: Duration = Duration::from_millis(500);

/// What the demo may do beyond the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// Where a running agent is looked for.
    pub endpoint: Endpoint,
    /// Trace the whole machine, too.
    pub all: bool,
    /// Do not open the page.
    pub no_open: bool,
}

/// Why there is no demo. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot start the shop: {0}")]
    System(#[from] std::io::Error),
    #[error("no wirespan runs on {0}, and tracing needs root: run `sudo wirespan demo`")]
    NotRoot(String),
}

/// Runs until Ctrl-C.
pub fn run(config: &Config, demo: &Demo) -> ExitCode {
    start_logger(config);
    match play(config, demo) {
        Ok(code) => code,
        Err(DemoError::Client(error)) => failed(&error),
        Err(error) => {
            eprintln!("wirespan: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(config: &Config, demo: &Demo) -> Result<ExitCode, DemoError> {
    let begun = Instant::now();
    let runtime = io_runtime()?;
    let mut signals = Signals::install(&runtime)?;
    let found = Client::new(demo.endpoint.clone())?.get::<AgentStatus>("/api/v1/status", &[]);
    let elsewhere = match found {
        Ok(_) => true,
        Err(ClientError::Token { .. }) => return Err(found.unwrap_err().into()),
        Err(_) if !rustix::process::geteuid().is_root() => {
            return Err(DemoError::NotRoot(demo.endpoint.address.clone()));
        }
        Err(_) => false,
    };
    let nobody_there = matches!(found, Err(ClientError::NoAgent { .. }));
    // The languages start while the kernel programs load.
    let mut troupe = Troupe::start()?;
    let (session, endpoint, runtime) = if elsewhere {
        (None, demo.endpoint.clone(), Some(runtime))
    } else {
        let config = shown(config, demo, &troupe.ports(), nobody_there);
        let session = Session::start(&config, runtime)?;
        let address = session.view().map_or(demo.endpoint.address.clone(), |address| address.to_string());
        let token = config.view.and_then(|view| view.token).map(|token| token.secret().to_owned());
        (Some(session), Endpoint { address, socket: None, token }, None)
    };
    let handle = session.as_ref().map_or_else(|| runtime.as_ref().map(|r| r.handle()), |s| Some(s.runtime().handle()));
    let Some(handle) = handle.cloned() else { return Ok(ExitCode::FAILURE) };
    troupe.ready()?;
    say(&format!("the shop: {}", troupe.describe()));
    let page = format!("http://{}/", endpoint.address);
    say(&match elsewhere {
        true => format!("the wirespan that runs already shows it: {page}"),
        false => format!("the page: {page}  (Ctrl-C ends everything)"),
    });
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    troupe.open()?;
    let stop = handle.spawn(async move { signals.received().await });
    let mut waiting = Some(Waiting { client: Client::new(endpoint)?, since, begun, said: false });
    let mut works = Ok(());
    while !stop.is_finished() && works.is_ok() {
        if waiting.as_mut().is_some_and(|waiting| waiting.seen(&page, demo)) {
            waiting = None;
        }
        std::thread::sleep(if waiting.is_some() { ASK } else { WATCH });
        works = session.as_ref().map_or(Ok(()), Session::check);
    }
    // The agent ends first: that the shop is broken off is nobody's error.
    session.map(Session::stop);
    drop(troupe);
    works?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration of the demo's own agent: the shop alone, unless asked otherwise, and a page in any case.
fn shown(config: &Config, demo: &Demo, ports: &[u16], nobody_there: bool) -> Config {
    let mut config = config.clone();
    if !demo.all && config.include.is_empty() {
        config.include = ports.iter().map(|port| Rule::Port(*port)).collect();
    }
    let view = config.view.get_or_insert_with(|| ViewConfig::brief(DEFAULT_LISTEN));
    view.listen.get_or_insert(DEFAULT_LISTEN);
    if !nobody_there {
        // Something else has the port.
        view.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    }
    config
}

/// The first trace is waited for.
struct Waiting {
    client: Client,
    /// Unix time.
    since: Duration,
    begun: Instant,
    said: bool,
}

impl Waiting {
    /// Whether the first trace is there; says so, once.
    fn seen(&mut self, page: &str, demo: &Demo) -> bool {
        let from = self.since.as_millis().to_string();
        let query = [("service", "shop".to_owned()), ("from", from), ("limit", "1".to_owned())];
        let found: Result<Found, ClientError> = self.client.get("/api/v1/search", &query);
        if let Some(first) = found.ok().and_then(|found| found.traces.into_iter().next()) {
            let took = self.begun.elapsed().as_secs_f64();
            say(&format!("the first trace, {took:.1} s after the command: {page}trace/{}", first.trace_id));
            if !demo.no_open {
                open(page);
            }
            return true;
        }
        if self.begun.elapsed() > FIRST && !std::mem::replace(&mut self.said, true) {
            say(
                "no trace yet: `wirespan doctor` says what works here; an agent that runs already may leave the shop out (--include)",
            );
        }
        false
    }
}

/// Opens the page, if somebody sits at this machine: as the user whose desktop it is.
fn open(page: &str) {
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !display || !std::io::stdout().is_terminal() {
        return;
    }
    let mut command = Command::new("xdg-open");
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    if let Some((user, group)) = troupe::caller() {
        command.uid(user).gid(group);
    }
    // Who has no xdg-open has the address above.
    if let Ok(mut child) = command.spawn() {
        std::thread::spawn(move || child.wait());
    }
}

/// For people, beside the traces.
fn say(text: &str) {
    let _ = writeln!(crate::export::console::status::LogWriter, "wirespan demo: {text}");
}
