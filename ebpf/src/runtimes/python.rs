//! The running task of asyncio (`_asynciomodule.c`): each thread's state says in which context it works, and the task that runs
//! in a loop works in its own.
//!
//! Everything is read while the thread is inside a system call and others may change what is read. So what is found is believed
//! only if it agrees: the state with the thread, the task with the state's context.

use wirespan_common::{PythonState, UNIT_GREENLET, UNIT_TASK, UnitId};

use super::{python_greenlets, python_lent, python_streams, word, words};
use crate::maps::PYTHONS;

/// Entries of the dictionary of running tasks that are looked at: the last ones. Each loop has one.
const ENTRIES: usize = 5;
/// `"Task-"`, with which names begin that nobody chose.
const PREFIX: u64 = u64::from_le_bytes(*b"Task-\0\0\0");
const PREFIX_LENGTH: u64 = 5;

/// What runs on a thread.
pub struct Running {
    /// The context that it works in, 0 if in none.
    pub context: u64,
    /// The task, 0 if none does.
    pub task: u64,
}

impl Running {
    /// What tells one run of it from another.
    #[inline(always)]
    pub fn mark(&self, python: &PythonState) -> u64 {
        if self.task == 0 { self.context } else { number(python, self.task) }
    }
}

/// What a note is about: [`wirespan_common::NoteKey::what`]. A context that was copied.
pub const COPIED: u32 = 16;
/// A descriptor that something was written for, which is sent later.
pub const WRITTEN: u32 = 17;

/// Puts the task that runs on the thread into a record's unit. If none does: the greenlet that runs; the task that had written what is sent; or that the
/// context which the thread works in was lent to it; or only that context.
#[inline(always)]
pub fn store_unit(to: &mut UnitId, thread: u64, sent_on: Option<u32>) {
    // SAFETY: the agent writes each value whole, and none that has parts of two.
    let Some(python) = (unsafe { PYTHONS.get(to.tgid) }) else { return };
    let running = running_on(python, thread);
    if running.task != 0 {
        to.kind = UNIT_TASK;
        to.id = running.task;
        to.parent = number(python, running.task);
        return;
    }
    let greenlet = python_greenlets::running_on(python, thread);
    if greenlet != 0 {
        to.kind = UNIT_GREENLET;
        to.id = greenlet;
        return;
    }
    to.id = running.context;
    if running.context != 0 {
        python_lent::store_unit(to, running.context);
    }
    if let Some(descriptor) = sent_on
        && to.kind == 0
    {
        python_streams::store_writer(to, descriptor);
    }
}

/// What runs on a thread, by the thread's own memory.
#[inline(always)]
pub fn running_on(python: &PythonState, thread: u64) -> Running {
    // (Without asyncio there are no tasks.)
    let state = word(thread.wrapping_add(python.slot as u64));
    if state == 0 || word(state + python.thread_id as u64) != thread {
        return Running { context: 0, task: 0 };
    }
    let context = word(state + python.context as u64);
    Running { context, task: if context == 0 { 0 } else { running(python, state, context) } }
}

/// The task that works in a context, of those that loops, or the thread's state, say to run; 0 if there is none.
#[inline(always)]
fn running(python: &PythonState, state: u64, context: u64) -> u64 {
    if python.running_task != 0 {
        let task = word(state + python.running_task as u64);
        return if task != 0 && word(task + python.task_context as u64) == context { task } else { 0 };
    }
    if python.running == 0 {
        return 0;
    }
    // Entries in use, a version, the table.
    let dictionary: [u64; 3] = words(python.running + 16);
    if dictionary[0] == 0 || dictionary[2] == 0 {
        return 0;
    }
    let (entries, mut left) = table(python, dictionary[2]);
    for _ in 0..ENTRIES {
        if left == 0 {
            break;
        }
        left -= 1;
        let task = word(entries.wrapping_add(left.wrapping_mul(24)).wrapping_add(16));
        if task != 0 && word(task + python.task_context as u64) == context {
            return task;
        }
    }
    0
}

/// Where a dictionary's entries begin, and how many were made.
#[inline(always)]
fn table(python: &PythonState, at: u64) -> (u64, u64) {
    let head: [u64; 5] = words(at);
    if python.old_tables != 0 {
        let width = if head[1] <= 0xff {
            1
        } else if head[1] <= 0xffff {
            2
        } else {
            4
        };
        return (at + 40 + head[1] * width, head[4]);
    }
    // The logarithm of the bytes of the index is the second byte.
    let index = 1_u64 << ((head[1] >> 8) & 31);
    (at + 32 + index, head[3])
}

/// The number of a task that nobody named; 0 if it cannot be told.
#[inline(always)]
fn number(python: &PythonState, task: u64) -> u64 {
    let name = word(task + python.task_name as u64);
    if name == 0 {
        return 0;
    }
    let head: [u64; 2] = words(name + 8);
    if head[0] == python.number_type {
        return whole(head[1], word(name + 24));
    }
    let digits = head[1].wrapping_sub(PREFIX_LENGTH);
    if head[0] != python.text_type || digits == 0 || digits > 8 {
        return 0;
    }
    let [first, second]: [u64; 2] = words(name + python.text as u64);
    if first & 0xff_ffff_ffff != PREFIX {
        return 0;
    }
    decimal(first >> 40 | second << 24, digits)
}

/// A number of at most two digits of 30 bits.
#[inline(always)]
fn whole(tag: u64, digits: u64) -> u64 {
    match tag >> 3 {
        1 => digits & 0x3fff_ffff,
        2 => digits & 0x3fff_ffff | (digits >> 32) << 30,
        _ => 0,
    }
}

/// What 1 to 8 decimal digits say, the first of them in the lowest byte; 0 if one is none.
#[inline(always)]
fn decimal(text: u64, digits: u64) -> u64 {
    // The last digit comes to stand in the highest byte, noughts before the first.
    let shift = 64 - 8 * (digits & 15);
    let text = text << (shift & 63);
    let nought = 0x3030_3030_3030_3030_u64 << (shift & 63);
    let high = 0xf0f0_f0f0_f0f0_f0f0_u64;
    if text & high != nought || text.wrapping_add(0x0606_0606_0606_0606) & high != nought {
        return 0;
    }
    let tens = (text & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(2561) >> 8;
    let hundreds = (tens & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    (hundreds & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32
}
