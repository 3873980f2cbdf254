//! Where CPython keeps the task that runs: asked of the process's memory, because the objects that tell it are made while it
//! runs.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use wirespan_common::PythonState;
use wirespan_inspect::python::{self, Found, RUNTIME};
use wirespan_inspect::{Error, Image};

use super::Units;
use crate::discovery::programs::{self, FileKey};

/// Files remembered.
const MAX_FILES: usize = 1024;
/// The most of a list of mappings that is read, bytes.
const MAX_MAPS: u64 = 4 << 20;

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

impl Interpreters {
    /// Where the tasks of a process are. Outside: `None` if it is no interpreter; inside: if they cannot be told apart.
    pub fn units(&mut self, tgid: u32, dir: &Path) -> Option<Option<Units>> {
        for loaded in loaded(dir) {
            let Ok((file, key)) = programs::open_file(&loaded.path) else { continue };
            let Some(runtime) = self.runtime(&file, key, &loaded) else { continue };
            return Some(match look(dir, runtime) {
                Ok(found) => Some(units(&found)),
                Err(error) => {
                    if self.said.len() < MAX_FILES && self.said.insert(key) {
                        log::info!(
                            "process {tgid}: its tasks cannot be told apart, so fewer of its calls are linked: {error}"
                        );
                    }
                    None
                }
            });
        }
        None
    }

    /// The address of the interpreter's state in a process, if this file has it.
    fn runtime(&mut self, file: &File, key: FileKey, loaded: &Loaded) -> Option<u64> {
        if self.runtimes.len() >= MAX_FILES {
            self.runtimes.clear();
        }
        let known = *self.runtimes.entry(key).or_insert_with(|| in_file(file));
        let image = Image::parse(file).ok()?;
        Some(loaded.address.wrapping_sub(image.address(loaded.offset)?).wrapping_add(known?))
    }
}

fn in_file(file: &File) -> Option<u64> {
    let image = Image::parse(file).ok()?;
    let exported = image.exported(&[RUNTIME]).ok()?;
    exported.get(RUNTIME).map(|(address, _)| *address)
}

/// Asks the process.
fn look(dir: &Path, runtime: u64) -> Result<Found, Error> {
    let memory = File::open(dir.join("mem")).map_err(|_| Error::Unreadable("the process's memory"))?;
    python::find(&memory, runtime)
}

/// The executable, and libraries that are an interpreter by their name.
fn loaded(dir: &Path) -> Vec<Loaded> {
    let mut text = Vec::new();
    let read = File::open(dir.join("maps")).and_then(|maps| {
        use std::io::Read as _;
        maps.take(MAX_MAPS).read_to_end(&mut text)
    });
    let (Ok(_), Ok(program)) = (read, std::fs::read_link(dir.join("exe"))) else { return Vec::new() };
    let text = String::from_utf8_lossy(&text);
    let mut found: Vec<Loaded> = Vec::new();
    for line in text.lines() {
        let Some((address, offset, path)) = mapping(line) else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        let path = match Path::new(path) == program {
            true => dir.join("exe"),
            false if name.starts_with("libpython3") => dir.join("root").join(path.trim_start_matches('/')),
            false => continue,
        };
        if !found.iter().any(|known| known.path == path) {
            found.push(Loaded { path, address, offset });
        }
    }
    found
}

/// Address, offset and path of a line of `/proc/PID/maps`.
fn mapping(line: &str) -> Option<(u64, u64, &str)> {
    let mut words = line.splitn(6, ' ');
    let (from, _) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    let path = words.nth(2)?.trim_start();
    let number = |text| u64::from_str_radix(text, 16).ok();
    path.starts_with('/').then_some((number(from)?, number(offset)?, path))
}

/// What the kernel programs need.
fn units(found: &Found) -> Units {
    let Some(asyncio) = found.asyncio else { return Units::NotYet };
    let layout = found.layout;
    Units::Python(PythonState {
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_with_a_path_that_has_spaces() {
        let line =
            "7f2d0cc00000-7f2d0cd00000 r--p 00001000 fe:01 1234                       /opt/my python/libpython3.so";
        assert_eq!(mapping(line), Some((0x7f2d_0cc0_0000, 0x1000, "/opt/my python/libpython3.so")));
        assert_eq!(mapping("7ffd-7ffe rw-p 00000000 00:00 0                          [stack]"), None);
        assert_eq!(mapping("7ffd-7ffe rw-p 00000000 00:00 0"), None);
    }

    #[test]
    fn a_process_that_is_no_interpreter_is_none() {
        assert_eq!(Interpreters::default().units(1, "/proc/self".as_ref()), None);
    }
}
