//! gRPC: Python's grpcio, client and server.

use std::process::Command;

use wirespan_tests::expect::Expected;
use wirespan_tests::grpc::Call;
use wirespan_tests::program::Program;
use wirespan_tests::python;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::Kind;
use wirespan_tests::wait;

/// A call with both its ends.
fn call(port: u16, method: &str, code: &str, messages: Option<(i64, i64)>) -> Expected {
    let method = &format!("shop.v1.Stock/{method}");
    Call { between: ("stock_client", "stock"), port, method, code, messages }.joined()
}

#[test]
fn calls_of_every_kind_are_joined() {
    for asynchronous in [false, true] {
        let mut scene = Scene::new();
        let stock = if asynchronous { Python::stock_async(&scene) } else { Python::stock(&scene) };
        scene.trace();
        let port = stock.port;
        Python::run(&scene, "stock_client.py", &[&port.to_string(), "one", "missing", "one"]);
        let mut expected = vec![
            call(port, "One", "OK", Some((1, 1))),
            call(port, "One", "NOT_FOUND", Some((1, 0))),
            call(port, "One", "OK", Some((1, 1))),
        ];
        if !asynchronous {
            Python::run(&scene, "stock_client.py", &[&port.to_string(), "many", "gather", "talk"]);
            expected.push(call(port, "Many", "OK", Some((1, 5))));
            expected.push(call(port, "Gather", "OK", Some((3, 1))));
            expected.push(call(port, "Talk", "OK", Some((2, 2))));
        }
        scene.expect(&expected);
    }
}

#[test]
fn a_deadline_and_a_cancellation_are_told_apart() {
    let mut scene = Scene::new();
    let stock = Python::stock(&scene);
    scene.trace();
    Python::run(&scene, "stock_client.py", &[&stock.port.to_string(), "slow", "cancelled"]);
    let slow = call(stock.port, "One", "DEADLINE_EXCEEDED", None);
    scene.expect(&[slow, call(stock.port, "Talk", "CANCELLED", None)]);
}

#[test]
fn calls_of_many_threads_on_one_connection_are_pairs() {
    let mut scene = Scene::new();
    let stock = Python::stock(&scene);
    scene.trace();
    Python::run(&scene, "stock_client.py", &[&stock.port.to_string(), "threads"]);
    let expected: Vec<Expected> = (0..800).map(|_| call(stock.port, "One", "OK", Some((1, 1)))).collect();
    scene.expect(&expected);
}

#[test]
fn a_connection_older_than_the_agent_is_joined_and_its_names_come_back() {
    let mut scene = Scene::new();
    let stock = Python::stock(&scene);
    let mut command = Command::new(python::bin("python"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/services/stock_client.py");
    command.current_dir(scene.dir()).arg(script).arg(stock.port.to_string());
    command.args(["one", "wait", "one", "one", "one", "many"]);
    let mut client = Program::start("stock_client", scene.dir(), &mut command);
    assert!(wait::until_true(std::time::Duration::from_secs(10), || client.log().contains("waiting")));
    scene.trace();
    std::fs::write(scene.dir().join("go"), "").expect("a sign");
    assert!(client.wait(std::time::Duration::from_secs(20)).is_some_and(|s| s.success()), "{}", client.log());
    let spans = scene.finish(8);
    // What stands in tables that were filled before is not known; a name that is new is, and nothing is wrong.
    let names: Vec<&str> = spans.iter().map(|s| s.name.as_str()).collect();
    // (That it is a call may stand only there as well: then the path is all that names it.)
    let sound = |name: &&str| ["grpc", "POST", "shop.v1.Stock/Many", "POST /shop.v1.Stock/Many"].contains(name);
    assert!(names.iter().all(sound), "{names:?}");
    assert_eq!(names.iter().filter(|n| n.ends_with("shop.v1.Stock/Many")).count(), 2, "{names:?}");
    for client in spans.iter().filter(|s| s.kind == Kind::Client) {
        assert!(spans.iter().any(|s| s.parent == client.span_id && s.kind == Kind::Server), "{client:?}");
    }
}
