//! How much of an operation is captured: `capture-bytes`, or as much as a record holds.
//!
//! What a parser needs lies at the beginning: of a connection, of a request. Whoever has read an operation that was cut knows
//! that, but knows it too late, for the rest of it is gone. So the wide capture begins here, for what begins so; of what
//! comes after, the agent says how much it wants ([`SOCKET_WIDE`]).

use core::hint::black_box;

use wirespan_common::{EGRESS, INGRESS, MAX_CAPTURE, SOCKET_HEAD, SOCKET_SECURED, SOCKET_WIDE};

use crate::{
    budget,
    io::Operation,
    kernel,
    maps::{BPF_NOEXIST, SOCKETS},
    sock::SocketKind,
};

/// What begins among so many bytes of a direction of a connection is captured wide: log-ins, and the first batch after
/// them.
pub const BEGINNING: u64 = MAX_CAPTURE as u64;
/// What a client says first in HTTP/2, as far as one word goes (RFC 9113, section 3.4).
const HTTP2: u64 = u64::from_ne_bytes(*b"PRI * HT");
/// A command of Redis begins so: a list of up to nine strings. (Replies may look so as well.)
const COMMAND: u64 = u64::from_ne_bytes(*b"*0\r\n$\0\0\0");
/// What of a word shows that.
const COMMAND_MASK: u64 = u64::from_ne_bytes([0xff, 0xf0, 0xff, 0xff, 0xff, 0, 0, 0]);
/// Bytes by which the count of what passed may be wrong where a direction begins.
const INEXACT: u64 = 16;
/// The end of a head of HTTP/1.1.
const END: [u8; 4] = *b"\r\n\r\n";
/// Of what is encrypted, as much is captured as tells that it is.
const SECURED: u64 = 16;

/// Whether a request of HTTP/1.1 begins with these bytes, as far as four of them go.
#[inline(always)]
pub fn is_method(word: u64) -> bool {
    const fn head(method: &[u8; 4]) -> u32 {
        u32::from_ne_bytes(*method)
    }
    const GET: u32 = head(b"GET ");
    const HEAD: u32 = head(b"HEAD");
    const POST: u32 = head(b"POST");
    const PUT: u32 = head(b"PUT ");
    const DELETE: u32 = head(b"DELE");
    const CONNECT: u32 = head(b"CONN");
    const OPTIONS: u32 = head(b"OPTI");
    const TRACE: u32 = head(b"TRAC");
    const PATCH: u32 = head(b"PATC");
    const QUERY: u32 = head(b"QUER");
    let first = if cfg!(target_endian = "big") { word >> 32 } else { word } as u32;
    matches!(first, GET | HEAD | POST | PUT | DELETE | CONNECT | OPTIONS | TRACE | PATCH | QUERY)
}

/// 1 if the socket has a mark for the operation's direction, else 0.
#[inline(always)]
fn has(mark: u32, operation: &Operation) -> u64 {
    (operation.marks >> (mark.trailing_zeros() + (operation.direction & 1) as u32) & 1) as u64
}

/// At most so many bytes are captured of an operation that moved so many, as far as can be known before they are looked at.
/// Without branches: the fallback's verifier would follow all that comes once for each.
#[inline(always)]
pub fn at_first(operation: &Operation, moved: u64, free: u64) -> u64 {
    let usual = kernel::capture_bytes() as u64;
    let begins = operation.passed.wrapping_sub(moved).wrapping_sub(BEGINNING) >> 63;
    let likely = (begins | has(SOCKET_HEAD, operation)) & budget::is_roomy(free);
    let secured = (operation.marks >> SOCKET_SECURED.trailing_zeros() & 1) as u64;
    let wanted = usual + (MAX_CAPTURE as u64 - usual) * ((has(SOCKET_WIDE, operation) | likely) & 1);
    wanted * (1 - secured) + SECURED * secured
}

/// Whether the operation, whose first `copied` bytes lie at `bytes`, is one of which as much should be captured as a record
/// holds: it begins with a request. One that begins a connection of HTTP/2 may hold a hundred of them, and each that
/// follows, too. Of a connection that begins with a command of Redis, a pipeline may follow before the agent has read that.
#[inline(always)]
pub fn after_a_look(operation: &Operation, bytes: *const u8, copied: u64, moved: u64, free: u64) -> bool {
    if copied < 8 || operation.marks & SOCKET_SECURED != 0 {
        return false;
    }
    // SAFETY: the record's place in the scratch memory is aligned to 8 and has room for more than a word.
    let word = unsafe { bytes.cast::<u64>().read() };
    if word == HTTP2 {
        note(operation.cookie, SOCKET_WIDE << INGRESS | SOCKET_WIDE << EGRESS, 0);
        return true;
    }
    if word & COMMAND_MASK == COMMAND && has(SOCKET_WIDE, operation) == 0 {
        let begins = operation.passed.wrapping_sub(moved).wrapping_sub(INEXACT) >> 63;
        if begins != 0 {
            note(operation.cookie, SOCKET_WIDE << (operation.direction & 1), 0);
        }
    }
    is_method(word) && budget::is_roomy(free) != 0
}

/// Notes whether a request's head goes on in the next operation of the same direction. (Where a body ends the operation,
/// the head's end is not looked for: then it is the next piece of the body that is captured wide, once.)
#[inline(always)]
pub fn remember(operation: &Operation, bytes: *const u8, copied: u64, moved: u64) {
    if operation.kind == SocketKind::Udp || copied < 8 {
        return;
    }
    let before = has(SOCKET_HEAD, operation) != 0;
    // SAFETY: as above.
    let begins = is_method(unsafe { bytes.cast::<u64>().read() });
    // The rest of a head may come in several pieces. A large one is the last that is waited for.
    let may_go_on = begins || (before && moved <= kernel::capture_bytes() as u64);
    let goes_on = may_go_on && !ends(bytes, copied);
    let mark = SOCKET_HEAD << (operation.direction & 1);
    if goes_on && !before {
        note(operation.cookie, mark, 0);
    } else if before && !goes_on {
        note(operation.cookie, 0, mark);
    }
}

/// Whether a head ends with the last of these bytes.
#[inline(always)]
fn ends(bytes: *const u8, copied: u64) -> bool {
    // The mask changes nothing: there are at least eight bytes and at most `MAX_CAPTURE`. It shows that to the verifier.
    let at = (black_box(copied.wrapping_sub(4)) & (MAX_CAPTURE as u64 - 1)) as usize;
    // SAFETY: behind the record's header there is room for 3 * MAX_CAPTURE bytes.
    unsafe { bytes.add(at).cast::<[u8; 4]>().read() == END }
}

/// Sets and takes away marks of a socket.
#[inline(always)]
fn note(cookie: u64, set: u32, taken: u32) {
    match SOCKETS.get_ptr_mut(cookie) {
        // SAFETY: a map value, valid while the program runs: one aligned word.
        Some(marks) => unsafe { *marks = (*marks | set) & !taken },
        None => {
            let _ = SOCKETS.insert(cookie, set, BPF_NOEXIST);
        }
    }
}
