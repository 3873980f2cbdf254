//! Spans in, figures out.

use std::sync::Arc;

use wirespan_protocols::exchange::Asks;
use wirespan_signals::{Active, Figure, Histogram, KeyValue, Resource, Span, SpanKind, Status, Trace, Value};

use crate::testing::{child, request, span};
use crate::text::{Format, write};
use crate::{Counters, Meters, Settings, all_instruments};

fn meters(settings: Settings) -> (Meters, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let own = Arc::new(Resource { attributes: vec![KeyValue::str("service.name", "wirespan")] });
    (Meters::new(settings, own, Arc::clone(&counters)), counters)
}

fn record(meters: &Meters, spans: Vec<Span>, kept: bool) {
    meters.record(&[Trace { spans }], kept);
}

/// The histograms of an instrument, by service and the values of these attributes.
fn histograms(meters: &Meters, name: &str, keys: &[&str]) -> Vec<(String, Histogram)> {
    let mut found = Vec::new();
    meters.each(|of| {
        for metric in of.metrics.iter().filter(|metric| metric.instrument.name == name) {
            for point in &metric.points {
                let Figure::Histogram(histogram) = &point.figure else { panic!("{name} is none") };
                let value = |key: &&str| match point.attributes.iter().find(|a| a.key == *key).map(|a| &a.value) {
                    Some(Value::Str(text)) => text.to_string(),
                    Some(Value::Int(n)) => n.to_string(),
                    other => format!("{other:?}"),
                };
                let values: Vec<String> = keys.iter().map(value).collect();
                found.push((format!("{} {}", of.resource.service_name(), values.join(" ")), (**histogram).clone()));
            }
        }
    });
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn text(meters: &Meters, format: Format) -> String {
    let mut all = String::new();
    write(Some(meters), &[], format, |piece| {
        all.push_str(&piece);
        true
    });
    all
}

#[test]
fn every_request_is_counted_kept_or_not_and_examples_are_of_kept_ones() {
    let (meters, counters) = meters(Settings::default());
    for n in 0..100 {
        record(&meters, vec![request("shop", "GET", if n % 10 == 0 { 500 } else { 200 })], n % 2 == 1);
    }
    let keys = ["http.request.method", "http.response.status_code"];
    let found = histograms(&meters, "http.server.request.duration", &keys);
    let counts: Vec<_> = found.iter().map(|(key, h)| (key.as_str(), h.count(), h.exemplars.len())).collect();
    assert_eq!(counts, [("shop GET 200", 90, 1), ("shop GET 500", 10, 0)], "all that failed were not kept");
    let sizes = histograms(&meters, "http.server.response.body.size", &keys);
    assert_eq!((sizes[0].1.count(), sizes[0].1.sum, sizes[0].1.exemplars[0].value), (90, 46_080.0, 512.0));
    assert_eq!(counters.metrics_spans.get(), 100);
    assert!(histograms(&meters, "http.server.request.body.size", &keys).is_empty(), "nobody knows these");
}

#[test]
fn each_kind_of_span_feeds_its_own_instruments() {
    let (meters, _) = meters(Settings::default());
    let of = |kind, attributes: Vec<KeyValue>| Span { attributes, ..span("shop", kind) };
    let system = |key, value| vec![KeyValue::str(key, value)];
    let message =
        |kind| vec![KeyValue::str("messaging.system", "rabbitmq"), KeyValue::str("messaging.operation.type", kind)];
    let spans = vec![
        of(SpanKind::Client, system("rpc.system.name", "grpc")),
        of(SpanKind::Server, system("rpc.system.name", "grpc")),
        of(SpanKind::Client, system("db.system.name", "redis")),
        of(SpanKind::Server, system("db.system.name", "redis")),
        of(SpanKind::Producer, message("send")),
        of(SpanKind::Client, message("receive")),
        of(SpanKind::Consumer, message("process")),
        of(SpanKind::Client, system("http.request.method", "GET")),
        of(SpanKind::Client, system("dns.question.name", "example.org")),
        of(SpanKind::Client, system("network.transport", "tcp")),
    ];
    record(&meters, spans, true);
    let mut told = Vec::new();
    meters.each(|of| told.extend(of.metrics.iter().map(|m| (m.instrument.name, m.points.len()))));
    let expected = [
        ("http.client.request.duration", 1),
        ("rpc.server.call.duration", 1),
        ("rpc.client.call.duration", 1),
        ("db.client.operation.duration", 1),
        ("messaging.client.operation.duration", 2),
        ("messaging.client.sent.messages", 1),
        ("messaging.client.consumed.messages", 2),
        ("messaging.process.duration", 1),
        ("dns.lookup.duration", 1),
    ];
    assert_eq!(told, expected);
}

#[test]
fn memory_is_bounded_whatever_comes_and_no_request_is_lost() {
    let settings = Settings { bytes: 200_000, series: 1000, ..Settings::default() };
    let (meters, counters) = meters(settings);
    for n in 0..20_000 {
        let mut span = request("shop", "GET", 200);
        span.attributes.push(KeyValue::str("url.template", format!("/{n}")));
        record(&meters, vec![span], true);
    }
    assert!(counters.memory_metrics.get() < 220_000, "{}", counters.memory_metrics.get());
    let found = histograms(&meters, "http.server.request.duration", &["otel.metric.overflow"]);
    assert_eq!(found.iter().map(|(_, h)| h.count()).sum::<u64>(), 20_000);
    let other: Vec<_> = found.iter().filter(|(key, _)| key.contains("Bool(true)")).collect();
    assert_eq!((other.len(), other[0].1.count()), (1, counters.metrics_overflowed.get()));
}

#[test]
fn services_without_end_are_left_out_and_counted() {
    let (meters, counters) = meters(Settings { bytes: 500_000, ..Settings::default() });
    for n in 0..5000 {
        record(&meters, vec![request(&format!("service-{n}"), "GET", 200)], true);
    }
    assert!(counters.memory_metrics.get() < 520_000, "{}", counters.memory_metrics.get());
    let told: u64 = histograms(&meters, "http.server.request.duration", &[]).iter().map(|(_, h)| h.count()).sum();
    assert_eq!(told + counters.metrics_spans_left_out.get(), 5000);
    assert!(told > 100 && counters.metrics_spans_left_out.get() > 100);
}

#[test]
fn spans_and_calls_are_told_under_the_names_of_tempo() {
    let (meters, _) = meters(Settings { generator: true, ..Settings::default() });
    let root = request("front", "GET", 200);
    let call = child(&root, "front", SpanKind::Client);
    let mut answer = child(&call, "stock", SpanKind::Server);
    answer.status = Status::Error("".into());
    record(&meters, vec![root, call, answer], true);
    let text = text(&meters, Format::Prometheus);
    for line in [
        r#"traces_spanmetrics_calls_total{service="front",span_name="GET /",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_UNSET"} 1"#,
        r#"traces_spanmetrics_calls_total{service="stock",span_name="GET /",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_ERROR"} 1"#,
        r#"traces_spanmetrics_latency_count{service="front",span_name="GET /",span_kind="SPAN_KIND_CLIENT",status_code="STATUS_CODE_UNSET"} 1"#,
        r#"traces_service_graph_request_total{client="front",server="stock",connection_type=""} 1"#,
        r#"traces_service_graph_request_total{client="user",server="front",connection_type="virtual_node"} 1"#,
        r#"traces_service_graph_request_failed_total{client="front",server="stock",connection_type=""} 1"#,
        r#"traces_service_graph_request_server_seconds_count{client="front",server="stock",connection_type=""} 1"#,
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
}

#[test]
fn what_applications_measure_themselves_is_not_measured_twice() {
    let (meters, _) = meters(Settings { generator: true, ..Settings::default() });
    meters.record_received(&[Trace { spans: vec![request("sdk", "GET", 200)] }]);
    let text = text(&meters, Format::Prometheus);
    assert!(text.contains("traces_spanmetrics_calls_total{service=\"sdk\""), "{text}");
    assert!(!text.contains("http_server_request_duration"), "{text}");
}

#[test]
fn the_text_is_whole_in_both_formats() {
    let (meters, _) = meters(Settings::default());
    record(&meters, vec![request("shop", "GET", 200)], true);
    let (plain, open) = (text(&meters, Format::Prometheus), text(&meters, Format::OpenMetrics));
    let bucket = "http_server_request_duration_seconds_bucket{job=\"shop\",instance=\"";
    let first = |text: &str| text.lines().find(|line| line.starts_with(bucket)).unwrap().to_owned();
    assert!(first(&plain).ends_with("le=\"0.005\"} 1"), "{plain}");
    let (labels, example) = open.lines().find(|l| l.starts_with(bucket)).unwrap().split_once(" # ").unwrap();
    assert!(labels.ends_with("le=\"0.005\"} 1"), "{open}");
    assert!(example.starts_with("{trace_id=\"") && example.ends_with("} 0.001 1700000000.001"), "{example}");
    assert!(open.contains("le=\"1.0\"") && plain.contains("le=\"1\""));
    assert!(open.ends_with("# EOF\n") && !plain.contains("# EOF"));
    assert!(open.contains("# TYPE target info\ntarget_info{job=\"shop\",instance=\""), "{open}");
    assert!(plain.contains("http_server_request_duration_seconds_count{job=\"shop\""));
}

#[test]
fn a_reader_who_leaves_ends_the_work() {
    let (meters, _) = meters(Settings { series: 5000, ..Settings::default() });
    for n in 0..3000 {
        let mut span = request("shop", "GET", 200);
        span.attributes.push(KeyValue::str("url.template", format!("/{n}")));
        record(&meters, vec![span], true);
    }
    let (mut pieces, mut whole) = (0, 0);
    write(Some(&meters), &[], Format::Prometheus, |_| {
        pieces += 1;
        false
    });
    write(Some(&meters), &[], Format::Prometheus, |piece| {
        assert!(piece.len() < 80 << 10, "pieces are small: {}", piece.len());
        whole += 1;
        true
    });
    assert!(pieces == 1 && whole > 20, "{pieces} {whole}");
}

#[test]
fn an_instrument_of_several_families_is_told_once() {
    let mut names: Vec<_> = all_instruments().iter().map(|instrument| instrument.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn what_a_service_has_under_way_is_counted_as_it_is_now() {
    let (meters, _) = meters(Settings::default());
    let (one, other) = (span("shop", SpanKind::Server).resource, span("bank", SpanKind::Server).resource);
    let active = |resource: &Arc<Resource>, method, count| Active {
        resource: Arc::clone(resource),
        asks: Asks { method, scheme: "http" },
        count,
    };
    let levels = || {
        let mut found = Vec::new();
        meters.each(|of| {
            for metric in of.metrics.iter().filter(|m| m.instrument.name == "http.server.active_requests") {
                for point in &metric.points {
                    let Figure::Int(level) = point.figure else { panic!("{point:?}") };
                    let Value::Str(method) = &point.attributes[0].value else { panic!("{point:?}") };
                    found.push(format!("{} {method} {level}", of.resource.service_name()));
                }
            }
        });
        found.sort();
        found
    };
    // Two processes of one service are one.
    let again = Arc::new(Resource { attributes: one.attributes.clone() });
    meters.set_active(&[active(&one, "GET", 2), active(&again, "GET", 1), active(&other, "POST", 1)]);
    assert_eq!(levels(), ["bank POST 1", "shop GET 3"]);
    meters.set_active(&[active(&one, "GET", 1), active(&one, "PUT", 1)]);
    assert_eq!(levels(), ["bank POST 0", "shop GET 1", "shop PUT 1"]);
    assert!(text(&meters, Format::Prometheus).contains("http_server_active_requests{"));
    meters.set_active(&[]);
    assert_eq!(levels(), ["bank POST 0", "shop GET 0", "shop PUT 0"]);
}
