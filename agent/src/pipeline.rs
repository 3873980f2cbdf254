//! Wires the stages: one thread reads the ring and parses, one links and assembles; exporters have their own.
//!
//! Between the two runs a bounded channel. When the second falls behind, the first waits and the ring fills: there,
//! in one place, records are lost and counted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use wirespan_common::{ExecEvent, IoEvent, MAX_EXEC_PAYLOAD, TaskEvent, UnitId};
use wirespan_protocols::Role;

use crate::bpf::{Capture, CaptureError, CaptureSettings, Mode, Record};
use crate::config::Config;
use crate::connections::{self, Connections, Signal, Verdict};
use crate::discovery::own::OwnServer;
use crate::discovery::{ExecInfo, HostInfo, Processes, Selection};
use crate::export::Exporters;
use crate::metrics::Counters;
use crate::traces::open::OpenRequests;
use crate::traces::{self, Traces};

/// Records read before time is looked at.
const DRAIN: usize = 4096;
/// Batches between the threads. Each may hold some megabytes, and all are worked off at the end.
const BATCHES: usize = 16;
/// Pause of the reader while events come: long enough for a worthwhile batch, short against the ring.
const BUSY_PAUSE: Duration = Duration::from_millis(4);
/// Longest pause of the reader while nothing comes.
const IDLE_PAUSE: Duration = Duration::from_millis(10);
/// Operations of a process that is not traced after which the kernel stops reporting it.
const IGNORE_AFTER: u32 = 32;
/// How often the kernel's counters are read.
const COUNTERS_EVERY: Duration = Duration::from_millis(500);
/// How often processes that ended unseen are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The running stages.
pub struct Pipeline {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<()>,
    linker: JoinHandle<Exporters>,
    open_requests: Arc<OpenRequests>,
}

impl Pipeline {
    /// Attaches the kernel programs and starts the stages. `exporters` get every finished trace. Connections to `view`,
    /// the agent's own server, are left alone.
    ///
    /// # Errors
    /// If the kernel programs cannot be loaded.
    pub fn start(
        config: &Config,
        counters: &Arc<Counters>,
        exporters: Exporters,
        view: Option<SocketAddr>,
    ) -> Result<Self, CaptureError> {
        let capture = Capture::start(&CaptureSettings {
            capture_bytes: config.capture_bytes as u32,
            ring_bytes: config.ring_bytes as u32,
            force_fallback: false,
        })?;
        if capture.mode() == Mode::SystemCallExit {
            log::warn!(
                "this kernel has no socket tracepoints (Linux 6.3): every system call is watched instead, which costs more"
            );
        }
        return_free_memory();
        let stop = Arc::new(AtomicBool::new(false));
        let (signals, batches) = sync_channel(BATCHES);
        let traces = Traces::new(
            traces::Limits { hold: config.trace_hold.as_nanos() as u64, max_spans: config.max_spans_in_flight },
            Arc::clone(counters),
        );
        let open_requests = traces.open_requests();
        let reader = Reader::new(config, capture, Arc::clone(counters), signals, view);
        let stop_reader = Arc::clone(&stop);
        let failed = |error: std::io::Error| CaptureError::Load("a thread", error.to_string());
        let named = |name: &str| Builder::new().name(name.into());
        let linker = named("wirespan-link").spawn(move || link(traces, &batches, exporters)).map_err(failed)?;
        let reader = named("wirespan-read").spawn(move || reader.run(&stop_reader)).map_err(failed)?;
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

    /// Whether a stage ended by itself, which is a defect.
    pub fn is_broken(&self) -> bool {
        self.reader.is_finished() || self.linker.is_finished()
    }
}

/// Loading reads the kernel's types, some megabytes that are never needed again: gives them back to the system.
fn return_free_memory() {
    // SAFETY: no preconditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The second thread: signals in, traces out.
fn link(mut traces: Traces, batches: &Receiver<Vec<Signal>>, exporters: Exporters) -> Exporters {
    loop {
        let batch = batches.recv_timeout(IDLE_PAUSE);
        let now = traces::now();
        let mut out = Vec::new();
        match batch {
            Ok(signals) => signals.into_iter().for_each(|signal| traces.signal(signal, now)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                traces.finish(&mut out);
                exporters.export(out);
                return exporters;
            }
        }
        traces.tick(now, &mut out);
        exporters.export(out);
    }
}

/// The first thread: records in, signals out.
struct Reader {
    capture: Capture,
    stages: Stages,
    signals: SyncSender<Vec<Signal>>,
    counters: Arc<Counters>,
    /// Records that the kernel had lost when last asked.
    lost: u64,
    said_io_uring: bool,
    said_ring_full: bool,
}

/// What the reader feeds, apart from the ring that it borrows from.
struct Stages {
    processes: Processes,
    selection: Arc<Selection>,
    connections: Connections,
    out: Vec<Signal>,
    mute: Vec<u64>,
    widen: Vec<u64>,
    ignore: Vec<u32>,
    /// Operations of processes that are not traced, by process.
    left_out: FxHashMap<u32, u32>,
    /// The agent's own server.
    own: Option<OwnServer>,
}

impl Reader {
    fn new(
        config: &Config,
        capture: Capture,
        counters: Arc<Counters>,
        signals: SyncSender<Vec<Signal>>,
        view: Option<SocketAddr>,
    ) -> Self {
        let processes = Processes::new(config, PathBuf::from("/proc"), HostInfo::read("/".as_ref()));
        let limits = connections::Limits {
            max_connections: config.max_connections,
            max_connection_buffer: config.max_connection_buffer,
            max_buffer: config.max_buffer,
            idle_timeout: config.idle_timeout.as_nanos() as u64,
            keep_query_values: config.keep_query_values,
            keep_query_text: config.keep_query_text,
        };
        let stages = Stages {
            selection: Arc::clone(processes.selection()),
            processes,
            connections: Connections::new(limits, Arc::clone(&counters)),
            out: Vec::new(),
            mute: Vec::new(),
            widen: Vec::new(),
            ignore: Vec::new(),
            left_out: FxHashMap::default(),
            own: view.map(OwnServer::new),
        };
        Self { capture, stages, signals, counters, lost: 0, said_io_uring: false, said_ring_full: false }
    }

    fn run(mut self, stop: &AtomicBool) {
        let (mut pause, mut counted, mut swept) = (IDLE_PAUSE, Instant::now(), Instant::now());
        while !stop.load(Ordering::Relaxed) {
            let read = self.turn();
            if counted.elapsed() > COUNTERS_EVERY {
                counted = Instant::now();
                self.capture.read_counters(&self.counters);
                self.say_what_is_unseen();
            }
            if swept.elapsed() > SWEEP_EVERY {
                swept = Instant::now();
                self.stages.processes.sweep();
            }
            if read < DRAIN {
                pause = if read > 0 { BUSY_PAUSE } else { (pause + Duration::from_millis(1)).min(IDLE_PAUSE) };
                std::thread::sleep(pause);
            }
        }
        self.capture.read_counters(&self.counters);
        self.capture.detach();
        while self.turn() > 0 {}
        self.stages.connections.finish(traces::now(), &mut self.stages.out);
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
    }

    /// Reads what is there. Returns the number of records.
    fn turn(&mut self) -> usize {
        let stages = &mut self.stages;
        let read = self.capture.drain(DRAIN, &self.counters, |record| stages.record(record));
        stages.connections.tick(traces::now(), &mut stages.out);
        let lost = self.capture.lost_records();
        if lost != std::mem::replace(&mut self.lost, lost) {
            // Where among these records is not known: whatever they suggest about threads is no proof.
            stages.out.insert(0, Signal::RecordsLost(true));
            stages.out.push(Signal::RecordsLost(false));
        }
        for cookie in stages.mute.drain(..) {
            self.capture.mute_socket(cookie);
        }
        for cookie in stages.widen.drain(..) {
            self.capture.widen_socket(cookie);
        }
        for tgid in stages.ignore.drain(..) {
            self.capture.ignore_process(tgid);
        }
        self.flush();
        read
    }

    fn flush(&mut self) {
        if !self.stages.out.is_empty() {
            // Fails only when the other thread is gone, and then there is nobody to tell.
            let _ = self.signals.send(std::mem::take(&mut self.stages.out));
        }
    }
}

impl Stages {
    fn record(&mut self, record: Record<'_>) {
        match record {
            Record::Io(event, bytes) => self.operation(&event, bytes),
            Record::State(event) => self.connections.state(&event, &mut self.out),
            Record::Fork(event) => self.fork(&event),
            Record::Exit(event) => {
                if event.tid == event.tgid {
                    self.processes.on_exit(event.tgid);
                    self.left_out.remove(&event.tgid);
                }
                self.out.push(Signal::TaskEnded {
                    task: unit(event.tgid, event.tid),
                    with_process: event.with_process != 0,
                });
            }
            Record::Exec(event, args, env) => self.exec(&event, args, env),
        }
    }

    fn operation(&mut self, event: &IoEvent, bytes: &[u8]) {
        let process = self.processes.get(event.unit.tgid);
        let ends = &event.endpoints;
        if !process.is_traced() {
            return self.leave_out(event.unit.tgid);
        }
        let own = |server: &OwnServer| server.is_peer(ends, event.unit.tgid);
        if self.own.as_ref().is_some_and(own)
            || !self.selection.connection_selected(process, ends.local_port, ends.peer_port)
        {
            return self.mute.push(event.cookie);
        }
        let process = Arc::clone(process);
        let from = self.out.len();
        match self.connections.operation(event, bytes, &process, &mut self.out) {
            Verdict::Continue => {}
            Verdict::Mute => self.mute.push(event.cookie),
            Verdict::Widen => self.widen.push(event.cookie),
        }
        for at in from..self.out.len() {
            self.learn(at, event.time);
        }
    }

    /// An operation of a process that is not traced. The kernel is told only after some of them: a wrapper such as `sudo`
    /// may by now have become the program that is.
    fn leave_out(&mut self, tgid: u32) {
        let operations = self.left_out.entry(tgid).or_default();
        *operations += 1;
        if *operations == IGNORE_AFTER {
            self.ignore.push(tgid);
        }
    }

    /// What a signal says about its process.
    fn learn(&mut self, at: usize, now: u64) {
        match &mut self.out[at] {
            Signal::Started(started) if started.connection.role == Role::Server => {
                let tgid = started.process.tgid;
                if self.processes.on_server_port(tgid, started.connection.endpoints.local_port) {
                    started.process = Arc::clone(self.processes.get(tgid));
                }
            }
            Signal::ExportsTelemetry { tgid } if self.processes.mark_exports_telemetry(*tgid) => {
                let tgid = *tgid;
                log::info!("process {tgid} exports its own telemetry: left alone (--allow-duplicate-spans traces it)");
                self.ignore.push(tgid);
                self.connections.leave_alone(tgid, now, &mut self.out);
            }
            _ => {}
        }
    }

    fn fork(&mut self, event: &TaskEvent) {
        if event.tid == event.tgid {
            self.processes.on_fork(event.tgid, event.parent_tgid, event.time);
        }
        let creator = unit(event.parent_tgid, event.parent_tid);
        self.out.push(Signal::TaskCreated { creator, task: unit(event.tgid, event.tid) });
    }

    fn exec(&mut self, event: &ExecEvent, args: &[u8], env: &[u8]) {
        self.left_out.remove(&event.tgid);
        self.processes.on_exec(&ExecInfo {
            tgid: event.tgid,
            parent_tgid: event.parent_tgid,
            uid: event.uid,
            cgroup_id: event.cgroup_id,
            time: event.time,
            comm: &event.comm,
            args,
            env,
            args_truncated: args.len() >= MAX_EXEC_PAYLOAD / 4,
            env_truncated: env.len() >= MAX_EXEC_PAYLOAD * 3 / 4,
        });
    }
}

fn unit(tgid: u32, tid: u32) -> UnitId {
    UnitId { tgid, tid, ..UnitId::default() }
}
