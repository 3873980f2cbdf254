//! What processes are called, and programs that live for a few milliseconds.

use std::process::Command;

use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http::{self, client, server};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;

#[test]
fn programs_that_live_for_milliseconds_are_all_seen() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let traces: Vec<Expected> = (0..40)
        .map(|n| {
            let url = faults.url(&format!("/short/{n}"));
            let reply = curl::get(&url, 200);
            http::curl("faults", "GET", &url, 200).resource("process.pid", i64::from(reply.pid))
        })
        .collect();
    scene.expect(&traces);
}

#[test]
fn the_environment_of_a_short_lived_program_names_it() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let (named, described) = (faults.url("/named"), faults.url("/described"));
    let ask = |url: &str, variable: &str, value: &str| {
        let mut command = Command::new("curl");
        command.env(variable, value);
        assert_eq!(curl::run_in(command, &[url]).code, 200);
    };
    ask(&named, "OTEL_SERVICE_NAME", "checkout");
    ask(&described, "OTEL_RESOURCE_ATTRIBUTES", "service.name=billing,deployment.environment.name=test");
    let called = |name: &str, url: &str| client(name, "GET", url, 200).child(server("faults", "GET", url, 200));
    let billing = called("billing", &described).resource("deployment.environment.name", "test");
    scene.expect(&[called("checkout", &named), billing]);
}

#[test]
fn the_nearest_package_names_a_node_program_whose_file_does_not() {
    let mut scene = Scene::new();
    std::fs::write(scene.dir().join("package.json"), r#"{ "name": "@shop/answers" }"#).expect("package.json");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/services/faults.js"), scene.dir().join("index.js"))
        .expect("a program");
    let packaged = Node::script(&scene, "index.js");
    scene.trace();
    let url = packaged.url("/packaged");
    curl::get(&url, 200);
    scene.expect(&[http::curl("@shop/answers", "GET", &url, 200)]);
}
