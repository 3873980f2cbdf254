//! Where the parts of a Go program are.
//!
//! `runtime.moduledata` tells it, of which a stripped program has no symbol: it begins with the address of `.gopclntab`, and
//! is believed only if what it repeats of that table agrees.

use crate::Error;
use crate::image::{Image, Section};
use crate::window::Window;

/// Words of `runtime.moduledata` (runtime/symtab.go), the same from Go 1.20 to 1.26.
mod word {
    pub const MIN_PC: u64 = 20;
    pub const TEXT: u64 = 22;
    pub const END_TEXT: u64 = 23;
    pub const TYPES: u64 = 37;
    pub const END_TYPES: u64 = 38;
}

/// `.gopclntab` of Go 1.20 and later, little-endian.
const MAGIC: u32 = 0xffff_fff1;
/// Sections of at most this many bytes are looked through for the module's data.
const MAX_DATA: u64 = 64 << 20;

/// A Go program's parts.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Address of the table of functions.
    pub(super) table: u64,
    /// Its end.
    pub(super) table_end: u64,
    /// Number of functions.
    pub(super) functions: u64,
    /// Where names begin and end, and where the functions' own data begin.
    pub(super) names: (u64, u64),
    pub(super) data: u64,
    /// Address that functions' addresses are relative to.
    pub(super) text: u64,
    /// Where types lie; their names are relative to the first.
    pub(super) types: (u64, u64),
}

/// The section with the table of functions.
pub(super) fn table<'i>(image: &'i Image<'_>) -> Option<&'i Section> {
    [".gopclntab", ".data.rel.ro.gopclntab"].into_iter().find_map(|name| image.section(name))
}

impl Module {
    /// Finds the parts.
    ///
    /// # Errors
    /// If it is no Go program, from before 1.20, or says nothing that fits together.
    pub fn find(image: &Image<'_>) -> Result<Self, Error> {
        const WHAT: &str = "Go's table of functions";
        let section = table(image).ok_or(Error::Missing(WHAT))?;
        let (table, table_end) = (section.address, section.end());
        let head = image.bytes(table, 72)?;
        let word = |at: usize| head.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        if head.get(..4) != Some(&MAGIC.to_le_bytes()[..]) || head.get(7) != Some(&8) {
            return Err(Error::Malformed(WHAT));
        }
        let (functions, names, names_end, data) = (word(8), word(32), word(40), word(64));
        let inside = |offset: u64| offset <= section.size;
        let fits =
            names <= names_end && inside(names_end) && functions.checked_mul(8).is_some_and(inside) && inside(data);
        if !fits || functions == 0 {
            return Err(Error::Malformed(WHAT));
        }
        let module = Self {
            table,
            table_end,
            functions,
            names: (table + names, table + names_end),
            data: table + data,
            text: 0,
            types: (0, 0),
        };
        let own = module.own_data(image);
        // Until 1.25 the table says itself where the program begins.
        let stated = image.word(table + 24).unwrap_or(0);
        let text = own.map(|own| own.0).or(Some(stated).filter(|t| *t != 0)).or_else(|| plain_text(image));
        let types = own.and_then(|own| own.1).or_else(|| plain_types(image));
        Ok(Self {
            text: text.ok_or(Error::Missing("place where Go's functions begin"))?,
            types: types.ok_or(Error::Missing("place where Go's types are"))?,
            ..module
        })
    }

    /// Where functions begin, and where types are if that is known, by the module's own data.
    fn own_data(&self, image: &Image<'_>) -> Option<(u64, Option<(u64, u64)>)> {
        let relocated = image.relocated_to(self.table).find_map(|at| self.believe(image, at));
        relocated.or_else(|| {
            let sections = [".go.module", ".noptrdata", ".data", ".data.rel.ro"].into_iter();
            let sections = sections.filter_map(|name| image.section(name)).filter(|s| s.size <= MAX_DATA);
            sections.into_iter().find_map(|section| {
                let mut window = Window::new(image, section.end(), 2 * MAX_DATA);
                let wanted = self.table.to_le_bytes();
                let words = (section.address.next_multiple_of(8)..section.end()).step_by(8);
                let mut found = words.filter(|at| window.bytes(*at, 8).is_ok_and(|bytes| bytes == wanted));
                // The data of a module begins so; few other words do.
                found.by_ref().take(16).find_map(|at| self.believe(image, at))
            })
        })
    }

    /// What the module's data at an address say, if they are that.
    fn believe(&self, image: &Image<'_>, at: u64) -> Option<(u64, Option<(u64, u64)>)> {
        let word = |index: u64| image.word(at.checked_add(index * 8)?).ok();
        let first = u64::from(u32::from_le_bytes(image.bytes(self.data, 4).ok()?.try_into().ok()?));
        let (min, text, end) = (word(word::MIN_PC)?, word(word::TEXT)?, word(word::END_TEXT)?);
        if text.checked_add(first)? != min || end < min || text == 0 {
            return None;
        }
        // In a program that runs anywhere, the first may be 0 relative to nothing: then another word says it.
        let types = (word(word::TYPES)?, word(word::END_TYPES)?);
        let section = image.sections().iter().find(|s| s.address != 0 && s.address <= types.0 && types.0 < s.end());
        let fits = types.0 < types.1 && section.is_some_and(|s| types.1 <= s.end());
        Some((text, fits.then_some(types)))
    }
}

/// Where functions begin in a program without others' code.
fn plain_text(image: &Image<'_>) -> Option<u64> {
    image.section(".text").map(|section| section.address)
}

/// Where types are in a program without others' data: since 1.27 in a section of their own.
fn plain_types(image: &Image<'_>) -> Option<(u64, u64)> {
    let names = [".go.type", ".data.rel.ro.go.type", ".data.rel.ro", ".rodata"];
    let section = names.into_iter().find_map(|name| image.section(name))?;
    Some((section.address, section.end()))
}
