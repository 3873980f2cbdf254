//! How long the current thread has run, and waited for a CPU, as the scheduler counts it.
//!
//! The scheduler adds to what a thread has run only when it comes by (a tick, a switch). What came since is the time since then,
//! less what interrupts and the hypervisor took (`clock - clock_task`). All clocks of the kernel go at one rate, so only
//! differences of what is told mean anything: their beginnings cancel.

use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use wirespan_common::CLOCK_SHIFT;

use crate::kernel::{self, Memory, Typed};

/// 1 if it is wanted, and this kernel's fields are known.
#[unsafe(no_mangle)]
static CLOCKS: u32 = 0;

/// What the current thread has run until now ([`crate::facts::now`]), never 0, and waited for a CPU, in units of
/// `1 << CLOCK_SHIFT` nanoseconds; two noughts if that is not wanted.
#[inline(always)]
pub fn at(now: u64) -> (u32, u32) {
    // SAFETY: reads a static; volatile because the agent rewrites it after compilation.
    if unsafe { core::ptr::read_volatile(&raw const CLOCKS) } == 0 {
        return (0, 0);
    }
    // SAFETY: no preconditions; the pointer is typed.
    let task = unsafe { bpf_get_current_task_btf() } as *const u8;
    let load = |offset| Typed::load::<u64>(task, offset);
    let queue: *const u8 = Typed::load(Typed::load(task, kernel::task_cfs_rq()), kernel::cfs_rq_rq());
    let clock: u64 = Typed::load(queue, kernel::rq_clock());
    let taken = clock.wrapping_sub(Typed::load(queue, kernel::rq_clock_task()));
    let since = now.wrapping_sub(load(kernel::task_exec_start())).wrapping_sub(taken);
    let ran = load(kernel::task_sum_exec()).wrapping_add(since);
    ((ran >> CLOCK_SHIFT) as u32 | 1, (load(kernel::task_run_delay()) >> CLOCK_SHIFT) as u32)
}
