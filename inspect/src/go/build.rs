//! What built the program, and from what (`debug/buildinfo` of Go's library; since 1.18 the texts stand in the section itself).

use crate::{Error, Image};

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The section begins with it, aligned to 16; what is wanted stands within so much.
const LOOKED_AT: u64 = 16 << 10;
const HEADER: usize = 32;
/// Texts stand behind the header, and not pointers to them.
const INLINE: u8 = 2;
const MAX_VERSION: usize = 128;
/// The module's text stands between two marks of this length.
const MARK: usize = 16;
const WHAT: &str = "Go's build information";

/// What the linker wrote of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Go's version, as `1.26.3`. Vendors add to it: `1.24.6-custom`.
    pub version: String,
    /// Path of the main package: `example.com/shop/cmd/server`.
    pub package: Option<String>,
    /// Path of its module.
    pub module: Option<String>,
}

/// What the linker wrote of this program.
///
/// # Errors
/// If it is no Go program, or from before 1.18.
pub fn build(image: &Image<'_>) -> Result<Build, Error> {
    let section = image.section(".go.buildinfo").ok_or(Error::Missing(WHAT))?;
    let bytes = image.file_bytes(section.offset, section.size.min(LOOKED_AT) as usize)?;
    let header = bytes.chunks(16).position(|chunk| chunk.starts_with(MAGIC)).map(|at| &bytes[at * 16..]);
    parse(header.ok_or(Error::Missing(WHAT))?)
}

fn parse(header: &[u8]) -> Result<Build, Error> {
    if header.get(15).is_none_or(|flags| flags & INLINE == 0) {
        return Err(Error::Missing("Go version since 1.18"));
    }
    let (text, rest) = text(header.get(HEADER..).unwrap_or_default()).ok_or(Error::Malformed(WHAT))?;
    let said = Some(text).filter(|text| text.len() <= MAX_VERSION).and_then(|text| std::str::from_utf8(text).ok());
    // An experiment's names may follow: `go1.26.1 X:nodwarf5`. Development builds begin with `devel go1.27-…`.
    let number = said.and_then(|said| said.split_whitespace().find_map(|word| word.strip_prefix("go")));
    let number =
        number.filter(|n| n.starts_with(|c: char| c.is_ascii_digit()) && n.chars().all(|c| c.is_ascii_graphic()));
    let version = number.ok_or(Error::Malformed(WHAT))?.to_owned();
    let (package, module) = names(rest);
    Ok(Build { version, package, module })
}

/// The main package and its module, if their text is whole.
fn names(rest: &[u8]) -> (Option<String>, Option<String>) {
    let (marked, _) = text(rest).unwrap_or_default();
    let lines = marked.get(MARK..marked.len().saturating_sub(MARK)).unwrap_or_default();
    let lines = String::from_utf8_lossy(lines);
    let field = |name: &str| {
        let mut fields = lines.lines().find(|line| line.split('\t').next() == Some(name))?.split('\t');
        fields.nth(1).filter(|path| !path.is_empty()).map(str::to_owned)
    };
    (field("path"), field("mod"))
}

/// A text with its length before it, and what follows.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, used) = varint(bytes)?;
    bytes.get(used..)?.split_at_checked(length)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, module: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, INLINE]);
        bytes.resize(HEADER, 0);
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
        assert_eq!(found.version, "1.24.1");
        assert_eq!(found.package.as_deref(), Some("example.com/shop/cmd/server"));
        assert_eq!(found.module.as_deref(), Some("example.com/shop"));
    }

    #[test]
    fn whatever_it_is_it_does_no_harm() {
        let whole = info("go1.24.1", "path\tx\n");
        for end in 0..whole.len() {
            let _ = parse(&whole[..end]);
        }
        let mut long = whole;
        long[32..36].copy_from_slice(&[0xff; 4]);
        assert!(parse(&long).is_err());
    }
}
