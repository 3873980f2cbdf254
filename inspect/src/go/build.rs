//! What built the program (`debug/buildinfo` of Go's library; since 1.18 the text stands in the section itself).

use crate::{Error, Image};

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The section begins with it, aligned to 16; more than this stands in front of it nowhere.
const LOOKED_AT: u64 = 4096;
const HEADER: usize = 32;
/// Texts stand behind the header, and not pointers to them.
const INLINE: u8 = 2;
const MAX_VERSION: usize = 128;

/// The version of Go, as `1.26.3`. Vendors add to it: `1.24.6-custom`.
///
/// # Errors
/// If it is no Go program, or from before 1.18.
pub fn version(image: &Image<'_>) -> Result<String, Error> {
    const WHAT: &str = "Go's build information";
    let section = image.section(".go.buildinfo").ok_or(Error::Missing(WHAT))?;
    let bytes = image.file_bytes(section.offset, section.size.min(LOOKED_AT) as usize)?;
    let header = bytes.chunks(16).position(|chunk| chunk.starts_with(MAGIC)).map(|at| &bytes[at * 16..]);
    let header = header.ok_or(Error::Missing(WHAT))?;
    if header.get(15).is_none_or(|flags| flags & INLINE == 0) {
        return Err(Error::Missing("Go version since 1.18"));
    }
    let (len, used) = varint(header.get(HEADER..).unwrap_or_default()).ok_or(Error::Malformed(WHAT))?;
    let from = HEADER + used;
    let text = (len <= MAX_VERSION).then(|| header.get(from..from + len)).flatten().ok_or(Error::Malformed(WHAT))?;
    let text = std::str::from_utf8(text).map_err(|_| Error::Malformed(WHAT))?;
    // An experiment's names may follow: `go1.26.1 X:nodwarf5`. Development builds begin with `devel go1.27-…`.
    let number = text.split_whitespace().find_map(|word| word.strip_prefix("go"));
    let number =
        number.filter(|n| n.starts_with(|c: char| c.is_ascii_digit()) && n.chars().all(|c| c.is_ascii_graphic()));
    number.map(str::to_string).ok_or(Error::Malformed(WHAT))
}

/// A number in seven bits a byte, and how many bytes it takes.
pub(super) fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}
