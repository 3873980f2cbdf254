//! `wirespan` without a command: traces until it is told to stop.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use env_logger::{Target, WriteStyle};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::bpf::CaptureError;
use crate::config::{Color, Config, Output, ViewConfig};
use crate::export::console::status::LogWriter;
use crate::export::console::{ColorChoice, ConsoleSettings, Format};
use crate::export::{ExportError, ExportSettings, Exporters};
use crate::metrics::Counters;
use crate::pipeline::Pipeline;
use crate::web::{Bound, Shown, View, ViewError};

/// The whole shutdown takes less than two seconds; the exporters get this much of it.
const FLUSH: Duration = Duration::from_millis(1500);
/// How often it is checked that every stage still runs.
const WATCH: Duration = Duration::from_secs(1);

/// Why the agent cannot run. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The kernel programs cannot be loaded.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// An exporter cannot start.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The system refused a thread or a signal handler.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// A defect.
    #[error("a stage stopped by itself: please report the log above")]
    Broken,
}

/// Traces until SIGINT or SIGTERM, then flushes.
///
/// # Errors
/// If it cannot start, or a stage breaks.
pub fn run(config: &Config) -> Result<(), RunError> {
    start_logger(config);
    for name in &config.stray_variables {
        log::warn!("{name} is set, but wirespan has no such option: see `wirespan config`");
    }
    let counters = Arc::new(Counters::default());
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("wirespan-io").enable_all().build()?;
    // Before anything is attached or said: whoever is told that we trace may tell us to stop.
    let signals = Signals::install(&runtime)?;
    let bound = config.view.as_ref().and_then(bind);
    let settings = settings(config, bound.is_some());
    let exporters = Exporters::start(settings, Arc::clone(&counters), runtime.handle())?;
    let own = bound.as_ref().map(Bound::address);
    let view = bound.zip(exporters.reader()).map(|(bound, reader)| {
        let persistent = config.view.as_ref().is_some_and(|view| view.store.path.is_some());
        bound.serve(Shown { reader, counters: Arc::clone(&counters), persistent, otlp_listen: None })
    });
    let pipeline = Pipeline::start(config, &counters, exporters, own)?;
    say(&ready(view.as_ref()));
    let broken = runtime.block_on(until_stopped(config, &counters, &pipeline, signals));
    let deadline = Instant::now() + FLUSH;
    // Whoever watches would hold the exit up.
    view.map(View::stop);
    if let Some(exporters) = pipeline.stop() {
        finish(exporters, deadline);
    }
    report(config, &counters);
    shut_down(runtime);
    if broken { Err(RunError::Broken) } else { Ok(()) }
}

/// Log lines go to standard error, around the console's status line.
fn start_logger(config: &Config) {
    let colored = config.color.enabled(std::io::stderr().is_terminal());
    env_logger::Builder::new()
        .parse_filters(&config.log)
        .format_timestamp_millis()
        .target(Target::Pipe(Box::new(LogWriter)))
        .write_style(if colored { WriteStyle::Always } else { WriteStyle::Never })
        .init();
}

/// Takes the view's address. Without it there is no view, and tracing goes on.
fn bind(config: &ViewConfig) -> Option<Bound> {
    let problem = |error: &ViewError| log::error!("the local view is off, and nothing is stored: {error}");
    Bound::new(config).inspect_err(problem).ok()
}

/// What is said once everything works.
fn ready(view: Option<&View>) -> String {
    match view {
        Some(view) => format!("wirespan: tracing, see http://{}/\n", view.address()),
        None => "wirespan: tracing\n".to_owned(),
    }
}

fn settings(config: &Config, view: bool) -> ExportSettings {
    let console = |format| ConsoleSettings {
        format,
        color: match config.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        },
        status: true,
        follow: config.follow,
    };
    ExportSettings {
        otlp: config.otlp.clone(),
        console: match config.output {
            Output::Text => Some(console(Format::Text)),
            Output::Json => Some(console(Format::Json)),
            Output::None => None,
        },
        store: config.view.as_ref().filter(|_| view).map(|view| view.store.clone()),
        batch: config.batch,
    }
}

/// What ends the agent.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on the signals wait to be asked for.
    fn install(runtime: &Runtime) -> std::io::Result<Self> {
        let _context = runtime.enter();
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }
}

/// Waits for a signal; true if a stage broke first.
async fn until_stopped(config: &Config, counters: &Counters, pipeline: &Pipeline, mut signals: Signals) -> bool {
    let mut watch = tokio::time::interval(WATCH);
    let mut stats = tokio::time::interval(config.stats_interval);
    stats.tick().await;
    loop {
        tokio::select! {
            _ = signals.interrupt.recv() => return false,
            _ = signals.terminate.recv() => return false,
            _ = watch.tick() => if pipeline.is_broken() { return true },
            _ = stats.tick() => if config.stats { print_counters(counters) },
        }
    }
}

fn finish(exporters: Exporters, deadline: Instant) {
    let lost = exporters.shutdown(deadline);
    if lost.otlp > 0 {
        log::warn!("{} spans were not acknowledged by the OTLP endpoint before the exit", lost.otlp);
    }
    if lost.store > 0 {
        log::warn!("{} spans did not get into the local view before the exit", lost.store);
    }
    if lost.console > 0 {
        log::warn!("{} spans were not written before the exit", lost.console);
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

/// Writes to standard error; a reader that went away is no reason to stop.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A connection that hangs must not hold the exit up.
fn shut_down(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}
