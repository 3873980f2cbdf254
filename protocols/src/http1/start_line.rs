//! The grammar of start lines (RFC 9112 §3, §4): by it HTTP/1 is recognised, and found again after a gap.

use crate::{Detection, Direction};

/// Longest method: generous, since any token is allowed, but finite.
const MAX_METHOD: usize = 32;
/// Longest request-target. RFC 9110 §4.1 asks for at least 8000.
const MAX_TARGET: usize = 16 * 1024;
/// Empty lines before a message are to be ignored (RFC 9112 §2.2); nobody sends more than one.
const MAX_BLANK: usize = 4;

/// Methods that count as a message start where only the grammar speaks for it. No one is the tail of another, so a
/// request line that lost its first bytes does not pass for one.
const KNOWN_METHODS: [&[u8]; 10] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"QUERY"];

/// How bytes fit a start line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit<T> {
    /// The line is here.
    Whole(T),
    /// They may be the beginning of one.
    Prefix,
    /// They are not.
    No,
}

/// `method SP request-target SP HTTP-version` and its line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    /// 0 or 1.
    pub minor: u8,
    /// Bytes including the line end.
    pub len: usize,
}

/// Reads a request line at the very start of `bytes`.
pub(super) fn request_line(bytes: &[u8]) -> Fit<RequestLine<'_>> {
    let prefix_if = |fits: bool| if fits { Fit::Prefix } else { Fit::No };
    let Some(method) = bytes.iter().position(|b| !is_token(*b)) else {
        return prefix_if(bytes.len() <= MAX_METHOD);
    };
    if method == 0 || method > MAX_METHOD || bytes[method] != b' ' {
        return Fit::No;
    }
    let rest = &bytes[method + 1..];
    let Some(target) = rest.iter().position(|b| *b <= b' ' || *b == 0x7f) else {
        return prefix_if(rest.len() <= MAX_TARGET);
    };
    if target == 0 || target > MAX_TARGET || rest[target] != b' ' {
        return Fit::No;
    }
    let (minor, ending) = match version(&rest[target + 1..]) {
        Fit::Whole(found) => found,
        Fit::Prefix => return Fit::Prefix,
        Fit::No => return Fit::No,
    };
    let line_end = match ending {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        [] | [b'\r'] => return Fit::Prefix,
        _ => return Fit::No,
    };
    let len = bytes.len() - ending.len() + line_end;
    Fit::Whole(RequestLine { method: &bytes[..method], target: &rest[..target], minor, len })
}

/// Reads `HTTP-version SP 3DIGIT` at the very start of `bytes`: minor version and status code. What follows (a reason,
/// or none) does not matter.
pub(super) fn status_line(bytes: &[u8]) -> Fit<(u8, u16)> {
    let (minor, rest) = match version(bytes) {
        Fit::Whole(found) => found,
        Fit::Prefix => return Fit::Prefix,
        Fit::No => return Fit::No,
    };
    let code = rest.get(1..).unwrap_or_default();
    let digits = &code[..code.len().min(3)];
    if rest.first().is_some_and(|b| *b != b' ') || !digits.iter().all(u8::is_ascii_digit) {
        return Fit::No;
    }
    match code.get(3) {
        None => Fit::Prefix,
        Some(b' ' | b'\r' | b'\n') => {
            Fit::Whole((minor, digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'))))
        }
        Some(_) => Fit::No,
    }
}

/// `HTTP/1.0` or `HTTP/1.1`, and what follows.
fn version(bytes: &[u8]) -> Fit<(u8, &[u8])> {
    const NAME: &[u8] = b"HTTP/1.";
    match bytes.split_at_checked(NAME.len()) {
        None if NAME.starts_with(bytes) => Fit::Prefix,
        Some((NAME, [])) => Fit::Prefix,
        Some((NAME, [minor @ (b'0' | b'1'), rest @ ..])) => Fit::Whole((minor - b'0', rest)),
        _ => Fit::No,
    }
}

/// Whether the first bytes of a direction are HTTP/1, and which direction that makes it. Decided by grammar alone, so
/// any method will do; bounded, so nobody waits for ever.
pub fn detect(bytes: &[u8]) -> Detection {
    let blank = blank(bytes);
    let bytes = &bytes[blank..];
    if blank > MAX_BLANK {
        return Detection::No;
    }
    match (status_line(bytes), request_line(bytes)) {
        (Fit::Whole(_), _) => Detection::Match(Direction::Response),
        (_, Fit::Whole(_)) => Detection::Match(Direction::Request),
        (Fit::No, Fit::No) => Detection::No,
        _ => Detection::NeedMore,
    }
}

/// Whether `bytes` may begin a message of `direction`.
pub(super) fn plausible(direction: Direction, bytes: &[u8]) -> bool {
    match direction {
        Direction::Request => request_line(bytes) != Fit::No,
        Direction::Response => status_line(bytes) != Fit::No,
    }
}

/// Whether `bytes` begin a message of `direction` beyond reasonable doubt, where nothing but they say so.
pub(super) fn certain(direction: Direction, bytes: &[u8]) -> bool {
    match direction {
        Direction::Request => matches!(request_line(bytes), Fit::Whole(l) if KNOWN_METHODS.contains(&l.method)),
        Direction::Response => matches!(status_line(bytes), Fit::Whole(_)),
    }
}

/// Length of the line ends at the start of `bytes`.
pub(super) fn blank(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count()
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}
