//! What of Node is probed: where pieces of its loop's work begin.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wirespan_common::{RuntimeState, UNIT_LOOP, node_place};
use wirespan_inspect::node::{self, Begins};
use wirespan_inspect::{Error, Image};

use super::{Found, Units, Wanted};
use crate::bpf::probes::{Place, Probes, Program};
use crate::discovery::mappings::{self, Mapping};
use crate::discovery::programs::{self, ByFile};

/// Files that have Node in them.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// What is probed in a file, if it is one of Node's.
    known: ByFile<Option<Arc<[Place]>>>,
}

/// A process that runs Node.
#[derive(Debug)]
pub(super) struct Known {
    file: File,
    /// Nothing if it cannot be probed.
    places: Arc<[Place]>,
}

/// Why the loop of a process cannot be told what it works on, if it is one of Node's of which that is so.
pub fn unknown(dir: &Path) -> Option<Error> {
    files(dir).into_iter().find_map(|path| {
        let (file, _) = programs::open_file(&path).ok()?;
        let image = Image::parse(&file).ok().filter(|image| node::is_node(image).unwrap_or_default())?;
        node::places(&image).err()
    })
}

impl Nodes {
    /// What is known of a process, if it runs Node. `dir` is its directory below `/proc`.
    pub fn find(&mut self, tgid: u32, dir: &Path) -> Option<Known> {
        files(dir).into_iter().find_map(|path| {
            let (file, key) = programs::open_file(&path).ok()?;
            let places = self.known.or_read(key, || said(tgid, &file)).clone()?;
            Some(Known { file, places })
        })
    }
}

impl Known {
    /// What is asked of it; `None` if it has none of that.
    pub fn found(self, wanted: Wanted) -> Option<Found> {
        match wanted {
            _ if self.places.is_empty() => None,
            Wanted::Units => {
                Some(Found::Units(Units::Known(RuntimeState { kind: UNIT_LOOP, ..RuntimeState::default() })))
            }
            Wanted::Probes => Some(Found::Probes(vec![Probes {
                program: Program::Node,
                file: Arc::new(self.file),
                places: self.places,
            }])),
            Wanted::Lent | Wanted::Births => None,
        }
    }
}

/// Reads a file; `None` if it is not Node's. Says what cannot be probed.
fn said(tgid: u32, file: &File) -> Option<Arc<[Place]>> {
    let image = Image::parse(file).ok().filter(|image| node::is_node(image).unwrap_or_default())?;
    let places = node::places(&image).unwrap_or_else(|error| {
        log::info!("process {tgid}: Node cannot be probed, so fewer of its calls are linked: {error}");
        Vec::new()
    });
    let place = |(offset, begins)| {
        let cookie = match begins {
            Begins::Timers(numbers) => node_place::cookie(node_place::TIMERS, numbers),
            Begins::Immediates(numbers) => node_place::cookie(node_place::IMMEDIATES, numbers),
            Begins::Accepted => node_place::cookie(node_place::ACCEPTED, 0),
            Begins::Connected => node_place::cookie(node_place::CONNECTED, 0),
        };
        Place { offset, cookie }
    };
    Some(places.into_iter().map(place).collect())
}

/// The executable, and the library that Debian's has everything in.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = vec![dir.join("exe")];
    let list = mappings::list(dir);
    let library = list.lines().filter_map(Mapping::of).find(|mapping| mapping.file_name().starts_with("libnode.so"));
    files.extend(library.map(|mapping| mapping.file(dir)));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_node_is_none() {
        assert!(Nodes::default().find(1, "/proc/self".as_ref()).is_none());
        assert!(unknown("/proc/self".as_ref()).is_none());
    }
}
