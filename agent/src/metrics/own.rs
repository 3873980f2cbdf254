//! The agent's own counters as metrics: `wirespan.*`, and what its process uses.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustix::time::{ClockId, clock_gettime};
use wirespan_signals::{Figure, Instrument, InstrumentKind, KeyValue, Metric, Point};

use super::{Counters, Reading};
use crate::memory::trim;

/// Counters that are values of the moment.
const GAUGES: [&str; 20] = [
    "connections_open",
    "exchanges_open",
    "exchanges_lasting",
    "exchanges_longest_seconds",
    "metrics_services",
    "metrics_series",
    "memory_limit",
    "memory_held",
    "memory_highest",
    "memory_connections",
    "memory_signals",
    "memory_received",
    "memory_spans",
    "memory_queues",
    "memory_metrics",
    "memory_sampling",
    "sampling_traces_waiting",
    "store_traces",
    "store_spans",
    "store_bytes",
];
/// Told by protocol and reason instead.
const TOTAL_OF_DROPS: &str = "exchanges_dropped";

/// Names with the agent's in front, each made once: there are as many as counters.
static NAMES: LazyLock<Mutex<HashMap<&'static str, &'static str>>> = LazyLock::new(Mutex::default);

fn named(name: &'static str) -> &'static str {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.entry(name).or_insert_with(|| Box::leak(format!("wirespan.{name}").into_boxed_str()))
}

/// Everything that the agent says of itself, counted since `start_unix_nano`.
pub fn metrics(counters: &Counters, start_unix_nano: u64) -> Vec<Metric> {
    let mut all: Vec<Metric> = Vec::new();
    for reading in counters.snapshot().into_iter().filter(|(name, ..)| *name != TOTAL_OF_DROPS) {
        let (instrument, attributes) = instrument(reading);
        let figure = Figure::Int(i64::try_from(reading.2).unwrap_or(i64::MAX));
        let point = Point { attributes, start_unix_nano, figure };
        match all.last_mut().filter(|metric| metric.instrument.name == instrument.name) {
            Some(metric) => metric.points.push(point),
            None => all.push(Metric { instrument, points: vec![point] }),
        }
    }
    all.extend(process(start_unix_nano));
    all
}

/// By the counter's whole name.
type Labels = HashMap<&'static str, Arc<[KeyValue]>>;

/// No attributes, and those of counters that have some: each list is made once, so that whoever tells differences knows a
/// figure again.
static NONE: LazyLock<Arc<[KeyValue]>> = LazyLock::new(|| [].into());
static LABELS: LazyLock<Mutex<Labels>> = LazyLock::new(Mutex::default);

/// A counter's instrument, and what stands in braces behind its name.
fn instrument((name, help, _): Reading) -> (Instrument, Arc<[KeyValue]>) {
    let (base, labels) = name.split_once('{').unwrap_or((name, ""));
    let label = |pair: &'static str| {
        let (key, value) = pair.split_once('=')?;
        Some(KeyValue::str(key, value.trim_matches('"')))
    };
    let attributes = if labels.is_empty() {
        Arc::clone(&NONE)
    } else {
        let mut known = LABELS.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || labels.trim_end_matches('}').split(',').filter_map(label).collect();
        Arc::clone(known.entry(name).or_insert_with(made))
    };
    let gauge = GAUGES.contains(&base);
    let bytes = base == "store_bytes" || (gauge && base.starts_with("memory_"));
    let kind = if gauge { InstrumentKind::Gauge } else { InstrumentKind::Counter };
    (Instrument { name: named(base), unit: if bytes { "By" } else { "" }, help, kind }, attributes)
}

/// What the process uses.
fn process(start_unix_nano: u64) -> [Metric; 3] {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    let of = |name, unit, help, kind, figure| {
        let attributes = Arc::clone(&NONE);
        let instrument = Instrument { name, unit, help, kind };
        Metric { instrument, points: vec![Point { attributes, start_unix_nano, figure }] }
    };
    let counter = InstrumentKind::Counter;
    [
        of("wirespan.cpu", "s", "Processor time of the agent", counter, Figure::Double(seconds)),
        of(
            "wirespan.memory_resident",
            "By",
            "Resident memory of the agent that it shares with no file",
            InstrumentKind::Gauge,
            Figure::Int(i64::try_from(trim::resident()).unwrap_or(i64::MAX)),
        ),
        of(
            "wirespan.start_time",
            "s",
            "When the agent started, Unix time",
            InstrumentKind::Gauge,
            Figure::Double(start_unix_nano as f64 / 1e9),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirespan_protocols::exchange::Reason;

    #[test]
    fn every_counter_is_a_metric_and_drops_are_told_by_protocol_and_reason() {
        let counters = Counters::default();
        counters.dropped("redis", Reason::Gap, 3);
        counters.dropped("http", Reason::Gap, 2);
        let all = metrics(&counters, 1);
        let find = |name: &str| all.iter().find(|metric| metric.instrument.name == name).unwrap();
        let drops = find("wirespan.exchanges_dropped");
        let told: Vec<_> = drops.points.iter().map(|p| (p.attributes.to_vec(), p.figure.clone())).collect();
        let of = |protocol: &'static str| vec![KeyValue::str("protocol", protocol), KeyValue::str("reason", "gap")];
        assert_eq!(told, [(of("http"), Figure::Int(2)), (of("redis"), Figure::Int(3))]);
        let names: std::collections::HashSet<_> = all.iter().map(|metric| metric.instrument.name).collect();
        assert_eq!(names.len(), all.len(), "each once");
        for gauge in GAUGES {
            assert_eq!(find(named(gauge)).instrument.kind, InstrumentKind::Gauge, "{gauge}");
        }
        assert_eq!(find("wirespan.spans_finished").instrument.kind, InstrumentKind::Counter);
    }
}
