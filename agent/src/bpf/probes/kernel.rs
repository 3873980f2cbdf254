//! The system calls by which the kernel attaches a program to places of a file, in one process.

use std::ffi::CString;
use std::io::{Error, Result};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use aya_obj::Function;

use super::{EVERY_PROCESS, Place, Probes, Program};

/// Where the kernel says which kind of event a probe is.
const PROBE_TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";
/// `BPF_PROG_LOAD`, `BPF_BTF_LOAD` and `BPF_LINK_CREATE` of include/uapi/linux/bpf.h.
const PROG_LOAD: libc::c_long = 5;
const BTF_LOAD: libc::c_long = 18;
const LINK_CREATE: libc::c_long = 28;
/// `BPF_PROG_TYPE_KPROBE`, and `BPF_TRACE_UPROBE_MULTI`.
const KPROBE: u32 = 2;
const TRACE_UPROBE_MULTI: u32 = 48;
/// `BPF_PERF_EVENT`.
const PERF_EVENT: u32 = 41;
/// `PERF_FLAG_FD_CLOEXEC` of include/uapi/linux/perf_event.h.
const CLOSE_ON_EXEC: u64 = 8;
/// Files that the agent may have open at once, if the system lets it.
const MAX_FILES: u64 = 65_536;

/// `struct perf_event_attr` in its second version, as far as a probe needs it.
#[repr(C)]
#[derive(Default)]
struct EventAttributes {
    kind: u32,
    size: u32,
    config: u64,
    sample: [u64; 3],
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    /// Address of the path.
    path: u64,
    offset: u64,
}

/// What `BPF_PROG_LOAD` takes.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_kind: u32,
    types: u32,
    function_size: u32,
    functions: u64,
    function_count: u32,
    unused: u32,
}

/// What `BPF_BTF_LOAD` takes.
#[repr(C)]
#[derive(Default)]
struct LoadTypes {
    types: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    unused: u32,
}

/// What `BPF_LINK_CREATE` takes, for one place.
#[repr(C)]
struct SingleLink {
    program: u32,
    event: u32,
    kind: u32,
    flags: u32,
    cookie: u64,
}

/// What `BPF_LINK_CREATE` takes, for many places.
#[repr(C)]
struct ManyLink {
    program: u32,
    target: u32,
    kind: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    counters: u64,
    cookies: u64,
    count: u32,
    many_flags: u32,
    pid: u32,
    reserved: u32,
}

/// How probes are attached here.
#[derive(Debug)]
pub struct Kernel {
    programs: Vec<(Program, OwnedFd)>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One link for all places. Needs no more than what the programs were loaded with.
    Together,
    /// One link each, of an event of this type. The kernel wants CAP_SYS_ADMIN for that.
    Single(u32),
}

impl Kernel {
    /// Probes that are attached together, with these programs, which were loaded for that.
    pub fn together(programs: Vec<(Program, OwnedFd)>) -> Self {
        Self { programs, form: Form::Together }
    }

    /// Probes that are attached one by one, with these programs, which are loaded.
    ///
    /// # Errors
    /// If the kernel has no probes.
    pub fn single(programs: Vec<(Program, OwnedFd)>) -> Result<Self> {
        let text = std::fs::read_to_string(PROBE_TYPE)?;
        let kind = text.trim().parse().map_err(|_| Error::other("the type of probes is no number"))?;
        Ok(Self { programs, form: Form::Single(kind) })
    }

    /// Whether all places of a file are one link.
    pub fn is_together(&self) -> bool {
        self.form == Form::Together
    }

    /// The programs, by name.
    pub fn programs(&self) -> impl Iterator<Item = (&'static str, BorrowedFd<'_>)> {
        self.programs.iter().map(|(program, fd)| (program.name(), fd.as_fd()))
    }

    /// How many links so many places take.
    pub fn links_for(&self, places: usize) -> usize {
        if self.is_together() { 1 } else { places }
    }

    /// Attaches to all places, in one process. What was attached before an error is in `links`.
    ///
    /// # Errors
    /// If one cannot be.
    pub fn attach(&self, tgid: u32, probes: &Probes, links: &mut Vec<OwnedFd>) -> Result<()> {
        let program = self.programs.iter().find(|(program, _)| *program == probes.program);
        let (_, program) = program.ok_or_else(|| Error::other("the kernel program is not loaded"))?;
        // However the file is called, and whether it still has a name.
        let path = CString::new(format!("/proc/self/fd/{}", probes.file.as_raw_fd()))?;
        match self.form {
            Form::Together => links.push(many(program.as_raw_fd(), tgid, &path, &probes.places)?),
            Form::Single(kind) => {
                for place in probes.places.iter() {
                    let event = event(kind, tgid, &path, place.offset).map_err(explained)?;
                    // The link keeps the event.
                    links.push(single(program.as_raw_fd(), event.as_raw_fd(), place.cookie)?);
                }
            }
        }
        Ok(())
    }
}

fn many(program: RawFd, tgid: u32, path: &CString, places: &[Place]) -> Result<OwnedFd> {
    let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
    let cookies: Vec<u64> = places.iter().map(|place| place.cookie).collect();
    let attributes = ManyLink {
        program: program as u32,
        target: 0,
        kind: TRACE_UPROBE_MULTI,
        flags: 0,
        path: path.as_ptr() as u64,
        offsets: offsets.as_ptr() as u64,
        counters: 0,
        cookies: cookies.as_ptr() as u64,
        count: places.len() as u32,
        many_flags: 0,
        pid: tgid,
        reserved: 0,
    };
    // SAFETY: the attributes and all that they point to live until the call returns, and are as long as is said.
    owned(unsafe { libc::syscall(libc::SYS_bpf, LINK_CREATE, &raw const attributes, size_of::<ManyLink>()) })
}

fn event(kind: u32, tgid: u32, path: &CString, offset: u64) -> Result<OwnedFd> {
    let attributes = EventAttributes {
        kind,
        size: size_of::<EventAttributes>() as u32,
        path: path.as_ptr() as u64,
        offset,
        ..EventAttributes::default()
    };
    // Of every process: the kernel then wants a CPU to be named, and runs the program on all (kernel/trace/trace_uprobe.c).
    let (process, cpu) = if tgid == EVERY_PROCESS { (-1_i32, 0_i32) } else { (tgid as i32, -1) };
    // SAFETY: the attributes and the path they point to live until the call returns; the rest are numbers.
    owned(unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attributes, process, cpu, -1_i32, CLOSE_ON_EXEC)
    })
}

/// What to do about a lack of privilege.
fn explained(error: Error) -> Error {
    const WANTED: &str =
        "before Linux 6.11 the kernel wants CAP_SYS_ADMIN for probes, which the agent gives up (--sandbox off)";
    if error.kind() == std::io::ErrorKind::PermissionDenied { Error::new(error.kind(), WANTED) } else { error }
}

fn single(program: RawFd, event: RawFd, cookie: u64) -> Result<OwnedFd> {
    let attributes = SingleLink { program: program as u32, event: event as u32, kind: PERF_EVENT, flags: 0, cookie };
    // SAFETY: the attributes live until the call returns, and are as long as is said.
    owned(unsafe { libc::syscall(libc::SYS_bpf, LINK_CREATE, &raw const attributes, size_of::<SingleLink>()) })
}

/// Loads the description of the programs' types: by it, the verifier knows functions that it may check by themselves.
///
/// # Errors
/// If the kernel refuses it.
pub fn load_types(types: &[u8]) -> Result<OwnedFd> {
    let attributes = LoadTypes { types: types.as_ptr() as u64, size: types.len() as u32, ..LoadTypes::default() };
    // SAFETY: the attributes and what they point to live until the call returns, and are as long as is said.
    owned(unsafe { libc::syscall(libc::SYS_bpf, BTF_LOAD, &raw const attributes, size_of::<LoadTypes>()) })
}

/// Loads a program that is attached to many places at once.
///
/// # Errors
/// If the kernel has none such, or refuses it.
pub fn load(function: &Function, types: Option<&OwnedFd>, license: &CString, name: &str) -> Result<OwnedFd> {
    let functions = function.func_info.func_info_bytes();
    let mut attributes = Load {
        kind: KPROBE,
        count: function.instructions.len() as u32,
        instructions: function.instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        attach_kind: TRACE_UPROBE_MULTI,
        ..Load::default()
    };
    if let Some(types) = types {
        attributes.types = types.as_raw_fd() as u32;
        attributes.function_size = function.func_info_rec_size as u32;
        attributes.functions = functions.as_ptr() as u64;
        attributes.function_count = function.func_info.len() as u32;
    }
    let room = attributes.name.len() - 1;
    attributes.name.iter_mut().zip(name.bytes().take(room)).for_each(|(to, byte)| *to = byte);
    // SAFETY: the attributes and all that they point to live until the call returns, and are as long as is said.
    owned(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attributes, size_of::<Load>()) })
}

/// A descriptor that a system call made.
fn owned(result: libc::c_long) -> Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: the kernel just made it, for nobody else.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(Error::last_os_error()),
    }
}

/// A link each may be more files than a process has by default.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid place for the limit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    let wanted = limit.rlim_max.min(MAX_FILES);
    if limit.rlim_cur < wanted {
        limit.rlim_cur = wanted;
        // SAFETY: a valid limit. With the old one there is room for fewer probes, which is said where they fail.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}
