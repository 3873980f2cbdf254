//! `wirespan` without a command: traces until it is told to stop.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use env_logger::{Target, WriteStyle};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;
use crate::export::console::open;
use crate::export::console::status::LogWriter;
use crate::memory::trim;
use crate::metrics::Counters;
use crate::sandbox;
use crate::session::{RunError, Session, io_runtime};

/// How often it is checked that every stage still runs.
const WATCH: Duration = Duration::from_secs(1);

/// Traces until SIGINT or SIGTERM, then flushes.
///
/// # Errors
/// If it cannot start, or a stage breaks.
pub fn run(config: &Config) -> Result<(), RunError> {
    trim::share_arenas();
    start_logger(config);
    for name in &config.stray_variables {
        log::warn!("{name} is set, but wirespan has no such option: see `wirespan config`");
    }
    let runtime = io_runtime()?;
    // Before anything is attached or said: whoever is told that we trace may tell us to stop.
    let signals = Signals::install(&runtime)?;
    let session = Session::start(config, runtime)?;
    if config.sandbox {
        shut_in();
    }
    say(&ready(&session));
    let stopped = session.runtime().block_on(until_stopped(config, &session, signals));
    report(config, &session.stop());
    stopped
}

/// Gives up what is not needed once everything runs.
fn shut_in() {
    for error in sandbox::enter().err().unwrap_or_default() {
        log::warn!("{error}: the agent goes on with more than it needs (--sandbox off says that this is meant)");
    }
}

/// Log lines go to standard error, around the console's status line.
pub(crate) fn start_logger(config: &Config) {
    let colored = config.color.enabled(std::io::stderr().is_terminal());
    env_logger::Builder::new()
        .parse_filters(&config.log)
        .format_timestamp_millis()
        .target(Target::Pipe(Box::new(LogWriter)))
        .write_style(if colored { WriteStyle::Always } else { WriteStyle::Never })
        .init();
}

/// What is said once everything works.
fn ready(session: &Session) -> String {
    match (session.view(), session.socket()) {
        (Some(address), _) => format!("wirespan: tracing, see http://{address}/\n"),
        (None, Some(_)) => "wirespan: tracing, see `wirespan top` and `wirespan query`\n".to_owned(),
        (None, None) => "wirespan: tracing\n".to_owned(),
    }
}

/// What ends the agent, and what asks it.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Asks for what has been under way for a while.
    user: Signal,
}

impl Signals {
    /// From here on the signals wait to be asked for.
    pub(crate) fn install(runtime: &Runtime) -> std::io::Result<Self> {
        let _context = runtime.enter();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for one.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Waits for a signal, or for the end of a stage.
async fn until_stopped(config: &Config, session: &Session, mut signals: Signals) -> Result<(), RunError> {
    let mut watch = tokio::time::interval(WATCH);
    let mut stats = tokio::time::interval(config.stats_interval);
    stats.tick().await;
    loop {
        tokio::select! {
            _ = signals.interrupt.recv() => return Ok(()),
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.user.recv() => say(&open::table(&session.open_requests().get())),
            _ = watch.tick() => session.check()?,
            _ = stats.tick() => if config.stats { print_stats(session) },
        }
    }
}

/// The counters, and what has been under way for a while if anything has.
fn print_stats(session: &Session) {
    print_counters(session.counters());
    let list = session.open_requests().get();
    if list.total > 0 {
        say(&open::table(&list));
    }
}

/// What was seen and lost: always in the log, and with `--stats` for people.
fn report(config: &Config, counters: &Counters) {
    if config.stats {
        print_counters(counters);
    }
    let seen: Vec<String> = counters
        .snapshot()
        .into_iter()
        .filter(|(_, _, value)| *value > 0)
        .map(|(name, _, value)| format!("{name}={value}"))
        .collect();
    log::info!("counters at exit: {}", seen.join(" "));
}

fn print_counters(counters: &Counters) {
    let mut text = String::from("wirespan: counters\n");
    for (name, help, value) in counters.snapshot() {
        text.push_str(&format!("  {name:<24} {value:>12}  {help}\n"));
    }
    say(&text);
}

/// Writes to standard error, around the status line; a reader that went away is no reason to stop.
fn say(text: &str) {
    let _ = LogWriter.write_all(text.as_bytes());
}
