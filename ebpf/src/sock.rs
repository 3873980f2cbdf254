//! What a `struct sock` says about its connection.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns, bpf_probe_read_user,
    generated::{bpf_get_current_task_btf, bpf_get_socket_cookie, bpf_probe_read_kernel, bpf_skc_to_tcp_sock},
};
use wirespan_common::{
    AF_INET, AF_INET6, AF_UNIX, Counter, EGRESS, Endpoints, INGRESS, Kind, MAX_PATH, PathEvent, SOCKET_ENDED,
    SOCKET_MUTED, STATE_LET_GO, STATE_UNSENT, SocketPositions, StateEvent, UnitId,
};

use crate::{
    budget, io,
    kernel::{self, Memory, Typed},
    maps::{EVENTS, POSITIONS, SOCKETS, count, count_anywhere},
    runtimes::node,
};

const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;
/// include/net/sock.h.
const SHUTDOWN_MASK: u8 = 3;
/// `1 << SOCK_DEAD` of `enum sock_flags`: no program holds it any more.
const SOCK_DEAD: u64 = 1;
/// `1 << SOCK_DONE` of `enum sock_flags`: a FIN was received.
const SOCK_DONE: u64 = 1 << 1;
const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_FIN_WAIT1: i32 = 4;
const TCP_CLOSE: i32 = 7;
const TCP_LAST_ACK: i32 = 9;
const TCP_LISTEN: i32 = 10;
/// States in which a FIN stands at the end of what was written: FIN_WAIT1, FIN_WAIT2, TIME_WAIT, LAST_ACK, CLOSING.
const FIN_SENT: u32 = 1 << TCP_FIN_WAIT1 | 1 << 5 | 1 << 6 | 1 << TCP_LAST_ACK | 1 << 11;
/// Where a Unix socket's name begins in its address (`offsetof(struct sockaddr_un, sun_path)`).
const FAMILY: usize = 2;
/// Errors of user space are less than this; beyond are the kernel's own (`ERESTARTSYS`).
const MAX_ERRNO: i32 = 512;
const EINTR: i32 = 4;
/// `BPF_RB_NO_WAKEUP`: the agent drains the ring by a timer; a wake-up costs fifty times the submit.
pub const NO_WAKEUP: u64 = 1;

/// Kinds of sockets that are captured.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SocketKind {
    Tcp,
    UnixStream,
    Udp,
}

/// The kind of a socket, or `None` for one that is not captured.
#[inline(always)]
pub fn kind<M: Memory>(sk: *const u8) -> Option<SocketKind> {
    let family: u16 = M::load(sk, kernel::skc_family());
    let sort: u16 = M::load(sk, kernel::sk_type());
    if family == AF_UNIX as u16 {
        return (sort == SOCK_STREAM).then_some(SocketKind::UnixStream);
    }
    if family != AF_INET as u16 && family != AF_INET6 as u16 {
        return None;
    }
    match (sort, M::load::<u16>(sk, kernel::sk_protocol())) {
        (SOCK_STREAM, IPPROTO_TCP) => Some(SocketKind::Tcp),
        (SOCK_DGRAM, IPPROTO_UDP) => Some(SocketKind::Udp),
        _ => None,
    }
}

/// Stream positions of a TCP socket after an operation: the next byte to send, the next byte to receive.
///
/// A FIN takes a place in the sequence but is no byte. It is counted in `write_seq` once it was sent, which the state
/// tells; `sk_shutdown` does not, for a reset sets that too. In a closed socket the state has forgotten: who still writes
/// there has sent no FIN, and for who reads, a position that is one too low does no harm.
/// In `copied_seq` it is counted once a read ran into it (net/ipv4/tcp.c, `found_fin_ok`).
#[inline(always)]
pub fn tcp_positions<M: Memory>(sk: *const u8, tcp: *const u8, direction: u8) -> (u64, u64) {
    // Without branches: the fallback's verifier would follow all that comes once for each.
    let state = M::load::<u8>(sk, kernel::skc_state()) as u32 & 31;
    let shut = M::load::<u8>(sk, kernel::sk_shutdown()) as u32 >> 1;
    let closed = (1 << TCP_CLOSE) >> state & shut & (direction == INGRESS) as u32;
    let fin_sent = (FIN_SENT >> state | closed) & 1;
    let tx = M::load::<u32>(tcp, kernel::tcp_write_seq()).wrapping_sub(fin_sent);
    (tx as u64, received::<M>(sk, tcp).0 as u64)
}

/// How many bytes of a direction have passed since the connection was opened, to one or two.
#[inline(always)]
pub fn tcp_passed<M: Memory>(tcp: *const u8, direction: u8) -> u64 {
    if direction == EGRESS {
        let waiting = M::load::<u32>(tcp, kernel::tcp_write_seq()).wrapping_sub(M::load(tcp, kernel::tcp_snd_una()));
        M::load::<u64>(tcp, kernel::tcp_bytes_acked()).wrapping_add(waiting as u64)
    } else {
        let waiting = M::load::<u32>(tcp, kernel::tcp_rcv_nxt()).wrapping_sub(M::load(tcp, kernel::tcp_copied_seq()));
        M::load::<u64>(tcp, kernel::tcp_bytes_received()).wrapping_sub(waiting as u64)
    }
}

/// The next byte that the program is to receive, and how many it has not received, a FIN not counted.
#[inline(always)]
fn received<M: Memory>(sk: *const u8, tcp: *const u8) -> (u32, u32) {
    let copied: u32 = M::load(tcp, kernel::tcp_copied_seq());
    let next: u32 = M::load(tcp, kernel::tcp_rcv_nxt());
    let fin = (M::load::<u64>(sk, kernel::skc_flags()) & SOCK_DONE != 0) as u32;
    let fin_read = (copied == next) as u32 & fin;
    (copied.wrapping_sub(fin_read), next.wrapping_sub(copied).saturating_sub(fin))
}

/// Writes the thread behind what `bpf_get_current_pid_tgid` gave, in words: LLVM turns an assignment of zeroes into a
/// call that writes byte by byte.
#[inline(always)]
pub fn store_unit(to: &mut UnitId, id: u64, switches: u32) {
    let words = (to as *mut UnitId).cast::<u64>();
    // SAFETY: five words inside the record, which is aligned to 8. The first holds `tgid`, then `tid`.
    unsafe {
        core::ptr::write_volatile(words, id.rotate_left(32));
        // `kind` is 0; `switches` stands behind it.
        core::ptr::write_volatile(words.add(1), (switches as u64) << 32);
        core::ptr::write_volatile(words.add(2), 0);
        core::ptr::write_volatile(words.add(3), 0);
        core::ptr::write_volatile(words.add(4), 0);
    }
}

/// Writes the ends of a Unix socket.
#[inline(always)]
pub fn unix_endpoints(to: &mut Endpoints, peer_cookie: u64) {
    clear(to);
    to.family = AF_UNIX;
    to.peer_cookie = peer_cookie;
}

/// Zeroes a record in words.
#[inline(always)]
fn clear(to: &mut Endpoints) {
    let words = (to as *mut Endpoints).cast::<u64>();
    for i in 0..size_of::<Endpoints>() / 8 {
        // SAFETY: inside the record, which is aligned to 8.
        unsafe { core::ptr::write_volatile(words.add(i), 0) };
    }
}

/// Writes the ends of an internet socket.
#[inline(always)]
pub fn load_endpoints<M: Memory>(sk: *const u8, to: &mut Endpoints) {
    clear(to);
    let family: u16 = M::load(sk, kernel::skc_family());
    to.family = family as u8;
    to.local_port = M::load(sk, kernel::skc_num());
    to.peer_port = u16::from_be(M::load(sk, kernel::skc_dport()));
    if family == AF_INET6 as u16 {
        load_address6::<M>(sk, kernel::skc_v6_rcv_saddr(), &mut to.local);
        load_address6::<M>(sk, kernel::skc_v6_daddr(), &mut to.peer);
    } else {
        store_word(&mut to.local, 0, M::load(sk, kernel::skc_rcv_saddr()));
        store_word(&mut to.peer, 0, M::load(sk, kernel::skc_daddr()));
    }
}

/// An IPv6 address is an array of four words to the verifier, so it is read as such.
#[inline(always)]
fn load_address6<M: Memory>(sk: *const u8, offset: usize, to: &mut [u8; 16]) {
    store_word(to, 0, M::load(sk, offset));
    store_word(to, 4, M::load(sk, offset + 4));
    store_word(to, 8, M::load(sk, offset + 8));
    store_word(to, 12, M::load(sk, offset + 12));
}

#[inline(always)]
fn store_word(to: &mut [u8; 16], at: usize, word: u32) {
    // SAFETY: `at` is 0, 4, 8 or 12, and addresses stand at offsets divisible by four in their record.
    unsafe { core::ptr::write_volatile(to.as_mut_ptr().add(at).cast::<u32>(), word) }
}

/// The inode number of a socket's file, 0 if it has none.
#[inline(always)]
pub fn inode<M: Memory>(sk: *const u8) -> u64 {
    let socket: *const u8 = M::load(sk, kernel::sk_socket());
    let file: *const u8 = M::load(socket, kernel::socket_file());
    let inode: *const u8 = M::load(file, kernel::file_inode());
    M::load(inode, kernel::inode_number())
}

/// `struct sockaddr_in`, and the beginning of `sockaddr_in6`: an IPv6 address stands at 8.
#[repr(C)]
#[derive(Clone, Copy)]
struct SocketAddress {
    family: u16,
    port: u16,
    address: u32,
    unused: u64,
}

/// Writes the peer that a datagram is sent to, from a `struct sockaddr` of user memory.
#[inline(always)]
pub fn load_destination(address: u64, to: &mut Endpoints) {
    if address == 0 {
        return;
    }
    // SAFETY: the helper checks the address.
    let Ok(name) = (unsafe { bpf_probe_read_user(address as *const SocketAddress) }) else { return };
    if name.family == AF_INET as u16 {
        // An IPv6 socket knows it in its mapped form.
        let mapped = to.family == AF_INET6;
        store_word(&mut to.peer, 8, if mapped { 0xffff_0000u32.to_le() } else { 0 });
        store_word(&mut to.peer, if mapped { 12 } else { 0 }, name.address);
    } else if name.family == AF_INET6 as u16 {
        // SAFETY: as above.
        let Ok(words) = (unsafe { bpf_probe_read_user((address + 8) as *const [u32; 4]) }) else { return };
        for (at, word) in words.into_iter().enumerate() {
            store_word(&mut to.peer, at * 4, word);
        }
    } else {
        return;
    }
    to.peer_port = u16::from_be(name.port);
}

/// A TCP connection is being opened by this thread, was told by it that nothing more will be sent, or has ended.
#[inline(always)]
pub fn on_state(sk: *const u8, old: i32, new: i32) {
    let connecting = new == TCP_SYN_SENT;
    let ended = new == TCP_CLOSE && old != TCP_LISTEN;
    let established = new == TCP_ESTABLISHED;
    let finishing = new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK;
    if !(connecting || ended || established || finishing) || kind::<Typed>(sk) != Some(SocketKind::Tcp) {
        return;
    }
    // SAFETY: `sk` is the typed argument of a tp_btf program, as the helper demands.
    let cookie = unsafe { bpf_get_socket_cookie(sk as *mut _) };
    if established && old != TCP_SYN_SENT {
        // Asking was enough: the kernel has given the socket its cookie, which the fallback can only read.
        return;
    }
    // SAFETY: one word is copied out at once.
    if let Some(marks) = unsafe { SOCKETS.get(cookie).copied() } {
        if ended {
            let _ = SOCKETS.remove(cookie);
        }
        if marks & SOCKET_MUTED != 0 {
            return;
        }
    }
    // An attempt begins in `connect`, so in its own process.
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if connecting && budget::refuses(Some(cookie), tgid, size_of::<StateEvent>() as u64, budget::free()) {
        return count(Counter::OverBudget, 1);
    }
    // SAFETY: the helper takes any typed socket and returns null for another kind.
    let tcp = unsafe { bpf_skc_to_tcp_sock(sk as *mut _) } as *const u8;
    if tcp.is_null() {
        return;
    }
    let (rx, unread) = received::<Typed>(sk, tcp);
    // The state is the old one still. A FIN that this change is about is not sent yet.
    let fin_sent = FIN_SENT >> (old as u32 & 31) & 1;
    let tx = Typed::load::<u32>(tcp, kernel::tcp_write_seq()).wrapping_sub(fin_sent);
    // `close` shuts down both directions before it changes the state, and a reset after. So do the other end's FIN and
    // `shutdown` together; but then the program may have something left to read, with which `close` would go straight to
    // CLOSE.
    let shut = Typed::load::<u8>(sk, kernel::sk_shutdown()) & SHUTDOWN_MASK == SHUTDOWN_MASK;
    let dead = Typed::load::<u64>(sk, kernel::skc_flags()) & SOCK_DEAD != 0;
    let let_go = shut && (unread == 0 || dead || (ended && fin_sent == 0));
    if ended && !let_go && old != TCP_SYN_SENT {
        let _ = SOCKETS.insert(cookie, SOCKET_ENDED, 0);
        let _ = POSITIONS.insert(cookie, SocketPositions { epoch: 0, reserved: 0, tx: tx as u64, rx: 0 }, 0);
    }
    let flags = if let_go { STATE_LET_GO } else { 0 };
    submit(sk, StateChange { cookie, old: old as u8, new: new as u8, flags, tx, rx }, |_| ());
}

/// A socket was told an error by the network. (Of TCP the state says it all.)
#[inline(always)]
pub fn on_error(sk: *const u8) {
    if kind::<Typed>(sk) != Some(SocketKind::Udp) {
        return;
    }
    // SAFETY: `sk` is the typed argument of a tp_btf program, as the helper demands.
    let cookie = unsafe { bpf_get_socket_cookie(sk as *mut _) };
    // SAFETY: one word is copied out at once.
    let marks = unsafe { SOCKETS.get(cookie) }.map_or(0, |marks| *marks);
    if !crate::io::is_muted(marks) {
        submit(sk, StateChange { cookie, old: 0, new: 0, flags: 0, tx: 0, rx: 0 }, |_| ());
    }
}

/// A TCP socket is taken apart that never had a connection. If its program tried to connect and there was no way to the peer,
/// no state changed, and only what it was to connect to is left.
#[inline(always)]
fn on_unused(sk: *const u8, tcp: *const u8) {
    let daddr: u32 = Typed::load(tcp, kernel::flow4_daddr());
    let v6 = Typed::load::<u16>(sk, kernel::skc_family()) == AF_INET6 as u16;
    let mut to = [0; 16];
    if v6 {
        load_address6::<Typed>(sk, kernel::skc_v6_daddr(), &mut to);
    }
    let mapped = to[10] == 0xff && to[11] == 0xff && to[0] == 0;
    let at = if v6 && !mapped { kernel::flow6_dport() } else { kernel::flow4_dport() };
    let port = u16::from_be(Typed::load(tcp, at));
    let tried = if v6 { to != [0; 16] } else { daddr != 0 };
    if !tried || port == 0 {
        return;
    }
    // SAFETY: as above.
    let cookie = unsafe { bpf_get_socket_cookie(sk as *mut _) };
    let closed = TCP_CLOSE as u8;
    let change = StateChange { cookie, old: closed, new: closed, flags: STATE_LET_GO | STATE_UNSENT, tx: 0, rx: 0 };
    submit(sk, change, |ends| {
        ends.peer_port = port;
        if !v6 {
            store_word(&mut ends.peer, 0, daddr);
        }
    });
}

/// A TCP socket is taken apart: its program let go of it, or did so before. The latter was seen.
///
/// What it had been sent is known since the connection ended, for the state has forgotten whether a FIN was. It may have
/// been read from since.
#[inline(always)]
pub fn on_destroy(sk: *const u8) {
    // SAFETY: the helper takes any typed socket and returns null for another kind.
    let tcp = unsafe { bpf_skc_to_tcp_sock(sk as *mut _) } as *const u8;
    if tcp.is_null() {
        return;
    }
    // The kernel chooses where a connection's bytes begin once it has found a way. (Whether the socket has a cookie says
    // nothing: others may have asked for it.)
    if Typed::load::<u32>(tcp, kernel::tcp_write_seq()) == 0 {
        return on_unused(sk, tcp);
    }
    // SAFETY: `sk` is the typed argument of a tp_btf program, as the helper demands.
    let cookie = unsafe { bpf_get_socket_cookie(sk as *mut _) };
    // SAFETY: one word is copied out at once.
    let marks = unsafe { SOCKETS.get(cookie) }.map_or(0, |marks| *marks);
    if marks & SOCKET_ENDED == 0 {
        return;
    }
    let _ = SOCKETS.remove(cookie);
    // SAFETY: the value is copied out at once; nobody else writes where a connection has ended.
    let Some(stood) = (unsafe { POSITIONS.get(cookie).copied() }) else { return };
    let _ = POSITIONS.remove(cookie);
    let (rx, _) = received::<Typed>(sk, tcp);
    let closed = TCP_CLOSE as u8;
    submit(sk, StateChange { cookie, old: closed, new: closed, flags: STATE_LET_GO, tx: stood.tx as u32, rx }, |_| ());
}

/// What a [`StateEvent`] says beside what the socket itself does.
struct StateChange {
    cookie: u64,
    old: u8,
    new: u8,
    flags: u8,
    tx: u32,
    rx: u32,
}

#[inline(always)]
fn submit(sk: *const u8, change: StateChange, ends: impl Fn(&mut Endpoints)) {
    let Some(mut entry) = EVENTS.reserve::<StateEvent>(0) else {
        return count(Counter::RingFull, 1);
    };
    let event = entry.as_mut_ptr();
    // SAFETY: `event` points at reserved room for a StateEvent; every byte is written.
    unsafe {
        core::ptr::write_bytes(event, 0, 1);
        (*event).kind = Kind::State as u8;
        (*event).old = change.old;
        (*event).new = change.new;
        (*event).flags = change.flags;
        (*event).error = Typed::load(sk, kernel::sk_err());
        // SAFETY: no preconditions.
        (*event).time = bpf_ktime_get_boot_ns();
        (*event).cookie = change.cookie;
        (*event).tx_position = change.tx as u64;
        (*event).rx_position = change.rx as u64;
        let task = bpf_get_current_task_btf() as *const u8;
        let switches = Typed::load::<u64>(task, kernel::task_nvcsw()) as u32;
        store_unit(&mut (*event).unit, bpf_get_current_pid_tgid(), switches);
        if change.new == TCP_SYN_SENT as u8 {
            node::store_unit(&mut (*event).unit);
        }
        load_endpoints::<Typed>(sk, &mut (*event).endpoints);
        ends(&mut (*event).endpoints);
    }
    entry.submit(NO_WAKEUP);
}

/// `connect` of a Unix stream socket returned `result`. (A trampoline's program can be interrupted.)
#[inline(always)]
pub fn on_unix_connect(name: *const u8, len: i32, result: i32) {
    // What a signal interrupted is begun anew, or was the program's own wish.
    if result >= 0 || result <= -MAX_ERRNO || result == -EINTR {
        return;
    }
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    if io::is_ignored(tgid) {
        return;
    }
    if budget::refuses(None, tgid, size_of::<PathEvent>() as u64, budget::free()) {
        return count_anywhere(Counter::OverBudget, 1);
    }
    let Some(mut entry) = EVENTS.reserve::<PathEvent>(0) else {
        return count_anywhere(Counter::RingFull, 1);
    };
    let event = entry.as_mut_ptr();
    let len = len.wrapping_sub(FAMILY as i32) as u32;
    let len = if len > MAX_PATH as u32 { MAX_PATH as u32 } else { len };
    // SAFETY: `event` points at reserved room for a PathEvent; every byte is written. The helper checks the address, and the
    // kernel's copy of a name is larger than the longest one.
    unsafe {
        core::ptr::write_bytes(event, 0, 1);
        (*event).kind = Kind::Path as u8;
        (*event).path_len = len as u8;
        (*event).error = result.unsigned_abs();
        (*event).time = bpf_ktime_get_boot_ns();
        bpf_probe_read_kernel((&raw mut (*event).path).cast(), MAX_PATH as u32, name.add(FAMILY).cast());
        let task = bpf_get_current_task_btf() as *const u8;
        let switches = Typed::load::<u64>(task, kernel::task_nvcsw()) as u32;
        store_unit(&mut (*event).unit, id, switches);
    }
    entry.submit(NO_WAKEUP);
}
