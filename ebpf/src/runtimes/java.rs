//! The virtual thread that a thread carries (HotSpot): the VM keeps the address of its own thread in each thread's memory, and
//! there, or in an object on the heap that belongs to it, the number of what it carries.
//!
//! Objects on the heap move. A thread in a system call does not keep a collector from that: what was read counts only if no
//! collection was under way before or after, and none began in between.

use wirespan_common::{JavaState, UNIT_VIRTUAL, UnitId};

use super::{word, words};
use crate::maps::JAVAS;

/// The thread's own memory: the addresses of its modules' blocks, by number.
const BLOCKS: u64 = 8;
const BLOCK: u64 = 16;

/// Puts the virtual thread into a record's unit, if the thread carries one; without a number if that cannot be told.
#[inline(always)]
pub fn store_unit(to: &mut UnitId, thread: u64) {
    // SAFETY: the agent writes each value whole, and none that has parts of two.
    let Some(java) = (unsafe { JAVAS.get(to.tgid) }) else { return };
    let block = word(word(thread + BLOCKS).wrapping_add(java.block as u64 * BLOCK));
    // (A block that the thread has not used yet is not there: all ones.)
    let own = if block == 0 { 0 } else { word(block.wrapping_add(java.at as u64)) };
    if own == 0 {
        return;
    }
    if java.heap == 0 {
        if word(own + java.carries as u64) != 0 {
            (to.kind, to.id) = (UNIT_VIRTUAL, word(own + java.number as u64));
        }
        return;
    }
    let [itself, carried]: [u64; 2] = words(own + java.own as u64);
    if word(carried) == word(itself) {
        return;
    }
    let before = collections(java);
    let number = word(word(carried) + java.number as u64);
    let still = before != COLLECTING && before == collections(java);
    (to.kind, to.id) = (UNIT_VIRTUAL, if still { number } else { 0 });
}

/// The heap is being collected.
const COLLECTING: u64 = u64::MAX;

/// How often the heap was collected.
#[inline(always)]
fn collections(java: &JavaState) -> u64 {
    let times = word(java.heap + java.collections as u64) & 0xffff_ffff;
    if word(java.heap + java.collecting as u64) & 0xff == 0 { times } else { COLLECTING }
}
