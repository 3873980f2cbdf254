//! Calls whose caller does not wait for the answer: each end has a span of its own time, in one trace.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wirespan_tests::curl;
use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::http::{self, Deviation};
use wirespan_tests::raw::{self, Client};
use wirespan_tests::scene::{Scene, test_process};
use wirespan_tests::services::clients;
use wirespan_tests::services::databases::Database;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span, Status, Value};
use wirespan_tests::wait;

/// curl's exit status when its time is over.
const TIME_OUT: i32 = 28;

/// The mark of a request whose client left before it was answered.
fn left(span: Expected) -> Expected {
    span.with("wirespan.given_up", Want::Is(Value::Bool(true))).with("http.response.body.size", Want::Optional)
}

/// A call that curl gave up, with what the server made of it.
fn given_up(url: &str, server: Expected) -> Expected {
    http::client("curl", "GET", url, 200).unanswered("given_up").child(server)
}

fn of<'a>(spans: &'a [Span], service: &str, kind: Kind) -> &'a Span {
    spans.iter().find(|s| s.service() == service && s.kind == kind).expect("the trace is as it was expected")
}

/// Both ends of a call of `/slow/900` that curl gives up after 200 ms.
fn a_slow_answer_is_given_up(scene: &mut Scene, service: &str, port: u16) {
    scene.trace();
    slow_answer_given_up(scene, service, port);
}

fn slow_answer_given_up(scene: &mut Scene, service: &str, port: u16) {
    let url = format!("http://127.0.0.1:{port}/slow/900");
    let begun = Instant::now();
    let reply = curl::run(&["--max-time", "0.2", &url]);
    let waited = begun.elapsed().as_secs_f64() * 1e3;
    assert_eq!(reply.exit, TIME_OUT);
    scene.expect(&[given_up(&url, left(http::server(service, "GET", &url, 200)))]);
    let spans = scene.spans();
    let (caller, callee) = (of(&spans, "curl", Kind::Client), of(&spans, service, Kind::Server));
    assert!(caller.end < callee.end, "the caller did not wait for the answer");
    assert!(callee.millis() >= 899.0, "the server answered after {} ms", callee.millis());
    assert!(caller.millis() < waited, "the caller waited for {} of {waited} ms", caller.millis());
}

#[test]
fn pythons_http_server_answers_a_client_that_has_left() {
    let mut scene = Scene::new();
    let server = Python::patient(&scene);
    a_slow_answer_is_given_up(&mut scene, "patient", server.port);
}

#[test]
fn it_does_so_too_where_it_is_selected_by_its_port() {
    // The client's reset takes the port from the server's socket before the answer is seen.
    let mut scene = Scene::new();
    let server = Python::patient(&scene);
    scene.trace_with(&["--include", &format!("port:{}", server.port)]);
    slow_answer_given_up(&mut scene, "patient", server.port);
}

#[test]
fn gos_net_http_answers_a_client_that_has_left() {
    let mut scene = Scene::new();
    let (_program, port) = clients::serve(&scene, "patient_app.go");
    a_slow_answer_is_given_up(&mut scene, "patient_app", port);
}

/// The clock of spans and this one's may differ by so much, nanoseconds.
const CLOCKS: u64 = 1_000_000;

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is right");
    u64::try_from(now.as_nanos()).expect("a time that has a number")
}

#[test]
fn a_call_ends_when_its_program_lets_go_and_not_when_the_other_end_has_heard_of_it() {
    let mut scene = Scene::new();
    let server = Python::patient(&scene);
    scene.trace();
    let mut client = Client::to_port(server.port);
    let path = "/slow/1200";
    client.send(raw::request("GET", server.port, path));
    std::thread::sleep(Duration::from_millis(200));
    let before = now();
    drop(client);
    let after = now();
    let caller = test_process();
    let answered = left(http::server("patient", "GET", &server.url(path), 200));
    scene.expect(&[http::client(&caller, "GET", &server.url(path), 200).unanswered("given_up").child(answered)]);
    let end = of(&scene.spans(), &caller, Kind::Client).end;
    assert!((before - CLOCKS..=after + CLOCKS).contains(&end), "{end} is not between {before} and {after}");
}

/// A client of a database that leaves while its call is under way, and what both ends say of that call.
fn database_s_client_leaves(scene: &mut Scene, kind: &str, database: &Database, name: &str) -> [Span; 2] {
    scene.trace();
    let mut client = Python::start(scene, "leaver.py", &[kind, &database.port.to_string()]);
    client.wait(wait::PATIENCE).expect("it kills itself");
    let ends = |spans: &[Span]| spans.iter().filter(|span| span.name == name).count() == 2;
    scene.wait_for(ends);
    let spans = scene.finish(0);
    let find = |kind: Kind| spans.iter().find(|span| span.name == name && span.kind == kind).cloned();
    let both = [Kind::Client, Kind::Server].map(|kind| find(kind).unwrap_or_else(|| panic!("{kind:?}: {spans:#?}")));
    assert_eq!(both[1].parent, both[0].span_id, "they are one trace");
    both
}

#[test]
fn a_database_answers_a_client_that_has_left() {
    type Start = fn(&Scene) -> Database;
    for (kind, start) in [("postgres", Database::postgres as Start), ("mariadb", Database::mariadb)] {
        let mut scene = Scene::new();
        let database = start(&scene);
        let [caller, callee] = database_s_client_leaves(&mut scene, kind, &database, "SELECT");
        assert_eq!((caller.status, caller.text("error.type")), (Status::Error, Some("given_up")), "{caller:?}");
        assert!(caller.end < callee.end, "the caller did not wait for the answer");
        assert_eq!((callee.status, callee.text("error.type")), (Status::Unset, None), "{callee:?}");
        assert_eq!(callee.attributes.get("wirespan.given_up"), Some(&Value::Bool(true)), "{callee:?}");
        assert!(callee.millis() >= 1499.0, "{kind} answered after {} ms", callee.millis());
    }
}

#[test]
fn who_leaves_while_nothing_comes_has_lost_nothing() {
    let mut scene = Scene::new();
    let redis = Database::redis(&scene);
    for end in database_s_client_leaves(&mut scene, "redis", &redis, "BLPOP") {
        assert_eq!((end.status, end.text("error.type")), (Status::Unset, None), "{end:?}");
        assert!(!end.attributes.contains_key("wirespan.given_up"), "{end:?}");
    }
}

#[test]
fn a_request_on_a_connection_that_the_server_has_closed_keeps_its_method() {
    let mut scene = Scene::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    scene.owns_text("/kept/");
    scene.trace();
    let server = raw::serve(listener, 1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let mut client = Client::to_port(port);
    client.send(raw::request("GET", port, "/kept/1"));
    assert_eq!(client.response(), 200);
    server.join().expect("it answered");
    assert!(client.is_closed_by_peer());
    client.try_send(raw::request("GET", port, "/kept/2"));
    drop(client);
    let caller = test_process();
    let url = |n: u8| format!("http://127.0.0.1:{port}/kept/{n}");
    let answered = http::client(&caller, "GET", &url(1), 200).child(http::server(&caller, "GET", &url(1), 200));
    let stale = http::client(&caller, "GET", &url(2), 200).unanswered("connection_reset");
    scene.expect(&[answered, stale]);
}

/// nginx's span of a request that it passed to the slow server.
fn passed_on(front: &Nginx, path: &str, code: u16) -> Expected {
    http::server("nginx", "GET", &front.url(path), code)
}

#[test]
fn a_proxy_that_does_not_wait_for_its_backend_is_one_trace_with_it() {
    let mut scene = Scene::new();
    let back = Python::patient(&scene);
    let lines = format!("location / {{ proxy_pass http://127.0.0.1:{}; proxy_read_timeout 500ms; }}", back.port);
    let front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: &lines });
    scene.trace();
    let path = "/slow/2500";
    assert_eq!(curl::run(&[&front.url(path)]).code, 504);
    let behind = left(http::server("patient", "GET", &back.url(path), 200).version("1.0"));
    let asked = http::client("nginx", "GET", &back.url(path), 200).version("1.0").unanswered("given_up").lone();
    let asked = asked.child(behind);
    scene
        .expect(&[http::client("curl", "GET", &front.url(path), 504).child(passed_on(&front, path, 504).child(asked))]);
    let spans = scene.spans();
    let call = of(&spans, "nginx", Kind::Client).millis();
    assert!((499.0..2400.0).contains(&call), "nginx waited for {call} ms");
}

#[test]
fn a_proxy_whose_client_leaves_is_one_trace_with_its_backend() {
    let mut scene = Scene::new();
    let back = Python::patient(&scene);
    let front = Nginx::proxy(&scene, &format!("127.0.0.1:{}", back.port));
    scene.trace();
    let path = "/slow/2500";
    assert_eq!(curl::run(&["--max-time", "0.4", &front.url(path)]).exit, TIME_OUT);
    let behind = left(http::server("patient", "GET", &back.url(path), 200).version("1.0"));
    let asked = http::client("nginx", "GET", &back.url(path), 200).version("1.0").unanswered("given_up").lone();
    let between = left(passed_on(&front, path, 200)).without("http.response.status_code").child(asked.child(behind));
    scene.expect(&[given_up(&front.url(path), between)]);
}

#[test]
fn node_whose_client_leaves_is_one_trace_with_its_backend() {
    let mut scene = Scene::new();
    let back = Python::patient(&scene);
    let front = Node::orders(&scene, &back.url(""));
    scene.trace();
    let (path, hop) = ("/hop/2500/1", "/hop/2500/2");
    assert_eq!(curl::run(&["--max-time", "0.4", &front.url(path)]).exit, TIME_OUT);
    let asked = http::call("orders", "patient", &back.url(hop)).lone().no_user_agent();
    let between = left(http::server("orders", "GET", &front.url(path), 200)).without("http.response.status_code");
    scene.expect(&[given_up(&front.url(path), between.child(asked))]);
}

/// As `over_unix` of the tests of sockets: no ports, and the peer is a path.
fn over_unix(span: Expected) -> Expected {
    let ports = ["server.port", "network.peer.port", "network.peer.address", "client.address"];
    ports.into_iter().fold(span, Expected::without).with("network.transport", "unix")
}

#[test]
fn a_call_on_a_unix_socket_is_given_up_when_its_program_lets_go() {
    let mut scene = Scene::new();
    let socket = scene.dir().join("patient.sock");
    let _server = Python::patient_at(&scene, &socket);
    scene.owns_text("/slow/1500");
    scene.trace();
    let url = "http://localhost/slow/1500";
    let reply = curl::run(&["--unix-socket", &socket.display().to_string(), "--max-time", "0.3", url]);
    assert_eq!(reply.exit, TIME_OUT);
    // What it writes reaches nobody any more: there is no answer to speak of.
    let answered = over_unix(left(http::server("patient", "GET", url, 200))).without("http.response.status_code");
    scene.expect(&[over_unix(http::client("curl", "GET", url, 200)).unanswered("given_up").child(answered)]);
    let spans = scene.spans();
    let waited = of(&spans, "curl", Kind::Client).millis();
    assert!((150.0..1400.0).contains(&waited), "curl waited for {waited} ms");
    assert!(of(&spans, "patient", Kind::Server).millis() >= 1499.0);
}

/// Both ends of an event stream that curl reads for a while.
fn a_reader_of_events_leaves(scene: &mut Scene, service: &str, port: u16) {
    scene.trace();
    let url = format!("http://127.0.0.1:{port}/events");
    let reply = curl::run(&["--no-buffer", "--max-time", "0.4", &url]);
    assert_eq!((reply.exit, reply.code), (TIME_OUT, 200));
    // Go ends the stream in order once its reader has left.
    let served = http::server(service, "GET", &url, 200).with("wirespan.given_up", Want::Optional);
    scene.expect(&[http::client("curl", "GET", &url, 200).child(served)]);
    assert!(of(&scene.spans(), "curl", Kind::Client).millis() > 150.0, "the stream lasted until its reader left");
}

#[test]
fn a_reader_who_leaves_pythons_event_stream_is_no_error() {
    let mut scene = Scene::new();
    let server = Python::patient(&scene);
    a_reader_of_events_leaves(&mut scene, "patient", server.port);
}

#[test]
fn a_reader_who_leaves_gos_event_stream_is_no_error() {
    let mut scene = Scene::new();
    let (_program, port) = clients::serve(&scene, "patient_app.go");
    a_reader_of_events_leaves(&mut scene, "patient_app", port);
}

#[test]
fn a_reader_who_leaves_events_behind_a_proxy_is_no_error_at_any_of_four_ends() {
    let mut scene = Scene::new();
    let back = Python::patient(&scene);
    let lines = format!("location / {{ proxy_pass http://127.0.0.1:{}; proxy_buffering off; }}", back.port);
    let front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: &lines });
    scene.trace();
    let reply = curl::run(&["--no-buffer", "--max-time", "0.6", &front.url("/events")]);
    assert_eq!((reply.exit, reply.code), (TIME_OUT, 200));
    let spans = scene.finish(4);
    assert_eq!(spans.len(), 4, "{spans:?}");
    for span in &spans {
        assert_eq!((span.trace_id.as_str(), span.name.as_str()), (spans[0].trace_id.as_str(), "GET /events"));
        assert_eq!((span.status, span.text("error.type")), (Status::Unset, None), "{span:?}");
    }
}

#[test]
fn echo_answers_a_client_that_has_left() {
    let mut scene = Scene::new();
    let (_program, port) = clients::serve(&scene, "echo_app.go");
    a_slow_answer_is_given_up(&mut scene, "echo_app", port);
}
