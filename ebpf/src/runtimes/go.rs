//! The running goroutine (runtime/runtime2.go of Go): `g` stands below the thread's own memory, its number in it.

use wirespan_common::{RuntimeState, UNIT_GOROUTINE, UnitId};

use super::word;

/// Puts the goroutine into a record's unit.
#[inline(always)]
pub fn store_unit(to: &mut UnitId, thread: u64, runtime: &RuntimeState) {
    let mut g = word(thread.wrapping_sub(runtime.below_thread as u64));
    if g == 0 {
        return;
    }
    if word(g + runtime.id as u64) == 0 {
        // The runtime's own stack, which C code that a goroutine calls runs on as well: the thread says for whom.
        g = word(word(g + runtime.thread as u64).wrapping_add(runtime.current as u64));
        if g == 0 {
            return;
        }
    }
    let (id, parent) = (word(g + runtime.id as u64), word(g + runtime.parent as u64));
    let start = word(g + runtime.start as u64);
    // It reads for the one that started it.
    let helps = start != 0 && (start == runtime.helpers[0] || start == runtime.helpers[1]);
    let (id, parent) = if helps { (parent, 0) } else { (id, parent) };
    if id != 0 {
        to.kind = UNIT_GOROUTINE;
        to.id = id;
        to.parent = parent;
    }
}
