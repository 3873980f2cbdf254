//! Address families: IPv6, IPv4 on an IPv6 socket, Unix.

use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http::{self, Deviation, client, server};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::nginx::Nginx;
use wirespan_tests::services::node::Node;

#[test]
fn ipv6_is_seen_at_both_ends() {
    let mut scene = Scene::new();
    let faults = Node::faults_on(&scene, "::1");
    scene.trace();
    let url = format!("http://[::1]:{}/six", faults.port);
    curl::get(&url, 200);
    scene.expect(&[http::curl("faults", "GET", &url, 200)]);
}

#[test]
fn ipv4_on_an_ipv6_socket_joins_and_shows_ipv4_addresses() {
    let mut scene = Scene::new();
    let faults = Node::faults_on(&scene, "::");
    scene.trace();
    let url = faults.url("/mapped");
    curl::get(&url, 200);
    scene.expect(&[http::curl("faults", "GET", &url, 200)]);
}

#[test]
fn a_name_in_the_url_is_the_server_address() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let url = format!("http://localhost:{}/named", faults.port);
    let reply = curl::run(&["-4", &url]);
    assert_eq!(reply.code, 200);
    let at = |span: Expected| span.with("network.peer.address", "127.0.0.1");
    let callee = at(server("faults", "GET", &url, 200)).with("client.address", "127.0.0.1");
    scene.expect(&[at(client("curl", "GET", &url, 200)).child(callee)]);
}

/// A span of an exchange over a Unix socket: no ports, and the peer is a path.
fn over_unix(span: Expected) -> Expected {
    let ports = ["server.port", "network.peer.port", "network.peer.address", "client.address"];
    ports.into_iter().fold(span, Expected::without).with("network.transport", "unix")
}

#[test]
fn a_unix_socket_joins_client_and_server() {
    let mut scene = Scene::new();
    let (_shop, socket) = Gunicorn::at_unix_socket(&scene, Worker::Threads(2));
    scene.owns_text("/plain");
    scene.trace();
    let url = "http://localhost/plain";
    for _ in 0..2 {
        assert_eq!(curl::run(&["--unix-socket", &socket.display().to_string(), url]).code, 200);
    }
    let pair = || over_unix(client("curl", "GET", url, 200)).child(over_unix(server("shop", "GET", url, 200)));
    scene.expect(&[pair(), pair()]);
}

#[test]
fn nginx_before_a_unix_socket_is_one_trace() {
    let mut scene = Scene::new();
    let (_shop, socket) = Gunicorn::at_unix_socket(&scene, Worker::Sync);
    let front = Nginx::proxy(&scene, &format!("unix:{}:", socket.display()));
    scene.trace();
    let (outer, inner) = (front.url("/plain"), "http://localhost/plain");
    curl::get(&outer, 200);
    let old = |span: Expected| over_unix(span).with("network.protocol.version", "1.0");
    let below = old(client("nginx", "GET", inner, 200)).lone().child(old(server("shop", "GET", inner, 200)));
    scene.expect(&[client("curl", "GET", &outer, 200).child(server("nginx", "GET", &outer, 200).child(below))]);
}

/// As a published port leads to a container: the two ends name the connection differently, and agree on the positions.
#[test]
fn behind_a_translated_address_client_and_server_join() {
    let mut scene = Scene::new();
    let faults = Node::faults_behind_translation(&scene);
    scene.trace();
    let traces: Vec<Expected> = ["/one", "/two"]
        .iter()
        .map(|path| {
            let url = faults.url(path);
            assert_eq!(curl::run_in(faults.curl(), &[&url]).code, 200);
            http::curl("faults", "GET", &url, 200)
        })
        .collect();
    scene.expect(&traces);
}
