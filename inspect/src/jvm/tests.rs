//! The Java VMs of this machine: each is started, and its memory read.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::table::EXPORTED;
use super::*;
use crate::Image;

/// Says its version, and waits.
const PROGRAM: &str = "public class Waits { public static void main(String[] a) throws Exception {\n\
    System.out.println(Runtime.version().feature());\n\
    Thread.getAllStackTraces();\n\
    System.in.read(); } }";

struct Running {
    child: Child,
    version: u32,
}

impl Running {
    fn start(java: &Path, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("Waits.java");
        std::fs::write(&source, PROGRAM).unwrap();
        let made = Command::new("javac").args(["--release", "17", "-d"]).arg(folder.path()).arg(source).status();
        assert!(made.unwrap().success());
        let mut child = Command::new(java)
            .args(options)
            .args(["-Xmx64m", "-cp"])
            .arg(folder.path())
            .arg("Waits")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", java.display()));
        let mut version = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut version).unwrap();
        Self { child, version: version.trim().parse().unwrap() }
    }

    fn find(&self) -> Result<Option<Carriers>, Error> {
        let dir = PathBuf::from(format!("/proc/{}", self.child.id()));
        let maps = std::fs::read_to_string(dir.join("maps")).unwrap();
        let line = maps.lines().find(|line| line.ends_with("/libjvm.so")).expect("a Java VM");
        let mut words = line.split_whitespace();
        let from = u64::from_str_radix(words.next().unwrap().split('-').next().unwrap(), 16).unwrap();
        let offset = u64::from_str_radix(words.nth(1).unwrap(), 16).unwrap();
        let file = File::open(words.nth(2).unwrap()).unwrap();
        let image = Image::parse(&file).unwrap();
        let loaded = from.wrapping_sub(image.address(offset).unwrap());
        let exported = image.exported(&EXPORTED).unwrap();
        let tables = EXPORTED.map(|name| exported[name].0.wrapping_add(loaded));
        find(&File::open(dir.join("mem")).unwrap(), &tables, image.thread_local.unwrap())
    }

    /// The same, once the VM is ready.
    fn find_when_ready(&self) -> Result<Option<Carriers>, Error> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            match self.find() {
                Err(Error::Unreadable(_)) if std::time::Instant::now() < deadline => std::thread::yield_now(),
                found => return found,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Java VMs that are here; Debian's is always, and has no virtual threads.
fn machines() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("java")];
    for entry in std::fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten() {
        let java = entry.path().join("bin/java");
        if java.is_file() {
            found.push(java);
        }
    }
    found.extend(std::env::var_os("WIRESPAN_TEST_JAVA").map(PathBuf::from));
    found
}

#[test]
fn every_java_vm_here_that_has_virtual_threads_says_where_their_numbers_are() {
    for java in machines() {
        let running = Running::start(&java, &[]);
        let found = running.find_when_ready().unwrap_or_else(|error| panic!("{}: {error}", java.display()));
        let kind = found.map(|found| matches!(found.number, Number::Heap(_)));
        println!("{} {} {found:?}", java.display(), running.version);
        match running.version {
            ..21 => assert_eq!(kind, None),
            21..25 => assert_eq!(kind, Some(true)),
            _ => assert_eq!(kind, Some(false)),
        }
    }
}

#[test]
fn a_heap_whose_objects_move_while_threads_run_is_not_read() {
    for java in machines() {
        let running = Running::start(&java, &["-XX:+UseZGC"]);
        let found = running.find_when_ready();
        match running.version {
            ..21 => assert_eq!(found, Ok(None)),
            21..25 => assert!(matches!(found, Err(Error::Missing(_))), "{found:?}"),
            _ => assert!(matches!(found, Ok(Some(Carriers { number: Number::Thread { .. }, .. }))), "{found:?}"),
        }
    }
}

#[test]
fn tables_of_any_content_are_refused_or_read_to_an_end() {
    let mut memory = vec![0_u8; 4096];
    let tables = [8; EXPORTED.len()];
    assert!(matches!(find(&memory, &tables, 64), Err(Error::Malformed(_))), "an entry has no size");
    for seed in 1..64_u64 {
        for (n, byte) in memory.iter_mut().enumerate() {
            *byte = ((n as u64 / 8).wrapping_mul(seed) & 0xff) as u8;
        }
        assert!(find(&memory, &tables, u64::MAX).is_err());
    }
}
