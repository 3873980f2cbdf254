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

use crate::bpf::{Capture, CaptureError, CaptureSettings, Mode};
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::connections::{self, Signal};
use crate::discovery::own::OwnServer;
use crate::discovery::{HostInfo, Processes};
use crate::export::Exporters;
use crate::metrics::Counters;
use crate::span::{Linking, OpenRequests};
use crate::stages::{Stages, Wish};
use crate::traces::{self, Traces};

/// Records read before time is looked at.
const DRAIN: usize = 4096;
/// Batches between the threads. Each may hold some megabytes, and all are worked off at the end.
const BATCHES: usize = 16;
/// Pause of the reader while events come: long enough for a worthwhile batch, short against the ring.
const BUSY_PAUSE: Duration = Duration::from_millis(4);
/// Longest pause of the reader while nothing comes.
const IDLE_PAUSE: Duration = Duration::from_millis(10);
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
        linking: &Arc<Linking>,
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
        let mut traces = Traces::new(
            traces::Limits {
                hold: config.trace_hold.as_nanos() as u64,
                inferred: config.inferred_links,
                max_spans: config.max_spans_in_flight,
            },
            Arc::clone(&counters.links),
        );
        traces.show_linking(Arc::clone(linking));
        let open_requests = traces.open_requests();
        let reader = Reader::new(config, capture, Arc::clone(counters), signals, view);
        let stop_reader = Arc::clone(&stop);
        let failed = |error: std::io::Error| CaptureError::Load("a thread", error.to_string());
        let named = |name: &str| Builder::new().name(name.into());
        let linker = Linker { traces, clock: Clock::default(), counters: Arc::clone(counters) };
        let linker = named("wirespan-link").spawn(move || linker.run(&batches, exporters)).map_err(failed)?;
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
struct Linker {
    traces: Traces,
    clock: Clock,
    counters: Arc<Counters>,
}

impl Linker {
    fn run(mut self, batches: &Receiver<Vec<Signal>>, exporters: Exporters) -> Exporters {
        loop {
            let batch = batches.recv_timeout(IDLE_PAUSE);
            let now = clock::now();
            let mut out = Vec::new();
            self.clock.refresh(now);
            self.traces.set_offset(self.clock.offset());
            match batch {
                Ok(signals) => signals.into_iter().for_each(|signal| self.traces.signal(signal, now)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let in_flight = self.traces.finish(&mut out);
                    self.counters.exchanges_dropped.add(in_flight as u64);
                    exporters.export(out);
                    return exporters;
                }
            }
            self.traces.tick(now, &mut out);
            exporters.export(out);
        }
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

impl Reader {
    fn new(
        config: &Config,
        capture: Capture,
        counters: Arc<Counters>,
        signals: SyncSender<Vec<Signal>>,
        view: Option<SocketAddr>,
    ) -> Self {
        let processes = Processes::new(config, PathBuf::from("/proc"), HostInfo::read("/".as_ref()));
        let limits = connections::Limits::of(config);
        let stages = Stages::new(processes, limits, Arc::clone(&counters), view.map(OwnServer::new));
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
                self.stages.sweep();
            }
            if read < DRAIN {
                pause = if read > 0 { BUSY_PAUSE } else { (pause + Duration::from_millis(1)).min(IDLE_PAUSE) };
                std::thread::sleep(pause);
            }
        }
        self.capture.read_counters(&self.counters);
        self.capture.detach();
        while self.turn() > 0 {}
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
    }

    /// Reads what is there. Returns the number of records.
    fn turn(&mut self) -> usize {
        let stages = &mut self.stages;
        let read = self.capture.drain(DRAIN, &self.counters, |record| stages.record(record));
        stages.tick(clock::now());
        let lost = self.capture.lost_records();
        if lost != std::mem::replace(&mut self.lost, lost) {
            stages.records_lost();
        }
        for wish in stages.wishes() {
            match wish {
                Wish::Mute(cookie) => self.capture.mute_socket(cookie),
                Wish::Widen(cookie) => self.capture.widen_socket(cookie),
                Wish::Ignore(tgid) => self.capture.ignore_process(tgid),
            }
        }
        self.flush();
        read
    }

    fn flush(&mut self) {
        let signals = self.stages.take_signals();
        if !signals.is_empty() {
            // Fails only when the other thread is gone, and then there is nobody to tell.
            let _ = self.signals.send(signals);
        }
    }
}
