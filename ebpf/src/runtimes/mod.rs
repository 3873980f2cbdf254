//! Which of a runtime's units runs on a thread: one file a runtime. The agent says of which processes it is asked, and where
//! their runtime keeps it (`RUNTIMES`).
//!
//! Only reads, by the helper that survives faults. What cannot be read leaves the thread as all that is known.

mod go;
pub mod go_calls;
pub mod nginx;
mod python;
mod python_greenlets;
mod python_lent;
mod python_streams;
pub mod python_tasks;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use wirespan_common::{UNIT_GOROUTINE, UNIT_TASK, UnitId};

use crate::maps::RUNTIMES;

/// Fills in the unit of a record whose thread is known. `thread` is the thread's own memory as user space knows it (x86-64: the
/// `fs` base), 0 if there is none; `sent_on` the descriptor of a socket that something was sent on.
#[inline(always)]
pub fn store_unit(to: &mut UnitId, thread: u64, sent_on: Option<u32>) {
    // SAFETY: the agent writes each value once, before the process's first operation that it matters for.
    let Some(runtime) = (unsafe { RUNTIMES.get(to.tgid) }) else { return };
    if thread == 0 {
        return;
    }
    if runtime.kind == UNIT_GOROUTINE {
        go::store_unit(to, thread, runtime);
    } else if runtime.kind == UNIT_TASK {
        python::store_unit(to, thread, sent_on);
    }
}

/// The word at an address of the current process; 0 if it cannot be read.
#[inline(always)]
pub fn word(address: u64) -> u64 {
    let mut value = 0_u64;
    // SAFETY: the helper checks the address, and zeroes what it cannot read.
    unsafe { bpf_probe_read_user((&raw mut value).cast(), 8, address as *const _) };
    value
}
