//! What can be learned of one process: from its exec event, from `/proc`, from its parent.
//!
//! A program may overwrite its arguments and its environment to change its title (nginx, gunicorn with setproctitle), so what the
//! exec event carried wins over `/proc`. A process that lives for milliseconds is gone before `/proc` can be read, so
//! the exec event must be enough for a name.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process as ProcDir};
use wirespan_common::MAX_EXEC_FILE;
use wirespan_inspect::runtime::Runtime;
use wirespan_kubernetes::pods::Found;

use super::cgroup::Cgroup;
use super::container::Container;
use super::files;

/// A process replaced its program; mirrors `wirespan_common::ExecEvent`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExecInfo<'a> {
    /// Process.
    pub tgid: u32,
    /// Parent process, zero if unknown.
    pub parent_tgid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Inode of the process's cgroup v2 directory, zero if unknown.
    pub cgroup_id: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// `task->comm`; padding is ignored.
    pub comm: &'a [u8],
    /// NUL-separated arguments.
    pub args: &'a [u8],
    /// NUL-separated environment.
    pub env: &'a [u8],
    /// Not all of `args` is there.
    pub args_truncated: bool,
    /// Not all of `env` is there.
    pub env_truncated: bool,
    /// Path that was executed, up to a NUL; without one it is cut.
    pub file: &'a [u8],
}

/// What is kept of an exec event until somebody asks for the process.
#[derive(Debug)]
pub struct Exec {
    pub(super) parent: u32,
    pub(super) uid: u32,
    pub(super) cgroup_id: u64,
    pub(super) time: u64,
    comm: String,
    args: Vec<String>,
    args_truncated: bool,
    env: Env,
    file: String,
}

impl Exec {
    pub(super) fn new(event: &ExecInfo<'_>) -> Self {
        let comm = event.comm.split(|b| *b == 0).next().unwrap_or_default();
        let mut args = split_args(event.args);
        if event.args_truncated && args.len() > 1 {
            // The last one is cut somewhere, so it is not what the user wrote.
            args.pop();
        }
        Self {
            parent: event.parent_tgid,
            uid: event.uid,
            cgroup_id: event.cgroup_id,
            time: event.time,
            comm: String::from_utf8_lossy(comm).into_owned(),
            args,
            args_truncated: event.args_truncated,
            env: Env::parse(event.env),
            file: terminated(event.file),
        }
    }
}

/// A path up to its NUL; nothing if it is cut.
fn terminated(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0);
    end.map(|end| String::from_utf8_lossy(&bytes[..end]).into_owned()).unwrap_or_default()
}

/// The variables that matter here. Everything else in an environment is nobody's business and is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    values: Vec<(&'static str, String)>,
    /// Something in it looks like a variable: it is not empty, and the program did not write its title over it.
    intact: bool,
}

const KEPT: &[&str] = &["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "FLASK_APP", "DJANGO_SETTINGS_MODULE"];

impl Env {
    /// Reads NUL-separated `KEY=VALUE` texts.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut env = Self::default();
        for entry in bytes.split(|b| *b == 0) {
            let Some(equals) = entry.iter().position(|b| *b == b'=') else { continue };
            let (key, value) = (&entry[..equals], &entry[equals + 1..]);
            if key.is_empty() || !key.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
                continue;
            }
            env.intact = true;
            if let Some(kept) = KEPT.iter().find(|kept| kept.as_bytes() == key) {
                env.values.push((kept, String::from_utf8_lossy(value).into_owned()));
            }
        }
        env
    }

    /// A variable that is set and not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(k, v)| *k == key && !v.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Whether nothing in it looks like a variable: it is empty, unreadable, or overwritten by a title.
    pub fn is_wiped(&self) -> bool {
        !self.intact
    }

    /// Adds what only `other` has.
    fn fill_from(&mut self, other: &Env) {
        for (key, value) in &other.values {
            if !self.values.iter().any(|(known, _)| known == key) {
                self.values.push((key, value.clone()));
            }
        }
        self.intact |= other.intact;
    }
}

/// Everything that is known of one process.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Path of the executable, or its name when only that is known; empty when nothing is.
    pub exe: String,
    /// Whether `exe` was read from the kernel instead of taken from the arguments.
    pub exe_is_real: bool,
    /// Path that it was started by, before links were followed; of a script the script's. Empty if unknown.
    pub started: String,
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// The environment's few interesting variables.
    pub env: Env,
    /// Effective user id.
    pub uid: Option<u32>,
    /// Parent process, zero if unknown.
    pub parent: u32,
    /// Control group.
    pub cgroup: Arc<Cgroup>,
    /// The container, if its name is known.
    pub container: Option<Arc<Container>>,
    /// The pod that it runs in, if the API has told of it.
    pub pod: Option<Found>,
    /// When the process began, nanoseconds since boot to a clock tick; `None` when only an exec event is known.
    pub start: Option<u64>,
    /// Time of the exec event, `CLOCK_BOOTTIME` nanoseconds.
    pub exec_time: Option<u64>,
    /// TCP ports that it is known to serve; looked for only where a rule asks.
    pub ports: Vec<u16>,
    /// The runtime that its file brings with it, if that says one.
    pub runtime: Option<Arc<Runtime>>,
    /// Its directory below `/proc`, while it was alive.
    pub dir: Option<PathBuf>,
}

/// What `/proc` says of a process now, if it lives and is the one that an exec event at `not_after` described.
pub(super) fn read(proc_root: &Path, tgid: u32, not_after: Option<u64>) -> Option<Facts> {
    let dir = proc_root.join(tgid.to_string());
    let process = ProcDir::new_with_root(dir.clone()).ok()?;
    let stat = process.stat().ok()?;
    let start = ticks(stat.starttime);
    // A process cannot exec before it begins: this is another one with the same id.
    if not_after.is_some_and(|time| start > time.saturating_add(TICK)) {
        return None;
    }
    // Relative to the directory that is open: were the id used again by now, these reads would fail.
    let bytes = |name: &str| {
        let mut bytes = Vec::new();
        let file = process.open_relative(name).ok();
        file.map(|file| file.take(MAX_READ).read_to_end(&mut bytes));
        bytes
    };
    let exe = process.exe().map(|path| path.to_string_lossy().trim_end_matches(" (deleted)").to_string());
    let args = split_args(&bytes("cmdline"));
    Some(Facts {
        exe_is_real: exe.is_ok(),
        exe: exe.unwrap_or_else(|_| exe_from(&args, &stat.comm)),
        args,
        env: Env::parse(&bytes("environ")),
        uid: process.status().ok().map(|status| status.euid),
        parent: u32::try_from(stat.ppid).unwrap_or(0),
        cgroup: Arc::new(Cgroup::parse(&String::from_utf8_lossy(&bytes("cgroup")))),
        start: Some(start),
        started: started_by(&process).unwrap_or_default(),
        dir: Some(dir),
        ..Facts::default()
    })
}

/// The path that the kernel was given when the process was started, from the process's own memory.
fn started_by(process: &ProcDir) -> Option<String> {
    /// `include/uapi/linux/auxvec.h`.
    const AT_EXECFN: u64 = 31;
    const ENTRY: usize = 2 * size_of::<u64>();
    let mut vector = Vec::new();
    process.open_relative("auxv").ok()?.take(64 * ENTRY as u64).read_to_end(&mut vector).ok()?;
    let word = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    let address =
        vector.chunks_exact(ENTRY).find(|entry| word(entry) == Some(AT_EXECFN)).and_then(|e| word(&e[8..]))?;
    let mut path = [0; MAX_EXEC_FILE];
    let read = process.open_relative("mem").ok()?.read_at(&mut path, address).ok()?;
    let path = terminated(&path[..read]);
    // Whoever writes over it writes no path.
    (!path.is_empty() && !path.contains(char::is_control)).then_some(path)
}

/// The most that is read of a command line or an environment, bytes.
const MAX_READ: u64 = 128 << 10;

/// A clock tick in nanoseconds: `/proc` rounds start times down, so this is room enough.
pub(super) const TICK: u64 = 10_000_000;

/// When the process that has this id now began, nanoseconds since boot to a tick.
pub(super) fn start_time(proc_root: &Path, tgid: u32) -> Option<u64> {
    let stat = ProcDir::new_with_root(proc_root.join(tgid.to_string())).ok()?.stat().ok()?;
    Some(ticks(stat.starttime))
}

fn ticks(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000_000_000 / procfs::ticks_per_second().max(1))
}

/// The TCP ports that a living process listens on.
pub(super) fn listening_ports(facts: &Facts) -> Vec<u16> {
    let Some(process) = facts.dir.clone().and_then(|dir| ProcDir::new_with_root(dir).ok()) else { return Vec::new() };
    let Ok(files) = process.fd() else { return Vec::new() };
    let sockets: Vec<u64> = files
        .filter_map(|file| match file.ok()?.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    let tables = [process.tcp(), process.tcp6()].into_iter().filter_map(Result::ok).flatten();
    let mut ports: Vec<u16> = tables
        .filter(|socket| socket.state == TcpState::Listen && sockets.contains(&socket.inode))
        .map(|socket| socket.local_address.port())
        .collect();
    ports.dedup();
    ports
}

/// Whether any program of this network namespace listens on a TCP port.
pub fn is_listened_on(port: u16) -> bool {
    let listens =
        |socket: procfs::net::TcpNetEntry| socket.state == TcpState::Listen && socket.local_address.port() == port;
    [procfs::net::tcp(), procfs::net::tcp6()].into_iter().filter_map(Result::ok).flatten().any(listens)
}

impl Facts {
    /// What an exec event alone says.
    pub(super) fn of_exec(exec: &Exec) -> Self {
        Self {
            exe: exe_from(&exec.args, &exec.comm),
            started: exec.file.clone(),
            args: exec.args.clone(),
            env: exec.env.clone(),
            uid: Some(exec.uid),
            parent: exec.parent,
            exec_time: Some(exec.time),
            ..Self::default()
        }
    }

    /// Puts what the exec event said over what `/proc` says: the program may have rewritten the latter.
    pub(super) fn correct_by(&mut self, exec: &Exec) {
        if !exec.args.is_empty() && (!exec.args_truncated || self.args.len() < exec.args.len()) {
            self.args = exec.args.clone();
        }
        self.exec_time = Some(exec.time);
        if !exec.file.is_empty() {
            self.started.clone_from(&exec.file);
        }
        let mut env = exec.env.clone();
        env.fill_from(&self.env);
        self.env = env;
    }

    /// A forked child is what its parent is; only what `/proc` says of it differs.
    pub(super) fn inherit(&mut self, parent: &Facts) {
        self.inherit_place(parent);
        if !self.exe.is_empty() && self.exe != parent.exe {
            return;
        }
        if self.exe.is_empty() {
            self.exe = parent.exe.clone();
            self.exe_is_real = parent.exe_is_real;
            self.started.clone_from(&parent.started);
        }
        if !parent.args.is_empty() {
            self.args = parent.args.clone();
        }
        self.runtime = parent.runtime.clone();
        self.inherit_environment(parent);
    }

    /// A process that wrote its title over its environment has its parent's, if that runs the same program.
    pub(super) fn inherit_environment(&mut self, parent: &Facts) {
        if self.env.is_wiped() && self.exe == parent.exe {
            self.env.fill_from(&parent.env);
        }
    }

    /// Any child starts in its parent's container and with its user.
    pub(super) fn inherit_place(&mut self, parent: &Facts) {
        if self.cgroup.paths.is_empty() {
            self.cgroup = parent.cgroup.clone();
        }
        self.uid = self.uid.or(parent.uid);
    }

    /// Finds the executable of a process that is gone: what it was started by, with its links followed below `root`, or for a
    /// script its interpreter, which the kernel puts in front of the arguments.
    pub(super) fn find_executable(&mut self, root: &Path) {
        let absolute = |path: &str| Path::new(path).is_absolute().then(|| PathBuf::from(path));
        let Some(mut file) = absolute(&self.started) else { return };
        if files::begins_with(root, &file, b"#!") == Some(true) {
            let Some(interpreter) = self.args.first().and_then(|arg| absolute(arg)) else { return };
            file = interpreter;
        }
        if let Some(real) = files::real(root, &file) {
            (self.exe, self.exe_is_real) = (real.to_string_lossy().into_owned(), true);
        }
    }

    /// All that a program is called by who asks for it: its executable, the path that it was started by, and what it was
    /// told that it is called.
    pub(super) fn calls(&self) -> impl Iterator<Item = &str> + Clone {
        // (A title that was written over it has a colon behind the name.)
        let first = self.args.first().map(|arg| arg.trim_start_matches('-')).filter(|arg| !arg.contains(": "));
        [Some(self.exe.as_str()), Some(self.started.as_str()), first]
            .into_iter()
            .flatten()
            .filter(|path| !path.is_empty())
    }

    /// The executable's file name.
    pub fn exe_name(&self) -> &str {
        self.exe.rsplit('/').next().unwrap_or(&self.exe)
    }
}

/// What stands for the executable when the kernel's link cannot be read: the first argument, or the thread's name.
fn exe_from(args: &[String], comm: &str) -> String {
    let first = args.first().map(String::as_str).unwrap_or_default();
    // Login shells begin with a dash; titles (`nginx: worker process`) end the name with a colon.
    let first = first.trim_start_matches('-').split(": ").next().unwrap_or_default();
    if first.is_empty() { comm.to_string() } else { first.to_string() }
}

/// NUL-separated arguments, without the padding that title writers leave.
fn split_args(bytes: &[u8]) -> Vec<String> {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    if end == 0 {
        return Vec::new();
    }
    bytes[..end].split(|b| *b == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// A regular file's text, if it is at most `limit` bytes: what a traced program's own directories hold is not trusted.
pub(crate) fn read_small(path: &Path, limit: u64) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    (meta.is_file() && meta.len() <= limit).then(|| std::fs::read_to_string(path).ok()).flatten()
}
