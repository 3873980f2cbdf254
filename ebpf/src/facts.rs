//! What is told of units, beyond what they move through sockets.

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use wirespan_common::{Counter, FactEvent, Kind};

use crate::{
    budget,
    maps::{EVENTS, count_anywhere},
    sock::NO_WAKEUP,
};

/// Tells a fact that is true now: its kind and its time are put in here. Any program may, also one that can be interrupted.
/// Returns whether it was told: what is told only once has to be told again where it was not.
#[inline(always)]
pub fn tell(fact: FactEvent) -> bool {
    tell_since(fact, now())
}

/// Tells a fact that is true since a moment, as [`tell`] does.
#[inline(always)]
pub fn tell_since(fact: FactEvent, time: u64) -> bool {
    let fact = FactEvent { kind: Kind::Fact as u8, time, ..fact };
    tell_fact(&raw const fact) != 0
}

/// [`tell_since`], checked by itself (`main.rs`).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_fact(fact: *const FactEvent) -> u64 {
    // SAFETY: null, or a fact of the caller's stack.
    let Some(fact) = (unsafe { fact.as_ref() }) else { return 0 };
    if budget::is_refused(None, fact.tgid, size_of::<FactEvent>() as u64, budget::free()) {
        count_anywhere(Counter::OverBudget, 1);
        return 0;
    }
    let Some(mut entry) = EVENTS.reserve::<FactEvent>(0) else {
        count_anywhere(Counter::RingFull, 1);
        return 0;
    };
    // SAFETY: reserved room for a fact, and nobody else's. (A plain assignment would be a call, and take more of the stack.)
    unsafe { core::ptr::copy_nonoverlapping(fact, entry.as_mut_ptr(), 1) };
    entry.submit(NO_WAKEUP);
    1
}

/// `CLOCK_BOOTTIME`, nanoseconds.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// A stamp of counting that begins now: differs for each start, and is not zero.
#[inline(always)]
pub fn new_epoch() -> u32 {
    (now() >> 10) as u32 | 1
}
