//! The running greenlet: the module keeps what it knows of each thread in the thread's own memory, and there the greenlet that runs.

use wirespan_common::PythonState;

use super::word;

/// The thread's own memory: the addresses of its modules' blocks, by number.
const BLOCKS: u64 = 8;
const BLOCK: u64 = 16;
/// What is known of a thread: its first greenlet, and the one that runs.
const FIRST: u64 = 0;
const CURRENT: u64 = 8;

/// The greenlet that runs on a thread, 0 if it is the thread's first, or there is none.
#[inline(always)]
pub fn running_on(python: &PythonState, thread: u64) -> u64 {
    if python.greenlets == 0 {
        return 0;
    }
    let block = word(word(thread + BLOCKS).wrapping_add(python.greenlets as u64 * BLOCK));
    // (A block that the thread has not used yet is not there: all ones.)
    let state = word(block.wrapping_add(python.greenlets_at as u64));
    let current = word(state.wrapping_add(CURRENT));
    if state == 0 || current == word(state.wrapping_add(FIRST)) { 0 } else { current }
}
