//! Counts what is asked of the system's allocator: memory, and a measure of work that does not depend on the machine.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted for each thread.
pub struct Counting;

thread_local! {
    /// Bytes asked for, and of these given back. (What one thread asks for and another gives back is not balanced.)
    static ASKED: Cell<u64> = const { Cell::new(0) };
    static GIVEN_BACK: Cell<u64> = const { Cell::new(0) };
}

fn add(count: &'static std::thread::LocalKey<Cell<u64>>, size: usize) {
    let _ = count.try_with(|count| count.set(count.get() + size as u64));
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(&ASKED, layout.size());
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(&GIVEN_BACK, layout.size());
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A moment.
pub struct Mark {
    asked: u64,
    given_back: u64,
}

impl Mark {
    /// Now.
    pub fn new() -> Self {
        Self { asked: ASKED.get(), given_back: GIVEN_BACK.get() }
    }

    /// Bytes that this thread holds more than then, and those that it asked for since.
    pub fn read(&self) -> (u64, u64) {
        let asked = ASKED.get() - self.asked;
        (asked.saturating_sub(GIVEN_BACK.get() - self.given_back), asked)
    }
}
