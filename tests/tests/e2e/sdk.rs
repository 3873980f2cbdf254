//! Services that have an SDK send their spans to the agent, and are seen in one trace with services that have none.

use std::collections::HashSet;

use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::http::{Deviation as _, client, server};
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::{curl, trace, wait};

/// A scene whose agent receives OTLP, and where.
fn receiving() -> (Scene, String) {
    let mut scene = Scene::new();
    let port = scene.port();
    scene.trace_with(&["--otlp-listen", &format!("127.0.0.1:{port}")]);
    (scene, format!("http://127.0.0.1:{port}"))
}

/// Makes requests until the agent has seen that the program exports its own spans: what comes before may be doubled.
fn warm_up(scene: &mut Scene, pid: u32, url: &str) {
    let seen = format!("process {pid} exports its own telemetry");
    let noticed = wait::until_true(wait::PATIENCE, || {
        curl::get(url, 200);
        scene.agent().log().contains(&seen)
    });
    assert!(noticed, "the program does not export:\n{}", scene.agent().log());
}

/// All spans of the scene but those of the traces in which the program was warmed up.
fn without_warm_up(spans: Vec<Span>) -> Vec<Span> {
    let warm = |span: &Span| span.attributes.values().any(|value| value.to_string().contains("/warm"));
    let traces: HashSet<String> = spans.iter().filter(|s| warm(s)).map(|s| s.trace_id.clone()).collect();
    spans.into_iter().filter(|span| !traces.contains(&span.trace_id)).collect()
}

/// The SDK's own spans say of a call what they say: that it arrives. Python's have the older conventions.
fn says(span: Expected, keys: &str) -> Expected {
    keys.split_whitespace().fold(span, |span, key| span.with(key, Want::Any))
}

const FLASK: &str = "http.flavor http.host http.route http.scheme http.server_name http.status_code http.user_agent \
                     net.host.name net.host.port net.peer.ip net.peer.port";
const NODE: &str = "http.response.status_code network.peer.address network.peer.port network.protocol.version \
                    server.address server.port";

fn sdk_shop_joins(protocol: &str) {
    let (mut scene, otlp) = receiving();
    let orders = Node::orders(&scene, "");
    let shop = Python::sdk_shop(&scene, &otlp, protocol, &orders.url(""));
    warm_up(&mut scene, shop.program.pid(), &shop.url("/warm"));
    let url = shop.url("/order/7");
    curl::get(&url, 200);
    let asked = |spans: &[Span]| spans.iter().filter(|s| s.service() == "sdk-shop" && s.name.contains("order")).count();
    scene.wait_for(|spans| asked(spans) >= 1 && spans.iter().any(|s| s.service() == "orders"));
    scene.agent().stop();
    assert!(scene.agent().counter("spans_received") >= 3);
    let spans = without_warm_up(scene.spans());
    let calls = says(Expected::new("sdk-shop", Kind::Client, "GET"), "http.status_code user_agent.original")
        .with("http.method", "GET")
        .with("http.url", orders.url("/hop/7/1"))
        .child(server("orders", "GET", &orders.url("/hop/7/1"), 200));
    let serves = says(Expected::new("sdk-shop", Kind::Server, "GET /order/<int:number>"), FLASK)
        .with("http.method", "GET")
        .with("http.target", "/order/7")
        .resource("deployment.environment.name", "test")
        .resource("telemetry.sdk.language", "python")
        .child(Expected::new("sdk-shop", Kind::Other, "price").with("numbers", Want::Any))
        .child(calls);
    trace::assert_traces(&[client("curl", "GET", &url, 200), serves], &spans);
    let scope = |name: &str| spans.iter().find(|span| span.name == name).map(|span| span.scope.as_str());
    assert_eq!(scope("GET /order/<int:number>"), Some("opentelemetry.instrumentation.flask"));
    assert_eq!(scope("price"), Some("shop.own"));
    assert_eq!(scope("GET /hop/{id}/{id}"), Some("wirespan/http"));
}

#[test]
fn a_python_service_with_an_sdk_and_a_node_service_without_share_a_trace_over_grpc() {
    sdk_shop_joins("grpc");
}

#[test]
fn a_python_service_with_an_sdk_and_a_node_service_without_share_a_trace_over_http() {
    sdk_shop_joins("http/protobuf");
}

#[test]
fn a_node_service_with_an_sdk_sends_json_and_shares_its_trace_with_callers_and_callees() {
    let (mut scene, otlp) = receiving();
    let shop = Gunicorn::start(&scene, Worker::Sync, "");
    let stock = Node::sdk_stock(&scene, &otlp, &shop.url(""));
    warm_up(&mut scene, stock.program.pid(), &stock.url("/warm"));
    let url = stock.url("/plain");
    let (trace_id, span_id) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let reply = curl::run(&["-H", &format!("traceparent: 00-{trace_id}-{span_id}-01"), &url]);
    assert_eq!(reply.code, 200);
    scene.wait_for(|spans| spans.iter().filter(|s| s.trace_id == trace_id).count() >= 4);
    scene.agent().stop();
    let spans = without_warm_up(scene.spans());
    let calls = says(Expected::new("sdk-stock", Kind::Client, "GET"), NODE)
        .with("http.request.method", "GET")
        .with("url.full", shop.url("/plain"))
        .child(server("shop", "GET", &shop.url("/plain"), 200).no_user_agent());
    let serves = says(Expected::new("sdk-stock", Kind::Server, "GET"), NODE)
        .with("http.request.method", "GET")
        .with("url.path", "/plain")
        .with("url.scheme", "http")
        .with("client.address", "127.0.0.1")
        .with("user_agent.original", Want::Prefix("curl/".to_owned()))
        .child(calls);
    let above = |span: Expected| span.below(trace_id, span_id);
    trace::assert_traces(&[above(client("curl", "GET", &url, 200)), above(serves)], &spans);
}

/// The receiver is the agent itself, and the rule is about the shop's own port alone.
#[test]
fn a_service_with_an_sdk_is_reported_once_where_ports_are_chosen() {
    let mut scene = Scene::new();
    let (otlp, orders) = (scene.port(), Node::orders(&scene, ""));
    let shop = Python::sdk_shop(&scene, &format!("http://127.0.0.1:{otlp}"), "grpc", &orders.url(""));
    let rule = format!("port:{}", shop.port);
    scene.owns_text("/order/7");
    scene.trace_with(&["--otlp-listen", &format!("127.0.0.1:{otlp}"), "--include", &rule]);
    warm_up(&mut scene, shop.program.pid(), &shop.url("/warm"));
    curl::get(&shop.url("/order/7"), 200);
    let own = |spans: &[Span]| spans.iter().filter(|s| s.name == "GET /order/<int:number>").count();
    scene.wait_for(|spans| own(spans) >= 1);
    scene.agent().stop();
    let spans = without_warm_up(scene.spans());
    let ours = spans.iter().filter(|s| s.scope.starts_with("wirespan/") && s.service() != "curl");
    assert_eq!((own(&spans), ours.count()), (1, 0), "{spans:?}");
}

/// What its exporter calls is in the tables of HTTP/2 from before the agent; what it sends tells it all the same.
#[test]
fn an_export_on_a_connection_that_is_older_than_the_agent_is_recognised() {
    let mut scene = Scene::new();
    let elsewhere = Receiver::start(Protocol::Grpc);
    let shop = Python::sdk_shop(&scene, &elsewhere.endpoint(), "grpc", "");
    let exported = wait::until_true(wait::PATIENCE, || {
        curl::get(&shop.url("/order/1"), 200);
        !elsewhere.spans().is_empty()
    });
    assert!(exported, "{}", shop.program.log());
    scene.trace_with(&["--include", &format!("port:{}", shop.port)]);
    warm_up(&mut scene, shop.program.pid(), &shop.url("/warm"));
}
