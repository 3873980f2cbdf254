//! Trace context that a request carries.

use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http::{self, Deviation, call};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::nginx::Nginx;
use wirespan_tests::services::node::Node;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[test]
fn every_kind_of_context_names_trace_and_parent() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let low = format!("{:0>32}", &TRACE[16..]);
    let decimal = |hex: &str| u64::from_str_radix(hex, 16).expect("hexadecimal").to_string();
    let datadog = [
        format!("x-datadog-trace-id: {}", decimal(&TRACE[16..])),
        format!("x-datadog-parent-id: {}", decimal(SPAN)),
        "x-datadog-sampling-priority: 1".to_owned(),
        format!("x-datadog-tags: _dd.p.tid={}", &TRACE[..16]),
    ];
    let cases: [(&str, &str, Vec<String>); 7] = [
        ("w3c", TRACE, vec![format!("traceparent: 00-{TRACE}-{SPAN}-01")]),
        ("b3-single", TRACE, vec![format!("b3: {TRACE}-{SPAN}-1")]),
        ("b3-short", &low, vec![format!("b3: {}-{SPAN}-1", &TRACE[16..])]),
        (
            "b3-multi",
            TRACE,
            vec![format!("X-B3-TraceId: {TRACE}"), format!("X-B3-SpanId: {SPAN}"), "X-B3-Sampled: 1".to_owned()],
        ),
        ("jaeger", TRACE, vec![format!("uber-trace-id: {TRACE}:{SPAN}:0:1")]),
        ("datadog", &low, datadog[..3].to_vec()),
        ("datadog-wide", TRACE, datadog.to_vec()),
    ];
    let mut traces: Vec<Expected> = Vec::new();
    for (name, trace, headers) in &cases {
        let url = faults.url(&format!("/{name}"));
        let mut arguments = vec![url.as_str()];
        arguments.extend(headers.iter().flat_map(|header| ["-H", header.as_str()]));
        assert_eq!(curl::run(&arguments).code, 200, "{name}");
        traces.push(http::curl("faults", "GET", &url, 200).below(trace, SPAN));
    }
    scene.expect(&traces);
}

#[test]
fn tracestate_is_kept() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let url = faults.url("/state");
    let parent = format!("traceparent: 00-{TRACE}-{SPAN}-01");
    assert_eq!(curl::run(&[&url, "-H", &parent, "-H", "tracestate: one=1,two=2"]).code, 200);
    scene.expect(&[http::curl("faults", "GET", &url, 200).below(TRACE, SPAN).state("one=1,two=2")]);
}

#[test]
fn a_malformed_context_is_none() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let headers = [
        format!("traceparent: 00-{TRACE}-0000000000000000-01"),
        format!("traceparent: 00-{}-{SPAN}-01", "0".repeat(32)),
        format!("traceparent: ff-{TRACE}-{SPAN}-01"),
        format!("traceparent: 00-{TRACE}"),
        "b3: nonsense".to_owned(),
        "uber-trace-id: ::::".to_owned(),
        "x-datadog-trace-id: -1".to_owned(),
    ];
    let mut traces = Vec::new();
    for (n, header) in headers.iter().enumerate() {
        let url = faults.url(&format!("/malformed-{}", char::from(b'a' + n as u8)));
        assert_eq!(curl::run(&[&url, "-H", header]).code, 200);
        traces.push(http::curl("faults", "GET", &url, 200));
    }
    scene.expect(&traces);
}

#[test]
fn what_the_sender_does_not_sample_is_not_exported() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let shop = Gunicorn::start(&scene, Worker::Sync, &faults.url(""));
    scene.trace();
    let unsampled = format!("traceparent: 00-{TRACE}-{SPAN}-00");
    assert_eq!(curl::run(&[&shop.url("/hop/1/0"), "-H", &unsampled]).code, 200);
    assert_eq!(curl::run(&[&faults.url("/b3"), "-H", &format!("b3: {TRACE}-{SPAN}-0")]).code, 200);
    let url = faults.url("/sampled");
    curl::get(&url, 200);
    scene.expect(&[http::curl("faults", "GET", &url, 200)]);
}

/// A sender may say that it does not sample, and no more.
#[test]
fn a_denial_without_ids_is_honoured() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    for (path, header) in [("/single", "b3: 0"), ("/multi", "X-B3-Sampled: 0")] {
        assert_eq!(curl::run(&[&faults.url(path), "-H", header]).code, 200);
    }
    let url = faults.url("/sampled");
    curl::get(&url, 200);
    scene.expect(&[http::curl("faults", "GET", &url, 200)]);
}

/// nginx hands the header on as it came. Its own call is below its own span all the same: the execution unit knows better
/// than the header, and they agree about the trace.
#[test]
fn a_proxy_that_hands_the_context_on_stays_in_the_chain() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let front = Nginx::proxy(&scene, &format!("127.0.0.1:{}", faults.port));
    scene.trace();
    let (outer, inner) = (front.url("/through"), faults.url("/through"));
    assert_eq!(curl::run(&[&outer, "-H", &format!("traceparent: 00-{TRACE}-{SPAN}-01")]).code, 200);
    let below = call("nginx", "faults", &inner).lone().version("1.0");
    let callee = http::server("nginx", "GET", &outer, 200).child(below);
    scene.expect(&[http::client("curl", "GET", &outer, 200).child(callee).below(TRACE, SPAN)]);
}
