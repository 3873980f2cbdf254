//! Where CPython keeps the task that runs: asked of the process's memory, because the objects that tell it are made while it
//! runs.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wirespan_common::{PythonState, python_place};
use wirespan_inspect::python::{self, Asyncio, Found as Interpreter, RUNTIME};
use wirespan_inspect::{Error, Image};

use super::{Found, Units, Wanted};
use crate::bpf::probes::{Place, Probes, Program};
use crate::discovery::programs::{self, FileKey};

/// Files remembered.
const MAX_FILES: usize = 1024;
/// The most of a list of mappings that is read, bytes.
const MAX_MAPS: u64 = 4 << 20;
/// Bytes of a function that are looked at.
const CODE: usize = 64;

/// Files that have an interpreter in them.
#[derive(Debug, Default)]
pub(super) struct Interpreters {
    /// Where in its own memory a file has the interpreter's state, if it has one.
    runtimes: HashMap<FileKey, Option<u64>>,
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
            let Some(runtime) = self.runtime(&file, key, &loaded) else { continue };
            let error = match look(dir, runtime) {
                Ok(Interpreter { asyncio: None, .. }) => return Told::NotYet,
                Ok(interpreter) => match wanted_of(dir, &interpreter, wanted) {
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

    /// The address of the interpreter's state in a process, if this file has it.
    fn runtime(&mut self, file: &File, key: FileKey, loaded: &Loaded) -> Option<u64> {
        if self.runtimes.len() >= MAX_FILES {
            self.runtimes.clear();
        }
        let known = (*self.runtimes.entry(key).or_insert_with(|| in_file(file)))?;
        let image = Image::parse(file).ok()?;
        Some(loaded.address.wrapping_sub(image.address(loaded.offset)?).wrapping_add(known))
    }
}

fn in_file(file: &File) -> Option<u64> {
    let image = Image::parse(file).ok()?;
    let exported = image.exported(&[RUNTIME]).ok()?;
    exported.get(RUNTIME).map(|(address, _)| *address)
}

/// Asks the process.
fn look(dir: &Path, runtime: u64) -> Result<Interpreter, Error> {
    let memory = File::open(dir.join("mem")).map_err(|_| Error::Unreadable("the process's memory"))?;
    python::find(&memory, runtime)
}

/// What a process has loaded.
fn mappings(dir: &Path) -> String {
    let mut text = Vec::new();
    let read = File::open(dir.join("maps")).and_then(|maps| maps.take(MAX_MAPS).read_to_end(&mut text));
    match read {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

/// A file that a process has loaded, as the agent finds it.
fn of_process(dir: &Path, path: &str) -> PathBuf {
    match std::fs::read_link(dir.join("exe")).is_ok_and(|program| program == Path::new(path)) {
        true => dir.join("exe"),
        false => dir.join("root").join(path.trim_start_matches('/')),
    }
}

/// The executable, and libraries that are an interpreter by their name.
fn loaded(dir: &Path) -> Vec<Loaded> {
    let mut found: Vec<Loaded> = Vec::new();
    for line in mappings(dir).lines() {
        let Some(Mapping { from, offset, path, .. }) = mapping(line) else { continue };
        let path = of_process(dir, path);
        let library = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libpython3"));
        if (library || path == dir.join("exe")) && !found.iter().any(|known| known.path == path) {
            found.push(Loaded { path, address: from, offset });
        }
    }
    found
}

/// A line of `/proc/PID/maps`, of a file.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    from: u64,
    to: u64,
    offset: u64,
    path: &'a str,
}

fn mapping(line: &str) -> Option<Mapping<'_>> {
    let mut words = line.splitn(6, ' ');
    let (from, to) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    let path = words.nth(2)?.trim_start();
    let number = |text| u64::from_str_radix(text, 16).ok();
    path.starts_with('/').then_some(Mapping { from: number(from)?, to: number(to)?, offset: number(offset)?, path })
}

fn wanted_of(dir: &Path, found: &Interpreter, wanted: Wanted) -> Result<Found, Error> {
    let asyncio = found.asyncio.as_ref().ok_or(Error::Missing("asyncio"))?;
    match wanted {
        Wanted::Units => Ok(Found::Units(Units::Python(state(found, asyncio)))),
        Wanted::Probes => probes(dir, asyncio).map(Found::Probes),
    }
}

/// The functions that tell of births, ends and wake-ups: all of them, or none.
fn probes(dir: &Path, asyncio: &Asyncio) -> Result<Vec<Probes>, Error> {
    let text = mappings(dir);
    let mappings: Vec<Mapping<'_>> = text.lines().filter_map(mapping).collect();
    let functions = [
        (asyncio.task_init, python_place::MADE),
        (asyncio.task_dealloc, python_place::GONE),
        (asyncio.set_result, python_place::RESULT),
    ];
    let mut files: Vec<(PathBuf, File, Vec<Place>)> = Vec::new();
    for (address, cookie) in functions {
        let in_file = mappings.iter().find(|m| (m.from..m.to).contains(&address));
        let mapping = in_file.ok_or(Error::Missing("file with asyncio's functions"))?;
        let (path, at) = (of_process(dir, mapping.path), address - mapping.from + mapping.offset);
        if !files.iter().any(|(known, ..)| *known == path) {
            let (file, _) = programs::open_file(&path).map_err(|_| Error::Unreadable("asyncio's file"))?;
            files.push((path.clone(), file, Vec::new()));
        }
        let Some((_, file, places)) = files.iter_mut().find(|(known, ..)| *known == path) else { continue };
        let mut code = [0; CODE];
        if !wirespan_inspect::Source::read_at(&*file, at, &mut code) {
            return Err(Error::Unreadable("a function of asyncio"));
        }
        let place = python::place::place(&code).ok_or(Error::Missing("cheap place for a probe in asyncio"))?;
        places.push(Place { offset: at + place, cookie: cookie.into() });
    }
    let of_file = |(_, file, places): (_, File, Vec<Place>)| Probes {
        program: Program::Python,
        file: Arc::new(file),
        places: places.into(),
    };
    Ok(files.into_iter().map(of_file).collect())
}

/// What the kernel programs need.
fn state(found: &Interpreter, asyncio: &Asyncio) -> PythonState {
    let layout = found.layout;
    PythonState {
        running: asyncio.running,
        task_type: asyncio.task_type,
        text_type: found.text_type,
        number_type: found.number_type,
        slot: found.slot,
        thread_id: layout.thread_id,
        context: layout.context,
        task_context: layout.task_context,
        task_name: layout.task_name,
        text: layout.text,
        old_tables: layout.old_tables.into(),
        reserved: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_with_a_path_that_has_spaces() {
        let line =
            "7f2d0cc00000-7f2d0cd00000 r--p 00001000 fe:01 1234                       /opt/my python/libpython3.so";
        let path = "/opt/my python/libpython3.so";
        let wanted = Mapping { from: 0x7f2d_0cc0_0000, to: 0x7f2d_0cd0_0000, offset: 0x1000, path };
        assert_eq!(mapping(line), Some(wanted));
        assert_eq!(mapping("7ffd-7ffe rw-p 00000000 00:00 0                          [stack]"), None);
        assert_eq!(mapping("7ffd-7ffe rw-p 00000000 00:00 0"), None);
    }

    #[test]
    fn a_process_that_is_no_interpreter_is_none() {
        let told = Interpreters::default().find(1, "/proc/self".as_ref(), Wanted::Units);
        assert!(matches!(told, Told::NoInterpreter), "{told:?}");
    }
}
