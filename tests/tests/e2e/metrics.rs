//! What is measured of spans, as Prometheus itself reads it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::process::Command;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, ResourceMetrics};
use serde_json::Value as Json;
use wirespan_tests::program::Program;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::nginx::Nginx;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::Span;
use wirespan_tests::view::View;
use wirespan_tests::{agent, curl, raw, wait};

/// Requests of each kind: found and sampled, found and not sampled, not found.
const EACH: usize = 12;

/// A Prometheus that scrapes the view.
struct Prometheus {
    port: u16,
    _program: Program,
}

impl Prometheus {
    fn start(scene: &Scene, view: &View) -> Self {
        let (port, dir) = (wait::free_port(), scene.dir());
        let configuration = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs: [{{job_name: wirespan, honor_labels: true, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}]\n",
            view.port
        );
        let file = dir.join("prometheus.yml");
        fs::write(&file, configuration).expect("prometheus.yml");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage");
        Self { port, _program: Program::start("prometheus", dir, &mut command).listens_on(port) }
    }

    fn ask(&self, path: &str, query: &str) -> Json {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        let reply = curl::run(&["-G", &url, "--data-urlencode", &format!("query={query}")]);
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }

    /// The value of a query that has one.
    fn value(&self, query: &str) -> Option<f64> {
        let answer = self.ask("query", query);
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    fn wait_for(&self, query: &str, value: f64) {
        let there = wait::until_true(wait::PATIENCE, || self.value(query) == Some(value));
        assert!(there, "{query} is {:?} and not {value}", self.value(query));
    }
}

/// What `/metrics` says, by name and labels without values that change.
fn figures(view: &View, accept: &str) -> String {
    let reply = curl::run(&["-H", &format!("Accept: {accept}"), &view.url("/metrics")]);
    assert_eq!(reply.code, 200);
    String::from_utf8(reply.body).expect("text")
}

/// The counts of nginx's requests by status code.
fn requests(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let ours =
        |line: &&str| line.starts_with("http_server_request_duration_seconds_count{") && line.contains("job=\"nginx\"");
    for line in text.lines().filter(ours) {
        let (labels, n) = line.rsplit_once(' ').expect("a value");
        let status = labels.split("http_response_status_code=\"").nth(1).and_then(|rest| rest.split('"').next());
        *counts.entry(status.unwrap_or_default().to_owned()).or_default() += n.parse::<u64>().expect("a count");
    }
    counts
}

#[test]
fn every_request_is_measured_sampled_or_not_and_prometheus_reads_it() {
    let mut scene = Scene::new();
    let nginx = Nginx::files(&scene);
    fs::write(scene.dir().join("www/here"), "x".repeat(700)).expect("a file");
    let view = View::new(&scene);
    scene.trace_with(&["--listen", &view.listen(), "--span-metrics", "on"]);
    for path in ["/livez", "/readyz"] {
        assert_eq!(curl::get(&view.url(path), 200).body, b"ok\n");
    }
    let prometheus = Prometheus::start(&scene, &view);
    let unsampled = |n: usize| format!("traceparent: 00-{n:032x}-00000000000000aa-00");
    let url = |path: &str| format!("http://127.0.0.1:{}/{path}", nginx.port);
    for n in 1..=EACH {
        curl::get(&url("here"), 200);
        curl::run(&["-H", &unsampled(n), &url("here")]);
        curl::get(&url("missing"), 404);
    }
    let expected = BTreeMap::from([("200".to_owned(), 2 * EACH as u64), ("404".to_owned(), EACH as u64)]);
    let plain = || figures(&view, "text/plain");
    assert!(wait::until_true(wait::PATIENCE, || requests(&plain()) == expected), "{}", plain());

    // Examples are of traces that arrived, and of no other.
    let open = figures(&view, "application/openmetrics-text");
    assert!(open.ends_with("# EOF\n"), "{open}");
    let named = open.lines().filter_map(|line| line.split("# {trace_id=\"").nth(1)?.split('"').next());
    let named: HashSet<&str> = named.collect();
    let arrived = || scene.receiver.spans().into_iter().map(|span| span.trace_id).collect::<HashSet<String>>();
    let all_arrived = || named.iter().all(|trace| arrived().contains(*trace));
    assert!(!named.is_empty() && wait::until_true(wait::PATIENCE, all_arrived), "{named:?} {:?}", arrived());

    // Prometheus has the same, by its own API.
    prometheus.wait_for("up", 1.0);
    let of = |status: u16| {
        format!(
            "sum(http_server_request_duration_seconds_count{{job=\"nginx\",http_response_status_code=\"{status}\"}})"
        )
    };
    prometheus.wait_for(&of(200), 2.0 * EACH as f64);
    prometheus.wait_for(&of(404), EACH as f64);
    prometheus.wait_for(
        "sum(http_client_request_duration_seconds_count{job=\"curl\",http_response_status_code=\"404\"})",
        EACH as f64,
    );
    prometheus.wait_for(
        "sum(http_server_response_body_size_bytes_sum{job=\"nginx\",http_response_status_code=\"200\"})",
        1400.0 * EACH as f64,
    );
    prometheus.wait_for("sum(traces_service_graph_request_total{client=\"curl\",server=\"nginx\"})", 3.0 * EACH as f64);
    prometheus.wait_for("sum(traces_spanmetrics_calls_total{service=\"nginx\"})", 3.0 * EACH as f64);
    let joined = "count(target_info{job=\"nginx\"} * on (job, instance) group_right() http_server_request_duration_seconds_count)";
    assert!(prometheus.value(joined).is_some_and(|n| n >= 2.0), "what is known of a service joins its figures");
    assert!(prometheus.value("wirespan_spans_unsampled_total").is_some_and(|n| n >= EACH as f64));
    let url = format!("http://127.0.0.1:{}/api/v1/query_exemplars", prometheus.port);
    let query = "query=http_server_request_duration_seconds_bucket{job=\"nginx\"}";
    let reply = curl::run(&["-G", &url, "--data-urlencode", query, "-d", "start=1", "-d", "end=9999999999"]);
    let answer: Json = serde_json::from_slice(&reply.body).expect("JSON");
    let trace = answer["data"][0]["exemplars"][0]["labels"]["trace_id"].as_str();
    assert!(trace.is_some_and(|trace| arrived().contains(trace)), "{answer}");
    scene.agent().stop();
}

/// Of nginx's requests: their count in each export, and all exemplars.
fn exported(of: &[ResourceMetrics], temporality: AggregationTemporality) -> (Vec<u64>, Vec<Vec<u8>>) {
    let (mut counts, mut exemplars) = (Vec::new(), Vec::new());
    for group in of {
        let attributes = &group.resource.as_ref().expect("a resource").attributes;
        let name = attributes.iter().find(|a| a.key == "service.name").and_then(|a| a.value.clone()?.value);
        if name != Some(Any::StringValue("nginx".to_owned())) {
            continue;
        }
        assert!(attributes.iter().all(|a| !a.key.starts_with("process.")), "of a service, not of a process");
        let metrics = group.scope_metrics.iter().flat_map(|scope| &scope.metrics);
        let mut count = 0;
        for metric in metrics.filter(|metric| metric.name == "http.server.request.duration") {
            assert_eq!(metric.unit, "s");
            match &metric.data {
                Some(Data::Histogram(all)) => {
                    assert_eq!(all.aggregation_temporality, i32::from(temporality));
                    count += all.data_points.iter().map(|point| point.count).sum::<u64>();
                    let examples = all.data_points.iter().flat_map(|point| &point.exemplars);
                    exemplars.extend(examples.map(|exemplar| exemplar.trace_id.clone()));
                }
                Some(Data::ExponentialHistogram(all)) => {
                    assert_eq!(all.aggregation_temporality, i32::from(temporality));
                    for point in &all.data_points {
                        let buckets = &point.positive.as_ref().expect("durations are not 0").bucket_counts;
                        assert_eq!(buckets.iter().sum::<u64>() + point.zero_count, point.count);
                        count += point.count;
                    }
                }
                other => panic!("no histogram: {other:?}"),
            }
        }
        counts.push(count);
    }
    (counts, exemplars)
}

#[test]
fn figures_go_where_spans_go_cumulative_or_as_what_came_since() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let mut scene = Scene::receiving(Receiver::start(protocol));
        let nginx = Nginx::files(&scene);
        let delta = protocol == Protocol::Http;
        let mut command = agent::exporting_to(&scene.receiver);
        command.env("OTEL_METRIC_EXPORT_INTERVAL", "200");
        if delta {
            let aggregation = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
            command.env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta");
            command
                .env(aggregation, "base2_exponential_bucket_histogram")
                .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
        }
        scene.trace_by(&mut command);
        let temporality = if delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative };
        let all = |counts: &[u64]| if delta { counts.iter().sum() } else { counts.last().copied().unwrap_or(0) };
        let told = |scene: &Scene| exported(&scene.receiver.metrics(), temporality);
        let url = format!("http://127.0.0.1:{}/missing", nginx.port);
        (0..EACH).for_each(|_| drop(curl::get(&url, 404)));
        assert!(wait::until_true(wait::PATIENCE, || all(&told(&scene).0) == EACH as u64), "{:?}", told(&scene).0);
        // The last of them leave with the agent.
        (0..EACH).for_each(|_| drop(curl::get(&url, 404)));
        scene.agent().stop();
        let (counts, exemplars) = told(&scene);
        assert_eq!(all(&counts), 2 * EACH as u64, "{counts:?}");
        let hex = |id: &Vec<u8>| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let arrived: HashSet<String> = scene.receiver.spans().into_iter().map(|span| span.trace_id).collect();
        assert!(delta || !exemplars.is_empty());
        assert!(exemplars.iter().all(|trace| arrived.contains(&hex(trace))), "examples are of traces that arrived");
    }
}

#[test]
fn a_receiver_that_refuses_metrics_gets_all_spans() {
    let mut scene = Scene::new();
    scene.receiver.refuse_metrics();
    let nginx = Nginx::files(&scene);
    let mut command = agent::exporting_to(&scene.receiver);
    command.env("OTEL_METRIC_EXPORT_INTERVAL", "100");
    scene.trace_by(&mut command);
    (0..EACH).for_each(|_| drop(curl::get(&format!("http://127.0.0.1:{}/missing", nginx.port), 404)));
    let ours = |spans: &[Span]| spans.iter().filter(|span| span.concerns_port(&[nginx.port])).count();
    scene.wait_for(|spans| ours(spans) >= 2 * EACH);
    scene.agent().stop();
    assert_eq!(ours(&scene.spans()), 2 * EACH);
    assert!(scene.receiver.metrics().is_empty());
    let log = scene.agent().log();
    let complaints = log.lines().filter(|line| line.contains("refused") && line.contains("metrics")).count();
    assert_eq!(complaints, 1, "said once: {log}");
    assert!(log.contains("metric_points_rejected="), "and counted: {log}");
}

/// How many requests a service has under way, as `/metrics` says it of this method.
fn under_way(view: &View, method: &str) -> Option<u64> {
    let text = figures(view, "text/plain");
    let is = |line: &&str| {
        let ours = line.starts_with("http_server_active_requests{") && line.contains("job=\"patient");
        ours && line.contains(&format!("http_request_method=\"{method}\"")) && line.contains("url_scheme=\"http\"")
    };
    text.lines().find(is)?.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn requests_under_way_are_counted_while_they_are() {
    let mut scene = Scene::new();
    let patient = Python::patient(&scene);
    let view = View::new(&scene);
    scene.trace_with(&["--listen", &view.listen()]);
    let begin = |_| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", patient.port)).expect("it listens");
        let request = raw::request("GET", patient.port, "/events");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it reads");
        stream
    };
    let mut streams: Vec<_> = (0..3).map(begin).collect();
    for left in [3, 1, 0] {
        streams.truncate(left);
        let counted = || under_way(&view, "GET") == Some(left as u64);
        assert!(wait::until_true(wait::PATIENCE, counted), "{left}: {:?}", under_way(&view, "GET"));
    }
    scene.agent().stop();
}
