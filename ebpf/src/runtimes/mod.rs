//! Which of a runtime's units runs on a thread: one file a runtime. The agent says of which processes it is asked, and where
//! their runtime keeps it (`RUNTIMES`).
//!
//! Only reads, by the helper that survives faults. What cannot be read leaves the thread as all that is known.

mod go;
pub mod go_births;
pub mod go_calls;
pub mod go_tls;
mod java;
pub mod nginx;
pub mod node;
mod python;
mod python_greenlets;
mod python_lent;
mod python_streams;
pub mod python_tasks;
pub mod rustls;

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use wirespan_common::{UNIT_GOROUTINE, UNIT_LOOP, UNIT_TASK, UNIT_VIRTUAL, UnitId};

use crate::maps::RUNTIMES;

/// Fills in the unit of a record whose thread is known. `thread` is the thread's own memory as user space knows it (x86-64: the
/// `fs` base), 0 if there is none; `sent_on` the descriptor of a socket that something was sent on.
#[inline(always)]
pub fn store_unit(to: &mut UnitId, thread: u64, sent_on: Option<u32>) {
    unit_of_runtime(to, thread, sent_on.map_or(NOT_SENT, u64::from));
}

/// No descriptor.
const NOT_SENT: u64 = u64::MAX;

/// [`store_unit`], checked by itself (`main.rs`).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn unit_of_runtime(to: *mut UnitId, thread: u64, sent_on: u64) -> u64 {
    // SAFETY: null, or a unit of the caller's.
    if let Some(to) = unsafe { to.as_mut() } {
        find_unit(to, thread, (sent_on != NOT_SENT).then_some(sent_on as u32));
    }
    0
}

#[inline(always)]
fn find_unit(to: &mut UnitId, thread: u64, sent_on: Option<u32>) {
    // SAFETY: the agent writes each value once, before the process's first operation that it matters for.
    let Some(runtime) = (unsafe { RUNTIMES.get(to.tgid) }) else { return };
    if runtime.kind == UNIT_LOOP {
        return node::store_unit(to);
    }
    if thread == 0 {
        return;
    }
    if runtime.kind == UNIT_GOROUTINE {
        go::store_unit(to, thread, runtime);
    } else if runtime.kind == UNIT_TASK {
        python::store_unit(to, thread, sent_on);
    } else if runtime.kind == UNIT_VIRTUAL {
        java::store_unit(to, thread);
    }
}

/// The word at an address of the current process; 0 if it cannot be read.
#[inline(always)]
pub fn word(address: u64) -> u64 {
    let [word] = words(address);
    word
}

/// Words at an address of the current process; noughts if they cannot be read.
#[inline(always)]
fn words<const N: usize>(address: u64) -> [u64; N] {
    let mut words = MaybeUninit::<[u64; N]>::uninit();
    // SAFETY: the helper checks the address, and zeroes what it cannot read: all of it has a value then.
    unsafe {
        bpf_probe_read_user(words.as_mut_ptr().cast(), 8 * N as u32, address as *const _);
        words.assume_init()
    }
}
