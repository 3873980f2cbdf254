//! What applications send, as long and as large as it may be: the view answers others meanwhile, and keeps to limits.

use std::process::Command;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::Value as Json;
use wirespan_tests::scene::Scene;
use wirespan_tests::view::View;
use wirespan_tests::{agent, curl, wait};

/// As many spans as the view keeps of a trace.
const LONG: u64 = 20_000;

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A span that began a moment ago.
fn span(trace: u64, id: u64, parent: u64) -> Span {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_nanos() as u64;
    Span {
        trace_id: u128::from(trace).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        name: "step".to_owned(),
        start_time_unix_nano: now - 1_000_000_000 + id,
        end_time_unix_nano: now - 900_000_000 + id,
        ..Span::default()
    }
}

/// Sends spans of a service as its SDK would.
fn send(scene: &Scene, port: u16, service: &str, spans: Vec<Span>) {
    let resource = Resource {
        attributes: vec![attribute("service.name", Any::StringValue(service.to_owned()))],
        ..Resource::default()
    };
    let scope = ScopeSpans { spans, ..ScopeSpans::default() };
    let group = ResourceSpans { resource: Some(resource), scope_spans: vec![scope], ..ResourceSpans::default() };
    let body = ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec();
    let file = scene.dir().join("request");
    std::fs::write(&file, body).expect("a file");
    let data = format!("@{}", file.display());
    let url = format!("http://127.0.0.1:{port}/v1/traces");
    let reply = curl::run(&["-H", "Content-Type: application/x-protobuf", "--data-binary", &data, &url]);
    assert_eq!(reply.code, 200, "{}", String::from_utf8_lossy(&reply.body));
}

/// An agent that takes spans, and has a view.
fn taking(scene: &mut Scene, arguments: &[&str]) -> (View, u16) {
    let (view, port) = (View::new(scene), scene.port());
    let mut command = agent::command();
    command.args(["--output", "none", "--listen", &view.listen(), "--otlp-listen", &format!("127.0.0.1:{port}")]);
    scene.trace_by(command.args(arguments));
    (view, port)
}

#[test]
fn while_the_longest_traces_are_exported_others_are_answered() {
    let mut scene = Scene::new();
    let (view, port) = taking(&mut scene, &[]);
    // A chain, and a circle: each with as many spans as are kept.
    let numbers: Vec<u64> = (1..=LONG).collect();
    for some in numbers.chunks(2_000) {
        send(&scene, port, "chain", some.iter().map(|n| span(1, *n, n - 1)).collect());
        send(&scene, port, "circle", some.iter().map(|n| span(2, *n, n % LONG + 1)).collect());
    }
    let there = |trace: &Json| trace["spans"].as_u64() == Some(LONG);
    assert!(wait::until_true(wait::PATIENCE, || view.search("").iter().filter(|t| there(t)).count() == 2));
    let url = |n: u64, way: &str| view.url(&format!("/api/v1/trace/{:032x}{way}", n));
    let begun = Instant::now();
    let mut readers: Vec<_> = (0..4)
        .map(|n| {
            let mut command = Command::new("curl");
            command.args([
                "-q",
                "-sS",
                "--noproxy",
                "*",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                &url(1 + n % 2, "/otlp"),
            ]);
            command.stdout(std::process::Stdio::piped()).spawn().expect("curl runs")
        })
        .collect();
    let mut slowest = Duration::ZERO;
    while readers.iter_mut().any(|reader| reader.try_wait().expect("its state").is_none()) {
        for path in ["/api/v1/status", "/api/v1/operations", "/"] {
            let asked = Instant::now();
            curl::get(&view.url(path), 200);
            slowest = slowest.max(asked.elapsed());
        }
        assert!(begun.elapsed() < 2 * wait::PATIENCE, "they take too long");
    }
    let took = begun.elapsed();
    eprintln!("four exports of {LONG} spans: {took:?}; the slowest other answer: {slowest:?}");
    for reader in readers {
        let output = reader.wait_with_output().expect("what curl says");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
    }
    // (Who waited for them would wait for nearly as long as they take.)
    assert!(slowest < (took / 2).max(Duration::from_secs(2)), "{slowest:?} of {took:?}");
    scene.agent().stop();
}

#[test]
fn of_what_applications_send_no_more_is_kept_than_the_limits_say() {
    let mut scene = Scene::new();
    let (view, port) =
        taking(&mut scene, &["--otlp-max-message", "16MiB", "--max-memory", "1GiB", "--link-count-limit", "3"]);
    let mut large = span(7, 1, 0);
    large.name = "n".repeat(1 << 20);
    large.attributes = (0..500).map(|n| attribute(&format!("key.{n}"), Any::IntValue(n))).collect();
    large.attributes.insert(0, attribute("large", Any::StringValue("x".repeat(4 << 20))));
    send(&scene, port, &"s".repeat(1 << 20), vec![large]);
    assert!(wait::until_true(wait::PATIENCE, || view.search("").len() == 1));
    let trace = view.get(&format!("/api/v1/trace/{:032x}", 7));
    let kept = &trace["spans"][0];
    let length = |value: &Json| value.as_str().map(str::len);
    assert_eq!(length(&kept["name"]), Some(1024));
    assert_eq!(length(&kept["attributes"]["large"]), Some(8192));
    assert_eq!(length(&trace["resources"][0]["service"]), Some(256));
    assert_eq!(kept["attributes"].as_object().map(|all| all.len()), Some(128 + 1));
    assert_eq!(kept["attributes"]["otel.dropped_attributes_count"], 373);
    scene.agent().stop();
    assert_eq!(scene.agent().counter("received_parts_dropped"), 373);
    assert_eq!(scene.agent().counter("received_texts_shortened"), 3);
}

#[test]
fn a_list_is_found_by_each_of_its_elements() {
    let mut scene = Scene::new();
    let (view, port) = taking(&mut scene, &[]);
    let list = |values: Vec<Any>| {
        Any::ArrayValue(ArrayValue { values: values.into_iter().map(|v| AnyValue { value: Some(v) }).collect() })
    };
    let mut listed = span(9, 1, 0);
    listed.attributes = vec![
        attribute("shelves", list(vec![Any::IntValue(7), Any::IntValue(12)])),
        attribute("tags", list(vec![Any::StringValue("red".to_owned()), Any::StringValue("round".to_owned())])),
    ];
    send(&scene, port, "warehouse", vec![listed]);
    assert!(wait::until_true(wait::PATIENCE, || view.search("").len() == 1));
    for (attribute, found) in
        [("shelves=7", 1), ("shelves=12", 1), ("tags=round", 1), ("shelves=1", 0), ("tags=blue", 0)]
    {
        let output = agent::command()
            .args(["query", "--output", "json", "--address", &view.listen(), "--attribute", attribute])
            .output()
            .expect("wirespan runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), found, "{attribute}");
        let tag = attribute.replacen('=', ":", 1);
        let traces = view.get(&format!("/api/traces?service=warehouse&tag={tag}"));
        assert_eq!(traces["data"].as_array().map(Vec::len), Some(found), "Jaeger: {attribute}");
    }
    scene.agent().stop();
}
