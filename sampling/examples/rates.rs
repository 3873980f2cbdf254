//! How many traces each way of deciding keeps of a million, compared with how many it should, and what that costs.
//!
//! `cargo run --release -p wirespan-sampling --example rates`
#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Instant;

use wirespan_delivery::testing::{child_of, span_of};
use wirespan_sampling::block::Node;
use wirespan_sampling::head::Head;
use wirespan_sampling::tail::Tail;
use wirespan_sampling::{Counters, Sampler, Settings, threshold};
use wirespan_signals::{Span, Status, Trace};

const TRACES: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// Traces a second.
const RATE: u64 = 10_000;
const BYTES: usize = 512 << 20;

/// One in a hundred fails, one in fifty is slow; three spans each.
fn make(n: u64, random: &mut fastrand::Rng) -> Trace {
    let mut root = Span { trace_id: random.u128(1..).to_be_bytes(), ..span_of("shop", "GET /orders/{id}") };
    let millis = if n.is_multiple_of(50) { 700 } else { 20 };
    root.end_unix_nano = root.start_unix_nano + millis * 1_000_000;
    if n % 100 == 7 {
        root.status = Status::Error("".into());
    }
    let below = |name| Span { trace_id: root.trace_id, ..child_of(&root, "shop", name) };
    let below = [below("SELECT orders"), below("GET stock")];
    Trace { spans: std::iter::once(root).chain(below).collect() }
}

fn text(text: &str) -> Node {
    Node::Text(text.to_owned())
}

fn map(entries: Vec<(&str, Node)>) -> Node {
    Node::Map(entries.into_iter().map(|(key, node)| (key.to_owned(), node)).collect())
}

fn policy(kind: &str, key: &str, value: Node) -> Node {
    map(vec![("name", text(kind)), ("type", text(kind)), (kind, map(vec![(key, value)]))])
}

fn tail(wait: &str, policies: Vec<Node>) -> Settings {
    let block =
        map(vec![("decision_wait", text(wait)), ("num_traces", text("1000000")), ("policies", Node::List(policies))]);
    Settings { tail: Tail::read(&block).ok(), bytes: BYTES, ..Settings::default() }
}

fn run(name: &str, settings: Settings, expected: f64) {
    let counters = Arc::new(Counters::default());
    let mut sampler = Sampler::new(settings, Arc::clone(&counters));
    let mut random = fastrand::Rng::with_seed(42);
    let (mut spent, mut reckoned, mut failed) = (0u128, 0.0, 0u64);
    let mut tell = |trace: &Trace| {
        let root = &trace.spans[0];
        reckoned += 1.0 / threshold::stated(&root.trace_state).unwrap_or_default().probability();
        failed += u64::from(root.is_error());
    };
    for batch in 0..TRACES / 100 {
        let now = SECOND + batch * 100 * SECOND / RATE;
        let traces: Vec<Trace> = (0..100).map(|n| make(batch * 100 + n, &mut random)).collect();
        let began = Instant::now();
        let taken = sampler.take(traces, now);
        let released = sampler.release(if batch + 1 == TRACES / 100 { u64::MAX } else { now });
        spent += began.elapsed().as_nanos();
        taken.kept.iter().enumerate().filter(|(_, kept)| **kept).for_each(|(at, _)| tell(taken.all.trace(at)));
        for bundle in released.kept {
            bundle.chosen().for_each(&mut tell);
        }
    }
    let kept = counters.sampling_traces_kept.get();
    println!(
        "{name:44} kept {kept:7} expected {expected:9.0} ratio {:.4}  failed kept {failed:5} of 10000  rebuilt {:8.0}  {:4} ns a span",
        kept as f64 / expected,
        reckoned,
        spent / u128::from(TRACES * 3),
    );
}

fn main() {
    let errors = || policy("status_code", "status_codes", Node::List(vec![text("ERROR")]));
    let slow = || policy("latency", "threshold_ms", text("500"));
    let some = || policy("probabilistic", "sampling_percentage", text("10"));
    let all = TRACES as f64;
    let head = |name, ratio| Settings {
        head: Head::parse(name, Some(ratio)).unwrap_or_default(),
        bytes: BYTES,
        ..Settings::default()
    };
    run("always_on", head("always_on", ""), all);
    run("parentbased_traceidratio 0.1", head("parentbased_traceidratio", "0.1"), all * 0.1);
    run("traceidratio 0.003", head("traceidratio", "0.003"), all * 0.003);
    run("status_code", tail("0s", vec![errors()]), all * 0.01);
    run("latency", tail("0s", vec![slow()]), all * 0.02);
    run("probabilistic 10 %", tail("0s", vec![some()]), all * 0.1);
    let three = all * (0.01 + 0.02 + 0.97 * 0.1);
    run("errors, > 500 ms, 10 %", tail("0s", vec![errors(), slow(), some()]), three);
    run("errors, > 500 ms, 10 %, waiting 1 s", tail("1s", vec![errors(), slow(), some()]), three);
    let seconds = TRACES / RATE;
    let limit = policy("rate_limiting", "spans_per_second", text("3000"));
    run("rate_limiting 3000 spans/s", tail("0s", vec![limit]), (1000 * seconds + 1000) as f64);
    let budget = Settings { traces_per_second: Some(500), bytes: BYTES, ..Settings::default() };
    run("traces-per-second 500", budget, (500 * seconds) as f64);
}
