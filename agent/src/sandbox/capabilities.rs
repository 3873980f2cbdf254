//! Capabilities belong to threads, and nobody can take those of another thread: each has to give up its own. So each is
//! sent a signal whose handler does it, as libcap's libpsx and glibc's `setuid` do; threads that are started later
//! inherit what is left. In the end it is looked up whether none has kept any.

use std::io::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What is used later, too: reading the kernel's memory of programs and attaching more of them (BPF, PERFMON), and
/// reading what other users' processes are called and run (SYS_PTRACE, DAC_READ_SEARCH). Numbers of
/// include/uapi/linux/capability.h.
pub const KEPT: [(u32, &str); 4] =
    [(2, "CAP_DAC_READ_SEARCH"), (19, "CAP_SYS_PTRACE"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
/// The highest number there can be: they are bits of two words.
const LAST: u32 = 63;
/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;
/// How long all threads together may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Times that threads are looked for which were started meanwhile.
const ROUNDS: usize = 8;

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`, of which there are two: the lower and the upper bits.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Threads that have given up theirs.
static DONE: AtomicUsize = AtomicUsize::new(0);

fn mask() -> u64 {
    KEPT.iter().fold(0, |mask, (number, _)| mask | 1 << number)
}

/// Leaves every thread with what is kept, and nobody with a way to get more.
pub fn give_up() -> Result<()> {
    let signal = free_signal()?;
    let before = handle(signal, handler as *const () as usize)?;
    let gave = (0..ROUNDS).find_map(|_| match round(signal) {
        Ok(true) => None,
        Ok(false) => Some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    handle(signal, before)?;
    gave.unwrap_or_else(|| Err(Error::other("threads come faster than they give up")))
}

/// Asks every thread that still has something; whether there were any.
fn round(signal: i32) -> Result<bool> {
    let threads = threads_with_more()?;
    let wanted = DONE.load(Ordering::Acquire) + threads.len();
    let mut asked = 0;
    for thread in &threads {
        // SAFETY: plain numbers; a thread that has ended meanwhile is an error that is looked at.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), *thread, signal) };
        asked += usize::from(sent == 0);
    }
    let deadline = Instant::now() + PATIENCE;
    while DONE.load(Ordering::Acquire) < wanted - (threads.len() - asked) {
        if Instant::now() > deadline {
            return Err(Error::other("a thread does not answer"));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(!threads.is_empty())
}

/// The threads that have more than is kept, or could get it.
fn threads_with_more() -> Result<Vec<i32>> {
    let mut threads = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        // A thread that is gone by now has nothing.
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(line.trim_start_matches(':').trim(), 16).ok()
        };
        let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|name| number(name).unwrap_or(0));
        // Without CAP_SETPCAP the bounding set cannot be made smaller; `no_new_privs` makes it meaningless.
        let has_more = sets[..3].iter().chain(&sets[4..]).any(|set| set & !mask() != 0);
        if has_more || (sets[3] & !mask() != 0 && sets[1] >> 8 & 1 == 1) {
            threads.extend(entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
        }
    }
    Ok(threads)
}

/// A real-time signal that nobody handles.
fn free_signal() -> Result<i32> {
    let unused = |signal: &i32| handler_of(*signal).is_ok_and(|current| current == libc::SIG_DFL);
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(unused).ok_or_else(|| Error::other("every signal is in use"))
}

fn handler_of(signal: i32) -> Result<usize> {
    // SAFETY: all zeroes are a valid `sigaction`.
    let mut current: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a valid place for what is there now, and nothing is set.
    match unsafe { libc::sigaction(signal, std::ptr::null(), &mut current) } {
        0 => Ok(current.sa_sigaction),
        _ => Err(Error::last_os_error()),
    }
}

/// Sets a signal's handler; the one before.
fn handle(signal: i32, handler: usize) -> Result<usize> {
    let before = handler_of(signal)?;
    // SAFETY: all zeroes are a valid `sigaction`: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `handler` is a function of the right type, or what was there before.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(before),
        _ => Err(Error::last_os_error()),
    }
}

/// Gives up what this thread has. Makes system calls and nothing else, as a signal handler must.
extern "C" fn handler(_: i32) {
    // SAFETY: `__errno_location` always points to this thread's own.
    let errno = unsafe { *libc::__errno_location() };
    let keep = mask();
    for number in (0..=LAST).filter(|number| keep >> number & 1 == 0) {
        // SAFETY: plain numbers; fails beyond the last capability, and without CAP_SETPCAP.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, u64::from(number), 0, 0, 0) };
    }
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    let mut header = Header { version: VERSION, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: both are what this version of the interface expects, and this thread's own.
    unsafe { libc::syscall(libc::SYS_capget, &mut header, data.as_mut_ptr()) };
    for (word, data) in data.iter_mut().enumerate() {
        let keep = (keep >> (32 * word)) as u32;
        *data = Data { effective: data.effective & keep, permitted: data.permitted & keep, inheritable: 0 };
    }
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_capset, &mut header, data.as_ptr()) };
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    DONE.fetch_add(1, Ordering::Release);
}
