//! Everything that is read of a program, of any bytes: an answer or an error, no panic, and bounded work.
//!
//! Most inputs are no ELF files, so the input is laid over a small one that has all the sections.
#![no_main]

mod elf;

use elf::{Counted, HEADERS, Section};
use libfuzzer_sys::fuzz_target;
use wirespan_inspect::go::{self, Module};
use wirespan_inspect::{Image, code, runtime, tls};

/// More bytes than this are read of no small file.
const MAX_READ: u64 = 1 << 30;
const NAMES: [&str; 10] =
    ["", ".shstrtab", ".gopclntab", ".go.buildinfo", ".go.module", ".rodata", ".text", ".rela", ".comment", ".dynsym"];
/// Each section has as many bytes.
const ROOM: usize = 1024;

/// A file with those sections, one behind the other and all of them loaded, that hold `input`.
fn file(input: &[u8]) -> Vec<u8> {
    let names: Vec<u8> = NAMES.iter().flat_map(|name| name.bytes().chain([0])).collect();
    let mut out = vec![0_u8; HEADERS];
    for index in 0..NAMES.len() {
        let from = out.len();
        let piece = if index == 1 { &names[..] } else { input.chunks(ROOM).nth(index).unwrap_or_default() };
        out.extend(piece);
        out.resize(from + ROOM, 0);
    }
    let mut name = 0_u32;
    let mut section = |(index, text): (usize, &&str)| {
        let kind = [1, 4, 11][usize::from(*text == ".rela") + 2 * usize::from(*text == ".dynsym")];
        let begins = name;
        name += text.len() as u32 + 1;
        Section { name: begins, kind, at: HEADERS + index * ROOM, size: ROOM, link: 5, entry: 24 }
    };
    let sections: Vec<Section> = NAMES.iter().enumerate().map(&mut section).collect();
    elf::file(out, &sections)
}

fn read(bytes: &[u8]) {
    let source = Counted::new(bytes, MAX_READ);
    let Ok(mut image) = Image::parse(&source) else { return };
    let _ = runtime::of(&image);
    let _ = tls::is_library(&image);
    let _ = tls::hidden(&mut image, tls::Places::Any);
    let _ = tls::rustls::probes(&mut image, tls::Places::Any);
    let _ = tls::probes(&mut image, tls::Places::Any);
    let _ = image.read_relocations();
    let _ = go::build(&image);
    let Ok(module) = Module::find(&image) else { return };
    let _ = module.functions(&image, |name| name.len() == 3);
    let _ = go::goroutines(&image, &module);
    let _ = go::tls(&image, &module);
}

fuzz_target!(|input: &[u8]| {
    let _ = code::emulated(input);
    read(input);
    read(&file(input));
});
