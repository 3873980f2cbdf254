//! What programs write where their lines go (standard output and error, log files): copied before it is written, with the unit that
//! writes it. The agent says which places of which processes these are (`LOGS`); for everybody else it ends at one look into that map.
//!
//! Preemptible in part: nothing here is of this CPU alone.

use core::hint::black_box;

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_probe_read_user,
    generated::{
        bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_user as read_user_raw, bpf_task_pt_regs,
    },
};
use wirespan_common::{
    Counter, FLAG_ONLY_THREAD, Kind, LOG_PLACES, LineEvent, LogPlaces, MAX_LINES, PagedWrite, UnitId, log_place,
};

use crate::{
    arch, budget,
    buffer::IoVec,
    copied::{self, Record},
    facts,
    files::file_of,
    kernel::{self, Memory, Probed},
    maps::{EVENTS, LOGS, PAGES, count_anywhere},
    runtimes,
    sock::{self, NO_WAKEUP},
};

/// Pieces of a `writev` that are copied.
const MAX_VECTORS: u64 = 4;
/// Room for the pieces of one: an offset and a length that the verifier sees the bounds of.
const GATHERED: usize = 4096;

/// What the current system call writes.
struct Call {
    id: u64,
    /// Address of the bytes, or of `vectors` pieces.
    buffer: u64,
    vectors: u64,
    total: u64,
}

/// A system call begins.
#[inline(always)]
pub fn on_call(number: u32) {
    if !matches!(number, arch::WRITE | arch::WRITEV) {
        return;
    }
    let id = bpf_get_current_pid_tgid();
    let Some(logs) = logs(id) else { return };
    // SAFETY: the helper has no preconditions; the pointer is only read through checked reads.
    let task = unsafe { bpf_get_current_task() } as *const u8;
    let Some(call) = call(id) else { return };
    let Some(file) = file_of(task, argument(0)) else { return };
    if let Some(place) = place(logs, Probed::load(file, kernel::file_inode())) {
        tell(&call, place);
    }
}

/// A pipe, a terminal or a file is written to.
#[inline(always)]
pub fn on_kiocb(kiocb: *const u8) {
    let id = bpf_get_current_pid_tgid();
    let Some(logs) = logs(id) else { return };
    let file: *const u8 = Probed::load(kiocb, kernel::kiocb_file());
    if let Some(place) = place(logs, Probed::load(file, kernel::file_inode()))
        && let Some(call) = call(id)
    {
        tell(&call, place);
    }
}

/// A piece of a write is about to be written to a file, at `at`.
#[inline(always)]
pub fn on_piece(inode: *const u8, at: u64) {
    let id = bpf_get_current_pid_tgid();
    let Some(logs) = logs(id) else { return };
    let Some(place) = place(logs, inode) else { return };
    let Some(call) = call(id) else { return };
    // SAFETY: copied at once; only this thread writes its entry.
    let before = unsafe { PAGES.get(id) }.copied().unwrap_or_default();
    // (How much of it the piece is, is not known before it is written.)
    let inside = at > before.begin && at - before.begin < before.total;
    if inside && before.place == place && before.buffer == call.buffer && before.total == call.total {
        return;
    }
    let _ = PAGES.insert(id, PagedWrite { buffer: call.buffer, total: call.total, begin: at, place }, 0);
    tell(&call, place);
}

/// Where a process's lines go, if somebody wants them.
#[inline(always)]
fn logs(id: u64) -> Option<&'static LogPlaces> {
    // SAFETY: the agent writes each value whole; a place that is half of another's matches nothing.
    unsafe { LOGS.get((id >> 32) as u32) }
}

/// The place that an inode is, if it is one of these.
#[inline(always)]
fn place(logs: &LogPlaces, inode: *const u8) -> Option<u64> {
    let number: u64 = Probed::load(inode, kernel::inode_number());
    let mode: u16 = Probed::load(inode, kernel::inode_mode());
    let place = log_place(number, mode as u32);
    let mut found = false;
    for n in 0..LOG_PLACES {
        found |= logs.places[n] == place;
    }
    found.then_some(place)
}

/// An argument of the current system call.
#[inline(always)]
fn argument(n: usize) -> u64 {
    register(arch::ARGS[n])
}

#[inline(always)]
fn register(offset: usize) -> u64 {
    // SAFETY: both helpers have no preconditions beyond a typed task, which the first returns.
    let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as *const u8;
    Probed::load(regs, offset)
}

/// The current system call, if it writes bytes of its process.
#[inline(always)]
fn call(id: u64) -> Option<Call> {
    if !arch::is_native(register) {
        return None;
    }
    let (buffer, count) = (argument(1), argument(2));
    match register(arch::NUMBER) as u32 {
        arch::WRITE => Some(Call { id, buffer, vectors: 0, total: count }),
        arch::WRITEV | arch::PWRITEV2 => Some(Call { id, buffer, vectors: count, total: length(buffer, count) }),
        _ => None,
    }
}

/// Bytes of the pieces of a write, as far as they are looked at.
#[inline(always)]
fn length(vectors: u64, count: u64) -> u64 {
    let mut total = 0;
    for n in 0..MAX_VECTORS {
        if n >= count {
            break;
        }
        // SAFETY: the helper checks the address.
        if let Ok(vector) = unsafe { bpf_probe_read_user((vectors + n * 16) as *const IoVec) } {
            total += vector.len;
        }
    }
    // What there is beyond is not known to be nothing.
    total + (count > MAX_VECTORS) as u64
}

#[inline(always)]
fn tell(call: &Call, place: u64) {
    let most = if call.vectors > 0 { GATHERED as u64 - 1 } else { MAX_LINES as u64 };
    let len = if call.total < most { call.total } else { most };
    let cost = size_of::<LineEvent>() as u64 + len;
    if budget::refuses(None, (call.id >> 32) as u32, cost, budget::free()) {
        return count_anywhere(Counter::OverBudget, 1);
    }
    // SAFETY: the helper has no preconditions; the pointer is only read through checked reads.
    let task = unsafe { bpf_get_current_task() } as *const u8;
    let threads: i32 = Probed::load(Probed::load(task, kernel::task_signal()), kernel::signal_threads());
    let mut event = LineEvent {
        kind: Kind::Lines as u8,
        flags: (threads == 1) as u8 * FLAG_ONLY_THREAD,
        reserved: [0; 2],
        captured: 0,
        total: call.total,
        time: facts::now(),
        place,
        unit: UnitId::default(),
    };
    sock::store_unit(&mut event.unit, call.id, Probed::load::<u64>(task, kernel::task_nvcsw()) as u32);
    runtimes::store_unit(&mut event.unit, Probed::load(task, kernel::task_thread_pointer()), None);
    if call.vectors > 0 {
        gather(&event, call);
    } else {
        copied::submit(&event, call.buffer, len);
    }
}

/// The pieces of a `writev`, one behind the other.
#[inline(always)]
fn gather(event: &LineEvent, call: &Call) {
    let Some(mut entry) = EVENTS.reserve::<Record<LineEvent, { 2 * GATHERED }>>(0) else {
        return count_anywhere(Counter::RingFull, 1);
    };
    let record = entry.as_mut_ptr();
    let (mut copied, mut failed) = (0_u64, false);
    for n in 0..MAX_VECTORS {
        // SAFETY: the helper checks the address.
        let vector = unsafe { bpf_probe_read_user((call.buffer + n * 16) as *const IoVec) };
        let Some(vector) = vector.ok().filter(|vector| n < call.vectors && vector.len > 0) else { continue };
        let rest = GATHERED as u64 - 1 - copied;
        let len = if vector.len < rest { vector.len } else { rest };
        // The masks change nothing, and show the verifier that both fit.
        let at = (black_box(copied) & (GATHERED as u64 - 1)) as usize;
        let len = black_box(len) & (GATHERED as u64 - 1);
        // SAFETY: an offset and a length below half of the room each; the helper checks the user address.
        failed |= unsafe {
            read_user_raw((&raw mut (*record).bytes).cast::<u8>().add(at).cast(), len as u32, vector.base as *const _)
        } != 0;
        copied += len;
    }
    // SAFETY: reserved room for a head and bytes behind it, any bytes being some.
    unsafe { (*record).finish(event, copied as u32, failed) };
    entry.submit(NO_WAKEUP);
}
