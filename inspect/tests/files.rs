//! Real files: what the Go toolchain makes, this test itself, and pieces of them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use wirespan_common::{go_place, go_tls_place, rustls_place, tls_place};
use wirespan_inspect::go::{self, Goroutines, Module};
use wirespan_inspect::runtime::{self, Kind};
use wirespan_inspect::tls::{self, Places};
use wirespan_inspect::{Error, Image, Source, code};

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

/// Where `cargo xtask setup` installs what is not installed for the whole system. (This is `…/debug/deps/files-…`.)
fn test_services() -> PathBuf {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    target.join("test-services")
}

/// Where a Go toolchain is.
fn toolchain() -> Option<PathBuf> {
    let installed = std::fs::read_dir(test_services()).into_iter().flatten().flatten();
    let installed = installed.map(|entry| entry.path().join("go/bin/go")).filter(|go| go.is_file());
    let known = [PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")].into_iter().chain(installed);
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
    let _ = go::tls(&image, &module);
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
        let [plain, other] = [plain.clone(), folder.path().join(name)].map(|path| places_of_plaintext(&path));
        assert_eq!(plain, other, "{name}");
    }
    probes_are_cheap(&plain, &functions);
    births_are_probed(&plain);
    damage_is_an_error(&plain);
}

/// What the kernel program is told where plaintext passes in Go's TLS: both places are there, and cheap.
fn places_of_plaintext(program: &Path) -> Vec<u64> {
    let file = File::open(program).unwrap();
    let mut image = Image::parse(&file).unwrap();
    image.read_relocations().unwrap();
    let module = Module::find(&image).unwrap();
    let probes = go::tls(&image, &module).unwrap().unwrap();
    for probe in &probes {
        let place = image.file_bytes(probe.offset, 1).unwrap()[0];
        // A call of what copies; `push %rbp`.
        let wanted = if go_tls_place::place(probe.cookie) == go_tls_place::READS { 0xe8 } else { 0x55 };
        assert_eq!(place, wanted, "{probe:x?}");
        let (plain, tls) = go_tls_place::hashes(probe.cookie);
        assert!(plain != 0 && tls != 0 && plain != tls, "{probe:x?}");
    }
    assert_eq!(
        probes.iter().map(|probe| go_tls_place::place(probe.cookie)).collect::<Vec<_>>(),
        [go_tls_place::READS, go_tls_place::WRITES]
    );
    probes.iter().map(|probe| probe.cookie).collect()
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

/// Where goroutines are made and end is found, at instructions that the kernel emulates.
fn births_are_probed(program: &Path) {
    let file = File::open(program).unwrap();
    let image = Image::parse(&file).unwrap();
    let found = go::probes(&image, &Module::find(&image).unwrap()).unwrap();
    assert!(found.gaps.is_empty(), "{:?}", found.gaps);
    let [made, ends] = [go_place::MADE, go_place::ENDS].map(|place| {
        let mut of = found.births.iter().filter(|probe| probe.cookie as u8 == place);
        let (Some(probe), None) = (of.next(), of.next()) else { panic!("{:x?}", found.births) };
        *probe
    });
    assert_eq!(image.file_bytes(ends.offset, 1).unwrap(), [0x55], "push %rbp");
    // A call, or a branch.
    let instruction = image.file_bytes(made.offset, 1).unwrap()[0];
    assert!([0xe8, 0xeb, 0xe9, 0x0f].contains(&instruction) || instruction >> 4 == 7, "{instruction:x}");
    let (register, frame, site) = (made.cookie >> 48, made.cookie >> 16 & 0xffff, made.cookie >> 32 & 0xffff);
    assert!(register < 16 && frame > 0 && frame < site && site < 4096, "{register} {frame} {site}");
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
        let Ok(file) = File::open(Path::new("/usr/lib/x86_64-linux-gnu").join(name)) else {
            assert!(std::env::var_os("CI").is_none(), "tests in CI need {name}: `cargo xtask setup` installs it");
            eprintln!("{name} is not here: what is read of it is not tested");
            continue;
        };
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
    let probes = tls::probes(&mut image, Places::Cheap).unwrap();
    let of = |place: u8| how_many(&probes, place);
    assert_eq!(of(tls_place::READS) + of(tls_place::READS_FIFTH), 1, "{probes:x?}");
    assert_eq!(of(tls_place::WRITES), 1, "{probes:x?}");
    assert!((2..=12).contains(&of(tls_place::LEAVES)), "{probes:x?}");
    all_are_cheap(&image, &probes);
}

fn how_many(probes: &[tls::Probe], place: u8) -> usize {
    probes.iter().filter(|probe| probe.cookie as u8 & 0xf == place).count()
}

fn all_are_cheap(image: &Image<'_>, probes: &[tls::Probe]) {
    for probe in probes {
        let byte = image.file_bytes(probe.offset, 2).unwrap();
        let emulated = [0xe8, 0xe9, 0xeb, 0x0f].contains(&byte[0]) || (0x50..0x58).contains(&byte[0]);
        assert!(emulated || (0x70..0x80).contains(&byte[0]) || byte[0] == 0x41, "{probe:x?}: {byte:x?}");
    }
}

#[test]
fn of_gnutls_the_places_are_found_though_its_functions_end_in_others() {
    let Ok(file) = File::open("/usr/lib/x86_64-linux-gnu/libgnutls.so.30") else {
        assert!(std::env::var_os("CI").is_none(), "tests in CI need GnuTLS: `cargo xtask setup` installs wget");
        return eprintln!("no GnuTLS is here: what is read of it is not tested");
    };
    let mut image = Image::parse(&file).unwrap();
    assert!(tls::is_library(&image).unwrap());
    let probes = tls::probes(&mut image, Places::Cheap).unwrap();
    assert_eq!([tls_place::READS_PLAIN, tls_place::WRITES_PLAIN].map(|place| how_many(&probes, place)), [1, 1]);
    let leaves = probes.iter().filter(|probe| probe.cookie as u8 & 0xf == tls_place::LEAVES);
    let randoms: Vec<u64> = leaves.map(|probe| probe.cookie >> 24 & 0xffff).collect();
    assert!(randoms.len() > 4 && randoms.iter().all(|offset| *offset == randoms[0] && *offset != 0), "{randoms:x?}");
    all_are_cheap(&image, &probes);
}

/// What this pattern of names fits in a folder, and in those in it.
fn files_in(folder: &Path, fits: &dyn Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        match is_folder {
            true => files_in(&entry.path(), fits, found),
            false if entry.file_name().to_str().is_some_and(fits) => found.push(entry.path()),
            false => {}
        }
    }
}

#[test]
fn of_rustls_the_places_are_found_in_programs_without_symbols_whatever_does_its_cryptography() {
    let mut libraries = Vec::new();
    let is = |name: &str| {
        ["_granian.", "httpr.", "_pyreqwest."].iter().any(|wanted| name.starts_with(wanted)) && name.ends_with(".so")
    };
    files_in(&test_services().join("venv-rust/lib"), &is, &mut libraries);
    if libraries.len() != 3 {
        assert!(std::env::var_os("CI").is_none(), "tests in CI need rustls: `cargo xtask setup` installs what has it");
        return eprintln!("nothing with rustls is here: what is read of it is not tested");
    }
    for path in libraries {
        let file = File::open(&path).unwrap();
        let mut image = Image::parse(&file).unwrap();
        assert!(!tls::is_library(&image).unwrap());
        assert_eq!(tls::hidden(&mut image, Places::Cheap), Ok(None), "{}", path.display());
        let probes = tls::rustls::probes(&mut image, Places::Cheap).unwrap().unwrap();
        // AWS-LC has two kinds of halves, and ring one.
        let each = if path.to_string_lossy().contains("pyreqwest") { 2 } else { 1 };
        let places = [rustls_place::ENCRYPTS, rustls_place::MADE, rustls_place::DECRYPTS, rustls_place::OPENED];
        assert_eq!(places.map(|place| how_many(&probes, place)), [each; 4], "{}: {probes:x?}", path.display());
        all_are_cheap(&image, &probes);
    }
}

/// Functions with the reasons, calls and fields of BoringSSL's, and others of the same file beside them.
const LIKE_BORING: &str = r#"
#include <stddef.h>
#include <string.h>
#define FILE_NAME "third_party/ssl/ssl_lib.cc"
typedef struct { unsigned long long numbers[2]; unsigned char randoms[64]; char *data; size_t left; void *hs; int error; } State;
typedef struct Session Session;
typedef struct { void *others[9]; int (*write)(Session *, char *, size_t *, const char *, size_t); } Methods;
struct Session { const Methods *methods; void *config; int version; void *in, *out; int (*handshake)(void *); State *state; void *quic; };
void put_error(int, int, int, const char *, unsigned);
int shake(Session *);
int record(Session *);
#define FAIL(reason) put_error(16, 0, reason, FILE_NAME, __LINE__)
__attribute__((noinline)) static int inner(Session *s) {
  s->state->error = 0;
  if (!s->handshake) { FAIL(226); return -1; }
  while (!s->state->left) {
    if (s->state->hs) { int r = shake(s); if (r < 0) return r; if (!r) { FAIL(215); return -1; } }
    int r = record(s);
    if (r <= 0) return r;
  }
  return 1;
}
int peek(Session *s, void *to, int n) {
  if (s->quic) { FAIL(66); return -1; }
  int r = inner(s);
  if (r <= 0) return r;
  if (n <= 0) return n;
  size_t all = s->state->left < (size_t)n ? s->state->left : (size_t)n;
  memcpy(to, s->state->data, all);
  return (int)all;
}
int take(Session *s, void *to, int n) {
  int r = peek(s, to, n);
  if (r <= 0) return r;
  s->state->data += r;
  s->state->left -= (size_t)r;
  if (!s->state->left) shake(s);
  return r;
}
int give(Session *s, const void *from, int n) {
  s->state->error = 0;
  if (s->quic) { FAIL(66); return -1; }
  if (!s->handshake) { FAIL(226); return -1; }
  int r; size_t count = 0; char again = 0;
  do {
    if (s->state->hs) { r = shake(s); if (r < 0) return r; if (!r) { FAIL(215); return -1; } }
    if (n < 0) { FAIL(111); return -1; }
    r = s->methods->write(s, &again, &count, from, (size_t)n);
  } while (again);
  return r <= 0 ? r : (int)count;
}
int other(Session *s) { if (s->quic) { FAIL(66); return -1; } return record(s); }
"#;

#[test]
fn of_boringssl_the_places_are_found_without_symbols() {
    // (The function that reads has the one that only looks in it, or calls it.)
    for level in ["-O2", "-O3"] {
        boring_is_found(level);
    }
}

fn boring_is_found(level: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("like.c"), LIKE_BORING).unwrap();
    let mut compiler = Command::new("cc");
    compiler.current_dir(folder.path()).args([
        level,
        "-fvisibility=hidden",
        "-fPIC",
        "-shared",
        "-s",
        "-o",
        "like.so",
        "like.c",
    ]);
    let output = compiler.output().expect("what links Rust programs is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = File::open(folder.path().join("like.so")).unwrap();
    let mut image = Image::parse(&file).unwrap();
    assert_eq!(tls::is_library(&image), Ok(false));
    let probes = tls::hidden(&mut image, Places::Cheap).unwrap().unwrap();
    let places = [tls_place::READS_PLAIN, tls_place::WRITES_PLAIN, tls_place::LEAVES_COUNTED];
    assert_eq!(places.map(|place| how_many(&probes, place)), [1; 3], "{probes:x?}");
    let written = probes.iter().find(|probe| probe.cookie as u8 & 0xf == tls_place::LEAVES_COUNTED).unwrap();
    assert_eq!((written.cookie >> 24 & 0xffff, written.cookie >> 40 & 0xfff), (48, 48), "random, and state");
    all_are_cheap(&image, &probes);
    // What it is known by is gone.
    let mut bytes = std::fs::read(folder.path().join("like.so")).unwrap();
    let at = bytes.windows(10).position(|window| window == b"ssl_lib.cc").unwrap();
    bytes[at] = b'x';
    assert_eq!(tls::hidden(&mut Image::parse(&bytes).unwrap(), Places::Cheap), Ok(None));
}

#[test]
fn what_is_no_tls_library_has_no_places() {
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let mut image = Image::parse(&file).unwrap();
    assert_eq!(tls::is_library(&image), Ok(false));
    assert!(matches!(tls::probes(&mut image, Places::Cheap), Err(Error::Missing(_))));
}

#[test]
fn openssl_that_is_linked_into_a_program_is_found_as_the_shared_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let program = "#include <openssl/ssl.h>\nint main(int n, char **words) { SSL *s = SSL_new(SSL_CTX_new(TLS_method())); \
        return SSL_connect(s) + SSL_accept(s) + SSL_read(s, words, n) + SSL_write(s, words, n); }";
    std::fs::write(folder.path().join("linked.c"), program).unwrap();
    let mut compiler = Command::new("cc");
    compiler.current_dir(folder.path()).args([
        "-O2",
        "-s",
        "-o",
        "linked",
        "linked.c",
        "-Wl,-Bstatic",
        "-lssl",
        "-lcrypto",
    ]);
    let built = compiler.args(["-Wl,-Bdynamic", "-lpthread", "-ldl"]).output().unwrap();
    if !built.status.success() {
        assert!(
            std::env::var_os("CI").is_none(),
            "tests in CI need libssl-dev: {}",
            String::from_utf8_lossy(&built.stderr)
        );
        return eprintln!("OpenSSL's archives are not here: what is linked into programs is not tested");
    }
    let file = File::open(folder.path().join("linked")).unwrap();
    let mut image = Image::parse(&file).unwrap();
    assert_eq!(tls::is_library(&image), Ok(false));
    let probes = tls::hidden(&mut image, Places::Cheap).unwrap().unwrap();
    let shared = File::open("/usr/lib/x86_64-linux-gnu/libssl.so.3").unwrap();
    let known = tls::probes(&mut Image::parse(&shared).unwrap(), Places::Cheap).unwrap();
    let random = |probes: &[tls::Probe]| probes.iter().map(|probe| probe.cookie >> 24 & 0xffff).max();
    assert_eq!((probes.len(), random(&probes)), (known.len(), random(&known)));
    all_are_cheap(&image, &probes);
}
