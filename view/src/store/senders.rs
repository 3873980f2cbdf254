//! Finds the spans that sent messages, each in the time of one look-up, however many a long trace has sent.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use super::memory::Memory;
use super::trace::Row;

/// Rows up to which they are looked through.
const FEW: usize = 64;

/// Looks spans up by trace and id, and remembers where those of long traces are.
pub struct Senders<'a> {
    memory: &'a Memory,
    places: RefCell<FxHashMap<[u8; 16], FxHashMap<u64, u32>>>,
}

impl<'a> Senders<'a> {
    /// For the traces in `memory`.
    pub fn new(memory: &'a Memory) -> Self {
        Self { memory, places: RefCell::default() }
    }

    /// A span, if it is here.
    pub fn find(&self, trace: &[u8; 16], span: u64) -> Option<Row> {
        let stored = self.memory.get(trace)?;
        if stored.rows.len() <= FEW {
            return stored.rows.iter().find(|row| row.id == span).copied();
        }
        let mut places = self.places.borrow_mut();
        let at = *places.entry(*trace).or_insert_with(|| stored.places()).get(&span)?;
        stored.rows.get(at as usize).copied()
    }
}
