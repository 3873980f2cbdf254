//! What a watched thread goes to sleep on: exactly the connection that it sent on last, or several.
//!
//! The agent watches threads that read requests without waiting and make calls. The socket's own wait queue tells whether
//! its thread waits there, and on how many descriptors at once: no user memory is read, and no descriptor is looked up but an
//! epoll set's. Locks, timers and page faults say nothing.

use aya_ebpf::helpers::generated::bpf_task_pt_regs;
use wirespan_common::{FactEvent, FactKind, SLEPT_ON_MANY, SLEPT_ON_OWN, SLEPT_ON_SET, WATCH_WORDS, Wait};

use crate::{
    arch, facts, files,
    kernel::{self, Memory, Probed, Typed},
    maps::{WAITS, WATCHED},
};

/// Waiters of a socket that are looked at.
const WAITERS: usize = 4;

/// Whether the agent watches a thread.
#[inline(always)]
fn is_watched(tid: u32) -> bool {
    WATCHED.get((tid >> 6) & (WATCH_WORDS - 1)).is_some_and(|word| *word >> (tid & 63) & 1 == 1)
}

/// A thread sent on a socket: what it sleeps on next may be the response.
#[inline(always)]
pub fn on_sent(tid: u32, sk: *const u8, cookie: u64) {
    if !is_watched(tid) {
        return;
    }
    match WAITS.get_ptr_mut(tid) {
        // SAFETY: a map value, valid while the program runs; only this thread writes it.
        Some(wait) => unsafe { ((*wait).socket, (*wait).cookie) = (sk as u64, cookie) },
        None => drop(WAITS.insert(tid, Wait { socket: sk as u64, cookie, ..Wait::default() }, 0)),
    }
}

/// `task`, typed, is about to sleep.
#[inline(always)]
pub fn on_sleep(task: *const u8) {
    let tid: u32 = Typed::load(task, kernel::task_pid());
    if !is_watched(tid) {
        return;
    }
    // SAFETY: a typed task, as the helper demands.
    let regs = unsafe { bpf_task_pt_regs(task as *mut _) } as *const u8;
    if regs.is_null() || !arch::is_native(|offset| Typed::load(regs, offset)) {
        return;
    }
    let Some(wait) = WAITS.get_ptr_mut(tid) else { return };
    let number = Typed::load::<u64>(regs, arch::NUMBER) as u32;
    // SAFETY: a map value, valid while the program runs; only this thread writes it.
    let known = unsafe { *wait };
    let (on, set) = if arch::is_epoll(number) {
        (SLEPT_ON_SET, epoll_set(task, Typed::load(regs, arch::ARGS[0])))
    } else if arch::is_poll(number) {
        match waits_at(known, task) {
            0 if arch::counts_descriptors(number) && Typed::load::<u64>(regs, arch::ARGS[1]) == 1 => return,
            // A wake-up beside it says neither.
            2 => return,
            1 => (SLEPT_ON_OWN, 0),
            _ => (SLEPT_ON_MANY, 0),
        }
    } else if arch::is_read(number) && waits_at(known, task) == 1 {
        (SLEPT_ON_OWN, 0)
    } else {
        return;
    };
    // Each thing is said once: what a thread was seen to do counts, not how often.
    let was_said = match on {
        SLEPT_ON_SET => set == 0 || known.set == set,
        SLEPT_ON_OWN => known.said_own == known.cookie,
        _ => known.said_many != 0,
    };
    if was_said {
        return;
    }
    let is_told = facts::tell(FactEvent {
        what: FactKind::Slept as u8,
        tgid: Typed::load(task, kernel::task_tgid()),
        tid,
        unit: tid as u64,
        a: on,
        b: set,
        cookie: known.cookie,
        ..FactEvent::default()
    });
    if !is_told {
        return;
    }
    // SAFETY: as above.
    unsafe {
        match on {
            SLEPT_ON_SET => (*wait).set = set,
            SLEPT_ON_OWN => (*wait).said_own = known.cookie,
            _ => (*wait).said_many = 1,
        }
    }
}

/// On how many descriptors the thread waits where its socket is among them; 0 if it is not.
#[inline(always)]
fn waits_at(known: Wait, task: *const u8) -> u32 {
    let sk = known.socket as *const u8;
    // The memory may be another socket's by now.
    if sk.is_null() || Probed::load::<u64>(sk, kernel::skc_cookie()) != known.cookie {
        return 0;
    }
    let queue: *const u8 = Probed::load(sk, kernel::sk_wq());
    let head = queue as usize + kernel::socket_wq_wait() + kernel::wait_head();
    let mut node: usize = Probed::load(head as *const u8, 0);
    for _ in 0..WAITERS {
        if node == head || node == 0 {
            return 0;
        }
        let private: *const u8 = Probed::load((node - kernel::wait_entry()) as *const u8, kernel::wait_private());
        if private == task {
            return 1;
        }
        // Of a poll or select: its `poll_wqueues`, which names its task. An epoll set's entry has none.
        if !private.is_null() && Probed::load::<*const u8>(private, kernel::poll_task()) == task {
            let more: *const u8 = Probed::load(private, kernel::poll_table());
            let inline: u32 = Probed::load(private, kernel::poll_index());
            return if more.is_null() { inline } else { u32::MAX };
        }
        node = Probed::load(node as *const u8, 0);
    }
    0
}

/// What identifies the epoll set behind a descriptor of `task`, 0 if there is none.
#[inline(always)]
fn epoll_set(task: *const u8, fd: u64) -> u64 {
    files::file_of(task, fd).map_or(0, |file| Probed::load(file, kernel::file_private_data()))
}
