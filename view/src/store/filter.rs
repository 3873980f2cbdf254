//! Which traces somebody wants to see.

use rustc_hash::FxHashSet;

use super::intern::Sym;
use super::memory::Memory;
use super::resources::ResourceId;
use super::terms::{self, Term};
use super::trace::Stored;
use wirespan_signals::Span;

/// Shortest beginning of a trace id to search by, in hexadecimal digits.
pub const MIN_PREFIX: usize = 4;

/// Whether something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Some span did.
    Error,
    /// None did.
    Ok,
}

/// The beginning of a trace id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Vec<u8>);

impl Prefix {
    /// Reads hexadecimal digits, of which there are [`MIN_PREFIX`] to 32.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<Vec<u8>>>()?;
        (MIN_PREFIX..=32).contains(&digits.len()).then_some(Self(digits))
    }

    fn begins(&self, id: &[u8; 16]) -> bool {
        self.0.iter().enumerate().all(|(at, digit)| id[at / 2] >> (4 * (1 - at % 2)) & 0xf == *digit)
    }
}

/// What a trace must be like. Everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Some span is of this service.
    pub service: Option<String>,
    /// Some span has this name; of `service`, if that is given too.
    pub operation: Option<String>,
    /// Shortest duration of the whole, nanoseconds.
    pub min: Option<u64>,
    /// Longest.
    pub max: Option<u64>,
    /// Outcome.
    pub outcome: Option<Outcome>,
    /// Some span or its resource has each of these keys, with the value as text if there is one.
    pub attributes: Vec<(String, Option<String>)>,
    /// Beginning of the id.
    pub trace: Option<Prefix>,
    /// Earliest start, Unix time in nanoseconds.
    pub from: Option<u64>,
    /// Latest start.
    pub to: Option<u64>,
}

/// An attribute to look for.
struct Wanted {
    term: Term,
    resources: FxHashSet<ResourceId>,
}

/// A filter, ready to be asked about many traces.
pub struct Matcher<'a> {
    filter: &'a Filter,
    service: Option<Sym>,
    operation: Option<Sym>,
    wanted: Vec<Wanted>,
    /// A text occurs nowhere, so nothing can match.
    impossible: bool,
}

impl<'a> Matcher<'a> {
    /// Prepares a filter.
    pub fn new(filter: &'a Filter, memory: &'a Memory) -> Self {
        let find = |text: &Option<String>| text.as_ref().map(|text| memory.texts.find(text));
        let (service, operation) = (find(&filter.service), find(&filter.operation));
        let wanted = |(key, value): &(String, Option<String>)| {
            let term = match value {
                Some(value) => terms::pair(key, value),
                None => terms::key(key),
            };
            let has = |(_, entry): &(ResourceId, &super::resources::Entry)| entry.terms.contains(&term);
            Wanted { term, resources: memory.resources.all().filter(has).map(|(id, _)| id).collect() }
        };
        Self {
            filter,
            impossible: service == Some(None) || operation == Some(None),
            service: service.flatten(),
            operation: operation.flatten(),
            wanted: filter.attributes.iter().map(wanted).collect(),
        }
    }

    /// Whether a trace matches, as far as hashes of attributes tell.
    pub fn seems(&self, stored: &Stored) -> bool {
        let Filter { min, max, outcome, trace, from, to, .. } = self.filter;
        !self.impossible
            && from.is_none_or(|from| stored.start >= from)
            && to.is_none_or(|to| stored.start <= to)
            && min.is_none_or(|min| stored.duration() >= min)
            && max.is_none_or(|max| stored.duration() <= max)
            && outcome.is_none_or(|outcome| (stored.errors > 0) == (outcome == Outcome::Error))
            && trace.as_ref().is_none_or(|prefix| prefix.begins(&stored.id))
            && self.is_of(stored)
            && self.wanted.iter().all(|wanted| Self::has(stored, wanted))
    }

    fn is_of(&self, stored: &Stored) -> bool {
        let (service, operation) = (self.service, self.operation);
        (service.is_none() && operation.is_none())
            || stored.rows.iter().any(|row| {
                service.is_none_or(|service| row.service == service)
                    && operation.is_none_or(|operation| row.name == operation)
            })
    }

    fn has(stored: &Stored, wanted: &Wanted) -> bool {
        stored.has_term(wanted.term)
            || (!wanted.resources.is_empty() && stored.rows.iter().any(|row| wanted.resources.contains(&row.resource)))
    }
}

impl Filter {
    /// Whether its spans have to be read to know whether a trace matches: hashes of attributes only suggest it.
    pub fn reads_spans(&self) -> bool {
        !self.attributes.is_empty()
    }

    /// Whether these spans have the attributes.
    pub fn has_attributes(&self, spans: &[Span]) -> bool {
        let somewhere =
            |(key, value): &(String, Option<String>)| spans.iter().any(|s| has_attribute(s, key, value.as_deref()));
        self.attributes.iter().all(somewhere)
    }
}

/// Whether a span or its resource has an attribute, with this value as text if there is one.
pub fn has_attribute(span: &Span, key: &str, value: Option<&str>) -> bool {
    span.attributes.iter().chain(&span.resource.attributes).any(|attribute| terms::is(attribute, key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_compared_digit_by_digit() {
        let id = [0x4b, 0xf9, 0x2f, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x36];
        for (text, begins) in [("4bf9", true), ("4BF92", true), ("4bf93", false), ("4bf92f35", true), ("14bf", false)] {
            assert_eq!(Prefix::parse(text).unwrap().begins(&id), begins, "{text}");
        }
        for text in ["", "4bf", "4bfx", &"0".repeat(33)] {
            assert_eq!(Prefix::parse(text), None, "{text}");
        }
        assert!(Prefix::parse("4bf92f35000000000000000000000036").unwrap().begins(&id));
    }
}
