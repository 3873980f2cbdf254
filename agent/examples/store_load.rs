//! Stores made-up traces as the local view does, and says what that costs: time, memory, and how long searches take.
//!
//! ```text
//! cargo run --release --example store_load -- 100000
//! cargo run --release --example store_load -- 100000 /tmp/traces.redb
//! ```
//!
//! The arguments are the number of traces and, optionally, a file that keeps them. A trace has four spans of three
//! services; every url, order number and port is another one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use wirespan_agent::export::{ExportSettings, Exporters};
use wirespan_agent::metrics::Counters;
use wirespan_agent::span::{KeyValue, Resource, Span, SpanKind, Status, Trace};
use wirespan_agent::store::filter::{Filter, Outcome, Prefix};
use wirespan_agent::store::query::Sort;
use wirespan_agent::store::{Limits, Memory, Reader, Settings};

/// Traces handed over at once.
const TRACES: u64 = 64;
/// A search, the n-th of its kind.
type Ask<'a> = Box<dyn Fn(u64) -> Filter + 'a>;

/// Searches of each kind.
const SEARCHES: usize = 40;

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let mut arguments = std::env::args().skip(1);
    let total: u64 = arguments.next().map(|a| a.parse()).transpose()?.unwrap_or(100_000);
    let path = arguments.next().map(PathBuf::from);
    let before = resident()?;
    let (exporters, reader, counters) = start(path.clone())?;
    let resources: Vec<_> = (0..20).map(resource).collect();

    let (mut making, mut inside) = (Duration::ZERO, Duration::ZERO);
    let begin = Instant::now();
    let mut made = 0;
    while made < total {
        let started = Instant::now();
        let traces: Vec<Trace> = (made..total.min(made + TRACES)).map(|n| trace(n, &resources)).collect();
        made += traces.len() as u64;
        making += started.elapsed();
        let started = Instant::now();
        exporters.export(traces);
        inside += started.elapsed();
        // The queue bounds what waits: no faster than it is stored.
        while made - stored(&counters) > 4096 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    while stored(&counters) < made {
        std::thread::sleep(Duration::from_micros(200));
    }
    let wall = begin.elapsed();
    let memory = (resident()? - before) as f64;
    let (spans, bytes) = (reader.read().span_count() as f64, reader.read().bytes() as f64);
    println!(
        "{made} traces of 4 spans in {:.2} s: {:.0} traces/s, on all threads",
        wall.as_secs_f64(),
        made as f64 / wall.as_secs_f64()
    );
    println!(
        "making them took {:.2} s; export() took {:.0} ns a span",
        making.as_secs_f64(),
        inside.as_nanos() as f64 / made as f64 / 4.0
    );
    println!(
        "kept: {} traces; counted {:.0} bytes a span, resident {:.0}",
        reader.read().traces(),
        bytes / spans,
        memory / spans
    );
    searches(&reader, made);
    let lost = exporters.shutdown(Instant::now() + Duration::from_secs(30));
    println!("lost at the end: {lost:?}");
    if let Some(path) = path {
        let file = std::fs::metadata(&path)?.len() as f64;
        println!("{}: {:.1} MB, {:.0} bytes a span", path.display(), file / 1e6, file / spans);
        again(path, made)?;
    }
    Ok(())
}

fn start(path: Option<PathBuf>) -> Result<(Exporters, Reader, Arc<Counters>)> {
    let counters = Arc::new(Counters::default());
    let limits = Limits { bytes: 256 << 20, traces: 10_000_000 };
    let settings = ExportSettings { store: Some(Settings { limits, path, lines: 0 }), ..ExportSettings::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let exporters = Exporters::start(settings, Arc::clone(&counters), runtime.handle())?;
    let reader = exporters.reader().context("a store")?;
    Ok((exporters, reader, counters))
}

/// Traces taken in, those forgotten since included.
fn stored(counters: &Counters) -> u64 {
    counters.view.store_traces.get() + counters.view.store_evicted_traces.get()
}

/// How long it takes until the traces of a file are back.
fn again(path: PathBuf, made: u64) -> Result<()> {
    let begin = Instant::now();
    let (exporters, reader, _) = start(Some(path))?;
    let deadline = begin + Duration::from_secs(120);
    let (mut last, mut since) = (0, Instant::now());
    // Some of them may not fit, so it is over when no more come.
    while Instant::now() < deadline && (last < made as usize && since.elapsed() < Duration::from_secs(3)) {
        std::thread::sleep(Duration::from_millis(1));
        let now = reader.read().traces();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    println!("brought back {last} traces in {:.2} s", (since - begin).as_secs_f64());
    exporters.shutdown(Instant::now() + Duration::from_secs(30));
    Ok(())
}

fn searches(reader: &Reader, made: u64) {
    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
    fn attribute(key: &str, value: String) -> Vec<(String, Option<String>)> {
        vec![(key.to_owned(), Some(value))]
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let kinds: [(&str, Ask<'_>); 8] = [
        ("the latest 100", Box::new(|_| Filter::default())),
        ("a service", Box::new(|n| Filter { service: text(&format!("service-{}", n % 20)), ..Filter::default() })),
        (
            "service, operation, errors",
            Box::new(|n| Filter {
                service: text(&format!("service-{}", n % 20)),
                operation: text("GET /orders/{id}"),
                outcome: Some(Outcome::Error),
                ..Filter::default()
            }),
        ),
        ("longer than", Box::new(|_| Filter { min: Some(90_000_000), ..Filter::default() })),
        (
            "an attribute of one trace",
            Box::new(move |n| Filter {
                attributes: attribute("order.id", (n * 7919 % made).to_string()),
                ..Filter::default()
            }),
        ),
        (
            "an attribute of all",
            Box::new(|_| Filter {
                attributes: attribute("http.request.method", "GET".to_owned()),
                ..Filter::default()
            }),
        ),
        ("the last second", Box::new(move |_| Filter { from: Some(now - 1_000_000_000), ..Filter::default() })),
        (
            "a beginning of an id",
            Box::new(|n| Filter { trace: Prefix::parse(&format!("{n:08x}")), ..Filter::default() }),
        ),
    ];
    println!("{:<28} {:>8} {:>8} {:>8}  matched", "search, milliseconds", "p50", "p95", "max");
    let mut all = Vec::new();
    for (name, filter) in &kinds {
        let mut took = Vec::new();
        let mut matched = 0;
        for n in 0..SEARCHES as u64 {
            let filter = filter(n);
            let started = Instant::now();
            matched = reader.read().search(&filter, if n % 2 == 0 { Sort::Recent } else { Sort::Slow }, 100).matched;
            took.push(started.elapsed().as_secs_f64() * 1e3);
        }
        println!("{name:<28} {}  {matched}", quantiles(&mut took));
        all.extend(took);
    }
    println!("{:<28} {}", "all", quantiles(&mut all));
    let other = |name: &str, ask: &dyn Fn(&Memory)| {
        let mut took: Vec<f64> = (0..SEARCHES)
            .map(|_| {
                let started = Instant::now();
                ask(&reader.read());
                started.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        println!("{name:<28} {}", quantiles(&mut took));
    };
    other("histogram of all", &|memory| drop(memory.histogram(&Filter::default(), 60, 20)));
    other("map of services, 300 s", &|memory| drop(memory.map(300, now / 1_000_000_000)));
    other("operations, 60 s", &|memory| drop(memory.operation_rates(60, now / 1_000_000_000)));
    other("dependencies of all", &|memory| drop(memory.dependencies(0, u64::MAX)));
}

fn quantiles(millis: &mut [f64]) -> String {
    millis.sort_by(f64::total_cmp);
    let at = |part: f64| millis[((millis.len() as f64 * part).ceil() as usize).clamp(1, millis.len()) - 1];
    format!("{:>8.2} {:>8.2} {:>8.2}", at(0.5), at(0.95), at(1.0))
}

/// Resident bytes.
fn resident() -> Result<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: i64 = statm.split_whitespace().nth(1).context("a field")?.parse()?;
    Ok(pages * 4096)
}

fn resource(index: usize) -> Arc<Resource> {
    let text = |key, value: String| KeyValue::str(key, value);
    let attributes = vec![
        text("service.name", format!("service-{index}")),
        text("service.instance.id", format!("0b1c3c54-8a3e-4c5e-9c0a-{index:012}")),
        KeyValue::int("process.pid", 1000 + index as i64),
        text("process.executable.path", "/usr/bin/python3.11".to_owned()),
        text("host.name", "machine.example".to_owned()),
        text("telemetry.sdk.name", "wirespan".to_owned()),
    ];
    Arc::new(Resource { attributes })
}

fn trace(n: u64, resources: &[Arc<Resource>]) -> Trace {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let random = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let duration = 1_000_000 + random % 100_000_000;
    let spans = (0..4).map(|depth| {
        let client = depth % 2 == 0;
        let id = |depth: u64| (random ^ (depth + 1).wrapping_mul(0xd134_2543_de82_ef95)).to_be_bytes();
        Span {
            trace_id: (u128::from(n as u32) << 96 | u128::from(random)).to_be_bytes(),
            span_id: id(depth),
            parent_span_id: if depth == 0 { [0; 8] } else { id(depth - 1) },
            trace_state: Box::default(),
            flags: 1,
            parent_is_remote: false,
            name: "GET /orders/{id}".into(),
            kind: if client { SpanKind::Client } else { SpanKind::Server },
            start_unix_nano: now + depth * 150_000,
            end_unix_nano: now + duration - depth * 200_000,
            attributes: attributes(n, client, random),
            status: if n.is_multiple_of(50) { Status::Error("".into()) } else { Status::Unset },
            events: Vec::new(),
            links: Vec::new(),
            resource: Arc::clone(&resources[(n + depth.div_ceil(2)) as usize % resources.len()]),
            protocol: "http",
            scope: None,
        }
    });
    Trace { spans: spans.collect() }
}

/// What our own HTTP spans say (docs/protocols.md).
fn attributes(n: u64, client: bool, random: u64) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::str("http.request.method", "GET"),
        KeyValue::int("http.response.status_code", if n.is_multiple_of(50) { 500 } else { 200 }),
        KeyValue::str("server.address", "127.0.0.1"),
        KeyValue::int("server.port", 8080),
        KeyValue::str("network.peer.address", "127.0.0.1"),
        KeyValue::int("network.peer.port", 32_768 + (random % 28_000) as i64),
        KeyValue::str("network.protocol.version", "1.1"),
        KeyValue::str("user_agent.original", "python-requests/2.34.2"),
        KeyValue::int("http.response.body.size", (random % 5000) as i64),
    ];
    if client {
        attributes.push(KeyValue::str("url.full", format!("http://127.0.0.1:8080/orders/{n}?customer=REDACTED")));
        attributes.push(KeyValue::str("url.template", "/orders/{id}"));
    } else {
        attributes.push(KeyValue::str("url.scheme", "http"));
        attributes.push(KeyValue::str("url.path", format!("/orders/{n}")));
        attributes.push(KeyValue::str("url.query", "customer=REDACTED"));
        attributes.push(KeyValue::str("url.template", "/orders/{id}"));
        attributes.push(KeyValue::str("client.address", "127.0.0.1"));
        attributes.push(KeyValue::int("order.id", n as i64));
    }
    if n.is_multiple_of(50) {
        attributes.push(KeyValue::str("error.type", "500"));
    }
    attributes
}
