//! A program without symbols, searched: where a text is, and which instructions take its address.

use crate::image::Section;
use crate::{Error, Image};

/// Bytes that are looked through at once.
const PIECE: usize = 1 << 20;
/// Of texts, and of code, at most.
const MAX_TEXT: u64 = 128 << 20;
const MAX_CODE: u64 = 256 << 20;
/// The longest text that ends with what is looked for.
const MAX_NAME: usize = 256;
/// References that are kept.
const MAX_REFERENCES: usize = 4096;

/// The addresses of texts that end with this: file names, of which only the end is known.
///
/// # Errors
/// If there is too much to look through, or it cannot be read.
pub fn texts(image: &Image<'_>, end: &[u8]) -> Result<Vec<u64>, Error> {
    let mut found = Vec::new();
    let wanted = [end, &[0]].concat();
    for section in sections(image, |name| name == ".rodata" || name.starts_with(".rodata.")) {
        in_pieces(image, section, MAX_TEXT, wanted.len() + MAX_NAME, |address, bytes| {
            for at in positions(bytes, &wanted) {
                // (What a piece begins with is also in the one before, but for the first.)
                let begins = bytes[..at].iter().rposition(|byte| *byte == 0).map(|zero| zero + 1);
                let begins = begins.or_else(|| (address == section.address).then_some(0));
                if let Some(begins) = begins.filter(|begins| at - begins <= MAX_NAME) {
                    found.push(address + begins as u64);
                }
            }
        })?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The addresses of texts that are this and nothing else.
///
/// # Errors
/// As [`texts`].
pub fn whole_texts(image: &Image<'_>, text: &[u8]) -> Result<Vec<u64>, Error> {
    let mut found = texts(image, text)?;
    found.retain(|address| {
        image.bytes(*address, text.len() + 1).is_ok_and(|b| b.starts_with(text) && b.ends_with(&[0]))
    });
    Ok(found)
}

/// The addresses of words that are an address: as they are in the file, and as they are when it is loaded.
///
/// # Errors
/// As [`texts`].
pub fn words(image: &Image<'_>, value: u64) -> Result<Vec<u64>, Error> {
    let mut found: Vec<u64> = image.relocated_to(value).collect();
    let wanted = value.to_le_bytes();
    for section in sections(image, |name| name.starts_with(".data.rel.ro") || name.starts_with(".rodata")) {
        in_pieces(image, section, MAX_TEXT, wanted.len(), |address, bytes| {
            for (at, window) in bytes.windows(wanted.len()).enumerate().step_by(wanted.len()) {
                if window == wanted && found.len() < MAX_REFERENCES {
                    found.push(address.wrapping_add(at as u64));
                }
            }
        })?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The addresses of instructions that take one of these addresses into a register; `texts` are sorted.
///
/// # Errors
/// As [`texts`].
pub fn references(image: &Image<'_>, texts: &[u64]) -> Result<Vec<u64>, Error> {
    let fixed = !image.runs_anywhere;
    pointing(
        image,
        |target| texts.binary_search(&target).is_ok(),
        |address, bytes| match *bytes {
            [0x48 | 0x4c, 0x8d, register, a, b, c, d, ..] if register & 0xc7 == 5 => {
                Some(from(address + 7, [a, b, c, d]))
            }
            [0xb8..=0xbf, a, b, c, d, ..] if fixed => Some(u64::from(u32::from_le_bytes([a, b, c, d]))),
            _ => None,
        },
    )
}

/// The addresses of instructions that call a function.
///
/// # Errors
/// As [`texts`].
pub fn calls(image: &Image<'_>, function: u64) -> Result<Vec<u64>, Error> {
    pointing(
        image,
        |target| target == function,
        |address, bytes| match *bytes {
            [0xe8, a, b, c, d, ..] => Some(from(address + 5, [a, b, c, d])),
            _ => None,
        },
    )
}

/// The addresses of instructions that jump to a function.
///
/// # Errors
/// As [`texts`].
pub fn jumps(image: &Image<'_>, function: u64) -> Result<Vec<u64>, Error> {
    pointing(
        image,
        |target| target == function,
        |address, bytes| match *bytes {
            [0xe9, a, b, c, d, ..] => Some(from(address + 5, [a, b, c, d])),
            _ => None,
        },
    )
}

/// The addresses of code that is this.
///
/// # Errors
/// As [`texts`].
pub fn code(image: &Image<'_>, wanted: &[u8]) -> Result<Vec<u64>, Error> {
    let mut found = Vec::new();
    for section in code_sections(image) {
        in_pieces(image, section, MAX_CODE, wanted.len(), |address, bytes| {
            found.extend(positions(bytes, wanted).take(MAX_REFERENCES).map(|at| address.wrapping_add(at as u64)));
        })?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Sections with code.
pub fn code_sections<'i>(image: &'i Image<'_>) -> impl Iterator<Item = &'i Section> {
    sections(image, |name| name == ".text" || name.starts_with(".text."))
}

fn from(next: u64, offset: [u8; 4]) -> u64 {
    next.wrapping_add_signed(i64::from(i32::from_le_bytes(offset)))
}

/// Where code points, by what its bytes say, to what is wanted. (Bytes in the middle of an instruction may say so too: what is
/// found is looked at as code.)
fn pointing(
    image: &Image<'_>,
    wanted: impl Fn(u64) -> bool,
    target: impl Fn(u64, &[u8]) -> Option<u64>,
) -> Result<Vec<u64>, Error> {
    let mut found = Vec::new();
    for section in code_sections(image) {
        in_pieces(image, section, MAX_CODE, LONGEST, |address, bytes| {
            for (at, window) in bytes.windows(LONGEST).enumerate() {
                let here = address.wrapping_add(at as u64);
                if found.len() < MAX_REFERENCES && target(here, window).is_some_and(&wanted) {
                    found.push(here);
                }
            }
        })?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Bytes of such an instruction.
const LONGEST: usize = 7;

fn sections<'i>(image: &'i Image<'_>, is: impl Fn(&str) -> bool) -> impl Iterator<Item = &'i Section> {
    image.sections().iter().filter(move |section| section.address != 0 && is(&section.name))
}

/// Hands out a section piece by piece, each with the last bytes of the one before.
fn in_pieces(
    image: &Image<'_>,
    section: &Section,
    most: u64,
    overlap: usize,
    mut look: impl FnMut(u64, &[u8]),
) -> Result<(), Error> {
    if section.size > most {
        return Err(Error::TooLarge("the code"));
    }
    let mut at = 0;
    while at < section.size {
        let len = (section.size - at).min(PIECE as u64);
        let bytes = image.file_bytes(section.offset.saturating_add(at), len as usize)?;
        look(section.address.wrapping_add(at), &bytes);
        let step = len.saturating_sub(overlap as u64);
        at = if at + len >= section.size || step == 0 { section.size } else { at + step };
    }
    Ok(())
}

fn positions<'b>(bytes: &'b [u8], wanted: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
    let last = wanted.len().saturating_sub(2);
    // (The rarest of them: two before the end is a dot or a letter of the extension.)
    let rare = wanted.get(last).copied().unwrap_or_default();
    let ends = bytes.iter().enumerate().filter(move |(_, byte)| **byte == rare);
    ends.filter_map(move |(at, _)| {
        let from = at.checked_sub(last)?;
        (bytes.get(from..from + wanted.len()) == Some(wanted)).then_some(from)
    })
}
