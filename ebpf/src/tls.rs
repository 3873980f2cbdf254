//! Plaintext that passes through a TLS library: what a function read or wrote is copied where it leaves, if it succeeded.
//! `wirespan_common::tls_place` says which place is which; the agent finds them in each library's code.
//!
//! A probe where a function is entered notes its arguments, by thread, and the address that its return address has on the stack.
//! One where it leaves believes the note only if that is its own too: then it is the same call, whatever else ran on the thread,
//! and however it went on. A library may call its program back, and that the library: then both calls are noted, as long as the
//! outer one's return address is where it was. What is told carries what the session is known by on the wire, the client's random; and the socket
//! that was read or written during the call, if there was one.
//!
//! Preemptible: nothing here is of this CPU alone.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_attach_cookie, bpf_get_current_task, bpf_probe_read_user},
    },
    programs::ProbeContext,
};
use wirespan_common::{
    Counter, EGRESS, FLAG_NONBLOCKING, FLAG_ONLY_THREAD, FLAG_TLS_BROKEN, FLAG_TLS_EITHER, FLAG_TLS_SERVER, INGRESS,
    KEY_SESSION, Kind, MAX_PLAIN, OUTER_CALL, PROCESS_IGNORED, PROCESS_TLS_CALLS, PROCESS_TLS_OFF, PlainEvent,
    SOCKET_WIDE, TlsCall, TlsKey, TlsStream, tls_place,
};

use crate::{
    arch, budget, clocks, copied, facts,
    io::{self, Operation},
    kernel::{self, Memory, Probed},
    maps::{SOCKETS, TLS_CALLS, TLS_STREAMS, count_anywhere},
    runtimes,
    sock::{self, SocketKind},
    width,
};

/// `SSL3_RT_APPLICATION_DATA`: what else is written is the library's own.
const APPLICATION_DATA: u8 = 23;
/// Types of records (RFC 8446, section 5.1, and heartbeats).
const RECORD_TYPES: core::ops::RangeInclusive<u8> = 20..=24;
/// [`TlsCall::flags`], [`TlsStream::flags`].
const NONBLOCKING: u32 = 1;
/// [`TlsCall::flags`].
const SEVERAL: u32 = 2;
/// [`TlsCall::flags`].
const WITHIN: u32 = 4;
/// [`TlsCall::flags`].
const AMID: u32 = 8;
/// What a record begins with: its type, its version, its length.
const HEADER: u32 = 5;
/// What AEAD ciphers add at most to the plaintext of a record: the nonce or the kind, and the tag (RFC 5288, RFC 6655, RFC 7905,
/// RFC 8446). At least there is one byte.
const SEAL: u32 = 8 + 16;
/// A record has at most so much plaintext.
const RECORD: u64 = 1 << 14;
/// [`TlsStream::flags`].
const BROKEN: u32 = 2;
/// [`TlsStream::flags`].
const KEPT: u32 = 16;

/// A probe was hit.
#[inline(always)]
pub fn on_probe(ctx: &ProbeContext) {
    let id = bpf_get_current_pid_tgid();
    let known = io::known_of((id >> 32) as u32);
    if known & (PROCESS_IGNORED | PROCESS_TLS_OFF) != 0 {
        return;
    }
    // SAFETY: the context of this program.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    // SAFETY: the kernel hands every probe its registers.
    let regs = unsafe { &*ctx.regs };
    let place = cookie as u8 & 0xf;
    let framed = place == tls_place::LEAVES_FRAMED;
    // (Both are read first: the verifier wants each read of the context at an offset of its own.)
    let (stack, frame) = (arch::stack(regs), arch::frame(regs));
    let from = if framed { frame } else { stack };
    let slot = from.wrapping_add((cookie >> 12 & 0xfff) * 8);
    let [session, second, third, fourth, fifth] = arch::arguments(regs);
    let (buffer, size, count, direction) = match place {
        tls_place::READS => (second, third, fourth, INGRESS),
        tls_place::READS_FIFTH => (second, third, fifth, INGRESS),
        tls_place::WRITES if second as u8 == APPLICATION_DATA => (third, fourth, fifth, EGRESS),
        // (A count that is returned is a number of 32 bits.)
        tls_place::READS_PLAIN => (second, third as u32 as u64, 0, INGRESS),
        tls_place::WRITES_PLAIN => (second, third as u32 as u64, 0, EGRESS),
        tls_place::LEAVES | tls_place::LEAVES_FRAMED => {
            return leaves(id, slot, arch::register(regs, cookie >> 8 & 0xf) as i32, 0, cookie);
        }
        tls_place::LEAVES_COUNTED => {
            let count = stack.wrapping_add((cookie >> 52) * 8);
            return leaves(id, slot, arch::register(regs, cookie >> 8 & 0xf) as i32, count, cookie);
        }
        _ => return,
    };
    let library = tls_place::library(cookie);
    if known & PROCESS_TLS_CALLS == 0 {
        io::note_process((id >> 32) as u32, PROCESS_TLS_CALLS);
    }
    enters(id, TlsCall { session, buffer, size, count, slot, direction, library, ..TlsCall::default() });
}

/// A function is entered.
#[inline(always)]
fn enters(id: u64, mut call: TlsCall) {
    call.back = runtimes::word(call.slot);
    // SAFETY: a map value, valid while the program runs; the thread is here.
    if let Some(before) = unsafe { TLS_CALLS.get(id) } {
        if runs_within(&call, before) && TLS_CALLS.insert(id | OUTER_CALL, before, 0).is_ok() {
            call.flags = WITHIN;
        } else {
            call.flags = before.flags & WITHIN;
            breaks(id, before.session);
        }
    }
    if TLS_CALLS.insert(id, call, 0).is_err() {
        let _ = TLS_CALLS.remove(id);
    }
}

/// Whether the thread has entered a call before it left another, which is below it on the stack still. (Of more than two nobody
/// has heard.)
#[inline(always)]
fn runs_within(call: &TlsCall, before: &TlsCall) -> bool {
    before.flags & WITHIN == 0 && call.slot < before.slot && runtimes::word(before.slot) == before.back
}

/// Of a call was not seen how it left: what passed is not counted right any more. (No session has this random, so counting
/// begins anew.)
#[inline(always)]
fn breaks(id: u64, session: u64) {
    let broken = TlsStream { flags: BROKEN, ..TlsStream::default() };
    let _ = TLS_STREAMS.insert(key(id, session), broken, 0);
    count_anywhere(Counter::TlsUnfinished, 1);
}

/// The key of the thread's call whose return address has this address.
#[inline(always)]
fn called(id: u64, slot: u64) -> Option<u64> {
    // SAFETY: map values, valid while the program runs; the thread is here.
    let innermost = unsafe { TLS_CALLS.get(id) }?;
    if innermost.slot == slot {
        return Some(id);
    }
    let outer = id | OUTER_CALL;
    // SAFETY: as above.
    (innermost.flags & WITHIN != 0 && unsafe { TLS_CALLS.get(outer) }?.slot == slot).then_some(outer)
}

/// A call is over, whose key is `at`. It may have run within another, which goes on; or another within it, which was not seen to
/// leave.
#[inline(always)]
fn over(id: u64, call: &TlsCall, at: u64) {
    let outer = id | OUTER_CALL;
    if call.flags & WITHIN != 0 && at == id {
        // SAFETY: map values, valid while the program runs; the thread is here.
        if let Some(around) = unsafe { TLS_CALLS.get(outer) } {
            let _ = TLS_CALLS.insert(id, around, 0);
            let _ = TLS_CALLS.remove(outer);
            return;
        }
    }
    if at == outer {
        // SAFETY: as above.
        if let Some(within) = unsafe { TLS_CALLS.get(id) } {
            breaks(id, within.session);
        }
        let _ = TLS_CALLS.remove(outer);
    }
    let _ = TLS_CALLS.remove(id);
}

#[inline(always)]
fn key(id: u64, session: u64) -> TlsKey {
    TlsKey { tgid: (id >> 32) as u32, kind: KEY_SESSION, session }
}

/// An operation on a socket, whose first bytes lie at `bytes`: perhaps that of a call on the same thread. (Not preemptible.)
#[inline(always)]
pub fn on_socket(operation: &Operation, bytes: *const u8, copied: u64) {
    let Some(call) = TLS_CALLS.get_ptr_mut(operation.id) else { return };
    // SAFETY: a map value, valid while the program runs; its thread is here.
    let call = unsafe { &mut *call };
    if call.direction != operation.direction || operation.kind == SocketKind::Udp {
        return;
    }
    if operation.cookie != call.cookie {
        // SAFETY: behind the record's header there is room for more.
        let head = unsafe { bytes.cast::<[u8; HEADER as usize]>().read() };
        if copied < 2 || !RECORD_TYPES.contains(&head[0]) || head[1] != 3 {
            call.flags |= AMID;
            return;
        }
        call.flags |= if call.cookie == 0 { 0 } else { SEVERAL };
        call.cookie = operation.cookie;
        let end = if call.direction == EGRESS { operation.tx_position } else { operation.rx_position };
        call.wire = (end as u32).wrapping_sub(operation.result as u32);
        let length = u16::from_be_bytes([head[3], head[4]]) as u32;
        let whole = copied >= HEADER as u64 && operation.result as u32 == HEADER + length;
        call.record = if whole { length } else { 0 };
    }
    call.moved = call.moved.wrapping_add(operation.result as u32);
    call.flags = call.flags & !NONBLOCKING | (operation.nonblocking as u32 * NONBLOCKING);
}

/// A function leaves, with this result: 1 if it succeeded, or the count if nothing else tells that.
#[inline(always)]
fn leaves(id: u64, slot: u64, result: i32, counted_at: u64, place: u64) {
    let Some(at) = called(id, slot) else { return };
    let is = match result {
        ..0 => tls_place::NEGATIVE,
        0 => tls_place::ZERO,
        1.. => tls_place::POSITIVE,
    };
    if (place >> 4) as u8 & is == 0 {
        return;
    }
    // SAFETY: copied at once; the thread is here.
    let Some(call) = unsafe { TLS_CALLS.get(at) }.copied() else { return };
    over(id, &call, at);
    if result <= 0 {
        return;
    }
    let at = if counted_at != 0 { counted_at } else { call.count };
    let moved = if at == 0 { result as u64 } else { runtimes::word(at) };
    if moved == 0 || moved > call.size || moved > i32::MAX as u64 {
        return;
    }
    let mut event = PlainEvent {
        direction: call.direction,
        library: call.library as u32,
        len: moved as u32,
        session: call.session,
        ..PlainEvent::default()
    };
    (event.random, event.flags) = session(call.session, place);
    let Some(stream) = counted(id, &call, moved, &event) else {
        return count_anywhere(Counter::TlsUnfinished, 1);
    };
    (event.tx, event.rx, event.epoch, event.cookie) = (stream.tx, stream.rx, stream.epoch, stream.cookie);
    if call.direction == INGRESS && stream.flags & NONBLOCKING != 0 {
        event.flags |= FLAG_NONBLOCKING;
    }
    if stream.flags & BROKEN != 0 {
        event.flags |= FLAG_TLS_BROKEN;
    }
    event.wire = wire(&call, moved, &stream);
    tell(id, call.buffer, &mut event);
}

/// Where on the wire the record begins that the plaintext of a call begins with; 0 if that is not proven.
///
/// What was read first began a record: all before it had been read, and whoever has plaintext left reads no socket. What was written
/// first is one record, as large as this plaintext makes it, and each call before gave the socket what it had been given: nothing
/// waited below the library.
#[inline(always)]
fn wire(call: &TlsCall, moved: u64, stream: &TlsStream) -> u32 {
    let first = if moved < RECORD { moved } else { RECORD } as u32;
    let added = call.record.wrapping_sub(first);
    let is_its = call.direction == INGRESS || stream.flags & (KEPT | BROKEN) == 0 && added.wrapping_sub(1) < SEAL;
    if call.flags & (SEVERAL | AMID | WITHIN) == 0 && call.cookie != 0 && is_its { call.wire } else { 0 }
}

/// The client's random, and which end this is.
#[inline(always)]
fn session(session: u64, place: u64) -> ([u8; 16], u8) {
    let (random, via, server) = (place >> 24 & 0xffff, place >> 40 & 0xfff, place >> 52 & 0xfff);
    let base = if via == 0 { session } else { runtimes::word(session.wrapping_add(via)) };
    let mut value = [0_u8; 16];
    // SAFETY: the helper checks the address, and zeroes what it cannot read.
    unsafe { bpf_probe_read_user(value.as_mut_ptr().cast(), 16, base.wrapping_add(random) as *const _) };
    if server == 0 || place as u8 & 0xf == tls_place::LEAVES_COUNTED {
        return (value, FLAG_TLS_EITHER);
    }
    let is_server = runtimes::word(session.wrapping_add(server)) as u32 != 0;
    (value, if is_server { FLAG_TLS_SERVER } else { 0 })
}

/// Counts what has passed through a session.
#[inline(always)]
fn counted(id: u64, call: &TlsCall, moved: u64, event: &PlainEvent) -> Option<TlsStream> {
    let key = key(id, call.session);
    // SAFETY: 16 bytes are there.
    let random = unsafe { event.random.as_ptr().cast::<u64>().read_unaligned() };
    let seen = if call.flags & SEVERAL == 0 { call.cookie } else { 0 };
    // SAFETY: copied at once; a session is used by one thread at a time.
    let before = unsafe { TLS_STREAMS.get(key) }.copied();
    let same =
        |stream: &TlsStream| stream.random == random && (stream.cookie == 0 || seen == 0 || stream.cookie == seen);
    let mut stream = match before {
        Some(stream) if same(&stream) => stream,
        _ => {
            let epoch = facts::new_epoch();
            let flags = before.map_or(0, |before| before.flags & (BROKEN | KEPT));
            TlsStream { random, cookie: 0, tx: 0, rx: 0, epoch, flags }
        }
    };
    if seen != 0 {
        stream.cookie = seen;
        stream.flags = stream.flags & !NONBLOCKING | call.flags & NONBLOCKING;
    }
    if call.direction == EGRESS {
        stream.tx += moved;
        // (What only seems to be one socket's counts as nothing.)
        let kept = call.flags & (SEVERAL | WITHIN) != 0 || (call.moved as u64) < moved;
        stream.flags |= kept as u32 * KEPT;
    } else {
        stream.rx += moved;
    }
    TLS_STREAMS.insert(key, stream, 0).is_ok().then_some(stream)
}

/// Puts a record on the ring, of plaintext that lies at `buffer`.
#[inline(always)]
pub fn tell(id: u64, buffer: u64, event: &mut PlainEvent) {
    // SAFETY: one word is copied out at once.
    let marks = if event.cookie == 0 { 0 } else { unsafe { SOCKETS.get(event.cookie) }.map_or(0, |marks| *marks) };
    if io::is_muted(marks) {
        return;
    }
    let (free, moved) = (budget::free(), event.len as u64);
    let len = limit(buffer, event, marks, free);
    let len = if len < moved { len } else { moved };
    let cost = size_of::<PlainEvent>() as u64 + len;
    let owner = if event.cookie == 0 { event.session } else { event.cookie };
    if budget::refuses(Some(owner), (id >> 32) as u32, cost, free) {
        return count_anywhere(Counter::OverBudget, 1);
    }
    // SAFETY: the helper has no preconditions; the pointer is only read through checked reads.
    let task = unsafe { bpf_get_current_task() } as *const u8;
    sock::store_unit(&mut event.unit, id, Probed::load::<u64>(task, kernel::task_nvcsw()) as u32);
    runtimes::store_unit(&mut event.unit, Probed::load(task, kernel::task_thread_pointer()), None);
    let threads: i32 = Probed::load(Probed::load(task, kernel::task_signal()), kernel::signal_threads());
    event.flags |= (threads == 1) as u8 * FLAG_ONLY_THREAD;
    event.kind = Kind::Plain as u8;
    event.time = facts::now();
    (event.ran, event.queued) = clocks::at(event.time);
    copied::submit(event, buffer, len);
}

/// At most so many bytes are captured: as of a socket (`width.rs`), without what a record does not hold.
#[inline(always)]
fn limit(buffer: u64, event: &PlainEvent, marks: u32, free: u64) -> u64 {
    let passed = if event.direction == EGRESS { event.tx } else { event.rx } - event.len as u64;
    let wanted = marks & SOCKET_WIDE << (event.direction & 1) != 0;
    let wide = wanted
        || ((passed < width::BEGINNING || width::is_method(runtimes::word(buffer))) && budget::is_roomy(free) != 0);
    let usual = kernel::capture_bytes() as u64;
    if wide || usual > MAX_PLAIN as u64 { MAX_PLAIN as u64 } else { usual }
}
