//! An OTLP receiver that nobody here wrote: rotel, from PyPI.

use std::path::PathBuf;
use std::process::Command;

use wirespan_tests::program::Program;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::{agent, curl, python, wait};

/// rotel's own binary, which its Python package wraps.
fn binary() -> PathBuf {
    let library = python::bin("").join("../lib");
    let pythons = std::fs::read_dir(library).expect("the virtual environment").flatten();
    let found = pythons.map(|entry| entry.path().join("site-packages/rotel/rotel-agent")).find(|path| path.exists());
    found.expect("rotel is among the requirements")
}

fn spans_reach_rotel(protocol: &str) {
    let mut scene = Scene::new();
    let (grpc, http) = (wait::free_port(), wait::free_port());
    let mut command = Command::new(binary());
    command.args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
    command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
    command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")]);
    command.arg("--pid-file").arg(scene.dir().join("rotel.pid"));
    let rotel = Program::start("rotel", scene.dir(), &mut command).listens_on(grpc).listens_on(http);
    let faults = Node::faults(&scene);

    let port = if protocol == "grpc" { grpc } else { http };
    let mut command = agent::command();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}"));
    command.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    scene.trace_by(&mut command);
    curl::get(&faults.url("/to-rotel"), 200);
    let wanted = ["GET /to-rotel", "service.name", "faults", "curl", "http.request.method"];
    let arrived = || wanted.iter().all(|text| rotel.log().contains(text));
    assert!(wait::until_true(wait::PATIENCE, arrived), "rotel does not have the spans:\n{}", rotel.log());
    scene.agent().stop();
}

#[test]
fn spans_reach_a_foreign_receiver_over_grpc() {
    spans_reach_rotel("grpc");
}

#[test]
fn spans_reach_a_foreign_receiver_over_http() {
    spans_reach_rotel("http/protobuf");
}
