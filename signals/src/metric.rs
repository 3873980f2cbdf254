//! Figures, as OpenTelemetry's metrics are made of them: what instruments say of a resource at one moment.

use std::sync::Arc;

use crate::{KeyValue, Resource};

/// What is measured, named as in the semantic conventions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instrument {
    /// Name: `http.server.request.duration`.
    pub name: &'static str,
    /// Unit, in UCUM: `s`, `By`, `{message}`.
    pub unit: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What kind of figure it is.
    pub kind: InstrumentKind,
}

/// The kinds of instruments that there are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstrumentKind {
    /// Only grows.
    Counter,
    /// Grows and shrinks, and sums are meaningful.
    UpDownCounter,
    /// A value of the moment.
    Gauge,
    /// How often there were values of which size.
    Histogram,
}

/// What one instrument says of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// What is measured.
    pub instrument: Instrument,
    /// The figures, each with attributes of its own.
    pub points: Vec<Point>,
}

/// Instruments' figures of one resource, since the start of each.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceMetrics {
    /// Whom they are about.
    pub resource: Arc<Resource>,
    /// When they were read, Unix time, nanoseconds.
    pub time_unix_nano: u64,
    /// One for each instrument that has figures.
    pub metrics: Vec<Metric>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// What tells it from the instrument's others. Shared with whoever counts.
    pub attributes: Arc<[KeyValue]>,
    /// Since when it counts, Unix time, nanoseconds.
    pub start_unix_nano: u64,
    /// The figure.
    pub figure: Figure,
}

/// A figure's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// A whole number.
    Int(i64),
    /// Any number.
    Double(f64),
    /// How often there were values of which size.
    Histogram(Box<Histogram>),
}

/// How often there were values of which size.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The upper bounds of the buckets, each included in its bucket; one more bucket is for what is beyond.
    pub bounds: &'static [f64],
    /// How many values each bucket has.
    pub counts: Box<[u64]>,
    /// Sum of all values.
    pub sum: f64,
    /// The least and the greatest of them; nothing where there is none, or where it is not known.
    pub range: Option<(f64, f64)>,
    /// The same in buckets that grow by a power of two, if that was asked for.
    pub exponential: Option<Box<Exponential>>,
    /// Examples: at most one for each bucket, the newest.
    pub exemplars: Vec<Exemplar>,
}

impl Histogram {
    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Buckets whose bounds are powers of 2^(2^-scale): bucket `offset + i` holds what is greater than that to the power of its
/// number, and not greater than that to the power of the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exponential {
    /// How fine they are.
    pub scale: i32,
    /// Values that are 0.
    pub zero: u64,
    /// The number of the first bucket.
    pub offset: i32,
    /// How many values each has.
    pub counts: Vec<u64>,
}

/// A value, and the span that it was measured of, which was kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The value.
    pub value: f64,
    /// When, Unix time, nanoseconds.
    pub time_unix_nano: u64,
    /// The span's trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
}
