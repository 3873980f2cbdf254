//! Real files: what the Go toolchain makes, this test itself, and pieces of them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use wirespan_common::tls_place;
use wirespan_inspect::go::{self, Goroutines, Module};
use wirespan_inspect::runtime::{self, Kind};
use wirespan_inspect::{Error, Image, Source, code, tls};

/// A program that has all that is looked for.
const PROGRAM: &str = r#"package main

import (
	"fmt"
	"net/http"
	"os"
	"reflect"
	"unsafe"
)

type sample struct {
	first  byte
	second uint64
}

func main() {
	if len(os.Args) > 1 {
		fmt.Println(http.Get(os.Args[1]))
		fmt.Println(http.ListenAndServe("127.0.0.1:0", nil))
	}
	field, _ := reflect.TypeOf(sample{}).FieldByName("second")
	fmt.Println(field.Offset, unsafe.Sizeof(sample{}))
}
"#;

/// Where a Go toolchain is.
fn toolchain() -> Option<PathBuf> {
    let known = [PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")];
    let found = known.into_iter().find(|go| Command::new(go).arg("version").output().is_ok_and(|o| o.status.success()));
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "tests in CI need Go: `cargo xtask setup` installs it"
    );
    if found.is_none() {
        eprintln!("no Go toolchain is here: what is read of Go programs is not tested");
    }
    found
}

/// Builds the program; `None` without a toolchain.
fn build(folder: &Path, name: &str, arguments: &[&str]) -> Option<PathBuf> {
    let go = toolchain()?;
    std::fs::write(folder.join("main.go"), PROGRAM).unwrap();
    std::fs::write(folder.join("go.mod"), "module example.org/sample\n\ngo 1.21\n").unwrap();
    let mut command = Command::new(go);
    command.current_dir(folder).env("CGO_ENABLED", "0").args(["build", "-o", name]).args(arguments).arg(".");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(folder.join(name))
}

/// All that is read of a Go program.
fn read(source: &dyn Source) -> Result<(String, Goroutines, Vec<go::Function>), Error> {
    let mut image = Image::parse(source)?;
    image.read_relocations()?;
    let module = Module::find(&image)?;
    let functions = module.functions(&image, |name| {
        ["net/http.serverHandler.ServeHTTP", "net/http.(*persistConn).roundTrip", "main.main"].contains(&name)
    })?;
    Ok((go::build(&image)?.version, go::goroutines(&image, &module)?, functions))
}

#[test]
fn a_stripped_program_says_the_same_as_one_with_symbols_wherever_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let Some(plain) = build(folder.path(), "plain", &[]) else { return };
    let (version, units, functions) = read(&File::open(&plain).unwrap()).unwrap();
    assert!(version.starts_with("1."), "{version}");
    assert!(units.id > 0 && units.parent > units.id && units.helpers[0] != 0, "{units:?}");
    let names: Vec<_> = functions.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let symbols = Command::new(toolchain().unwrap()).args(["tool", "nm"]).arg(&plain).output().unwrap();
    let symbols = String::from_utf8(symbols.stdout).unwrap();
    for function in &functions {
        let line = symbols.lines().find(|line| line.ends_with(&format!(" T {}", function.name))).unwrap();
        let address = u64::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap();
        assert_eq!(function.address, address, "{}", function.name);
        assert!(function.end > function.address);
    }
    for (name, arguments) in [("stripped", &["-ldflags=-s -w"][..]), ("pie", &["-ldflags=-s -w", "-buildmode=pie"])] {
        let other = read(&File::open(build(folder.path(), name, arguments).unwrap()).unwrap()).unwrap();
        assert_eq!(other.0, version, "{name}");
        assert_eq!(Goroutines { helpers: units.helpers, ..other.1 }, units, "{name}");
        assert_ne!(other.1.helpers[0], 0, "{name}");
        assert_eq!(other.2.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), names, "{name}");
    }
    probes_are_cheap(&plain, &functions);
    damage_is_an_error(&plain);
}

/// Each function that is probed has a place that the kernel emulates.
fn probes_are_cheap(program: &Path, functions: &[go::Function]) {
    let file = File::open(program).unwrap();
    let image = Image::parse(&file).unwrap();
    for function in functions {
        let bytes = image.bytes(function.address, (function.end - function.address).min(256) as usize).unwrap();
        let place = code::emulated(&bytes).unwrap();
        assert_eq!(bytes[place as usize], 0x55, "{}: push %rbp", function.name);
    }
}

/// Files that are cut short, and files with words overwritten: an error or an answer, and never a panic.
fn damage_is_an_error(program: &Path) {
    let whole = std::fs::read(program).unwrap();
    for part in [0, 1, 16, 63, 64, 65, 1000, 4096, whole.len() / 8, whole.len() / 2, whole.len() - 4096] {
        let cut = whole[..part].to_vec();
        assert!(read(&cut).is_err(), "cut to {part} bytes");
    }
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut damaged = whole;
    let heads = [64, 4096];
    for round in 0..40 {
        let below = heads[round % heads.len()];
        let at = 18 + random(below - 26);
        let before: [u8; 8] = damaged[at..at + 8].try_into().unwrap();
        damaged[at..at + 8].copy_from_slice(&[0xff; 8]);
        let _ = read(&damaged);
        damaged[at..at + 8].copy_from_slice(&before);
    }
}

#[test]
fn a_rust_program_says_what_compiled_it() {
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let image = Image::parse(&file).unwrap();
    let found = runtime::of(&image).unwrap();
    assert_eq!(found.kind, Kind::Rust);
    assert!(found.version.unwrap().starts_with("1."));
    assert!(image.build_id.is_some());
    assert!(matches!(Module::find(&image), Err(Error::Missing(_))));
}

#[test]
fn what_is_no_program_is_refused() {
    for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &[0x7f; 4096]] {
        assert_eq!(Image::parse(&bytes.to_vec()).map(|_| ()), Err(Error::NotElf));
    }
}

#[test]
fn libraries_that_are_runtimes_say_their_version() {
    let libraries = [("libpython3.11.so.1.0", Kind::CPython, "3.11."), ("libruby-3.1.so.3.1", Kind::Ruby, "3.1.")];
    for (name, kind, version) in libraries {
        let Ok(file) = File::open(Path::new("/usr/lib/x86_64-linux-gnu").join(name)) else { continue };
        let found = runtime::of(&Image::parse(&file).unwrap()).unwrap();
        assert_eq!(found.kind, kind);
        assert!(found.version.unwrap().starts_with(version), "{name}");
    }
}

#[test]
fn of_openssl_the_places_are_found_at_which_plaintext_passes() {
    let path = "/usr/lib/x86_64-linux-gnu/libssl.so.3";
    let Ok(file) = File::open(path) else {
        assert!(std::env::var_os("CI").is_none(), "tests in CI need OpenSSL: `cargo xtask setup` installs it");
        return eprintln!("no OpenSSL is here: what is read of it is not tested");
    };
    let mut image = Image::parse(&file).unwrap();
    assert!(tls::is_library(&image).unwrap());
    let probes = tls::probes(&mut image).unwrap();
    let of = |place: u8| probes.iter().filter(|probe| probe.cookie as u8 == place).count();
    assert_eq!(of(tls_place::READS) + of(tls_place::READS_FIFTH), 1, "{probes:x?}");
    assert_eq!(of(tls_place::WRITES), 1, "{probes:x?}");
    assert!((2..=12).contains(&of(tls_place::LEAVES)), "{probes:x?}");
    for probe in &probes {
        let byte = image.file_bytes(probe.offset, 2).unwrap();
        let emulated = [0xe8, 0xe9, 0xeb, 0x0f].contains(&byte[0]) || (0x50..0x58).contains(&byte[0]);
        assert!(emulated || (0x70..0x80).contains(&byte[0]) || byte[0] == 0x41, "{probe:x?}: {byte:x?}");
    }
}

#[test]
fn what_is_no_tls_library_has_no_places() {
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let mut image = Image::parse(&file).unwrap();
    assert_eq!(tls::is_library(&image), Ok(false));
    assert!(matches!(tls::probes(&mut image), Err(Error::Missing(_))));
}
