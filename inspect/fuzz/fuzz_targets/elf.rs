//! Files that programs might be: sections one behind the other, all of them loaded; and how much is read of one.

use std::cell::Cell;

use wirespan_inspect::Source;

/// What comes before the sections.
pub const HEADERS: usize = 64 + 56;

/// Some bytes of which so many may be read.
pub struct Counted<'b> {
    bytes: &'b [u8],
    most: u64,
    read: Cell<u64>,
}

impl<'b> Counted<'b> {
    /// Nothing was read yet.
    pub fn new(bytes: &'b [u8], most: u64) -> Self {
        Self { bytes, most, read: Cell::new(0) }
    }
}

impl Source for Counted<'_> {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> bool {
        self.read.set(self.read.get() + to.len() as u64);
        assert!(self.read.get() < self.most, "a small file was read again and again");
        self.bytes.read_at(offset, to)
    }
}

/// One section.
#[derive(Clone, Copy, Default)]
pub struct Section {
    /// Where its name begins, in the second section.
    pub name: u32,
    /// Its type.
    pub kind: u32,
    /// Where it is, in the file and in memory.
    pub at: usize,
    /// Its bytes.
    pub size: usize,
    /// The section that belongs to it.
    pub link: u32,
    /// Bytes of one of its entries.
    pub entry: u64,
}

/// Makes a file of what stands behind room for the headers.
pub fn file(mut out: Vec<u8>, sections: &[Section]) -> Vec<u8> {
    let table = out.len();
    for Section { name, kind, at, size, link, entry } in sections {
        out.extend([name.to_le_bytes(), kind.to_le_bytes()].concat());
        out.extend([0, *at as u64, *at as u64, *size as u64].map(u64::to_le_bytes).concat());
        out.extend([link.to_le_bytes(), [0; 4]].concat());
        out.extend([8, *entry].map(u64::to_le_bytes).concat());
    }
    out[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0");
    out[20] = 1;
    out[32..40].copy_from_slice(&64_u64.to_le_bytes());
    out[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    for (at, value) in [(52, 64_u16), (54, 56), (56, 1), (58, 64), (60, sections.len() as u16), (62, 1)] {
        out[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    out[64] = 1;
    let size = (out.len() as u64).to_le_bytes();
    out[64 + 32..64 + 40].copy_from_slice(&size);
    out[64 + 40..64 + 48].copy_from_slice(&size);
    out
}
