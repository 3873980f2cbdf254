//! The series of one family of instruments for one resource: as many as may be, the rest in one that says so.

use std::borrow::Cow;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock};

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use wirespan_protocols::weight;
use wirespan_signals::{Exemplar, Figure, Histogram, InstrumentKind, KeyValue, Point, Value};

use crate::histogram;
use crate::instruments::{Family, Kept, MAX_INSTRUMENTS, MAX_KEYS};

/// Texts longer than this tell no series apart: such a value goes to the series for all others.
const MAX_TEXT: usize = 1024;
/// What a series takes beside what it owns: its place in the list, in the index, in the shared list of attributes.
const SERIES: usize = size_of::<Series>() * 2 + 64;

/// What stands for all series that found no room (Metrics SDK, *Overflow attribute*).
static OVERFLOW: LazyLock<Arc<[KeyValue]>> =
    LazyLock::new(|| [KeyValue { key: Cow::Borrowed("otel.metric.overflow"), value: Value::Bool(true) }].into());

/// The values of a family's keys, in their order.
pub(crate) type Values<'a> = [Option<Seen<'a>>; MAX_KEYS];

/// A value as it stands in a span: nothing is copied until a series begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Int(i64),
    /// Anything else.
    Other(&'a Value),
}

impl<'a> From<&'a Value> for Seen<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Str(text) => Self::Text(text),
            Value::Int(n) => Self::Int(*n),
            other => Self::Other(other),
        }
    }
}

impl Seen<'_> {
    fn is(self, known: &Value) -> bool {
        match (self, known) {
            (Self::Text(text), Value::Str(known)) => text == known,
            (Self::Int(n), Value::Int(known)) => n == *known,
            (Self::Other(value), known) => value == known,
            _ => false,
        }
    }

    fn keep(self) -> Value {
        match self {
            Self::Text(text) => Value::Str(text.to_owned().into()),
            Self::Int(n) => Value::Int(n),
            Self::Other(value) => value.clone(),
        }
    }
}
/// What each instrument of a family measured.
pub(crate) type Measured = [Option<f64>; MAX_INSTRUMENTS];

/// What room there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Series of a table, the one for all others included.
    pub series: usize,
    /// Whether memory for more is left.
    pub memory: bool,
    /// Keep exponential histograms too.
    pub exponential: bool,
}

/// What became of a measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Bytes that are held more than before.
    pub grown: usize,
    /// It found no room of its own.
    pub overflow: bool,
    /// There is one more series.
    pub new: bool,
}

/// The series of a family.
#[derive(Debug, Default)]
pub(crate) struct Table {
    index: HashTable<u32>,
    series: Vec<Series>,
    overflow: Option<Series>,
    bytes: usize,
}

#[derive(Debug)]
struct Series {
    hash: u64,
    attributes: Arc<[KeyValue]>,
    start_unix_nano: u64,
    figures: [Held; MAX_INSTRUMENTS],
}

#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Count(u64),
    Level(i64),
    Histogram(Box<Histogram>),
}

impl Table {
    /// Counts what was measured with these attributes.
    pub(crate) fn note(
        &mut self,
        family: &'static Family,
        values: &Values<'_>,
        measured: Measured,
        (now, exemplar): (u64, Option<Exemplar>),
        room: Room,
    ) -> Noted {
        let (hash, fits) = hash(values);
        let known = self.index.find(hash, |at| is(&self.series[*at as usize], hash, family, values));
        let mut noted = Noted::default();
        let series = match known.copied() {
            Some(at) => &mut self.series[at as usize],
            None if fits && room.memory && self.series.len() + 1 < room.series => {
                let attributes = attributes(family, values);
                noted = Noted { grown: SERIES + weigh(&attributes), new: true, overflow: false };
                let at = self.series.len() as u32;
                self.series.push(Series::new(hash, attributes, now));
                let series = &self.series;
                self.index.insert_unique(hash, at, |at| series[*at as usize].hash);
                &mut self.series[at as usize]
            }
            None => {
                noted.overflow = true;
                if self.overflow.is_none() {
                    noted.grown = SERIES;
                    noted.new = true;
                }
                self.overflow.get_or_insert_with(|| Series::new(hash, Arc::clone(&OVERFLOW), now))
            }
        };
        for ((held, kept), value) in series.figures.iter_mut().zip(family.instruments).zip(measured) {
            if let Some(value) = value {
                noted.grown += held.add(kept, value, exemplar, room.exponential);
            }
        }
        self.bytes += noted.grown;
        noted
    }

    /// Bytes that it was counted for.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.series.len() + usize::from(self.overflow.is_some())
    }

    /// The figures of the nth instrument.
    pub(crate) fn points(&self, nth: usize) -> Vec<Point> {
        let all = self.series.iter().chain(&self.overflow);
        let point = |series: &Series| {
            let figure = match series.figures.get(nth)? {
                Held::Nothing => return None,
                Held::Count(n) => Figure::Int(i64::try_from(*n).unwrap_or(i64::MAX)),
                Held::Level(n) => Figure::Int(*n),
                Held::Histogram(histogram) => Figure::Histogram(histogram.clone()),
            };
            Some(Point { attributes: Arc::clone(&series.attributes), start_unix_nano: series.start_unix_nano, figure })
        };
        all.filter_map(point).collect()
    }
}

impl Series {
    fn new(hash: u64, attributes: Arc<[KeyValue]>, now: u64) -> Self {
        Self { hash, attributes, start_unix_nano: now, figures: Default::default() }
    }
}

impl Held {
    /// Counts a value. Returns the bytes that are held more.
    fn add(&mut self, kept: &Kept, value: f64, exemplar: Option<Exemplar>, exponential: bool) -> usize {
        let mut grown = 0;
        if matches!(self, Self::Nothing) {
            *self = match kept.instrument.kind {
                InstrumentKind::Histogram => {
                    grown =
                        size_of::<Histogram>() + (kept.bounds.len() + 1) * size_of::<u64>() + 2 * weight::ALLOCATION;
                    grown += if exponential { histogram::EXPONENTIAL_BYTES } else { 0 };
                    Self::Histogram(Box::new(histogram::empty(kept.bounds, exponential)))
                }
                InstrumentKind::UpDownCounter => Self::Level(0),
                InstrumentKind::Counter | InstrumentKind::Gauge => Self::Count(0),
            };
        }
        match self {
            Self::Count(n) => *n = n.saturating_add(value as u64),
            Self::Level(n) => *n = n.saturating_add(value as i64),
            Self::Histogram(histogram) => {
                let exemplar = exemplar.map(|exemplar| Exemplar { value, ..exemplar });
                grown += histogram::record(histogram, value, exemplar);
            }
            Self::Nothing => {}
        }
        grown
    }
}

/// A hash of values, and whether they may tell a series apart.
fn hash(values: &Values<'_>) -> (u64, bool) {
    let (mut hasher, mut fits) = (FxHasher::default(), true);
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        at.hash(&mut hasher);
        match value {
            Seen::Text(text) => {
                fits &= text.len() <= MAX_TEXT;
                text.hash(&mut hasher);
            }
            Seen::Int(n) => n.hash(&mut hasher),
            Seen::Other(Value::Bool(yes)) => yes.hash(&mut hasher),
            // Of our own spans no key of a family has any other.
            _ => fits = false,
        }
    }
    (hasher.finish(), fits)
}

/// Whether a series has these values, and no others.
fn is(series: &Series, hash: u64, family: &Family, values: &Values<'_>) -> bool {
    if series.hash != hash {
        return false;
    }
    let mut known = series.attributes.iter();
    for (key, value) in family.keys.iter().zip(values) {
        let Some(value) = value else { continue };
        if known.next().is_none_or(|attribute| attribute.key != *key || !value.is(&attribute.value)) {
            return false;
        }
    }
    known.next().is_none()
}

fn attributes(family: &'static Family, values: &Values<'_>) -> Arc<[KeyValue]> {
    let each = family
        .keys
        .iter()
        .zip(values)
        .filter_map(|(key, value)| Some(KeyValue { key: Cow::Borrowed(key), value: value.as_ref()?.keep() }));
    each.collect()
}

fn weigh(attributes: &[KeyValue]) -> usize {
    let text = |attribute: &KeyValue| match &attribute.value {
        Value::Str(Cow::Owned(text)) => text.capacity() + weight::ALLOCATION,
        _ => 0,
    };
    size_of_val(attributes) + weight::ALLOCATION + attributes.iter().map(text).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruments::FamilyName;

    const ROOM: Room = Room { series: 10, memory: true, exponential: false };

    fn values(name: &str) -> Values<'_> {
        let mut values = Values::default();
        values[0] = Some(Seen::Text(name));
        values
    }

    fn note(table: &mut Table, name: &str, room: Room) -> Noted {
        table.note(FamilyName::DnsLookup.family(), &values(name), [Some(1.0), None, None], (7, None), room)
    }

    fn counts(table: &Table) -> Vec<(String, u64)> {
        let told = |point: Point| {
            let (key, value) = (&point.attributes[0].key, &point.attributes[0].value);
            let name = if key == "otel.metric.overflow" { "overflow".to_owned() } else { format!("{value:?}") };
            let Figure::Histogram(histogram) = point.figure else { panic!("no histogram") };
            (name, histogram.count())
        };
        table.points(0).into_iter().map(told).collect()
    }

    #[test]
    fn what_has_the_same_attributes_is_one_series() {
        let mut table = Table::default();
        assert!(note(&mut table, "a", ROOM).new);
        assert_eq!(note(&mut table, "a", ROOM), Noted::default());
        assert!(note(&mut table, "b", ROOM).grown > 0);
        assert_eq!(counts(&table), [("Str(\"a\")".to_owned(), 2), ("Str(\"b\")".to_owned(), 1)]);
        assert!(table.points(1).is_empty(), "nothing was measured there");
    }

    #[test]
    fn beyond_the_limit_all_is_one_series_that_says_so_and_nothing_is_lost() {
        let mut table = Table::default();
        for n in 0..100 {
            let noted = note(&mut table, &format!("name-{n}"), ROOM);
            assert_eq!(noted.overflow, n >= 9, "{n}");
        }
        assert!(!note(&mut table, "name-3", ROOM).overflow, "who has a series keeps it");
        assert_eq!(table.len(), ROOM.series, "the limit counts the one for all others");
        let told = counts(&table);
        assert_eq!(told.last().unwrap(), &("overflow".to_owned(), 91));
        assert_eq!(told.iter().map(|(_, n)| n).sum::<u64>(), 101);
    }

    #[test]
    fn without_memory_and_for_endless_texts_there_is_that_series_alone() {
        let mut table = Table::default();
        assert!(note(&mut table, &"x".repeat(5000), ROOM).overflow);
        assert!(note(&mut table, "a", Room { memory: false, ..ROOM }).overflow);
        assert_eq!(counts(&table), [("overflow".to_owned(), 2)]);
    }

    #[test]
    fn a_missing_value_is_not_an_empty_one() {
        let mut table = Table::default();
        let family = FamilyName::DnsLookup.family();
        let mut second = Values::default();
        second[1] = Some(Seen::Text("a"));
        for values in [values("a"), second] {
            table.note(family, &values, [Some(1.0), None, None], (7, None), ROOM);
        }
        assert_eq!(table.len(), 2);
    }
}
