//! wirespan's kernel programs: thin entry points.
//!
//! | file | what it is |
//! |---|---|
//! | `main.rs` | one entry point a hook |
//! | `io.rs` | [`io::on_socket_io`]: one socket operation becomes one record |
//! | `budget.rs` | who may put how much on the ring while that fills up |
//! | `width.rs` | how much of an operation is captured |
//! | `buffer.rs` | which user memory the current system call moved |
//! | `sock.rs` | what a `struct sock` says: ends, positions |
//! | `waits.rs` | what threads sleep on |
//! | `clocks.rs` | how long a thread has run, and waited for a CPU |
//! | `task.rs` | threads and processes: fork, exec, exit |
//! | `runtimes/` | which unit of a runtime runs on a thread, one file a runtime |
//! | `lines.rs` | what programs write where their lines go |
//! | `tls.rs` | plaintext in TLS libraries |
//! | `copied.rs` | a record with a copy of user memory |
//! | `facts.rs` | what is told of units beyond that |
//! | `fallback.rs` | the socket behind a file descriptor, for kernels without the socket tracepoints |
//! | `kernel.rs` | field offsets, read from BTF by the agent and handed over as constants |
//! | `arch.rs` | system call numbers and registers |
//! | `maps.rs` | every map, with its size and eviction |
//!
//! The verifier follows every way through a program, and what all branches before have left behind multiplies what is to come. So
//! what many ways lead to is a function that it checks **by itself**, once, for any arguments (a global function: `no_mangle`,
//! `inline(never)`, numbers and pointers to what has a known size as arguments, a number as result): the ways end at the call. It
//! knows nothing of what such a function returns, nor of what it writes (`docs/decisions/049-verified-by-itself.md`).
//!
//! No kprobe, and no fentry or fexit that anything else depends on: hardened kernels refuse them. Nothing here writes to user memory or to a packet.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(missing_docs, reason = "the entry point macros expand to undocumented functions")]

mod arch;
mod budget;
mod buffer;
mod clocks;
mod copied;
mod facts;
mod fallback;
mod files;
mod io;
mod kernel;
mod lines;
mod maps;
mod runtimes;
mod sock;
mod task;
mod tls;
mod waits;
mod width;

use aya_ebpf::{
    macros::{btf_tracepoint, fentry, fexit, raw_tracepoint, uprobe},
    programs::{BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, RawTracePointContext},
};
use wirespan_common::{EGRESS, INGRESS};

/// `void (struct sock *sk, int ret, int flags)`, net/socket.c, since 6.3.
#[btf_tracepoint(function = "sock_send_length")]
pub fn wirespan_send(ctx: BtfTracePointContext) -> i32 {
    io::on_typed_socket(ctx.arg(0), ctx.arg(1), ctx.arg(2), EGRESS);
    0
}

/// `void (struct sock *sk, int ret, int flags)`, net/socket.c, since 6.3.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn wirespan_recv(ctx: BtfTracePointContext) -> i32 {
    io::on_typed_socket(ctx.arg(0), ctx.arg(1), ctx.arg(2), INGRESS);
    0
}

/// `void (struct pt_regs *regs, long ret)`: the fallback before 6.3. Runs on every system call.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn wirespan_exit(ctx: RawTracePointContext) -> i32 {
    fallback::on_system_call_exit(ctx.arg(0), ctx.arg(1));
    0
}

/// `void (const struct sock *sk, const int oldstate, const int newstate)`, net/ipv4/af_inet.c, since 4.16.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn wirespan_state(ctx: BtfTracePointContext) -> i32 {
    sock::on_state(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

/// `void (struct sock *sk)`, net/ipv4/tcp_ipv4.c, since 4.16. Once for each TCP socket.
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn wirespan_destroy(ctx: BtfTracePointContext) -> i32 {
    sock::on_destroy(ctx.arg(0));
    0
}

/// `void (const struct sock *sk)`, net/core/sock.c, since 5.15. Mostly in interrupt context.
#[btf_tracepoint(function = "inet_sk_error_report")]
pub fn wirespan_error(ctx: BtfTracePointContext) -> i32 {
    sock::on_error(ctx.arg(0));
    0
}

/// `int (struct socket *, struct sockaddr *, int len, int flags)`, net/unix/af_unix.c. Kernels that have no trampolines do
/// without.
#[fexit(function = "unix_stream_connect")]
pub fn wirespan_unix(ctx: FExitContext) -> i32 {
    sock::on_unix_connect(ctx.arg(1), ctx.arg(2), ctx.arg(4));
    0
}

/// `void (struct task_struct *parent, struct task_struct *child)`, kernel/fork.c.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn wirespan_fork(ctx: BtfTracePointContext) -> i32 {
    task::on_fork(ctx.arg(0), ctx.arg(1));
    0
}

/// `void (struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`, fs/exec.c.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn wirespan_exec(ctx: BtfTracePointContext) -> i32 {
    task::on_exec(ctx.arg(0));
    0
}

/// `void (struct task_struct *p, ...)`, kernel/exit.c. Runs in the thread that ends.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn wirespan_task_exit(_ctx: BtfTracePointContext) -> i32 {
    task::on_exit();
    0
}

/// `void (bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state)`, kernel/sched/core.c,
/// since 5.18. Only attached where the socket tracepoints are.
#[btf_tracepoint(function = "sched_switch")]
pub fn wirespan_sleep(ctx: BtfTracePointContext) -> i32 {
    // Whoever is pushed aside, or only yields, does not sleep.
    if ctx.arg::<u64>(0) as u8 == 0 && ctx.arg::<u64>(3) as u32 != 0 {
        waits::on_sleep(ctx.arg(1));
    }
    0
}

/// `void (struct inode *inode, loff_t pos, unsigned int len)`, fs/ext4/inode.c. Once for each piece of a write.
#[btf_tracepoint(function = "ext4_da_write_begin")]
pub fn wirespan_ext4(ctx: BtfTracePointContext) -> i32 {
    lines::on_piece(ctx.arg(0), ctx.arg(1));
    0
}

/// `void (struct kiocb *iocb, struct iov_iter *iter)`, fs/xfs/xfs_file.c.
#[btf_tracepoint(function = "xfs_file_buffered_write")]
pub fn wirespan_xfs(ctx: BtfTracePointContext) -> i32 {
    lines::on_kiocb(ctx.arg(0));
    0
}

/// `ssize_t (struct kiocb *iocb, struct iov_iter *from)`, fs/pipe.c. Preemptible, as all of its kind.
#[fentry(function = "pipe_write")]
pub fn wirespan_pipe(ctx: FEntryContext) -> i32 {
    lines::on_kiocb(ctx.arg(0));
    0
}

/// `ssize_t (struct kiocb *iocb, struct iov_iter *from)`, drivers/tty/tty_io.c.
#[fentry(function = "tty_write")]
pub fn wirespan_tty(ctx: FEntryContext) -> i32 {
    lines::on_kiocb(ctx.arg(0));
    0
}

/// `void (struct pt_regs *regs, long id)`: where nothing else tells of pipes and terminals. Runs on every system call.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn wirespan_write(ctx: RawTracePointContext) -> i32 {
    lines::on_call(ctx.arg::<u64>(1) as u32);
    0
}

/// A probe in a Go program. Preemptible, so nothing here is of this CPU alone.
#[uprobe]
pub fn wirespan_go(ctx: ProbeContext) -> u32 {
    runtimes::go_calls::on_probe(&ctx);
    0
}

/// A probe where Go makes goroutines, and where they end. Preemptible, as above.
#[uprobe]
pub fn wirespan_go_births(ctx: ProbeContext) -> u32 {
    runtimes::go_births::on_probe(&ctx);
    0
}

/// A probe in Go's `crypto/tls`. Preemptible, as above.
#[uprobe]
pub fn wirespan_go_tls(ctx: ProbeContext) -> u32 {
    runtimes::go_tls::on_probe(&ctx);
    0
}

/// A probe in rustls. Preemptible, as above.
#[uprobe]
pub fn wirespan_rustls(ctx: ProbeContext) -> u32 {
    runtimes::rustls::on_probe(&ctx);
    0
}

/// A probe in CPython. Preemptible, as above.
#[uprobe]
pub fn wirespan_python(ctx: ProbeContext) -> u32 {
    runtimes::python_tasks::on_probe(&ctx);
    0
}

/// A probe in nginx. Preemptible, as above.
#[uprobe]
pub fn wirespan_nginx(ctx: ProbeContext) -> u32 {
    runtimes::nginx::on_probe(&ctx);
    0
}

/// A probe in Node. Preemptible, as above.
#[uprobe]
pub fn wirespan_node(ctx: ProbeContext) -> u32 {
    runtimes::node::on_probe(&ctx);
    0
}

/// `ssize_t (struct kiocb *iocb, struct iov_iter *to)`, fs/eventfd.c, since 5.9: how loops hear of other threads. Kernels that have
/// no trampolines do without. Attached once there is such a loop.
#[fexit(function = "eventfd_read")]
pub fn wirespan_eventfd(_ctx: FExitContext) -> i32 {
    runtimes::node::on_woken();
    0
}

/// A probe in a TLS library. Preemptible, as above.
#[uprobe]
pub fn wirespan_tls(ctx: ProbeContext) -> u32 {
    tls::on_probe(&ctx);
    0
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that can reach this.
    loop {}
}

/// The helpers that these programs call are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
