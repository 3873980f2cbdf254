//! What measuring a span costs, and what figures take of memory. `cargo bench -p wirespan-meters`.
#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wirespan_meters::text::{Format, write};
use wirespan_meters::{Counters, Meters, Settings};
use wirespan_signals::{KeyValue, Resource, Span, SpanKind, Status, Trace};

fn span(resource: &Arc<Resource>, kind: SpanKind, n: usize) -> Span {
    let peer = KeyValue::str("network.peer.address", "10.0.0.1");
    let attributes = vec![
        KeyValue::str("http.request.method", "GET"),
        KeyValue::str("url.scheme", "http"),
        KeyValue::str("url.path", format!("/orders/{n}")),
        KeyValue::str("url.template", format!("/orders/{}/{{id}}", n % 20)),
        KeyValue::int("http.response.status_code", 200),
        KeyValue::str("network.protocol.version", "1.1"),
        KeyValue::int("http.response.body.size", 512),
        KeyValue::str("user_agent.original", "wrk"),
        KeyValue::str("server.address", "shop.example"),
        KeyValue::int("server.port", 8080),
        peer,
        KeyValue::int("network.peer.port", 40_000),
    ];
    Span {
        trace_id: (n as u128 + 1).to_be_bytes(),
        span_id: (n as u64 * 2 + u64::from(kind == SpanKind::Server) + 1).to_be_bytes(),
        parent_span_id: if kind == SpanKind::Server { (n as u64 * 2 + 1).to_be_bytes() } else { [0; 8] },
        trace_state: Box::default(),
        flags: 1,
        parent_is_remote: false,
        name: "GET /orders".into(),
        kind,
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_000_000_000 + (n as u64 % 1000) * 100_000,
        attributes,
        status: Status::Unset,
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::clone(resource),
        protocol: "http",
        scope: None,
    }
}

/// What this thread has used of its processor: what else runs on the machine counts little.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn resource(name: &'static str) -> Arc<Resource> {
    Arc::new(Resource { attributes: vec![KeyValue::str("service.name", name)] })
}

fn meters(settings: Settings) -> Meters {
    Meters::new(settings, resource("wirespan"), Arc::new(Counters::default()))
}

/// Calls with both their ends.
fn calls(n: usize) -> Vec<Trace> {
    let (front, shop) = (resource("front"), resource("shop"));
    let ends = |n| vec![span(&front, SpanKind::Client, n), span(&shop, SpanKind::Server, n)];
    (0..n).map(|n| Trace { spans: ends(n) }).collect()
}

fn measuring(criterion: &mut Criterion) {
    let traces = calls(512);
    let mut group = criterion.benchmark_group("span");
    group.throughput(Throughput::Elements(1024));
    let both = Settings { generator: true, ..Settings::default() };
    let settings = [
        ("conventions", Settings::default()),
        ("with exponential histograms", Settings { exponential: true, ..Settings::default() }),
        ("span metrics and service graph too", both),
    ];
    for (name, settings) in settings {
        let meters = meters(settings);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let begin = processor_time();
                (0..rounds).for_each(|_| meters.record(black_box(&traces), true));
                processor_time() - begin
            });
        });
    }
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let counters = Arc::new(Counters::default());
    let settings = Settings { series: 20_000, ..Settings::default() };
    let meters = Meters::new(settings, resource("wirespan"), Arc::clone(&counters));
    let shop = resource("shop");
    for n in 0..10_000_usize {
        let mut span = span(&shop, SpanKind::Server, n);
        span.attributes[3] = KeyValue::str("url.template", format!("/orders/{n}/{{id}}"));
        // Each of them with values in several buckets.
        for ms in [1, 20, 300] {
            span.end_unix_nano = span.start_unix_nano + ms * 1_000_000;
            meters.record(&[Trace { spans: vec![span.clone()] }], true);
        }
    }
    let (series, bytes) = (counters.metrics_series.get(), counters.memory_metrics.get());
    println!("{series} series take {bytes} bytes: {} each", bytes / series);
    criterion.bench_function("text of 10 000 series", |bencher| {
        bencher.iter_custom(|rounds| {
            let begin = processor_time();
            for _ in 0..rounds {
                let mut length = 0;
                write(Some(&meters), &[], Format::OpenMetrics, |piece| {
                    length += piece.len();
                    true
                });
                black_box(length);
            }
            processor_time() - begin
        });
    });
}

criterion_group!(benches, measuring, reading);
criterion_main!(benches);
