//! Texts that many spans share (names, services, peers), kept once and counted by use.

use std::collections::HashMap;
use std::sync::Arc;

/// Memory of one text beside its letters: the slot, the table's entry, and what the allocator adds.
const OVERHEAD: usize = 88;

/// The number of a text. Valid while somebody has taken it and not given it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sym(u32);

impl Sym {
    /// The empty text, which is never given back.
    pub const EMPTY: Self = Self(0);

    /// Whether it is the empty text.
    pub fn is_empty(self) -> bool {
        self == Self::EMPTY
    }
}

/// The texts.
#[derive(Debug)]
pub struct Interner {
    /// Keyed with a random seed: what the texts are is for strangers to choose.
    by_text: HashMap<Arc<str>, u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    text: Arc<str>,
    uses: u32,
}

impl Default for Interner {
    fn default() -> Self {
        let empty: Arc<str> = Arc::from("");
        Self {
            by_text: HashMap::from([(Arc::clone(&empty), 0)]),
            slots: vec![Slot { text: empty, uses: 1 }],
            free: Vec::new(),
            bytes: 0,
        }
    }
}

impl Interner {
    /// The number of `text`, with one more use of it.
    pub fn take(&mut self, text: &str) -> Sym {
        if text.is_empty() {
            return Sym::EMPTY;
        }
        if let Some(at) = self.by_text.get(text) {
            self.slots[*at as usize].uses += 1;
            return Sym(*at);
        }
        let text: Arc<str> = Arc::from(text);
        self.bytes += text.len() + OVERHEAD;
        let slot = Slot { text: Arc::clone(&text), uses: 1 };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.by_text.insert(text, at);
        Sym(at)
    }

    /// One more use of a text that is in use.
    pub fn again(&mut self, sym: Sym) {
        if !sym.is_empty() {
            self.slots[sym.0 as usize].uses += 1;
        }
    }

    /// Gives one use back. The last one forgets the text.
    pub fn release(&mut self, sym: Sym) {
        if sym.is_empty() {
            return;
        }
        let empty = Arc::clone(&self.slots[0].text);
        let slot = &mut self.slots[sym.0 as usize];
        slot.uses -= 1;
        if slot.uses == 0 {
            self.bytes -= slot.text.len() + OVERHEAD;
            let text = std::mem::replace(&mut slot.text, empty);
            self.by_text.remove(&text);
            self.free.push(sym.0);
        }
    }

    /// The number of `text`, if anybody uses it.
    pub fn find(&self, text: &str) -> Option<Sym> {
        self.by_text.get(text).copied().map(Sym)
    }

    /// The text.
    pub fn text(&self, sym: Sym) -> &str {
        &self.slots[sym.0 as usize].text
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_as_long_as_somebody_uses_it() {
        let mut texts = Interner::default();
        let a = texts.take("GET /");
        assert_eq!(texts.take("GET /"), a);
        assert_eq!(texts.text(a), "GET /");
        texts.again(a);
        texts.release(a);
        texts.release(a);
        assert_eq!(texts.find("GET /"), Some(a));
        texts.release(a);
        assert_eq!(texts.find("GET /"), None);
        assert_eq!(texts.bytes(), 0);
        let b = texts.take("POST /");
        assert_eq!(texts.text(b), "POST /", "the place is used again");
    }

    #[test]
    fn the_empty_text_is_always_there() {
        let mut texts = Interner::default();
        assert_eq!(texts.take(""), Sym::EMPTY);
        texts.release(Sym::EMPTY);
        texts.release(Sym::EMPTY);
        assert_eq!(texts.text(Sym::EMPTY), "");
    }
}
