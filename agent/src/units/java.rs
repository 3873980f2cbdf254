//! Where a Java VM says which virtual thread a thread carries: asked of the process's memory, where the VM's own tables are.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use wirespan_common::JavaState;
use wirespan_inspect::image::Machine;
use wirespan_inspect::jvm::table::{EXPORTED, Tables};
use wirespan_inspect::jvm::{self, Carriers, Number, Objects};
use wirespan_inspect::{Error, Image};

use crate::discovery::mappings::{self, Mapping};
use crate::discovery::programs::{self, ByFile, FileKey};

/// Files of which something was said.
const MAX_FILES: usize = 1024;
/// The library that the VM is.
const LIBRARY: &str = "libjvm.so";

/// What a file of the VM says of itself.
#[derive(Clone, Copy, Debug)]
struct Known {
    tables: Tables,
    /// Bytes of memory that each thread has for it.
    thread_local: u64,
}

/// Files that have a VM in them.
#[derive(Debug, Default)]
pub(super) struct Machines {
    known: ByFile<Result<Known, Error>>,
    /// Files of which was said that virtual threads cannot be told apart.
    said: HashSet<FileKey>,
}

/// What is known of a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It runs no Java VM.
    NoMachine,
    /// It has no virtual threads, or they cannot be told apart, for this reason.
    Nothing(Option<Error>),
    /// The VM is not ready yet.
    NotYet,
    /// This.
    Found(JavaState),
}

/// Why the virtual threads of a process cannot be told apart, if it runs a Java VM of which that is so.
pub fn unknown(tgid: u32, dir: &Path) -> Option<Error> {
    match Machines::default().find(tgid, dir) {
        Told::Nothing(error) => error,
        _ => None,
    }
}

impl Machines {
    /// Where the virtual threads of a process are. `dir` is its directory below `/proc`.
    pub fn find(&mut self, tgid: u32, dir: &Path) -> Told {
        let Some((path, address, offset)) = library(dir) else { return Told::NoMachine };
        let Ok((file, key)) = programs::open_file(&path) else { return Told::NoMachine };
        let known = *self.known.or_read(key, || read(&file));
        let found = known.and_then(|known| look(dir, &file, &known, address, offset));
        match found {
            Ok(Some(carriers)) => Told::Found(state(&carriers)),
            Ok(None) => Told::Nothing(None),
            Err(Error::Unreadable(_)) if known.is_ok() => Told::NotYet,
            Err(error) => {
                if self.said.len() < MAX_FILES && self.said.insert(key) {
                    log::info!(
                        "process {tgid}: its virtual threads cannot be told apart, so fewer of its calls are linked: {error}"
                    );
                }
                Told::Nothing(Some(error))
            }
        }
    }
}

/// The VM's library, where one of its pages is, and which.
fn library(dir: &Path) -> Option<(PathBuf, u64, u64)> {
    let list = mappings::list(dir);
    let mapping = list.lines().filter_map(Mapping::of).find(|mapping| mapping.file_name() == LIBRARY)?;
    Some((mapping.file(dir), mapping.from, mapping.offset))
}

fn read(file: &File) -> Result<Known, Error> {
    let image = Image::parse(file)?;
    if image.machine != Machine::X86_64 {
        return Err(Error::Missing("known place of threads' own memory on this processor"));
    }
    let exported = image.exported(&EXPORTED)?;
    let mut tables = Tables::default();
    for (to, name) in tables.iter_mut().zip(EXPORTED) {
        *to = exported.get(name).ok_or(Error::Missing("table of the VM's structures"))?.0;
    }
    Ok(Known { tables, thread_local: image.thread_local.unwrap_or_default() })
}

/// Asks the process.
fn look(dir: &Path, file: &File, known: &Known, address: u64, offset: u64) -> Result<Option<Carriers>, Error> {
    let memory = File::open(dir.join("mem")).map_err(|_| Error::Missing("right to read the process's memory"))?;
    let image = Image::parse(file)?;
    let loaded = address.wrapping_sub(image.address(offset).ok_or(Error::Malformed("the VM's mapping"))?);
    jvm::find(&memory, &known.tables.map(|table| table.wrapping_add(loaded)), known.thread_local)
}

/// What the kernel programs need.
fn state(found: &Carriers) -> JavaState {
    let state = JavaState { block: found.block, at: found.at, ..JavaState::default() };
    match found.number {
        Number::Thread { number, carries } => JavaState { number, carries, ..state },
        Number::Heap(Objects { own, number, heap, collecting, collections }) => {
            JavaState { own, number, heap, collecting, collections, ..state }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_no_java_vm_is_none() {
        assert_eq!(Machines::default().find(1, "/proc/self".as_ref()), Told::NoMachine);
        assert!(unknown(1, "/proc/self".as_ref()).is_none());
    }
}
