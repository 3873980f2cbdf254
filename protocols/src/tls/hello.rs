//! What the first message of each end says (RFC 8446, section 4.1), behind its type and length.

/// `server_name` (RFC 6066, section 3) and `supported_versions` (RFC 8446, section 4.2.1).
const SERVER_NAME: u16 = 0;
const SUPPORTED_VERSIONS: u16 = 43;
/// The longest name of a host.
const MAX_NAME: usize = 255;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientHello {
    pub random: [u8; 32],
    pub server_name: Option<Box<str>>,
}

impl ClientHello {
    pub fn read(message: &[u8]) -> Option<Self> {
        let mut rest = Rest(message);
        rest.take(2)?;
        let random = rest.take(32)?.try_into().ok()?;
        rest.short()?;
        rest.long()?;
        rest.short()?;
        let server_name = extensions(rest, SERVER_NAME).and_then(name);
        Some(Self { random, server_name })
    }
}

/// The version that a server chose, as `tls.protocol.version` has it.
pub fn server_version(message: &[u8]) -> Option<&'static str> {
    let mut rest = Rest(message);
    let old = rest.take(2)?;
    rest.take(32)?;
    rest.short()?;
    rest.take(3)?;
    let new = extensions(rest, SUPPORTED_VERSIONS);
    match new.unwrap_or(old) {
        [3, 1] => Some("1.0"),
        [3, 2] => Some("1.1"),
        [3, 3] => Some("1.2"),
        [3, 4] => Some("1.3"),
        _ => None,
    }
}

/// The content of an extension; there may be none at all.
fn extensions(mut rest: Rest<'_>, wanted: u16) -> Option<&[u8]> {
    let mut all = Rest(rest.long()?);
    while !all.0.is_empty() {
        let kind = all.take(2)?;
        let content = all.long()?;
        if u16::from_be_bytes(kind.try_into().ok()?) == wanted {
            return Some(content);
        }
    }
    None
}

/// The name of a host in a list of names: what else is in it is no name.
fn name(content: &[u8]) -> Option<Box<str>> {
    let mut names = Rest(Rest(content).long()?);
    let kind = names.take(1)?;
    let text = std::str::from_utf8(names.long()?).ok()?;
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let sound = kind == [0] && !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(is_part);
    sound.then(|| text.into())
}

/// What is left to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// What has its length in front of it, in one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let len = self.take(1)?[0];
        self.take(usize::from(len))
    }

    /// The same, in two.
    fn long(&mut self) -> Option<&'a [u8]> {
        let len: [u8; 2] = self.take(2)?.try_into().ok()?;
        self.take(usize::from(u16::from_be_bytes(len)))
    }
}
