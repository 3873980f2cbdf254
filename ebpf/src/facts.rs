//! What is told of units, beyond what they move through sockets.

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use wirespan_common::{Counter, FactEvent, Kind};

use crate::{
    maps::{EVENTS, count_anywhere},
    sock::NO_WAKEUP,
};

/// Tells a fact that is true now: its kind and its time are put in here. Any program may, also one that can be interrupted.
#[inline(always)]
pub fn tell(fact: FactEvent) {
    tell_since(fact, now());
}

/// Tells a fact that is true since a moment.
#[inline(always)]
pub fn tell_since(fact: FactEvent, time: u64) {
    let Some(mut entry) = EVENTS.reserve::<FactEvent>(0) else {
        return count_anywhere(Counter::RingFull, 1);
    };
    entry.write(FactEvent { kind: Kind::Fact as u8, time, ..fact });
    entry.submit(NO_WAKEUP);
}

/// `CLOCK_BOOTTIME`, nanoseconds.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}
