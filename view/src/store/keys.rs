//! Names of attributes, to suggest them.

use std::borrow::Cow;

use rustc_hash::FxHashSet;

use wirespan_signals::KeyValue;

/// Names that are remembered.
const MAX_KEYS: usize = 4096;
/// Memory of one beside its letters.
const OVERHEAD: usize = 48;

/// Those that were seen.
#[derive(Debug, Default)]
pub struct Keys {
    all: FxHashSet<Box<str>>,
    /// Where those stand in the program that are its own: most are, and come with every span.
    own: FxHashSet<(usize, usize)>,
    bytes: usize,
}

impl Keys {
    /// Remembers the names of these.
    pub fn learn(&mut self, attributes: &[KeyValue]) {
        for attribute in attributes {
            if let Cow::Borrowed(key) = attribute.key
                && !self.own.insert((key.as_ptr() as usize, key.len()))
            {
                continue;
            }
            if !self.all.contains(attribute.key.as_ref()) && self.all.len() < MAX_KEYS {
                self.bytes += attribute.key.len() + OVERHEAD;
                self.all.insert(attribute.key.as_ref().into());
            }
        }
    }

    /// All of them, in no order.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(AsRef::as_ref)
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_remembered_once_wherever_it_stands() {
        let mut keys = Keys::default();
        let owned = KeyValue { key: String::from("url.path").into(), ..KeyValue::int("", 1) };
        keys.learn(&[KeyValue::int("url.path", 1), owned, KeyValue::int("url.path", 2)]);
        keys.learn(&[KeyValue::int("url.path", 3)]);
        assert_eq!(keys.all().collect::<Vec<_>>(), ["url.path"]);
        assert_eq!(keys.bytes(), "url.path".len() + OVERHEAD);
    }

    #[test]
    fn there_is_a_bound() {
        let mut keys = Keys::default();
        for n in 0..2 * MAX_KEYS {
            keys.learn(&[KeyValue { key: format!("key.{n}").into(), ..KeyValue::int("", 1) }]);
        }
        assert_eq!(keys.all().count(), MAX_KEYS);
    }
}
