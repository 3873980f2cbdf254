//! A running agent: all that `wirespan`, and `top` and `demo` where no agent runs, start and stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::bpf::CaptureError;
use crate::config::otlp::Signal;
use crate::config::{Color, Config, MetricsConfig, OtlpConfig, Output, ViewConfig};
use crate::containers::{self, Runtimes};
use crate::discovery::{self, HostInfo};
use crate::export::console::{ColorChoice, ConsoleSettings, Format};
use crate::export::otlp;
use crate::export::otlp::figures::Temporality;
use crate::export::otlp::logs::LogsExporter;
use crate::export::otlp::metrics::{MetricsExporter, Source};
use crate::export::otlp::relay::Relay;
use crate::export::{ExportError, ExportSettings, Exporters};
use crate::ingest::{self, Ingest};
use crate::inventory::Inventory;
use crate::kubernetes::door::Door;
use crate::kubernetes::{self, Cluster};
use crate::memory::trim::{self, Trimmer};
use crate::memory::{Ledger, Shares};
use crate::metrics::{self, Counters};
use crate::pipeline::{Known, Pipeline};
use crate::span::{Linking, OpenRequests, Resource};
use crate::store;
use crate::vital;
use crate::web::probes::{Health, Probes};
use crate::web::{Bound, Shown, View};
use wirespan_meters::Meters;
use wirespan_sampling::Sampler;
use wirespan_view::web::own::OwnServer;

/// The whole shutdown takes less than two seconds; the exporters get this much of it.
const FLUSH: Duration = Duration::from_millis(1500);

/// Of what the view may keep, records of logs have this part, if any are told.
const LINES_PART: usize = 8;

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
    #[error("{0} stopped by itself, and nothing works without it: please report the log above")]
    Broken(&'static str),
}

/// The stages, the exporters, the view and what is received, all running.
pub struct Session {
    counters: Arc<Counters>,
    runtime: Runtime,
    ingest: Option<Ingest>,
    view: Option<View>,
    pipeline: Pipeline,
    metrics: Option<MetricsExporter>,
}

impl Session {
    /// Starts everything. `runtime` is for input and output; see [`io_runtime`].
    ///
    /// # Errors
    /// If it cannot trace. A view or a receiver whose address is taken is no reason not to.
    pub fn start(config: &Config, runtime: Runtime) -> Result<Self, RunError> {
        let counters = Arc::new(Counters::default());
        let linking = Arc::new(Linking::default());
        let inventory = Arc::new(Inventory::new(Arc::clone(&linking)));
        let (bound, problems) = config.view.as_ref().map_or_else(Default::default, bind);
        let ready = Arc::new(AtomicBool::new(false));
        // Known before anybody is answered.
        let own = bound.as_ref().map_or_else(|| OwnServer::new(None, Arc::default()), Bound::own);
        let ledger = Ledger::new(&Shares::of(config));
        let settings = settings(config, bound.is_some(), &ledger);
        let exporters = Exporters::start(settings, Arc::clone(&counters), runtime.handle())?;
        if config.sampling.share().is_some() {
            let sampler = Sampler::new(config.sampling.settings(ledger.sampling), Arc::clone(&counters.sampling));
            exporters.decide_by(sampler);
        }
        let stated = std::env::var("OTEL_RESOURCE_ATTRIBUTES").ok();
        let agent = Arc::new(discovery::resource::of_agent(&HostInfo::read("/".as_ref()), stated.as_deref()));
        let meters = measure(config, &ledger, &counters, &agent);
        let metrics = export_metrics(config, &exporters, (&counters, meters.as_ref(), agent), &runtime)?;
        let relays = Relays::start(config, &ledger, &exporters, &counters, &runtime);
        if let Some(relay) = relays.logs.clone().filter(|_| config.telling.has_records()) {
            let (room, counters) = (ledger.logs.clone(), Arc::clone(&counters));
            exporters.send_logs(LogsExporter::start(relay, config.logs_batch, room, counters, runtime.handle()));
        }
        let ingest = receive(config, &ledger, &exporters, (&counters, meters.as_ref()), &relays, &runtime);
        let listens: Vec<String> = ingest.iter().flat_map(Ingest::addresses).map(ToString::to_string).collect();
        // Not the receiver's in `own`: whoever sends spans to it is known by that, and left alone.
        let view = bound.zip(exporters.reader()).map(|(bound, reader)| {
            let persistent = config.view.as_ref().is_some_and(|view| view.store.path.is_some());
            let otlp_listen = (!listens.is_empty()).then(|| listens.join(", "));
            let (counters, linking) = (Arc::clone(&counters), Arc::clone(&linking));
            let inventory = Arc::clone(&inventory);
            let probes = probes(meters.clone(), &counters, &ready);
            let readings: Arc<dyn crate::span::Readings> = Arc::clone(&counters) as _;
            let counters = Arc::clone(&counters.view);
            bound.serve(Shown { reader, counters, readings, linking, inventory, persistent, otlp_listen, probes })
        });
        let view = view.transpose()?;
        let cluster = follow_pods(config, &counters, &runtime);
        let exporters = (exporters, meters.clone());
        let known = Known { inventory, cluster, runtimes: ask_runtimes(config, &counters, &runtime) };
        let pipeline = Pipeline::start(config, &counters, &linking, exporters, own, &ledger, known)?;
        // Who cannot trace at all is told that alone.
        problems.iter().for_each(|problem| log::warn!("{problem}"));
        runtime.spawn(watch_memory(ledger, Arc::clone(&counters)));
        meters.map(|meters| runtime.spawn(tend(meters, Arc::clone(pipeline.open_requests()))));
        ready.store(true, Ordering::Relaxed);
        Ok(Self { counters, runtime, ingest, view, pipeline, metrics })
    }

    /// What was seen and lost.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Where the view listens, if there is one.
    pub fn view(&self) -> Option<SocketAddr> {
        self.view.as_ref().and_then(View::address)
    }

    /// The view's socket, if it has one.
    pub fn socket(&self) -> Option<&Path> {
        self.view.as_ref().and_then(View::socket)
    }

    /// A stage that ended by itself, which is a defect.
    ///
    /// # Errors
    /// If there is one.
    pub fn check(&self) -> Result<(), RunError> {
        vital::lost().or_else(|| self.pipeline.ended()).map_or(Ok(()), |stage| Err(RunError::Broken(stage)))
    }

    /// What has been under way for a while.
    pub fn open_requests(&self) -> &Arc<OpenRequests> {
        self.pipeline.open_requests()
    }

    /// The runtime for input and output.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Detaches, delivers what is left for as long as it may take, and ends everything.
    pub fn stop(self) -> Arc<Counters> {
        let deadline = Instant::now() + FLUSH;
        drop(self.ingest);
        // Whoever watches would hold the exit up.
        if let Some(view) = self.view {
            view.stop();
        }
        let exporters = self.pipeline.stop();
        // Everything is measured by now.
        self.metrics.iter().for_each(|metrics| metrics.stop(deadline));
        if let Some(exporters) = exporters {
            finish(exporters, deadline);
        }
        if let Some(metrics) = self.metrics {
            metrics.wait(deadline);
        }
        // A connection that hangs must not hold the exit up.
        self.runtime.shutdown_timeout(Duration::from_millis(100));
        self.counters
    }
}

/// How often the counters are told how much memory is held.
const TELL_MEMORY: Duration = Duration::from_millis(100);
/// How often, in such turns, is looked whether some can be given back.
const LOOK_MEMORY: u32 = 10;

/// Tells the counters how much memory is held, and gives it back to the system when a load has ended.
async fn watch_memory(ledger: Ledger, counters: Arc<Counters>) {
    let (mut watch, mut trimmer) = (tokio::time::interval(TELL_MEMORY), Trimmer::default());
    for turn in 0_u32.. {
        watch.tick().await;
        let held = ledger.publish(&counters);
        if turn.is_multiple_of(LOOK_MEMORY) && trimmer.look(held, trim::resident()) {
            counters.memory_returned.inc();
            // A task that panicked has been told of by its panic; there is nothing to wait for otherwise.
            let _ = tokio::task::spawn_blocking(trim::give_back).await;
        }
    }
}

/// How often is looked for what metrics may let go of.
const TEND: Duration = Duration::from_secs(1);

/// Lets metrics tell of calls whose other end does not come, count what is under way, and forget what is over.
async fn tend(meters: Arc<Meters>, open: Arc<OpenRequests>) {
    let mut watch = tokio::time::interval(TEND);
    loop {
        watch.tick().await;
        meters.set_active(&open.get().active);
        meters.tick();
    }
}

/// What machines ask.
fn probes(meters: Option<Arc<Meters>>, counters: &Arc<Counters>, ready: &Arc<AtomicBool>) -> Probes {
    let (counters, ready, start) = (Arc::clone(counters), Arc::clone(ready), wirespan_meters::unix_nanos());
    let health = move || match (vital::lost(), ready.load(Ordering::Relaxed)) {
        (Some(stage), _) => Health::Lost(stage),
        (None, false) => Health::Starting,
        (None, true) => Health::Ready,
    };
    let figures = move |format, take: &mut dyn FnMut(String) -> bool| {
        let own = metrics::own::metrics(&counters, start);
        wirespan_meters::text::write(meters.as_deref(), &own, format, take);
    };
    Probes::new(health, Arc::new(figures))
}

/// Exports figures by OTLP, if that is asked for.
fn export_metrics(
    config: &Config,
    exporters: &Exporters,
    (counters, meters, agent): (&Arc<Counters>, Option<&Arc<Meters>>, Arc<Resource>),
    runtime: &Runtime,
) -> Result<Option<MetricsExporter>, RunError> {
    let Some(export) = config.metrics.export.clone().filter(|_| config.metrics.is_measured()) else { return Ok(None) };
    let (told, start) = (Arc::clone(counters), wirespan_meters::unix_nanos());
    let own = move || otlp::metrics::own(&agent, metrics::own::metrics(&told, start));
    let source = Source { meters: meters.cloned(), own: Box::new(own) };
    let way = exporters.way();
    let started = MetricsExporter::start(export, source, way.as_ref(), Arc::clone(counters), runtime.handle());
    Ok(Some(started.map_err(|error| ExportError::Otlp(error.into()))?))
}

/// What measures spans, if anything is to be measured.
fn measure(config: &Config, ledger: &Ledger, counters: &Counters, agent: &Arc<Resource>) -> Option<Arc<Meters>> {
    let MetricsConfig { conventions, generator, exemplars, series, exponential, ref export } = config.metrics;
    // Whoever tells differences keeps what was told.
    let twice = export.as_ref().is_some_and(|export| export.temporality != Temporality::Cumulative);
    let bytes = if twice { ledger.metrics / 2 } else { ledger.metrics };
    let settings = wirespan_meters::Settings { conventions, generator, exemplars, exponential, series, bytes };
    config
        .metrics
        .is_measured()
        .then(|| Arc::new(Meters::new(settings, Arc::clone(agent), Arc::clone(&counters.meters))))
}

/// Follows the pods of this node, if there is an API that can be asked.
fn follow_pods(config: &Config, counters: &Arc<Counters>, runtime: &Runtime) -> Option<Arc<Cluster>> {
    let kubernetes = config.kubernetes.clone()?;
    if kubernetes.node.is_empty() {
        log::warn!(
            "pods have no names: this node's own is not known. Give the container the variable NODE_NAME from \
             spec.nodeName, as deploy/kubernetes/wirespan.yaml does"
        );
        return None;
    }
    let cluster = Cluster::new(kubernetes.wanted.clone());
    let cluster = Arc::new(if kubernetes.peers { cluster.with_peers() } else { cluster });
    let door = Arc::new(Door::new(kubernetes, Arc::clone(counters)));
    kubernetes::follow(door, &cluster, runtime.handle());
    Some(cluster)
}

/// Asks container runtimes for names, if any may be asked.
fn ask_runtimes(config: &Config, counters: &Arc<Counters>, runtime: &Runtime) -> Option<Arc<Runtimes>> {
    let sockets = config.container_sockets.clone();
    if sockets.is_empty() {
        return None;
    }
    let (runtimes, roots) = (Arc::<Runtimes>::default(), discovery::processes::roots(Path::new("/proc")));
    runtime.spawn(containers::follow(Arc::clone(&runtimes), sockets, roots, Arc::clone(counters)));
    Some(runtimes)
}

/// The runtime that a session is given.
///
/// # Errors
/// If the system gives no thread.
pub fn io_runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name("wirespan-io").enable_all().build()
}

/// Takes the places of the view. What cannot be had turns off nothing else: what is stored in a file is stored even
/// where nobody can ask for it now.
fn bind(config: &ViewConfig) -> (Option<Bound>, Vec<String>) {
    let (bound, problems) = Bound::new(config);
    let mut told: Vec<String> =
        problems.iter().map(|problem| format!("the local view goes on without this: {problem}")).collect();
    let kept = !bound.is_empty() || config.store.path.is_some();
    if !kept && !told.is_empty() {
        told.push("the local view is off: it has no place to be asked at".to_owned());
    }
    (kept.then_some(bound), told)
}

/// What passes on metrics and logs, as far as there is a place for them. What cannot be passed on is refused where it is sent to.
struct Relays {
    metrics: Option<Relay>,
    logs: Option<Relay>,
}

impl Relays {
    fn start(
        config: &Config,
        ledger: &Ledger,
        exporters: &Exporters,
        counters: &Arc<Counters>,
        runtime: &Runtime,
    ) -> Self {
        let way = exporters.way();
        let start = |config: Option<OtlpConfig>, signal| {
            let (room, counters) = (ledger.relayed.clone(), Arc::clone(counters));
            let started = Relay::start((config?, signal), room, way.as_ref(), counters, runtime.handle());
            started.inspect_err(|error| log::error!("metrics and logs are not passed on: {error}")).ok()
        };
        let receives = config.otlp_in.is_some();
        let metrics = config.metrics.export.as_ref().filter(|_| receives).map(|export| export.otlp.clone());
        let logs = config.logs.clone().filter(|_| receives || config.telling.has_records());
        Self { metrics: start(metrics, Signal::Metrics), logs: start(logs, Signal::Logs) }
    }

    /// For requests of applications.
    fn of_applications(&self) -> ingest::Relays {
        let pass = |relay: &Option<Relay>| -> Option<ingest::relay::Pass> {
            let relay = relay.clone()?;
            Some(Arc::new(move |body| relay.pass(body)))
        };
        ingest::Relays { metrics: pass(&self.metrics), logs: pass(&self.logs) }
    }
}

/// Receives spans of applications, if that is asked for.
fn receive(
    config: &Config,
    ledger: &Ledger,
    exporters: &Exporters,
    (counters, meters): (&Arc<Counters>, Option<&Arc<Meters>>),
    relays: &Relays,
    runtime: &Runtime,
) -> Option<Ingest> {
    let otlp_in = config.otlp_in.as_ref()?;
    let settings = ingest::Settings {
        addresses: otlp_in.addresses.clone(),
        token: otlp_in.token.as_ref().map(|token| token.secret().into()),
        max_message: otlp_in.max_message,
        limits: otlp_in.limits,
        memory: ledger.received.clone(),
    };
    let (feed, meters) = (exporters.feed(), meters.cloned());
    let ingest = Ingest::start(&settings, counters, runtime.handle(), &relays.of_applications(), move |traces| {
        if let Some(meters) = &meters {
            meters.record_received(&traces);
        }
        feed.export(traces);
    });
    for address in ingest.addresses() {
        log::info!("OTLP is received on {address}, gRPC and HTTP");
    }
    Some(ingest)
}

fn settings(config: &Config, view: bool, ledger: &Ledger) -> ExportSettings {
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
        zipkin: config.zipkin.clone(),
        console: match config.output {
            Output::Text => Some(console(Format::Text)),
            Output::Json => Some(console(Format::Json)),
            Output::None => None,
        },
        store: config.view.as_ref().filter(|_| view).map(|view| {
            let lines = if config.telling.has_records() { ledger.store / LINES_PART } else { 0 };
            let limits = store::Limits { bytes: ledger.store - lines, ..view.store.limits };
            store::Settings { limits, lines: lines - lines / LINES_PART, ..view.store.clone() }
        }),
        batch: config.batch,
        memory: Some(ledger.clone()),
    }
}

fn finish(exporters: Exporters, deadline: Instant) {
    let lost = exporters.shutdown(deadline);
    if lost.otlp > 0 {
        log::warn!("{} spans were not acknowledged by the OTLP endpoint before the exit", lost.otlp);
    }
    if lost.zipkin > 0 {
        log::warn!("{} spans were not acknowledged by Zipkin before the exit", lost.zipkin);
    }
    if lost.store > 0 {
        log::warn!("{} spans did not get into the local view before the exit", lost.store);
    }
    if lost.logs > 0 {
        log::warn!("{} records of logs were not acknowledged by the OTLP endpoint before the exit", lost.logs);
    }
    if lost.console > 0 {
        log::warn!("{} spans were not written before the exit", lost.console);
    }
}
