//! What a `struct sock` says about its connection.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns,
    generated::{bpf_get_current_task_btf, bpf_get_socket_cookie},
};
use wirespan_common::{AF_INET, AF_INET6, AF_UNIX, Counter, Endpoints, Kind, StateEvent, UnitId};

use crate::{
    kernel::{self, Memory, Typed},
    maps::{EVENTS, SOCKETS, count},
};

const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;
/// include/net/sock.h.
const SEND_SHUTDOWN: u8 = 2;
/// `1 << SOCK_DONE` of `enum sock_flags`: a FIN was received.
const SOCK_DONE: u64 = 1 << 1;
const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_FIN_WAIT1: i32 = 4;
const TCP_CLOSE: i32 = 7;
const TCP_LAST_ACK: i32 = 9;
const TCP_LISTEN: i32 = 10;
/// `BPF_RB_NO_WAKEUP`: the agent drains the ring by a timer; a wake-up costs fifty times the submit.
pub const NO_WAKEUP: u64 = 1;

/// Kinds of sockets that are captured.
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

/// Stream positions of a TCP socket: the next byte to send, the next byte to receive.
///
/// A FIN takes a place in the sequence but is no byte: it is counted in `write_seq` once it was sent, and in
/// `copied_seq` once a read ran into it (net/ipv4/tcp.c, `found_fin_ok`).
#[inline(always)]
pub fn tcp_positions<M: Memory>(sk: *const u8, tcp: *const u8) -> (u64, u64) {
    let fin_sent = M::load::<u8>(sk, kernel::sk_shutdown()) & SEND_SHUTDOWN != 0;
    let tx = M::load::<u32>(tcp, kernel::tcp_write_seq()).wrapping_sub(fin_sent as u32);
    let rx: u32 = M::load(tcp, kernel::tcp_copied_seq());
    let fin_read =
        M::load::<u64>(sk, kernel::skc_flags()) & SOCK_DONE != 0 && rx == M::load::<u32>(tcp, kernel::tcp_rcv_nxt());
    (tx as u64, rx.wrapping_sub(fin_read as u32) as u64)
}

/// Writes the thread behind what `bpf_get_current_pid_tgid` gave, in words: LLVM turns an assignment of zeroes into a
/// call that writes byte by byte.
#[inline(always)]
pub fn store_unit(to: &mut UnitId, id: u64, switches: u32) {
    let words = (to as *mut UnitId).cast::<u64>();
    // SAFETY: four words inside the record, which is aligned to 8. The first holds `tgid`, then `tid`.
    unsafe {
        core::ptr::write_volatile(words, id.rotate_left(32));
        // `kind` is 0; `switches` stands behind it.
        core::ptr::write_volatile(words.add(1), (switches as u64) << 32);
        core::ptr::write_volatile(words.add(2), 0);
        core::ptr::write_volatile(words.add(3), 0);
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
    if established {
        // Asking was enough: the kernel has given the socket its cookie, which the fallback can only read.
        return;
    }
    // SAFETY: the value is copied out at once; a concurrent write can at worst mix two valid states.
    let state = unsafe { SOCKETS.get(cookie).copied() };
    if let Some(state) = state {
        if ended {
            let _ = SOCKETS.remove(cookie);
        }
        if crate::io::is_muted(state.flags) {
            return;
        }
    }
    let Some(mut entry) = EVENTS.reserve::<StateEvent>(0) else {
        return count(Counter::RingFull, 1);
    };
    let event = entry.as_mut_ptr();
    // SAFETY: `event` points at reserved room for a StateEvent; every byte is written.
    unsafe {
        core::ptr::write_bytes(event, 0, 1);
        (*event).kind = Kind::State as u8;
        (*event).old = old as u8;
        (*event).new = new as u8;
        // SAFETY: no preconditions.
        (*event).time = bpf_ktime_get_boot_ns();
        (*event).cookie = cookie;
        let task = bpf_get_current_task_btf() as *const u8;
        let switches = Typed::load::<u64>(task, kernel::task_nvcsw()) as u32;
        store_unit(&mut (*event).unit, bpf_get_current_pid_tgid(), switches);
        load_endpoints::<Typed>(sk, &mut (*event).endpoints);
    }
    entry.submit(NO_WAKEUP);
}
