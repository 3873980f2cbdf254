//! Which spans of a long trace have no parent there, kept up to date span by span: to look at all of them for each piece
//! would take time that grows with the square of the trace's length.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::trace::Row;

/// The spans without a parent, the earliest first.
#[derive(Debug, Default)]
pub struct Roots {
    ids: FxHashMap<u64, u32>,
    /// Spans that wait for a parent, by its id.
    orphans: FxHashMap<u64, Vec<u32>>,
    /// Start and row.
    roots: BTreeSet<(u64, u32)>,
    waiting: usize,
}

impl Roots {
    /// Those of these rows.
    pub fn of(rows: &[Row]) -> Self {
        let mut roots = Self::default();
        roots.add(rows, 0);
        roots
    }

    /// The rows from `from` on are new.
    pub fn add(&mut self, rows: &[Row], from: usize) {
        for (at, row) in rows.iter().enumerate().skip(from) {
            self.ids.insert(row.id, at as u32);
            for child in self.orphans.remove(&row.id).unwrap_or_default() {
                self.waiting -= 1;
                self.roots.remove(&(rows[child as usize].start, child));
            }
        }
        for (at, row) in rows.iter().enumerate().skip(from) {
            if row.parent != 0 && self.ids.contains_key(&row.parent) {
                continue;
            }
            self.roots.insert((row.start, at as u32));
            if row.parent != 0 {
                self.orphans.entry(row.parent).or_default().push(at as u32);
                self.waiting += 1;
            }
        }
    }

    /// The row of the earliest; only spans that are each other's parents leave none.
    pub fn first(&self) -> Option<u32> {
        self.roots.first().map(|(_, at)| *at)
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        // Hash tables have room for an eighth more and a byte beside each entry; a tree's nodes are two thirds full.
        self.ids.capacity() * 8 / 7 * (size_of::<(u64, u32)>() + 1)
            + self.orphans.capacity() * 8 / 7 * (size_of::<(u64, Vec<u32>)>() + 1)
            + self.orphans.len() * 32
            + self.waiting * 8
            + self.roots.len() * size_of::<(u64, u32)>() * 2
    }
}
