//! Threads and processes: who was created by whom, what runs now, who ended.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid, bpf_ktime_get_boot_ns,
    generated::{
        bpf_get_current_cgroup_id, bpf_get_current_task, bpf_probe_read_user, bpf_probe_read_user_str,
        bpf_ringbuf_output,
    },
};
use wirespan_common::{Counter, ExecEvent, Kind, MAX_EXEC_FILE, MAX_EXEC_PAYLOAD, TaskEvent};

use crate::{
    kernel::{self, Memory, Probed, Typed},
    maps::{EVENTS, LOGS, LOOPS, PROCESSES, RUNTIMES, count, scratch},
    sock::NO_WAKEUP,
};

/// At most this many bytes of arguments, so that the environment has room.
const MAX_ARGS: u64 = 1024;
/// include/linux/sched/signal.h: `exit_group` was called, or a deadly signal came.
const SIGNAL_GROUP_EXIT: u32 = 4;

/// A thread or process was created.
#[inline(always)]
pub fn on_fork(parent: *const u8, child: *const u8) {
    let (tgid, tid): (u32, u32) = (Typed::load(child, kernel::task_tgid()), Typed::load(child, kernel::task_pid()));
    if tgid == tid {
        // What the agent decided about an earlier process of this id, perhaps after its end.
        let _ = PROCESSES.remove(tgid);
        let _ = RUNTIMES.remove(tgid);
        let _ = LOGS.remove(tgid);
    }
    submit(TaskEvent {
        kind: Kind::Fork as u8,
        with_process: 0,
        reserved: [0; 6],
        time: 0,
        tgid,
        tid,
        parent_tgid: Typed::load(parent, kernel::task_tgid()),
        parent_tid: Typed::load(parent, kernel::task_pid()),
    });
}

/// The current thread ends.
#[inline(always)]
pub fn on_exit() {
    let id = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((id >> 32) as u32, id as u32);
    if tgid == tid {
        let _ = PROCESSES.remove(tgid);
        let _ = RUNTIMES.remove(tgid);
        let _ = LOGS.remove(tgid);
    }
    let _ = LOOPS.remove(tid);
    // SAFETY: the helper has no preconditions; everything behind the address is read by checked reads.
    let task = unsafe { bpf_get_current_task() } as *const u8;
    let signal: *const u8 = Probed::load(task, kernel::task_signal());
    let exiting = Probed::load::<u32>(signal, kernel::signal_flags()) & SIGNAL_GROUP_EXIT != 0;
    submit(TaskEvent {
        kind: Kind::Exit as u8,
        with_process: exiting as u8,
        reserved: [0; 6],
        time: 0,
        tgid,
        tid,
        parent_tgid: 0,
        parent_tid: 0,
    });
}

#[inline(always)]
fn submit(event: TaskEvent) {
    let Some(mut entry) = EVENTS.reserve::<TaskEvent>(0) else {
        return count(Counter::RingFull, 1);
    };
    // SAFETY: no preconditions.
    let time = unsafe { bpf_ktime_get_boot_ns() };
    entry.write(TaskEvent { time, ..event });
    entry.submit(NO_WAKEUP);
}

/// The current process runs a new program. Its arguments and environment are copied here, because a short-lived
/// program is gone before the agent can look.
#[inline(always)]
pub fn on_exec(_task: *const u8) {
    let Some(scratch) = scratch() else { return };
    // SAFETY: the helper has no preconditions; everything behind the address is read by checked reads.
    let task = unsafe { bpf_get_current_task() } as *const u8;
    let mm: *const u8 = Probed::load(task, kernel::task_mm());
    let parent: *const u8 = Probed::load(task, kernel::task_real_parent());
    let args: u64 = Probed::load(mm, kernel::mm_arg_start());
    let args_end: u64 = Probed::load(mm, kernel::mm_arg_end());
    let env: u64 = Probed::load(mm, kernel::mm_env_start());
    let env_end: u64 = Probed::load(mm, kernel::mm_env_end());
    let header = size_of::<ExecEvent>();
    // SAFETY: the scratch memory holds the header and two bounded runs behind it.
    let args_len = unsafe { copy_user(args, args_end, MAX_ARGS, scratch.add(header)) };
    // SAFETY: as above; `args_len` is masked to stay provably inside.
    let env_len = unsafe {
        let at = scratch.add(header + (args_len & (2 * MAX_ARGS - 1)) as usize);
        copy_user(env, env_end, MAX_EXEC_PAYLOAD as u64 - MAX_ARGS, at)
    };
    let id = bpf_get_current_pid_tgid();
    // Another program is another decision.
    let _ = PROCESSES.remove((id >> 32) as u32);
    let _ = RUNTIMES.remove((id >> 32) as u32);
    let _ = LOOPS.remove(id as u32);
    let _ = LOGS.remove((id >> 32) as u32);
    // SAFETY: the scratch memory is larger than an ExecEvent and aligned to 8; the helpers have no preconditions.
    unsafe {
        let event = &mut *scratch.cast::<ExecEvent>();
        event.kind = Kind::Exec as u8;
        event.reserved = [0; 3];
        event.uid = bpf_get_current_uid_gid() as u32;
        event.time = bpf_ktime_get_boot_ns();
        event.tgid = (id >> 32) as u32;
        event.parent_tgid = Probed::load(parent, kernel::task_tgid());
        event.cgroup_id = bpf_get_current_cgroup_id();
        event.comm = bpf_get_current_comm().unwrap_or_default();
        event.args_len = args_len as u32;
        event.env_len = env_len as u32;
        // Behind the environment the kernel puts the path that was executed (fs/exec.c, `bprm->exec`, the AT_EXECFN of
        // the auxiliary vector).
        let read = bpf_probe_read_user_str(event.file.as_mut_ptr().cast(), MAX_EXEC_FILE as u32, env_end as *const _);
        if env_end == 0 || read <= 0 {
            event.file[0] = 0;
        }
        let total = header as u64 + (args_len & (2 * MAX_ARGS - 1)) + (env_len & (2 * MAX_EXEC_PAYLOAD as u64 - 1));
        if bpf_ringbuf_output((&raw const EVENTS) as *mut _, scratch.cast(), total, NO_WAKEUP) != 0 {
            count(Counter::RingFull, 1);
        }
    }
}

/// Copies `[from, end)` of user memory, at most `max` bytes, to `to`. Returns the length, 0 if unreadable.
///
/// # Safety
/// `to` must have room for `2 * MAX_EXEC_PAYLOAD` bytes.
#[inline(always)]
unsafe fn copy_user(from: u64, end: u64, max: u64, to: *mut u8) -> u64 {
    if from == 0 || end <= from {
        return 0;
    }
    let len = if end - from < max { end - from } else { max };
    let len = len & (2 * MAX_EXEC_PAYLOAD as u64 - 1);
    // SAFETY: the caller promises the room; the helper checks the user address.
    if unsafe { bpf_probe_read_user(to.cast(), len as u32, from as *const _) } == 0 { len } else { 0 }
}
