//! A block of configuration as it was written: texts, lists and mappings, each known by its path.

use std::time::Duration;

/// What stands at one place of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Nothing: a key alone.
    Nothing,
    /// A text, number or switch.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order in which it was written.
    Map(Vec<(String, Node)>),
}

/// What is wrong in a block, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct BlockError {
    /// Where: `policies[1].latency.threshold_ms`.
    pub path: String,
    /// What, as a sentence without a subject.
    pub problem: String,
}

/// A node, and where it stands.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> Place<'a> {
    /// The whole block.
    pub fn root(node: &'a Node, name: &str) -> Self {
        Self { node, path: name.to_owned() }
    }

    /// An error about this place.
    pub fn wrong(&self, problem: impl Into<String>) -> BlockError {
        BlockError { path: self.path.clone(), problem: problem.into() }
    }

    /// What stands behind a key of a mapping; `None` if there is none, or nothing behind it.
    pub fn get(&self, key: &str) -> Option<Place<'a>> {
        let Node::Map(entries) = self.node else { return None };
        let (_, node) = entries.iter().find(|(name, node)| name == key && *node != Node::Nothing)?;
        Some(Place { node, path: format!("{}.{key}", self.path) })
    }

    /// Checks that this is a mapping whose keys are all known.
    ///
    /// # Errors
    /// If it is none, or has a key that is unknown or twice there.
    pub fn keys(&self, known: &[&str]) -> Result<(), BlockError> {
        let entries = match self.node {
            Node::Map(entries) => entries,
            Node::Nothing => return Ok(()),
            _ => {
                return Err(
                    self.wrong(format!("is not a mapping; write `key: value` lines, with {}", known.join(", ")))
                );
            }
        };
        for (at, (key, _)) in entries.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                return Err(self.wrong(format!("has the unknown key `{key}`; known are {}", known.join(", "))));
            }
            if entries[..at].iter().any(|(other, _)| other == key) {
                return Err(self.wrong(format!("has `{key}` twice; keep one of them")));
            }
        }
        Ok(())
    }

    /// The items of a list.
    ///
    /// # Errors
    /// If it is none.
    pub fn items(&self) -> Result<Vec<Place<'a>>, BlockError> {
        let Node::List(items) = self.node else { return Err(self.wrong("is not a list; begin each item with `- `")) };
        Ok(items.iter().enumerate().map(|(n, node)| Place { node, path: format!("{}[{n}]", self.path) }).collect())
    }

    /// A text.
    ///
    /// # Errors
    /// If it is none.
    pub fn text(&self) -> Result<&'a str, BlockError> {
        match self.node {
            Node::Text(text) => Ok(text),
            _ => Err(self.wrong("is not a single value")),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// If it is none.
    pub fn number<T: std::str::FromStr>(&self) -> Result<T, BlockError> {
        let text = self.text()?;
        text.replace('_', "").parse().map_err(|_| self.wrong(format!("{text:?} is not a number that can stand here")))
    }

    /// The number behind a key; 0 if there is none.
    ///
    /// # Errors
    /// If something else is there.
    pub fn number_at<T: std::str::FromStr + Default>(&self, key: &str) -> Result<T, BlockError> {
        self.get(key).map_or_else(|| Ok(T::default()), |place| place.number())
    }

    /// The switch behind a key; off if there is none.
    ///
    /// # Errors
    /// If something else is there.
    pub fn switch_at(&self, key: &str) -> Result<bool, BlockError> {
        self.get(key).map_or(Ok(false), |place| place.switch())
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// If it is neither.
    pub fn switch(&self) -> Result<bool, BlockError> {
        match self.text()? {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            other => Err(self.wrong(format!("{other:?} is neither true nor false"))),
        }
    }

    /// A duration as the Collector writes it: `30s`, `1m30s`, `500ms`.
    ///
    /// # Errors
    /// If it is none.
    pub fn duration(&self) -> Result<Duration, BlockError> {
        let text = self.text()?;
        duration(text).ok_or_else(|| self.wrong(format!("{text:?} is not a duration; write 10s, 500ms or 1m30s")))
    }
}

/// Units of durations, longer names first.
const UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
/// Longest that anything may be waited for.
const LONGEST: f64 = 24.0 * 3.6e12;

/// Numbers with units, one behind the other.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut sum) = (text, 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == &rest[digits..end])?;
        sum += number * factor;
        rest = &rest[end..];
    }
    (sum <= LONGEST).then(|| Duration::from_nanos(sum as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let millis = |text| duration(text).map(|d| d.as_micros());
        assert_eq!(millis("30s"), Some(30_000_000));
        assert_eq!(millis("1m30s"), Some(90_000_000));
        assert_eq!(millis("1.5ms"), Some(1500));
        assert_eq!(millis("0"), Some(0));
        for bad in ["", "30", "s", "5 s", "-1s", "1d", "1000h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
