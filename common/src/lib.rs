//! The records that the kernel programs put on the ring and the agent takes off it.
//!
//! Only `repr(C)` types and constants live here; logic belongs to one side or the other. Both sides are built from the
//! same commit, so the layout needs no version, but every size is asserted below: a change that moves a field fails to
//! compile instead of misreading memory.
//!
//! Every record starts with a [`Kind`] in its first byte.
#![no_std]
#![forbid(unsafe_code)]

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

/// [`PlainEvent::flags`]: of a call before was not seen what became of it, so positions do not count from the beginning.
pub const FLAG_TLS_BROKEN: u8 = 128;

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

/// What runs one request at a time inside a process (design.md §2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UnitId {
    /// Process (thread group) id in the initial pid namespace.
    pub tgid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// What `id` and `parent` mean: 0 means that the thread is all that is known.
    pub kind: u32,
    /// How often the thread had gone to sleep by then (`task_struct.nvcsw`), modulo 2³²: between two equal values it ran on.
    pub switches: u32,
    /// Runtime's own id (goroutine, task). `kind` zero: what the thread works in, if its runtime tells (the context of an
    /// event loop's callback), else zero.
    pub id: u64,
    /// Goroutine: the number of the one that made it. Task and lent context: what tells one life of its address from another
    /// (its number; the moment of its birth). Zero when unknown.
    pub parent: u64,
    /// When the unit had it written, `CLOCK_BOOTTIME` nanoseconds, if what is written is gathered and sent later by something
    /// else; zero: it did so itself, now.
    pub since: u64,
}

/// [`UnitId::kind`]: a goroutine. Its number is never used again in its process.
pub const UNIT_GOROUTINE: u32 = 1;

/// [`UnitId::kind`]: a task of asyncio, by its address, which is used again once it is gone.
pub const UNIT_TASK: u32 = 2;

/// [`UnitId::kind`]: what a thread does in a context that a unit of another thread copied from its own (`contextvars`), by the
/// context's address, which is used again once it is gone.
pub const UNIT_LENT: u32 = 3;

/// [`UnitId::kind`]: a greenlet, by its address, which is used again once it is gone. A thread's first greenlet is the thread.
pub const UNIT_GREENLET: u32 = 4;

/// Values of the `RUNTIMES` map, by process id: where a process's runtime keeps the unit that runs. Offsets in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuntimeState {
    /// `UNIT_*`.
    pub kind: u32,
    /// From the thread's own memory down to the address of its unit.
    pub below_thread: u32,
    /// In a unit: its number.
    pub id: u32,
    /// In a unit: the number of the one that made it.
    pub parent: u32,
    /// In a unit: the address of the function that it began with.
    pub start: u32,
    /// In a unit: the address of what the runtime knows of its thread.
    pub thread: u32,
    /// In that: the address of the unit that it runs.
    pub current: u32,
    /// Always zero.
    pub reserved: u32,
    /// Functions whose units read for the one that made them; 0 for none.
    pub helpers: [u64; 2],
}

/// Values of the `PYTHONS` map, by process id: where CPython keeps the task that runs. Offsets in bytes, addresses in the
/// process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PythonState {
    /// The dictionary of the tasks that run, by loop; 0 if there are none.
    pub running: u64,
    /// The type of tasks.
    pub task_type: u64,
    /// The type of texts.
    pub text_type: u64,
    /// The type of numbers.
    pub number_type: u64,
    /// The type of contexts.
    pub context_type: u64,
    /// From the thread's own memory to the address of its state.
    pub slot: u32,
    /// In that: the thread's own memory again.
    pub thread_id: u32,
    /// In that: the context that it works in.
    pub context: u32,
    /// In a task: the context that it works in.
    pub task_context: u32,
    /// In a task: its name, or number.
    pub task_name: u32,
    /// In a text: its characters.
    pub text: u32,
    /// 1 if tables of dictionaries begin as they did until 3.10.
    pub old_tables: u32,
    /// Which of a thread's blocks of memory has the address of what greenlet knows of the thread (the number of its module); 0:
    /// there are no greenlets.
    pub greenlets: u32,
    /// Where in that block.
    pub greenlets_at: u32,
    /// Always zero.
    pub reserved: u32,
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
    /// Always zero.
    pub reserved2: u32,
}

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

/// What a [`FactEvent`] says.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// A thread went to sleep: `a` is one of `SLEPT_ON_*`, `b` the set, `cookie` the socket that it had sent on last.
    Slept = 1,
    /// What `other` sends next is a call that `unit` made; `a` and `b` are the handle that it carries, zeroes if none.
    HandedOver = 2,
    /// What `other` sends next on its stream of the number `cookie` is; else as [`Self::HandedOver`].
    HandedOverStream = 3,
    /// The request that `unit` serves carries the handle `a`, `b`.
    Named = 4,
    /// `unit` serves, from now on, the request of the stream with the number `cookie` that `other`, or a unit that `other`
    /// made, took in.
    TakenUp = 5,
    /// What is sent next through the socket `cookie` is a call made for the request that the connection of the socket `a` has
    /// under way.
    Relayed = 6,
    /// `unit` is made by `other`, or by what runs on the thread if that is zero; `a` tells that from what ran there before.
    Born = 16,
    /// `unit` is gone.
    Ended = 17,
    /// `unit` is made runnable by what runs on the thread, and is no unit; `a` tells that from what ran there before.
    Woke = 18,
}

/// What the place of a probe in CPython means: its cookie.
pub mod python_place {
    /// `Task.__init__`: the first argument is a task that is made.
    pub const MADE: u8 = 1;
    /// What destroys a task: the first argument.
    pub const GONE: u8 = 2;
    /// `Future.set_result`: the first argument is a future.
    pub const RESULT: u8 = 3;
    /// In what copies a context: it may be what was returned.
    pub const COPY_RETURNED: u8 = 4;
    /// The same: it may be the first argument of what is called.
    pub const COPY_PASSED: u8 = 5;
    /// What destroys a context: the first argument.
    pub const CONTEXT_GONE: u8 = 6;
    /// uvloop's `UVStream.write`, and `writelines`: the first argument is the stream, what the second points to is what is
    /// written.
    pub const WRITES_FIRST: u8 = 7;
    /// The same; the second argument is what is written.
    pub const WRITES: u8 = 8;
    /// What sets up a greenlet: the first argument.
    pub const GREENLET_MADE: u8 = 9;
    /// What destroys one: the first argument.
    pub const GREENLET_GONE: u8 = 10;
}

/// [`FactKind::Slept`]: exactly on the socket that it had sent on last.
pub const SLEPT_ON_OWN: u64 = 1;
/// [`FactKind::Slept`]: on several descriptors.
pub const SLEPT_ON_MANY: u64 = 2;
/// [`FactKind::Slept`]: on an epoll set.
pub const SLEPT_ON_SET: u64 = 3;

/// Something that says who does what for whom.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FactEvent {
    /// [`Kind::Fact`].
    pub kind: u8,
    /// [`FactKind`].
    pub what: u8,
    /// What `other` means, where that is not what `unit` does; else 0.
    pub other_kind: u8,
    /// Always zero.
    pub reserved: u8,
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// What `unit` and `other` mean, as [`UnitId::kind`]; 0: threads.
    pub unit_kind: u32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// The unit that it is about.
    pub unit: u64,
    /// Another unit, zero if none.
    pub other: u64,
    /// By `what`.
    pub a: u64,
    /// By `what`.
    pub b: u64,
    /// A socket, zero if none; or a stream's number, by `what`.
    pub cookie: u64,
}

/// What the place of a probe in a Go program means: the lowest byte of its cookie. `A` and `B` are offsets of fields, 16 bits
/// each, in the cookie from bit 16 and 32 on.
pub mod go_place {
    /// `net/http.serverHandler.ServeHTTP`: the fourth argument is the request, its context at `A`.
    pub const SERVES: u8 = 1;
    /// `net/http.(*persistConn).roundTrip`: a call with its connection, and a request whose context is at `A`.
    pub const ROUND_TRIP: u8 = 2;
    /// The same, of a request whose first word is the address of another, which has its context at `A`.
    pub const ROUND_TRIP_INDIRECT: u8 = 3;
    /// `net/http.persistConnWriter.Write`: a connection is written to.
    pub const WRITES: u8 = 4;
    /// `(*http2.clientStream).writeRequest`: a stream, its context at `A`; by a goroutine made for it.
    pub const STREAM_WRITES: u8 = 5;
    /// `(*http2.serverConn).runHandler`: the third argument is the request, its context at `A`; the second's first word is
    /// the address of what begins with the address of the stream, with its number at `B`.
    pub const STREAM_SERVES: u8 = 6;
    /// `(*grpc.Server).handleStream`: the fourth argument is a stream, its context at `A`, its number at `B`.
    pub const RPC_SERVES: u8 = 7;
    /// `(*transport.http2Client).NewStream`: the second and third argument are a context.
    pub const RPC_CALLS: u8 = 8;
    /// `(*transport.controlBuffer).executeAndPut`: the fourth argument is what is put.
    pub const RPC_PUTS: u8 = 9;
    /// A handler of `(*transport.loopyWriter)`: the second argument is what was put, with a stream's number at `A`.
    pub const RPC_WRITES: u8 = 10;

    /// A probe's cookie.
    #[must_use]
    pub const fn cookie(place: u8, a: u16, b: u16) -> u64 {
        place as u64 | (a as u64) << 16 | (b as u64) << 32
    }
}

/// What the place of a probe in a TLS library means: its cookie.
///
/// | bits | |
/// |---|---|
/// | 0–7 | which place |
/// | 8–11 | leaving: the register with the result, as x86-64 numbers them |
/// | 12–23 | from the stack pointer, or the frame pointer, up to where the function returns to, in words |
/// | 24–39 | leaving: in the session, or in what `VIA` leads to, the client's random |
/// | 40–51 | leaving: in the session, the address of what has the random; 0: the session itself |
/// | 52–63 | leaving: in the session, whether it is the server's; 0 if that is not known |
pub mod tls_place {
    /// Entered with session, buffer, length, and where to put the count: `int (s, buffer, length, *count)`.
    pub const READS: u8 = 1;
    /// The same, with the last of them in the fifth register already.
    pub const READS_FIFTH: u8 = 2;
    /// `int (s, type, buffer, length, *count)`.
    pub const WRITES: u8 = 3;
    /// The function that was entered leaves.
    pub const LEAVES: u8 = 4;
    /// The same, and the words are counted from the frame pointer.
    pub const LEAVES_FRAMED: u8 = 5;

    /// What is known where a function leaves.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Session {
        /// Offset of the client's random.
        pub random: u16,
        /// Offset of the address of what has it; 0: the session itself.
        pub via: u16,
        /// Offset of whether this is the server; 0 if that is not known.
        pub server: u16,
    }

    /// A probe's cookie. `None` if something is larger than what there is room for.
    #[must_use]
    pub const fn cookie(place: u8, register: u8, words: u16, session: Session) -> Option<u64> {
        let Session { random, via, server } = session;
        if register > 15 || words > 0xfff || via > 0xfff || server > 0xfff {
            return None;
        }
        let low = place as u64 | (register as u64) << 8 | (words as u64) << 12;
        Some(low | (random as u64) << 24 | (via as u64) << 40 | (server as u64) << 52)
    }
}

/// Keys of the `TLS_STREAMS` map: a session of a TLS library, by its address, which is used again once it is gone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsKey {
    /// Process.
    pub tgid: u32,
    /// Always zero.
    pub reserved: u32,
    /// Address of the session.
    pub session: u64,
}

/// Values of the `TLS_STREAMS` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsStream {
    /// The beginning of the client's random: another one is another session.
    pub random: u64,
    /// Socket that was read or written during a call; 0 if none was.
    pub cookie: u64,
    /// Bytes of plaintext sent in this epoch.
    pub tx: u64,
    /// Bytes of plaintext received in this epoch.
    pub rx: u64,
    /// When counting began, as a stamp that differs for each start.
    pub epoch: u32,
    /// 1 if the last read did not wait; 2 if of a call was not seen what became of it.
    pub flags: u32,
}

/// Values of the `TLS_CALLS` map, by process and thread as the kernel gives them: a call into a TLS library that has not
/// returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsCall {
    /// Address of the session.
    pub session: u64,
    /// Address of the plaintext.
    pub buffer: u64,
    /// Bytes of it, at most.
    pub size: u64,
    /// Address of how many there are, once the call has returned.
    pub count: u64,
    /// Address of the address that the call returns to.
    pub slot: u64,
    /// The socket that was read or written since, whose bytes were a record of TLS; 0 if none was.
    pub cookie: u64,
    /// [`INGRESS`] or [`EGRESS`].
    pub direction: u32,
    /// 1 if that was read without waiting; 2 if there were several sockets.
    pub flags: u32,
}

/// Plaintext that passed through a TLS library.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainEvent {
    /// [`Kind::Plain`].
    pub kind: u8,
    /// [`INGRESS`] or [`EGRESS`].
    pub direction: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// Always zero.
    pub reserved: u8,
    /// Bytes that follow this header.
    pub captured: u32,
    /// Bytes of plaintext.
    pub len: u32,
    /// As [`TlsStream::epoch`].
    pub epoch: u32,
    /// `CLOCK_BOOTTIME` after the call, nanoseconds.
    pub time: u64,
    /// As [`TlsStream::cookie`].
    pub cookie: u64,
    /// Address of the session.
    pub session: u64,
    /// Plaintext sent in this epoch, this included.
    pub tx: u64,
    /// Plaintext received in this epoch, this included.
    pub rx: u64,
    /// The beginning of the client's random.
    pub random: [u8; 16],
    /// Who did it.
    pub unit: UnitId,
}

/// The most bytes of plaintext that one [`PlainEvent`] carries.
pub const MAX_PLAIN: usize = 16383;

/// Keys of the `NOTES` map: something of a process that probes have noted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoteKey {
    /// Process.
    pub tgid: u32,
    /// What the address means; the program's own.
    pub what: u32,
    /// An address in the process, or a number.
    pub address: u64,
}

/// Values of the `NOTES` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Who.
    pub unit: u64,
    /// A handle, or what else there is to be known of it.
    pub handle: [u64; 2],
    /// When, `CLOCK_BOOTTIME` nanoseconds, where that matters.
    pub time: u64,
    /// On which thread, where that matters.
    pub tid: u32,
    /// 1 once it was told.
    pub told: u32,
}

/// Entries of the `WATCHED` map: a bit for each of the thread ids that there can be (`PID_MAX_LIMIT`).
pub const WATCH_WORDS: u32 = 65536;

/// Values of the `WAITS` map, by thread id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait {
    /// Address of the socket that it sent on last.
    pub socket: u64,
    /// Its cookie.
    pub cookie: u64,
    /// Cookie of the socket of which was said that it sleeps on it.
    pub said_own: u64,
    /// The epoll set of which was said that it sleeps on it.
    pub set: u64,
    /// 1 once it was said that it sleeps on several descriptors.
    pub said_many: u64,
}

/// Values of the `PROCESSES` map, by process id: what user space decided about a process.
pub const PROCESS_IGNORED: u8 = 1;

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
}

/// Number of slots in `COUNTERS`.
pub const COUNTERS: u32 = 5;

const _: () = {
    assert!(size_of::<Endpoints>() == 48);
    assert!(size_of::<UnitId>() == 40);
    assert!(size_of::<IoEvent>() == 152);
    assert!(size_of::<StateEvent>() == 128);
    assert!(size_of::<PathEvent>() == 168);
    assert!(size_of::<TaskEvent>() == 32);
    assert!(size_of::<ExecEvent>() == 56 + MAX_EXEC_FILE);
    assert!(size_of::<SocketPositions>() == 24);
    assert!(size_of::<Limits>() == 40);
    assert!(size_of::<Budget>() == 24);
    assert!(size_of::<FactEvent>() == 64);
    assert!(size_of::<Wait>() == 40);
    assert!(size_of::<RuntimeState>() == 48);
    assert!(size_of::<PythonState>() == 80);
    assert!(size_of::<NoteKey>() == 16);
    assert!(size_of::<Note>() == 40);
    assert!(size_of::<TlsKey>() == 16);
    assert!(size_of::<TlsStream>() == 40);
    assert!(size_of::<TlsCall>() == 56);
    assert!(size_of::<PlainEvent>() == 112);
};
