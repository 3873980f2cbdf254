//! The records that the kernel programs put on the ring and the agent takes off it.
//!
//! Only `repr(C)` types and constants live here; logic belongs to one side or the other. Both sides are built from the
//! same commit, so the layout needs no version, but every size is asserted below: a change that moves a field fails to
//! compile instead of misreading memory.
//!
//! Every record starts with a [`Kind`] in its first byte.
//!
//! | file | what it is |
//! |---|---|
//! | `lib.rs` | operations, connections, processes; marks, budgets, counters |
//! | `units.rs` | units of runtimes, and what is told of them |
//! | `lines.rs` | what programs write where their lines go |
//! | `tls.rs` | what passes through TLS libraries |
#![no_std]
#![forbid(unsafe_code)]

mod lines;
mod tls;
mod units;

pub use lines::*;
pub use tls::*;
pub use units::*;

/// The largest number of payload bytes that one [`IoEvent`] can carry.
///
/// A power of two: the verifier accepts `len & (MAX - 1)` as a bound. The agent may ask for less.
pub const MAX_CAPTURE: usize = 32768;

/// The most bytes of arguments and environment that an [`ExecEvent`] carries.
pub const MAX_EXEC_PAYLOAD: usize = 4096;

/// The longest path that an [`ExecEvent`] carries, with the NUL behind it.
pub const MAX_EXEC_FILE: usize = 256;

/// What a record is; its first byte.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One socket operation, [`IoEvent`] followed by captured bytes.
    Io = 1,
    /// A TCP connection changed state, [`StateEvent`].
    State = 2,
    /// A thread or process was created, [`TaskEvent`].
    Fork = 3,
    /// A process replaced its program, [`ExecEvent`] followed by arguments and environment.
    Exec = 4,
    /// A thread ended, [`TaskEvent`].
    Exit = 5,
    /// Something else that says who does what for whom, [`FactEvent`].
    Fact = 6,
    /// A Unix socket could not be connected, [`PathEvent`].
    Path = 7,
    /// Plaintext that passed through a TLS library, [`PlainEvent`] followed by captured bytes.
    Plain = 8,
    /// Something was written to where a process's lines go, [`LineEvent`] followed by captured bytes.
    Lines = 9,
}

/// [`IoEvent::direction`]: bytes received by this process.
pub const INGRESS: u8 = 0;
/// [`IoEvent::direction`]: bytes sent by this process.
pub const EGRESS: u8 = 1;

/// [`IoEvent::flags`]: the bytes passed through `io_uring`, whose buffers the hook cannot see.
pub const FLAG_IO_URING: u8 = 1;
/// [`IoEvent::flags`]: the operation has no user buffer (`sendfile`, `splice`, a kernel thread).
pub const FLAG_NO_BUFFER: u8 = 2;
/// [`IoEvent::flags`]: reading the user buffer failed, so fewer bytes were captured than could have been.
pub const FLAG_FAULT: u8 = 4;
/// [`IoEvent::flags`]: the thread was the only one of its process.
pub const FLAG_ONLY_THREAD: u8 = 32;
/// [`IoEvent::flags`]: a read that would not have waited for bytes (`O_NONBLOCK`, `MSG_DONTWAIT`); never set on a write.
pub const FLAG_NONBLOCKING: u8 = 8;
/// [`IoEvent::flags`]: one whole datagram (UDP). It has no position, and its socket's peer is known only if it is connected.
pub const FLAG_DATAGRAM: u8 = 16;

/// [`PlainEvent::flags`]: this end is the server of its TLS session.
pub const FLAG_TLS_SERVER: u8 = 64;
/// Of plaintext: whether it is the server's end of the session is not known.
pub const FLAG_TLS_EITHER: u8 = 2;

/// [`PlainEvent::flags`]: of a call before was not seen what became of it, so positions do not count from the beginning.
pub const FLAG_TLS_BROKEN: u8 = 128;

/// Set in what identifies a socket where that is its inode's number, because it has no cookie yet.
pub const INODE_IDENTITY: u64 = 1 << 63;

/// `AF_UNIX`.
pub const AF_UNIX: u8 = 1;
/// `AF_INET`.
pub const AF_INET: u8 = 2;
/// `AF_INET6`.
pub const AF_INET6: u8 = 10;

/// The two ends of a connection as the local socket knows them.
///
/// IPv4 addresses stand in the first four bytes. For Unix sockets `peer_cookie` names the other end, and the addresses
/// are zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Local address, network order.
    pub local: [u8; 16],
    /// Remote address, network order.
    pub peer: [u8; 16],
    /// Local port, host order.
    pub local_port: u16,
    /// Remote port, host order.
    pub peer_port: u16,
    /// `AF_UNIX`, `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// Always zero.
    pub reserved: [u8; 3],
    /// Socket cookie of the other end; zero unless it is a Unix socket whose peer is known.
    pub peer_cookie: u64,
}

/// One socket operation that moved bytes, or ended a direction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IoEvent {
    /// [`Kind::Io`].
    pub kind: u8,
    /// [`INGRESS`] or [`EGRESS`].
    pub direction: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// Always zero.
    pub reserved: u8,
    /// Bytes that follow this header.
    pub captured: u32,
    /// Bytes moved; 0 is end of stream (ingress); negative is `-errno`.
    pub result: i32,
    /// Changes whenever the kernel had to start counting `tx_position`/`rx_position` anew; always 0 for TCP.
    pub epoch: u32,
    /// `CLOCK_BOOTTIME` after the operation, nanoseconds.
    pub time: u64,
    /// Socket cookie, or a socket inode with the top bit set where the kernel gives no cookie.
    pub cookie: u64,
    /// Next byte to be sent. TCP: `write_seq`, 32 bits. Unix: bytes sent in this epoch.
    pub tx_position: u64,
    /// Next byte to be received. TCP: `copied_seq`, 32 bits. Unix: bytes received in this epoch.
    pub rx_position: u64,
    /// Who did it.
    pub unit: UnitId,
    /// The connection's ends. A datagram that is sent from a socket without a peer has the one that it is sent to.
    pub endpoints: Endpoints,
    /// Unix and UDP sockets, of whose end the kernel says nothing: the inode number of the socket, 0 if it is not known.
    pub inode: u64,
    /// The descriptor by which the program perhaps names it.
    pub fd: u32,
    /// How long the thread had run, by then and by a clock of its own ([`CLOCK_SHIFT`]); 0: that is not known.
    pub ran: u32,
    /// How long it had waited for a CPU.
    pub queued: u32,
    /// Always zero.
    pub reserved2: u32,
}

/// [`IoEvent::ran`] and `queued` count `1 << CLOCK_SHIFT` nanoseconds, modulo 2³². Only differences mean anything.
pub const CLOCK_SHIFT: u32 = 10;

/// [`StateEvent::flags`]: this program let go of the connection. It reads nothing more of it, and there is nothing more
/// that it could have read.
pub const STATE_LET_GO: u8 = 1;

/// [`StateEvent::flags`]: a `connect` failed before it sent anything: there was no way to the peer.
pub const STATE_UNSENT: u8 = 2;

/// A TCP connection was opened, finished by this side, or ended. May run in interrupt context, where `unit` is somebody
/// else's.
///
/// `CLOSE → CLOSE` is the moment at which a program let go of a socket whose connection had ended before, or never began
/// ([`STATE_UNSENT`]). Both states are 0 where a UDP socket was told that what it sent cannot arrive (`error`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StateEvent {
    /// [`Kind::State`].
    pub kind: u8,
    /// State before (`TCP_*` of `include/net/tcp_states.h`).
    pub old: u8,
    /// State after.
    pub new: u8,
    /// `STATE_*`.
    pub flags: u8,
    /// Why the kernel ended the connection, as an `errno`; 0 if no error is pending (`sk_err`).
    pub error: u32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// Socket cookie.
    pub cookie: u64,
    /// Next byte to be sent, as in [`IoEvent::tx_position`].
    pub tx_position: u64,
    /// Next byte to be received by the program, as in [`IoEvent::rx_position`].
    pub rx_position: u64,
    /// Current thread; meaningful only for `CLOSE → SYN_SENT`, which happens in `connect`.
    pub unit: UnitId,
    /// The connection's ends.
    pub endpoints: Endpoints,
}

/// The longest name of a Unix socket (`sun_path`).
pub const MAX_PATH: usize = 108;

/// A `connect` of a Unix socket failed: nobody listens at that path, or the program may not.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PathEvent {
    /// [`Kind::Path`].
    pub kind: u8,
    /// Bytes of `path`. A name that begins with a zero byte is no file's (*abstract*).
    pub path_len: u8,
    /// Always zero.
    pub reserved: [u8; 2],
    /// Why, as an `errno`.
    pub error: u32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// Current thread.
    pub unit: UnitId,
    /// What was to be connected to; zero behind `path_len`.
    pub path: [u8; MAX_PATH],
    /// Always zero.
    pub reserved2: [u8; 4],
}

/// A thread was created ([`Kind::Fork`]) or ended ([`Kind::Exit`]).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TaskEvent {
    /// [`Kind::Fork`] or [`Kind::Exit`].
    pub kind: u8,
    /// Exit: 1 if the whole process ends, and this thread with it. Fork: zero.
    pub with_process: u8,
    /// Always zero.
    pub reserved: [u8; 6],
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// Process of the thread.
    pub tgid: u32,
    /// The thread.
    pub tid: u32,
    /// Fork: the creator's process. Exit: zero.
    pub parent_tgid: u32,
    /// Fork: the creating thread. Exit: zero.
    pub parent_tid: u32,
}

/// A process replaced its program. `args_len` bytes of NUL-separated arguments follow, then `env_len` bytes of
/// NUL-separated environment; each may be cut short.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExecEvent {
    /// [`Kind::Exec`].
    pub kind: u8,
    /// Always zero.
    pub reserved: [u8; 3],
    /// Effective user id.
    pub uid: u32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// Process.
    pub tgid: u32,
    /// Parent process, zero if unknown.
    pub parent_tgid: u32,
    /// Inode of the process's cgroup v2 directory.
    pub cgroup_id: u64,
    /// `task->comm` after the exec, NUL-padded.
    pub comm: [u8; 16],
    /// Bytes of arguments that follow.
    pub args_len: u32,
    /// Bytes of environment that follow the arguments.
    pub env_len: u32,
    /// Path that was executed, as `execve` was given it (of a script, the script's), NUL-terminated; empty if unknown. One
    /// that fills the field is cut.
    pub file: [u8; MAX_EXEC_FILE],
}

/// Bits of the values of the `PROCESSES` map, by process id, which say what its socket operations have to ask for: user space
/// decided not to trace it.
pub const PROCESS_IGNORED: u8 = 1;
/// Of a traced process: it has a TLS library whose records say which socket they are for. The kernel's own mark.
pub const PROCESS_RECORDS: u8 = 1 << 1;
/// Of a traced process: what it says inside TLS is not copied. Written by user space.
pub const PROCESS_TLS_OFF: u8 = 1 << 2;
/// Its runtime's units are known (the map `RUNTIMES`). Written by user space.
pub const PROCESS_UNITS: u8 = 1 << 3;
/// It calls a TLS library whose calls are noted (the map `TLS_CALLS`). The kernel's own mark.
pub const PROCESS_TLS_CALLS: u8 = 1 << 4;

/// Bits of the values of the `SOCKETS` map, by socket cookie: no event is wanted from this socket any more.
pub const SOCKET_MUTED: u32 = 1;
/// The connection has ended, and the program has not let go of the socket. The kernel's own mark.
pub const SOCKET_ENDED: u32 = 2;
/// As much as a record holds is wanted of each operation in the direction [`INGRESS`]; of [`EGRESS`], the next bit. Written
/// by user space, and by the kernel where HTTP/2 begins.
pub const SOCKET_WIDE: u32 = 1 << 2;
/// The last operation in the direction [`INGRESS`] held a part of a request's head and not its end; of [`EGRESS`], the
/// next bit. The kernel's own mark.
pub const SOCKET_HEAD: u32 = 1 << 4;

/// What passes is encrypted: the beginning of each operation is enough. Written by user space.
pub const SOCKET_SECURED: u32 = 1 << 6;
/// No operation is wanted from this socket for now, but its end is. Written by user space.
pub const SOCKET_HUSHED: u32 = 1 << 7;

/// Values of the `POSITIONS` map, by socket cookie: of Unix sockets, which have no sequence numbers, and `tx` of TCP sockets
/// whose connection has ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketPositions {
    /// When the kernel began to count, as a stamp that differs for each start.
    pub epoch: u32,
    /// Always zero.
    pub reserved: u32,
    /// Bytes sent in this epoch.
    pub tx: u64,
    /// Bytes received in this epoch.
    pub rx: u64,
}

/// What one socket and one process may put on the ring while that fills up. Bytes count with what a record costs besides
/// ([`RECORD_COST`]), so that many small records are no way around.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Size of the ring, bytes.
    pub ring: u64,
    /// Of one socket: bytes in a millisecond.
    pub socket_rate: u64,
    /// Of one socket: bytes at once.
    pub socket_burst: u64,
    /// Of one process: bytes in a millisecond.
    pub process_rate: u64,
    /// Of one process: bytes at once.
    pub process_burst: u64,
}

/// What a record counts for besides its bytes: about what it costs the agent to look at one.
pub const RECORD_COST: u64 = 512;

/// Values of the maps `SOCKET_BUDGETS`, by socket cookie, and `PROCESS_BUDGETS`, by process id: what is left of what one
/// may put on a ring that fills up.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    /// When `left` was right, `CLOCK_BOOTTIME` nanoseconds.
    pub time: u64,
    /// Bytes.
    pub left: u64,
    /// Records that found nothing left.
    pub refused: u64,
}

/// Slots of the per-CPU `COUNTERS` array: what user space cannot count itself.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Records lost because the ring was full.
    RingFull = 0,
    /// Operations whose user buffer could not be read.
    Faults = 1,
    /// Operations that passed through `io_uring`.
    IoUring = 2,
    /// Records of sockets or processes that put more on the ring than their share while it filled up.
    OverBudget = 3,
    /// Calls into TLS libraries of which was not seen what became of them.
    TlsUnfinished = 4,
    /// Plaintext of sessions of TLS that are on no socket of their own.
    TlsElsewhere = 5,
}

/// Number of slots in `COUNTERS`.
pub const COUNTERS: u32 = 6;

const _: () = {
    assert!(size_of::<Endpoints>() == 48);
    assert!(size_of::<IoEvent>() == 160);
    assert!(size_of::<StateEvent>() == 128);
    assert!(size_of::<PathEvent>() == 168);
    assert!(size_of::<TaskEvent>() == 32);
    assert!(size_of::<ExecEvent>() == 56 + MAX_EXEC_FILE);
    assert!(size_of::<SocketPositions>() == 24);
    assert!(size_of::<Limits>() == 40);
    assert!(size_of::<Budget>() == 24);
};
