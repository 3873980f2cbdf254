//! What a terminal is shown when more happens than anybody can read.
//!
//! Time is cut into windows of [`WINDOW`]. As long as a window has no more than [`READABLE`] traces, each is shown at once.
//! Beyond, the rest of the window and all that follows is gathered, and shown at the window's end: one line with rates and
//! percentiles, a few failing traces (one of each kind), the slowest, and how many are not shown. A window that turns out
//! to have few traces again is shown whole, and ends this.
//!
//! What is held is bounded: [`READABLE`] traces that may yet be shown whole, the few chosen ones, and a histogram.

use std::time::{Duration, Instant};

use crate::span::Trace;
use wirespan_delivery::latency::Latencies;

use wirespan_delivery::text::words::{duration, shorten, width};

/// How long traces are gathered.
pub(super) const WINDOW: Duration = Duration::from_secs(2);
/// The most traces of a window of which each is shown: ten a second.
const READABLE: usize = 20;
/// The most failing traces shown of a crowded window.
const FAILING: usize = 2;
/// The most traces shown of a crowded window because they are slow.
const SLOWEST: usize = 1;

/// Decides what is shown, and when.
#[derive(Default)]
pub(super) struct Pace {
    window: Option<Window>,
    /// The last window had too many.
    crowded: bool,
}

struct Window {
    began: Instant,
    traces: u64,
    errors: u64,
    shown: u64,
    latencies: Latencies,
    /// The first ones of a window that begins crowded, should it prove quiet.
    first: Vec<Trace>,
    failing: Vec<Chosen>,
    slowest: Vec<Chosen>,
}

struct Chosen {
    nanos: u64,
    trace: Trace,
}

/// What is shown at the end of a window.
#[derive(Debug, PartialEq)]
pub(super) enum Digest {
    /// It was quiet after all: these traces, whole.
    Whole(Vec<Trace>),
    /// The figures, and traces chosen from many: failing ones first.
    Short {
        /// What happened.
        rates: Rates,
        /// Never empty.
        chosen: Vec<Trace>,
    },
}

/// What happened in a window. A request is a trace: what began it, with all that it caused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    per_second: f64,
    errors_per_second: f64,
    p50: u64,
    p95: u64,
    hidden: u64,
}

impl Pace {
    /// Takes a trace into account; whether to show it now.
    pub(super) fn shows(&mut self, trace: &Trace, now: Instant) -> bool {
        let crowded = self.crowded;
        let window = self.window.get_or_insert_with(|| Window::begin(now));
        let (nanos, failed) = measure(trace);
        window.traces += 1;
        window.errors += u64::from(failed);
        window.latencies.add(nanos);
        if !crowded && window.traces as usize <= READABLE {
            window.shown += 1;
            return true;
        }
        if crowded && window.first.len() < READABLE {
            window.first.push(trace.clone());
        }
        window.choose(trace, nanos, failed);
        false
    }

    /// When [`Pace::close`] is to be called, if there is anything to close.
    pub(super) fn due(&self) -> Option<Instant> {
        self.window.as_ref().map(|window| window.began + WINDOW)
    }

    /// Ends the window, if it is time or `now` is none: then all that waits is wanted.
    pub(super) fn close(&mut self, now: Option<Instant>) -> Option<Digest> {
        let window = self.window.take_if(|w| now.is_none_or(|now| now >= w.began + WINDOW))?;
        let many = window.traces as usize > READABLE;
        let was_crowded = std::mem::replace(&mut self.crowded, many);
        if !many {
            return was_crowded.then_some(Digest::Whole(window.first));
        }
        let seconds = now.map_or(WINDOW, |now| now - window.began).as_secs_f64();
        let chosen: Vec<Trace> = window.failing.into_iter().chain(window.slowest).map(|c| c.trace).collect();
        let rates = Rates {
            per_second: window.traces as f64 / seconds,
            errors_per_second: window.errors as f64 / seconds,
            p50: window.latencies.quantile(0.5),
            p95: window.latencies.quantile(0.95),
            hidden: window.traces - window.shown - chosen.len() as u64,
        };
        Some(Digest::Short { rates, chosen })
    }
}

impl Window {
    fn begin(began: Instant) -> Self {
        Self {
            began,
            traces: 0,
            errors: 0,
            shown: 0,
            latencies: Latencies::default(),
            first: Vec::new(),
            failing: Vec::new(),
            slowest: Vec::new(),
        }
    }

    /// Keeps the trace if it is worth to be shown: the slowest of each kind of failure, and the slowest of all others.
    fn choose(&mut self, trace: &Trace, nanos: u64, failed: bool) {
        let (chosen, limit) = if failed { (&mut self.failing, FAILING) } else { (&mut self.slowest, SLOWEST) };
        let at = match chosen.iter().position(|c| failed && kind(&c.trace) == kind(trace)) {
            Some(same) => Some(same),
            None if chosen.len() < limit => return chosen.push(Chosen { nanos, trace: trace.clone() }),
            None if failed => None,
            None => (0..chosen.len()).min_by_key(|at| chosen[*at].nanos),
        };
        if let Some(kept) = at.map(|at| &mut chosen[at]).filter(|kept| nanos > kept.nanos) {
            *kept = Chosen { nanos, trace: trace.clone() };
        }
    }
}

/// What two requests have in common that are of one kind: who was asked for what.
fn kind(trace: &Trace) -> Option<(&str, &str)> {
    trace.spans.first().map(|top| (top.resource.service_name(), &*top.name))
}

/// How long a trace took from its first start to its last end, and whether anything in it failed.
fn measure(trace: &Trace) -> (u64, bool) {
    let begin = trace.spans.iter().map(|s| s.start_unix_nano).min().unwrap_or(0);
    let end = trace.spans.iter().map(|s| s.end_unix_nano).max().unwrap_or(begin);
    (end.saturating_sub(begin), trace.spans.iter().any(|s| s.is_error()))
}

impl Rates {
    /// The line, in at most `columns`: the figures stay longest.
    pub(super) fn line(&self, columns: Option<usize>) -> String {
        let Self { per_second, errors_per_second, p50, p95, hidden } = *self;
        let figures = format!(
            "{} requests/s  {} errors/s  p50 {}  p95 {}  {hidden} traces not shown",
            rate(per_second),
            rate(errors_per_second),
            duration(p50),
            duration(p95),
        );
        let hint = format!("{figures} (--follow shows all)");
        match columns {
            Some(columns) if width(&hint) > columns => shorten(&figures, columns).into_owned(),
            _ => hint,
        }
    }
}

/// Three digits at most, and no more than one after the point.
fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 10.0 { format!("{per_second:.1}") } else { format!("{per_second:.0}") }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
