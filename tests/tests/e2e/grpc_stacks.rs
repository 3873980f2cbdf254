//! gRPC between programs of several makes: whole traces.

use std::process::Command;

use wirespan_tests::expect::Expected;
use wirespan_tests::grpc::Call;
use wirespan_tests::http::Deviation;
use wirespan_tests::program::Program;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::java::Java;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;

/// nginx in front of Python, `grpc_pass`: four spans of each call, while nothing else is under way.
#[test]
fn calls_through_nginx_are_one_trace() {
    let mut scene = Scene::new();
    let stock = Python::stock(&scene);
    let port = scene.port();
    let server = format!("listen 127.0.0.1:{port} http2; location / {{ grpc_pass grpc://127.0.0.1:{}; }}", stock.port);
    let _front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: &server });
    scene.trace();
    Python::run(&scene, "stock_client.py", &[&port.to_string(), "one", "missing", "many", "gather", "talk"]);
    let passed = |method: &str, code: &str, messages: (i64, i64)| -> Expected {
        let method = &format!("shop.v1.Stock/{method}");
        let outer = Call { between: ("stock_client", "nginx"), port, method, code, messages: Some(messages) };
        let inner = Call { between: ("nginx", "stock"), port: stock.port, ..outer };
        outer.client().child(outer.server().child(inner.joined().lone()))
    };
    scene.expect(&[
        passed("One", "OK", (1, 1)),
        passed("One", "NOT_FOUND", (1, 0)),
        passed("Many", "OK", (1, 5)),
        passed("Gather", "OK", (3, 1)),
        passed("Talk", "OK", (2, 2)),
    ]);
}

/// Every kind of call between two programs, and a crowd of `One` of which a hundred are under way at once.
fn kinds(between: (&str, &str), port: u16, crowd: usize) -> Vec<Expected> {
    let call = |method: &str, code: &str, messages: (i64, i64)| {
        let method = &format!("shop.v1.Stock/{method}");
        Call { between, port, method, code, messages: Some(messages) }.joined()
    };
    let mut all = vec![
        call("One", "OK", (1, 1)),
        call("One", "NOT_FOUND", (1, 0)),
        call("Many", "OK", (1, 5)),
        call("Gather", "OK", (3, 1)),
        call("Talk", "OK", (2, 2)),
    ];
    all.extend((0..crowd).map(|_| call("One", "OK", (1, 1))));
    all
}

#[test]
fn calls_between_programs_of_tonic_are_joined() {
    let mut scene = Scene::new();
    let port = scene.port();
    let tonic = || Command::new(env!("CARGO_BIN_EXE_stock_tonic"));
    let mut serve = tonic();
    serve.args(["serve", &port.to_string()]);
    let _server = Program::start("stock_tonic", scene.dir(), &mut serve).listens_on(port);
    scene.trace();
    let calls = ["one", "missing", "many", "gather", "talk", "crowd"];
    let status = tonic().args(["call", &port.to_string()]).args(calls).status().expect("it was built");
    assert!(status.success(), "{status}");
    scene.expect(&kinds(("stock_tonic", "stock_tonic"), port, 300));
}

#[test]
fn calls_between_programs_of_node_are_joined() {
    let mut scene = Scene::new();
    let stock = Node::stock(&scene);
    scene.trace();
    Node::call_stock(&scene, stock.port, &["one", "missing", "many", "gather", "talk", "crowd"]);
    scene.expect(&kinds(("stock", "stock"), stock.port, 300));
}

#[test]
fn calls_between_programs_of_grpc_java_are_joined() {
    let mut scene = Scene::new();
    let stock = Java::stock(&scene);
    scene.trace();
    Java::call_stock(&scene, stock.port, &["one", "missing", "many", "gather", "talk", "crowd"]);
    scene.expect(&kinds(("Stock", "Stock"), stock.port, 300));
}

/// As a browser does it: grpc-web in Node, tonic behind its own layer, HTTP/1.1 between them.
#[test]
fn calls_by_grpc_web_are_calls() {
    let mut scene = Scene::new();
    let port = scene.port();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_stock_tonic"));
    let _tonic = Program::start("tonic", scene.dir(), serve.args(["web", &port.to_string()])).listens_on(port);
    scene.trace();
    Node::call_stock_web(&scene, port, &["one", "missing", "one"]);
    let call = |code: &str, messages: (i64, i64)| {
        let between = ("stock_web", "stock_tonic");
        Call { between, port, method: "shop.v1.Stock/One", code, messages: Some(messages) }.joined().version("1.1")
    };
    scene.expect(&[call("OK", (1, 1)), call("NOT_FOUND", (1, 0)), call("OK", (1, 1))]);
}

/// Three makes: Node calls Python, Python calls tonic.
#[test]
fn a_caller_and_a_callee_of_different_makes_are_joined() {
    let mut scene = Scene::new();
    let python = Python::stock(&scene);
    let port = scene.port();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_stock_tonic"));
    let _tonic = Program::start("tonic", scene.dir(), serve.args(["serve", &port.to_string()])).listens_on(port);
    scene.trace();
    Node::call_stock(&scene, python.port, &["one", "missing", "many", "gather", "talk"]);
    Python::run(&scene, "stock_client.py", &[&port.to_string(), "one", "missing", "many", "gather", "talk"]);
    let mut expected = kinds(("stock", "stock"), python.port, 0);
    expected.extend(kinds(("stock_client", "stock_tonic"), port, 0));
    scene.expect(&expected);
}
