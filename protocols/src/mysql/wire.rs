//! Packets of MySQL's protocol (MySQL Source Code Documentation, *Client/Server Protocol*; MariaDB's
//! *Client/Server Protocol* where it differs).

use crate::db::Layout;

/// A packet of this length goes on in the next.
pub(super) const FULL: u64 = 0xff_ffff;

/// Most of a command that is kept: as much as is captured of an operation, for the rows of a bulk. Of SQL, half is read.
const MAX_KEPT: usize = 32 * 1024;

/// What a client sends.
pub(super) static REQUEST: Layout = Layout { head: 4, length: |head| Some(length(head)), keep: |_| MAX_KEPT };
/// What a server sends: rows tell nothing.
pub(super) static RESPONSE: Layout = Layout { head: 4, length: |head| Some(length(head)), keep: |_| 256 };

/// Capabilities.
pub(super) const CONNECT_WITH_DB: u32 = 1 << 3;
pub(super) const COMPRESS: u32 = 1 << 5;
pub(super) const PROTOCOL_41: u32 = 1 << 9;
pub(super) const SSL: u32 = 1 << 11;
pub(super) const SECURE_CONNECTION: u32 = 1 << 15;
pub(super) const LENENC_AUTH: u32 = 1 << 21;
pub(super) const DEPRECATE_EOF: u32 = 1 << 24;
pub(super) const ZSTD: u32 = 1 << 26;

/// Status flags.
pub(super) const MORE_RESULTS: u16 = 0x0008;
pub(super) const CURSOR_EXISTS: u16 = 0x0040;
pub(super) const NO_BACKSLASH_ESCAPES: u16 = 0x0200;

pub(super) fn length(head: &[u8]) -> u64 {
    u64::from(head[0]) | u64::from(head[1]) << 8 | u64::from(head[2]) << 16
}

pub(super) fn le16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?))
}

pub(super) fn le32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// A length-encoded integer, and what follows it.
pub(super) fn lenenc(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let width = match first {
        0..=0xfa => return Some((u64::from(*first), rest)),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => return None,
    };
    let (number, rest) = rest.split_at_checked(width)?;
    Some((number.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)), rest))
}

/// A text that ends with a zero byte, and what follows it.
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Status flags of an `OK` or `EOF` packet, of which `len` bytes were sent.
pub(super) fn status(body: &[u8], len: u64) -> Option<u16> {
    if body.first() == Some(&0xfe) && len == 5 {
        return le16(body.get(3..)?);
    }
    let (_, rest) = lenenc(body.get(1..)?)?;
    let (_, rest) = lenenc(rest)?;
    le16(rest)
}

/// Number and `SQLSTATE` of an `ERR` packet.
pub(super) fn error(body: &[u8]) -> Option<(u16, Option<String>)> {
    let code = le16(body.get(1..)?)?;
    let state = body.get(4..9).filter(|s| body[3] == b'#' && s.iter().all(u8::is_ascii_alphanumeric));
    Some((code, state.map(|s| String::from_utf8_lossy(s).into_owned())))
}

/// Capabilities, charset and so on, of a client's answer to the greeting.
pub(super) struct Introduction<'a> {
    pub capabilities: u32,
    pub database: Option<&'a [u8]>,
}

/// Protocol::HandshakeResponse41, or the request for TLS that comes before it.
pub(super) fn introduction(body: &[u8], whole: bool) -> Option<Introduction<'_>> {
    let capabilities = le32(body)?;
    let mut introduction = Introduction { capabilities, database: None };
    if capabilities & PROTOCOL_41 == 0 {
        return None;
    }
    introduction.database =
        body.get(32..).and_then(|rest| database(rest, capabilities, whole)).filter(|d| !d.is_empty());
    Some(introduction)
}

fn database(rest: &[u8], capabilities: u32, whole: bool) -> Option<&[u8]> {
    if capabilities & CONNECT_WITH_DB == 0 {
        return None;
    }
    let (_, rest) = text(rest)?;
    let rest = if capabilities & LENENC_AUTH != 0 {
        let (len, rest) = lenenc(rest)?;
        rest.get(usize::try_from(len).ok()?..)?
    } else if capabilities & SECURE_CONNECTION != 0 {
        rest.get(1 + usize::from(*rest.first()?)..)?
    } else {
        text(rest)?.1
    };
    match text(rest) {
        Some((name, _)) => Some(name),
        None => Some(rest).filter(|_| whole),
    }
}

/// What a server says of itself: version and capabilities.
pub(super) fn greeting(body: &[u8]) -> Option<(&[u8], u32)> {
    let (version, rest) = text(body.strip_prefix(&[10])?)?;
    let printable = version.iter().all(|b| (b' '..0x7f).contains(b));
    if !printable || !version.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let lower = u32::from(le16(rest.get(13..)?)?);
    let upper = rest.get(18..).and_then(le16).map_or(0, u32::from);
    Some((version, lower | upper << 16))
}
