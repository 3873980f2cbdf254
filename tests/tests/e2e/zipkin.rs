//! Zipkin itself, as it is installed in many places, is sent spans and asked for them.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value as Json;
use wirespan_tests::agent::target_dir;
use wirespan_tests::program::Program;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::{agent, curl, wait};

/// An hour, as milliseconds.
const HOUR: u64 = 3_600_000;

/// Its server, which `cargo xtask setup` takes from Maven.
fn jar() -> PathBuf {
    let jar = target_dir().join("test-services/zipkin-server-3.5.1-exec.jar");
    assert!(jar.is_file(), "{} is not there: run `cargo xtask setup`", jar.display());
    jar
}

struct Zipkin {
    port: u16,
    program: Program,
}

impl Zipkin {
    fn start(scene: &Scene) -> Self {
        let port = wait::free_port();
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-Xmx256m", "-jar"]).arg(jar());
        command.env("QUERY_PORT", port.to_string()).env("STORAGE_TYPE", "mem");
        let program = Program::start("zipkin", scene.dir(), &mut command).listens_on(port);
        Self { port, program }
    }

    fn ask(&self, path: &str) -> Json {
        let reply = curl::run(&[&format!("http://127.0.0.1:{}/api/v2/{path}", self.port)]);
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }
}

#[test]
fn zipkin_draws_who_asks_whom_and_its_own_server_is_not_seen_to_be_sent_that() {
    let mut scene = Scene::new();
    let zipkin = Zipkin::start(&scene);
    let orders = Node::orders(&scene, "");
    let relay = Node::orders(&scene, &orders.url(""));
    let mut command = agent::command();
    command.env("OTEL_TRACES_EXPORTER", "zipkin");
    command.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", format!("http://127.0.0.1:{}/api/v2/spans", zipkin.port));
    scene.trace_by(&mut command);
    curl::get(&relay.url("/zipkin/1"), 200);

    // By what was asked for: it gives the ten latest, and soon these are our own questions.
    let query = format!("traces?annotationQuery=url.path%3D/zipkin/1&lookback={HOUR}");
    let trace = || {
        let traces = zipkin.ask(&query);
        let whole = |trace: &&Json| trace.as_array().is_some_and(|spans| spans.len() >= 2 && has_path(spans));
        traces.as_array().and_then(|traces| traces.iter().find(whole).cloned())
    };
    let found = wait::until(wait::PATIENCE, trace);
    let spans = found.unwrap_or_else(|| panic!("{}\n{}", zipkin.ask(&query), zipkin.program.log()));
    let spans = spans.as_array().expect("spans");
    let of = |service: &str, kind: &str| {
        let is = |span: &&Json| span["localEndpoint"]["serviceName"] == service && span["kind"] == kind;
        spans.iter().find(is).unwrap_or_else(|| panic!("no {kind} of {service} in {spans:#?}"))
    };
    let (call, request) = (of("curl", "CLIENT"), of("orders", "SERVER"));
    assert_eq!((&request["parentId"], &request["traceId"]), (&call["id"], &call["traceId"]));
    assert_eq!(request["tags"]["http.response.status_code"], "200");
    assert!(request["duration"].as_u64() <= call["duration"].as_u64() && request["shared"].is_null());

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let links = zipkin.ask(&format!("dependencies?endTs={now}&lookback={HOUR}"));
    let drawn = |link: &Json| link["parent"] == "curl" && link["child"] == "orders";
    assert!(links.as_array().is_some_and(|links| links.iter().any(drawn)), "{links}");
    // It is a traced program as any other; what it is sent by the agent is nobody's request.
    let posts = zipkin.ask(&format!("traces?annotationQuery=url.path%3D/api/v2/spans&lookback={HOUR}"));
    assert_eq!(posts, Json::Array(Vec::new()));
    scene.agent().stop();
}

fn has_path(spans: &[Json]) -> bool {
    spans.iter().any(|span| span["tags"]["url.path"] == "/zipkin/1")
}
