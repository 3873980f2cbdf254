//! MySQL is recognised by a greeting, by a command whose length and content agree, or by an unmistakable answer.

use super::wire::{self, le16, le32, lenenc, length};
use super::work;
use crate::{Detection, Direction};

/// Bytes of a query that is not here to its end by which it is recognised.
const ENOUGH: usize = 32;

/// Whether the first bytes of a direction are MySQL.
pub fn detect(bytes: &[u8]) -> Detection {
    let Some((head, rest)) = bytes.split_at_checked(4) else {
        // Most packets are short: the third byte of the length is zero.
        return if bytes.len() < 3 || bytes[2] == 0 { Detection::NeedMore } else { Detection::No };
    };
    let (len, sequence) = (length(head) as usize, head[3]);
    if len == 0 || len > 0x10_0000 {
        return Detection::No;
    }
    let Some(first) = rest.first() else { return Detection::NeedMore };
    let body = rest.get(..len);
    match (sequence, first) {
        (0, 10) => greeting(len, rest),
        (0, _) => command(len, rest, body),
        (1.., _) => body.map_or(Detection::No, |body| answer(sequence, body, &rest[len..])),
    }
}

fn greeting(len: usize, rest: &[u8]) -> Detection {
    if !(40..=512).contains(&len) || rest.len() > len {
        return Detection::No;
    }
    match (wire::greeting(rest), rest.len() == len) {
        (Some(_), true) => Detection::Match(Direction::Response),
        (None, true) => Detection::No,
        _ if rest[1..].iter().take(5).all(|b| b.is_ascii_graphic()) => Detection::NeedMore,
        _ => Detection::No,
    }
}

/// Clients wait for answers, so a command is all that there is; a long query may be cut.
fn command(len: usize, rest: &[u8], body: Option<&[u8]>) -> Detection {
    let byte = rest[0];
    let fits = match (byte, body) {
        (work::QUERY | work::STMT_PREPARE, _) => {
            let sql = rest[1..].strip_prefix(&[0, 1]).unwrap_or(&rest[1..]);
            let enough = body.is_some() || rest.len() > ENOUGH;
            if !enough && rest.len() < len && is_text(sql) {
                return Detection::NeedMore;
            }
            is_text(sql) && is_sql(sql) && enough && rest.len() <= len
        }
        (_, None) => {
            return if rest.len() < 5 && work::find(byte).is_some() { Detection::NeedMore } else { Detection::No };
        }
        (work::STMT_EXECUTE, Some(body)) => {
            body.len() >= 10 && body[5] <= 0x0f && le32(&body[6..]) == Some(1) && rest.len() == len
        }
        (work::STMT_CLOSE | work::STMT_RESET, Some(body)) => body.len() == 5 && body[3..] == [0, 0],
        (work::STMT_FETCH, Some(body)) => body.len() == 9 && rest.len() == len && body[3..5] == [0, 0],
        (0x0e | work::RESET_CONNECTION, Some(body)) => body.len() == 1 && rest.len() == len,
        (work::INIT_DB, Some(body)) => body.len() > 1 && rest.len() == len && is_name(&body[1..]),
        _ => false,
    };
    if fits { Detection::Match(Direction::Request) } else { Detection::No }
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b >= b' ' || matches!(b, b'\t' | b'\n' | b'\r' | 0x0c))
}

fn is_name(bytes: &[u8]) -> bool {
    bytes.len() <= 64 && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$' | 0x80..))
}

/// It begins like SQL: a word, a comment, a parenthesis.
fn is_sql(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    let word = bytes.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let rest = bytes.get(word).copied();
    bytes.starts_with(b"--")
        || bytes.starts_with(b"/*")
        || bytes.first() == Some(&b'(')
        || ((2..=16).contains(&word) && rest.is_none_or(|b| b.is_ascii_whitespace() || b"(;*'\"`@".contains(&b)))
}

/// An error, or a result set whose first column is described; `OK` alone looks too much like other things.
fn answer(sequence: u8, body: &[u8], after: &[u8]) -> Detection {
    let fits = match body[0] {
        0xff => after.is_empty() && sequence < 8 && matches!(wire::error(body), Some((1000..=9999, Some(_)))),
        1..=0xfa if sequence == 1 && body.len() <= 2 => {
            let column = after.get(4..).unwrap_or_default();
            after.get(3) == Some(&2) && column.starts_with(b"\x03def") && length(after) > 20
        }
        0 if sequence == 1 && after.is_empty() && (7..=64).contains(&body.len()) => ok(body),
        _ => false,
    };
    if fits { Detection::Match(Direction::Response) } else { Detection::No }
}

/// Affected rows, insert id, status, warnings, and a text.
fn ok(body: &[u8]) -> bool {
    let Some((_, rest)) = lenenc(&body[1..]).and_then(|(_, rest)| lenenc(rest)) else { return false };
    // Autocommit or in a transaction; no flag that does not exist.
    let status = le16(rest).unwrap_or(0);
    let info = rest.get(4..).unwrap_or_default();
    status & 0x0003 != 0
        && le16(rest.get(2..).unwrap_or_default()).is_some()
        && (info.is_empty() || is_text(&info[1..]))
}
