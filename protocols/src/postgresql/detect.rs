//! PostgreSQL is recognised by an introduction, or by a message whose type, length and content agree.

use super::wire::{self, CANCEL_REQUEST, GSS_REQUEST, SSL_REQUEST, be16, be32, text};
use crate::{Detection, Direction};

/// Bytes of a query that is not here to its end by which it is recognised.
const ENOUGH: usize = 32;

/// Whether the first bytes of a direction are PostgreSQL.
pub fn detect(bytes: &[u8]) -> Detection {
    match bytes.first() {
        None => Detection::NeedMore,
        Some(0) => startup(bytes),
        Some(_) => message(bytes),
    }
}

fn startup(bytes: &[u8]) -> Detection {
    let Some(len) = be32(bytes) else { return Detection::NeedMore };
    if !(8..=wire::MAX_STARTUP).contains(&u64::from(len)) {
        return Detection::No;
    }
    let Some(code) = be32(&bytes[4..]) else { return Detection::NeedMore };
    let (rest, whole) = (&bytes[8..], bytes.len() == len as usize);
    let fits = match code {
        SSL_REQUEST | GSS_REQUEST => len == 8 && whole,
        CANCEL_REQUEST => len >= 16 && whole,
        0x0003_0000..=0x0003_00ff => match rest.first() {
            None => return Detection::NeedMore,
            // The first parameter's name.
            Some(first) => first.is_ascii_lowercase() && rest.iter().take(64).any(|b| *b == 0),
        },
        _ => false,
    };
    if fits { Detection::Match(Direction::Request) } else { Detection::No }
}

/// The first message decides; others may follow, and the last may be cut short.
fn message(bytes: &[u8]) -> Detection {
    let kind = bytes[0];
    if !wire::REQUESTS.contains(&kind) && !wire::RESPONSES.contains(&kind) {
        return Detection::No;
    }
    let Some(len) = be32(&bytes[1..]) else { return Detection::NeedMore };
    if !(4..=1 << 30).contains(&len) {
        return Detection::No;
    }
    let Some(body) = bytes.get(5..1 + len as usize) else { return partial(kind, &bytes[5..]) };
    let after = &bytes[1 + len as usize..];
    let request = request(kind, body) && follows(wire::REQUESTS, after);
    let response = response(kind, body) && follows(wire::RESPONSES, after);
    match (request, response) {
        (true, false) => Detection::Match(Direction::Request),
        (false, true) => Detection::Match(Direction::Response),
        _ => Detection::No,
    }
}

/// The next message's head is one.
fn follows(types: &[u8], bytes: &[u8]) -> bool {
    let Some(kind) = bytes.first() else { return true };
    types.contains(kind) && be32(&bytes[1..]).is_none_or(|len| (4..=1 << 30).contains(&len))
}

/// A query may be longer than what is captured of it.
fn partial(kind: u8, body: &[u8]) -> Detection {
    let sql = match kind {
        b'Q' => body,
        b'P' => match text(body) {
            Some((name, sql)) if name.len() < 64 => sql,
            None if body.len() < 64 && is_text(body) => return Detection::NeedMore,
            _ => return Detection::No,
        },
        // Rows tell nothing; the rest is short.
        b'D' | b'd' => return Detection::No,
        _ if body.len() < 64 => return Detection::NeedMore,
        _ => return Detection::No,
    };
    match (is_text(sql), sql.len() >= ENOUGH && is_sql(sql)) {
        (true, true) => Detection::Match(Direction::Request),
        (true, false) if sql.len() < ENOUGH => Detection::NeedMore,
        _ => Detection::No,
    }
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b >= b' ' || matches!(b, b'\t' | b'\n' | b'\r' | 0x0c))
}

/// It begins like SQL: a word, a comment, a parenthesis.
fn is_sql(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    let word = bytes.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let rest = bytes.get(word).copied();
    bytes.starts_with(b"--")
        || bytes.starts_with(b"/*")
        || bytes.first() == Some(&b'(')
        || ((2..=16).contains(&word) && rest.is_none_or(|b| b.is_ascii_whitespace() || b"(;*'\"$".contains(&b)))
}

/// The whole body is a name that ends with its zero byte.
fn is_name(body: &[u8]) -> bool {
    matches!(text(body), Some((name, [])) if is_text(name))
}

fn request(kind: u8, body: &[u8]) -> bool {
    match kind {
        b'Q' => matches!(text(body), Some((sql, [])) if is_text(sql) && (is_sql(sql) || sql.is_empty())),
        b'P' => parse(body).is_some(),
        b'B' => bind(body).is_some(),
        b'D' | b'C' => matches!(body.first(), Some(b'S' | b'P')) && is_name(&body[1..]),
        b'E' => matches!(text(body), Some((name, rows)) if is_text(name) && rows.len() == 4 && rows[0] < 0x80),
        b'S' => body.is_empty(),
        _ => false,
    }
}

fn parse(body: &[u8]) -> Option<()> {
    let (name, rest) = text(body)?;
    let (sql, rest) = text(rest)?;
    let types = usize::from(be16(rest)?);
    (is_text(name) && is_text(sql) && is_sql(sql) && rest.len() == 2 + types * 4).then_some(())
}

fn bind(body: &[u8]) -> Option<()> {
    let (portal, rest) = text(body)?;
    let (statement, rest) = text(rest)?;
    let mut rest = rest.get(2 + usize::from(be16(rest)?) * 2..)?;
    let values = be16(rest)?;
    rest = &rest[2..];
    for _ in 0..values {
        let len = be32(rest)? as i32;
        rest = rest.get(4 + usize::try_from(len).unwrap_or(0)..)?;
    }
    let formats = usize::from(be16(rest)?);
    (is_text(portal) && is_text(statement) && rest.len() == 2 + formats * 2).then_some(())
}

fn response(kind: u8, body: &[u8]) -> bool {
    match kind {
        b'R' => matches!(be32(body), Some(0 | 2 | 3 | 5..=12)),
        b'Z' => matches!(body, [b'I' | b'T' | b'E']),
        b'1' | b'2' | b'3' | b'n' | b's' | b'I' => body.is_empty(),
        b'C' => matches!(text(body), Some((tag, [])) if tag.len() > 1 && tag[..2].iter().all(u8::is_ascii_uppercase)),
        b'E' | b'N' => matches!(body, [b'S', .., 0, 0]) && wire::code(body).is_some(),
        b'T' => fields(body).is_some(),
        b'D' => row(body).is_some(),
        b't' => be16(body).is_some_and(|n| body.len() == 2 + usize::from(n) * 4),
        b'S' => matches!(text(body), Some((name, rest)) if name.len() > 3 && is_text(name) && is_name(rest)),
        _ => false,
    }
}

fn fields(body: &[u8]) -> Option<()> {
    let count = be16(body)?;
    let mut rest = &body[2..];
    for _ in 0..count {
        let (name, after) = text(rest)?;
        rest = after.get(18..).filter(|_| is_text(name))?;
    }
    rest.is_empty().then_some(())
}

fn row(body: &[u8]) -> Option<()> {
    let count = be16(body)?;
    let mut rest = &body[2..];
    for _ in 0..count {
        let len = be32(rest)? as i32;
        rest = rest.get(4 + usize::try_from(len).unwrap_or(0)..)?;
    }
    rest.is_empty().then_some(())
}
