//! The interpreters of this machine: each is started, and its memory read.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::{Error, Image, Source, place};

/// Says that it is ready, and waits.
const PROGRAM: &str = "import asyncio, queue, sys\nprint(sys.version.split()[0], flush=True)\nsys.stdin.read()";

struct Running {
    child: Child,
    version: String,
}

impl Running {
    fn start(program: &Path, code: &str) -> Self {
        let mut child = Command::new(program)
            .args(["-c", code])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut version = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut version).unwrap();
        Self { child, version: version.trim().to_owned() }
    }

    fn find(&self) -> Result<Found, Error> {
        let dir = PathBuf::from(format!("/proc/{}", self.child.id()));
        let runtime = runtime_address(&dir);
        find(&File::open(dir.join("mem")).unwrap(), runtime)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Where a process has its runtime's state: in the executable, or in a library.
fn runtime_address(dir: &Path) -> u64 {
    let maps = std::fs::read_to_string(dir.join("maps")).unwrap();
    for line in maps.lines().filter(|line| line.contains("python3")) {
        let mut words = line.split_whitespace();
        let from = u64::from_str_radix(words.next().unwrap().split('-').next().unwrap(), 16).unwrap();
        let offset = u64::from_str_radix(words.nth(1).unwrap(), 16).unwrap();
        let file = File::open(words.nth(2).unwrap()).unwrap();
        let Ok(image) = Image::parse(&file) else { continue };
        if let Some((at, _)) = image.exported(&[RUNTIME]).unwrap().get(RUNTIME) {
            return from.wrapping_sub(image.address(offset).unwrap()).wrapping_add(*at);
        }
    }
    panic!("no runtime in {maps}");
}

/// Interpreters that are here; Debian's is always.
fn interpreters() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/usr/bin/python3")];
    let versions = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    for entry in versions.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten() {
        let known = |name: &str| layout::ALL.iter().any(|l| name.starts_with(&format!("3.{}.", l.minor)));
        if entry.file_name().to_str().is_some_and(known) {
            found.push(entry.path().join("bin/python3"));
        }
    }
    found
}

#[test]
fn every_interpreter_here_is_known_with_its_version_and_its_asyncio() {
    for program in interpreters() {
        let running = Running::start(&program, PROGRAM);
        let found = running.find().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let (major, minor, micro) = found.version;
        assert_eq!(format!("{major}.{minor}.{micro}"), running.version);
        let asyncio = found.asyncio.unwrap();
        assert!(asyncio.task_init != asyncio.task_dealloc && asyncio.set_result.address != 0);
    }
}

#[test]
fn every_interpreter_here_shows_the_contexts_that_it_copies() {
    for program in interpreters() {
        let running = Running::start(&program, PROGRAM);
        let contexts = running.find().unwrap().contexts.unwrap();
        assert!(contexts.dealloc != 0 && contexts.copy != contexts.dealloc, "{}", program.display());
        let (file, offset) = exported(&PathBuf::from(format!("/proc/{}", running.child.id())), COPY);
        let places = copies::places(&file, offset).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        assert!(places.iter().any(|(_, holds)| *holds == copies::Holds::Result), "{}: {places:?}", program.display());
    }
}

#[test]
fn every_interpreter_here_has_cheap_places_where_results_are_given_and_jobs_taken() {
    for program in interpreters() {
        let running = Running::start(&program, PROGRAM);
        let (found, program) = (running.find().unwrap(), program.display());
        let memory = File::open(format!("/proc/{}/mem", running.child.id())).unwrap();
        let code = |address: u64| {
            let mut code = [0; 64];
            assert!(memory.read_at(address, &mut code), "{program}");
            code
        };
        let result = found.asyncio.unwrap().set_result;
        // One of the two ways is how it is called.
        assert_ne!(result.takes_one(), result.takes_its_type(), "{program}: {result:?}");
        let place = if result.takes_one() { place::place_of_two } else { place::place_of_three };
        assert!(place(&code(result.address)).is_some(), "{program}: {result:?}");
        let jobs = found.jobs.unwrap();
        assert!([jobs.get, jobs.get_nowait].iter().all(|f| place::place(&code(*f)).is_some()), "{program}: {jobs:?}");
        assert!(found.empty.nothing != 0 && found.empty.truth_type != 0, "{program}");
    }
}

/// The file of a process's interpreter, and where in it something is that it exports.
fn exported(dir: &Path, name: &'static str) -> (File, u64) {
    let maps = std::fs::read_to_string(dir.join("maps")).unwrap();
    for path in maps.lines().filter_map(|line| line.split_whitespace().nth(5)).filter(|p| p.contains("python3")) {
        let Ok(file) = File::open(path) else { continue };
        let Ok(image) = Image::parse(&file) else { continue };
        if let Some((address, _)) = image.exported(&[name]).unwrap().get(name) {
            let offset = (0..file.size()).step_by(4096).find_map(|page| {
                let first = image.address(page)?;
                (first..first + 4096).contains(address).then(|| page + address - first)
            });
            return (File::open(path).unwrap(), offset.unwrap());
        }
    }
    panic!("no {name} in {maps}");
}

#[test]
fn a_program_without_asyncio_has_none_yet() {
    let running = Running::start("/usr/bin/python3".as_ref(), &PROGRAM.replace("asyncio, queue, ", ""));
    assert_eq!(running.find().unwrap().asyncio, None);
}

/// Memory of one byte, repeated.
struct Same(u8);

impl Source for Same {
    fn size(&self) -> u64 {
        u64::MAX
    }

    fn read_at(&self, _: u64, to: &mut [u8]) -> bool {
        to.fill(self.0);
        true
    }
}

#[test]
fn memory_that_is_no_interpreters_is_an_error_and_ends() {
    for byte in [0, 1, 8, 0x10, 0x7f, 0xff] {
        assert!(find(&Same(byte), 4096).is_err(), "{byte}");
    }
    assert!(find(&vec![0_u8; 64], 8).is_err());
    assert!(find(&Same(0), u64::MAX - 1).is_err());
}
