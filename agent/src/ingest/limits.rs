//! How much of a span is kept, as the SDK specification limits what an SDK keeps (*Attribute Limits*, *Span Limits*):
//! senders may have other limits, or none.

use std::borrow::Cow;

use crate::span::{KeyValue, Value};

/// The most that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attributes of a span.
    pub attributes: usize,
    /// Characters of a text, bytes of a byte string.
    pub length: usize,
    /// Events of a span.
    pub events: usize,
    /// Links of a span.
    pub links: usize,
    /// Attributes of an event.
    pub event_attributes: usize,
    /// Attributes of a link.
    pub link_attributes: usize,
}

impl Default for Limits {
    /// The specification's, which has none for the length of values; a megabyte in each would fill any store.
    fn default() -> Self {
        Self { attributes: 128, length: 8192, events: 128, links: 128, event_attributes: 128, link_attributes: 128 }
    }
}

/// Attributes of a resource or a scope. The specification limits neither; no SDK has as many.
pub(super) const OF_PROCESS: usize = 1024;
/// Characters of a key. A longer one is left out: two that begin alike must not become one.
const KEY: usize = 1024;
/// Characters of the name of a span, an event, or a scope.
const NAME: usize = 1024;
/// The same of a service, which every list shows.
const SERVICE: usize = 256;
/// Elements of a list, and entries of a map.
const ELEMENTS: usize = 1024;
/// Bytes of `tracestate` (W3C Trace Context, 3.3.1.5): a longer one is left out, since a part of it means something else.
const TRACE_STATE: usize = 512;

/// Keeps to the limits, and counts what they cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cutter {
    pub(super) limits: Limits,
    /// Texts that are not kept whole.
    pub(super) shortened: u64,
}

impl Cutter {
    /// A text that is no longer than it may be.
    pub(super) fn text(&mut self, text: String) -> String {
        self.cut(text, self.limits.length)
    }

    /// A name.
    pub(super) fn name(&mut self, text: String) -> String {
        self.cut(text, NAME.min(self.limits.length))
    }

    /// A `tracestate`.
    pub(super) fn trace_state(&mut self, text: String) -> String {
        if text.len() <= TRACE_STATE {
            return text;
        }
        self.shortened += 1;
        String::new()
    }

    fn cut(&mut self, mut text: String, most: usize) -> String {
        // No text has more characters than bytes.
        if text.len() > most
            && let Some((end, _)) = text.char_indices().nth(most)
        {
            text.truncate(end);
            text.shrink_to_fit();
            self.shortened += 1;
        }
        text
    }

    /// Whether a key can be kept. An empty one must not be (*Common, Attribute*).
    pub(super) fn is_key(key: &str) -> bool {
        !key.is_empty() && key.len() <= KEY
    }

    /// An attribute whose value is no longer than it may be.
    pub(super) fn attribute(&mut self, mut attribute: KeyValue) -> KeyValue {
        let most = match attribute.key.as_ref() {
            "service.name" | "service.namespace" => SERVICE.min(self.limits.length),
            _ => self.limits.length,
        };
        self.value(&mut attribute.value, most);
        attribute
    }

    fn value(&mut self, value: &mut Value, most: usize) {
        match value {
            Value::Str(text) => self.shared(text, most),
            Value::StrArray(texts) => {
                self.elements(texts);
                texts.iter_mut().for_each(|text| self.shared(text, most));
            }
            Value::Bytes(bytes) if bytes.len() > most => {
                bytes.truncate(most);
                bytes.shrink_to_fit();
                self.shortened += 1;
            }
            Value::List(values) => {
                self.elements(values);
                values.iter_mut().for_each(|value| self.value(value, most));
            }
            Value::Map(entries) => {
                self.elements(entries);
                entries.retain(|entry| Self::is_key(&entry.key));
                entries.iter_mut().for_each(|entry| self.value(&mut entry.value, most));
            }
            Value::Bytes(_) | Value::Int(_) | Value::Bool(_) | Value::Double(_) | Value::Empty => {}
        }
    }

    fn shared(&mut self, text: &mut Cow<'static, str>, most: usize) {
        if text.len() > most {
            *text = Cow::Owned(self.cut(std::mem::take(text).into_owned(), most));
        }
    }

    fn elements<T>(&mut self, list: &mut Vec<T>) {
        if list.len() > ELEMENTS {
            list.truncate(ELEMENTS);
            list.shrink_to_fit();
            self.shortened += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(value: Value) -> (Value, u64) {
        let mut cutter = Cutter { limits: Limits { length: 4, ..Limits::default() }, shortened: 0 };
        let kept = cutter.attribute(KeyValue { key: "k".into(), value });
        (kept.value, cutter.shortened)
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(kept(Value::Str("äöüß!".into())), (Value::Str("äöüß".into()), 1));
        assert_eq!(kept(Value::Str("äöüß".into())), (Value::Str("äöüß".into()), 0));
        assert_eq!(kept(Value::Bytes(vec![1; 5])), (Value::Bytes(vec![1; 4]), 1));
        assert_eq!(kept(Value::Int(123_456)), (Value::Int(123_456), 0));
    }

    #[test]
    fn what_is_inside_of_a_value_has_the_same_limits() {
        let texts = |texts: [&'static str; 2]| Value::StrArray(texts.map(Into::into).to_vec());
        assert_eq!(kept(texts(["12345", "1"])), (texts(["1234", "1"]), 1));
        let nested = |text: &'static str| {
            Value::List(vec![Value::Map(vec![KeyValue { key: "a".into(), value: Value::Str(text.into()) }])])
        };
        assert_eq!(kept(nested("123456")), (nested("1234"), 1));
        let (Value::List(long), 1) = kept(Value::List(vec![Value::Int(1); 5000])) else { panic!("a list") };
        assert_eq!(long.len(), ELEMENTS);
    }

    #[test]
    fn names_are_short_whatever_values_may_be() {
        let mut cutter = Cutter { limits: Limits { length: 1 << 20, ..Limits::default() }, shortened: 0 };
        let long = "x".repeat(1 << 20);
        let service = cutter.attribute(KeyValue::str("service.name", long.clone()));
        assert_eq!(service.value, Value::Str("x".repeat(SERVICE).into()));
        assert_eq!(cutter.name(long.clone()).len(), NAME);
        assert_eq!(cutter.trace_state(long.clone()), "");
        assert_eq!((cutter.text(long).len(), cutter.shortened), (1 << 20, 3));
    }
}
