//! The interpreter's objects, read from a process's memory. Every object begins with a count and the address of its type.

use super::layout::Layout;
use crate::{Error, Source};

/// Every object: its type.
pub const TYPE: u64 = 8;
/// Modules: the dictionary of their names.
const MODULE_NAMES: u64 = 16;
/// Dictionaries: how many entries are in use, and the address of their table.
const USED: u64 = 16;
const TABLE: u64 = 32;
/// Entries of a dictionary's table that are looked at.
const MAX_ENTRIES: u64 = 65_536;
/// Entries that are read at once.
const AT_ONCE: u64 = 512;
/// Types: name, size of an object, and names.
const TYPE_NAME: u64 = 24;
const TYPE_SIZE: u64 = 32;
const TYPE_NAMES: u64 = 264;

/// `PyMethodDescrObject`, and `PyCFunctionObject`: the definition.
const DESCRIBED: u64 = 40;
const DEFINED: u64 = 16;

/// A function written in C, as `PyMethodDef` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub address: u64,
    flags: u32,
}

impl Function {
    /// Whether the second argument points to what it is called with (`METH_FASTCALL`, perhaps with keywords).
    pub fn takes_a_list(&self) -> bool {
        matches!(self.flags & 0x2ff, 0x80 | 0x82)
    }

    /// Whether the third does, behind its type (`METH_METHOD` as well).
    pub fn takes_its_type(&self) -> bool {
        self.flags & 0x2ff == 0x282
    }

    /// Whether the second argument is what it is called with (`METH_O`).
    pub fn takes_one(&self) -> bool {
        self.flags & 0xff == 0x08
    }
}

/// A process's memory, and how its interpreter lays out objects.
#[derive(Clone, Copy)]
pub struct Heap<'a> {
    memory: &'a dyn Source,
    layout: &'a Layout,
}

impl<'a> Heap<'a> {
    /// Memory in which offsets are addresses.
    pub fn new(memory: &'a dyn Source, layout: &'a Layout) -> Self {
        Self { memory, layout }
    }

    /// How objects are laid out.
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// Fills `to` from an address on.
    ///
    /// # Errors
    /// If not all of it can be read.
    pub fn bytes(&self, address: u64, to: &mut [u8]) -> Result<(), Error> {
        match self.memory.read_at(address, to) {
            true => Ok(()),
            false => Err(Error::Unreadable("an address of the interpreter")),
        }
    }

    /// The word at `offset` in what begins at an address.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn word(&self, address: u64, offset: u64) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        let at = address.checked_add(offset).filter(|_| address != 0).ok_or(Error::Malformed("an address"))?;
        self.bytes(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The half word there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn half(&self, address: u64, offset: u64) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        let at = address.checked_add(offset).filter(|_| address != 0).ok_or(Error::Malformed("an address"))?;
        self.bytes(at, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Whether the text at an address is this one, of ASCII characters.
    fn is_text(&self, address: u64, text: &str) -> bool {
        let mut found = [0; 64];
        let Some(found) = found.get_mut(..text.len()) else { return false };
        let length = self.word(address, 16).is_ok_and(|length| length == text.len() as u64);
        let from = address.checked_add(u64::from(self.layout.text));
        length && from.is_some_and(|from| self.bytes(from, found).is_ok()) && found == text.as_bytes()
    }

    /// The key and the value of an entry of a dictionary whose key is this text.
    ///
    /// # Errors
    /// If it cannot be read, or has none.
    pub fn entry(&self, dictionary: u64, name: &'static str) -> Result<(u64, u64), Error> {
        if self.word(dictionary, USED)? > MAX_ENTRIES {
            return Err(Error::TooLarge("a dictionary"));
        }
        let table = self.word(dictionary, TABLE)?;
        let (entries, count, texts_only) = self.table(table)?;
        let (size, key_at) = if texts_only { (16, 0) } else { (24, 8) };
        let mut at = 0;
        while at < count.min(MAX_ENTRIES) {
            let some = AT_ONCE.min(count - at);
            let mut bytes = vec![0; (some * size) as usize];
            self.bytes(entries.wrapping_add(at * size), &mut bytes)?;
            for entry in bytes.chunks_exact(size as usize) {
                let word = |at: usize| entry[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
                let (key, value) = (word(key_at), word(key_at + 8));
                if value != 0 && key != 0 && self.is_text(key, name) {
                    return Ok((key, value));
                }
            }
            at += some;
        }
        Err(Error::Missing(name))
    }

    /// Where a dictionary's entries begin, how many there are, and whether they are of texts alone and so have no hash.
    fn table(&self, table: u64) -> Result<(u64, u64, bool), Error> {
        if self.layout.old_tables {
            let (slots, count) = (self.word(table, 8)?, self.word(table, 32)?);
            let width = match slots {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                _ => 4,
            };
            let from = slots.checked_mul(width).and_then(|bytes| table.checked_add(40)?.checked_add(bytes));
            return Ok((from.ok_or(Error::Malformed("a dictionary"))?, count, false));
        }
        let [_, index, kind, _] = self.half(table, 8)?.to_le_bytes();
        let count = self.word(table, 24)?;
        let from = 1_u64.checked_shl(u32::from(index)).and_then(|bytes| table.checked_add(32)?.checked_add(bytes));
        Ok((from.ok_or(Error::Malformed("a dictionary"))?, count, kind != 0))
    }

    /// The value that a dictionary has by a name.
    ///
    /// # Errors
    /// If it cannot be read, or has none.
    pub fn item(&self, dictionary: u64, name: &'static str) -> Result<u64, Error> {
        self.entry(dictionary, name).map(|(_, value)| value)
    }

    /// The dictionary of a module's names.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn names(&self, module: u64) -> Result<u64, Error> {
        self.word(module, MODULE_NAMES)
    }

    /// The type of an object.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn type_of(&self, object: u64) -> Result<u64, Error> {
        self.word(object, TYPE)
    }

    /// Whether a type's name ends like this, and how large its objects are.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_type(&self, kind: u64, name: &str) -> Result<u64, Error> {
        let text = self.word(kind, TYPE_NAME)?;
        let mut bytes = [0; 64];
        // Names are short; what follows them may not be there.
        if self.bytes(text, &mut bytes).is_err() {
            self.bytes(text, bytes.get_mut(..name.len() + 1).ok_or(Error::TooLarge("a name"))?)?;
        }
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        match bytes[..end].ends_with(name.as_bytes()) {
            true => self.word(kind, TYPE_SIZE),
            false => Err(Error::Malformed("a type of the interpreter")),
        }
    }

    /// The function behind a method of a type, written in C.
    ///
    /// # Errors
    /// If it cannot be read, or has none.
    pub fn method(&self, kind: u64, name: &'static str) -> Result<Function, Error> {
        let object = self.item(self.word(kind, TYPE_NAMES)?, name)?;
        // Cython has functions of its own, which begin like the interpreter's.
        match self.is_type(self.type_of(object)?, "cython_function_or_method") {
            Ok(_) => self.function(object),
            Err(_) => self.definition(self.word(object, DESCRIBED)?),
        }
    }

    /// The function behind a function's object, written in C.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn function(&self, object: u64) -> Result<Function, Error> {
        self.definition(self.word(object, DEFINED)?)
    }

    fn definition(&self, definition: u64) -> Result<Function, Error> {
        Ok(Function { address: self.word(definition, 8)?, flags: self.half(definition, 16)? })
    }
}
