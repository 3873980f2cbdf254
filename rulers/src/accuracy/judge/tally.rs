//! The figures of one cell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many wrong links are described in words.
const SAMPLES: usize = 5;

/// A count, apart for links that are proven and links that the agent marks as inferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Links that the agent calls proven.
    pub exact: u64,
    /// Links that it marks with `wirespan.link.evidence`.
    pub inferred: u64,
}

/// What became of the links of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// Spans that must have such a link (for roots: spans that must have none).
    pub expected: u64,
    /// The parent is the true one.
    pub right: Split,
    /// The parent is another one.
    pub wrong: Split,
    /// There is no parent, though the truth has one.
    pub orphans: u64,
    /// The parent's id is no span's.
    pub dangling: u64,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Spans that must be there: two for each exchange that was completed in a request that was answered.
    pub expected: u64,
    /// How many of them are.
    pub found: u64,
    /// Spans more than exchanges.
    pub duplicates: u64,
    /// Traces that hold this cell's requests and something else.
    pub mixed: u64,
    /// The driver's spans, which have no parent.
    pub roots: Links,
    /// From the SERVER to the CLIENT span of one exchange.
    pub joins: Links,
    /// From a CLIENT span to the SERVER span during which the call was made.
    pub calls: Links,
    /// Inferred links, by what they rest on.
    #[serde(default)]
    pub evidence: BTreeMap<String, Rests>,
    /// Calls of nobody in particular that hang below a request of this cell.
    #[serde(default)]
    pub strays: Split,
    /// Traces that hold several requests because of inferred links that are wrong.
    #[serde(default)]
    pub mixed_inferred: u64,
    /// Some of what is wrong, in words.
    pub samples: Vec<String>,
}

/// Links that rest on one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rests {
    /// The parent is the true one.
    pub right: u64,
    /// The parent is another one.
    pub wrong: u64,
}

impl Rests {
    /// Counts one.
    pub fn add(&mut self, right: bool) {
        if right {
            self.right += 1;
        } else {
            self.wrong += 1;
        }
    }
}

impl Split {
    /// Counts one.
    pub fn add(&mut self, inferred: bool) {
        if inferred {
            self.inferred += 1;
        } else {
            self.exact += 1;
        }
    }

    /// Both.
    pub fn total(self) -> u64 {
        self.exact + self.inferred
    }
}

impl Tally {
    /// Keeps a description, if there are few.
    pub fn sample(&mut self, text: String) {
        if self.samples.len() < SAMPLES {
            self.samples.push(text);
        }
    }

    /// Links of all kinds whose parent is wrong.
    pub fn wrong(&self) -> Split {
        let all = [self.roots.wrong, self.joins.wrong, self.calls.wrong, self.strays];
        Split { exact: all.iter().map(|it| it.exact).sum(), inferred: all.iter().map(|it| it.inferred).sum() }
    }

    /// Links of all kinds whose parent's id is no span's.
    pub fn dangling(&self) -> u64 {
        self.roots.dangling + self.joins.dangling + self.calls.dangling
    }
}
