//! uvloop's streams: what a task writes is gathered, and sent when the loop's turn ends and no task runs. Who wrote it is noted by
//! the descriptor, and taken by what is sent there next.

use wirespan_common::{Note, NoteKey, PythonState, UNIT_TASK, UnitId};

use super::{
    python::{Running, WRITTEN},
    word,
};
use crate::{facts, maps::NOTES};

/// `UVHandle`: the handle of libuv. That: whose it is.
const HANDLE: u64 = 24;
const OWNER: u64 = 0;
/// `uv_stream_t`: the descriptor (`io_watcher.fd`; the layout is libuv 1's binary interface).
const DESCRIPTOR: u64 = 184;
/// `bytes`, `bytearray`, lists: how long one is.
const LENGTH: u64 = 16;
/// Stands for whoever wrote, if several did.
const SEVERAL: u64 = u64::MAX;

#[inline(always)]
fn key(tgid: u32, descriptor: u32) -> NoteKey {
    NoteKey { tgid, what: WRITTEN, address: descriptor as u64 }
}

/// The descriptor of a stream, if it is one.
#[inline(always)]
fn descriptor(stream: u64) -> Option<u32> {
    let handle = word(stream + HANDLE);
    (handle != 0 && word(handle + OWNER) == stream).then(|| word(handle + DESCRIPTOR) as u32)
}

/// Something is written to a stream.
#[inline(always)]
pub fn on_write(python: &PythonState, id: u64, running: &Running, stream: u64, written: u64) {
    let Some(descriptor) = descriptor(stream) else { return };
    if written == 0 || word(written + LENGTH) == 0 {
        return;
    }
    let (tgid, tid) = ((id >> 32) as u32, id as u32);
    let (key, mark) = (key(tgid, descriptor), running.mark(python));
    let mut unit = running.task;
    // SAFETY: copied at once; the interpreter's lock is held by this thread.
    if let Some(earlier) = (unsafe { NOTES.get(key) }).copied()
        && earlier.handle[1] == stream
        && (earlier.unit, earlier.handle[0]) != (unit, mark)
    {
        unit = SEVERAL;
    }
    let note = Note { unit, handle: [mark, stream], time: facts::now(), tid, ..Note::default() };
    let _ = NOTES.insert(key, note, 0);
}

/// Puts whoever wrote what a thread sends on a descriptor into a record's unit.
#[inline(always)]
pub fn store_writer(to: &mut UnitId, sent_on: u32) {
    let key = key(to.tgid, sent_on);
    // SAFETY: copied at once; only the loop's thread sends and writes.
    let Some(note) = (unsafe { NOTES.get(key) }).copied() else { return };
    let _ = NOTES.remove(key);
    let [mark, stream] = note.handle;
    if note.unit == SEVERAL || note.tid != to.tid || descriptor(stream) != Some(sent_on) {
        return;
    }
    to.since = note.time;
    if note.unit == 0 {
        to.id = mark;
    } else {
        to.kind = UNIT_TASK;
        to.id = note.unit;
        to.parent = mark;
    }
}
