//! Where CPython keeps the task that runs: asked of the process's memory, because the objects that tell it are made while it
//! runs.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wirespan_common::{PythonState, python_place};
use wirespan_inspect::place;
use wirespan_inspect::python::copies::{self, Holds};
use wirespan_inspect::python::{self, COPY, Found as Interpreter, RUNTIME};
use wirespan_inspect::{Error, Image, Source as _};

use super::{Found, Units, Wanted};
use crate::bpf::probes::{Place, Probes, Program};
use crate::discovery::mappings::{self, Mapping};
use crate::discovery::programs::{self, ByFile, FileKey};

/// Files of which something was said.
const MAX_FILES: usize = 1024;
/// Bytes of a function that are looked at.
const CODE: usize = 64;

/// Where something is in a file's own memory, or in a process.
#[derive(Clone, Copy, Debug)]
struct Exported {
    /// The interpreter's state.
    runtime: u64,
    /// The function that copies contexts, if it is known.
    copy: Option<u64>,
}

/// Files that have an interpreter in them.
#[derive(Debug, Default)]
pub(super) struct Interpreters {
    /// What a file has of it, if it has one.
    exported: ByFile<Option<Exported>>,
    /// Files of which was said that tasks cannot be told apart.
    said: HashSet<FileKey>,
}

/// A file that a process has loaded.
struct Loaded {
    path: PathBuf,
    /// Where one of its pages is, and which.
    address: u64,
    offset: u64,
}

/// What is known of a process.
#[derive(Debug)]
pub(super) enum Told {
    /// It is no interpreter.
    NoInterpreter,
    /// Its tasks cannot be told apart, for this reason.
    Unknown(Error),
    /// It has no tasks yet.
    NotYet,
    /// This.
    Found(Found),
}

/// Why the tasks of a process cannot be told apart, if it is an interpreter of which that is so.
pub fn unknown(tgid: u32, dir: &Path) -> Option<Error> {
    match Interpreters::default().find(tgid, dir, Wanted::Units) {
        Told::Unknown(error) => Some(error),
        _ => None,
    }
}

impl Interpreters {
    /// Where the tasks of a process are, or what of it is probed. `dir` is its directory below `/proc`.
    pub fn find(&mut self, tgid: u32, dir: &Path, wanted: Wanted) -> Told {
        for loaded in loaded(dir) {
            let Ok((file, key)) = programs::open_file(&loaded.path) else { continue };
            let Some(exported) = self.exported(&file, key, &loaded) else { continue };
            let error = match look(dir, exported.runtime) {
                Ok(Interpreter { asyncio: None, greenlets: None, .. }) => return Told::NotYet,
                Ok(interpreter) => match wanted_of(dir, &interpreter, &exported, wanted) {
                    Ok(found) => return Told::Found(found),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if self.said.len() < MAX_FILES && self.said.insert(key) {
                log::info!("process {tgid}: its tasks cannot be told apart, so fewer of its calls are linked: {error}");
            }
            return Told::Unknown(error);
        }
        Told::NoInterpreter
    }

    /// The addresses of the interpreter's state and functions in a process, if this file has it.
    fn exported(&mut self, file: &File, key: FileKey, loaded: &Loaded) -> Option<Exported> {
        let known = (*self.exported.or_read(key, || in_file(file)))?;
        let image = Image::parse(file).ok()?;
        let moved = loaded.address.wrapping_sub(image.address(loaded.offset)?);
        let of_process = |address: u64| address.wrapping_add(moved);
        Some(Exported { runtime: of_process(known.runtime), copy: known.copy.map(of_process) })
    }
}

fn in_file(file: &File) -> Option<Exported> {
    let image = Image::parse(file).ok()?;
    let exported = image.exported(&[RUNTIME, COPY]).ok()?;
    let address = |name| exported.get(name).map(|(address, _)| *address);
    Some(Exported { runtime: address(RUNTIME)?, copy: address(COPY) })
}

/// Asks the process.
fn look(dir: &Path, runtime: u64) -> Result<Interpreter, Error> {
    let memory = File::open(dir.join("mem")).map_err(|_| Error::Unreadable("the process's memory"))?;
    python::find(&memory, runtime)
}

/// The executable, and libraries that are an interpreter by their name.
fn loaded(dir: &Path) -> Vec<Loaded> {
    let mut found: Vec<Loaded> = Vec::new();
    for mapping in mappings::list(dir).lines().filter_map(Mapping::of) {
        let path = mapping.file(dir);
        let library = mapping.file_name().starts_with("libpython3");
        if (library || path == dir.join("exe")) && !found.iter().any(|known| known.path == path) {
            found.push(Loaded { path, address: mapping.from, offset: mapping.offset });
        }
    }
    found
}

fn wanted_of(dir: &Path, found: &Interpreter, exported: &Exported, wanted: Wanted) -> Result<Found, Error> {
    match wanted {
        Wanted::Units => Ok(Found::Units(Units::Python(state(found)))),
        Wanted::Probes => probes(dir, found).map(Found::Probes),
        Wanted::Lent => lent(dir, found, exported).map(Found::Probes),
        Wanted::Births => Err(Error::Missing("units that others make, besides tasks")),
    }
}

/// The functions that tell of births, ends and wake-ups, and of what is written: all of them, or none.
fn probes(dir: &Path, found: &Interpreter) -> Result<Vec<Probes>, Error> {
    let mut code = Code::of(dir);
    if let Some(asyncio) = &found.asyncio {
        code.add(asyncio.task_init, python_place::MADE, place::place)?;
        code.add(asyncio.task_dealloc, python_place::GONE, place::place)?;
        let (result, function) = (asyncio.set_result, asyncio.set_result.address);
        match (result.takes_its_type(), result.takes_one()) {
            (true, _) => code.add(function, python_place::RESULT_LISTED, place::place_of_three)?,
            (_, true) => code.add(function, python_place::RESULT, place::place_of_two)?,
            _ => return Err(Error::Missing("known way of calling asyncio's futures")),
        }
    }
    if let Some(greenlets) = &found.greenlets {
        code.add(greenlets.init, python_place::GREENLET_MADE, place::place)?;
        code.add(greenlets.dealloc, python_place::GREENLET_GONE, place::place)?;
    }
    for method in found.streams.iter().flat_map(|streams| [streams.write, streams.writelines]) {
        let cookie = match (method.takes_a_list(), method.takes_one()) {
            (true, _) => python_place::WRITES_FIRST,
            (_, true) => python_place::WRITES,
            _ => return Err(Error::Missing("known way of calling uvloop's streams")),
        };
        code.add(method.address, cookie, place::place_of_two)?;
    }
    Ok(code.probes())
}

/// The functions that tell of contexts: all of them, or none.
fn lent(dir: &Path, found: &Interpreter, exported: &Exported) -> Result<Vec<Probes>, Error> {
    let contexts = found.contexts.as_ref().ok_or(Error::Missing("contexts"))?;
    let copy = exported.copy.ok_or(Error::Missing("function that copies contexts"))?;
    let mut code = Code::of(dir);
    code.add(contexts.dealloc, python_place::CONTEXT_GONE, place::place)?;
    code.add_copies(copy)?;
    for function in found.jobs.iter().flat_map(|jobs| [jobs.get, jobs.get_nowait]) {
        code.add(function, python_place::ASKS, place::place)?;
    }
    match code.add_copies(contexts.copy) {
        // (It may only call the other.)
        Ok(()) | Err(Error::Missing(_)) => Ok(code.probes()),
        Err(error) => Err(error),
    }
}

/// Functions of a process that are to be probed, by the files that they are in.
struct Code<'a> {
    dir: &'a Path,
    mappings: String,
    files: Vec<(PathBuf, File, Vec<Place>)>,
}

impl<'a> Code<'a> {
    fn of(dir: &'a Path) -> Self {
        Self { dir, mappings: mappings::list(dir), files: Vec::new() }
    }

    /// The file that has a function, and where.
    fn file(&mut self, address: u64) -> Result<(&File, &mut Vec<Place>, u64), Error> {
        let mut mappings = self.mappings.lines().filter_map(Mapping::of);
        let in_file = mappings.find(|m| (m.from..m.to).contains(&address));
        let mapping = in_file.ok_or(Error::Missing("file with asyncio's functions"))?;
        let (path, at) = (mapping.file(self.dir), address - mapping.from + mapping.offset);
        let known = self.files.iter().position(|(known, ..)| *known == path);
        let n = match known {
            Some(n) => n,
            None => {
                let (file, _) = programs::open_file(&path).map_err(|_| Error::Unreadable("asyncio's file"))?;
                self.files.push((path, file, Vec::new()));
                self.files.len() - 1
            }
        };
        let (_, file, places) = self.files.get_mut(n).ok_or(Error::Missing("file with asyncio's functions"))?;
        Ok((file, places, at))
    }

    /// One more function, where `place` finds an instruction in it.
    fn add(&mut self, address: u64, cookie: u8, place: fn(&[u8]) -> Option<u64>) -> Result<(), Error> {
        let (file, places, at) = self.file(address)?;
        let mut code = [0; CODE];
        if !file.read_at(at, &mut code) {
            return Err(Error::Unreadable("a function of asyncio"));
        }
        let place = place(&code).ok_or(Error::Missing("cheap place for a probe in asyncio"))?;
        places.push(Place { offset: at + place, cookie: cookie.into() });
        Ok(())
    }

    /// One that copies contexts.
    fn add_copies(&mut self, address: u64) -> Result<(), Error> {
        let (file, places, at) = self.file(address)?;
        for (offset, holds) in copies::places(file, at)? {
            let cookie = match holds {
                Holds::Result => python_place::COPY_RETURNED,
                Holds::Argument => python_place::COPY_PASSED,
            };
            if !places.iter().any(|place| place.offset == offset) {
                places.push(Place { offset, cookie: cookie.into() });
            }
        }
        Ok(())
    }

    fn probes(self) -> Vec<Probes> {
        let files = self.files.into_iter().filter(|(_, _, places)| !places.is_empty());
        let of_file = |(_, file, places): (_, File, Vec<Place>)| Probes {
            program: Program::Python,
            file: Arc::new(file),
            places: places.into(),
        };
        files.map(of_file).collect()
    }
}

/// What the kernel programs need.
fn state(found: &Interpreter) -> PythonState {
    let layout = found.layout;
    PythonState {
        running: found.asyncio.map_or(0, |asyncio| asyncio.running),
        task_type: found.asyncio.map_or(0, |asyncio| asyncio.task_type),
        text_type: found.text_type,
        number_type: found.number_type,
        context_type: found.contexts.map_or(0, |contexts| contexts.kind),
        nothing: found.empty.nothing,
        truth_type: found.empty.truth_type,
        slot: found.slot,
        thread_id: layout.thread_id,
        context: layout.context,
        task_context: layout.task_context,
        task_name: layout.task_name,
        text: layout.text,
        old_tables: layout.old_tables.into(),
        greenlets: found.greenlets.map_or(0, |greenlets| greenlets.block),
        greenlets_at: found.greenlets.map_or(0, |greenlets| greenlets.at),
        running_task: found.asyncio.map_or(0, |_| layout.running_task),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_no_interpreter_is_none() {
        let told = Interpreters::default().find(1, "/proc/self".as_ref(), Wanted::Units);
        assert!(matches!(told, Told::NoInterpreter), "{told:?}");
    }
}
