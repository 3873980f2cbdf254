//! Attributes as numbers to search by: a hash of `key=value`, and one of the key alone.
//!
//! A trace keeps the hashes of all its attributes, 32 bits each. A search compares these first; what it then shows, it has
//! read and compared in full, so two texts with the same hash cost time and never a wrong result.

use std::borrow::Cow;
use std::hash::Hasher as _;

use rustc_hash::FxHasher;

use wirespan_delivery::text::json::Plain;
use wirespan_signals::{KeyValue, Value};

/// Hash of an attribute, or of a key.
pub type Term = u32;

/// The hash of a key alone.
pub fn key(key: &str) -> Term {
    hash(key, None)
}

/// The hash of a key with a value as text.
pub fn pair(key: &str, value: &str) -> Term {
    hash(key, Some(value))
}

/// Appends the hashes of an attribute.
pub fn of(attribute: &KeyValue, terms: &mut Vec<Term>) {
    terms.push(key(&attribute.key));
    each_text(&attribute.value, |text| terms.push(pair(&attribute.key, text)));
}

/// Whether an attribute is `key`, with this value as text if there is one.
pub fn is(attribute: &KeyValue, key: &str, value: Option<&str>) -> bool {
    attribute.key == key
        && value.is_none_or(|value| {
            let mut found = false;
            each_text(&attribute.value, |text| found |= text == value);
            found
        })
}

/// Calls `found` with every text that a value may be searched by: itself, and each element of a list.
fn each_text(value: &Value, mut found: impl FnMut(&str)) {
    match value {
        Value::StrArray(texts) => texts.iter().for_each(|text| found(text)),
        Value::List(values) => values.iter().for_each(|value| found(&text(value))),
        // (Most have a few, which need no memory of their own.)
        Value::Int(int) => return found(Digits::of(*int).text()),
        _ => {}
    }
    found(&text(value));
}

/// A whole number as people write it.
struct Digits {
    bytes: [u8; Self::MOST],
    from: usize,
}

impl Digits {
    /// Nineteen digits and a sign.
    const MOST: usize = 20;

    fn of(number: i64) -> Self {
        let (mut bytes, mut from, mut rest) = ([0; Self::MOST], Self::MOST, number.unsigned_abs());
        loop {
            from -= 1;
            bytes[from] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            from -= 1;
            bytes[from] = b'-';
        }
        Self { bytes, from }
    }

    fn text(&self) -> &str {
        // (Digits are text.)
        std::str::from_utf8(&self.bytes[self.from..]).unwrap_or_default()
    }
}

/// A value as people write it; what has parts, as JSON.
pub fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Str(text) => Cow::Borrowed(text),
        Value::Int(int) => Cow::Owned(int.to_string()),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Double(double) => Cow::Owned(double.to_string()),
        other => Cow::Owned(serde_json::to_string(&Plain(other)).unwrap_or_default()),
    }
}

/// Bytes of the texts in a value.
pub fn letters(value: &Value) -> usize {
    match value {
        Value::Str(text) => text.len(),
        Value::StrArray(texts) => texts.iter().map(|text| text.len() + 24).sum(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(values) => values.iter().map(|value| letters(value) + 32).sum(),
        Value::Map(entries) => entries.iter().map(|entry| entry.key.len() + letters(&entry.value) + 56).sum(),
        Value::Int(_) | Value::Bool(_) | Value::Double(_) | Value::Empty => 0,
    }
}

fn hash(key: &str, value: Option<&str>) -> Term {
    let mut hasher = FxHasher::default();
    hasher.write(key.as_bytes());
    if let Some(value) = value {
        // No text has this byte, so a key is never taken for a key with a value.
        hasher.write_u8(0xff);
        hasher.write(value.as_bytes());
    }
    let hash = hasher.finish();
    (hash ^ hash >> 32) as Term
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_text() {
        let number = KeyValue::int("order.id", 123);
        assert!(is(&number, "order.id", Some("123")) && is(&number, "order.id", None));
        assert!(!is(&number, "order.id", Some("12")) && !is(&number, "order", None));
        let list = KeyValue { key: "a".into(), value: Value::StrArray(vec!["x".into(), "y".into()]) };
        assert!(is(&list, "a", Some("y")) && is(&list, "a", Some(r#"["x","y"]"#)) && !is(&list, "a", Some("z")));
        let list = KeyValue { key: "n".into(), value: Value::List(vec![Value::Int(7), Value::Bool(true)]) };
        assert!(is(&list, "n", Some("7")) && is(&list, "n", Some("true")) && is(&list, "n", Some("[7,true]")));
        assert!(!is(&list, "n", Some("8")));
        let double = KeyValue { key: "d".into(), value: Value::Double(1.5) };
        assert!(is(&double, "d", Some("1.5")));
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        let around = |n: i64| [n.wrapping_sub(1), n, n.wrapping_add(1)];
        let all = [0, 10, -10, 99, 1 << 40, i64::MAX, i64::MIN].into_iter().flat_map(around);
        all.for_each(|n| assert_eq!(Digits::of(n).text(), n.to_string()));
    }

    #[test]
    fn what_is_searched_by_is_among_the_terms() {
        let mut terms = Vec::new();
        of(&KeyValue::int("order.id", 123), &mut terms);
        assert_eq!(terms, [key("order.id"), pair("order.id", "123")]);
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
    }
}
