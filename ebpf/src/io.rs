//! One socket operation becomes one record.

use aya_ebpf::helpers::generated::{
    bpf_get_current_task_btf, bpf_get_socket_cookie, bpf_ringbuf_output, bpf_skc_to_tcp_sock, bpf_skc_to_unix_sock,
    bpf_task_pt_regs,
};
use wirespan_common::{
    Counter, EGRESS, Endpoints, FLAG_DATAGRAM, FLAG_FAULT, FLAG_IO_URING, FLAG_NO_BUFFER, FLAG_NONBLOCKING,
    FLAG_ONLY_THREAD, INGRESS, IoEvent, Kind, MAX_CAPTURE, PROCESS_IGNORED, PROCESS_RECORDS, PROCESS_TLS_CALLS,
    PROCESS_TLS_OFF, PROCESS_UNITS, SOCKET_HUSHED, SOCKET_MUTED, SocketPositions,
};

use crate::{
    arch, budget,
    buffer::{self, Source},
    clocks, facts,
    kernel::{self, Memory, Typed},
    maps::{BPF_NOEXIST, EVENTS, POSITIONS, PROCESSES, SOCKETS, count, scratch},
    runtimes,
    sock::{self, NO_WAKEUP, SocketKind},
    tls, waits, width,
};

/// `MSG_OOB | MSG_PEEK | MSG_ERRQUEUE`: reads that do not take the stream's next bytes.
const UNUSUAL_READ: i32 = 0x1 | 0x2 | 0x2000;
/// The bytes are taken and thrown away, not written to the buffer (tcp(7)).
pub const MSG_TRUNC: i32 = 0x20;
/// The kernel sets it on every read from a socket in non-blocking mode too (net/socket.c).
pub const MSG_DONTWAIT: i32 = 0x40;
/// include/net/sock.h.
const RCV_SHUTDOWN: u8 = 1;
const EPIPE: i32 = 32;
const ECONNRESET: i32 = 104;
const ETIMEDOUT: i32 = 110;
/// `PF_IO_WORKER` and `PF_KTHREAD` of include/linux/sched.h: no system call stands behind the operation.
const IO_WORKER: u32 = 0x10;
const KERNEL_THREAD: u32 = 0x0020_0000;
const HEADER: usize = size_of::<IoEvent>();

/// What one operation did, whichever hook saw it. (No byte of it is without a value: the verifier looks at each.)
#[repr(C)]
pub struct Operation {
    /// Process and thread, as `bpf_get_current_pid_tgid` gives them.
    pub id: u64,
    pub cookie: u64,
    pub tx_position: u64,
    pub rx_position: u64,
    /// Unix sockets: the other end's cookie, 0 if unknown.
    pub peer_cookie: u64,
    /// Bytes of this direction since the connection was opened, this operation's included; of a datagram, far too many.
    pub passed: u64,
    /// Unix and UDP sockets: inode number, or zero.
    pub inode: u64,
    /// The thread's own memory as user space knows it (x86-64: its `fs` base); 0 if no program's thread did it.
    pub thread: u64,
    pub result: i32,
    pub epoch: u32,
    /// `SOCKET_*`.
    pub marks: u32,
    /// How often the thread had gone to sleep.
    pub switches: u32,
    /// Threads of its process.
    pub threads: i32,
    /// The descriptor by which the program names it, as far as its system call says.
    pub fd: u32,
    pub kind: SocketKind,
    pub direction: u8,
    /// 1 for a read that would not have waited, else 0.
    pub nonblocking: u8,
    /// `PROCESS_*`.
    pub process: u8,
    reserved: [u8; 4],
}

impl Operation {
    /// An operation whose positions are not known yet.
    #[inline(always)]
    pub fn new(id: u64, cookie: u64, kind: SocketKind, direction: u8, result: i32) -> Self {
        Self {
            id,
            cookie,
            tx_position: 0,
            rx_position: 0,
            peer_cookie: 0,
            passed: u64::MAX >> 1,
            inode: 0,
            thread: 0,
            result,
            epoch: 0,
            marks: 0,
            switches: 0,
            threads: 0,
            fd: 0,
            kind,
            direction,
            nonblocking: 0,
            process: 0,
            reserved: [0; 4],
        }
    }
}

/// Whether the result is worth a record: bytes, end of stream, or the end of the connection.
#[inline(always)]
pub fn is_wanted(result: i32, direction: u8) -> bool {
    result > 0
        || (result == 0 && direction == INGRESS)
        || result == -ECONNRESET
        || result == -EPIPE
        || result == -ETIMEDOUT
}

/// Whether a result of zero is no end of stream: nothing was asked for.
#[inline(always)]
pub fn is_empty_read<M: Memory>(sk: *const u8, result: i32) -> bool {
    result == 0 && M::load::<u8>(sk, kernel::sk_shutdown()) & RCV_SHUTDOWN == 0
}

/// Errors and empty datagrams end nothing.
#[inline(always)]
fn is_datagram_without_bytes(kind: SocketKind, result: i32) -> bool {
    kind == SocketKind::Udp && result <= 0
}

/// Entry for the typed tracepoints, after the operation.
#[inline(always)]
pub fn on_typed_socket(sk: *const u8, result: i32, flags: i32, direction: u8) {
    if direction == INGRESS && is_unusual_read(flags) {
        return;
    }
    // SAFETY: no preconditions.
    let task = unsafe { bpf_get_current_task_btf() } as *const u8;
    let tid: u32 = Typed::load(task, kernel::task_pid());
    if !is_wanted(result, direction) {
        if result < 0 {
            let regs = registers(task);
            buffer::forget_messages(|offset| Typed::load(regs, offset), tid);
        }
        return;
    }
    let tgid: u32 = Typed::load(task, kernel::task_tgid());
    let process = known_of(tgid);
    if process & PROCESS_IGNORED != 0 {
        return;
    }
    let id = (tgid as u64) << 32 | tid as u64;
    let Some(kind) = sock::kind::<Typed>(sk) else { return };
    if is_empty_read::<Typed>(sk, result) || is_datagram_without_bytes(kind, result) {
        return;
    }
    let cookie = cookie(sk);
    // (Also of sockets that nobody wants to know more of.)
    if direction == INGRESS {
        runtimes::node::on_read(id, cookie);
    }
    // SAFETY: one word is copied out at once.
    let marks = unsafe { SOCKETS.get(cookie) }.map_or(0, |marks| *marks);
    if is_muted(marks) {
        return;
    }
    if direction == EGRESS {
        waits::on_sent(tid, sk, cookie);
    }
    let mut operation = Operation::new(id, cookie, kind, direction, result);
    operation.nonblocking = (direction == INGRESS && flags & MSG_DONTWAIT != 0) as u8;
    operation.marks = marks;
    operation.process = process;
    match kind {
        SocketKind::Tcp => {
            // SAFETY: the helper takes any typed socket and returns null for another kind.
            let tcp = unsafe { bpf_skc_to_tcp_sock(sk as *mut _) } as *const u8;
            if tcp.is_null() {
                return;
            }
            (operation.tx_position, operation.rx_position) = sock::tcp_positions::<Typed>(sk, tcp, direction);
            operation.passed = sock::tcp_passed::<Typed>(tcp, direction);
        }
        SocketKind::Udp => {}
        SocketKind::UnixStream => {
            if !advance_unix(&mut operation) {
                return;
            }
            // SAFETY: as above.
            let unix = unsafe { bpf_skc_to_unix_sock(sk as *mut _) } as *const u8;
            if unix.is_null() {
                return;
            }
            let peer: *const u8 = Typed::load(unix, kernel::unix_peer());
            // SAFETY: a typed pointer to the peer, null for an unconnected socket, for which the helper returns 0.
            operation.peer_cookie = unsafe { bpf_get_socket_cookie(peer as *mut _) };
        }
    }
    let regs = registers(task);
    let task_flags: u32 = Typed::load(task, kernel::task_flags());
    operation.switches = Typed::load::<u64>(task, kernel::task_nvcsw()) as u32;
    operation.threads = Typed::load(Typed::load(task, kernel::task_signal()), kernel::signal_threads());
    if task_flags & (IO_WORKER | KERNEL_THREAD) == 0 {
        operation.thread = Typed::load(task, kernel::task_thread_pointer());
    }
    let source = if task_flags & IO_WORKER != 0 {
        Source::none(FLAG_IO_URING)
    } else if task_flags & KERNEL_THREAD != 0 {
        Source::none(FLAG_NO_BUFFER)
    } else if flags & MSG_TRUNC != 0 && direction == INGRESS {
        Source::none(0)
    } else if result > 0 {
        buffer::source(|offset| Typed::load(regs, offset), tid, false)
    } else {
        Source::none(0)
    };
    let load = |offset| Typed::load(regs, offset);
    operation.fd = load(arch::ARGS[0]) as u32;
    if kind != SocketKind::Tcp {
        operation.inode = sock::inode::<Typed>(sk);
    }
    // (Typed tracepoints are younger than `bpf_loop`.)
    submit::<true>(&operation, &source, |to| {
        sock::load_endpoints::<Typed>(sk, to);
        if kind == SocketKind::Udp && direction == EGRESS && to.peer_port == 0 {
            sock::load_destination(buffer::destination(load, &source), to);
        }
    });
}

/// The registers of a typed task's system call, typed too.
#[inline(always)]
fn registers(task: *const u8) -> *const u8 {
    // SAFETY: a typed task, as the helper demands.
    unsafe { bpf_task_pt_regs(task as *mut _) as *const u8 }
}

/// The cookie of a typed socket. The kernel gives it when it is first asked for.
#[inline(always)]
fn cookie(sk: *const u8) -> u64 {
    match Typed::load(sk, kernel::skc_cookie()) {
        // SAFETY: a typed socket, as the helper demands.
        0 => unsafe { bpf_get_socket_cookie(sk as *mut _) },
        cookie => cookie,
    }
}

/// Whether a read with these flags leaves the stream where it was, or takes bytes from outside it.
#[inline(always)]
pub fn is_unusual_read(flags: i32) -> bool {
    flags & UNUSUAL_READ != 0
}

/// Whether the agent wants none of this socket's operations.
#[inline(always)]
pub fn is_muted(flags: u32) -> bool {
    flags & (SOCKET_MUTED | SOCKET_HUSHED) != 0
}

/// Whether the agent decided not to trace a process.
#[inline(always)]
pub fn is_ignored(tgid: u32) -> bool {
    known_of(tgid) & PROCESS_IGNORED != 0
}

/// The same, or not what it says inside TLS.
#[inline(always)]
pub fn is_tls_ignored(tgid: u32) -> bool {
    known_of(tgid) & (PROCESS_IGNORED | PROCESS_TLS_OFF) != 0
}

/// What is known of a process (`PROCESS_*`); 0 if nothing is.
#[inline(always)]
pub fn known_of(tgid: u32) -> u8 {
    // SAFETY: one byte, copied at once.
    unsafe { PROCESSES.get(tgid) }.map_or(0, |known| *known)
}

/// Notes one more mark of a process. (Where the agent writes another at the same moment, this one may be lost: who needs it
/// notes it each time that it is missing.)
#[inline(always)]
pub fn note_process(tgid: u32, mark: u8) {
    match PROCESSES.get_ptr_mut(tgid) {
        // SAFETY: a map value, valid while the program runs: one byte.
        Some(known) => unsafe { *known |= mark },
        None => drop(PROCESSES.insert(tgid, mark, BPF_NOEXIST)),
    }
}

/// Unix sockets have no sequence numbers: counts bytes per socket, in an epoch that starts when the count does.
///
/// False if there is no position: the map is too busy, which is counted.
///
/// Counts in place: the other direction may be counted on another CPU meanwhile.
#[inline(always)]
pub fn advance_unix(operation: &mut Operation) -> bool {
    if POSITIONS.get_ptr(operation.cookie).is_none() {
        let epoch = facts::new_epoch();
        let state = SocketPositions { epoch, reserved: 0, tx: 0, rx: 0 };
        let _ = POSITIONS.insert(operation.cookie, state, BPF_NOEXIST);
    }
    let Some(state) = POSITIONS.get_ptr_mut(operation.cookie) else {
        count(Counter::RingFull, 1);
        return false;
    };
    // SAFETY: a map value, valid while the program runs; each field is one aligned word.
    unsafe {
        if operation.result > 0 {
            match operation.direction {
                EGRESS => (*state).tx += operation.result as u64,
                _ => (*state).rx += operation.result as u64,
            }
        }
        operation.tx_position = (*state).tx;
        operation.rx_position = (*state).rx;
        operation.epoch = (*state).epoch;
    }
    operation.passed = if operation.direction == EGRESS { operation.tx_position } else { operation.rx_position };
    true
}

/// Builds the record in this CPU's scratch memory and puts it on the ring.
#[inline(always)]
pub fn submit<const LOOPS: bool>(operation: &Operation, source: &Source, endpoints: impl Fn(&mut Endpoints)) {
    let Some(scratch) = scratch() else { return };
    // SAFETY: the scratch memory is larger than an IoEvent, aligned to 8, and this CPU's alone.
    let event = unsafe { &mut *scratch.cast::<IoEvent>() };
    match operation.kind {
        SocketKind::Tcp | SocketKind::Udp => endpoints(&mut event.endpoints),
        SocketKind::UnixStream => sock::unix_endpoints(&mut event.endpoints, operation.peer_cookie),
    }
    // (Here, for the stacks of functions that call each other are one, of 512 bytes.)
    sock::store_unit(&mut event.unit, operation.id, operation.switches);
    if operation.process & PROCESS_UNITS != 0 {
        let sent_on = (operation.direction == EGRESS).then_some(operation.fd);
        runtimes::store_unit(&mut event.unit, operation.thread, sent_on);
    }
    if LOOPS {
        submit_looped(operation, source);
        if operation.process & (PROCESS_RECORDS | PROCESS_TLS_OFF) == PROCESS_RECORDS {
            runtimes::rustls::records_on_socket(operation, source);
        }
    } else {
        submit_unrolled(operation, source);
    }
}

/// The rest of [`submit`], once the ends and the unit are in the record; checked by itself (`main.rs`).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn submit_looped(operation: *const Operation, source: *const Source) -> u64 {
    finish::<true>(operation, source);
    0
}

/// As [`submit_looped`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn submit_unrolled(operation: *const Operation, source: *const Source) -> u64 {
    finish::<false>(operation, source);
    0
}

#[inline(always)]
fn finish<const LOOPS: bool>(operation: *const Operation, source: *const Source) {
    // SAFETY: null, or the caller's.
    let (Some(operation), Some(source)) = (unsafe { (operation.as_ref(), source.as_ref()) }) else { return };
    let Some(scratch) = scratch() else { return };
    // SAFETY: the scratch memory is larger than an IoEvent, aligned to 8, and this CPU's alone.
    let event = unsafe { &mut *scratch.cast::<IoEvent>() };
    let moved = if operation.result > 0 { operation.result as u64 } else { 0 };
    let free = budget::free();
    let limit = width::at_first(operation, moved, free);
    let limit = if moved < limit { moved } else { limit };
    // The end of a connection is news in any case.
    let cost = HEADER as u64 + limit;
    if operation.result > 0 && budget::refuses(Some(operation.cookie), (operation.id >> 32) as u32, cost, free) {
        return count(Counter::OverBudget, 1);
    }
    // SAFETY: behind the header there is room for 3 * MAX_CAPTURE bytes.
    let to = unsafe { scratch.add(HEADER) };
    let (mut copied, mut flags) = buffer::copy::<LOOPS>(source, limit, scratch);
    // (Before Linux 6.3 the agent widens what turns out to need it: that verifier has no time for this.)
    if LOOPS && width::after_a_look(operation, to, copied, moved, free) && moved > limit {
        (copied, flags) = buffer::copy_again(source, MAX_CAPTURE.min(moved as usize) as u64);
    }
    if LOOPS {
        width::remember(operation, to, copied, moved);
        if operation.process & PROCESS_TLS_CALLS != 0 {
            tls::on_socket(operation, to, copied);
        }
    }
    event.kind = Kind::Io as u8;
    event.direction = operation.direction;
    event.flags = flags
        | (operation.nonblocking * FLAG_NONBLOCKING)
        | ((operation.threads == 1) as u8 * FLAG_ONLY_THREAD)
        | if operation.kind == SocketKind::Udp { FLAG_DATAGRAM } else { 0 };
    event.reserved = 0;
    event.captured = copied as u32;
    event.result = operation.result;
    event.epoch = operation.epoch;
    event.time = facts::now();
    event.cookie = operation.cookie;
    event.tx_position = operation.tx_position;
    event.rx_position = operation.rx_position;
    event.inode = operation.inode;
    event.fd = operation.fd;
    (event.ran, event.queued) = clocks::at(event.time);
    event.reserved2 = 0;
    if flags & FLAG_FAULT != 0 {
        count(Counter::Faults, 1);
    }
    if flags & FLAG_IO_URING != 0 {
        count(Counter::IoUring, 1);
    }
    let total = HEADER as u64 + (copied & (2 * MAX_CAPTURE as u64 - 1));
    // SAFETY: `total` is at most the size of the scratch memory.
    let lost = unsafe { bpf_ringbuf_output((&raw const EVENTS) as *mut _, scratch.cast(), total, NO_WAKEUP) } != 0;
    if lost {
        count(Counter::RingFull, 1);
    }
}
