//! Plaintext in rustls: what is put into a record that is sent, and what was in one that was received.
//! `wirespan_common::rustls_place` says which place is which.
//!
//! A session of rustls knows no socket: it makes records in memory, and opens records in memory, a half of it each. But the bytes
//! of a record are no other record's. What was received is noted by what stands in it, encrypted, and whoever is about to open a
//! record of just these bytes opens what came through that socket. What is made is noted by where it lies, and whoever sends a
//! record of its length from there sends that one. From then on that half's records are that socket's: halves count their
//! records, so another session's at the same address shows.
//!
//! Preemptible, but for [`records_on_socket`]: nothing here is of this CPU alone.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_attach_cookie, bpf_probe_read_user},
    },
    programs::ProbeContext,
};
use wirespan_common::{
    Counter, EGRESS, FLAG_NONBLOCKING, FLAG_TLS_BROKEN, INGRESS, KEY_HALF, KEY_MADE, KEY_RECEIVED, KEY_SOCKET, Kind,
    PROCESS_IGNORED, PROCESS_RECORDS, PROCESS_TLS_OFF, PlainEvent, TIE_RECORD, TlsCall, TlsKey, TlsStream,
    rustls_place,
};

use super::{word, words};
use crate::{
    arch,
    buffer::Source,
    facts,
    io::{self, Operation},
    maps::{BPF_NOEXIST, EVENTS, TLS_CALLS, TLS_STREAMS, count, count_anywhere},
    sock::{NO_WAKEUP, SocketKind},
    tls,
};

/// Types of records, and of what is in them (RFC 8446, section 5).
const APPLICATION_DATA: u8 = 23;
/// In front of what is encrypted, and behind what is, with its kind.
const HEADER: u64 = 5;
const SEAL: u64 = 16;
/// The most that is encrypted in one record.
const MAX_RECORD: u64 = 16384 + 256;
/// Records that are looked at of what was received at once; pieces, of what is sent at once.
const RECORDS: usize = 4;
const PIECES: u64 = 4;
/// In a message to be encrypted: what it is of, and which kind it has. Pieces have a beginning and an end in all of them together.
const MESSAGE: usize = 4;
/// Instead of what stands in a record: one was to be opened of which it was not known through which socket it came.
const MISSED: u64 = 0;
/// [`TlsStream::flags`].
const NONBLOCKING: u32 = 1;
const BROKEN: u32 = 2;
const SENT: u32 = 4;
const RECEIVED: u32 = 8;
/// [`TlsCall::direction`]: such calls are no library's that moves its records itself.
const ENCRYPTS: u8 = 16;
const DECRYPTS: u8 = 17;

/// A probe was hit.
#[inline(always)]
pub fn on_probe(ctx: &ProbeContext) {
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    let known = io::known_of(tgid);
    if known & (PROCESS_IGNORED | PROCESS_TLS_OFF) != 0 {
        return;
    }
    if known & PROCESS_RECORDS == 0 {
        io::note_process(tgid, PROCESS_RECORDS);
    }
    // SAFETY: the context of this program.
    let place = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    // SAFETY: the kernel hands every probe its registers.
    let regs = unsafe { &*ctx.regs };
    let stack = arch::stack(regs);
    let [_, half, message, number, _] = arch::arguments(regs);
    let library = rustls_place::file(place);
    let mut event = PlainEvent { tie: TIE_RECORD, ..PlainEvent::default() };
    let buffer = match rustls_place::place(place) {
        rustls_place::ENCRYPTS => {
            encrypts_record(id, half, message, number, library as u64);
            return;
        }
        rustls_place::DECRYPTS => {
            decrypts_record(id, half, message, number, library as u64);
            return;
        }
        rustls_place::MADE => made_record(id, stack.wrapping_add(rustls_place::at(place) * 8), &raw mut event),
        rustls_place::OPENED => opened_record(id, arch::register(regs, rustls_place::at(place)), &raw mut event),
        _ => 0,
    };
    if buffer != 0 {
        tls::tell(id, buffer, &mut event);
    }
}

/// [`encrypts`], checked by itself (`main.rs`), with room of its own on the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn encrypts_record(id: u64, half: u64, message: u64, number: u64, library: u64) -> u64 {
    encrypts(id, half, message, number, library as u8);
    0
}

/// A record is to be made: notes how much of what is to be in it.
#[inline(always)]
fn encrypts(id: u64, half: u64, message: u64, number: u64, library: u8) {
    if number == 0 {
        // (Should it not be seen to be made, nothing of what was here before is believed of the next one.)
        let key = TlsKey { tgid: (id >> 32) as u32, kind: KEY_HALF, session: half };
        let _ = TLS_STREAMS.remove(key);
    }
    let [pieces, _, from, to] = words::<MESSAGE>(message);
    // One piece has its length, and several have a beginning and an end.
    let size = if pieces == 0 { from } else { to.wrapping_sub(from) };
    let call = TlsCall { session: half, size, count: number, direction: ENCRYPTS, library, ..TlsCall::default() };
    let _ = if size <= MAX_RECORD { TLS_CALLS.insert(id, call, 0) } else { TLS_CALLS.remove(id) };
}

/// [`made`], checked by itself (`main.rs`), with room of its own on the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn made_record(id: u64, at: u64, event: *mut PlainEvent) -> u64 {
    // SAFETY: null, or an event of the caller's stack.
    unsafe { event.as_mut() }.map_or(0, |event| made(id, at, event))
}

/// It is made, but for its encryption: its address stands at `at`. Returns where what is in it lies, if that is to be told.
#[inline(always)]
fn made(id: u64, at: u64, event: &mut PlainEvent) -> u64 {
    let Some(call) = taken(id, ENCRYPTS) else { return 0 };
    let [record, len] = words::<2>(at);
    // (Whether its kind is counted already differs.)
    let behind = HEADER + call.size;
    if len != behind && len != behind + 1 {
        return 0;
    }
    let told = byte(record.wrapping_add(behind)) == APPLICATION_DATA && call.size != 0;
    let (key, mut half) = half(id, &call);
    half.random += 1;
    half.tx += if told && half.cookie == 0 { call.size } else { 0 };
    let (cookie, epoch, before) = (half.cookie, half.epoch, half.tx);
    if TLS_STREAMS.insert(key, half, 0).is_err() {
        return 0;
    }
    if cookie == 0 {
        // (In the same place, for the stack is short.)
        let key = TlsKey { kind: KEY_MADE, session: record, ..key };
        (half.random, half.tx, half.flags) = (call.session, call.size + 1 + SEAL, 0);
        let _ = TLS_STREAMS.insert(key, half, 0);
    }
    if !told {
        return 0;
    }
    (event.direction, event.len, event.library) = (EGRESS, call.size as u32, call.library as u32);
    if cookie == 0 {
        (event.session, event.epoch, event.tx) = (call.session, epoch, before);
    } else if !counted(id, cookie, event) {
        count_anywhere(Counter::TlsUnfinished, 1);
        return 0;
    }
    record.wrapping_add(HEADER)
}

/// [`decrypts`], checked by itself (`main.rs`), with room of its own on the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn decrypts_record(id: u64, session: u64, message: u64, number: u64, library: u64) -> u64 {
    decrypts(id, session, message, number, library as u8);
    0
}

/// A record is to be opened: notes where it lies, and looks through which socket it came.
#[inline(always)]
fn decrypts(id: u64, session: u64, message: u64, number: u64, library: u8) {
    let [buffer, size] = words::<2>(message);
    if size <= SEAL || size > MAX_RECORD {
        let _ = TLS_CALLS.remove(id);
        return;
    }
    let mut call = TlsCall { session, buffer, size, count: number, direction: DECRYPTS, library, ..TlsCall::default() };
    let (key, mut half) = half(id, &call);
    half.random += 1;
    if half.cookie == 0 {
        half.cookie = received(id, buffer);
        let missed = TlsKey { kind: KEY_RECEIVED, session: MISSED, ..key };
        if half.cookie == 0 {
            // (What is noted is that it was missed.)
            let _ = TLS_STREAMS.insert(missed, half, 0);
        } else {
            let _ = TLS_STREAMS.remove(missed);
            if let Some(stream) = stream(id, half.cookie) {
                stream.flags |= half.flags & BROKEN;
            }
        }
    }
    call.cookie = half.cookie;
    let _ = TLS_STREAMS.insert(key, half, 0);
    let _ = TLS_CALLS.insert(id, call, 0);
}

/// The socket through which the bytes came that lie here; 0 if that is not known.
#[inline(always)]
fn received(id: u64, buffer: u64) -> u64 {
    let [first, second] = words::<2>(buffer);
    let key = TlsKey { tgid: (id >> 32) as u32, kind: KEY_RECEIVED, session: second };
    // SAFETY: read at once.
    match unsafe { TLS_STREAMS.get(key) }.map(|received| (received.random, received.cookie)) {
        Some((random, cookie)) if random == first => {
            let _ = TLS_STREAMS.remove(key);
            cookie
        }
        _ => 0,
    }
}

/// [`opened`], checked by itself (`main.rs`), with room of its own on the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn opened_record(id: u64, inside: u64, event: *mut PlainEvent) -> u64 {
    // SAFETY: null, or an event of the caller's stack.
    unsafe { event.as_mut() }.map_or(0, |event| opened(id, inside, event))
}

/// It is, and is sound: so much is in it, with its kind. Returns where that lies, if it is to be told.
#[inline(always)]
fn opened(id: u64, inside: u64, event: &mut PlainEvent) -> u64 {
    let Some(call) = taken(id, DECRYPTS) else { return 0 };
    if inside == 0 || inside != call.size - SEAL {
        return 0;
    }
    let len = inside - 1;
    let kind = byte(call.buffer.wrapping_add(len));
    if len == 0 || (kind != APPLICATION_DATA && kind != 0) {
        return 0;
    }
    (event.direction, event.len, event.library) = (INGRESS, len as u32, call.library as u32);
    // (With something behind its kind, how much it is is not known. Nobody is known to do that.)
    if kind == 0 || call.cookie == 0 || !counted(id, call.cookie, event) {
        let key = TlsKey { tgid: (id >> 32) as u32, kind: KEY_HALF, session: call.session };
        if let Some(half) = TLS_STREAMS.get_ptr_mut(key) {
            // SAFETY: a map value, valid while the program runs; one aligned word.
            unsafe { (*half).flags |= BROKEN };
        }
        if call.cookie != 0
            && let Some(stream) = stream(id, call.cookie)
        {
            stream.flags |= BROKEN;
        }
        count_anywhere(Counter::TlsUnfinished, 1);
        return 0;
    }
    call.buffer
}

/// What was noted of this thread, which is that no more.
#[inline(always)]
fn taken(id: u64, direction: u8) -> Option<TlsCall> {
    // SAFETY: copied at once; the thread is here.
    let call = unsafe { TLS_CALLS.get(id) }.copied().filter(|call| call.direction == direction)?;
    let _ = TLS_CALLS.remove(id);
    Some(call)
}

/// What is known of half a session, whose next record has this number. Another number is another half's at the same address,
/// and one that does not begin with its first record is not known from its beginning.
#[inline(always)]
fn half(id: u64, call: &TlsCall) -> (TlsKey, TlsStream) {
    let key = TlsKey { tgid: (id >> 32) as u32, kind: KEY_HALF, session: call.session };
    // SAFETY: copied at once; half a session is used by one thread at a time.
    let known = unsafe { TLS_STREAMS.get(key) }.copied().filter(|half| half.random == call.count && call.count != 0);
    let flags = if call.count == 0 { 0 } else { BROKEN };
    let new = || TlsStream { random: call.count, flags, ..new_stream() };
    (key, known.unwrap_or_else(new))
}

/// One of which nothing is known yet.
#[inline(always)]
fn new_stream() -> TlsStream {
    TlsStream { epoch: facts::new_epoch(), ..TlsStream::default() }
}

/// What is known of a session by its socket.
#[inline(always)]
fn stream(id: u64, cookie: u64) -> Option<&'static mut TlsStream> {
    let key = TlsKey { tgid: (id >> 32) as u32, kind: KEY_SOCKET, session: cookie };
    if TLS_STREAMS.get_ptr(key).is_none() {
        let stream = TlsStream { cookie, ..new_stream() };
        let _ = TLS_STREAMS.insert(key, stream, BPF_NOEXIST);
    }
    // SAFETY: a map value, valid while the program runs; each direction's count has one writer.
    TLS_STREAMS.get_ptr_mut(key).map(|stream| unsafe { &mut *stream })
}

/// Counts what has passed on a socket, and says so in the record.
#[inline(always)]
fn counted(id: u64, cookie: u64, event: &mut PlainEvent) -> bool {
    let Some(stream) = stream(id, cookie) else { return false };
    if event.direction == EGRESS {
        stream.tx += event.len as u64;
        stream.flags |= SENT;
    } else {
        stream.rx += event.len as u64;
        stream.flags |= RECEIVED;
        event.flags |= if stream.flags & NONBLOCKING != 0 { FLAG_NONBLOCKING } else { 0 };
    }
    event.flags |= if stream.flags & BROKEN != 0 { FLAG_TLS_BROKEN } else { 0 };
    (event.session, event.cookie, event.epoch) = (cookie, cookie, stream.epoch);
    (event.tx, event.rx) = (stream.tx, stream.rx);
    true
}

#[inline(always)]
fn byte(address: u64) -> u8 {
    let mut byte = 0_u8;
    // SAFETY: the helper checks the address, and zeroes what it cannot read.
    unsafe { bpf_probe_read_user((&raw mut byte).cast(), 1, address as *const _) };
    byte
}

/// An operation on a socket, of a process in which such records are made and opened. (Not preemptible. Checked by itself:
/// `main.rs`.)
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn records_on_socket(operation: *const Operation, source: *const Source) -> u64 {
    // SAFETY: null, or the caller's.
    if let (Some(operation), Some(source)) = unsafe { (operation.as_ref(), source.as_ref()) } {
        on_socket(operation, source);
    }
    0
}

#[inline(always)]
fn on_socket(operation: &Operation, source: &Source) {
    if operation.kind != SocketKind::Tcp || operation.result <= 0 {
        return;
    }
    let key = TlsKey { tgid: (operation.id >> 32) as u32, kind: KEY_SOCKET, session: operation.cookie };
    let known = TLS_STREAMS.get_ptr_mut(key);
    // SAFETY: a map value, valid while the program runs.
    let flags = known.map_or(0, |stream| unsafe { (*stream).flags });
    if operation.direction == INGRESS {
        if let Some(stream) = known {
            // SAFETY: as above.
            unsafe { (*stream).flags = flags & !NONBLOCKING | operation.nonblocking as u32 };
        }
        let missed = TlsKey { kind: KEY_RECEIVED, session: MISSED, ..key };
        if flags & RECEIVED == 0 || TLS_STREAMS.get_ptr(missed).is_some() {
            note_received(operation, source.piece(0));
        }
    } else {
        // (Once something was, only new keys are news.)
        let pieces = if flags & SENT == 0 { source.pieces() } else { 1 };
        for piece in 0..PIECES {
            if piece < pieces && was_made(operation, source.piece(piece)) {
                return;
            }
        }
    }
}

/// Notes what stands in records that were received.
#[inline(always)]
fn note_received(operation: &Operation, from: u64) {
    let end = from.wrapping_add(operation.result as u64);
    let mut at = from;
    for _ in 0..RECORDS {
        let Some(len) = header(at).filter(|_| at != 0 && at.wrapping_add(HEADER + SEAL) < end) else { return };
        let [first, second] = words::<2>(at.wrapping_add(HEADER));
        if byte(at) == APPLICATION_DATA && len > SEAL {
            let key = TlsKey { tgid: (operation.id >> 32) as u32, kind: KEY_RECEIVED, session: second };
            let noted = TlsStream { random: first, cookie: operation.cookie, ..TlsStream::default() };
            let _ = TLS_STREAMS.insert(key, noted, 0);
        }
        at = at.wrapping_add(HEADER + len);
    }
}

/// Whether what is sent from here is a record that was made here. Then who made it is known by its socket.
#[inline(always)]
fn was_made(operation: &Operation, at: u64) -> bool {
    let tgid = (operation.id >> 32) as u32;
    let key = TlsKey { tgid, kind: KEY_MADE, session: at };
    // SAFETY: copied at once.
    let Some(made) = unsafe { TLS_STREAMS.get(key) }.copied() else { return false };
    if byte(at) != APPLICATION_DATA || header(at) != Some(made.tx) {
        return false;
    }
    let _ = TLS_STREAMS.remove(key);
    let half = TLS_STREAMS.get_ptr_mut(TlsKey { tgid, kind: KEY_HALF, session: made.random });
    // SAFETY: a map value, valid while the program runs.
    let Some(half) = half.map(|half| unsafe { &mut *half }).filter(|half| half.epoch == made.epoch) else {
        return false;
    };
    let Some(stream) = stream(operation.id, operation.cookie) else { return false };
    let (before, told) = (stream.tx, half.tx);
    (half.cookie, half.tx) = (operation.cookie, 0);
    stream.tx += told;
    stream.flags |= half.flags & BROKEN | if told != 0 { SENT } else { 0 };
    let Some(mut entry) = EVENTS.reserve::<PlainEvent>(0) else {
        count(Counter::RingFull, 1);
        return true;
    };
    let mut event = PlainEvent { kind: Kind::Plain as u8, direction: EGRESS, tie: TIE_RECORD, ..PlainEvent::default() };
    (event.session, event.cookie, event.epoch) = (operation.cookie, operation.cookie, stream.epoch);
    (event.tx, event.rx, event.time) = (before, stream.rx, facts::now());
    (event.unit.tgid, event.unit.tid) = (tgid, operation.id as u32);
    // SAFETY: there are 16 bytes.
    unsafe { event.random.as_mut_ptr().cast::<[u64; 2]>().write_unaligned([made.random, made.epoch as u64]) };
    entry.write(event);
    entry.submit(NO_WAKEUP);
    true
}

/// How much a record has behind its header, if there is one.
#[inline(always)]
fn header(at: u64) -> Option<u64> {
    let head = word(at).to_le_bytes();
    let is_record = (20..=24).contains(&head[0]) && head[1] == 3;
    is_record.then_some((head[3] as u64) << 8 | head[4] as u64)
}
