//! How the kernel's hook learns which goroutine runs.

use super::Module;
use crate::Error;
use crate::image::{Image, Machine};

/// The goroutine that waits for the client to leave, or for its next request, while a handler runs (`net/http`): what it
/// reads, it reads for the goroutine that started it.
const READS_FOR_ITS_PARENT: &str = "net/http.(*connReader).startBackgroundRead.";
/// The structures of the runtime grow, and slowly; beyond this something else was read.
const MAX_OFFSET: u32 = 4096;
/// Of those that read for their parents.
pub const MAX_HELPERS: usize = 2;

/// Where the running goroutine's number is found. Offsets in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Goroutines {
    /// From the thread's own memory (its `fs` base) down to the address of the running `g`.
    pub below_thread: u32,
    /// `g.goid`.
    pub id: u32,
    /// `g.parentGoid`.
    pub parent: u32,
    /// `g.startpc`.
    pub start: u32,
    /// `g.m`.
    pub thread: u32,
    /// `m.curg`.
    pub current: u32,
    /// Values of `g.startpc` of goroutines that read for the one that started them; 0 for none. Relative to where the
    /// program is loaded, if it runs anywhere.
    pub helpers: [u64; MAX_HELPERS],
}

/// Where the running goroutine's number is in this program.
///
/// # Errors
/// If that is not certain: another processor, a Go before 1.21, memory of a thread that others have parts of.
pub fn goroutines(image: &Image<'_>, module: &Module) -> Result<Goroutines, Error> {
    if image.machine != Machine::X86_64 {
        return Err(Error::Missing("way to the running goroutine on this processor"));
    }
    // The runtime's word is all that a thread of a program without others' code has of its own.
    if image.thread_local.is_some_and(|size| size != 8) {
        return Err(Error::Missing("certain place of the running goroutine: other code has memory of each thread"));
    }
    let wanted = [("runtime.g", &["goid", "parentGoid", "startpc", "m"][..]), ("runtime.m", &["curg"])];
    let found = module.fields(image, &wanted)?;
    let field = |structure: usize, index: usize| {
        let offset = found.get(structure)?.as_ref()?.get(index).copied()??;
        (offset % 8 == 0 && offset < MAX_OFFSET).then_some(offset)
    };
    let missing = || Error::Missing("structure of the runtime that is known");
    let mut units = Goroutines {
        below_thread: 8,
        id: field(0, 0).ok_or_else(missing)?,
        parent: field(0, 1).ok_or_else(missing)?,
        start: field(0, 2).ok_or_else(missing)?,
        thread: field(0, 3).ok_or_else(missing)?,
        current: field(1, 0).ok_or_else(missing)?,
        helpers: [0; MAX_HELPERS],
    };
    let helpers = module.functions(image, |name| name.starts_with(READS_FOR_ITS_PARENT))?;
    if helpers.len() > MAX_HELPERS {
        return Err(Error::Malformed("net/http's reader"));
    }
    units.helpers.iter_mut().zip(&helpers).for_each(|(slot, helper)| *slot = helper.address);
    Ok(units)
}
