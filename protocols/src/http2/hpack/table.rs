//! Static and dynamic table (RFC 7541 §2.3), the latter possibly known in part only.
//!
//! Entries are numbered from the newest, so those that were inserted since reading began have the right number whatever
//! lies behind them.

use std::collections::VecDeque;

use super::tables::STATIC;

/// What each entry counts beyond its text (§4.1).
const OVERHEAD: usize = 32;
/// Size before the encoder says otherwise (RFC 9113 §6.5.2).
const DEFAULT_SIZE: usize = 4096;
/// Most bytes held here, whatever the peers agreed on.
const MAX_SIZE: usize = 64 * 1024;
/// Most bytes held while the agreed size is not known. Larger tables are rare.
const MAX_GUESSED_SIZE: usize = 16 * 1024;
/// Highest index that counts as one of an entry that is not held here.
const MAX_INDEX: usize = STATIC.len() + MAX_SIZE / OVERHEAD;

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    /// Length of the name at the front of `text`; `None` if it is not known.
    name: Option<u32>,
}

impl Entry {
    fn name(&self) -> Option<&[u8]> {
        self.name.map(|len| &self.text[..len as usize])
    }

    fn value(&self) -> &[u8] {
        &self.text[self.name.unwrap_or_default() as usize..]
    }

    fn size(&self) -> usize {
        self.text.len() + OVERHEAD
    }
}

/// What an index stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// Name, if it is known, and value.
    Entry(Option<&'a [u8]>, &'a [u8]),
    /// An entry from before reading began, by its place: the same entry has the same place as long as reading goes on.
    Unknown(i64),
    /// No such entry.
    No,
}

/// The table of one direction.
#[derive(Debug)]
pub(super) struct Table {
    /// Newest first.
    entries: VecDeque<Entry>,
    size: usize,
    /// As the encoder last said; `None` if that is not known.
    limit: Option<usize>,
    /// Nothing but `entries` is in it.
    whole: bool,
    /// Entries that were inserted since reading began.
    inserted: i64,
}

impl Table {
    /// The table at the start of a connection.
    pub(super) fn empty() -> Self {
        Self { entries: VecDeque::new(), size: 0, limit: Some(DEFAULT_SIZE), whole: true, inserted: 0 }
    }

    /// The table of a connection that is joined later.
    pub(super) fn unknown() -> Self {
        Self { entries: VecDeque::new(), size: 0, limit: None, whole: false, inserted: 0 }
    }

    pub(super) fn get(&self, index: usize) -> Found<'_> {
        match index.checked_sub(1) {
            None => Found::No,
            Some(at) if at < STATIC.len() => {
                let (name, value) = STATIC[at];
                Found::Entry(Some(name.as_bytes()), value.as_bytes())
            }
            Some(at) => match self.entries.get(at - STATIC.len()) {
                Some(entry) => Found::Entry(entry.name(), entry.value()),
                None if self.whole || index > MAX_INDEX => Found::No,
                None => Found::Unknown((at - STATIC.len()) as i64 - self.inserted),
            },
        }
    }

    /// Inserts an entry (§4.4).
    pub(super) fn insert(&mut self, name: Option<&[u8]>, value: &[u8]) {
        let text = [name.unwrap_or_default(), value].concat().into_boxed_slice();
        let entry = Entry { text, name: name.map(|n| n.len() as u32) };
        let size = entry.size();
        self.shrink_to(self.held_limit().saturating_sub(size));
        if size <= self.held_limit() {
            self.size += size;
            self.entries.push_front(entry);
            self.inserted += 1;
        }
    }

    /// The encoder changes the size (§6.3).
    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = Some(limit);
        if limit == 0 {
            self.whole = true;
        }
        self.shrink_to(self.held_limit());
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.entries.iter().map(|e| e.text.len()).sum::<usize>()
    }

    fn held_limit(&self) -> usize {
        self.limit.map_or(MAX_GUESSED_SIZE, |limit| limit.min(MAX_SIZE))
    }

    fn shrink_to(&mut self, size: usize) {
        let mut evicted = false;
        while self.size > size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
            evicted = true;
        }
        if evicted {
            // What is older than an evicted entry is gone, too; but if eviction was our own, that entry may be used.
            self.whole = self.limit.is_some_and(|limit| limit <= MAX_SIZE);
        }
    }
}
