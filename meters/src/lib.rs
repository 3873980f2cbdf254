//! Metrics of spans: every span is measured once, where it leaves linking, before anything decides which traces are kept.
//!
//! ```text
//! linking ──every span──▶ Meters::record ──┬──▶ kept traces go on to the exporters
//!                           by service     │
//!                           by attributes  └──▶ Meters::each (OTLP) · text::write (Prometheus, OpenMetrics)
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`instruments`] | what is measured, in which buckets, told apart by what |
//! | `spans` | what a span says to which instruments |
//! | `services` | whom figures are about |
//! | `active` | what HTTP servers have under way |
//! | `table` | series: found, begun, or counted with all others |
//! | [`mod@histogram`] | values by their size |
//! | `graph` | which service asks which |
//! | [`text`] | as Prometheus and OpenMetrics write it |
//!
//! Invariants: nothing that is measured is lost; what finds no series of its own, by number or by memory, is counted in the
//! one that says `otel.metric.overflow`. Memory is bounded by [`Settings::bytes`], whatever comes. An example points to a
//! trace that is kept. `docs/decisions/042-metrics-of-every-span.md` says why this is not the SDK.
#![forbid(unsafe_code)]

mod active;
mod graph;
pub mod histogram;
pub mod instruments;
mod services;
mod spans;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod text;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use wirespan_signals::{Exemplar, Instrument, Metric, Point, Resource, ResourceMetrics, Span, Trace};

use graph::{Edge, Graph};
use instruments::{FAMILIES, FamilyName, OF_SERVICES};
use services::Services;
use table::{Measured, Noted, Room, Seen, Table, Values};

wirespan_signals::counters! {
    /// What measuring counts of itself.
    pub struct Counters;
    metrics_spans: "Spans that were measured",
    metrics_services: "Services of which there are figures now",
    metrics_series: "Series of figures that there are now",
    metrics_overflowed: "Measurements counted in the series for all others, by number or for memory",
    metrics_spans_left_out: "Spans not measured because there were too many services",
    metrics_forgotten: "Series of services that were forgotten because nothing came of them for an hour",
    metrics_graph_dropped: "Ends of calls that could not wait for the other end because too many did",
    memory_metrics: "Bytes of metrics",
}

/// What is measured, and within which limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The metrics of the semantic conventions.
    pub conventions: bool,
    /// Span metrics and the service graph, named as Tempo's metrics-generator names them.
    pub generator: bool,
    /// Keep examples.
    pub exemplars: bool,
    /// Keep exponential histograms beside those with fixed buckets.
    pub exponential: bool,
    /// Series of one instrument for one service, the one for all others included.
    pub series: usize,
    /// Bytes of everything.
    pub bytes: usize,
}

impl Default for Settings {
    /// As many series as the SDK's specification has (*Cardinality limits*).
    fn default() -> Self {
        Self { conventions: true, generator: false, exemplars: true, exponential: false, series: 2000, bytes: 16 << 20 }
    }
}

/// How many times as many series there may be where one table is about all services.
const OF_ALL_SERVICES: usize = 5;

/// Everything that was measured.
#[derive(Debug)]
pub struct Meters {
    settings: Settings,
    own: Arc<Resource>,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    services: Services,
    /// About all services together: the families from [`OF_SERVICES`] on.
    all: Vec<Table>,
    graph: Graph,
    active: active::Counted,
    bytes: usize,
    series: usize,
    /// When something was last forgotten, Unix time, nanoseconds.
    swept: u64,
}

/// How often is looked for what may be forgotten, nanoseconds.
const SWEEP_EVERY: u64 = 60_000_000_000;

impl Meters {
    /// Nothing is measured yet. Figures about all services together belong to `own`, the agent's resource.
    pub fn new(settings: Settings, own: Arc<Resource>, counters: Arc<Counters>) -> Self {
        let all = FAMILIES[OF_SERVICES..].iter().map(|_| Table::default()).collect();
        let (services, graph) = (Services::default(), Graph::default());
        let state = State { services, all, graph, active: active::Counted::new(), bytes: 0, series: 0, swept: 0 };
        Self { settings, own, counters, state: Mutex::new(state) }
    }

    /// Whom figures about all services belong to.
    pub fn own(&self) -> &Arc<Resource> {
        &self.own
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures the spans of traces that the agent made. Examples are taken of those that are `kept`.
    pub fn record(&self, traces: &[Trace], kept: bool) {
        if !traces.is_empty() {
            self.measure(traces, kept, self.settings.conventions);
        }
    }

    /// Measures spans that applications made: what the conventions want measured of them, they measure themselves.
    pub fn record_received(&self, traces: &[Trace]) {
        if self.settings.generator && !traces.is_empty() {
            self.measure(traces, true, false);
        }
    }

    fn measure(&self, traces: &[Trace], kept: bool, conventions: bool) {
        let now = unix_nanos();
        let mut state = self.state();
        for trace in traces {
            for span in &trace.spans {
                let exemplar = (kept && self.settings.exemplars).then(|| exemplar(span));
                if conventions {
                    self.measure_span(&mut state, span, now, exemplar);
                }
                if self.settings.generator {
                    let seconds = spans::seconds(span);
                    let measured = [Some(1.0), Some(seconds), None];
                    self.note_all(
                        &mut state,
                        FamilyName::SpanMetrics,
                        &spans::general(span),
                        measured,
                        (now, exemplar),
                    );
                }
            }
            if self.settings.generator {
                self.measure_calls(&mut state, &trace.spans, now, kept);
            }
        }
        self.counters.metrics_spans.add(traces.iter().map(|trace| trace.spans.len() as u64).sum());
        self.publish(&state);
    }

    fn measure_span(&self, state: &mut State, span: &Span, now: u64, exemplar: Option<Exemplar>) {
        let Some(name) = spans::family(span) else { return };
        let room = self.room(state.bytes);
        let (service, grown) = state.services.of(&span.resource, now, room.memory);
        let Some(service) = service else { return self.counters.metrics_spans_left_out.inc() };
        service.last = now;
        let family = name.family();
        let (values, measured) = (spans::values(span, family), spans::measured(span, name));
        let noted = service.tables[name as usize].note(family, &values, measured, (now, exemplar), room);
        state.bytes += grown;
        self.account(state, noted);
    }

    /// What room a table of a service has.
    fn room(&self, bytes: usize) -> Room {
        let Settings { series, exponential, bytes: most, .. } = self.settings;
        Room { series, memory: bytes < most, exponential }
    }

    fn note_all(
        &self,
        state: &mut State,
        name: FamilyName,
        values: &Values<'_>,
        measured: Measured,
        at: (u64, Option<Exemplar>),
    ) {
        let room = Room {
            series: self.settings.series.saturating_mul(OF_ALL_SERVICES),
            memory: state.bytes < self.settings.bytes,
            exponential: self.settings.exponential,
        };
        let noted = state.all[name as usize - OF_SERVICES].note(name.family(), values, measured, at, room);
        self.account(state, noted);
    }

    fn account(&self, state: &mut State, noted: Noted) {
        state.bytes += noted.grown;
        state.series += usize::from(noted.new);
        if noted.overflow {
            self.counters.metrics_overflowed.inc();
        }
    }

    fn measure_calls(&self, state: &mut State, spans: &[Span], now: u64, kept: bool) {
        let mut graph = std::mem::take(&mut state.graph);
        let exemplar = spans.first().filter(|_| kept && self.settings.exemplars).map(exemplar);
        graph.note(spans, now, |edge| self.note_call(state, edge, (now, exemplar)));
        graph.expire(now, |edge| self.note_call(state, edge, (now, None)));
        state.graph = graph;
    }

    fn note_call(&self, state: &mut State, edge: Edge<'_>, at: (u64, Option<Exemplar>)) {
        let mut values = Values::default();
        values[0] = Some(Seen::Text(edge.client));
        values[1] = Some(Seen::Text(edge.server));
        if edge.unpaired {
            return self.note_all(state, FamilyName::GraphUnpaired, &values, [Some(1.0), None, None], at);
        }
        values[2] = Some(Seen::Text(edge.connection));
        let measured = [Some(1.0), edge.client_seconds, edge.server_seconds];
        self.note_all(state, FamilyName::GraphRequests, &values, measured, at);
        if edge.failed {
            self.note_all(state, FamilyName::GraphFailures, &values, [Some(1.0), None, None], at);
        }
    }

    /// To be called from time to time: calls whose other end does not come, services of which nothing comes.
    pub fn tick(&self) {
        let now = unix_nanos();
        let mut state = self.state();
        let mut graph = std::mem::take(&mut state.graph);
        graph.expire(now, |edge| self.note_call(&mut state, edge, (now, None)));
        self.counters.metrics_graph_dropped.set(graph.dropped);
        state.graph = graph;
        if now.saturating_sub(state.swept) > SWEEP_EVERY {
            state.swept = now;
            for forgotten in state.services.forget(now) {
                state.bytes = state.bytes.saturating_sub(forgotten.bytes);
                state.series = state.series.saturating_sub(forgotten.series);
                self.counters.metrics_forgotten.add(forgotten.series as u64);
            }
        }
        self.publish(&state);
    }

    fn publish(&self, state: &State) {
        self.counters.metrics_series.set(state.series as u64);
        self.counters.metrics_services.set(state.services.len() as u64);
        self.counters.memory_metrics.set((state.bytes + state.graph.bytes()) as u64);
    }

    /// Tells all figures, a service at a time; nothing is held up for longer than it takes to copy one table.
    pub fn each(&self, mut told: impl FnMut(ResourceMetrics)) {
        let numbers = self.state().services.numbers();
        for number in numbers {
            let Some(resource) = self.state().services.get(number).map(|service| Arc::clone(&service.resource)) else {
                continue;
            };
            let points = |family: usize, nth: usize| {
                let state = self.state();
                state.services.get(number).map(|service| service.tables[family].points(nth)).unwrap_or_default()
            };
            let metrics = gather(0..OF_SERVICES, points);
            if !metrics.is_empty() {
                told(ResourceMetrics { resource, time_unix_nano: unix_nanos(), metrics });
            }
        }
        let points = |family: usize, nth: usize| self.state().all[family - OF_SERVICES].points(nth);
        let metrics = gather(OF_SERVICES..FAMILIES.len(), points);
        if !metrics.is_empty() {
            let resource = Arc::clone(&self.own);
            told(ResourceMetrics { resource, time_unix_nano: unix_nanos(), metrics });
        }
    }

    /// Tells the figures of one instrument, a resource at a time.
    pub fn each_of(&self, instrument: &Instrument, mut told: impl FnMut(&Resource, Vec<Point>)) {
        let numbers = self.state().services.numbers();
        for (family, nth) in places(instrument) {
            if family >= OF_SERVICES {
                let points = self.state().all[family - OF_SERVICES].points(nth);
                told(&self.own, points);
                continue;
            }
            for number in &numbers {
                let state = self.state();
                let Some(service) = state.services.get(*number) else { continue };
                let (resource, points) = (Arc::clone(&service.resource), service.tables[family].points(nth));
                drop(state);
                if !points.is_empty() {
                    told(&resource, points);
                }
            }
        }
    }

    /// The resources of which there are figures; the agent's own last.
    pub fn resources(&self) -> Vec<Arc<Resource>> {
        let state = self.state();
        let numbers = state.services.numbers();
        let of = |number: &u32| state.services.get(*number).map(|service| Arc::clone(&service.resource));
        numbers.iter().filter_map(of).chain([Arc::clone(&self.own)]).collect()
    }
}

/// Every instrument, each once.
pub fn all_instruments() -> Vec<Instrument> {
    let mut all: Vec<Instrument> = Vec::new();
    for kept in FAMILIES.iter().flat_map(|family| family.instruments) {
        if all.iter().all(|known| known.name != kept.instrument.name) {
            all.push(kept.instrument);
        }
    }
    all
}

/// Where an instrument's figures are: family, and place in it.
fn places(instrument: &Instrument) -> impl Iterator<Item = (usize, usize)> {
    FAMILIES.iter().enumerate().flat_map(move |(at, family)| {
        let nth = family.instruments.iter().position(|kept| kept.instrument.name == instrument.name);
        nth.map(|nth| (at, nth))
    })
}

/// The metrics of some families; an instrument of several is one metric.
fn gather(families: std::ops::Range<usize>, points: impl Fn(usize, usize) -> Vec<Point>) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for at in families {
        for (nth, kept) in FAMILIES[at].instruments.iter().enumerate() {
            let points = points(at, nth);
            if points.is_empty() {
                continue;
            }
            match metrics.iter_mut().find(|metric| metric.instrument.name == kept.instrument.name) {
                Some(metric) => metric.points.extend(points),
                None => metrics.push(Metric { instrument: kept.instrument, points }),
            }
        }
    }
    metrics
}

fn exemplar(span: &Span) -> Exemplar {
    let (trace_id, span_id) = (span.trace_id, span.span_id);
    Exemplar { value: 0.0, time_unix_nano: span.end_unix_nano, trace_id, span_id }
}

/// Unix time, nanoseconds.
pub fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}
