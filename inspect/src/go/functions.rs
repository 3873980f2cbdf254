//! Functions of a Go program by name, from the table that the runtime walks stacks with.

use super::Module;
use crate::window::Window;
use crate::{Error, Image};

/// Bytes read of one table at most.
const MAX_TABLE: u64 = 512 << 20;
/// Functions found at most.
const MAX_FOUND: usize = 64;
/// A longer name is nobody's who is asked for.
const MAX_NAME: usize = 512;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, with the path of its package.
    pub name: String,
    /// Its first instruction.
    pub address: u64,
    /// The address of the next function.
    pub end: u64,
}

impl Module {
    /// The functions whose names are wanted, in the order of their addresses; the first 64.
    ///
    /// # Errors
    /// If the table makes no sense.
    pub fn functions(&self, image: &Image<'_>, wanted: impl Fn(&str) -> bool) -> Result<Vec<Function>, Error> {
        let names = self.names(image, wanted)?;
        let mut table = Window::new(image, self.table_end, MAX_TABLE);
        let mut data = Window::new(image, self.table_end, MAX_TABLE);
        let mut found = Vec::new();
        let overflow = || Error::Malformed("Go's table of functions");
        for index in 0..self.functions {
            if found.len() >= MAX_FOUND || names.is_empty() {
                break;
            }
            let entry = self.data.checked_add(index.checked_mul(8).ok_or_else(overflow)?).ok_or_else(overflow)?;
            let (offset, about) = (table.u32(entry)?, table.u32(entry + 4)?);
            let name = data.u32(self.data.checked_add(u64::from(about) + 4).ok_or_else(overflow)?)?;
            if let Some((_, name)) = names.iter().find(|(at, _)| *at == name) {
                let end = table.u32(entry + 8)?;
                let at = |offset: u32| self.text.checked_add(u64::from(offset)).ok_or_else(overflow);
                found.push(Function { name: name.clone(), address: at(offset)?, end: at(end)? });
            }
        }
        Ok(found)
    }

    /// Offsets of the names that are wanted.
    fn names(&self, image: &Image<'_>, wanted: impl Fn(&str) -> bool) -> Result<Vec<(u32, String)>, Error> {
        let (from, end) = self.names;
        let mut window = Window::new(image, end, MAX_TABLE);
        let (mut found, mut name, mut start) = (Vec::new(), Vec::new(), from);
        let mut at = from;
        while at < end && found.len() < MAX_FOUND {
            let len = (end - at).min(4096) as usize;
            for byte in window.bytes(at, len)? {
                at += 1;
                if *byte != 0 {
                    if name.len() <= MAX_NAME {
                        name.push(*byte);
                    }
                    continue;
                }
                if let Some(text) =
                    std::str::from_utf8(&name).ok().filter(|text| text.len() <= MAX_NAME && wanted(text))
                {
                    let offset = u32::try_from(start - from).map_err(|_| Error::TooLarge("Go's table of names"))?;
                    found.push((offset, text.to_string()));
                }
                name.clear();
                start = at;
            }
        }
        Ok(found)
    }
}
