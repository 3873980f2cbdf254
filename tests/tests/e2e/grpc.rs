//! gRPC: Python's grpcio, client and server.

use rustix::process::Signal;
use wirespan_tests::expect::Expected;
use wirespan_tests::grpc::Call;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span, Status};
use wirespan_tests::{trace, wait};

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
    let spans = scene.finish(4);
    // What the server sees first is chance: that its own clock says so, or that the client has left.
    let is_one = |span: &&Span| span.kind == Kind::Server && span.name.ends_with("/One");
    let left = spans.iter().filter(is_one).any(|s| s.text("rpc.response.status_code") == Some("CANCELLED"));
    let one = |code| Call {
        between: ("stock_client", "stock"),
        port: stock.port,
        method: "shop.v1.Stock/One",
        code,
        messages: None,
    };
    let slow =
        one("DEADLINE_EXCEEDED").client().child(one(if left { "CANCELLED" } else { "DEADLINE_EXCEEDED" }).server());
    // A message of the stream had come: its reader left, which is no error.
    let mut read = call(stock.port, "Talk", "CANCELLED", None).without("error.type");
    read.status = Status::Unset;
    trace::assert_traces(&[slow, read], &spans);
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
fn calls_of_an_asyncio_client_are_joined() {
    for asynchronous in [false, true] {
        let mut scene = Scene::new();
        let stock = if asynchronous { Python::stock_async(&scene) } else { Python::stock(&scene) };
        scene.trace();
        let port = stock.port;
        let call_all = |calls: &[&str]| {
            let port = port.to_string();
            Python::run_with(&scene, "stock_client.py", &[&[&port[..]], calls].concat(), &[("ASYNC", "1")]);
        };
        call_all(&["one", "missing", "crowd"]);
        let mut expected: Vec<Expected> = (0..301).map(|_| call(port, "One", "OK", Some((1, 1)))).collect();
        expected.push(call(port, "One", "NOT_FOUND", Some((1, 0))));
        if !asynchronous {
            call_all(&["many", "gather", "talk"]);
            expected.push(call(port, "Many", "OK", Some((1, 5))));
            expected.push(call(port, "Gather", "OK", Some((3, 1))));
            expected.push(call(port, "Talk", "OK", Some((2, 2))));
        }
        scene.expect(&expected);
    }
}

/// The context is a literal at first, then by HPACK's table.
#[test]
fn a_call_s_context_names_trace_and_parent() {
    let mut scene = Scene::new();
    let (stock, node) = (Python::stock(&scene), Node::stock(&scene));
    scene.trace();
    Python::run(&scene, "stock_client.py", &[&stock.port.to_string(), "stamped"]);
    // Node and curl write it in Huffman's code.
    Node::call_stock(&scene, node.port, &["stamped"]);
    let stamped = |between, port| {
        [0xa1, 0xa1, 0xb2].map(|trace: u32| {
            let call = Call { between, port, method: "shop.v1.Stock/One", code: "OK", messages: Some((1, 1)) };
            call.joined().below(&format!("{trace:032x}"), &format!("{:016x}", trace + 1))
        })
    };
    let of_python = stamped(("stock_client", "stock"), stock.port);
    let of_node = stamped(("stock", "stock"), node.port);
    scene.expect(&[of_python, of_node].concat());
}

/// A stream that has not ended is shown, and put out when it has.
#[test]
fn a_stream_is_seen_while_it_is_under_way() {
    let mut scene = Scene::new();
    let stock = Python::stock(&scene);
    scene.trace_with(&["--stats"]);
    let mut client = Python::start(&scene, "stock_client.py", &[&stock.port.to_string(), "watch"]);
    let ends = ["stock_client ‹client›", "stock ‹server›"].map(|end| format!("{end} "));
    let both =
        |log: &str| ends.iter().all(|end| log.lines().any(|l| l.contains(end) && l.contains("shop.v1.Stock/Talk")));
    // Once it has been under way for five seconds.
    let shown = wait::until_true(wait::PATIENCE, || {
        scene.agent().signal(Signal::USR1);
        both(&scene.agent().log())
    });
    assert!(shown, "{}", scene.agent().log());
    assert!(scene.spans().is_empty(), "it has not ended: {:?}", scene.spans());
    std::fs::write(scene.dir().join("end"), "").expect("a sign");
    assert!(client.wait(wait::PATIENCE).is_some_and(|s| s.success()), "{}", client.log());
    scene.wait_for_count(2);
    // (What else goes on on this machine may be in the table.)
    let over = wait::until_true(wait::PATIENCE, || {
        scene.agent().signal(Signal::USR1);
        let log = scene.agent().log();
        let last = log.rsplit("wirespan: ").find(|text| text.contains("been under way for more than"));
        last.is_some_and(|table| !table.contains("shop.v1.Stock/Talk"))
    });
    assert!(over, "{}", scene.agent().log());
    scene.expect(&[call(stock.port, "Talk", "OK", None)]);
}
