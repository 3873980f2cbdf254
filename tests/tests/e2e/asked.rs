//! Attributes that rules ask for: from wherever they stand, covered where that is wanted, and found by their values.

use std::process::Command;

use serde_json::Value as Json;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::databases::Database;
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::view::View;
use wirespan_tests::{agent, curl, wait};

/// The beginning of the SHA-256 of `cookie-of-ann`, as sha256sum prints it.
const HASHED: &str = "57ca463b7f5331d8";

/// The only span of a kind that has an attribute.
fn with<'a>(spans: &'a [Span], kind: Kind, key: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.kind == kind && span.attributes.contains_key(key));
    let span = found.next().unwrap_or_else(|| panic!("no {kind:?} span has {key}: {spans:#?}"));
    assert!(found.next().is_none(), "several {kind:?} spans have {key}");
    span
}

#[test]
fn values_are_taken_from_everywhere_and_found() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let view = View::new(&scene);
    let rules = [
        "order.id = path /orders/{id}",
        "page = query page",
        "tenant = header x-tenant on root",
        "visitor = cookie sid hash",
        "item.price = json request order.items[1].price at POST /orders/*",
        "coupon = form coupon mask",
        "customer = baggage customer.id",
        "door.key = header x-api-key",
        "nothing = header x-tenant for elsewhere-*",
    ];
    let mut arguments = vec!["--listen".to_owned(), view.listen()];
    arguments.extend(rules.iter().flat_map(|rule| ["--attribute".to_owned(), (*rule).to_owned()]));
    scene.trace_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());

    let headers =
        ["x-tenant: acme", "cookie: a=b; sid=cookie-of-ann", "baggage: customer.id=7,other=1", "x-api-key: of-nobody"];
    let mut request: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
    let url = faults.url("/orders/4711?page=3&page=4");
    let body = r#"{"order":{"items":[{"price":1},{"price":17.50}]}}"#;
    request.extend(["-H", "content-type: application/json", "-d", body, &url]);
    assert_eq!(curl::run(&request).code, 200);
    assert_eq!(curl::run(&["-d", "name=ann&coupon=SUMMER-2026-4711&x=", &faults.url("/buy")]).code, 200);

    let spans = scene.wait_for(|spans| spans.len() >= 4);
    assert_eq!(spans.len(), 4, "{spans:?}");
    for kind in [Kind::Client, Kind::Server] {
        let order = with(&spans, kind, "order.id");
        for (key, value) in [("order.id", "4711"), ("page", "3"), ("item.price", "17.50"), ("customer", "7")] {
            assert_eq!(order.text(key), Some(value), "{key} of {kind:?}");
        }
        assert_eq!(order.text("visitor"), Some(HASHED));
        assert_eq!(order.text("door.key"), Some("****"), "it is called like a secret");
        assert_eq!(with(&spans, kind, "coupon").text("coupon"), Some("****4711"));
        assert!(
            !order.attributes.contains_key("nothing") && !order.attributes.contains_key("wirespan.attributes.unread")
        );
    }
    assert_eq!(with(&spans, Kind::Client, "tenant").text("tenant"), Some("acme"), "the root has it");
    assert!(spans.iter().filter(|span| span.kind == Kind::Server).all(|span| !span.attributes.contains_key("tenant")));
    let leak = |span: &Span| {
        format!("{:?}", span.attributes).contains("of-nobody") || format!("{span:?}").contains("cookie-of-ann")
    };
    assert!(!spans.iter().any(leak), "{spans:?}");
    is_found(&view, "order.id", "4711", &with(&spans, Kind::Server, "order.id").trace_id);
}

/// The page's search, Jaeger's API and the command find a trace by an attribute, and none by another value.
fn is_found(view: &View, key: &str, value: &str, trace: &str) {
    let pages = |value: &str| -> Vec<Json> { view.search(&format!("attr={key}%3D{value}")) };
    assert!(wait::until_true(wait::PATIENCE, || pages(value).len() == 1), "{:?}", pages(value));
    assert_eq!((pages(value)[0]["trace_id"].as_str(), pages("4712").len()), (Some(trace), 0));

    let tags = format!(r#"tags={{"{key}":"{value}"}}"#);
    let reply =
        curl::run(&["-G", &view.url("/api/traces"), "--data-urlencode", "service=faults", "--data-urlencode", &tags]);
    let found: Json = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["data"][0]["traceID"].as_str(), Some(trace));

    let attribute = format!("{key}={value}");
    let arguments = ["query", "--address", &view.listen(), "--output", "json", "--attr", &attribute];
    let output = agent::command().args(arguments).output().expect("wirespan runs");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(lines.lines().count() == 1 && lines.contains(trace), "{lines}");
}

#[test]
fn answers_metadata_and_the_comments_of_statements_are_read_too() {
    let mut scene = Scene::new();
    let (spender, stock) = (Python::spender(&scene, ""), Python::stock(&scene));
    let postgres = Database::postgres(&scene);
    let rules =
        ["spent = json response wall at GET /cpu/*/*", "freshness = metadata x-fresh", "action = sql-comment action"];
    let arguments: Vec<&str> = rules.iter().flat_map(|rule| ["--attribute", *rule]).collect();
    scene.trace_with(&arguments);
    let reply = curl::get(&spender.url("/cpu/1/0"), 200);
    let said: Json = serde_json::from_slice(&reply.body).expect("JSON");
    Python::run(&scene, "stock_client.py", &[&stock.port.to_string(), "fresh"]);
    let mut psql = Command::new("psql");
    psql.args(["-h", "127.0.0.1", "-p", &postgres.port.to_string(), "-U", "app", "-d", "shop", "-qc"]);
    psql.arg("SELECT id FROM orders /*action='list%20orders',route='orders'*/");
    assert!(psql.output().expect("psql runs").status.success());

    let keys = ["spent", "freshness", "action"];
    let told =
        |spans: &[Span]| keys.iter().all(|key| spans.iter().filter(|s| s.attributes.contains_key(*key)).count() == 2);
    let spans = scene.wait_for(told);
    for kind in [Kind::Client, Kind::Server] {
        assert_eq!(with(&spans, kind, "spent").text("spent"), Some(said["wall"].to_string().as_str()));
        assert_eq!(with(&spans, kind, "freshness").text("freshness"), Some("yes"));
        assert_eq!(with(&spans, kind, "action").text("action"), Some("list orders"));
    }
}
