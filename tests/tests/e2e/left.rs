//! Streams that their readers leave, and calls that are cancelled: what is an error at neither end, and what both call the
//! same.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use wirespan_tests::program::Program;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span, Status};
use wirespan_tests::wait;

const CODE: &str = "rpc.response.status_code";

/// Caller's and callee's spans, in the order in which the calls were made.
fn pairs(spans: &[Span]) -> Vec<(&Span, &Span)> {
    let mut callers: Vec<&Span> = spans.iter().filter(|span| span.kind == Kind::Client).collect();
    callers.sort_by_key(|span| span.start);
    let callee = |caller: &Span| spans.iter().find(|s| s.kind == Kind::Server && s.parent == caller.span_id);
    callers.into_iter().map(|caller| (caller, callee(caller).expect("its other end"))).collect()
}

fn assert_no_error((caller, callee): (&Span, &Span)) {
    for end in [caller, callee] {
        assert_eq!((end.status, end.text("error.type")), (Status::Unset, None), "{end:?}");
    }
}

/// A call that is cancelled, a stream that is left, and a stream whose reader's program exits.
#[test]
fn grpc_go_s_cancelled_calls_and_left_streams_end_alike_at_both_ends() {
    let mut scene = Scene::new();
    let (_server, port) = clients::serve(&scene, "health_serve.go");
    let port_text = port.to_string();
    let sign = scene.dir().join("go");
    let sign_text = sign.display().to_string();
    let arguments = [&port_text[..], &sign_text, "wait", "check", "cancel", "leave", "exit"];
    let mut caller = clients::start(&scene, "health_call.go", &arguments);
    assert!(wait::until_true(wait::PATIENCE, || caller.log().contains("waiting")), "{}", caller.log());
    scene.trace();
    std::fs::write(&sign, "").expect("a sign");
    assert!(caller.wait(wait::PATIENCE).is_some_and(|status| status.success()), "{}", caller.log());
    let spans = scene.finish(8);
    let pairs = pairs(&spans);
    let [.., cancelled, left, exited] = pairs[..] else { panic!("calls are missing: {spans:?}") };
    for end in [cancelled.0, cancelled.1] {
        assert_eq!(end.text(CODE), Some("CANCELLED"), "{end:?}");
    }
    assert_eq!((cancelled.0.status, cancelled.0.text("error.type")), (Status::Error, Some("CANCELLED")));
    assert_eq!((cancelled.1.status, cancelled.1.text("error.type")), (Status::Unset, None), "{:?}", cancelled.1);
    [left, exited].into_iter().for_each(assert_no_error);
    assert_eq!([left.0.text(CODE), left.1.text(CODE)], [Some("CANCELLED"); 2]);
    assert_eq!(left.0.name, "grpc.health.v1.Health/Watch");
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// etcd, and where it listens.
pub fn etcd(scene: &Scene) -> (Program, u16) {
    let (port, peers) = (scene.port(), scene.port());
    let mut command = Command::new("etcd");
    command.env("ETCD_UNSUPPORTED_ARCH", "arm64").arg("--data-dir").arg(scene.dir().join("etcd"));
    for (option, port) in [("client", port), ("peer", peers)] {
        command.args([format!("--listen-{option}-urls"), url(port)]);
    }
    command.args(["--advertise-client-urls", &url(port), "--initial-advertise-peer-urls", &url(peers)]);
    command.args(["--initial-cluster", &format!("default={}", url(peers))]);
    (Program::start("etcd", scene.dir(), &mut command).listens_on(port), port)
}

#[test]
fn a_watch_of_etcd_whose_client_exits_is_no_error() {
    let mut scene = Scene::new();
    let (_etcd, port) = etcd(&scene);
    scene.trace();
    let ask = |arguments: &[&str]| {
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.env("ETCDCTL_API", "3").args(["--endpoints", &url(port)]).args(arguments);
        etcdctl
    };
    let mut watch = Program::start("watch", scene.dir(), &mut ask(&["watch", "key"]));
    // It says what it sees: then it watches.
    let put = || ask(&["put", "key", "value"]).stdout(Stdio::null()).status().expect("etcdctl is installed").success();
    assert!(wait::until_true(wait::PATIENCE, || put() && watch.log().contains("value")), "{}", watch.log());
    watch.signal(Signal::TERM);
    watch.wait(wait::PATIENCE).expect("it exits");
    let method = |span: &Span| span.name == "etcdserverpb.Watch/Watch";
    let spans = scene.wait_for(|spans| spans.iter().filter(|span| method(span)).count() >= 2);
    let watched: Vec<Span> = spans.into_iter().filter(method).collect();
    let [pair] = pairs(&watched)[..] else { panic!("{watched:?}") };
    assert_no_error(pair);
}

#[test]
fn a_reader_who_leaves_a_web_socket_is_no_error() {
    let mut scene = Scene::new();
    let chat = Python::chat(&scene);
    scene.trace();
    Python::run(&scene, "chat_reader.py", &[&format!("ws://127.0.0.1:{}/room", chat.port)]);
    let spans = scene.finish(2);
    let [pair] = pairs(&spans)[..] else { panic!("{spans:?}") };
    assert_no_error(pair);
}
