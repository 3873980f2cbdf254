//! What is known of a Go program: where the running goroutine's number is, and where goroutines do things for each other.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use wirespan_common::{RuntimeState, UNIT_GOROUTINE};
use wirespan_inspect::go::{self, Goroutines, Module, Probe, Probed};
use wirespan_inspect::{Error, Image};

use crate::bpf::probes::{Place, Probes, Program};

/// `AT_ENTRY` of the auxiliary vector (include/uapi/linux/auxvec.h): where the program was entered.
const AT_ENTRY: u64 = 9;

/// What is known of a file.
#[derive(Clone, Debug)]
pub struct Known {
    units: Goroutines,
    /// Where the program is entered, if it runs anywhere.
    entry: Option<u64>,
    places: Arc<[Place]>,
    /// Where goroutines are made, and where they end.
    births: Arc<[Place]>,
    /// What of its functions cannot be probed, and why.
    gaps: Arc<[String]>,
}

impl Known {
    /// Reads a file.
    ///
    /// # Errors
    /// If its goroutines cannot be told apart.
    fn read(file: &File) -> Result<Self, Error> {
        let mut image = Image::parse(file)?;
        let entry = image.runs_anywhere.then_some(image.entry);
        if entry.is_some() {
            image.read_relocations()?;
        }
        let module = Module::find(&image)?;
        let units = go::goroutines(&image, &module)?;
        let found = go::probes(&image, &module)
            .unwrap_or_else(|error| Probed { gaps: vec![error.to_string()], ..Probed::default() });
        let place = |probe: Probe| Place { offset: probe.offset, cookie: probe.cookie };
        let places = |probes: Vec<Probe>| probes.into_iter().map(place).collect();
        let (births, gaps) = (places(found.births), found.gaps.into());
        Ok(Self { units, entry, places: places(found.probes), births, gaps })
    }

    /// Reads a file that a process runs, and says what is not known of it.
    pub fn said(tgid: u32, file: &File) -> Option<Self> {
        let known = Self::read(file).inspect_err(|error| {
            log::info!(
                "process {tgid}: its goroutines cannot be told apart, so fewer of its calls are linked: {error}"
            );
        });
        let known = known.ok()?;
        for gap in known.gaps.iter() {
            log::info!("process {tgid}: not all of its calls are linked: {gap}");
        }
        Some(known)
    }

    /// What the kernel programs need of a process that runs it; `None` if the process is gone. `dir` is its directory below
    /// `/proc`; `births`: it is told which of its goroutines make others.
    pub fn state(&self, dir: &Path, births: bool) -> Option<RuntimeState> {
        let Self { units, entry, .. } = self;
        let loaded = match entry {
            Some(entry) => entered(dir)?.wrapping_sub(*entry),
            None => 0,
        };
        let helper = |address: u64| if address == 0 { 0 } else { address.wrapping_add(loaded) };
        Some(RuntimeState {
            kind: UNIT_GOROUTINE,
            below_thread: units.below_thread,
            id: units.id,
            parent: units.parent,
            start: units.start,
            thread: units.thread,
            current: units.current,
            births: births.into(),
            helpers: units.helpers.map(helper),
        })
    }

    /// What is to be probed in a process that runs it.
    pub fn probes(&self, file: File) -> Vec<Probes> {
        probes(Program::Go, file, &self.places)
    }

    /// What is to be probed in addition, so that it is known which goroutines make others.
    pub fn births(&self, file: File) -> Vec<Probes> {
        probes(Program::GoBirths, file, &self.births)
    }
}

fn probes(program: Program, file: File, places: &Arc<[Place]>) -> Vec<Probes> {
    match places.is_empty() {
        true => Vec::new(),
        false => vec![Probes { program, file: Arc::new(file), places: Arc::clone(places) }],
    }
}

/// Where a process entered its program, as the kernel told it.
fn entered(dir: &Path) -> Option<u64> {
    let vector = std::fs::read(dir.join("auxv")).ok()?;
    let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
    vector.chunks_exact(16).find(|pair| word(&pair[..8]) == Some(AT_ENTRY)).and_then(|pair| word(&pair[8..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_read_from_the_auxiliary_vector() {
        let entry = entered("/proc/self".as_ref()).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let range = |line: &str| {
            let (from, to) = line.split(' ').next()?.split_once('-')?;
            Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
        };
        let line = maps.lines().find(|line| range(line).is_some_and(|(from, to)| (from..to).contains(&entry))).unwrap();
        let exe = std::env::current_exe().unwrap();
        assert!(line.ends_with(exe.to_str().unwrap()), "{line}");
    }

    #[test]
    fn a_program_that_is_not_gos_has_no_units() {
        assert!(Known::read(&File::open("/proc/self/exe").unwrap()).is_err());
    }
}
