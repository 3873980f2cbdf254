//! The local view of a real agent: live, searched, one trace, Jaeger's client, and who may not see it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::node::Node;
use wirespan_tests::span::{Kind, Span, Status, Value};
use wirespan_tests::view::{View, told};
use wirespan_tests::{agent, curl, http, python, wait};

/// An agent that exports to the scene's receiver and has a view, too.
fn viewed(scene: &mut Scene) -> View {
    let view = View::new(scene);
    scene.trace_with(&["--listen", &view.listen()]);
    view
}

#[test]
fn a_trace_is_told_within_a_second_of_its_last_span_and_a_reader_holds_no_exit_up() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    let view = viewed(&mut scene);
    let watcher = view.watch(scene.dir(), "service=shop&operation=GET%20/hop/%7Bid%7D/%7Bid%7D");
    let mut took = Vec::new();
    for n in 1..=5 {
        curl::get(&shop.url("/hop/1/0"), 200);
        let begun = Instant::now();
        let complete = || told(&watcher).iter().filter(|trace| trace["spans"] == 4).count() >= n;
        assert!(wait::until_true(wait::PATIENCE, complete), "trace {n} is not told: {}", watcher.log());
        took.push(begun.elapsed());
    }
    took.sort();
    // How long a busy machine takes is not promised; that it takes no longer by design is.
    assert!(took[0] <= Duration::from_secs(1), "until they were told: {took:?}");
    let first = &told(&watcher)[0];
    assert_eq!(
        (&first["service"], &first["kind"], &first["http_status"]),
        (&json!("curl"), &json!("client"), &json!(200))
    );
    assert_eq!(first["services"], json!(["curl", "shop", "orders"]));
    // The stream is open; the agent has two seconds all the same.
    scene.agent().stop();
}

/// What the view says of a span, in the words in which it arrived over OTLP.
fn as_arrived(trace: &Json, span: &Json) -> (Span, Json) {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let attributes = |object: &Json| {
        let value = |value: &Json| match value {
            Json::String(text) => Value::Str(text.clone()),
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => {
                number.as_i64().map_or(Value::Double(number.as_f64().unwrap_or_default()), Value::Int)
            }
            other => Value::Other(other.to_string()),
        };
        let object = object.as_object().expect("attributes");
        object.iter().map(|(key, v)| (key.clone(), value(v))).collect::<BTreeMap<_, _>>()
    };
    let begin: u64 = text(&trace["start_unix_ns"]).parse().expect("a number of nanoseconds");
    let start = begin + span["start_ns"].as_u64().expect("a start");
    let resource = &trace["resources"][span["resource"].as_u64().expect("an index") as usize];
    let span_seen = Span {
        trace_id: text(&trace["trace_id"]),
        span_id: text(&span["span_id"]),
        parent: text(&span["parent_span_id"]),
        trace_state: String::new(),
        flags: 0,
        name: text(&span["name"]),
        kind: match text(&span["kind"]).as_str() {
            "server" => Kind::Server,
            "client" => Kind::Client,
            _ => Kind::Other,
        },
        status: if span["status"] == "error" { Status::Error } else { Status::Unset },
        start,
        end: start + span["duration_ns"].as_u64().expect("a duration"),
        attributes: attributes(&span["attributes"]),
        resource: attributes(&resource["attributes"]),
        links: Vec::new(),
        scope: text(&span["scope"]),
        events: Vec::new(),
    };
    (span_seen, resource["service"].clone())
}

#[test]
fn the_view_shows_the_very_spans_that_otlp_delivers_and_who_looks_makes_none() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    let view = viewed(&mut scene);
    let url = shop.url("/hop/1/0");
    curl::get(&url, 200);
    let spans = scene.wait_for(|spans| spans.len() >= 4);
    let id = spans[0].trace_id.clone();
    let complete = || view.search(&format!("trace={}", &id[..8])).first().is_some_and(|trace| trace["spans"] == 4);
    assert!(wait::until_true(wait::PATIENCE, complete), "{:?}", view.search(""));

    let trace = view.get(&format!("/api/v1/trace/{id}"));
    let shown = trace["spans"].as_array().expect("spans");
    assert_eq!(shown.len(), 4);
    for span in shown {
        let (seen, service) = as_arrived(&trace, span);
        let arrived = spans.iter().find(|s| s.span_id == seen.span_id).expect("it arrived, too");
        let facts = |s: &Span| (s.trace_id.clone(), s.parent.clone(), s.name.clone(), s.start, s.end, s.scope.clone());
        assert_eq!(facts(&seen), facts(arrived));
        assert_eq!((seen.kind, seen.status), (arrived.kind, arrived.status));
        assert_eq!((&seen.attributes, &seen.resource), (&arrived.attributes, &arrived.resource));
        assert_eq!(service, arrived.service());
    }
    let places: Vec<_> = shown.iter().map(|span| span["span_id"].clone()).collect();
    for span in shown {
        let parent = places.iter().position(|id| *id == span["parent_span_id"]);
        let own = places.iter().position(|id| *id == span["span_id"]);
        assert!(span["parent_span_id"].is_null() || parent < own, "parents come first");
    }
    // curl has asked the view several times by now, and none of it is a span.
    let callee = http::server("shop", "GET", &url, 200).child(http::call("shop", "orders", &orders.url("/hop/1/1")));
    scene.expect(&[http::client("curl", "GET", &url, 200).child(callee)]);
}

#[test]
fn each_search_finds_its_traces_and_figures_are_right() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    let faults = Node::faults(&scene);
    let view = viewed(&mut scene);
    (0..3).for_each(|_| drop(curl::get(&shop.url("/hop/1/0"), 200)));
    curl::get(&faults.url("/status/503"), 503);
    assert!(wait::until_true(wait::PATIENCE, || view.search("service=shop").len() == 3
        && view.search("service=faults").len() == 1));
    let count = |query: &str| view.search(query).len();
    assert_eq!(count(&format!("attr=server.port%3D{}", shop.port)), 3);
    assert_eq!(count(&format!("attr=server.port%3D{}&status=error", shop.port)), 0);
    assert_eq!(count("attr=http.response.status_code%3D503&status=error&service=faults"), 1);
    assert_eq!(count("service=faults&status=ok"), 0);
    assert_eq!(count("service=shop&operation=GET%20/hop/%7Bid%7D/%7Bid%7D&limit=2"), 2);
    assert_eq!(count("service=shop&min_ms=60000"), 0);
    let failed = &view.search("service=faults")[0];
    assert_eq!((&failed["http_status"], &failed["error_type"]), (&json!(503), &json!("503")));

    let heat = view.get("/api/v1/histogram?service=shop&buckets=10&rows=5");
    let cells = heat["cells"].as_array().expect("cells");
    assert_eq!(cells.iter().map(|cell| cell[2].as_u64().unwrap_or(0)).sum::<u64>(), 3, "{heat}");
    let edge = |map: &Json| {
        let edges = map["edges"].as_array().cloned().unwrap_or_default();
        edges.into_iter().find(|edge| edge["from"] == "shop" && edge["to"] == "orders")
    };
    let called = || edge(&view.get("/api/v1/services")).is_some_and(|edge| edge["calls"] == 3);
    assert!(wait::until_true(wait::PATIENCE, called), "{}", view.get("/api/v1/services"));
    let operations = view.get("/api/v1/operations");
    let operations = operations["operations"].as_array().expect("operations");
    let served =
        operations.iter().find(|o| o["service"] == "shop" && o["kind"] == "server").expect("an operation of shop");
    assert_eq!((&served["calls"], &served["errors"], &served["protocol"]), (&json!(3), &json!(0), &json!("http")));
    let services = view.get("/api/v1/suggest?field=service&prefix=sh");
    assert_eq!(services["values"], json!(["shop"]));
    let status = view.get("/api/v1/status");
    assert!(
        status["traces"].as_u64() >= Some(4) && status["bytes"].as_u64() < status["max_bytes"].as_u64(),
        "{status}"
    );
    assert_eq!(curl::run(&[&view.url("/api/v1/search?status=maybe")]).code, 400);
    assert_eq!(curl::run(&[&view.url(&format!("/api/v1/trace/{}", "0".repeat(31) + "1"))]).code, 404);
    let page = curl::get(&view.url("/search?status=error"), 200);
    assert!(String::from_utf8_lossy(&page.body).starts_with("<!doctype html>"));
    scene.agent().stop();
}

/// The environment of jaeger-mcp, which nobody here wrote.
fn jaeger_python() -> PathBuf {
    let dir = agent::target_dir().join("test-services/venv-jaeger");
    let requirements = concat!(env!("CARGO_MANIFEST_DIR"), "/requirements-jaeger.txt");
    python::ensure_venv_of(Path::new(requirements), &dir).unwrap_or_else(|e| panic!("no environment: {e:#}"));
    dir.join("bin/python")
}

#[test]
fn a_client_of_jaeger_that_nobody_here_wrote_finds_and_understands_traces() {
    let python = jaeger_python();
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    let faults = Node::faults(&scene);
    let view = viewed(&mut scene);
    curl::get(&shop.url("/hop/1/0"), 200);
    curl::get(&faults.url("/status/500"), 500);
    assert!(wait::until_true(wait::PATIENCE, || view.search("service=shop").iter().any(|trace| trace["spans"] == 4)));
    assert!(wait::until_true(wait::PATIENCE, || view.search("service=faults").len() == 1));
    let id = view.search("service=shop")[0]["trace_id"].as_str().expect("an id").to_owned();

    let ask = |service: &str, operation: &str, id: &str, tag: &str| -> Json {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/services/jaeger_client.py");
        let output = Command::new(&python).args([script, &view.url(""), service, operation, id, tag]).output();
        let output = output.expect("Python runs");
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
    };
    let answer = ask("shop", "GET /hop/{id}/{id}", &id, &format!("server.port={}", shop.port));
    for service in ["curl", "shop", "orders", "faults"] {
        assert!(answer["services"].as_array().expect("services").contains(&json!(service)), "{answer}");
    }
    for (question, found) in [
        ("by_operation", true),
        ("by_other_operation", false),
        ("by_tag", true),
        ("by_other_tag", false),
        ("by_error", false),
        ("by_duration", true),
        ("too_long", false),
    ] {
        assert_eq!(answer[question], if found { json!([id]) } else { json!([]) }, "{question}: {answer}");
    }
    let trace = &answer["trace"];
    assert_eq!(
        (&trace["trace_id"], &trace["root_service"], &trace["service_count"]),
        (&json!(id), &json!("curl"), &json!(3))
    );
    let spans = trace["spans"].as_array().expect("spans");
    assert_eq!(spans.len(), 4);
    let server =
        spans.iter().find(|s| s["service_name"] == "shop" && s["tags"]["span.kind"] == "server").expect("shop's span");
    let caller = spans.iter().find(|s| s["service_name"] == "curl").expect("curl's span");
    assert_eq!((&server["parent_span_id"], &caller["parent_span_id"]), (&caller["span_id"], &Json::Null));
    assert_eq!(answer["summary"]["span_count"], 4);
    let path = answer["critical_path"]["critical_path"].as_array().expect("a path");
    assert_eq!(path.len(), 4, "each calls the next: {}", answer["critical_path"]);
    let edges = answer["dependencies"].as_array().expect("dependencies");
    assert!(edges.contains(&json!({"parent": "shop", "child": "orders", "call_count": 1})), "{edges:?}");
    assert_eq!(answer["unknown"], 404);

    let failed = view.search("service=faults")[0]["trace_id"].as_str().expect("an id").to_owned();
    let answer = ask("faults", "GET /status/{id}", &failed, "http.response.status_code=500");
    assert_eq!((&answer["by_error"], &answer["by_tag"]), (&json!([failed]), &json!([failed])));
    assert!(answer["trace"]["errors_count"].as_u64() >= Some(1), "{answer}");
    scene.agent().stop();
}

#[test]
fn a_token_is_demanded_on_other_addresses_and_kept_by_the_browser() {
    let mut scene = Scene::new();
    let view = View::new(&scene);
    let file = scene.dir().join("token");
    let token = "c0ffee-c0ffee-c0ffee-c0ffee";
    std::fs::write(&file, format!("{token}\n")).expect("a token");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("for root alone");
    let file = file.to_str().expect("UTF-8").to_owned();
    scene.trace_with(&["--listen", &format!("0.0.0.0:{}", view.port), "--token-file", &file]);
    let status = view.url("/api/v1/status");
    assert_eq!(curl::run(&[&status]).code, 401);
    assert_eq!(curl::run(&["-H", "Authorization: Bearer wrong-wrong-wrong", &status]).code, 401);
    assert_eq!(curl::run(&["-H", &format!("Authorization: Bearer {token}"), &status]).code, 200);
    let jar = scene.dir().join("cookies");
    let jar = jar.to_str().expect("UTF-8");
    let shown = curl::run(&["-L", "-c", jar, "-b", jar, &view.url(&format!("/search?token={token}"))]);
    let page = String::from_utf8_lossy(&shown.body).into_owned();
    assert!(shown.code == 200 && page.contains("<!doctype html>") && !page.contains(token), "{page}");
    assert_eq!(curl::run(&["-b", jar, &status]).code, 200);
    // Nor does the log have it.
    assert!(!scene.agent().log().contains(token));
    scene.agent().stop();
}

#[test]
fn strangers_pages_are_refused() {
    let mut scene = Scene::new();
    let view = viewed(&mut scene);
    let status = view.url("/api/v1/status");
    let code = |header: &str| curl::run(&["-H", header, &status]).code;
    assert_eq!(code("Host: attacker.example"), 403);
    assert_eq!(code("Origin: http://attacker.example"), 403);
    assert_eq!(code("Sec-Fetch-Site: cross-site"), 403);
    assert_eq!(code("Host: localhost"), 200);
    assert_eq!(curl::run(&["-d", "x=1", &status]).code, 405);
    let head = curl::run(&["-i", "-H", "Origin: null", &status]);
    let head = String::from_utf8_lossy(&head.body).to_ascii_lowercase();
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{head}");
    assert!(!head.contains("access-control-"), "{head}");
    scene.agent().stop();
}

#[test]
fn a_port_that_is_taken_is_said_once_and_costs_no_span() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let view = View::new(&scene);
    let _taken = TcpListener::bind(view.listen()).expect("the port is free");
    scene.trace_with(&["--listen", &view.listen(), "--socket", "off"]);
    let log = scene.agent().log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("the local view goes on without this")).collect();
    assert!(lines.len() == 1 && lines[0].contains(&view.listen()) && lines[0].contains("--listen"), "{log}");
    curl::get(&faults.url("/seen"), 200);
    scene.expect(&[http::curl("faults", "GET", &faults.url("/seen"), 200)]);
}
