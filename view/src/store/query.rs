//! What the traces in memory are asked.

use serde::Serialize;

use super::filter::{Filter, Matcher};
use super::memory::Memory;
use super::packed::{Packed, ReadError};
use super::stop::{Stop, Stopped};
use super::trace::Stored;
use wirespan_signals::{SpanKind, hex, kind};

/// What is shown of a trace in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// Service of the span that stands for the whole: the one without a parent here, the earliest first.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// First start, Unix time in nanoseconds, decimal: more than a JavaScript number holds.
    pub start_unix_ns: String,
    /// The same in milliseconds.
    pub start_ms: f64,
    /// From the first start to the last end, nanoseconds.
    pub duration_ns: u64,
    /// Spans.
    pub spans: usize,
    /// Failed spans.
    pub errors: u32,
    /// Every service, the root's first.
    pub services: Vec<String>,
    /// HTTP status code of the root.
    pub http_status: Option<u16>,
    /// `error.type` of the root, or of the first span that failed.
    pub error_type: Option<String>,
    /// Whether its beginning is here: the root has no parent on this host that is missing.
    pub complete: bool,
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The latest start first.
    #[default]
    Recent,
    /// The longest duration first.
    Slow,
}

/// A list of traces.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The first of those that matched.
    pub traces: Vec<Summary>,
    /// How many matched.
    pub matched: usize,
    /// How many were looked at.
    pub searched: usize,
    /// Whether more matched than are listed.
    pub truncated: bool,
}

/// A trace that seems to match.
pub struct Candidate {
    summary: Summary,
    /// If its spans have to be read.
    packed: Option<Packed>,
}

/// Traces that seem to match.
pub struct Candidates {
    traces: Vec<Candidate>,
    matched: usize,
    searched: usize,
}

impl Candidate {
    /// What is listed of it, if it matches.
    ///
    /// # Errors
    /// If the reader is to stop.
    pub fn check(self, filter: &Filter, stop: &Stop) -> Result<Option<Summary>, Stopped> {
        let Some(packed) = self.packed else { return Ok(Some(self.summary)) };
        match packed.spans(stop) {
            Ok(spans) => Ok(filter.has_attributes(&spans).then_some(self.summary)),
            // What cannot be read is not shown; it would fail again when opened.
            Err(ReadError::Piece(_)) => Ok(None),
            Err(ReadError::Stopped(stopped)) => Err(stopped),
        }
    }
}

impl Candidates {
    /// Those that match.
    ///
    /// # Errors
    /// If the reader is to stop.
    pub fn check(self, filter: &Filter, stop: &Stop) -> Result<Found, Stopped> {
        let Self { traces: seemed, matched, searched } = self;
        let (count, mut traces) = (seemed.len(), Vec::new());
        for candidate in seemed {
            traces.extend(candidate.check(filter, stop)?);
        }
        let matched = matched - (count - traces.len());
        Ok(Found { truncated: matched > traces.len(), traces, matched, searched })
    }
}

/// Durations over time, counted in cells.
#[derive(Clone, Debug, Serialize)]
pub struct Heat {
    /// Left end, Unix time in milliseconds.
    pub from_ms: f64,
    /// Right end.
    pub to_ms: f64,
    /// Width of a column, milliseconds.
    pub bucket_ms: f64,
    /// Rows, from short to long.
    pub rows: Vec<HeatRow>,
    /// Column, row, traces, and traces with a failed span; empty cells are left out.
    pub cells: Vec<(usize, usize, u32, u32)>,
}

/// The durations of a row, nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub struct HeatRow {
    /// From here.
    pub min_ns: u64,
    /// To below here; in the last row, to here.
    pub max_ns: u64,
}

/// Nanoseconds as milliseconds.
pub fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

impl Memory {
    /// The summary of a trace.
    pub fn summary(&self, stored: &Stored) -> Summary {
        let text = |sym| self.text(sym).to_owned();
        let root = stored.root();
        let failed = root.filter(|row| !row.error_type.is_empty());
        let failed = failed.or_else(|| stored.rows.iter().find(|row| row.error && !row.error_type.is_empty()));
        Summary {
            trace_id: hex(&stored.id),
            service: root.map(|row| text(row.service)).unwrap_or_default(),
            name: root.map(|row| text(row.name)).unwrap_or_default(),
            kind: root.map_or("internal", |row| kind(row.kind)),
            start_unix_ns: stored.start.to_string(),
            start_ms: millis(stored.start),
            duration_ns: stored.duration(),
            spans: stored.rows.len(),
            errors: stored.errors,
            services: stored.services().into_iter().map(text).collect(),
            http_status: root.map(|row| row.http_status).filter(|status| *status != 0),
            error_type: failed.map(|row| text(row.error_type)),
            complete: root.is_some_and(|row| row.parent == 0 || row.remote),
        }
    }

    /// The traces that seem to match, at most `limit` of them. [`Candidates::check`] says which do.
    pub fn find(&self, filter: &Filter, sort: Sort, limit: usize) -> Candidates {
        let (chosen, matched) = self.choose(&Matcher::new(filter, self), sort, limit);
        let traces = chosen.into_iter().map(|stored| self.candidate(stored, filter)).collect();
        Candidates { traces, matched, searched: self.traces() }
    }

    /// A trace that seems to match, to be looked at without this memory.
    pub fn candidate(&self, stored: &Stored, filter: &Filter) -> Candidate {
        Candidate { summary: self.summary(stored), packed: filter.reads_spans().then(|| self.pack(stored)) }
    }

    /// The traces that match, at most `limit` of them.
    pub fn search(&self, filter: &Filter, sort: Sort, limit: usize) -> Found {
        let found = self.find(filter, sort, limit).check(filter, &Stop::never());
        found.unwrap_or_else(|_| Found { traces: Vec::new(), matched: 0, searched: 0, truncated: true })
    }

    /// The first `limit` of those that seem to match, and how many do.
    fn choose(&self, matcher: &Matcher<'_>, sort: Sort, limit: usize) -> (Vec<&Stored>, usize) {
        let rank = |stored: &Stored| match sort {
            Sort::Recent => stored.start,
            Sort::Slow => stored.duration(),
        };
        let mut chosen: Vec<(u64, &Stored)> =
            self.all().filter(|stored| matcher.seems(stored)).map(|stored| (rank(stored), stored)).collect();
        let matched = chosen.len();
        let descending = |a: &(u64, &Stored), b: &(u64, &Stored)| b.0.cmp(&a.0);
        if limit > 0 && limit < matched {
            chosen.select_nth_unstable_by(limit - 1, descending);
        }
        chosen.truncate(limit);
        chosen.sort_by(descending);
        (chosen.into_iter().map(|(_, stored)| stored).collect(), matched)
    }

    /// Every trace that seems to match, the latest first: for those who look at the spans themselves.
    pub fn candidates(&self, filter: &Filter) -> Vec<&Stored> {
        self.choose(&Matcher::new(filter, self), Sort::Recent, usize::MAX).0
    }

    /// Counts the traces that match by start and duration.
    pub fn histogram(&self, filter: &Filter, columns: usize, rows: usize) -> Heat {
        let matcher = Matcher::new(filter, self);
        let found: Vec<&Stored> = self.all().filter(|stored| matcher.seems(stored)).collect();
        let starts = || found.iter().map(|stored| stored.start);
        let from = filter.from.or_else(|| starts().min()).unwrap_or(0);
        let to = filter.to.or_else(|| starts().max()).unwrap_or(from).max(from + 1);
        let durations = || found.iter().map(|stored| stored.duration().max(1));
        let (low, high) = (durations().min().unwrap_or(1), durations().max().unwrap_or(1));
        let scale = Logarithmic { low: low as f64, high: (high.max(low + 1)) as f64, rows };
        let mut counts = vec![(0, 0); columns * rows];
        for stored in &found {
            let part = (stored.start.saturating_sub(from)) as f64 / (to - from) as f64;
            let column = ((part * columns as f64) as usize).min(columns - 1);
            let cell = &mut counts[column * rows + scale.row(stored.duration())];
            cell.0 += 1;
            cell.1 += u32::from(stored.errors > 0);
        }
        let filled = counts.into_iter().enumerate().filter(|(_, (all, _))| *all > 0);
        Heat {
            from_ms: millis(from),
            to_ms: millis(to),
            bucket_ms: millis(to - from) / columns as f64,
            rows: (0..rows).map(|row| HeatRow { min_ns: scale.edge(row), max_ns: scale.edge(row + 1) }).collect(),
            cells: filled.map(|(at, (all, failed))| (at / rows, at % rows, all, failed)).collect(),
        }
    }

    /// Names of services that begin with `prefix`, in order.
    pub fn services(&self, prefix: &str) -> Vec<String> {
        let mut services: Vec<String> = self
            .resources
            .all()
            .map(|(_, entry)| self.text(entry.service))
            .filter(|service| service.starts_with(prefix))
            .map(str::to_owned)
            .collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    /// Names and kinds of spans, of one service or of all, that begin with `prefix`, in order.
    pub fn operations(&self, service: Option<&str>, prefix: &str) -> Vec<(String, SpanKind)> {
        let wanted = match service.map(|service| self.texts.find(service)) {
            Some(None) => return Vec::new(),
            Some(Some(service)) => Some(service),
            None => None,
        };
        let mut seen = rustc_hash::FxHashSet::default();
        for row in self.all().flat_map(|stored| &stored.rows) {
            if wanted.is_none_or(|service| row.service == service) {
                seen.insert((row.name, row.kind));
            }
        }
        let named = seen.into_iter().map(|(name, kind)| (self.text(name).to_owned(), kind));
        let mut operations: Vec<_> = named.filter(|(name, _)| name.starts_with(prefix)).collect();
        operations.sort_unstable_by(|a, b| (&a.0, kind(a.1)).cmp(&(&b.0, kind(b.1))));
        operations
    }
}

/// Rows whose bounds grow by a factor.
struct Logarithmic {
    low: f64,
    high: f64,
    rows: usize,
}

impl Logarithmic {
    fn row(&self, nanos: u64) -> usize {
        let part = (nanos.max(1) as f64 / self.low).ln() / (self.high / self.low).ln();
        ((part * self.rows as f64) as usize).min(self.rows - 1)
    }

    fn edge(&self, row: usize) -> u64 {
        (self.low * (self.high / self.low).powf(row as f64 / self.rows as f64)).round() as u64
    }
}
