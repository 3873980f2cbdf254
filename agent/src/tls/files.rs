//! Files that have a TLS library in them: the system's, and what processes have loaded.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wirespan_inspect::{Error, Image, tls};

use super::Found;
use crate::bpf::probes::{Place, Probes, Program};
use crate::discovery::mappings::{self, Mapping};
use crate::discovery::programs::{self, FileKey};

/// Files remembered. Beyond them a process's files are not looked at.
const MAX_FILES: usize = 16_384;
/// Libraries that are probed.
const MAX_LIBRARIES: usize = 256;
/// Where systems keep libraries.
const FOLDERS: [&str; 8] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib/x86_64-linux-gnu",
    "/lib64",
    "/lib",
    "/usr/local/lib",
    "/usr/local/lib64",
];
/// What they are called.
const NAMES: [&str; 2] = ["libssl.so.3", "libssl.so.1.1"];

/// All files that were looked at.
#[derive(Debug, Default)]
pub struct Files {
    known: HashSet<FileKey>,
    libraries: usize,
}

impl Files {
    /// The libraries that the system brings.
    pub fn of_system(&mut self) -> Vec<Found> {
        let paths = FOLDERS.iter().flat_map(|folder| NAMES.map(|name| Path::new(folder).join(name)));
        paths.filter_map(|path| self.look(&path)).collect()
    }

    /// What a process has loaded. `dir` is its directory below `/proc`.
    pub fn of_process(&mut self, dir: &Path) -> Vec<Found> {
        loaded(dir).iter().filter_map(|path| self.look(path)).collect()
    }

    /// Reads a file that was not read before, if it has a TLS library.
    fn look(&mut self, path: &Path) -> Option<Found> {
        let (file, key) = programs::open_file(path).ok()?;
        if self.known.len() >= MAX_FILES || !self.known.insert(key) {
            return None;
        }
        match probes(&file) {
            Ok(_) if self.libraries >= MAX_LIBRARIES => {
                log::warn!("{}: its plaintext is not read: there are too many TLS libraries", path.display());
                Some(Found::Refused)
            }
            Ok(places) => {
                self.libraries += 1;
                log::info!(
                    "{}: what programs read and write with this TLS library is read (or --tls off)",
                    path.display()
                );
                Some(Found::Library(Probes { program: Program::Tls, file: Arc::new(file), places }))
            }
            Err(None) => None,
            Err(Some(error)) => {
                log::warn!("{}: the plaintext of this TLS library is not read: {error}", path.display());
                Some(Found::Refused)
            }
        }
    }
}

/// The places of a library in a file. The error is `None` if it has no library.
fn probes(file: &File) -> Result<Arc<[Place]>, Option<Error>> {
    let mut image = Image::parse(file).map_err(|_| None)?;
    if !tls::is_library(&image).unwrap_or(false) {
        return Err(None);
    }
    let found = tls::probes(&mut image).map_err(Some)?;
    Ok(found.iter().map(|probe| Place { offset: probe.offset, cookie: probe.cookie }).collect())
}

/// The program that a process runs, and what it has loaded that may be a TLS library by its name, as the agent finds them.
fn loaded(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.join("exe")];
    let code = |mapping: &Mapping<'_>| mapping.is_code && is_likely(mapping.file_name());
    for path in mappings::list(dir).lines().filter_map(Mapping::of).filter(code).map(|mapping| mapping.file(dir)) {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

fn is_likely(name: &str) -> bool {
    name.contains("ssl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_looked_at_for_its_own_name() {
        let of = |path: &str| {
            let line = format!("7f2d0cc00000-7f2d0cd00000 r-xp 00001000 fe:01 1234                       {path}");
            is_likely(Mapping::of(&line).unwrap().file_name())
        };
        assert!(of("/opt/my python/libssl-8bd944e8.so.3") && !of("/opt/ssl/libz.so"));
    }

    #[test]
    fn a_process_that_has_none_has_none_and_is_not_read_again() {
        let mut files = Files::default();
        assert_eq!(files.of_process("/proc/self".as_ref()).len(), 0);
        let known = files.known.len();
        assert!(known > 0);
        assert_eq!(files.of_process("/proc/self".as_ref()).len(), 0);
        assert_eq!(files.known.len(), known);
        assert_eq!(files.of_process("/proc/4294967295".as_ref()).len(), 0);
    }
}
