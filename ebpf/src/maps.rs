//! Every map. Sizes are for a default load; those marked *set by the agent* are overridden before loading.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use wirespan_common::{
    Budget, COUNTERS as COUNTER_SLOTS, Counter, JavaState, LogPlaces, LoopState, Note, NoteKey, PagedWrite,
    PythonState, RuntimeState, SocketPositions, TlsCall, TlsKey, TlsStream, WATCH_WORDS, Wait,
};

/// `enum` of include/uapi/linux/bpf.h: only insert what is not there.
pub const BPF_NOEXIST: u64 = 1;

/// Records for the agent. Size set by the agent. Full: the record is dropped and counted.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(8 * 1024 * 1024, 0);

/// What is known of a process (`PROCESS_*`), by process id; absent means traced, and nothing more. Entries are removed when it ends.
#[map]
pub static PROCESSES: HashMap<u32, u8> = HashMap::with_max_entries(65536, BPF_F_NO_PREALLOC);

/// Where the runtime of a process keeps the unit that runs, by process id; absent means that threads are all that is known.
/// Entries are removed when the process ends or runs another program.
#[map]
pub static RUNTIMES: HashMap<u32, RuntimeState> = HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Where CPython keeps the task that runs, by process id: asked only of processes that `RUNTIMES` says it of. The least recently
/// used give way, and their tasks are not told apart.
#[map]
pub static PYTHONS: LruHashMap<u32, PythonState> = LruHashMap::with_max_entries(4096, 0);

/// Where a Java VM says which virtual thread a thread carries, by process id: as `PYTHONS`.
#[map]
pub static JAVAS: LruHashMap<u32, JavaState> = LruHashMap::with_max_entries(4096, 0);

/// Where loops keep the numbers of their work, by thread id: probes note it. The least recently used give way, until they are
/// noted again.
#[map]
pub static LOOPS: LruHashMap<u32, LoopState> = LruHashMap::with_max_entries(16384, 0);

/// 1 once `LOOPS` has known one.
#[map]
pub static LOOPS_THERE: Array<u64> = Array::with_max_entries(1, 0);

/// Sockets with marks (`SOCKET_*`). The least recently used give way; one that the agent marked is marked again by it.
#[map]
pub static SOCKETS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(65536, 0);

/// Positions of Unix sockets, and of TCP sockets that their programs hold beyond their connections. The least recently used give
/// way; a Unix socket starts a new epoch.
#[map]
pub static POSITIONS: LruHashMap<u64, SocketPositions> = LruHashMap::with_max_entries(65536, 0);

/// What sockets may still put on the ring while that fills up. The least recently used give way, and begin anew.
#[map]
pub static SOCKET_BUDGETS: LruHashMap<u64, Budget> = LruHashMap::with_max_entries(16384, 0);

/// The same of processes, by process id, with what they lost.
#[map]
pub static PROCESS_BUDGETS: LruHashMap<u32, Budget> = LruHashMap::with_max_entries(2048, 0);

/// Which message of a running `sendmmsg` or `recvmmsg` comes next, by thread.
#[map]
pub static MESSAGES: LruHashMap<u32, MessageCursor> = LruHashMap::with_max_entries(1024, 0);

/// Where an [`wirespan_common::IoEvent`] or `ExecEvent` is built, by CPU: the stack has 512 bytes, and a per-CPU map at
/// most 32 KiB. Entries set by the agent.
#[map]
pub static SCRATCH: Array<Scratch> = Array::with_max_entries(1, 0);

/// Threads that are watched: a bit each, by thread id. The agent sets them.
#[map]
pub static WATCHED: Array<u64> = Array::with_max_entries(WATCH_WORDS, 0);

/// What watched threads sent on last, and what was said of their sleeps. The least recently used give way: what was said is
/// said again.
#[map]
pub static WAITS: LruHashMap<u32, Wait> = LruHashMap::with_max_entries(8192, 0);

/// What probes have seen of a process and need later. The least recently used give way: what they were for is not seen then.
#[map]
pub static NOTES: LruHashMap<NoteKey, Note> = LruHashMap::with_max_entries(65536, 0);

/// Calls into TLS libraries that have not returned, by process and thread. The least recently used give way: what they read or
/// write is not seen.
#[map]
pub static TLS_CALLS: LruHashMap<u64, TlsCall> = LruHashMap::with_max_entries(16384, 0);

/// How much plaintext has passed through sessions of TLS libraries. The least recently used give way, and begin a new epoch.
#[map]
pub static TLS_STREAMS: LruHashMap<TlsKey, TlsStream> = LruHashMap::with_max_entries(65536, 0);

/// Where the lines of processes go, by process id; absent means that nobody wants them. Entries are removed when the process ends
/// or runs another program.
#[map]
pub static LOGS: HashMap<u32, LogPlaces> = HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Writes to files that the kernel tells of a piece at a time, by process and thread. The least recently used give way: what they
/// write is told again.
#[map]
pub static PAGES: LruHashMap<u64, PagedWrite> = LruHashMap::with_max_entries(4096, 0);

/// Counters, by [`Counter`].
#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(COUNTER_SLOTS, 0);

/// Room for a record, and more, so that masked offsets and lengths are provably inside.
pub const SCRATCH_SIZE: usize = 128 * 1024;

/// One CPU's scratch memory.
#[repr(C, align(8))]
pub struct Scratch(pub [u8; SCRATCH_SIZE]);

/// The next message of a `…mmsg` call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MessageCursor {
    /// Address of the vector: another address is another call.
    pub vector: u64,
    /// Index of the next message.
    pub next: u32,
    /// Always zero.
    pub reserved: u32,
}

/// This CPU's scratch memory.
#[inline(always)]
pub fn scratch() -> Option<*mut u8> {
    // SAFETY: no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    SCRATCH.get_ptr_mut(cpu).map(|scratch| scratch.cast())
}

/// Adds `n` to a counter of this CPU, in a program that may be interrupted by another on the same CPU (a probe's).
#[inline(always)]
pub fn count_anywhere(counter: Counter, n: u64) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        // (Rust offers no atomic addition for this target: it has no compare-and-swap before version 3.)
        // SAFETY: a map value, aligned and valid while the program runs; one instruction adds to it.
        unsafe { core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) slot, in(reg) n) };
    }
}

/// Adds `n` to a counter of this CPU.
#[inline(always)]
pub fn count(counter: Counter, n: u64) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the slot belongs to this CPU, and preemption is off in tracepoint programs.
        unsafe { *slot += n };
    }
}
