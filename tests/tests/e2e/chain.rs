//! One request through six services is one trace.

use wirespan_tests::curl;
use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::http::{Deviation, client, server};
use wirespan_tests::program::Program;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::java::Java;
use wirespan_tests::services::nginx::Nginx;
use wirespan_tests::services::node::Node;
use wirespan_tests::services::php::Php;

/// curl's own name for itself.
fn curl_agent() -> Want {
    Want::Prefix("curl/".into())
}

/// What `requests` of the pinned version calls itself.
const REQUESTS: &str = "python-requests/2.34.2";

/// The resource of a program with one process.
fn of(program: &Program, executable: &str, span: Expected) -> Expected {
    described(span.resource("process.pid", i64::from(program.pid())).resource("process.executable.name", executable))
}

/// What every resource says.
fn described(span: Expected) -> Expected {
    let keys = ["service.instance.id", "host.name", "telemetry.sdk.name", "telemetry.sdk.version", "process.pid"];
    keys.into_iter().fold(span, |span, key| {
        let given = span.resource.contains_key(key);
        if given { span } else { span.resource(key, Want::Any) }
    })
}

/// curl → nginx → gunicorn/Flask → Node → Java → PHP, exported by `protocol`.
fn a_request_through_six_services_is_one_trace(protocol: Protocol) {
    let mut scene = Scene::receiving(Receiver::start(protocol));
    let legacy = Php::start(&scene, "");
    let payments = Java::payments(&scene, &legacy.url(""));
    let orders = Node::orders(&scene, &payments.url(""));
    let shop = Gunicorn::start(&scene, Worker::Threads(4), &orders.url(""));
    let front = Nginx::proxy(&scene, &format!("127.0.0.1:{}", shop.port));
    scene.trace();
    let curl = curl::get(&front.url("/hop/7/0"), 200);

    let url = front.url("/hop/7/0");
    let root = client("curl", "GET", &url, 200).user_agent(curl_agent());
    let root = described(root.resource("process.pid", i64::from(curl.pid)));
    let nginx = described(server("nginx", "GET", &url, 200).user_agent(curl_agent()));
    // nginx speaks HTTP/1.0 to its upstream and hands curl's User-Agent on.
    let url = shop.url("/hop/7/0");
    let to_shop = client("nginx", "GET", &url, 200).lone().version("1.0").user_agent(curl_agent());
    let in_shop = described(server("shop", "GET", &url, 200).version("1.0").user_agent(curl_agent()));
    let url = orders.url("/hop/7/1");
    let to_orders = client("shop", "GET", &url, 200).user_agent(REQUESTS);
    let in_orders = of(&orders.program, "node", server("orders", "GET", &url, 200).user_agent(REQUESTS));
    let url = payments.url("/hop/7/2");
    let to_payments = client("orders", "GET", &url, 200).lone().no_user_agent();
    let in_payments = of(&payments.program, "java", server("payments", "GET", &url, 200).no_user_agent());
    let url = legacy.url("/hop/7/3");
    let java_agent = || Want::Prefix("Java/".into());
    let to_legacy = client("payments", "GET", &url, 200).user_agent(java_agent());
    let in_legacy = of(&legacy.program, "php8.2", server("legacy", "GET", &url, 200).user_agent(java_agent()));

    let size = |span: Expected| span.bodies(None, Some("/hop/7/3\n".len() as i64));
    // PHP's own server states no length: its response lasts until it closes.
    let in_legacy = in_legacy.bodies(None, None);
    let to_legacy = to_legacy.bodies(None, None);
    let links = [in_payments, to_payments, in_orders, to_orders, in_shop, to_shop, nginx, root];
    let trace = links.into_iter().fold(to_legacy.child(in_legacy), |below, above| size(above).child(below));
    assert_eq!(trace.size(), 10);
    scene.expect(&[trace]);
    let (requests, gzipped) = scene.receiver.requests();
    assert!(requests > 0 && gzipped <= requests);
}

#[test]
fn a_request_through_six_services_is_one_trace_over_grpc() {
    a_request_through_six_services_is_one_trace(Protocol::Grpc);
}

#[test]
fn a_request_through_six_services_is_one_trace_over_http() {
    a_request_through_six_services_is_one_trace(Protocol::Http);
}

#[test]
fn a_request_that_a_handler_makes_twice_has_two_calls_below_it() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    scene.trace();
    let url = shop.url("/twice/5");
    curl::get(&url, 200);
    let call = |path: &str| {
        let url = orders.url(path);
        client("shop", "GET", &url, 200).child(server("orders", "GET", &url, 200))
    };
    let handler = server("shop", "GET", &url, 200).child(call("/hop/5/1")).child(call("/hop/5/2"));
    scene.expect(&[client("curl", "GET", &url, 200).child(handler)]);
}
