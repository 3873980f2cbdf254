//! Plaintext in Go's `crypto/tls`: what `(*Conn).Read` copies to who reads, and what `(*Conn).writeRecordLocked` is about to
//! encrypt. `wirespan_common::go_tls_place` says which place is which.
//!
//! A session says itself on which connection it is, and that one which descriptor it has. That is believed if the descriptor's
//! socket has the ports that Go noted when the connection was made: a descriptor that another thread has just closed may be
//! another connection's by now. So a session is known by its socket, which is never used again, and by no address.
//!
//! Where a program has wrapped the connection, in something that has it as its first field, what is inside is found by going
//! up. A session inside another one is on no socket.
//!
//! Preemptible: nothing here is of this CPU alone.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_attach_cookie},
    programs::ProbeContext,
};
use wirespan_common::{
    Counter, EGRESS, FLAG_NONBLOCKING, INGRESS, KEY_SOCKET, PlainEvent, TIE_OWN, TIE_WRAPPED, TlsKey, TlsStream,
    go_tls_place,
};

use super::word;
use crate::{
    arch, facts, files, io,
    kernel::{self, Memory, Probed},
    maps::{BPF_NOEXIST, TLS_STREAMS, count_anywhere},
    tls,
};

/// What wraps a connection, at most so often.
const WRAPPERS: usize = 4;
/// `recordTypeApplicationData`.
const APPLICATION_DATA: u8 = 23;
/// Of what every interface's value begins with: its type's hash.
const TYPE_HASH: u64 = 16;
/// `poll.FD.Sysfd`, and the port in an address.
const DESCRIPTOR: u64 = 16;
const PORT: u64 = 24;
/// From the frame pointer up to a function's first argument.
const FIRST_ARGUMENT: u64 = 16;

/// A probe was hit.
#[inline(always)]
pub fn on_probe(ctx: &ProbeContext) {
    let id = bpf_get_current_pid_tgid();
    if io::is_tls_ignored((id >> 32) as u32) {
        return;
    }
    // SAFETY: the context of this program.
    let place = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    // SAFETY: the kernel hands every probe its registers.
    let regs = unsafe { &*ctx.regs };
    let frame = arch::frame(regs);
    let [first, second, third, fourth] = arch::go_arguments(regs);
    let (direction, session, buffer, len) = match go_tls_place::place(place) {
        go_tls_place::READS => (INGRESS, word(frame.wrapping_add(FIRST_ARGUMENT)), second, third),
        go_tls_place::WRITES if second as u8 == APPLICATION_DATA => (EGRESS, first, third, fourth),
        _ => return,
    };
    if len == 0 || len > i32::MAX as u64 {
        return;
    }
    let Some((cookie, tie)) = socket(session, place) else {
        return count_anywhere(Counter::TlsElsewhere, 1);
    };
    if cookie == 0 {
        // Nothing was seen to pass there yet: the connection is older than the agent.
        return;
    }
    let Some((tx, rx, epoch)) = counted(id, cookie, direction, len) else {
        return count_anywhere(Counter::TlsUnfinished, 1);
    };
    let mut event = PlainEvent {
        direction,
        tie,
        // (No socket of Go's waits in a system call.)
        flags: if direction == INGRESS { FLAG_NONBLOCKING } else { 0 },
        len: len as u32,
        session: cookie,
        cookie,
        tx,
        rx,
        epoch,
        library: go_tls_place::program(place) as u32,
        ..PlainEvent::default()
    };
    tls::tell(id, buffer, &mut event);
}

/// The socket that a session is on, and how that is known.
#[inline(always)]
fn socket(session: u64, place: u64) -> Option<(u64, u8)> {
    let (plain, tls) = go_tls_place::hashes(place);
    let (mut kind, mut value) = (word(session), word(session.wrapping_add(8)));
    let mut tie = TIE_OWN;
    for _ in 0..WRAPPERS {
        let hash = word(kind.wrapping_add(TYPE_HASH)) & go_tls_place::HASH as u64;
        if kind == 0 || value == 0 || hash == tls {
            return None;
        }
        if hash == plain {
            return Some((owned(word(value), place)?, tie));
        }
        tie = TIE_WRAPPED;
        (kind, value) = (word(value), word(value.wrapping_add(8)));
    }
    None
}

/// The socket of a connection, by what Go knows of its descriptor; 0 if the kernel has not been asked for it yet.
#[inline(always)]
fn owned(descriptor: u64, place: u64) -> Option<u64> {
    let addresses = descriptor.wrapping_add(go_tls_place::address(place));
    // (Each is a kind and a value.)
    let port = |at: u64| word(word(addresses.wrapping_add(at + 8)).wrapping_add(PORT)) as u16;
    let (local, peer) = (port(0), port(16));
    let (sk, _, _) = files::socket_of(word(descriptor.wrapping_add(DESCRIPTOR)) as u32 as u64)?;
    let same = Probed::load::<u16>(sk, kernel::skc_num()) == local
        && u16::from_be(Probed::load(sk, kernel::skc_dport())) == peer;
    let cookie: u64 = Probed::load(sk, kernel::skc_cookie());
    (same && local != 0 && peer != 0).then_some(cookie)
}

/// Counts what has passed. One goroutine at a time reads, and one writes, so each count has one writer.
#[inline(always)]
fn counted(id: u64, cookie: u64, direction: u8, len: u64) -> Option<(u64, u64, u32)> {
    let key = TlsKey { tgid: (id >> 32) as u32, kind: KEY_SOCKET, session: cookie };
    if TLS_STREAMS.get_ptr(key).is_none() {
        let stream = TlsStream { cookie, epoch: facts::new_epoch(), ..TlsStream::default() };
        let _ = TLS_STREAMS.insert(key, stream, BPF_NOEXIST);
    }
    let stream = TLS_STREAMS.get_ptr_mut(key)?;
    // SAFETY: a map value, valid while the program runs; each field is one aligned word.
    unsafe {
        if direction == EGRESS {
            (*stream).tx += len;
        } else {
            (*stream).rx += len;
        }
        Some(((*stream).tx, (*stream).rx, (*stream).epoch))
    }
}
