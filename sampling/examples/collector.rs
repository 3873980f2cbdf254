//! Whether tail sampling keeps the very traces that the Collector's own processor keeps, trace by trace.
//!
//! `cargo run --release -p wirespan-sampling --example collector -- PROGRAM`, where PROGRAM is `sampling/collector`, built by
//! `go build` in that folder.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use wirespan_delivery::gather::Body as _;
use wirespan_delivery::otlp::batch::Gathering;
use wirespan_delivery::testing::{child_of, span_of};
use wirespan_sampling::block::Node;
use wirespan_sampling::tail::Tail;
use wirespan_sampling::{Counters, Sampler, Settings};
use wirespan_signals::{KeyValue, Resource, Span, Status, Trace, Value, hex};

const TRACES: u64 = 20_000;

/// What is compared: each is one policy, or several. (Limits by time depend on when that is, and are not.)
const POLICIES: [(&str, &str); 14] = [
    ("errors", "{name: a, type: status_code, status_code: {status_codes: [ERROR]}}"),
    ("ok or unset", "{name: a, type: status_code, status_code: {status_codes: [OK, UNSET]}}"),
    ("slow", "{name: a, type: latency, latency: {threshold_ms: 500}}"),
    ("10 %", "{name: a, type: probabilistic, probabilistic: {sampling_percentage: 10}}"),
    ("0.37 %, salted", "{name: a, type: probabilistic, probabilistic: {sampling_percentage: 0.37, hash_salt: s}}"),
    (
        "errors, slow, 10 %",
        "{name: a, type: status_code, status_code: {status_codes: [ERROR]}}, {name: b, type: latency, latency: {threshold_ms: 500}}, {name: c, type: probabilistic, probabilistic: {sampling_percentage: 10}}",
    ),
    ("text", "{name: a, type: string_attribute, string_attribute: {key: tier, values: [gold, silver]}}"),
    (
        "pattern",
        "{name: a, type: string_attribute, string_attribute: {key: tier, values: ['^s', 'old'], enabled_regex_matching: true}}",
    ),
    (
        "not text",
        "{name: a, type: string_attribute, string_attribute: {key: tier, values: [gold], invert_match: true}}",
    ),
    ("of the process", "{name: a, type: string_attribute, string_attribute: {key: service.name, values: [stock]}}"),
    ("numbers", "{name: a, type: numeric_attribute, numeric_attribute: {key: code, min_value: 400, max_value: 499}}"),
    (
        "not numbers",
        "{name: a, type: numeric_attribute, numeric_attribute: {key: code, max_value: 399, invert_match: true}}",
    ),
    ("spans", "{name: a, type: span_count, span_count: {min_spans: 2, max_spans: 3}}"),
    (
        "and, not, drop",
        "{name: a, type: and, and: {and_sub_policy: [{name: b, type: latency, latency: {threshold_ms: 100}}, {name: c, type: not, not: {not_sub_policy: {name: d, type: boolean_attribute, boolean_attribute: {key: paid, value: true}}}}]}}, {name: e, type: drop, drop: {drop_sub_policy: [{name: f, type: string_attribute, string_attribute: {key: tier, values: [none]}}]}}",
    ),
];

/// Traces of all kinds.
fn make(random: &mut fastrand::Rng) -> Trace {
    let id = random.u128(1..).to_be_bytes();
    let service = if random.u8(..) < 40 { "stock" } else { "shop" };
    let root = Span { trace_id: id, ..span_of(service, "GET /") };
    let resource = Arc::<Resource>::clone(&root.resource);
    let mut spans = vec![root];
    for _ in 0..random.usize(0..4) {
        spans.push(Span { trace_id: id, resource: Arc::clone(&resource), ..child_of(&spans[0], service, "call") });
    }
    for span in &mut spans {
        span.end_unix_nano = span.start_unix_nano + random.u64(0..1_200_000_000);
        span.status = match random.u8(..) {
            0..4 => Status::Error("".into()),
            4..40 => Status::Ok,
            _ => Status::Unset,
        };
        let tier = ["gold", "silver", "bronze", "none", ""][random.usize(0..5)];
        let bool = KeyValue { key: "paid".into(), value: Value::Bool(random.bool()) };
        let some = [
            KeyValue::str("tier", tier),
            KeyValue::int("code", random.i64(190..520)),
            bool,
            KeyValue::str("code", "x"),
        ];
        span.attributes = some.into_iter().filter(|_| random.u8(..) < 80).collect();
        span.attributes.dedup_by(|a, b| a.key == b.key);
    }
    Trace { spans }
}

/// A block in flow style, as the policies above are.
fn node(text: &str) -> Option<Node> {
    fn read(rest: &mut &str) -> Option<Node> {
        let close = |rest: &mut &str, end: char| {
            *rest = rest.trim_start();
            rest.strip_prefix(end).inspect(|after| *rest = after).is_some()
        };
        *rest = rest.trim_start();
        if close(rest, '{') {
            let mut entries = Vec::new();
            while !close(rest, '}') {
                let (key, after) = rest.split_once(':')?;
                *rest = after;
                entries.push((key.trim().to_owned(), read(rest)?));
                close(rest, ',');
            }
            return Some(Node::Map(entries));
        }
        if close(rest, '[') {
            let mut items = Vec::new();
            while !close(rest, ']') {
                items.push(read(rest)?);
                close(rest, ',');
            }
            return Some(Node::List(items));
        }
        if close(rest, '\'') {
            let (text, after) = rest.split_once('\'')?;
            *rest = after;
            return Some(Node::Text(text.to_owned()));
        }
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let (text, after) = rest.split_at(end);
        *rest = after;
        Some(Node::Text(text.trim().to_owned()))
    }
    let mut rest = text;
    read(&mut rest)
}

/// What ours keeps.
fn ours(block: &str, traces: &[Trace]) -> Option<BTreeSet<String>> {
    let tail = Tail::read(&node(block)?).inspect_err(|error| eprintln!("{error}")).ok()?;
    let settings = Settings { tail: Some(tail), bytes: 1 << 30, ..Settings::default() };
    let mut sampler = Sampler::new(settings, Arc::new(Counters::default()));
    sampler.take(traces.to_vec(), 1);
    let released = sampler.release(u64::MAX);
    let ids = released.kept.iter().flat_map(|bundle| bundle.chosen()).map(|trace| hex(&trace.spans[0].trace_id));
    Some(ids.collect())
}

/// What the Collector's keeps.
fn theirs(program: &Path, dir: &Path, block: &str) -> std::io::Result<BTreeSet<String>> {
    let file = dir.join("block.yaml");
    std::fs::write(&file, format!("tail_sampling: {block}\n"))?;
    let output = Command::new(program).arg(&file).arg(dir.join("traces.bin")).output()?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn main() -> ExitCode {
    let Some(program) = std::env::args_os().nth(1) else { return ExitCode::FAILURE };
    let dir = std::env::temp_dir().join(format!("wirespan-collector-{}", std::process::id()));
    let mut random = fastrand::Rng::with_seed(11);
    let traces: Vec<Trace> = (0..TRACES).map(|_| make(&mut random)).collect();
    let mut bytes = Vec::new();
    for trace in &traces {
        let mut batch = Gathering::default();
        trace.spans.iter().for_each(|span| batch.push(span));
        let message = batch.take();
        bytes.extend((message.len() as u32).to_le_bytes());
        bytes.extend(message);
    }
    if let Err(error) = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(dir.join("traces.bin"), bytes)) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let mut differ = false;
    for (name, policies) in POLICIES {
        let block = format!("{{decision_wait: 5s, num_traces: 100000, policies: [{policies}]}}");
        let (Some(ours), Ok(theirs)) = (ours(&block, &traces), theirs(Path::new(&program), &dir, &block)) else {
            return ExitCode::FAILURE;
        };
        let both = ours.intersection(&theirs).count();
        println!("{name:22} of {TRACES}: ours {:6}, the Collector's {:6}, in both {both:6}", ours.len(), theirs.len());
        differ |= ours != theirs || ours.is_empty();
    }
    let _ = std::fs::remove_dir_all(&dir);
    ExitCode::from(u8::from(differ))
}
