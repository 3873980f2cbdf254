//! W3C Trace Context (<https://www.w3.org/TR/trace-context-2/>): `traceparent`, `tracestate`.

use super::{TraceContext, hex, hex64};

/// Longest `tracestate` that is passed on; the specification asks for at least this many characters (§3.3.1.5).
const MAX_STATE: usize = 512;
/// Entries above this length are the first to go when `tracestate` is too long (§3.3.1.5).
const LONG_MEMBER: usize = 128;
/// Most list members (§3.3.1.3.1).
const MAX_MEMBERS: usize = 32;
/// `00-<32>-<16>-<2>`.
const LENGTH: usize = 55;
/// *sampled* and *random-trace-id*: the flags that version 00 defines.
const KNOWN_FLAGS: u8 = 3;

/// The context of a `traceparent` header and the `tracestate` headers beside it, in order.
pub(super) fn parse(traceparent: &str, states: &[&[u8]]) -> Option<TraceContext> {
    let (head, tail) = traceparent.split_at_checked(LENGTH)?;
    let bytes = head.as_bytes();
    // Digits are checked where they are read; here, that letters among them are small.
    let sound = [bytes[2], bytes[35], bytes[52]] == *b"---" && !bytes.iter().any(u8::is_ascii_uppercase);
    if !sound {
        return None;
    }
    let (version, trace, span, flags) = (&head[..2], &head[3..35], &head[36..52], &head[53..]);
    let flags = hex(flags, 2)? as u8;
    hex(version, 2)?;
    let flags = match version {
        "00" if tail.is_empty() => flags & KNOWN_FLAGS,
        "00" | "ff" => return None,
        // A later version may add fields, and promises only that these four keep their place (§4).
        _ if tail.is_empty() || tail.starts_with('-') => flags & super::SAMPLED,
        _ => return None,
    };
    let context = TraceContext::new(hex(trace, 32)?, hex64(span)?, false)?;
    Some(TraceContext { flags, trace_state: state(states), ..context })
}

/// Joins the `tracestate` headers, and shortens the list as §3.3.1.5 says. A malformed list is discarded whole.
fn state(headers: &[&[u8]]) -> Box<str> {
    let mut members = Vec::new();
    for header in headers {
        let Some(header) = super::text(header) else { return "".into() };
        for member in header.split(',').map(|m| m.trim_matches([' ', '\t'])).filter(|m| !m.is_empty()) {
            if members.len() == MAX_MEMBERS || !is_member(member) {
                return "".into();
            }
            members.push(member);
        }
    }
    let joined = |members: &[&str]| members.iter().map(|m| m.len() + 1).sum::<usize>().saturating_sub(1);
    while joined(&members) > MAX_STATE {
        match members.iter().rposition(|m| m.len() > LONG_MEMBER) {
            Some(long) => members.remove(long),
            None => members.pop().unwrap_or_default(),
        };
    }
    members.join(",").into()
}

/// `key=value` as §3.3.1.3 defines it.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let key_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b);
    let key_start = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let sound_key = key.len() <= 256 && key.as_bytes().first().is_some_and(key_start) && key.bytes().all(key_byte);
    let sound_value = (1..=256).contains(&value.len()) && value.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=');
    sound_key && sound_value
}
