//! gRPC on connections that are older than the agent.

use std::any::Any;

use wirespan_tests::program::Program;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::services::java::Java;
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span, Status, Value};
use wirespan_tests::{trace, wait};

use crate::left::etcd;

const SAID: &str = "rpc.response.status_code";
const UNKNOWN: &str = "wirespan.unknown";
/// What a client has called before the agent starts.
const BEFORE: [&str; 3] = ["one", "missing", "wait"];
/// What it calls after.
const AFTER: [&str; 6] = ["one", "missing", "one", "missing", "one", "many"];
/// What it calls then, and lets go of.
const LET_GO: [&str; 2] = ["given_up", "slow"];

/// What both ends of all calls say of them, in the order in which they began.
fn pairs(spans: &[Span]) -> Vec<(&Span, &Span)> {
    let mut callers: Vec<&Span> = spans.iter().filter(|span| span.kind == Kind::Client).collect();
    callers.sort_by_key(|span| span.start);
    let callee = |caller: &Span| spans.iter().find(|s| s.kind == Kind::Server && s.parent == caller.span_id);
    callers.into_iter().map(|caller| (caller, callee(caller).expect("its other end"))).collect()
}

/// Starts the agent between what a client calls before and after.
fn join(scene: &mut Scene, client: &mut Program, spans: usize) -> Vec<Span> {
    assert!(wait::until_true(wait::PATIENCE, || client.log().contains("waiting")), "{}", client.log());
    scene.trace();
    std::fs::write(scene.dir().join("go"), "").expect("a sign");
    assert!(client.wait(wait::PATIENCE).is_some_and(|status| status.success()), "{}", client.log());
    scene.finish(spans)
}

/// A call is called so at both ends, what is not known is named, and nothing that failed looks as if it had not.
fn assert_said((caller, callee): (&Span, &Span)) {
    for end in [caller, callee] {
        assert_eq!(end.text("rpc.system.name"), Some("grpc"), "{}", trace::line(end));
        assert!(!end.attributes.contains_key("http.response.status_code"), "{}", trace::line(end));
    }
    assert_eq!(caller.name, callee.name);
    assert_eq!(caller.text(SAID), callee.text(SAID), "the two ends of a call contradict each other");
    assert_eq!(caller.attributes.get(UNKNOWN), callee.attributes.get(UNKNOWN));
    let code = caller.text(SAID);
    let listed = format!("{:?}", caller.attributes.get(UNKNOWN)).contains(SAID);
    assert!(code.is_some() != listed, "{caller:?}");
    // A call without an answer failed, whatever it is called.
    let answered = caller.attributes.get("wirespan.rpc.response.messages") != Some(&Value::Int(0));
    assert!(answered || code != Some("OK"), "{caller:?}");
    assert!(!answered || code != Some("NOT_FOUND"), "{caller:?}");
}

/// Both ends say that a call was let go of by its client.
fn assert_let_go((caller, callee): (&Span, &Span), codes: &[&str]) {
    for end in [caller, callee] {
        assert!(end.text(SAID).is_some_and(|code| codes.contains(&code)), "{}", trace::line(end));
    }
    assert_eq!(caller.status, Status::Error, "{caller:?}");
}

fn joined_late(let_go: &[&str], start: impl Fn(&Scene, &[&str]) -> (Box<dyn Any>, Program)) {
    let mut scene = Scene::new();
    let (_server, mut client) = start(&scene, &[&BEFORE[..], &AFTER, let_go].concat());
    let spans = join(&mut scene, &mut client, 2 * (AFTER.len() + let_go.len()));
    let pairs = pairs(&spans);
    let whole = ["grpc", "shop.v1.Stock/One", "shop.v1.Stock/Many"];
    assert!(pairs.iter().all(|(caller, _)| whole.contains(&&caller.name[..])), "{spans:?}");
    // (What is read first of a connection may lie within a call.)
    assert!(pairs.len() >= AFTER.len() + let_go.len() - 1, "calls are missing: {spans:?}");
    let (answered, left) = pairs.split_at(pairs.len() - let_go.len());
    answered.iter().for_each(|pair| assert_said(*pair));
    // A server may hear of its client's leaving before its own clock says that the time is over.
    for (call, pair) in let_go.iter().zip(left) {
        // Or its clock says so first, and it answers with what it named before the agent was there: then that is not known.
        let unknown = |end: &Span| format!("{:?}", end.attributes.get(UNKNOWN)).contains(SAID);
        match *call == "slow" && unknown(pair.0) {
            true => assert_said(*pair),
            false => assert_let_go(*pair, &["CANCELLED", "DEADLINE_EXCEEDED"]),
        }
    }
}

#[test]
fn calls_of_grpcio_are_calls_and_what_is_unknown_is_called_so() {
    joined_late(&LET_GO, |scene, calls| {
        let stock = Python::stock(scene);
        let port = stock.port.to_string();
        let client = Python::start(scene, "stock_client.py", &[&[&port[..]], calls].concat());
        (Box::new(stock.program), client)
    });
}

#[test]
fn calls_of_grpcio_on_asyncio_are_calls_and_what_is_unknown_is_called_so() {
    joined_late(&LET_GO, |scene, calls| {
        let stock = Python::stock_async(scene);
        let port = stock.port.to_string();
        let arguments = [&[&port[..]], calls].concat();
        let client = Python::start_with(scene, "stock_client.py", &arguments, &[("ASYNC", "1")]);
        (Box::new(stock.program), client)
    });
}

#[test]
fn calls_of_grpc_java_are_calls_and_what_is_unknown_is_called_so() {
    joined_late(&LET_GO, |scene, calls| {
        let stock = Java::stock(scene);
        let client = Java::start_stock_client(scene, stock.port, calls);
        (Box::new(stock.program), client)
    });
}

#[test]
fn calls_of_grpc_js_are_calls_and_what_is_unknown_is_called_so() {
    joined_late(&LET_GO, |scene, calls| {
        let stock = Node::stock(scene);
        let client = Node::start_stock_client(scene, stock.port, calls);
        (Box::new(stock.program), client)
    });
}

#[test]
fn calls_of_etcd_are_calls_and_what_is_unknown_is_called_so() {
    let mut scene = Scene::new();
    let (_etcd, port) = etcd(&scene);
    let mut client = Python::start(&scene, "etcd_caller.py", &[&port.to_string()]);
    let mut spans = join(&mut scene, &mut client, 14);
    // (It asks itself, too.)
    let ours: Vec<String> = spans.iter().filter(|s| s.service() == "etcd_caller").map(|s| s.trace_id.clone()).collect();
    spans.retain(|span| ours.contains(&span.trace_id));
    let pairs = pairs(&spans);
    assert!(pairs.len() >= 6, "calls are missing: {spans:?}");
    let (left, answered) = pairs.split_last().expect("there are some");
    answered.iter().for_each(|pair| assert_said(*pair));
    // What it calls by a name that was not said before is known.
    assert_eq!(left.0.name, "etcdserverpb.Watch/Watch");
    assert_eq!([left.0.text(SAID), left.1.text(SAID)], [Some("CANCELLED"); 2]);
    assert_eq!([left.0.status, left.1.status], [Status::Unset; 2], "{:?}", left.0);
}

/// Of three makes, whose tables are filled in other orders.
#[test]
fn calls_between_programs_of_different_makes_are_calls() {
    type Start = fn(&Scene) -> (Box<dyn Any>, u16);
    let servers: [Start; 2] = [
        |scene| {
            let stock = Node::stock(scene);
            (Box::new(stock.program), stock.port)
        },
        |scene| {
            let stock = Java::stock(scene);
            (Box::new(stock.program), stock.port)
        },
    ];
    for start in servers {
        joined_late(&[], |scene, calls| {
            let (server, port) = start(scene);
            let port = port.to_string();
            (server, Python::start(scene, "stock_client.py", &[&[&port[..]], calls].concat()))
        });
    }
}

/// A call that is cancelled, a stream that is left, and a stream whose reader's program exits.
#[test]
fn what_grpc_go_cancels_or_leaves_ends_alike_at_both_ends() {
    let mut scene = Scene::new();
    let (_server, port) = clients::serve(&scene, "health_serve.go");
    let (port, sign) = (port.to_string(), scene.dir().join("go").display().to_string());
    let steps = ["check", "cancel", "wait", "check", "cancel", "leave", "exit"];
    let mut client = clients::start(&scene, "health_call.go", &[&[&port[..], &sign], &steps[..]].concat());
    let spans = join(&mut scene, &mut client, 8);
    let pairs = pairs(&spans);
    let [check, cancelled, left, exited] = pairs[..] else { panic!("calls are missing: {spans:?}") };
    assert_said(check);
    assert_let_go(cancelled, &["CANCELLED"]);
    for (caller, callee) in [left, exited] {
        assert_eq!([caller.text(SAID), callee.text(SAID)], [Some("CANCELLED"); 2]);
        assert_eq!([caller.status, callee.status], [Status::Unset; 2], "{caller:?}");
    }
}
