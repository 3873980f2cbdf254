//! The many ways in which a program moves the same bytes.

use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http::{self, Deviation, call, client, server};
use wirespan_tests::raw::{Client, request};
use wirespan_tests::scene::{Scene, test_process};
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;

/// nginx that answers every request by itself.
fn answering(scene: &Scene) -> Nginx {
    let lines = "client_header_buffer_size 32k; large_client_header_buffers 4 64k; location / { return 200 'yes'; }";
    Nginx::start(scene, &Settings { workers: 1, http: "", server: lines })
}

/// A request that the test itself wrote, and nginx answered.
fn raw(url: &str) -> Expected {
    client(&test_process(), "GET", url, 200).child(server("nginx", "GET", url, 200)).user_agent("raw")
}

#[test]
fn a_request_of_many_vectors_is_one_exchange() {
    let mut scene = Scene::new();
    let front = answering(&scene);
    scene.trace();
    let mut connection = Client::to_port(front.port);
    let head = request("GET", front.port, "/vectors");
    connection.send_vectored(head.split_inclusive('\n').map(str::as_bytes));
    assert_eq!(connection.response(), 200);
    connection.send(request("GET", front.port, "/afterwards"));
    assert_eq!(connection.response(), 200);
    scene.expect(&[raw(&front.url("/vectors")), raw(&front.url("/afterwards"))]);
}

/// Node gathers what a handler writes in one turn of its loop into one `writev`: three vectors for each piece.
#[test]
fn a_response_of_many_writes_is_one_exchange() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let urls = [faults.url("/pieces/3"), faults.url("/pieces/50"), faults.url("/afterwards")];
    assert_eq!(curl::run(&[&urls[0], &urls[1], &urls[2]]).exit, 0);
    // How long the chunks are is beyond what is captured of so many vectors.
    let traces: Vec<Expected> = urls.iter().map(|url| http::curl("faults", "GET", url, 200)).collect();
    scene.expect(&traces);
}

#[test]
fn a_response_that_is_looked_at_before_it_is_read_is_one_exchange() {
    let mut scene = Scene::new();
    let front = answering(&scene);
    scene.trace();
    let mut connection = Client::to_port(front.port);
    for path in ["/first", "/second"] {
        connection.send(request("GET", front.port, path));
        connection.peek();
        connection.peek();
        assert_eq!(connection.response(), 200);
    }
    scene.expect(&[raw(&front.url("/first")), raw(&front.url("/second"))]);
}

#[test]
fn a_response_read_into_many_vectors_is_one_exchange() {
    let mut scene = Scene::new();
    let front = answering(&scene);
    scene.trace();
    let mut connection = Client::to_port(front.port);
    for path in ["/first", "/second"] {
        connection.send(request("GET", front.port, path));
        connection.read_vectored(40);
        assert_eq!(connection.response(), 200);
    }
    scene.expect(&[raw(&front.url("/first")), raw(&front.url("/second"))]);
}

/// Cookies and tokens make heads larger than what is captured of one operation.
#[test]
fn heads_beyond_the_capture_lose_no_exchange() {
    let mut scene = Scene::new();
    let front = answering(&scene);
    scene.trace();
    let cookie = format!("Cookie: session={}", "c".repeat(7000));
    let urls: Vec<String> = (0..3).map(|n| front.url(&format!("/large/{n}"))).collect();
    let mut arguments = vec!["-H", &cookie];
    arguments.extend(urls.iter().map(String::as_str));
    assert_eq!(curl::run(&arguments).exit, 0);
    let traces: Vec<Expected> = urls.iter().map(|url| http::curl("nginx", "GET", url, 200)).collect();
    scene.expect(&traces);
}

#[test]
fn a_connection_passed_to_another_process_belongs_to_who_answers() {
    let mut scene = Scene::new();
    let passer = Python::passer(&scene);
    scene.trace();
    let url = passer.url("/passed");
    curl::get(&url, 200);
    scene.expect(&[http::curl("passer", "GET", &url, 200).bodies(None, Some(7))]);
    let spans = scene.spans();
    let answered_by =
        spans.iter().find(|span| span.service() == "passer").map(|span| span.resource["process.pid"].clone());
    let acceptor = wirespan_tests::span::Value::Int(passer.program.pid().into());
    assert_ne!(answered_by, Some(acceptor), "the process that accepted did not answer");
}

#[test]
fn a_redirect_that_is_followed_is_two_requests() {
    let mut scene = Scene::new();
    let lines = "location /from { return 302 /to; } location /to { return 200 'yes'; }";
    let front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: lines });
    scene.trace();
    assert_eq!(curl::run(&["-L", &front.url("/from")]).code, 200);
    let (from, to) = (front.url("/from"), front.url("/to"));
    scene.expect(&[http::curl("nginx", "GET", &from, 302), http::curl("nginx", "GET", &to, 200)]);
}

#[test]
fn a_service_that_calls_itself_is_below_itself() {
    let mut scene = Scene::new();
    let shop = Gunicorn::start_at(&scene, Worker::Threads(4), |port| format!("http://127.0.0.1:{port}"));
    scene.trace();
    let outer = shop.url("/itself");
    curl::get(&outer, 200);
    let below = call("shop", "shop", &shop.url("/plain"));
    scene.expect(&[client("curl", "GET", &outer, 200).child(server("shop", "GET", &outer, 200).child(below))]);
}

#[test]
fn a_shell_between_a_handler_and_its_call_changes_nothing() {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let shop = Gunicorn::start(&scene, Worker::Sync, &orders.url(""));
    scene.trace();
    let url = shop.url("/shell/5");
    curl::get(&url, 200);
    let below = call("curl", "orders", &orders.url("/hop/5/1"));
    scene.expect(&[client("curl", "GET", &url, 200).child(server("shop", "GET", &url, 200).child(below))]);
}
