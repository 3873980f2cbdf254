//! Every kind of request and answer that HTTP/1.1 knows, between real programs.

use wirespan_tests::curl;
use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::http::{self, Deviation, client, server};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;

/// How the standard library's server is called: the module that `python -m` runs.
const HTTP_SERVER: &str = "http.server";

#[test]
fn a_single_curl_is_a_client_span_with_the_server_below() {
    let mut scene = Scene::new();
    let files = Python::http_server(&scene);
    scene.trace();
    let (found, missing) = (files.url("/hello.txt"), files.url("/missing?token=secret&page=2"));
    curl::get(&found, 200);
    curl::get(&missing, 404);
    // Values in a query may be secrets.
    let redacted = files.url("/missing?token=REDACTED&page=REDACTED");
    scene.expect(&[
        http::curl(HTTP_SERVER, "GET", &found, 200).bodies(None, Some(6)),
        http::curl(HTTP_SERVER, "GET", &redacted, 404).bodies(None, Some(335)),
    ]);
}

#[test]
fn a_status_is_an_error_for_whom_the_conventions_say() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let codes = [200, 204, 301, 304, 400, 404, 429, 500, 503];
    let traces: Vec<Expected> = codes
        .iter()
        .map(|&code| {
            let url = faults.url(&format!("/status/{code}/x"));
            curl::get(&url, code);
            http::curl("faults", "GET", &url, code)
        })
        .collect();
    scene.expect(&traces);
}

#[test]
fn an_exception_in_a_handler_is_an_error_at_both_ends() {
    let mut scene = Scene::new();
    let shop = Gunicorn::start(&scene, Worker::Sync, "");
    scene.trace();
    let url = shop.url("/fail");
    curl::get(&url, 500);
    scene.expect(&[http::curl("shop", "GET", &url, 500)]);
}

#[test]
fn methods_and_bodies_of_every_framing_are_one_exchange_each() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let upload = scene.dir().join("upload");
    std::fs::write(&upload, vec![b'x'; 300_000]).expect("a file to send");
    let upload = format!("@{}", upload.display());
    let url = faults.url("/upload");
    let mut traces = Vec::new();
    let mut ask = |method: &str, url: &str, arguments: &[&str], bodies: (i64, i64)| {
        let reply = curl::run(&[&["-X", method, url], arguments].concat());
        assert_eq!((reply.exit, reply.code), (0, 200), "{method} {url} {arguments:?}");
        let stated = |size: i64| (size > 0).then_some(size);
        traces.push(http::curl("faults", method, url, 200).bodies(stated(bodies.0), stated(bodies.1)));
    };
    // "ok\n", or the number of bytes received.
    ask("HEAD", &faults.url("/head"), &["-I"], (0, 0));
    ask("PUT", &url, &["--data-binary", &upload], (300_000, 7));
    ask("POST", &url, &["--data-binary", &upload, "-H", "Expect: 100-continue"], (300_000, 7));
    let chunked = ["--data-binary", &upload, "-H", "Transfer-Encoding: chunked", "-H", "Expect:"];
    ask("PATCH", &url, &chunked, (300_000, 7));
    ask("DELETE", &faults.url("/thing"), &[], (0, 3));
    ask("OPTIONS", &faults.url("/thing"), &[], (0, 3));
    ask("GET", &faults.url("/chunked"), &[], (0, 14));
    ask("GET", &faults.url("/size/3000000"), &["-o", "/dev/null"], (0, 3_000_000));
    // No length is stated to a client of HTTP/1.0, and none is made up.
    ask("GET", &faults.url("/old"), &["--http1.0"], (0, 0));
    // Node reads large pieces, in which chunk sizes are beyond what is captured.
    let patch = &mut traces[3].children[0];
    *patch = patch.clone().with("http.request.body.size", Want::Optional);
    let old = traces.pop().expect("the last one").version("1.0");
    traces.push(old);
    scene.expect(&traces);
}

#[test]
fn a_connection_that_ends_before_the_response_is_an_error_with_a_type() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let (reset, closed, truncated) = (faults.url("/reset"), faults.url("/close"), faults.url("/truncated"));
    for url in [&reset, &closed, &truncated] {
        assert_ne!(curl::run(&[url]).exit, 0, "{url} must fail");
    }
    let pair = |url: &str, at_client: &str, at_server: &str| {
        let callee = server("faults", "GET", url, 200).unanswered(at_server);
        client("curl", "GET", url, 200).unanswered(at_client).child(callee)
    };
    let cut = client("curl", "GET", &truncated, 200).failed("connection_closed");
    scene.expect(&[
        // Who resets has closed.
        pair(&reset, "connection_reset", "connection_closed"),
        pair(&closed, "connection_closed", "connection_closed"),
        cut.child(server("faults", "GET", &truncated, 200).failed("connection_closed")),
    ]);
}

#[test]
fn an_early_response_ends_the_exchange_before_the_upload() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let upload = scene.dir().join("upload");
    std::fs::write(&upload, vec![b'x'; 4_000_000]).expect("a file to send");
    let url = faults.url("/early");
    let reply = curl::run(&["--data-binary", &format!("@{}", upload.display()), &url]);
    assert_eq!(reply.code, 413);
    scene.expect(&[http::curl("faults", "POST", &url, 413)]);
}

#[test]
fn an_upgrade_ends_with_101_and_what_follows_is_not_http() {
    let mut scene = Scene::new();
    let chat = Python::chat(&scene);
    scene.trace();
    let url = chat.url("/chat");
    Python::run(&scene, "chat_client.py", &[&url.replace("http:", "ws:")]);
    scene.expect(&[client("chat_client", "GET", &url, 101).child(server("chat", "GET", &url, 101))]);
}

/// What passes through the tunnel is HTTP again at each of its four ends. The proxy opened its connection for CONNECT,
/// before it read what it passes on: nothing proves that the one is made for the other.
#[test]
fn connect_opens_a_tunnel_through_which_requests_are_seen() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let proxy = Python::proxy(&scene);
    scene.trace();
    let (through, url) = (format!("http://127.0.0.1:{}", proxy.port), faults.url("/tunnelled"));
    let reply = curl::run(&["--noproxy", "", "-p", "-x", &through, &url]);
    assert_eq!((reply.exit, reply.code), (0, 200));

    // A tunnel has an address and no URL.
    let tunnel = |span: Expected| {
        let gone = ["url.full", "url.path", "url.template", "http.route"];
        gone.into_iter().fold(span.named("CONNECT"), Expected::without)
    };
    let opening = tunnel(client("curl", "CONNECT", &faults.url(""), 200)).with("network.peer.port", proxy.port);
    let opened = tunnel(server("proxy", "CONNECT", &faults.url(""), 200));
    let in_tunnel = client("curl", "GET", &url, 200).with("network.peer.port", proxy.port);
    let at_proxy = server("proxy", "GET", &url, 200);
    scene.expect(&[opening.child(opened), in_tunnel.child(at_proxy), http::call("proxy", "faults", &url)]);
}
