//! Contexts that are lent (`contextvars`): a task copies its own, and has a thread work in the copy.
//!
//! Whoever hands work to a thread so that it counts as the task's does that: `asyncio.to_thread`, anyio, asgiref. A copy is noted
//! when it is made and forgotten when it is gone, since its address is used again; it is told of only once another thread does
//! something in it.

use wirespan_common::{FactEvent, FactKind, Note, NoteKey, PythonState, UNIT_LENT, UNIT_TASK, UnitId};

use super::{
    python::{COPIED, Running},
    word,
};
use crate::{facts, maps::NOTES};

/// Every object: its type.
const TYPE: u64 = 8;

#[inline(always)]
fn key(tgid: u32, context: u64) -> NoteKey {
    NoteKey { tgid, what: COPIED, address: context }
}

/// A context may have been made.
#[inline(always)]
pub fn on_copy(python: &PythonState, id: u64, running: &Running, context: u64) {
    // (What is probed may hold something else here, or the context that is copied.)
    if context == 0 || context == running.context || word(context + TYPE) != python.context_type {
        return;
    }
    let (tgid, tid) = ((id >> 32) as u32, id as u32);
    let note =
        Note { unit: running.task, handle: [running.mark(python), 0], time: facts::now(), tid, ..Note::default() };
    let _ = NOTES.insert(key(tgid, context), note, 0);
}

/// The thread that copied a context, and when, if it is another than this and no task ran on it.
#[inline(always)]
pub fn copied_by(id: u64, context: u64) -> Option<(u32, u64)> {
    let key = key((id >> 32) as u32, context);
    // SAFETY: copied at once; the interpreter's lock is held by this thread.
    let note = (unsafe { NOTES.get(key) }).copied()?;
    (note.unit == 0 && note.tid != id as u32).then_some((note.tid, note.time))
}

/// A context is gone.
#[inline(always)]
pub fn on_gone(id: u64, context: u64) {
    let key = key((id >> 32) as u32, context);
    // SAFETY: copied at once; the interpreter's lock is held by this thread.
    let Some(note) = (unsafe { NOTES.get(key) }).copied() else { return };
    let _ = NOTES.remove(key);
    if note.told != 0 {
        facts::tell(fact(FactKind::Ended, key, id as u32));
    }
}

/// Puts the context that a thread works in into a record's unit, if another thread's task lent it that.
#[inline(always)]
pub fn store_unit(to: &mut UnitId, context: u64) {
    let key = key(to.tgid, context);
    // SAFETY: copied at once. Nobody else writes it while a thread works in the context.
    let Some(note) = (unsafe { NOTES.get(key) }).copied() else { return };
    if note.unit == 0 || note.tid == to.tid {
        return;
    }
    if note.told == 0 {
        let born = fact(FactKind::Born, key, to.tid);
        let born = FactEvent { other: note.unit, other_kind: UNIT_TASK as u8, a: note.handle[0], ..born };
        if facts::tell_since(born, note.time) {
            let _ = NOTES.insert(key, Note { told: 1, ..note }, 0);
        }
    }
    to.kind = UNIT_LENT;
    to.parent = note.time;
}

#[inline(always)]
fn fact(what: FactKind, key: NoteKey, tid: u32) -> FactEvent {
    FactEvent { what: what as u8, tgid: key.tgid, tid, unit_kind: UNIT_LENT, unit: key.address, ..FactEvent::default() }
}
