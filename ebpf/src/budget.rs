//! Who may put how much on the ring while that fills up.
//!
//! With room on the ring nobody is limited, and nothing is looked up. When less than a quarter is free, every socket and
//! every process has a budget that time refills; the less room there is, the more of it a record costs. So one that floods
//! the ring is held back before the ring is full, and what is left is there for those who need little. What is held back
//! shows in the positions of the next record, as any gap does.
//!
//! The last sixteenth is for ends of connections and what happens to processes, which nothing later would tell: who has
//! missed an end keeps the connection until it was idle for long.

use aya_ebpf::helpers::{bpf_ktime_get_boot_ns, generated::bpf_ringbuf_query};
use wirespan_common::{Budget, Limits, MAX_CAPTURE, RECORD_COST};

use crate::maps::{BPF_NOEXIST, EVENTS, PROCESS_BUDGETS, SOCKET_BUDGETS};

/// `BPF_RB_AVAIL_DATA` of include/uapi/linux/bpf.h: bytes that were not read yet.
const NOT_READ: u64 = 0;
/// A budget is full after so long, nanoseconds: keeps the sum in its bounds.
const LONG: u64 = 1 << 32;

#[unsafe(no_mangle)]
static LIMITS: Limits = Limits { ring: 0, socket_rate: 0, socket_burst: 0, process_rate: 0, process_burst: 0 };

/// A limit that the agent set.
macro_rules! limit {
    ($name:ident) => {
        // SAFETY: reads a static; volatile because the agent rewrites it after compilation.
        unsafe { core::ptr::read_volatile(&raw const LIMITS.$name) }
    };
}

/// Bytes of the ring that are free.
#[inline(always)]
pub fn free() -> u64 {
    // SAFETY: the helper takes any ring buffer.
    limit!(ring).wrapping_sub(unsafe { bpf_ringbuf_query((&raw const EVENTS) as *mut _, NOT_READ) })
}

/// 1 if more than half of the ring is free, so that it may take what is only likely to be of use, else 0. (Not a `bool`:
/// the fallback's verifier would follow all that comes once for each.)
#[inline(always)]
pub fn is_roomy(free: u64) -> u64 {
    ((limit!(ring) >> 1) + 2 * MAX_CAPTURE as u64).wrapping_sub(free) >> 63
}

/// How a record is treated, as full as the ring is.
enum Pressure {
    /// There is room enough for all.
    None,
    /// A record costs more than its bytes, by this power of two.
    Costs(u32),
    /// What is left is for ends.
    OnlyEnds,
}

/// How a record of so many bytes is treated with so many free.
#[inline(always)]
fn pressure(bytes: u64, free: u64) -> Pressure {
    let ring = limit!(ring);
    if free > ring >> 2 {
        Pressure::None
    } else if free > ring >> 3 {
        Pressure::Costs(0)
    } else if free > (ring >> 4) + (ring >> 5) {
        Pressure::Costs(2)
    } else if free > (ring >> 4) + bytes {
        Pressure::Costs(4)
    } else {
        Pressure::OnlyEnds
    }
}

/// What is left at `now` of a budget that is refilled at so many bytes a millisecond, up to `burst`.
#[inline(always)]
fn refilled(budget: &Budget, now: u64, rate: u64, burst: u64) -> u64 {
    let passed = now.wrapping_sub(budget.time);
    let passed = if passed < LONG { passed } else { LONG };
    // (A millisecond is nearly two to the twentieth nanoseconds.)
    let left = budget.left + (((passed >> 10) * rate) >> 10);
    if left < burst { left } else { burst }
}

/// Whether a record of so many bytes, which tells of no end, is one too many for its process or, where it is about one, its
/// socket, as full as the ring is.
#[inline(always)]
pub fn refuses(socket: Option<u64>, tgid: u32, bytes: u64, free: u64) -> bool {
    // (With room enough, which is as good as always, there is nothing to ask.)
    free <= limit!(ring) >> 2 && budget_refuses(socket.unwrap_or(0), tgid, bytes, free) != 0
}

/// [`refuses`], checked by itself (`main.rs`). No socket is 0.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn budget_refuses(socket: u64, tgid: u32, bytes: u64, free: u64) -> u64 {
    is_refused((socket != 0).then_some(socket), tgid, bytes, free) as u64
}

/// The same, for a function that is checked by itself and has little of the stack left.
#[inline(always)]
pub fn is_refused(socket: Option<u64>, tgid: u32, bytes: u64, free: u64) -> bool {
    let (shift, only_ends) = match pressure(bytes, free) {
        Pressure::None => return false,
        Pressure::Costs(shift) => (shift, false),
        Pressure::OnlyEnds => (0, true),
    };
    let cost = (bytes + RECORD_COST) << shift;
    // SAFETY: no preconditions.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let Some(process) = PROCESS_BUDGETS.get_ptr_mut(tgid) else {
        let new = Budget { time: now, left: limit!(process_burst), refused: only_ends as u64 };
        let _ = PROCESS_BUDGETS.insert(tgid, new, BPF_NOEXIST);
        return only_ends;
    };
    if only_ends {
        // SAFETY: a map value, valid while the program runs. Another CPU may count at the same time: one that is missed makes
        // the sum too small, and then it was anybody's.
        unsafe { (*process).refused += 1 };
        return true;
    }
    let of_socket = match socket {
        None => None,
        Some(cookie) => {
            let Some(budget) = SOCKET_BUDGETS.get_ptr_mut(cookie) else {
                let new = Budget { time: now, left: limit!(socket_burst), refused: 0 };
                let _ = SOCKET_BUDGETS.insert(cookie, new, BPF_NOEXIST);
                return false;
            };
            Some(budget)
        }
    };
    let (process_rate, process_burst) = (limit!(process_rate), limit!(process_burst));
    let (socket_rate, socket_burst) = (limit!(socket_rate), limit!(socket_burst));
    // SAFETY: map values, valid while the program runs. Another CPU may count at the same time: a budget is no promise to
    // the byte.
    unsafe {
        let left = refilled(&*process, now, process_rate, process_burst);
        let has_room = match of_socket {
            None => left >= cost,
            Some(budget) => {
                let of_socket = refilled(&*budget, now, socket_rate, socket_burst);
                let has_room = left >= cost && of_socket >= cost;
                if has_room {
                    ((*budget).time, (*budget).left) = (now, of_socket - cost);
                }
                has_room
            }
        };
        if has_room {
            ((*process).time, (*process).left) = (now, left - cost);
        } else {
            (*process).refused += 1;
        }
        !has_room
    }
}
