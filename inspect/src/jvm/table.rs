//! The VM's own tables of its structures (`vmStructs.hpp`): for each field that a debugger may need, its type's name, its own,
//! and its offset, or its address if there is one for all. How the tables are laid out, more exported words say.

use std::collections::HashMap;

use crate::{Error, Source};

/// What is exported: the tables of fields and of types, and where in an entry what is.
pub const EXPORTED: [&str; 11] = [
    "gHotSpotVMStructs",
    "gHotSpotVMStructEntryArrayStride",
    "gHotSpotVMStructEntryTypeNameOffset",
    "gHotSpotVMStructEntryFieldNameOffset",
    "gHotSpotVMStructEntryIsStaticOffset",
    "gHotSpotVMStructEntryOffsetOffset",
    "gHotSpotVMStructEntryAddressOffset",
    "gHotSpotVMTypes",
    "gHotSpotVMTypeEntryArrayStride",
    "gHotSpotVMTypeEntryTypeNameOffset",
    "gHotSpotVMTypeEntrySizeOffset",
];

/// The addresses of [`EXPORTED`] in a process.
pub type Tables = [u64; EXPORTED.len()];

/// Fields that are looked for, by their type. Of no other anything is kept.
const FIELDS: [(&str, &str); 19] = [
    ("JavaThread", "_vthread"),
    ("JavaThread", "_threadObj"),
    ("JavaThread", "_monitor_owner_id"),
    ("JavaThread", "_cont_entry"),
    ("JavaThread", "_osthread"),
    ("Thread", "_osthread"),
    ("OSThread", "_pthread_id"),
    ("OopHandle", "_obj"),
    ("ThreadsSMRSupport", "_java_thread_list"),
    ("ThreadsList", "_length"),
    ("ThreadsList", "_threads"),
    ("Universe", "_collectedHeap"),
    ("CollectedHeap", "_is_stw_gc_active"),
    ("CollectedHeap", "_is_gc_active"),
    ("CollectedHeap", "_total_collections"),
    ("JVMFlag", "flags"),
    ("JVMFlag", "numFlags"),
    ("JVMFlag", "_name"),
    ("JVMFlag", "_addr"),
];
/// The type of which there is an array.
const SIZED: &str = "JVMFlag";
/// Entries of a table that are looked at, and the most that one takes, bytes.
const MAX_ENTRIES: u64 = 16_384;
const MAX_STRIDE: u64 = 256;
/// No name that is looked for is longer.
const MAX_NAME: usize = 32;

/// What the tables of a process say.
pub struct Structures<'a> {
    memory: &'a dyn Source,
    fields: HashMap<(&'static str, &'static str), u64>,
    /// The size of [`SIZED`].
    sized: Option<u64>,
}

impl<'a> Structures<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// If they are not there, or make no sense.
    pub fn read(memory: &'a dyn Source, tables: &Tables) -> Result<Self, Error> {
        let mut all = Self { memory, fields: HashMap::default(), sized: None };
        let [fields, stride, type_name, field_name, is_static, offset, address, types, kind @ ..] = *tables;
        let word = |at: u64| all.word(at);
        let entry =
            [word(stride)?, word(type_name)?, word(field_name)?, word(is_static)?, word(offset)?, word(address)?];
        let kind = [word(kind[0])?, word(kind[1])?, word(kind[2])?];
        let (fields, types) = (word(fields)?, word(types)?);
        all.read_fields(fields, entry)?;
        all.read_size(types, kind)?;
        Ok(all)
    }

    fn read_fields(&mut self, table: u64, entry: [u64; 6]) -> Result<(), Error> {
        let [stride, type_name, field_name, is_static, offset, address] = bounded(entry)?;
        // (Fields of one type follow each other, and have one name for it.)
        let mut last = (0, false);
        for at in entries(table, stride)? {
            let named = self.word(at + type_name)?;
            if named == 0 {
                return Ok(());
            }
            if last.0 != named {
                last = (named, FIELDS.iter().any(|(of, _)| self.is_named(named, of)));
            }
            if !last.1 {
                continue;
            }
            let field = self.word(at + field_name)?;
            let wanted = |(of, name): &&(&str, &str)| self.is_named(field, name) && self.is_named(named, of);
            if let Some(found) = FIELDS.iter().find(wanted) {
                let at = if self.half(at + is_static)? == 0 { at + offset } else { at + address };
                self.fields.insert(*found, self.word(at)?);
            }
        }
        Err(Error::TooLarge("the VM's table of fields"))
    }

    fn read_size(&mut self, table: u64, entry: [u64; 3]) -> Result<(), Error> {
        let [stride, type_name, size] = bounded(entry)?;
        for at in entries(table, stride)? {
            let named = self.word(at + type_name)?;
            if named == 0 {
                return Ok(());
            }
            if self.is_named(named, SIZED) {
                self.sized = Some(self.word(at + size)?);
            }
        }
        Err(Error::TooLarge("the VM's table of types"))
    }

    /// The size of the type of which there is an array, of flags.
    ///
    /// # Errors
    /// If it is not told, or makes no sense.
    pub fn flag_size(&self) -> Result<u64, Error> {
        self.sized.filter(|size| (1..=MAX_STRIDE).contains(size)).ok_or(Error::Missing("size of the VM's flags"))
    }

    /// Where a field is in its type.
    ///
    /// # Errors
    /// If it is not told, or makes no sense.
    pub fn offset(&self, of: &'static str, name: &'static str) -> Result<u32, Error> {
        let found = self.fields.get(&(of, name)).ok_or(Error::Missing(name))?;
        u32::try_from(*found).ok().filter(|offset| *offset < 1 << 16).ok_or(Error::Malformed(name))
    }

    /// The word in a field that there is one of.
    ///
    /// # Errors
    /// If it is not told, or cannot be read.
    pub fn value(&self, of: &'static str, name: &'static str) -> Result<u64, Error> {
        self.word(*self.fields.get(&(of, name)).ok_or(Error::Missing(name))?)
    }

    /// The word at an address.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn word(&self, address: u64) -> Result<u64, Error> {
        self.bytes(address).map(u64::from_le_bytes)
    }

    /// The half word there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn half(&self, address: u64) -> Result<u32, Error> {
        self.bytes(address).map(u32::from_le_bytes)
    }

    /// The bytes there.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn bytes<const N: usize>(&self, address: u64) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        match address != 0 && self.memory.read_at(address, &mut bytes) {
            true => Ok(bytes),
            false => Err(Error::Unreadable("an address of the Java VM")),
        }
    }

    /// Whether an address has this name, and no longer one.
    pub fn is_named(&self, address: u64, name: &str) -> bool {
        let mut found = [0; MAX_NAME + 1];
        let Some(found) = found.get_mut(..=name.len()) else { return false };
        let (text, end) = found.split_at_mut(name.len());
        let read = address != 0 && self.memory.read_at(address, text);
        read && text == name.as_bytes()
            && self.memory.read_at(address.wrapping_add(name.len() as u64), end)
            && end == [0]
    }
}

/// Where the entries of a table are.
fn entries(table: u64, stride: u64) -> Result<impl Iterator<Item = u64>, Error> {
    let end = table.checked_add(MAX_ENTRIES * MAX_STRIDE).filter(|_| table != 0 && stride != 0);
    end.ok_or(Error::Malformed("a table of the VM"))?;
    Ok((0..MAX_ENTRIES).map(move |n| table + n * stride))
}

/// What says where in an entry something is.
fn bounded<const N: usize>(entry: [u64; N]) -> Result<[u64; N], Error> {
    match entry.iter().all(|at| *at <= MAX_STRIDE) {
        true => Ok(entry),
        false => Err(Error::Malformed("a table of the VM")),
    }
}
