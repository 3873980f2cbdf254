//! The only user of aya: loads the kernel programs, attaches them, reads their records.
//!
//! | file | what it is |
//! |---|---|
//! | `btf.rs`, `offsets.rs` | field offsets of the running kernel |
//! | `budgets.rs` | how much one socket and one process may put on the ring |
//! | `hooks.rs` | programs at places of the kernel that it may not have |
//! | `records.rs` | the ring's records |
//! | `lines.rs` | what sees what programs write where their lines go |
//! | `probes/` | places in programs at which a kernel program runs |
//! | `watch.rs` | which threads' sleeps are looked at |
//! | `verify.rs` | what the kernel's verifier took for each program |
//! | `probe.rs` | what this kernel and these privileges allow, for `wirespan doctor` |
//!
//! Nothing is pinned: programs, maps and links live exactly as long as the agent's file descriptors.

mod btf;
mod budgets;
mod hooks;
pub mod lines;
mod offsets;
pub mod probe;
pub mod probes;
mod records;
pub mod verify;
mod watch;

use aya::maps::{HashMap, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, FExit, RawTracePoint};
use aya::{Ebpf, EbpfLoader};
use wirespan_common::{
    Budget, Counter, JavaState, Limits, LogPlaces, PROCESS_IGNORED, PROCESS_TLS_OFF, PROCESS_UNITS, PythonState,
    RuntimeState, SOCKET_HUSHED, SOCKET_MUTED, SOCKET_SECURED, SOCKET_WIDE, SocketPositions, UNIT_LOOP, UNIT_TASK,
    UNIT_VIRTUAL,
};

use probes::{Attacher, Outcome, Probes, Program};
pub use records::Record;

use crate::losses::{Losses, Lost};
use crate::metrics::Counters;
use crate::units::Units;

/// The kernel programs, empty if the agent was built without them.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/wirespan-ebpf"));

/// Where the kernel describes its types.
pub const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Why capture cannot start. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Built without the BPF object.
    #[error("this wirespan was built without its kernel programs: build it with `cargo xtask build`")]
    NoObject,
    /// No BTF.
    #[error(
        "cannot read {BTF_PATH} ({0}): wirespan needs a kernel with CONFIG_DEBUG_INFO_BTF=y (every major distribution's since 2021)"
    )]
    NoBtf(std::io::Error),
    /// BTF is there but unusable.
    #[error("cannot use {BTF_PATH}: {0}")]
    Btf(String),
    /// A structure lacks a field.
    #[error("this kernel's `{0}` is unknown to wirespan: please report it with the output of `uname -r`")]
    Field(String),
    /// The file for facts.
    #[error("cannot write {0}: {1}")]
    Record(String, std::io::Error),
    /// EPERM.
    #[error(
        "no permission to load BPF programs: run wirespan as root, or give it CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE ({0})"
    )]
    Permission(String),
    /// Everything else that loading can say.
    #[error("cannot load the kernel program `{0}`: {1}; `wirespan doctor` tells what this kernel allows")]
    Load(&'static str, String),
}

/// Which hooks see the socket operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `tp_btf/sock_send_length` and `sock_recv_length` (Linux 6.3 and later).
    SocketTracepoints,
    /// `raw_tp/sys_exit`: on every system call of the machine.
    SystemCallExit,
}

/// `BPF_RINGBUF_HDR_SZ`: stands before every record, which with it takes a multiple of as many bytes
/// (`kernel/bpf/ringbuf.c`).
const RING_HEADER: usize = 8;

/// What the programs are loaded with.
#[derive(Clone, Debug)]
pub struct CaptureSettings {
    /// Most bytes captured of one operation.
    pub capture_bytes: u32,
    /// Size of the ring in bytes, a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// Use the fallback even where the socket tracepoints exist, for tests.
    pub force_fallback: bool,
    /// What may see what programs write where their lines go.
    pub lines: lines::Wanted,
    /// Tell with each operation how long its thread had run, and waited for a CPU.
    pub clocks: bool,
}

/// Running kernel programs.
pub struct Capture {
    /// Gone once detached.
    ebpf: Option<Ebpf>,
    ring: RingBuf<MapData>,
    processes: HashMap<MapData, u32, u8>,
    sockets: HashMap<MapData, u64, u32>,
    positions: HashMap<MapData, u64, PlainPositions>,
    runtimes: HashMap<MapData, u32, PlainRuntimeState>,
    pythons: HashMap<MapData, u32, PlainPythonState>,
    javas: HashMap<MapData, u32, PlainJavaState>,
    logs: HashMap<MapData, u32, lines::PlainLogPlaces>,
    counters: PerCpuArray<MapData, u64>,
    budgets: HashMap<MapData, u32, PlainBudget>,
    watched: watch::Watched,
    sleeps: bool,
    unix: bool,
    /// What tells that loops are woken waits for the first.
    wakes: bool,
    lines: lines::Seen,
    /// Gone once detached; or why there are no probes.
    attacher: Result<Attacher, String>,
    mode: Mode,
}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PlainPositions(SocketPositions);

// SAFETY: integers only, no padding (asserted by its size in wirespan-common).
unsafe impl aya::Pod for PlainPositions {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PlainBudget(Budget);

// SAFETY: integers only, no padding (asserted by its size in wirespan-common).
unsafe impl aya::Pod for PlainBudget {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PlainLimits(Limits);

// SAFETY: integers only, no padding (asserted by its size in wirespan-common).
unsafe impl aya::Pod for PlainLimits {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PlainRuntimeState(RuntimeState);

// SAFETY: integers only, no padding (asserted by its size in wirespan-common).
unsafe impl aya::Pod for PlainRuntimeState {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PlainPythonState(PythonState);

// SAFETY: integers only, no padding (asserted by its size in wirespan-common).
unsafe impl aya::Pod for PlainPythonState {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PlainJavaState(JavaState);

// SAFETY: integers only, no padding (asserted by its size in wirespan-common).
unsafe impl aya::Pod for PlainJavaState {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct Offsets([u32; offsets::COUNT]);

// SAFETY: an array of integers.
unsafe impl aya::Pod for Offsets {}

/// Programs on typed tracepoints that every mode needs: name of the program, of the tracepoint.
const COMMON_PROGRAMS: [(&str, &str); 5] = [
    ("wirespan_state", "inet_sock_set_state"),
    ("wirespan_destroy", "tcp_destroy_sock"),
    ("wirespan_fork", "sched_process_fork"),
    ("wirespan_exec", "sched_process_exec"),
    ("wirespan_task_exit", "sched_process_exit"),
];
const SOCKET_PROGRAMS: [(&str, &str); 3] = [
    ("wirespan_send", "sock_send_length"),
    ("wirespan_recv", "sock_recv_length"),
    ("wirespan_error", "inet_sk_error_report"),
];

/// CPUs that this machine may ever have, for maps with an entry each.
fn possible_cpus() -> u32 {
    aya::util::nr_cpus().ok().and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1024)
}

impl Capture {
    /// Loads and attaches everything; the agent's own process is ignored from the first event on.
    pub fn start(settings: &CaptureSettings) -> Result<Self, CaptureError> {
        let kernel_btf = aya::Btf::from_sys_fs().map_err(|e| CaptureError::Btf(e.to_string()))?;
        let (mut ebpf, typed) = Self::object(settings, &kernel_btf)?;
        let mode = if typed && !settings.force_fallback { Mode::SocketTracepoints } else { Mode::SystemCallExit };
        let maps = probes::load::maps(&ebpf);
        let mut capture = Self {
            ring: take(&mut ebpf, "EVENTS")?,
            processes: take(&mut ebpf, "PROCESSES")?,
            sockets: take(&mut ebpf, "SOCKETS")?,
            positions: take(&mut ebpf, "POSITIONS")?,
            runtimes: take(&mut ebpf, "RUNTIMES")?,
            pythons: take(&mut ebpf, "PYTHONS")?,
            javas: take(&mut ebpf, "JAVAS")?,
            logs: take(&mut ebpf, "LOGS")?,
            counters: take(&mut ebpf, "COUNTERS")?,
            budgets: take(&mut ebpf, "PROCESS_BUDGETS")?,
            watched: watch::Watched::new(take(&mut ebpf, "WATCHED")?),
            ebpf: Some(ebpf),
            sleeps: false,
            unix: false,
            wakes: false,
            lines: lines::Seen::default(),
            attacher: Err(String::new()),
            mode,
        };
        capture.ignore_process(std::process::id());
        capture.attach(&kernel_btf)?;
        capture.lines = capture.attach_lines(settings.lines, &kernel_btf);
        capture.attacher = capture.load_probes(&maps).inspect_err(|error| {
            log::warn!("what units of runtimes do for each other is not seen, so fewer calls are linked: {error}");
        });
        Ok(capture)
    }

    /// The programs, of which none is loaded yet, with their maps; and whether this kernel has the socket tracepoints.
    fn object(settings: &CaptureSettings, kernel_btf: &aya::Btf) -> Result<(Ebpf, bool), CaptureError> {
        if OBJECT.is_empty() {
            return Err(CaptureError::NoObject);
        }
        let ((offsets, clocks), typed) = resolve_offsets()?;
        if settings.clocks && !clocks {
            log::info!(
                "how long threads run is not seen: this kernel's scheduler does not tell (CONFIG_SCHED_INFO, CONFIG_FAIR_GROUP_SCHED)"
            );
        }
        let ebpf = EbpfLoader::new()
            .btf(Some(kernel_btf))
            .override_global("OFFSETS", &Offsets(offsets), true)
            .override_global("CAPTURE_BYTES", &settings.capture_bytes, true)
            .override_global("CLOCKS", &u32::from(settings.clocks && clocks), true)
            .override_global("LIMITS", &PlainLimits(budgets::limits(settings.ring_bytes)), true)
            .map_max_entries("EVENTS", settings.ring_bytes)
            .map_max_entries("SCRATCH", possible_cpus())
            .load(OBJECT);
        Ok((ebpf.map_err(|e| load_error("maps", &e))?, typed))
    }

    fn attach(&mut self, btf: &aya::Btf) -> Result<(), CaptureError> {
        let socket: &[_] = if self.mode == Mode::SocketTracepoints { &SOCKET_PROGRAMS } else { &[] };
        // Loading takes the verifier a while; attaching does not. All are loaded before the first is attached, so that
        // sends and receives are seen from the same moment on.
        for (name, tracepoint) in COMMON_PROGRAMS.iter().chain(socket) {
            let program: &mut BtfTracePoint = self.program(name)?;
            program.load(tracepoint, btf).map_err(|e| load_error(name, &e))?;
        }
        if self.mode == Mode::SystemCallExit {
            let program: &mut RawTracePoint = self.program("wirespan_exit")?;
            program.load().map_err(|e| load_error("wirespan_exit", &e))?;
            program.attach("sys_exit").map_err(|e| load_error("wirespan_exit", &e))?;
        }
        for (name, _) in COMMON_PROGRAMS.iter().chain(socket) {
            let program: &mut BtfTracePoint = self.program(name)?;
            program.attach().map_err(|e| load_error(name, &e))?;
        }
        if self.mode == Mode::SocketTracepoints {
            let unseen = |error: &CaptureError| log::warn!("what threads sleep on is not seen: {error}");
            self.sleeps = self.hook::<BtfTracePoint>(hooks::SLEEP, btf).inspect_err(unseen).is_ok();
        }
        // Hardened kernels refuse what runs where a function returns.
        let unseen = |error: &CaptureError| log::info!("Unix sockets that cannot be connected are not seen: {error}");
        self.unix = self.hook::<FExit>(hooks::UNIX, btf).inspect_err(unseen).is_ok();
        self.wakes = self.load_wakes(btf).inspect_err(|error| log::info!("{}: {error}", hooks::UNHEARD)).is_ok();
        Ok(())
    }

    /// Loads what runs in probes, which are attached later. Tracing works without.
    fn load_probes(&mut self, maps: &probes::load::Maps) -> Result<Attacher, String> {
        let ebpf = self.ebpf.as_mut().ok_or("the agent stops")?;
        let kernel = probes::load::load(ebpf, OBJECT, maps)?;
        Attacher::start(kernel).map_err(|e| e.to_string())
    }

    fn program<'a, T>(&'a mut self, name: &'static str) -> Result<&'a mut T, CaptureError>
    where
        &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
    {
        self.ebpf
            .as_mut()
            .and_then(|ebpf| ebpf.program_mut(name))
            .ok_or_else(|| CaptureError::Load(name, "it is missing from the object".into()))?
            .try_into()
            .map_err(|e: aya::programs::ProgramError| load_error(name, &e))
    }

    /// Which hooks are in use.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether it is seen what threads sleep on.
    pub fn sees_sleeps(&self) -> bool {
        self.sleeps
    }

    /// Whether Unix sockets are seen that cannot be connected.
    pub fn sees_unix(&self) -> bool {
        self.unix
    }

    /// What sees what programs write where their lines go.
    pub fn sees_lines(&self) -> &lines::Seen {
        &self.lines
    }

    /// From now on, what a process writes at these places is told.
    pub fn set_logs(&mut self, tgid: u32, places: LogPlaces) {
        if let Err(error) = self.logs.insert(tgid, lines::PlainLogPlaces(places), 0) {
            log::debug!("what process {tgid} writes cannot be read: {error}");
        }
    }

    /// From now on what a thread sleeps on is looked at, or no longer.
    pub fn watch(&mut self, tid: u32, wanted: bool) {
        if self.sleeps {
            self.watched.set(tid, wanted);
        }
    }

    /// Hands at most `limit` records to `visit`, oldest first, as long as that says that it takes more. Returns how many
    /// there were, and counts malformed ones.
    pub fn drain(&mut self, limit: usize, counters: &Counters, mut visit: impl FnMut(Record<'_>) -> bool) -> usize {
        let (mut read, mut bytes, mut ring_bytes) = (0, 0, 0);
        let mut more = true;
        while more
            && read < limit
            && let Some(item) = self.ring.next()
        {
            read += 1;
            ring_bytes += (RING_HEADER + item.len()).next_multiple_of(RING_HEADER) as u64;
            match Record::decode(&item) {
                Some(record) => {
                    bytes += record.payload();
                    more = visit(record);
                }
                None => counters.events_malformed.inc(),
            }
        }
        counters.events.add(read as u64);
        counters.bytes.add(bytes);
        counters.ring_bytes.add(ring_bytes);
        read
    }

    /// Stops capture of a process until it ends.
    pub fn ignore_process(&mut self, tgid: u32) {
        if let Err(error) = self.mark_process(tgid, PROCESS_IGNORED, 0) {
            log::debug!("cannot ignore process {tgid}: {error}");
        }
    }

    /// Copies nothing of what a process says inside TLS, until it ends or runs another program.
    pub fn leave_tls(&mut self, tgid: u32) {
        if let Err(error) = self.mark_process(tgid, PROCESS_TLS_OFF, 0) {
            log::debug!("cannot leave the TLS of process {tgid} alone: {error}");
        }
    }

    /// Captures a process again that was ignored.
    pub fn heed_process(&mut self, tgid: u32) {
        // One that was never ignored has no mark to be taken.
        let _ = self.mark_process(tgid, 0, PROCESS_IGNORED | PROCESS_TLS_OFF);
    }

    /// Sets and takes away marks of a process.
    fn mark_process(&mut self, tgid: u32, set: u8, taken: u8) -> Result<(), MapError> {
        // The kernel has marks of its own there. (One that it sets in between is lost, and is set again.)
        let before = self.processes.get(&tgid, 0).unwrap_or_default();
        let marks = (before | set) & !taken;
        if marks == before { Ok(()) } else { self.processes.insert(tgid, marks, 0) }
    }

    /// From now on, records of a process say which unit of its runtime did it, until it ends or runs another program.
    pub fn set_units(&mut self, tgid: u32, units: Units) {
        if matches!(units, Units::Known(RuntimeState { kind: UNIT_LOOP, .. })) {
            self.tell_wakes();
        }
        let said = match units {
            Units::Known(runtime) => self.runtimes.insert(tgid, PlainRuntimeState(runtime), 0),
            Units::Python(python) => {
                let runtime = RuntimeState { kind: UNIT_TASK, ..RuntimeState::default() };
                let pythons = self.pythons.insert(tgid, PlainPythonState(python), 0);
                pythons.and_then(|()| self.runtimes.insert(tgid, PlainRuntimeState(runtime), 0))
            }
            Units::Java(java) => {
                let runtime = RuntimeState { kind: UNIT_VIRTUAL, ..RuntimeState::default() };
                let javas = self.javas.insert(tgid, PlainJavaState(java), 0);
                javas.and_then(|()| self.runtimes.insert(tgid, PlainRuntimeState(runtime), 0))
            }
            Units::NotYet => return,
        };
        // (Last, for it is what has the kernel look there.)
        if let Err(error) = said.and_then(|()| self.mark_process(tgid, PROCESS_UNITS, 0)) {
            log::debug!("cannot tell units of process {tgid}: {error}");
        }
    }

    /// The process runs another program.
    pub fn forget_runtime(&mut self, tgid: u32) {
        // Most have none.
        let _ = self.runtimes.remove(&tgid);
    }

    /// Runs kernel programs at places of a process. What becomes of it, [`probed`](Self::probed) tells.
    pub fn probe(&self, tgid: u32, probes: Vec<Probes>) {
        if let Ok(attacher) = &self.attacher {
            attacher.attach(tgid, probes);
        }
    }

    /// Takes a process's probes off: those of one program, or all.
    pub fn unprobe(&self, tgid: u32, program: Option<Program>) {
        if let Ok(attacher) = &self.attacher {
            attacher.detach(tgid, program);
        }
    }

    /// What became of probes since this was last asked.
    pub fn probed(&self) -> impl Iterator<Item = Outcome> {
        self.attacher.iter().flat_map(Attacher::outcomes)
    }

    /// Stops capture of a socket. The kernel may forget it when very many are muted; then it is muted again.
    pub fn mute_socket(&mut self, cookie: u64) {
        self.mark_socket(cookie, SOCKET_MUTED);
    }

    /// Stops to tell of a socket's operations until [`rouse_socket`](Self::rouse_socket); its end is told.
    pub fn hush_socket(&mut self, cookie: u64) {
        self.mark_socket(cookie, SOCKET_HUSHED);
    }

    /// Tells of a socket's operations again.
    pub fn rouse_socket(&mut self, cookie: u64) {
        // (If there is no mark, there is nothing to take away.)
        if let Ok(marks) = self.sockets.get(&cookie, 0)
            && let Err(error) = self.sockets.insert(cookie, marks & !SOCKET_HUSHED, 0)
        {
            log::debug!("cannot mark socket {cookie}: {error}");
        }
    }

    /// Captures as much of each operation of a socket as a record holds, in these directions.
    pub fn widen_socket(&mut self, cookie: u64, directions: &[u8]) {
        self.mark_socket(cookie, directions.iter().fold(0, |marks, direction| marks | SOCKET_WIDE << direction));
    }

    /// Captures only the beginning of each operation of a socket: what passes is encrypted.
    pub fn secure_socket(&mut self, cookie: u64) {
        self.mark_socket(cookie, SOCKET_SECURED);
    }

    fn mark_socket(&mut self, cookie: u64, marks: u32) {
        // The kernel has marks of its own there. (One that it sets in between is lost: an end that is told late.)
        let before = self.sockets.get(&cookie, 0).unwrap_or_default();
        if let Err(error) = self.sockets.insert(cookie, before | marks, 0) {
            log::debug!("cannot mark socket {cookie}: {error}");
        }
    }

    /// Takes the programs off their hooks; what is on the ring can still be read.
    pub fn detach(&mut self) {
        self.attacher = Err("the agent stops".to_owned());
        self.ebpf = None;
    }

    /// What was lost since `known` was last asked. After a drain, that covers every loss before the drained records.
    pub fn losses(&self, known: &mut Losses) -> Lost {
        known.since(self.count(Counter::RingFull), self.count(Counter::OverBudget), || self.over_budget())
    }

    /// What the kernel has counted of a Unix socket.
    pub fn stands(&self, cookie: u64) -> Option<SocketPositions> {
        self.positions.get(&cookie, 0).ok().map(|state| state.0)
    }

    /// The processes that put more on the ring than their share while it filled up, and how many records of each were left
    /// out. Those that did so long ago may be forgotten.
    pub fn over_budget(&self) -> Vec<(u32, u64)> {
        let all = self.budgets.iter().filter_map(Result::ok);
        all.filter(|(_, budget)| budget.0.refused > 0).map(|(tgid, budget)| (tgid, budget.0.refused)).collect()
    }

    fn count(&self, slot: Counter) -> u64 {
        self.counters.get(&(slot as u32), 0).map(|values| values.iter().sum()).unwrap_or_default()
    }

    /// Copies the kernel's counts into `counters`.
    pub fn read_counters(&self, counters: &Counters) {
        counters.kernel_ring_full.set(self.count(Counter::RingFull));
        counters.kernel_over_budget.set(self.count(Counter::OverBudget));
        counters.kernel_faults.set(self.count(Counter::Faults));
        counters.kernel_io_uring.set(self.count(Counter::IoUring));
        counters.tls_unfinished.set(self.count(Counter::TlsUnfinished));
        counters.tls_elsewhere.set(self.count(Counter::TlsElsewhere));
        counters.kernel_missed.set(self.ebpf.as_ref().map(verify::missed_runs).unwrap_or_default());
    }
}

/// Offsets of this kernel, with whether those of the scheduler's clocks are there; and whether the socket tracepoints exist.
fn resolve_offsets() -> Result<(([u32; offsets::COUNT], bool), bool), CaptureError> {
    let image = std::fs::read(BTF_PATH).map_err(CaptureError::NoBtf)?;
    let btf = btf::Btf::parse(&image, offsets::is_wanted).map_err(|e| CaptureError::Btf(e.to_string()))?;
    let typed = SOCKET_PROGRAMS.iter().all(|(_, tracepoint)| btf.has_tracepoint(tracepoint));
    Ok((offsets::resolve(&btf).map_err(CaptureError::Field)?, typed))
}

fn take<T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<T, CaptureError> {
    let map = ebpf.take_map(name).ok_or_else(|| CaptureError::Load(name, "the map is missing".into()))?;
    map.try_into().map_err(|e| load_error(name, &e))
}

/// An error with its causes; EPERM anywhere in the chain is a matter of privilege.
fn load_error(what: &'static str, error: &dyn std::error::Error) -> CaptureError {
    let mut text = error.to_string();
    let mut cause = error.source();
    let mut denied = false;
    while let Some(c) = cause {
        denied |= c.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied);
        let line = c.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = c.source();
    }
    let text = shortened(&text);
    if denied && !is_privileged() { CaptureError::Permission(text) } else { CaptureError::Load(what, text) }
}

/// One line of an error that may carry the verifier's log, whose last lines say what is wrong.
fn shortened(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    if lines.len() <= 4 {
        return lines.join("; ");
    }
    log::debug!("{text}");
    let last = lines.iter().rev().find(|l| !l.starts_with("processed")).unwrap_or(&lines[0]);
    format!("{} … {last}", lines[0])
}

/// Whether this process has the capabilities that loading needs (CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN).
pub fn is_privileged() -> bool {
    let effective = effective_capabilities();
    const SYS_ADMIN: u64 = 1 << 21;
    const PERFMON_AND_BPF: u64 = 1 << 38 | 1 << 39;
    effective & SYS_ADMIN != 0 || effective & PERFMON_AND_BPF == PERFMON_AND_BPF
}

/// The effective capability set of this process.
fn effective_capabilities() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| s.lines().find_map(|l| l.strip_prefix("CapEff:").map(|v| v.trim().to_owned())))
        .and_then(|v| u64::from_str_radix(&v, 16).ok())
        .unwrap_or(0)
}
