//! Everything that is read of a program, of any bytes: an answer or an error, no panic, and bounded work.
//!
//! Most inputs are no ELF files, so the input is laid over a small one that has all the sections.
#![no_main]

use std::cell::Cell;

use libfuzzer_sys::fuzz_target;
use wirespan_inspect::go::{self, Module};
use wirespan_inspect::{Image, Source, code, runtime};

/// More bytes than this are read of no small file.
const MAX_READ: u64 = 1 << 30;
const NAMES: [&str; 10] = [
    "", ".shstrtab", ".gopclntab", ".go.buildinfo", ".go.module", ".rodata", ".text", ".rela", ".comment", ".dynsym",
];
/// Each section has as many bytes.
const ROOM: usize = 1024;
const HEADERS: usize = 64 + 56;

/// Counts what is read.
struct Counted<'b>(&'b [u8], Cell<u64>);

impl Source for Counted<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> bool {
        self.1.set(self.1.get() + to.len() as u64);
        assert!(self.1.get() < MAX_READ, "a small file was read again and again");
        self.0.read_at(offset, to)
    }
}

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
    let table = out.len();
    let mut name = 0_u32;
    for (index, text) in NAMES.iter().enumerate() {
        let at = (HEADERS + index * ROOM) as u64;
        let kind: u32 = [1, 4, 11][usize::from(*text == ".rela") + 2 * usize::from(*text == ".dynsym")];
        out.extend([name.to_le_bytes(), kind.to_le_bytes()].concat());
        out.extend([0, at, at, ROOM as u64].map(u64::to_le_bytes).concat());
        out.extend([5_u32.to_le_bytes(), [0; 4]].concat());
        out.extend([8_u64, 24].map(u64::to_le_bytes).concat());
        name += text.len() as u32 + 1;
    }
    out[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0");
    out[20] = 1;
    out[32..40].copy_from_slice(&64_u64.to_le_bytes());
    out[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    for (at, value) in [(52, 64_u16), (54, 56), (56, 1), (58, 64), (60, NAMES.len() as u16), (62, 1)] {
        out[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    out[64] = 1;
    let size = (out.len() as u64).to_le_bytes();
    out[64 + 32..64 + 40].copy_from_slice(&size);
    out[64 + 40..64 + 48].copy_from_slice(&size);
    out
}

fn read(bytes: &[u8]) {
    let source = Counted(bytes, Cell::new(0));
    let Ok(mut image) = Image::parse(&source) else { return };
    let _ = runtime::of(&image);
    let _ = image.read_relocations();
    let _ = go::build(&image);
    let Ok(module) = Module::find(&image) else { return };
    let _ = module.functions(&image, |name| name.len() == 3);
    let _ = go::goroutines(&image, &module);
}

fuzz_target!(|input: &[u8]| {
    let _ = code::emulated(input);
    read(input);
    read(&file(input));
});
