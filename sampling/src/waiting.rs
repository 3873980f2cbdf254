//! Traces that wait to be decided about: as long as was asked for, as many as was asked for, and as many bytes as there is
//! room for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;
use wirespan_delivery::Bundle;

use crate::threshold::Threshold;

/// A trace that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Its pieces, in the order of their arrival: where they are.
    pub(crate) pieces: Vec<(Bundle, usize)>,
    /// Bytes of all of them.
    pub(crate) bytes: usize,
    /// Whether its root has come.
    pub(crate) rooted: bool,
    /// What it has passed already.
    pub(crate) passed: Threshold,
}

/// What a trace takes beside its spans.
const TRACE: usize = 160;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Room {
    traces: FxHashMap<[u8; 16], Waiting>,
    /// When each is due. One whose time is shortened is in it twice.
    due: BinaryHeap<Reverse<(u64, u64, [u8; 16])>>,
    next: u64,
    bytes: usize,
}

impl Room {
    /// Adds a piece of a trace that is due at `due`, and has passed a threshold.
    pub(crate) fn add(&mut self, id: [u8; 16], piece: (Bundle, usize), due: u64, passed: Threshold) {
        let bytes = piece.0.bytes(piece.1);
        let schedule = !self.traces.contains_key(&id);
        let new = || Waiting { pieces: Vec::new(), bytes: TRACE, rooted: false, passed };
        let waiting = self.traces.entry(id).or_insert_with(new);
        waiting.pieces.push(piece);
        waiting.bytes += bytes;
        self.bytes += bytes + if schedule { TRACE } else { 0 };
        if schedule {
            self.schedule(id, due);
        }
    }

    /// The root has come: the trace is due then, if that is sooner.
    pub(crate) fn rooted(&mut self, id: [u8; 16], due: u64) {
        if let Some(waiting) = self.traces.get_mut(&id)
            && !std::mem::replace(&mut waiting.rooted, true)
        {
            self.schedule(id, due);
        }
    }

    fn schedule(&mut self, id: [u8; 16], due: u64) {
        self.next += 1;
        self.due.push(Reverse((due, self.next, id)));
    }

    /// What a trace that waits has passed; `None` if it does not.
    pub(crate) fn passed(&self, id: &[u8; 16]) -> Option<Threshold> {
        self.traces.get(id).map(|waiting| waiting.passed)
    }

    /// The trace whose turn comes first, if that is by `now`.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<([u8; 16], Waiting)> {
        while let Some(Reverse((due, _, id))) = self.due.peek().copied() {
            if due > now && self.traces.contains_key(&id) {
                return None;
            }
            self.due.pop();
            if let Some(waiting) = self.take(&id) {
                return Some((id, waiting));
            }
        }
        self.due.shrink_to(64);
        None
    }

    fn take(&mut self, id: &[u8; 16]) -> Option<Waiting> {
        let waiting = self.traces.remove(id)?;
        self.bytes -= waiting.bytes;
        Some(waiting)
    }

    pub(crate) fn traces(&self) -> usize {
        self.traces.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
