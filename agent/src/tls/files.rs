//! Files that have a TLS library in them: the system's, and what processes have loaded.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wirespan_common::{go_tls_place, rustls_place, tls_place};
use wirespan_inspect::go::{self, Module, Probe};
use wirespan_inspect::tls::{self, Places};
use wirespan_inspect::{Error, Image, Source as _};

use super::{Found, Library};
use crate::bpf::probes::{Place, Probes, Program};
use crate::discovery::mappings::{self, Mapping};
use crate::discovery::programs::{self, FileKey};

/// Files remembered. Beyond them a process's files are not looked at.
const MAX_FILES: usize = 16_384;
/// Files that are looked through as a whole are smaller than this, bytes.
const MAX_SEARCHED: u64 = 512 << 20;
/// Smaller than this they have no TLS library in them.
const MIN_SEARCHED: u64 = 512 << 10;
/// Libraries that are probed.
const MAX_LIBRARIES: u16 = 256;
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
const NAMES: [&str; 3] = ["libssl.so.3", "libssl.so.1.1", "libgnutls.so.30"];

/// How a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// It is looked through for libraries that are not named.
    searches: bool,
    /// Which places may be probed.
    places: Places,
}

/// All files that were looked at.
#[derive(Debug, Default)]
pub struct Files {
    /// What they have, and how they were looked at for that.
    known: HashMap<FileKey, (Library, Look)>,
    /// Libraries, and programs that bring their own, that are read: the number of the next one.
    libraries: u16,
}

impl Files {
    /// The libraries that the system brings.
    pub fn of_system(&mut self, places: Places) -> Vec<Found> {
        let paths = FOLDERS.iter().flat_map(|folder| NAMES.map(|name| Path::new(folder).join(name)));
        paths
            .filter_map(|path| self.look(&path, Look { searches: false, places }))
            .flat_map(|(_, found)| found)
            .collect()
    }

    /// What a process has loaded: what is new of that, and whether any of it is read. `dir` is its directory below `/proc`;
    /// `searches`: its files are looked through for libraries that are not named.
    pub fn of_process(&mut self, dir: &Path, searches: bool, places: Places) -> (Vec<Found>, Library) {
        let files = loaded(dir, searches);
        let looked: Vec<_> = files.iter().filter_map(|path| self.look(path, Look { searches, places })).collect();
        let has = |library| looked.iter().any(|(found, _)| *found == library);
        let library = [Library::Read, Library::Refused].into_iter().find(|library| has(*library)).unwrap_or_default();
        (looked.into_iter().flat_map(|(_, found)| found).collect(), library)
    }

    /// The program that a process has just begun to run.
    pub fn of_program(&mut self, dir: &Path, places: Places) -> Vec<Found> {
        self.look(&dir.join("exe"), Look { searches: false, places }).map(|(_, found)| found).unwrap_or_default()
    }

    /// What a file has. Reads it, if it was not read before.
    fn look(&mut self, path: &Path, look: Look) -> Option<(Library, Vec<Found>)> {
        let (file, key) = programs::open_file(path).ok()?;
        match self.known.get(&key) {
            Some((Library::Unknown, before)) if look.searches && !before.searches => {}
            Some((Library::Refused, before)) if look.places == Places::Any && before.places == Places::Cheap => {}
            Some((library, _)) => return Some((*library, Vec::new())),
            None if self.known.len() >= MAX_FILES => return None,
            None => {}
        }
        let (library, found) = self.read(path, file, look);
        self.known.insert(key, (library, look));
        Some((library, found))
    }

    fn read(&mut self, path: &Path, file: File, look: Look) -> (Library, Vec<Found>) {
        match probes(&file, look) {
            Ok(all) if all.is_empty() => (Library::Unknown, Vec::new()),
            Ok(all) if usize::from(self.libraries) + all.len() > usize::from(MAX_LIBRARIES) => {
                log::warn!("{}: its plaintext is not read: there are too many TLS libraries", path.display());
                (Library::Refused, vec![Found::Refused])
            }
            Ok(all) => {
                log::info!(
                    "{}: what programs read and write with this TLS library is read (or --tls off)",
                    path.display()
                );
                let file = Arc::new(file);
                (
                    Library::Read,
                    all.into_iter().map(|(program, places)| self.numbered(program, &file, &places)).collect(),
                )
            }
            Err(error) => {
                log::warn!("{}: the plaintext of this TLS library is not read: {error}", path.display());
                (Library::Refused, vec![Found::Refused])
            }
        }
    }

    /// A library's probes, and its number.
    fn numbered(&mut self, program: Program, file: &Arc<File>, places: &[Probe]) -> Found {
        let number = self.libraries as u8;
        self.libraries += 1;
        let places = places.iter().map(|probe| numbered(program, probe, number)).collect();
        Found::Library(Probes { program, file: Arc::clone(file), places }, number)
    }
}

/// A place, which says the number of its file.
fn numbered(program: Program, probe: &Probe, number: u8) -> Place {
    let cookie = match program {
        Program::GoTls => go_tls_place::in_program(probe.cookie, number),
        Program::Rustls => rustls_place::in_file(probe.cookie, number),
        _ => tls_place::in_library(probe.cookie, number),
    };
    Place { offset: probe.offset, cookie }
}

/// The places of each library in a file, and what runs there.
fn probes(file: &File, look: Look) -> Result<Vec<(Program, Vec<Probe>)>, Error> {
    let Ok(mut image) = Image::parse(file) else { return Ok(Vec::new()) };
    let own = if go::is_go(&image) { of_go(&mut image)? } else { None };
    if tls::is_library(&image).unwrap_or(false) {
        return Ok(vec![(Program::Tls, tls::probes(&mut image, look.places)?)]);
    } else if let Some(own) = own {
        return Ok(vec![(Program::GoTls, own)]);
    }
    if !look.searches || !(MIN_SEARCHED..MAX_SEARCHED).contains(&file.size()) {
        return Ok(Vec::new());
    }
    hidden(&mut image, look.places)
}

/// The same of libraries that a file says nothing of. (There may be two. If one of them cannot be read, the other is.)
fn hidden(image: &mut Image<'_>, places: Places) -> Result<Vec<(Program, Vec<Probe>)>, Error> {
    let all = [(Program::Tls, tls::hidden(image, places)), (Program::Rustls, tls::rustls::probes(image, places))];
    let failed = all.iter().find_map(|(_, found)| found.as_ref().err().copied());
    let found: Vec<_> = all.into_iter().filter_map(|(program, found)| Some((program, found.ok()??))).collect();
    if found.is_empty() { failed.map_or(Ok(found), Err) } else { Ok(found) }
}

/// The places of Go's own TLS in a program; `None` if it has none.
fn of_go(image: &mut Image<'_>) -> Result<Option<Vec<Probe>>, Error> {
    if image.runs_anywhere {
        image.read_relocations()?;
    }
    // (A program whose functions cannot be found has none that is known.)
    let Ok(module) = Module::find(image) else { return Ok(None) };
    go::tls(image, &module)
}

/// The program that a process runs, and what it has loaded that may be a TLS library by its name (or `all`), as the agent finds
/// them.
fn loaded(dir: &Path, all: bool) -> Vec<PathBuf> {
    let mut found = vec![dir.join("exe")];
    let code = |mapping: &Mapping<'_>| mapping.is_code && (all || is_likely(mapping.file_name()));
    for path in mappings::list(dir).lines().filter_map(Mapping::of).filter(code).map(|mapping| mapping.file(dir)) {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

fn is_likely(name: &str) -> bool {
    name.contains("ssl") || name.contains("gnutls")
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
    fn places_at_which_something_is_entered_say_the_number_of_their_file() {
        let session = tls_place::Session { random: 0x1234, via: 8, server: 9 };
        let leaves = tls_place::cookie(tls_place::LEAVES, 3, 5, session).unwrap();
        let enters = tls_place::cookie(tls_place::READS_PLAIN, 0, 5, tls_place::Session::default()).unwrap();
        let of = |program, cookie| numbered(program, &Probe { offset: 7, cookie }, 255);
        assert_eq!(of(Program::Tls, leaves), Place { offset: 7, cookie: leaves });
        let place = of(Program::Tls, enters).cookie;
        assert_eq!((tls_place::library(place), place & 0xff_ffff), (255, enters));
        let own = go_tls_place::cookie(go_tls_place::WRITES, 1, 2, 3);
        assert_eq!(go_tls_place::program(of(Program::GoTls, own).cookie), 255);
    }

    #[test]
    fn a_process_that_has_none_has_none_and_is_not_read_again() {
        let mut files = Files::default();
        let none = |found: (Vec<Found>, Library)| found.0.is_empty() && found.1 == Library::Unknown;
        assert!(none(files.of_process("/proc/self".as_ref(), false, Places::Cheap)));
        let known = files.known.len();
        assert!(known > 0);
        assert!(none(files.of_process("/proc/self".as_ref(), false, Places::Cheap)));
        assert_eq!(files.known.len(), known);
        assert!(none(files.of_process("/proc/4294967295".as_ref(), true, Places::Any)));
    }
}
