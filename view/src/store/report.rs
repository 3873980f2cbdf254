//! Figures of services, calls and operations, as they are shown.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::intern::Sym;
use super::memory::Memory;
use super::senders::Senders;
use super::stats::{Edge, Figures};
use super::trace::Stored;
use wirespan_signals::{SpanKind, hex, kind};

/// Figures of whatever is counted in a window of time.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Rates {
    /// How many.
    pub calls: u64,
    /// How many a second.
    pub rate: f64,
    /// How many failed.
    pub errors: u64,
    /// Half of them took no longer, nanoseconds.
    pub p50_ns: u64,
    /// 95 of 100.
    pub p95_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
}

impl Rates {
    fn new(figures: &Figures, seconds: u64) -> Self {
        Self {
            calls: figures.calls,
            rate: figures.calls as f64 / seconds as f64,
            errors: figures.errors,
            p50_ns: figures.times.quantile(0.5),
            p95_ns: figures.times.quantile(0.95),
            p99_ns: figures.times.quantile(0.99),
        }
    }
}

/// A service, or something that is called and makes no spans.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its name.
    pub service: String,
    /// It makes no spans: the figures are those of its callers.
    pub external: bool,
    /// What it was asked.
    #[serde(flatten)]
    pub rates: Rates,
}

/// Calls from one to another.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Caller.
    pub from: String,
    /// Callee.
    pub to: String,
    /// What is spoken.
    pub protocol: String,
    /// Figures.
    #[serde(flatten)]
    pub rates: Rates,
}

/// The map of services.
#[derive(Clone, Debug, Serialize)]
pub struct Map {
    /// Seconds that the figures stand for.
    pub window_s: u64,
    /// Services.
    pub nodes: Vec<Node>,
    /// Calls.
    pub edges: Vec<Call>,
}

/// One operation.
#[derive(Clone, Debug, Serialize)]
pub struct OperationRates {
    /// Service.
    pub service: String,
    /// Span name.
    pub operation: String,
    /// Kind.
    pub kind: &'static str,
    /// What is spoken.
    pub protocol: String,
    /// Figures.
    #[serde(flatten)]
    pub rates: Rates,
    /// The trace of the longest one.
    pub slowest_trace_id: String,
}

/// All operations.
#[derive(Clone, Debug, Serialize)]
pub struct Operations {
    /// Seconds that the figures stand for.
    pub window_s: u64,
    /// Operations, the most frequent first.
    pub operations: Vec<OperationRates>,
}

/// How often one service calls another, from the traces that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Caller.
    pub parent: String,
    /// Callee.
    pub child: String,
    /// How often.
    pub call_count: u64,
}

impl Memory {
    /// Services and calls of the last `window` seconds. `now` is Unix time in seconds.
    pub fn map(&self, window: u64, now: u64) -> Map {
        let (edges, seconds) = self.stats.edges(window, now);
        let mut nodes: FxHashMap<(Sym, bool), Figures> = FxHashMap::default();
        for (operation, figures) in self.stats.operations(window, now).0 {
            let node = nodes.entry((operation.service, false)).or_default();
            if matches!(operation.kind, SpanKind::Server | SpanKind::Consumer) {
                node.add(&figures);
            }
        }
        for (edge, figures) in edges.iter().filter(|(edge, _)| edge.external) {
            nodes.entry((edge.to, true)).or_default().add(figures);
        }
        let node = |((sym, external), figures): (&(Sym, bool), &Figures)| Node {
            service: self.text(*sym).to_owned(),
            external: *external,
            rates: Rates::new(figures, seconds),
        };
        let call = |(edge, figures): (&Edge, &Figures)| Call {
            from: self.text(edge.from).to_owned(),
            to: self.text(edge.to).to_owned(),
            protocol: self.text(edge.protocol).to_owned(),
            rates: Rates::new(figures, seconds),
        };
        let mut nodes: Vec<Node> = nodes.iter().map(node).collect();
        nodes.sort_by(|a, b| (a.external, &a.service).cmp(&(b.external, &b.service)));
        let mut edges: Vec<Call> = edges.iter().map(call).collect();
        edges.sort_by(|a, b| (&a.from, &a.to, &a.protocol).cmp(&(&b.from, &b.to, &b.protocol)));
        Map { window_s: seconds, nodes, edges }
    }

    /// Operations of the last `window` seconds. `now` is Unix time in seconds.
    pub fn operation_rates(&self, window: u64, now: u64) -> Operations {
        let (operations, seconds) = self.stats.operations(window, now);
        let mut operations: Vec<OperationRates> = operations
            .iter()
            .map(|(operation, figures)| OperationRates {
                service: self.text(operation.service).to_owned(),
                operation: self.text(operation.name).to_owned(),
                kind: kind(operation.kind),
                protocol: self.text(operation.protocol).to_owned(),
                rates: Rates::new(figures, seconds),
                slowest_trace_id: hex(&figures.slowest_trace),
            })
            .collect();
        operations.sort_by(|a, b| {
            let by_name = (&a.service, &a.operation, a.kind).cmp(&(&b.service, &b.operation, b.kind));
            b.rates.calls.cmp(&a.rates.calls).then(by_name)
        });
        Operations { window_s: seconds, operations }
    }

    /// Calls between services in the traces that began between two moments, Unix time in nanoseconds.
    pub fn dependencies(&self, from: u64, to: u64) -> Vec<Dependency> {
        let mut counts: FxHashMap<(Sym, Sym), u64> = FxHashMap::default();
        let senders = Senders::new(self);
        for stored in self.all().filter(|stored| (from..=to).contains(&stored.start)) {
            count_calls(stored, &senders, &mut counts);
        }
        let dependency = |((parent, child), call_count): ((Sym, Sym), u64)| Dependency {
            parent: self.text(parent).to_owned(),
            child: self.text(child).to_owned(),
            call_count,
        };
        let mut dependencies: Vec<Dependency> = counts.into_iter().map(dependency).collect();
        dependencies.sort_by(|a, b| (&a.parent, &a.child).cmp(&(&b.parent, &b.child)));
        dependencies
    }
}

fn count_calls(stored: &Stored, senders: &Senders<'_>, counts: &mut FxHashMap<(Sym, Sym), u64>) {
    let places = stored.places();
    for row in &stored.rows {
        let parent = places.get(&row.parent).map(|at| &stored.rows[*at as usize]);
        if let Some(parent) = parent.filter(|parent| parent.service != row.service) {
            *counts.entry((parent.service, row.service)).or_default() += 1;
        }
    }
    for link in &stored.links {
        let sender = senders.find(&link.trace_id, link.span_id);
        if let (Some(sender), Some(row)) = (sender, stored.rows.get(link.row as usize)) {
            *counts.entry((sender.service, row.service)).or_default() += 1;
        }
    }
}
