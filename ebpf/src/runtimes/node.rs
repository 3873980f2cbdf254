//! What a loop of Node works on: it numbers all that it does (`async_hooks`), and keeps which piece of work runs, which one set that
//! going, and the newest number, as floating-point numbers side by side (`src/env.h`: `AsyncHooks::UidFields`).
//!
//! Nobody pays for a look at that before the first loop of the machine is known.
//!
//! Where, probes tell: their first argument is inside of what the loop has (`Environment`). Which of its parts a piece of work
//! began with, they tell as well; that bytes came in, the sockets.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_attach_cookie},
    programs::ProbeContext,
};
use wirespan_common::{
    FactEvent, FactKind, LoopState, TURN_ACCEPTED, TURN_ARRIVAL, TURN_CONNECTED, TURN_IMMEDIATE, TURN_TIMER,
    TURN_WOKEN, UNIT_LOOP, UnitId, node_place,
};

use super::{word, words};
use crate::{
    arch, facts, files,
    maps::{LOOPS, LOOPS_THERE},
};

/// `uv_connect_t.handle`, and from there the descriptor (include/uv.h: `uv_stream_t.io_watcher.fd`), alike since libuv 1.0.
const HANDLE: u64 = 72;
const DESCRIPTOR: u64 = 184;

/// The numbers of a loop.
struct Numbers {
    runs: u64,
    by: u64,
    newest: u64,
}

/// A probe was hit.
#[inline(always)]
pub fn on_probe(ctx: &ProbeContext) {
    let id = bpf_get_current_pid_tgid();
    // SAFETY: the kernel hands every probe its registers.
    let object = arch::argument(unsafe { &*ctx.regs });
    // SAFETY: the context of this program.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    match cookie as u8 {
        node_place::TIMERS => at_loop(id, object, cookie, TURN_TIMER),
        node_place::IMMEDIATES => at_loop(id, object, cookie, TURN_IMMEDIATE),
        node_place::ACCEPTED => tell(id, TURN_ACCEPTED, 0),
        node_place::CONNECTED => {
            let handle = word(object + HANDLE);
            tell(id, TURN_CONNECTED, files::identity_of(word(handle + DESCRIPTOR) as u32));
        }
        _ => {}
    }
}

/// Notes where the loop of this thread has its numbers.
#[inline(always)]
fn at_loop(id: u64, object: u64, cookie: u64, cause: u64) {
    let numbers = word(object.wrapping_add(((cookie >> 32) as u32 as i32) as i64 as u64));
    let state = LoopState { tgid: (id >> 32) as u32, reserved: 0, numbers };
    // SAFETY: copied out at once; only this thread writes it.
    let known = unsafe { LOOPS.get(id as u32) }.is_some_and(|known| *known == state);
    if numbers != 0 && !known {
        let _ = LOOPS.insert(id as u32, state, 0);
        if let Some(there) = LOOPS_THERE.get_ptr_mut(0) {
            // SAFETY: a map value, valid while the program runs: one aligned word.
            unsafe { *there = 1 };
        }
    }
    tell(id, cause, 0);
}

/// A thread took in bytes, or the end, of a socket.
#[inline(always)]
pub fn on_read(id: u64, cookie: u64) {
    tell(id, TURN_ARRIVAL, cookie);
}

/// A thread heard of another.
#[inline(always)]
pub fn on_woken() {
    tell(bpf_get_current_pid_tgid(), TURN_WOKEN, 0);
}

/// Puts the numbers of the thread's loop into a record's unit, if it has one.
#[inline(always)]
pub fn store_unit(to: &mut UnitId) {
    let Some(numbers) = numbers((to.tgid as u64) << 32 | to.tid as u64) else { return };
    (to.kind, to.id, to.parent, to.since) = (UNIT_LOOP, numbers.runs, numbers.by, numbers.newest);
}

#[inline(always)]
fn tell(id: u64, cause: u64, cookie: u64) {
    if LOOPS_THERE.get(0).is_some_and(|there| *there != 0) {
        tell_turn(id, cause, cookie);
    }
}

/// [`tell`], checked by itself (`main.rs`), with room of its own on the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_turn(id: u64, cause: u64, cookie: u64) -> u64 {
    let Some(numbers) = numbers(id) else { return 0 };
    facts::tell(FactEvent {
        what: FactKind::Turn as u8,
        tgid: (id >> 32) as u32,
        tid: id as u32,
        unit: id as u32 as u64,
        a: numbers.newest,
        b: cause,
        cookie,
        ..FactEvent::default()
    }) as u64
}

/// The numbers of a thread's loop. What makes no sense is none: the process runs another program by now.
#[inline(always)]
fn numbers(id: u64) -> Option<Numbers> {
    // SAFETY: copied out at once; only this thread writes it.
    let state = unsafe { LOOPS.get(id as u32) }.copied()?;
    if state.tgid != (id >> 32) as u32 {
        return None;
    }
    let [runs, by, newest] = words(state.numbers).map(whole);
    (newest != 0 && runs <= newest && by <= newest).then_some(Numbers { runs, by, newest })
}

/// A floating-point number that is a whole one, and not negative; 0 if it is none.
#[inline(always)]
fn whole(bits: u64) -> u64 {
    let exponent = bits >> 52;
    if !(1023..=1023 + 52).contains(&exponent) {
        return 0;
    }
    let digits = bits & ((1 << 52) - 1) | 1 << 52;
    digits >> ((1023 + 52 - exponent) & 63)
}
