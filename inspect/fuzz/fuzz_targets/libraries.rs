//! What is looked for of TLS libraries in a program without symbols: its code is any bytes, and it says that it has BoringSSL.
//! An answer or an error, no panic, and bounded work.
#![no_main]

mod elf;

use elf::{Counted, HEADERS, Section};
use libfuzzer_sys::fuzz_target;
use wirespan_inspect::{Image, tls};

/// More bytes than this are read of no small file.
const MAX_READ: u64 = 256 << 20;
const NAMES: &[u8] = b"\0.shstrtab\0.rodata\0.text\0.eh_frame_hdr\0";
/// Where each name begins, and its section's type.
const SECTIONS: [(u32, u32); 5] = [(0, 0), (1, 3), (11, 1), (19, 1), (25, 1)];
const TEXT: &[u8] = b"\0third_party/ssl/ssl_lib.cc\0";
/// Functions begin every so many bytes.
const FUNCTION: usize = 256;

/// A file whose code is `input`.
fn file(input: &[u8]) -> Vec<u8> {
    let rodata = HEADERS + NAMES.len();
    let text = rodata + TEXT.len();
    let table = text + input.len();
    let functions: Vec<usize> = (0..input.len()).step_by(FUNCTION).collect();
    let mut index = vec![1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0];
    index.extend((functions.len() as u32).to_le_bytes());
    for function in &functions {
        index.extend(((text + function) as i32 - table as i32).to_le_bytes());
        index.extend([0; 4]);
    }
    let places = [(0, 0), (HEADERS, NAMES.len()), (rodata, TEXT.len()), (text, input.len()), (table, index.len())];
    let mut out = vec![0_u8; HEADERS];
    for part in [NAMES, TEXT, input, &index] {
        out.extend(part);
    }
    let sections = SECTIONS.iter().zip(places);
    let sections: Vec<Section> = sections
        .map(|((name, kind), (at, size))| Section { name: *name, kind: *kind, at, size, ..Section::default() })
        .collect();
    elf::file(out, &sections)
}

fuzz_target!(|input: &[u8]| {
    let bytes = file(&input[..input.len().min(16 << 10)]);
    let source = Counted::new(&bytes, MAX_READ);
    let Ok(mut image) = Image::parse(&source) else { panic!("the file that this makes is none") };
    for probes in [tls::hidden(&mut image, tls::Places::Any), tls::rustls::probes(&mut image, tls::Places::Any)].into_iter().flatten().flatten() {
        assert!(probes.iter().all(|probe| probe.offset < bytes.len() as u64));
    }
});
