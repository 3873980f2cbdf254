//! Structures of a Go program and where their fields are, from the data that reflection uses (`internal/abi/type.go`).

use super::Module;
use super::build::varint;
use crate::window::Window;
use crate::{Error, Image};

/// Bytes of type data read at most.
const MAX_TYPES: u64 = 128 << 20;
/// `abi.Type` and what follows it in a structure: the package, the fields.
const TYPE: usize = 80;
const SIZE: usize = 0;
const POINTERS: usize = 8;
const FLAGS: usize = 20;
const KIND: usize = 23;
const NAME: usize = 40;
const FIELDS: usize = 56;
const HASH: u64 = 16;
/// Where the type of pointers to a type is described, from where types begin; 0 if the program has none.
const POINTER: u64 = 44;
/// Of a structure, its package; of a pointer, what it points to.
const PACKAGE: u64 = 48;
const ELEMENT: u64 = 48;
/// One field: its name, its type, its offset.
const FIELD: u64 = 24;
/// `abi.Struct` of `abi.Kind`; since 1.24 nothing else stands in the byte, before it flags did.
const STRUCT: u8 = 25;
const POINTER_KIND: u8 = 22;
const KIND_MASK: u8 = 31;
/// `TFlagExtraStar`: the name is that of the pointer to the type.
const STAR: u8 = 2;
/// `TFlagNamed`.
const NAMED: u8 = 4;
const MAX_FIELDS: u64 = 512;
const MAX_SIZE: u64 = 1 << 20;
const MAX_NAME: usize = 64;

/// Where a structure's fields are; `None` for one that it lacks.
pub type Offsets = Vec<Option<u32>>;

/// A structure and the fields that are wanted of it.
pub type Wanted<'w> = (&'w str, &'w [&'w str]);

impl Module {
    /// The offsets of fields in structures, in the order asked for. `None` for a structure that the program does not have,
    /// or that two packages have.
    ///
    /// # Errors
    /// If the type data cannot be read.
    pub fn fields(&self, image: &Image<'_>, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Offsets>>, Error> {
        let mut found: Vec<Vec<Offsets>> = vec![Vec::new(); wanted.len()];
        self.each(image, wanted, |slot, _, offsets| {
            if !found[slot].contains(&offsets) {
                found[slot].push(offsets);
            }
        })?;
        let one = |mut all: Vec<Offsets>| if all.len() == 1 { all.pop() } else { None };
        Ok(found.into_iter().map(one).collect())
    }

    /// Tells of each structure that is called so: which of those wanted it is, where it is described, where its fields are.
    ///
    /// # Errors
    /// If the type data cannot be read.
    pub(super) fn each(
        &self,
        image: &Image<'_>,
        wanted: &[Wanted<'_>],
        mut tell: impl FnMut(usize, u64, Offsets),
    ) -> Result<(), Error> {
        let (from, end) = self.types;
        let mut window = Window::new(image, end, MAX_TYPES);
        let last = end.saturating_sub(TYPE as u64);
        let mut at = from.next_multiple_of(8);
        while at <= last {
            let candidate = window.bytes(at, TYPE)?;
            if let Some(shape) = Shape::read(candidate, end - from)
                && let Some(name) = self.name(image, from.saturating_add(shape.name))
                && let Some(slot) = wanted.iter().position(|(wanted, _)| shape.is_called(&name, wanted))
                && let Some(offsets) = self.offsets(image, at, &shape, wanted[slot].1)
            {
                tell(slot, at, offsets);
            }
            at += 8;
        }
        Ok(())
    }

    /// The package of a structure that has fields of its own, by where it is described.
    pub(super) fn package(&self, image: &Image<'_>, at: u64) -> Option<String> {
        let name = image.word(at.checked_add(PACKAGE)?).ok().filter(|name| *name != 0)?;
        self.name(image, name)
    }

    /// What Go calls the hash of the type of pointers to a type, by where that is described.
    pub(super) fn hash_of_pointer(&self, image: &Image<'_>, at: u64) -> Option<u32> {
        let half = |at: u64| Some(u32::from_le_bytes(image.bytes(at, 4).ok()?.try_into().ok()?));
        let offset = half(at.checked_add(POINTER)?).filter(|offset| *offset != 0)?;
        let pointer = self.types.0.checked_add(u64::from(offset))?;
        let kind = image.bytes(pointer.checked_add(KIND as u64)?, 1).ok()?;
        let points_to = image.word(pointer.checked_add(ELEMENT)?).ok()?;
        (kind[0] & KIND_MASK == POINTER_KIND && points_to == at).then(|| half(pointer + HASH))?
    }

    /// The offsets of a structure's fields; `None` if it is no structure.
    fn offsets(&self, image: &Image<'_>, at: u64, shape: &Shape, wanted: &[&str]) -> Option<Offsets> {
        let fields = image.word(at + FIELDS as u64).ok()?;
        let mut offsets = vec![None; wanted.len()];
        let mut least = 0;
        for index in 0..shape.fields {
            let field = fields.checked_add(index * FIELD)?;
            let (name, offset) = (image.word(field).ok()?, image.word(field.checked_add(16)?).ok()?);
            if offset > shape.size || offset < least {
                return None;
            }
            least = offset;
            let name = self.name(image, name)?;
            if let Some(slot) = wanted.iter().position(|wanted| *wanted == name) {
                offsets[slot] = Some(u32::try_from(offset).ok()?);
            }
        }
        Some(offsets)
    }

    /// The name at an address: flags, a length, the text. Long ones are cut short.
    fn name(&self, image: &Image<'_>, address: u64) -> Option<String> {
        let room = self.room(image, address)?;
        let bytes = image.bytes(address, room.min(MAX_NAME as u64 + 3) as usize).ok()?;
        let (len, used) = varint(bytes.get(1..)?)?;
        let text = bytes.get(1 + used..)?;
        Some(String::from_utf8_lossy(text.get(..len.min(text.len()))?).into_owned())
    }

    /// Bytes from an address to the end of its section.
    fn room(&self, image: &Image<'_>, address: u64) -> Option<u64> {
        if (self.types.0..self.types.1).contains(&address) {
            return Some(self.types.1 - address);
        }
        let section = image.sections().iter().find(|s| s.address != 0 && (s.address..s.end()).contains(&address))?;
        Some(section.end() - address)
    }
}

/// What is seen of a structure's description at a glance.
struct Shape {
    size: u64,
    fields: u64,
    /// Of its name, from where types begin.
    name: u64,
    starred: bool,
}

impl Shape {
    /// `None` if it cannot be one.
    fn read(bytes: &[u8], types: u64) -> Option<Self> {
        if *bytes.get(KIND)? & KIND_MASK != STRUCT || bytes.get(FLAGS)? & NAMED == 0 {
            return None;
        }
        let word = |at: usize| bytes.get(at..at + 8)?.try_into().map(u64::from_le_bytes).ok();
        let (size, pointers, fields) = (word(SIZE)?, word(POINTERS)?, word(FIELDS + 8)?);
        let name = u64::from(u32::from_le_bytes(bytes.get(NAME..NAME + 4)?.try_into().ok()?));
        let fits = size <= MAX_SIZE && pointers <= size && fields == word(FIELDS + 16)? && name < types;
        (fits && (1..=MAX_FIELDS).contains(&fields)).then_some(Self {
            size,
            fields,
            name,
            starred: bytes[FLAGS] & STAR != 0,
        })
    }

    fn is_called(&self, name: &str, wanted: &str) -> bool {
        match self.starred {
            true => name.strip_prefix('*') == Some(wanted),
            false => name == wanted,
        }
    }
}
