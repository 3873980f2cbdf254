//! A JSON object's members, one level deep, also of an object that is cut short. Values that nobody asks about are
//! passed over, so the cost is one look at each byte, and nothing is built.

use std::borrow::Cow;

use super::Value;

/// A member's value, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member<'a> {
    /// A text, between its quotes, escapes not resolved.
    Text(&'a [u8]),
    /// An object, with its braces.
    Object(&'a [u8]),
    /// Anything else that was seen whole.
    Other(&'a [u8]),
    /// The beginning of a value that is cut short: of an object or of a text, as far as it goes.
    Cut(&'a [u8]),
}

impl<'a> Member<'a> {
    /// The value, if it is a text or a whole number.
    pub(super) fn value(self) -> Value<'a> {
        match self {
            Member::Text(raw) => text(raw).map_or(Value::Other, Value::Text),
            Member::Other(raw) => {
                let number = std::str::from_utf8(raw).ok().and_then(|raw| raw.parse().ok());
                let other = if raw == b"true" { Value::True } else { Value::Other };
                number.map_or(other, Value::Int)
            }
            Member::Object(_) | Member::Cut(_) => Value::Other,
        }
    }
}

/// A text's content with its escapes resolved. `None` if it is not UTF-8, or escaped wrongly.
pub(super) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let raw = std::str::from_utf8(raw).ok()?;
    if !raw.contains('\\') {
        return Some(Cow::Borrowed(raw));
    }
    let mut resolved = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, escape)) = rest.split_once('\\') {
        resolved.push_str(before);
        let mut characters = escape.chars();
        match characters.next()? {
            'n' => resolved.push('\n'),
            't' => resolved.push('\t'),
            'r' => resolved.push('\r'),
            'b' => resolved.push('\u{8}'),
            'f' => resolved.push('\u{c}'),
            'u' => {
                let code = u32::from_str_radix(escape.get(1..5)?, 16).ok()?;
                // Half of a surrogate pair: names hold none, so how it reads does not matter.
                resolved.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = &escape[5..];
                continue;
            }
            other @ ('"' | '\\' | '/') => resolved.push(other),
            _ => return None,
        }
        rest = characters.as_str();
    }
    resolved.push_str(rest);
    Some(Cow::Owned(resolved))
}

/// Shows each member of the object at the start of `bytes` to `see`, until `see` says that it has seen enough. What is
/// not JSON ends it; a member that is cut short is the last one. Returns the bytes of the object, if it was seen whole.
pub(super) fn members<'a>(bytes: &'a [u8], mut see: impl FnMut(&str, Member<'a>) -> bool) -> Option<usize> {
    let mut at = space(bytes, 0);
    if *bytes.get(at)? != b'{' {
        return None;
    }
    at = space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        let name_end = string_end(bytes, at)?;
        let name = &bytes[at + 1..name_end - 1];
        at = space(bytes, name_end);
        if *bytes.get(at)? != b':' {
            return None;
        }
        at = space(bytes, at + 1);
        let (member, end) = value(bytes, at)?;
        if !see(&text(name)?, member) {
            return None;
        }
        at = space(bytes, end?);
        match bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The value at `at`, and where it ends, unless it is cut short.
fn value(bytes: &[u8], at: usize) -> Option<(Member<'_>, Option<usize>)> {
    let cut = Member::Cut(&bytes[at..]);
    match *bytes.get(at)? {
        b'"' => Some(match string_end(bytes, at) {
            Some(end) => (Member::Text(&bytes[at + 1..end - 1]), Some(end)),
            None => (cut, None),
        }),
        open @ (b'{' | b'[') => Some(match nested_end(bytes, at) {
            Some(end) if open == b'{' => (Member::Object(&bytes[at..end]), Some(end)),
            Some(end) => (Member::Other(&bytes[at..end]), Some(end)),
            None => (cut, None),
        }),
        _ => {
            let len = bytes[at..].iter().position(|b| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace());
            Some(match len {
                Some(0) => return None,
                Some(len) => (Member::Other(&bytes[at..at + len]), Some(at + len)),
                None => (cut, None),
            })
        }
    }
}

fn space(bytes: &[u8], at: usize) -> usize {
    at + bytes[at.min(bytes.len())..].iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// Behind the closing quote of the text whose opening one is at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let mut at = at + 1;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Behind the bracket that closes the one at `at`. Which bracket closes which is not checked: counting is enough to
/// pass over a value, whatever its depth.
fn nested_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (mut at, mut depth) = (at, 0u32);
    loop {
        match *bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth = depth.checked_add(1)?,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(json: &str) -> (Vec<(String, Value<'_>)>, Option<usize>) {
        let mut all = Vec::new();
        let end = members(json.as_bytes(), |name, member| {
            all.push((name.to_owned(), member.value()));
            true
        });
        (all, end)
    }

    #[test]
    fn members_of_any_type_are_seen_in_order() {
        let json =
            r#" {"a": "x\"y", "b" : -12 ,"c":[{"d":"]"}], "e": {"f": "}"}, "g": null, "h": 1.5, "é": "\u00e9\n"} "#;
        let (all, end) = seen(json);
        assert_eq!(end, Some(json.len() - 1));
        let texts: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(texts, ["a", "b", "c", "e", "g", "h", "é"]);
        assert_eq!(all[0].1, Value::Text("x\"y".into()));
        assert_eq!(all[1].1, Value::Int(-12));
        assert_eq!(all[6].1, Value::Text("é\n".into()));
        assert!(all[2..6].iter().all(|(_, value)| *value == Value::Other));
    }

    #[test]
    fn what_is_cut_short_ends_with_a_cut_member_and_never_with_a_wrong_one() {
        let json = r#"{"first": "text", "second": {"in": [1, 2]}, "third": 345}"#;
        let (whole, _) = seen(json);
        for cut in 0..json.len() {
            let (all, end) = seen(&json[..cut]);
            assert_eq!(end, None, "{cut}");
            for (n, member) in all.iter().enumerate() {
                assert!(*member == whole[n] || member.1 == Value::Other, "{cut} {member:?}");
            }
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for json in ["", "[]", "null", "{", "{]", "{\"a\"}", "{\"a\" 1}", "{a: 1}", "{\"a\":}", "\"{}\"", "{\"a\":1 2}"]
        {
            let (all, end) = seen(json);
            assert_eq!(end, None, "{json}");
            assert!(all.len() <= 1, "{json}");
        }
        assert_eq!(seen("{}"), (Vec::new(), Some(2)));
    }

    #[test]
    fn any_depth_is_passed_over() {
        let deep = format!("{{\"a\": {}{}, \"b\": 1}}", "[".repeat(100_000), "]".repeat(100_000));
        let (all, end) = seen(&deep);
        assert_eq!((all.len(), end), (2, Some(deep.len())));
    }
}
