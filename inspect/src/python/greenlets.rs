//! Greenlets: where a thread keeps the one that runs.
//!
//! The module (`greenlet._greenlet`) has a word in each thread's own memory for what it knows of the thread, and that begins with
//! the thread's first greenlet and the one that runs. Which of the thread's blocks is the module's, the memory says itself: in the
//! right one stands something that begins with a greenlet.

use super::layout::{INTERPRETER, NEXT};
use super::object::Heap;
use super::process::{DESTROY, MAX_THREADS, SET_UP};
use crate::Error;

/// The thread's own memory: its modules' blocks, which begin with how many there are.
const BLOCKS: u64 = 8;
const BLOCK: u64 = 16;
/// Blocks that are looked at.
const MAX_BLOCKS: u64 = 1024;
/// Where in the block of the module the word is: behind the mark that it was set up.
const WORD: u64 = 8;
/// A block that the thread has not used.
const UNUSED: u64 = u64::MAX;
/// Types: the one that it derives from.
const BASE: u64 = 256;
/// Types between a greenlet's and the module's own.
const MAX_BASES: usize = 16;

/// Greenlets of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greenlets {
    /// The number of the module's block in each thread.
    pub block: u32,
    /// Where in that block the word is.
    pub at: u32,
    /// The function that sets up a greenlet.
    pub init: u64,
    /// The function that destroys one.
    pub dealloc: u64,
}

/// Where they are, if the module is loaded and some thread has used it.
pub(super) fn find(heap: &Heap<'_>, modules: u64, interpreter: u64) -> Option<Greenlets> {
    let module = heap.item(modules, "greenlet._greenlet").ok()?;
    let kind = heap.item(heap.names(module).ok()?, "greenlet").ok()?;
    heap.is_type(kind, "greenlet").ok()?;
    let (init, dealloc) = (heap.word(kind, SET_UP).ok()?, heap.word(kind, DESTROY).ok()?);
    let layout = heap.layout();
    let mut state = heap.word(interpreter, layout.threads).ok()?;
    for _ in 0..MAX_THREADS {
        if heap.word(state, INTERPRETER).ok()? != interpreter {
            return None;
        }
        let thread = heap.word(state, u64::from(layout.thread_id)).ok()?;
        if let Ok(Some(block)) = block_of(heap, thread, kind) {
            return Some(Greenlets { block, at: WORD as u32, init, dealloc });
        }
        state = heap.word(state, NEXT).ok()?;
    }
    None
}

/// The number of the block of a thread that begins with a greenlet's.
fn block_of(heap: &Heap<'_>, thread: u64, kind: u64) -> Result<Option<u32>, Error> {
    let blocks = heap.word(thread, BLOCKS)?;
    let count = heap.word(blocks.wrapping_sub(BLOCK), 0)?.min(MAX_BLOCKS);
    for number in 1..=count {
        let block = heap.word(blocks, number * BLOCK)?;
        if block != UNUSED && is_of(heap, block, kind) == Ok(true) {
            return Ok(Some(number as u32));
        }
    }
    Ok(None)
}

/// Whether a block has what the module keeps there.
fn is_of(heap: &Heap<'_>, block: u64, kind: u64) -> Result<bool, Error> {
    let state = heap.word(block, WORD)?;
    let (first, current) = (heap.word(state, 0)?, heap.word(state, 8)?);
    let mut found = heap.type_of(current)?;
    for _ in 0..MAX_BASES {
        if found == kind {
            return Ok(heap.type_of(first)? == kind);
        }
        found = heap.word(found, BASE)?;
    }
    Ok(false)
}
