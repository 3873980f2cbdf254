//! Messages of protocol 3.0 and 3.2 (PostgreSQL manual, *Message Formats*).

use super::conditions;
use crate::db::Layout;
use crate::redact;
use crate::sql::MAX_READ;

/// Longest startup message; the server's own limit.
pub(super) const MAX_STARTUP: u64 = 10_000;
/// Longest message: the server's limit on one field.
const MAX_MESSAGE: u64 = 1 << 30;
/// Bytes of which names, tags and codes are read.
const SHORT: usize = 512;

pub(super) const SSL_REQUEST: u32 = 80_877_103;
pub(super) const GSS_REQUEST: u32 = 80_877_104;
pub(super) const CANCEL_REQUEST: u32 = 80_877_102;

/// Types of messages from the client.
pub(super) const REQUESTS: &[u8] = b"BCDEFHPQSXcdfp";
/// Types of messages from the server.
pub(super) const RESPONSES: &[u8] = b"123ACDEGHIKNRSTVWZcdnstv";

pub(super) fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

pub(super) fn be16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?))
}

/// A text that ends with a zero byte, and what follows it.
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Length of what follows a type and a length, which counts itself.
fn behind(types: &[u8], head: &[u8]) -> Option<u64> {
    let len = u64::from(be32(&head[1..])?);
    (types.contains(&head[0]) && (4..=MAX_MESSAGE).contains(&len)).then(|| len - 4)
}

/// What a client sends once it has introduced itself.
pub(super) static REQUEST: Layout = Layout {
    head: 5,
    length: |head| behind(REQUESTS, head),
    keep: |head| match head[0] {
        b'Q' | b'P' => MAX_READ + SHORT,
        b'd' | b'c' | b'f' | b'p' => 0,
        _ => SHORT,
    },
};

/// What a server sends.
pub(super) static RESPONSE: Layout = Layout {
    head: 5,
    length: |head| behind(RESPONSES, head),
    keep: |head| match head[0] {
        b'E' | b'N' | b'C' | b'S' => SHORT,
        _ => 0,
    },
};

/// How a client introduces itself, or asks for something else first.
pub(super) static STARTUP: Layout = Layout {
    head: 4,
    length: |head| {
        let len = u64::from(be32(head)?);
        (8..=MAX_STARTUP).contains(&len).then(|| len - 4)
    },
    keep: |_| MAX_STARTUP as usize,
};

/// A field of an error or a notice.
pub(super) fn field(mut body: &[u8], wanted: u8) -> Option<&[u8]> {
    while let Some((kind, rest)) = body.split_first() {
        let (value, rest) = text(rest)?;
        if *kind == wanted {
            return Some(value);
        }
        body = rest;
    }
    None
}

/// What an error is called, and what the server says of it, as far as that has no values: quoted ones become `?`, and words that
/// a program raised are left out, unless values are to be kept.
pub(super) fn words(body: &[u8], code: &str, keep_values: bool) -> String {
    let said = field(body, b'M').filter(|_| keep_values || conditions::is_servers(code));
    let said = said.map(|said| String::from_utf8_lossy(said).into_owned()).unwrap_or_default();
    // (Other languages quote in their own ways.)
    let plain = if keep_values {
        said.len()
    } else {
        said.find(['«', '‹', '„', '“', '”', '‘', '「', '『']).unwrap_or(said.len())
    };
    let said = redact::complaint(&said[..plain], keep_values);
    match (conditions::name(code), said.trim_end()) {
        (Some(name), "") => name.to_owned(),
        (Some(name), said) => format!("{name}: {said}"),
        (None, said) => said.to_owned(),
    }
}

/// `SQLSTATE` of an error or a notice.
pub(super) fn code(body: &[u8]) -> Option<String> {
    let code = field(body, b'C').filter(|c| c.len() == 5 && c.iter().all(u8::is_ascii_alphanumeric))?;
    Some(String::from_utf8_lossy(code).into_owned())
}
