//! What the Go linker writes into each program: its version, its module (`debug/buildinfo`).

use std::fs::File;

use crate::discovery::files;

/// What is known of a Go program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// `go1.24.1`.
    pub version: String,
    /// Path of the main package: `example.com/shop/cmd/server`.
    pub package: Option<String>,
    /// Path of its module.
    pub module: Option<String>,
}

/// Most sections that are looked at.
const MAX_SECTIONS: usize = 256;
/// The most of the section that is read: what is wanted stands at its beginning.
const MAX_INFO: usize = 16 << 10;
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The texts follow the header, instead of addresses of them: since Go 1.18.
const INLINE: u8 = 2;
/// The module's text stands between two marks of this length.
const MARK: usize = 16;

/// Reads it; `None` if it is no Go program, or one of Go before 1.18.
pub(super) fn read(file: &File) -> Option<BuildInfo> {
    let (offset, size) = section(file, b".go.buildinfo\0")?;
    parse(&files::at(file, offset, size.min(MAX_INFO))?)
}

fn parse(info: &[u8]) -> Option<BuildInfo> {
    let flags = info.strip_prefix(MAGIC)?.get(1)?;
    if flags & INLINE == 0 {
        return None;
    }
    let (version, rest) = string(info.get(32..)?)?;
    let (module, _) = string(rest).unwrap_or_default();
    let lines = module.get(MARK..module.len().saturating_sub(MARK)).unwrap_or_default();
    let lines = String::from_utf8_lossy(lines).into_owned();
    let field = |name: &str| {
        let mut fields = lines.lines().find(|line| line.split('\t').next() == Some(name))?.split('\t');
        fields.nth(1).filter(|path| !path.is_empty()).map(str::to_owned)
    };
    let version = std::str::from_utf8(version).ok()?.split(' ').next()?.to_owned();
    let sound = version.starts_with("go") || version.starts_with("devel");
    sound.then(|| BuildInfo { version, package: field("path"), module: field("mod") })
}

/// A text with its length before it, seven bits a byte.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut at) = (0usize, 0);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if at > 3 {
            return None;
        }
    }
    bytes.get(at..)?.split_at_checked(length)
}

/// Where a section of an ELF file of 64 bits, little-endian, is.
fn section(file: &File, name: &[u8]) -> Option<(u64, usize)> {
    const HEADER: usize = 64;
    let head = files::at(file, 0, HEADER)?;
    if head.len() < HEADER || !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let size = usize::from(u16(&head, 58)?);
    let (count, names) = (usize::from(u16(&head, 60)?).min(MAX_SECTIONS), usize::from(u16(&head, 62)?));
    if size < HEADER || names >= count {
        return None;
    }
    let table = files::at(file, u64(&head, 40)?, count * size)?;
    let place = |entry: &[u8]| Some((u64(entry, 24)?, usize::try_from(u64(entry, 32)?).ok()?));
    let (at, length) = place(table.get(names * size..)?)?;
    let texts = files::at(file, at, length.min(64 << 10))?;
    table.chunks_exact(size).find_map(|entry| {
        let named = texts.get(usize::try_from(u32(entry, 0)?).ok()?..)?.starts_with(name);
        named.then(|| place(entry))?
    })
}

fn u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, module: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, INLINE]);
        bytes.resize(32, 0);
        let mut push = |text: &[u8]| {
            let mut length = text.len();
            while length >= 0x80 {
                bytes.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            bytes.extend(text);
        };
        push(version.as_bytes());
        push(&[&[b'-'; MARK][..], module.as_bytes(), &[b'-'; MARK]].concat());
        bytes
    }

    #[test]
    fn version_package_and_module_are_read() {
        let module = "path\texample.com/shop/cmd/server\nmod\texample.com/shop\t(devel)\t\ndep\texample.com/x\tv1\n";
        let found = parse(&info("go1.24.1 X:nocoverageredesign", module)).unwrap();
        assert_eq!(found.version, "go1.24.1");
        assert_eq!(found.package.as_deref(), Some("example.com/shop/cmd/server"));
        assert_eq!(found.module.as_deref(), Some("example.com/shop"));
    }

    #[test]
    fn whatever_it_is_it_does_no_harm() {
        let whole = info("go1.24.1", "path\tx\n");
        for end in 0..whole.len() {
            let _ = parse(&whole[..end]);
        }
        let mut long = whole.clone();
        long[32..36].copy_from_slice(&[0xff; 4]);
        assert_eq!(parse(&long), None);
        let dir = tempfile::tempdir().unwrap();
        for bytes in [&b""[..], b"\x7fELF\x02\x01", &[b"\x7fELF\x02\x01".as_slice(), &[0xff; 58]].concat()] {
            let path = dir.path().join("x");
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&File::open(&path).unwrap()), None);
        }
    }
}
