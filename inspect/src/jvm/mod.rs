//! HotSpot: where a running Java VM says which virtual thread a thread carries (JDK 21 and later).
//!
//! | module | what it is |
//! |---|---|
//! | [`table`] | the VM's own tables of its structures, which debuggers read, and every build exports |
//! | `threads` | where a thread keeps the VM's thread, and that its virtual thread |
//! | `heap` | what must be known to read that from the heap, where nothing else has its number |
//!
//! A virtual thread has a number that is never used again in its process (`Thread.threadId()`). Since JDK 25 the VM's thread has
//! the number of what it carries. Before, only the object on the heap has it, which collectors move.

mod heap;
pub mod table;
mod threads;

#[cfg(test)]
mod tests;

use table::{Structures, Tables};

use crate::{Error, Source};

/// Where a process has what tells the virtual thread that a thread carries. Offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carriers {
    /// The number of the VM's block in each thread's own memory.
    pub block: u32,
    /// In that: the address of the VM's thread.
    pub at: u32,
    /// Where the number of what it carries is.
    pub number: Number,
}

/// Where the number of what a thread of the VM carries is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// In the VM's thread.
    Thread {
        /// The number.
        number: u32,
        /// Not 0 while it carries a virtual thread.
        carries: u32,
    },
    /// In an object on the heap.
    Heap(Objects),
}

/// Objects on a heap whose collector moves them only while nothing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objects {
    /// In the VM's thread: the addresses of where its own object's address is, and that of what it carries.
    pub own: u32,
    /// In the object of a thread: its number.
    pub number: u32,
    /// The address of what the VM knows of the heap.
    pub heap: u64,
    /// In that, one byte: it is being collected.
    pub collecting: u32,
    /// In that, four bytes: how often it was.
    pub collections: u32,
}

/// What is known of a VM. `None`: it has no virtual threads. `thread_local` is what its file says of each thread's own memory.
///
/// # Errors
/// [`Error::Unreadable`] if it is not known yet: what is read changes meanwhile, or is not there. Else if it never will be.
pub fn find(memory: &dyn Source, tables: &Tables, thread_local: u64) -> Result<Option<Carriers>, Error> {
    let vm = Structures::read(memory, tables)?;
    if vm.offset("JavaThread", "_vthread").is_err() {
        return Ok(None);
    }
    let threads = threads::list(&vm)?;
    let (block, at) = threads::place(&vm, &threads, thread_local)?;
    let number = match (vm.offset("JavaThread", "_monitor_owner_id"), vm.offset("JavaThread", "_cont_entry")) {
        (Ok(number), Ok(carries)) => Number::Thread { number, carries },
        _ => Number::Heap(heap::objects(&vm, &threads)?),
    };
    Ok(Some(Carriers { block, at, number }))
}
