//! Wires the stages: one thread reads the ring and parses, one links and assembles; exporters have their own.
//!
//! Between the two runs a channel that is bounded by bytes. When the second falls behind, the first waits and the ring fills: there,
//! in one place, records are lost and counted.

mod heed;

use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use wirespan_protocols::exchange::Reason;

use rustc_hash::FxHashSet;

use crate::bpf::lines::Wanted;
use crate::bpf::probes::EVERY_PROCESS;
use crate::bpf::{Capture, CaptureError, CaptureSettings, Mode};
use crate::clock::{self, Clock};
use crate::config::{Config, Rule};
use crate::connections::{self, Signal};
use crate::containers::Runtimes;
use crate::discovery::facts::is_listened_on;
use crate::discovery::{HostInfo, Processes};
use crate::export::Exporters;
use crate::inventory::Inventory;
use crate::kubernetes::Cluster;
use crate::kubernetes::peers::Neighbours;
use crate::lines::Lines;
use crate::lines::places::Places;
use crate::losses::Losses;
use crate::memory::channel::{Nothing, Receiver, Sender, channel};
use crate::memory::{Account, Ledger, trim};
use crate::metrics::Counters;
use crate::operations::Operations;
use crate::remarks::Remarks;
use crate::span::{Linking, OpenRequests, Trace};
use crate::stages::{Stages, Wish};
use crate::tls::Libraries;
use crate::traces::{self, Interest, Recorder, Traces};
use crate::units::Finder;
use crate::vital::Vital;
use wirespan_meters::Meters;
use wirespan_view::web::own::OwnServer;

/// Records read before time is looked at.
const DRAIN: usize = 4096;
/// A batch is passed on when it is this part of what may be between the threads.
const BATCH_PART: usize = 16;
/// How often what time demands is done, at most.
const TICK: Duration = Duration::from_millis(1);
/// Pause of the reader while events come: long enough for a worthwhile batch, short against the ring.
const BUSY_PAUSE: Duration = Duration::from_millis(4);
/// Longest pause of the reader while nothing comes.
const IDLE_PAUSE: Duration = Duration::from_millis(10);
/// Processes that are named as too loud, at most.
const MANY_PROCESSES: usize = 1000;
/// How often the kernel's counters are read.
const COUNTERS_EVERY: Duration = Duration::from_millis(500);
/// When rules are told that nothing is what they are about.
const IDLE_RULES_AFTER: Duration = Duration::from_secs(5);
/// How often processes that ended unseen are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The stages, as people are told of them.
const READING: &str = "the reading of the ring";
const LINKING: &str = "the linking of traces";

/// The running stages.
pub struct Pipeline {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<()>,
    linker: JoinHandle<Exporters>,
    open_requests: Arc<OpenRequests>,
}

/// What is known of processes beside what the kernel and their files say, and where it is told.
pub struct Known {
    /// Which processes there are, for who asks.
    pub inventory: Arc<Inventory>,
    /// Pods, if there is an API that names them.
    pub cluster: Option<Arc<Cluster>>,
    /// Containers, if there are runtimes that may be asked.
    pub runtimes: Option<Arc<Runtimes>>,
}

impl Pipeline {
    /// Attaches the kernel programs and starts the stages. `exporters` get every finished trace, and `meters` every
    /// finished span. Connections to `own`,
    /// the agent's own server, are left alone.
    ///
    /// # Errors
    /// If the kernel programs cannot be loaded.
    pub fn start(
        config: &Config,
        counters: &Arc<Counters>,
        linking: &Arc<Linking>,
        (exporters, meters): (Exporters, Option<Arc<Meters>>),
        own: OwnServer,
        ledger: &Ledger,
        known: Known,
    ) -> Result<Self, CaptureError> {
        let capture = Capture::start(&CaptureSettings {
            capture_bytes: config.capture_bytes as u32,
            ring_bytes: config.ring_bytes as u32,
            force_fallback: false,
            lines: config.lines,
            clocks: config.time_split,
        })?;
        if capture.mode() == Mode::SystemCallExit {
            log::warn!(
                "this kernel has no socket tracepoints (Linux 6.3): every system call is watched instead, which costs more"
            );
        }
        // Loading reads the kernel's types, some megabytes that are never needed again.
        trim::give_back();
        let stop = Arc::new(AtomicBool::new(false));
        let (signals, batches) = channel(ledger.signals.clone());
        let limits = traces::Limits {
            hold: config.trace_hold.as_nanos() as u64,
            inferred: config.inferred_links,
            max_spans: config.max_spans_in_flight,
            max_bytes: ledger.spans.limit(),
        };
        let mut traces = Traces::new(limits, Arc::clone(&counters.links));
        traces.show_linking(Arc::clone(linking));
        if config.sampling.head.ignores_flags() {
            traces.record_unsampled();
        }
        if meters.is_some() {
            traces.tell_unrecorded();
        }
        if let Some(path) = &config.record_facts {
            traces.record(recorder(path).map_err(|e| CaptureError::Record(path.display().to_string(), e))?);
        }
        let interests: Interests = Arc::default();
        let linker = Linker {
            open: traces.open_requests(),
            traces,
            operations: Operations::default(),
            clock: Clock::default(),
            batches,
            exporters,
            meters,
            memory: ledger.spans.clone(),
            remarks: Remarks::new(config, Arc::clone(counters)),
            peers: known.cluster.as_ref().and_then(|cluster| cluster.peers().cloned()),
            counters: Arc::clone(counters),
            interests: Arc::clone(&interests),
        };
        let open_requests = linker.traces.open_requests();
        let mut reader = Reader::new(config, capture, Arc::clone(counters), signals, own, ledger, known);
        reader.interests = interests;
        let stop_reader = Arc::clone(&stop);
        let failed = |error: std::io::Error| CaptureError::Load("a thread", error.to_string());
        let named = |name: &str| Builder::new().name(name.into());
        let linker = named("wirespan-link")
            .spawn(move || {
                let _vital = Vital::of(LINKING);
                linker.run()
            })
            .map_err(failed)?;
        let reader = named("wirespan-read")
            .spawn(move || {
                let _vital = Vital::of(READING);
                reader.run(&stop_reader);
            })
            .map_err(failed)?;
        Ok(Self { stop, reader, linker, open_requests })
    }

    /// Detaches, reads what is left, and waits until everything finished was handed to the exporters, which come back
    /// unless their thread panicked.
    pub fn stop(self) -> Option<Exporters> {
        self.stop.store(true, Ordering::Relaxed);
        if self.reader.join().is_err() {
            log::error!("the reading stage panicked; what it held is lost");
        }
        self.linker.join().inspect_err(|_| log::error!("the linking stage panicked; what it held is lost")).ok()
    }

    /// What has been under way for a while.
    pub fn open_requests(&self) -> &Arc<OpenRequests> {
        &self.open_requests
    }

    /// A stage that ended by itself, which is a defect.
    pub fn ended(&self) -> Option<&'static str> {
        let ended = |(thread, stage)| if thread { Some(stage) } else { None };
        [(self.reader.is_finished(), READING), (self.linker.is_finished(), LINKING)].into_iter().find_map(ended)
    }
}

/// Writes facts to a file that only its owner reads. What cannot be written is missing, and that is said once.
fn recorder(path: &Path) -> std::io::Result<Recorder> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    let (mut file, mut failed) = (BufWriter::new(file), false);
    Ok(Box::new(move |line| {
        if let Err(error) = writeln!(file, "{line}")
            && !std::mem::replace(&mut failed, true)
        {
            log::error!("facts cannot be written down: {error}");
        }
    }))
}

/// What linking wants to be told of, or no longer.
type Interests = Arc<Mutex<Vec<(Interest, bool)>>>;

/// The second thread: signals in, traces out.
struct Linker {
    traces: Traces,
    operations: Operations,
    remarks: Remarks,
    peers: Option<Arc<Neighbours>>,
    open: Arc<OpenRequests>,
    batches: Receiver<Signal>,
    exporters: Exporters,
    meters: Option<Arc<Meters>>,
    memory: Account,
    clock: Clock,
    counters: Arc<Counters>,
    interests: Interests,
}

impl Linker {
    /// Tells the reader what is worth looking at.
    fn tell_interests(&mut self) {
        let interests = self.traces.take_interests();
        if !interests.is_empty() {
            self.interests.lock().unwrap_or_else(PoisonError::into_inner).extend(interests);
        }
    }

    fn run(mut self) -> Exporters {
        loop {
            let batch = self.batches.receive(IDLE_PAUSE);
            let now = clock::now();
            self.clock.refresh(now);
            self.traces.set_offset(self.clock.offset());
            match batch {
                Ok(mut batch) => batch.take().into_iter().for_each(|signal| self.traces.signal(signal, now)),
                Err(Nothing::Yet) => {}
                Err(Nothing::AnyMore) => {
                    let mut out = Vec::new();
                    let in_flight = self.traces.finish(&mut out);
                    self.counters.dropped("unknown", Reason::Unwatched, in_flight as u64);
                    self.pass_on(out);
                    self.exporters.export_logs(self.traces.take_logs());
                    return self.exporters;
                }
            }
            self.tell_interests();
            self.hand_on(now);
        }
    }

    /// Every finished span is measured here, whatever becomes of its trace; what is kept goes on.
    fn pass_on(&mut self, mut traces: Vec<Trace>) {
        self.operations.name(&mut traces);
        self.name_peers(&mut traces);
        self.remarks.make(&mut traces);
        let meters = self.meters.clone();
        if let Some(meters) = &meters {
            let mut unrecorded = self.traces.take_unrecorded();
            self.operations.name(&mut unrecorded);
            self.name_peers(&mut unrecorded);
            meters.record(&unrecorded, false);
        }
        self.exporters.export_told(traces, |traces, kept| match (&meters, kept) {
            (None, _) => {}
            (Some(meters), None) => meters.record(traces, true),
            (Some(meters), Some(kept)) => {
                let each = traces.iter().zip(kept);
                each.for_each(|(trace, kept)| meters.record(std::slice::from_ref(trace), *kept));
            }
        });
    }

    fn name_peers(&self, traces: &mut [Trace]) {
        if let Some(peers) = &self.peers {
            peers.name(traces.iter_mut().flat_map(|trace| &mut trace.spans), &self.counters);
        }
    }

    /// Hands on what is ready, some of it at a time.
    fn hand_on(&mut self, now: u64) {
        let mut more = true;
        while more {
            let mut out = Vec::new();
            more = self.traces.tick(now, &mut out);
            self.pass_on(out);
        }
        self.exporters.export_logs(self.traces.take_logs());
        self.exporters.tick(now);
        self.operations.name_open(&self.open);
        self.memory.set(self.traces.bytes());
    }
}

/// Says which rules are about nothing that is there.
fn say_idle_rules(rules: Vec<(String, Rule)>) {
    for (text, rule) in rules {
        match rule {
            // Pods come and go.
            _ if rule.is_about_pods() => log::debug!("{text} is about nothing so far"),
            Rule::Port(port) if is_listened_on(port) => {}
            Rule::Port(_) => {
                log::warn!("{text} is about nothing so far: nobody listens on that port, and no connection has it")
            }
            _ => log::warn!("{text} is about nothing so far: no process fits it. `wirespan ps` lists the processes"),
        }
    }
}

/// The first thread: records in, signals out.
struct Reader {
    capture: Capture,
    stages: Stages,
    signals: Sender<Signal>,
    /// Bytes of a batch.
    batch: usize,
    ticked: Instant,
    counters: Arc<Counters>,
    /// What the kernel had lost when last asked.
    losses: Losses,
    inventory: Arc<Inventory>,
    /// What linking wants to be told of, or no longer.
    interests: Interests,
    said_io_uring: bool,
    said_ring_full: bool,
    said_idle_rules: bool,
    /// Records left out over a budget, when last asked.
    over_budget: u64,
    /// Processes of which was said that they are over their budget.
    said_over_budget: FxHashSet<u32>,
}

impl Reader {
    fn new(
        config: &Config,
        capture: Capture,
        counters: Arc<Counters>,
        signals: Sender<Signal>,
        own: OwnServer,
        ledger: &Ledger,
        known: Known,
    ) -> Self {
        let mut processes = Processes::new(config, PathBuf::from("/proc"), HostInfo::read("/".as_ref()));
        if let Some(cluster) = known.cluster {
            processes.look_for_pods(cluster);
        }
        if let Some(runtimes) = known.runtimes {
            processes.ask_runtimes(runtimes);
        }
        let limits = connections::Limits { memory: ledger.connections.clone(), ..connections::Limits::of(config) };
        let mut stages = Stages::new(processes, limits, Arc::clone(&counters), Some(own));
        match Finder::start(PathBuf::from("/proc"), config.probes) {
            Ok(finder) => stages.find_units(finder),
            Err(error) => log::warn!("goroutines cannot be told apart: {error}"),
        }
        if config.lines != Wanted::Off {
            let places = Places::new(PathBuf::from("/proc"));
            stages.read_lines(Lines::new(places, config.telling, Arc::clone(&counters)));
        }
        if config.tls.any() {
            match Libraries::start(PathBuf::from("/proc"), config.tls.otherwise()) {
                Ok(libraries) => stages.find_libraries(libraries),
                Err(error) => log::warn!("what passes inside TLS is not read: {error}"),
            }
        }
        Self {
            capture,
            stages,
            signals,
            batch: ledger.signals.limit() / BATCH_PART,
            ticked: Instant::now(),
            counters,
            losses: Losses::default(),
            inventory: known.inventory,
            interests: Interests::default(),
            said_io_uring: false,
            said_ring_full: false,
            said_idle_rules: false,
            over_budget: 0,
            said_over_budget: FxHashSet::default(),
        }
    }

    fn run(mut self, stop: &AtomicBool) {
        let (mut pause, mut counted, mut swept) = (IDLE_PAUSE, Instant::now(), Instant::now());
        let (began, mut surveying) = (Instant::now(), true);
        self.stages.begin_survey();
        while !stop.load(Ordering::Relaxed) {
            let (read, full) = self.turn();
            surveying = surveying && self.stages.survey();
            if self.inventory.take_wish() {
                self.inventory.set(self.stages.list(&self.inventory));
            }
            if !surveying && began.elapsed() > IDLE_RULES_AFTER && !std::mem::replace(&mut self.said_idle_rules, true) {
                say_idle_rules(self.stages.idle_rules());
            }
            if counted.elapsed() > COUNTERS_EVERY {
                counted = Instant::now();
                self.capture.read_counters(&self.counters);
                self.say_what_is_unseen();
            }
            if swept.elapsed() > SWEEP_EVERY {
                swept = Instant::now();
                self.stages.sweep();
            }
            if !full {
                pause = if read > 0 { BUSY_PAUSE } else { (pause + Duration::from_millis(1)).min(IDLE_PAUSE) };
                std::thread::sleep(pause);
            }
        }
        self.capture.read_counters(&self.counters);
        self.capture.detach();
        while self.turn().0 > 0 {}
        self.stages.finish(clock::now());
        self.flush();
    }

    /// Says once of each kind of loss that it began; the counters say how much.
    fn say_what_is_unseen(&mut self) {
        let counters = &self.counters;
        if counters.kernel_io_uring.get() > 0 && !std::mem::replace(&mut self.said_io_uring, true) {
            log::warn!("a program uses io_uring: its requests there are not seen (counter kernel_io_uring)");
        }
        if counters.kernel_ring_full.get() > 0 && !std::mem::replace(&mut self.said_ring_full, true) {
            log::warn!("records are lost because the ring is full (counter kernel_ring_full): raise --ring-bytes");
        }
        if counters.kernel_over_budget.get() > self.over_budget {
            self.over_budget = counters.kernel_over_budget.get();
            self.say_who_is_over_budget();
        }
    }

    /// Names each process once that put more than its share on the ring.
    fn say_who_is_over_budget(&mut self) {
        for (tgid, records) in self.capture.over_budget() {
            if self.said_over_budget.len() < MANY_PROCESSES && self.said_over_budget.insert(tgid) {
                let name = self.stages.name_of(tgid);
                log::warn!(
                    "process {tgid} ({name}) says more than the agent can follow: {records} of its records were left out so \
                     far (counter kernel_over_budget), so that others are seen"
                );
            }
        }
    }

    /// Reads what is there. Returns the number of records, and whether there may be more at once.
    fn turn(&mut self) -> (usize, bool) {
        let (stages, batch) = (&mut self.stages, self.batch);
        let mut room = true;
        let read = self.capture.drain(DRAIN, &self.counters, |record| {
            stages.record(record);
            room = stages.signal_bytes() < batch;
            room
        });
        // (Before it is told that something has ended without an answer.)
        let lost = self.capture.losses(&mut self.losses);
        let full = read == DRAIN || !room;
        stages.records_lost(&lost, clock::now(), !full);
        // (Under load a turn may have few records.)
        if self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            stages.tick(clock::now(), |cookie| self.capture.stands(cookie));
        }
        for wish in stages.wishes() {
            match wish {
                Wish::Mute(cookie) => self.capture.mute_socket(cookie),
                Wish::Hush(cookie) => self.capture.hush_socket(cookie),
                Wish::Rouse(cookie) => self.capture.rouse_socket(cookie),
                Wish::Widen(cookie, directions) => self.capture.widen_socket(cookie, directions),
                Wish::Secure(cookie) => self.capture.secure_socket(cookie),
                Wish::ProbeFile(probes) => self.capture.probe(EVERY_PROCESS, vec![probes]),
                Wish::LeaveTls(tgid) => self.capture.leave_tls(tgid),
                Wish::Ignore(tgid) => self.capture.ignore_process(tgid),
                Wish::Heed(tgid) => self.capture.heed_process(tgid),
                Wish::Units(tgid, units) => self.capture.set_units(tgid, units),
                Wish::ForgetUnits(tgid) => self.capture.forget_runtime(tgid),
                Wish::Logs(tgid, places) => self.capture.set_logs(tgid, places),
                Wish::Probe(tgid, probes) => self.capture.probe(tgid, probes),
                Wish::Unprobe(tgid, program) => self.capture.unprobe(tgid, program),
            }
        }
        self.probed();
        self.heed();
        self.flush();
        (read, full)
    }

    fn flush(&mut self) {
        let (signals, bytes) = self.stages.take_signals();
        if !signals.is_empty() && self.signals.send(signals, bytes) {
            self.counters.memory_waits.inc();
        }
    }
}
