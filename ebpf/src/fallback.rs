//! Kernels before 6.3 have no socket tracepoints: the end of every system call is watched instead, and the socket is
//! found through the file descriptor.
//!
//! The registers still hold the arguments when the call ends, so its beginning needs no program.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task};
use wirespan_common::{EGRESS, INGRESS, PROCESS_IGNORED};

use crate::{
    arch,
    buffer::{self, Source},
    files::{identity, socket_of},
    io::{self, Operation},
    kernel::{self, Memory, Probed},
    maps::SOCKETS,
    runtimes,
    sock::{self, SocketKind},
};

/// The same on both architectures that are read.
const O_NONBLOCK: u32 = 0o4000;

/// A system call ended.
#[inline(always)]
pub fn on_system_call_exit(regs: *const u8, result: i64) {
    let load = |offset: usize| Probed::load::<u64>(regs, offset);
    let direction = match load(arch::NUMBER) as u32 {
        arch::READ | arch::READV | arch::PREADV2 | arch::RECVFROM | arch::RECVMSG | arch::RECVMMSG => INGRESS,
        arch::WRITE
        | arch::WRITEV
        | arch::PWRITEV2
        | arch::SENDTO
        | arch::SENDMSG
        | arch::SENDMMSG
        | arch::SENDFILE
        | arch::SPLICE => EGRESS,
        _ => return,
    };
    let result = result as i32;
    if !io::is_wanted(result, direction) {
        return;
    }
    let id = bpf_get_current_pid_tgid();
    let process = io::known_of((id >> 32) as u32);
    if process & PROCESS_IGNORED != 0 {
        return;
    }
    on_native(load, (id, process), result, direction);
}

#[inline(always)]
fn on_native(load: impl Fn(usize) -> u64 + Copy, (id, process): (u64, u8), result: i32, direction: u8) {
    if !arch::is_native(load) {
        return;
    }
    let number = load(arch::NUMBER) as u32;
    if direction == INGRESS && io::is_unusual_read(flags(load, number)) {
        return;
    }
    let fd = load(arch::ARGS[if number == arch::SPLICE { 2 } else { 0 }]);
    let Some((sk, inode, file_flags)) = socket_of(fd) else { return };
    let Some(kind) = sock::kind::<Probed>(sk) else { return };
    // Datagrams would make half as many paths again for a verifier that is slow already: DNS needs Linux 6.3.
    if kind == SocketKind::Udp || io::is_empty_read::<Probed>(sk, result) {
        return;
    }
    let cookie = identity(sk, inode);
    if direction == INGRESS {
        runtimes::node::on_read(id, cookie);
    }
    // SAFETY: one word is copied out at once.
    let marks = unsafe { SOCKETS.get(cookie) }.map_or(0, |marks| *marks);
    if io::is_muted(marks) {
        return;
    }
    let many = matches!(number, arch::RECVMMSG | arch::SENDMMSG);
    let result = if many && result > 0 { vector_length(load(arch::ARGS[1]), result) } else { result };
    // Without a branch: the verifier would follow all that comes twice.
    let dont_wait = (flags(load, number) as u32 & io::MSG_DONTWAIT as u32) >> 6 | (file_flags & O_NONBLOCK) >> 11;
    let mut operation = Operation::new(id, cookie, kind, direction, result);
    operation.nonblocking = (dont_wait & 1 & (direction == INGRESS) as u32) as u8;
    operation.marks = marks;
    operation.process = process;
    operation.fd = fd as u32;
    // SAFETY: the helper has no preconditions; the pointer is only read through checked reads.
    let task = unsafe { bpf_get_current_task() } as *const u8;
    operation.switches = Probed::load::<u64>(task, kernel::task_nvcsw()) as u32;
    operation.threads = Probed::load(Probed::load(task, kernel::task_signal()), kernel::signal_threads());
    operation.thread = Probed::load(task, kernel::task_thread_pointer());
    match kind {
        SocketKind::Tcp => {
            (operation.tx_position, operation.rx_position) = sock::tcp_positions::<Probed>(sk, sk, direction);
            operation.passed = sock::tcp_passed::<Probed>(sk, direction);
        }
        SocketKind::Udp => {}
        SocketKind::UnixStream => {
            operation.inode = inode;
            if !io::advance_unix(&mut operation) {
                return;
            }
            let peer: *const u8 = Probed::load(sk, kernel::unix_peer());
            operation.peer_cookie = identity(peer, sock::inode::<Probed>(peer));
        }
    }
    let thrown_away = direction == INGRESS && flags(load, number) & io::MSG_TRUNC != 0;
    let source = if result > 0 && !thrown_away { buffer::source(load, id as u32, many) } else { Source::none(0) };
    io::submit::<false>(&operation, &source, |to| sock::load_endpoints::<Probed>(sk, to));
}

/// The `flags` argument of a receiving call.
#[inline(always)]
fn flags(load: impl Fn(usize) -> u64, number: u32) -> i32 {
    match number {
        arch::RECVMSG => load(arch::ARGS[2]) as i32,
        arch::RECVFROM | arch::RECVMMSG => load(arch::ARGS[3]) as i32,
        _ => 0,
    }
}

/// Bytes moved by the first messages of a `…mmsg` call that moved `messages`.
#[inline(always)]
fn vector_length(vector: u64, messages: i32) -> i32 {
    let mut total = 0;
    for i in 0..8u64 {
        if i < messages as u64 {
            total += buffer::message_length(vector, i) as i32;
        }
    }
    total
}
