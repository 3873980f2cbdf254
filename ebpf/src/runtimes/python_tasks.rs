//! What tasks of asyncio do for each other, and have done: who made one, that one is gone, who woke one that waited, who gave it
//! what it waited for; contexts that are lent, and what is written to be sent later. And who made a greenlet, and that one is gone.
//! `wirespan_common::python_place` says which place is which.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_attach_cookie, bpf_get_current_task},
    },
    programs::ProbeContext,
};
use wirespan_common::{FactEvent, FactKind, PythonState, UNIT_GREENLET, UNIT_TASK, python_place};

use super::{
    python::{self, Running},
    python_greenlets, python_lent, python_streams, word,
};
use crate::{
    arch, facts,
    kernel::{self, Memory, Probed},
    maps::PYTHONS,
};

/// `FutureObj`: the first function that is called once it has a result, and the list of the others.
const FIRST: u64 = 24;
const OTHERS: u64 = 40;
/// Every object: its type. Lists: how many there are, and where. (A pair has its items at that place.)
const TYPE: u64 = 8;
const LENGTH: u64 = 16;
const ITEMS: u64 = 24;

/// A probe was hit.
#[inline(always)]
pub fn on_probe(ctx: &ProbeContext) {
    let id = bpf_get_current_pid_tgid();
    // SAFETY: the agent writes each value before it attaches a probe to the process.
    let Some(python) = (unsafe { PYTHONS.get((id >> 32) as u32) }) else { return };
    // SAFETY: the helper has no preconditions; the pointer is only read through checked reads.
    let thread = Probed::load(unsafe { bpf_get_current_task() } as *const u8, kernel::task_thread_pointer());
    // SAFETY: the kernel hands every probe its registers.
    let regs = unsafe { &*ctx.regs };
    let object = arch::argument(regs);
    // SAFETY: the context of this program.
    let place = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) } as u8;
    if place == python_place::CONTEXT_GONE {
        return python_lent::on_gone(id, object);
    }
    let running = python::running_on(python, thread);
    match place {
        python_place::MADE => say(FactKind::Born, id, UNIT_TASK, [object, running.task], running.mark(python)),
        python_place::GONE => say(FactKind::Ended, id, UNIT_TASK, [object, 0], 0),
        python_place::RESULT => on_result(python, id, &running, object, arch::arguments(regs)[1]),
        python_place::RESULT_LISTED => on_result(python, id, &running, object, word(arch::arguments(regs)[2])),
        python_place::ASKS => say(FactKind::Job, id, 0, [0, 0], 0),
        python_place::COPY_RETURNED => python_lent::on_copy(python, id, &running, arch::result(regs)),
        python_place::COPY_PASSED => python_lent::on_copy(python, id, &running, object),
        python_place::WRITES_FIRST => {
            python_streams::on_write(python, id, &running, object, word(arch::second_argument(regs)));
        }
        python_place::WRITES => python_streams::on_write(python, id, &running, object, arch::second_argument(regs)),
        python_place::GREENLET_MADE => {
            let by = python_greenlets::running_on(python, thread);
            say(FactKind::Born, id, UNIT_GREENLET, [object, by], 0);
        }
        python_place::GREENLET_GONE => say(FactKind::Ended, id, UNIT_GREENLET, [object, 0], 0),
        _ => {}
    }
}

/// A future gets its result.
#[inline(always)]
fn on_result(python: &PythonState, id: u64, running: &Running, future: u64, result: u64) {
    let waiting = waiting(python, future);
    if waiting.task == 0 {
        return;
    }
    // What wakes others and hands over nothing (a lock, an event, a queue) sets nothing, or that it is so.
    let gives = result != 0 && result != python.nothing && word(result + TYPE) != python.truth_type;
    if running.task != 0 {
        if gives && waiting.alone && waiting.task != running.task {
            say(FactKind::Resolved, id, UNIT_TASK, [waiting.task, running.task], 0);
        }
        return;
    }
    if running.context == 0 {
        return;
    }
    say(FactKind::Woke, id, UNIT_TASK, [waiting.task, 0], running.context);
    // A future of the loop is made of a thread's, which hands it its result in a context that the thread copied.
    if (gives || waiting.behind)
        && waiting.alone
        && let Some((tid, time)) = python_lent::copied_by(id, running.context)
    {
        // That thread may be on to its next job by now.
        facts::tell_since(fact(FactKind::Resolved, id, UNIT_TASK, [waiting.task, 0], tid as u64), time);
    }
}

/// Who waits for a future.
struct Waiting {
    /// The first task, 0 if none does.
    task: u64,
    /// No other does.
    alone: bool,
    /// Something else is called before it.
    behind: bool,
}

/// Who waits for a future.
#[inline(always)]
fn waiting(python: &PythonState, future: u64) -> Waiting {
    let first = word(future + FIRST);
    let task = waker_of(python, first);
    let others = word(future + OTHERS);
    let count = if others == 0 { 0 } else { word(others + LENGTH) };
    if task != 0 || count == 0 {
        return Waiting { task, alone: count == 0, behind: false };
    }
    // A list of pairs: its items, the first of them, what that has first.
    let task = waker_of(python, word(word(word(others + ITEMS)) + ITEMS));
    Waiting { task, alone: count == 1, behind: first != 0 }
}

/// The task that a function wakes; 0 if it wakes none. (A bound method of the task; until 3.9 an object of its own.)
#[inline(always)]
fn waker_of(python: &PythonState, function: u64) -> u64 {
    if function == 0 {
        return 0;
    }
    for place in [24, 16] {
        let task = word(function + place);
        if task != 0 && word(task + 8) == python.task_type {
            return task;
        }
    }
    0
}

#[inline(always)]
fn say(what: FactKind, id: u64, unit_kind: u32, units: [u64; 2], mark: u64) {
    facts::tell(fact(what, id, unit_kind, units, mark));
}

#[inline(always)]
fn fact(what: FactKind, id: u64, unit_kind: u32, [unit, other]: [u64; 2], mark: u64) -> FactEvent {
    let (what, tgid, tid) = (what as u8, (id >> 32) as u32, id as u32);
    FactEvent { what, tgid, tid, unit_kind, unit, other, a: mark, ..FactEvent::default() }
}
