//! An ELF file: its sections, and its memory as it will be when it is loaded.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, Rela, SectionHeader, Sym};
use object::read::{ReadCache, ReadRef};

use crate::{Error, Source};

type Header = FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// The most that headers and symbols of one file may take, bytes.
const MAX_HEADERS: u64 = 16 << 20;
/// The most that is read at once, bytes.
const MAX_READ: usize = 1 << 20;
/// Sections and segments.
const MAX_PARTS: usize = 4096;
/// Words that are set when the program is loaded somewhere; a file with more is one whose types cannot be read.
const MAX_RELOCATIONS: u64 = 2 << 20;
/// Size of one in the file.
const RELA: u64 = 24;

/// What it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// arm64.
    Aarch64,
}

/// A named part of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it lies in memory; 0 if it is not loaded.
    pub address: u64,
    /// Where it lies in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// `SHT_*`.
    kind: u32,
    link: u32,
}

impl Section {
    /// The address behind its last byte.
    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }
}

/// What of the file is loaded where.
#[derive(Clone, Copy, Debug)]
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
}

/// An ELF file. Holds headers only; everything else is read when it is asked for.
pub struct Image<'a> {
    source: &'a dyn Source,
    /// What it runs on.
    pub machine: Machine,
    /// Where the program begins.
    pub entry: u64,
    /// It may be loaded anywhere: addresses here are relative to that.
    pub runs_anywhere: bool,
    /// The linker's name for exactly this file: GNU's build id, else Go's.
    pub build_id: Option<Vec<u8>>,
    /// Bytes of memory that each thread has of its own, if any: up to the next multiple of their alignment.
    pub thread_local: Option<u64>,
    sections: Vec<Section>,
    segments: Vec<Segment>,
    /// Words that are set when the program is loaded, by address; sorted.
    relocations: Vec<(u64, u64)>,
}

impl<'a> Image<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// If it is no such file, or its headers make no sense.
    pub fn parse(source: &'a dyn Source) -> Result<Self, Error> {
        let cache = ReadCache::new(Cursor { source, at: 0 });
        let budget = Cell::new(MAX_HEADERS);
        let data = Bounded { cache: &cache, budget: &budget };
        let header = Header::parse(data).map_err(|_| Error::NotElf)?;
        let machine = match header.e_machine(LE) {
            elf::EM_X86_64 if header.is_little_endian() => Machine::X86_64,
            elf::EM_AARCH64 if header.is_little_endian() => Machine::Aarch64,
            _ => return Err(Error::NotElf),
        };
        let mut image = Self {
            source,
            machine,
            entry: header.e_entry(LE),
            runs_anywhere: header.e_type(LE) == elf::ET_DYN,
            build_id: None,
            thread_local: None,
            sections: read_sections(header, data)?,
            segments: Vec::new(),
            relocations: Vec::new(),
        };
        let segments = header.program_headers(LE, data).map_err(|_| Error::Malformed("the program headers"))?;
        for segment in segments.iter().take(MAX_PARTS) {
            let (address, offset, size) = (segment.p_vaddr(LE), segment.p_offset(LE), segment.p_filesz(LE));
            match segment.p_type(LE) {
                elf::PT_LOAD => image.segments.push(Segment { address, offset, size }),
                elf::PT_TLS => {
                    let align = segment.p_align(LE).max(1);
                    image.thread_local = segment.p_memsz(LE).checked_next_multiple_of(align);
                }
                _ => {}
            }
        }
        image.build_id = image.read_build_id();
        Ok(image)
    }

    /// A section by its name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// All sections.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The file's bytes from `offset` on, at most a megabyte.
    ///
    /// # Errors
    /// If they are not all there.
    pub fn file_bytes(&self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        if len > MAX_READ {
            return Err(Error::TooLarge("a part"));
        }
        let mut bytes = vec![0; len];
        match self.source.read_at(offset, &mut bytes) {
            true => Ok(bytes),
            false => Err(Error::Unreadable("a part")),
        }
    }

    /// Where in the file the byte at a memory address is.
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        let holds = |s: &&Segment| address >= s.address && address - s.address < s.size;
        let segment = self.segments.iter().find(holds)?;
        segment.offset.checked_add(address - segment.address)
    }

    /// The memory address of the byte at an offset in the file, if a page with it is loaded.
    pub fn address(&self, offset: u64) -> Option<u64> {
        // (The loader maps whole pages.)
        let from = |s: &Segment| s.offset & !0xfff;
        let segment = self.segments.iter().find(|s| offset >= from(s) && offset < s.offset.saturating_add(s.size))?;
        segment.address.checked_add(offset)?.checked_sub(segment.offset)
    }

    /// Memory at an address as the file has it, at most a megabyte.
    ///
    /// # Errors
    /// If the file does not have all of it.
    pub fn bytes(&self, address: u64, len: usize) -> Result<Vec<u8>, Error> {
        let offset = self.file_offset(address).ok_or(Error::Unreadable("an address"))?;
        self.file_bytes(offset, len)
    }

    /// Where a function ends at the latest, by the table that exceptions find their way with: where the next begins. All there
    /// is, if there is no such table.
    pub fn function_end(&self, address: u64) -> u64 {
        self.next_function(address).unwrap_or(u64::MAX)
    }

    /// Where the function begins that an address is in, by the same table.
    pub fn function_of(&self, address: u64) -> Option<u64> {
        self.neighbours(address)?.0
    }

    /// Looks in `.eh_frame_hdr` (Linux Standard Base, 10.6.2): sorted pairs of a function's beginning and what describes it,
    /// each relative to the section.
    fn next_function(&self, address: u64) -> Option<u64> {
        self.neighbours(address)?.1
    }

    /// Where the function that has an address begins, and the next one.
    fn neighbours(&self, address: u64) -> Option<(Option<u64>, Option<u64>)> {
        const RELATIVE: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
        let table = self.section(".eh_frame_hdr")?;
        let head = self.file_bytes(table.offset, 12).ok().filter(|head| head[..4] == RELATIVE)?;
        let (mut low, mut high) = (0_u64, u64::from(word32(&head, 8)?));
        let begins = |index: u64| {
            let at = table.offset.checked_add(12)?.checked_add(index.checked_mul(8)?)?;
            let offset = word32(&self.file_bytes(at, 4).ok()?, 0)?;
            Some(table.address.wrapping_add_signed(i64::from(offset as i32)))
        };
        let all = high;
        while low < high {
            let middle = low + (high - low) / 2;
            if begins(middle)? <= address { low = middle + 1 } else { high = middle }
        }
        Some((low.checked_sub(1).and_then(begins), if low < all { begins(low) } else { None }))
    }

    /// The word at an address as it is when the program is loaded, save for where it is loaded.
    ///
    /// # Errors
    /// If the file does not have it.
    pub fn word(&self, address: u64) -> Result<u64, Error> {
        if let Ok(at) = self.relocations.binary_search_by_key(&address, |(place, _)| *place) {
            return Ok(self.relocations[at].1);
        }
        let bytes = self.bytes(address, 8)?;
        bytes.try_into().map(u64::from_le_bytes).map_err(|_| Error::Unreadable("a word"))
    }

    /// The addresses of words that are set to `value` when the program is loaded.
    pub(crate) fn relocated_to(&self, value: u64) -> impl Iterator<Item = u64> {
        self.relocations.iter().filter(move |(_, to)| *to == value).map(|(place, _)| *place)
    }

    /// Reads which words are set when the program is loaded; without that [`word`](Self::word) is right only for programs
    /// that run at a fixed address.
    ///
    /// # Errors
    /// If there are too many, or they cannot be read.
    pub fn read_relocations(&mut self) -> Result<(), Error> {
        let relative = match self.machine {
            Machine::X86_64 => elf::R_X86_64_RELATIVE,
            Machine::Aarch64 => elf::R_AARCH64_RELATIVE,
        };
        let tables: Vec<_> = self.sections.iter().filter(|s| s.kind == elf::SHT_RELA && s.address != 0).collect();
        let entries: u64 = tables.iter().map(|table| table.size / RELA).fold(0, u64::saturating_add);
        if entries > MAX_RELOCATIONS {
            return Err(Error::TooLarge("the relocations"));
        }
        let mut found = Vec::new();
        for table in tables {
            let step = MAX_READ as u64 / RELA * RELA;
            let end = table.offset.saturating_add(table.size / RELA * RELA);
            let mut at = table.offset;
            while at < end {
                let bytes = self.file_bytes(at, step.min(end - at) as usize)?;
                let (entries, _) =
                    object::pod::slice_from_bytes::<elf::Rela64<LittleEndian>>(&bytes, bytes.len() / RELA as usize)
                        .map_err(|()| Error::Malformed("the relocations"))?;
                let wanted = entries.iter().filter(|e| e.r_type(LE, false) == relative);
                found.extend(wanted.map(|e| (e.r_offset(LE), e.r_addend(LE) as u64)));
                at += step;
            }
        }
        found.sort_unstable();
        self.relocations = found;
        Ok(())
    }

    /// Addresses and sizes of exported symbols that are defined here, by name.
    ///
    /// # Errors
    /// If the table makes no sense.
    pub fn exported(&self, wanted: &[&'static str]) -> Result<HashMap<&'static str, (u64, u64)>, Error> {
        self.symbols(elf::SHT_DYNSYM, wanted)
    }

    fn symbols(&self, kind: u32, wanted: &[&'static str]) -> Result<HashMap<&'static str, (u64, u64)>, Error> {
        let Some(table) = self.sections.iter().find(|s| s.kind == kind) else { return Ok(HashMap::new()) };
        let names = self.sections.get(table.link as usize).ok_or(Error::Malformed("the symbols"))?;
        if table.size.saturating_add(names.size) > MAX_HEADERS {
            return Err(Error::TooLarge("the symbols"));
        }
        let cache = ReadCache::new(Cursor { source: self.source, at: 0 });
        let budget = Cell::new(MAX_HEADERS);
        let data = Bounded { cache: &cache, budget: &budget };
        let unreadable = |()| Error::Unreadable("the symbols");
        let names = data.read_bytes_at(names.offset, names.size).map_err(unreadable)?;
        let bytes = data.read_bytes_at(table.offset, table.size).map_err(unreadable)?;
        let count = bytes.len() / size_of::<elf::Sym64<LittleEndian>>();
        let (symbols, _) = object::pod::slice_from_bytes::<elf::Sym64<LittleEndian>>(bytes, count)
            .map_err(|()| Error::Malformed("the symbols"))?;
        let mut found = HashMap::new();
        for symbol in symbols.iter().filter(|s| s.st_value(LE) != 0) {
            let name = names.get(symbol.st_name(LE) as usize..).unwrap_or_default();
            let is = |w: &&&str| name.get(w.len()) == Some(&0) && name.starts_with(w.as_bytes());
            if let Some(known) = wanted.iter().find(is) {
                found.entry(*known).or_insert((symbol.st_value(LE), symbol.st_size(LE)));
            }
        }
        Ok(found)
    }

    fn read_build_id(&self) -> Option<Vec<u8>> {
        let notes = [".note.gnu.build-id", ".note.go.buildid"].into_iter().filter_map(|name| self.section(name));
        notes.filter(|note| note.size <= 4096).find_map(|note| {
            let bytes = self.file_bytes(note.offset, note.size as usize).ok()?;
            let (name, value) = (word32(&bytes, 0)? as usize, word32(&bytes, 4)? as usize);
            let from = name.checked_next_multiple_of(4)?.checked_add(12)?;
            Some(bytes.get(from..from.checked_add(value)?)?.to_vec()).filter(|id| !id.is_empty())
        })
    }
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok()
}

fn read_sections<'d>(header: &'d Header, data: Bounded<'d, '_>) -> Result<Vec<Section>, Error> {
    let table = header.sections(LE, data).map_err(|_| Error::Malformed("the section headers"))?;
    if table.len() > MAX_PARTS {
        return Err(Error::TooLarge("the number of sections"));
    }
    let section = |header: &elf::SectionHeader64<LittleEndian>| Section {
        name: table.section_name(LE, header).map_or(String::new(), |n| String::from_utf8_lossy(n).into_owned()),
        address: header.sh_addr(LE),
        offset: header.sh_offset(LE),
        size: header.sh_size(LE),
        kind: header.sh_type(LE),
        link: header.sh_link(LE),
    };
    Ok(table.iter().map(section).collect())
}

/// A [`Source`] as `object` wants it.
struct Cursor<'a> {
    source: &'a dyn Source,
    at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.source.size().saturating_sub(self.at);
        let len = to.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if !self.source.read_at(self.at, &mut to[..len]) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// What `object` may read, all in all: it allocates what a header asks for.
#[derive(Clone, Copy)]
struct Bounded<'d, 's> {
    cache: &'d ReadCache<Cursor<'s>>,
    budget: &'d Cell<u64>,
}

impl<'d> ReadRef<'d> for Bounded<'d, '_> {
    fn len(self) -> Result<u64, ()> {
        self.cache.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'d [u8], ()> {
        self.budget.set(self.budget.get().checked_sub(size).ok_or(())?);
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: std::ops::Range<u64>, delimiter: u8) -> Result<&'d [u8], ()> {
        // A name: `object` reads 4096 bytes of it at most.
        self.budget.set(self.budget.get().checked_sub(4096).ok_or(())?);
        self.cache.read_bytes_at_until(range, delimiter)
    }
}
