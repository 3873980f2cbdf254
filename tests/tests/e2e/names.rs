//! What processes are called, and programs that live for a few milliseconds.

use std::collections::BTreeSet;
use std::process::Command;

use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http::{self, client, server};
use wirespan_tests::program::Program;
use wirespan_tests::raw::{Client, request};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::span::{Kind, Span, Value};

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

/// A Python server that answers everything, as every project has one.
const APP: &str = "import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '3')
        self.end_headers()
        self.wfile.write(b'ok\\n')
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()
";

/// Starts a program of these folders below the test's own, in which it is called as in every project.
fn start(scene: &Scene, folder: &str, file: &str) -> (Program, u16) {
    let (folder, port) = (scene.dir().join(folder), scene.port());
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut command = Command::new(if file.ends_with(".py") { "python3" } else { "node" });
    if file.ends_with(".py") {
        std::fs::write(folder.join(file), APP).expect("a program");
    } else {
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/services/faults.js"), folder.join(file))
            .expect("a program");
    }
    command.current_dir(&folder).args([file, &port.to_string()]);
    (Program::start(&format!("{file}-{port}"), scene.dir(), &mut command).listens_on(port), port)
}

/// The services that answered on these ports, in this order, of the last requests. (One export has its spans in whatever order.)
fn answered(spans: &[Span], ports: &[u16]) -> Vec<String> {
    let last = |port: &u16| {
        let answers =
            |span: &&Span| span.kind == Kind::Server && span.attributes["server.port"] == Value::Int(i64::from(*port));
        let last = spans.iter().filter(answers).max_by_key(|span| span.start);
        last.map(|span| span.service().to_owned()).unwrap_or_default()
    };
    ports.iter().map(last).collect()
}

fn ask(ports: &[u16]) {
    ports.iter().for_each(|port| drop(curl::get(&format!("http://127.0.0.1:{port}/"), 200)));
}

#[test]
fn programs_that_are_called_alike_in_every_project_are_called_by_their_projects() {
    let mut scene = Scene::new();
    let programs = [
        start(&scene, "orders", "app.py"),
        start(&scene, "billing", "app.py"),
        start(&scene, "stock/src", "server.js"),
        start(&scene, "prices", "server.js"),
    ];
    std::fs::write(scene.dir().join("prices/pyproject.toml"), "[project]\nname = \"no\"\n").expect("a file");
    let ports = programs.each_ref().map(|(_, port)| *port);
    scene.trace();
    ask(&ports);
    let spans = scene.finish(8);
    assert_eq!(answered(&spans, &ports), ["orders", "billing", "stock", "prices"]);
}

#[test]
fn namesakes_are_told_apart_and_a_program_keeps_its_name_when_it_is_started_again() {
    let mut scene = Scene::new();
    let (one, first) = start(&scene, "red/orders", "app.py");
    let (_two, second) = start(&scene, "blue/orders", "app.py");
    scene.trace();
    // Who came first is called anew by its next request.
    ask(&[first, second, first]);
    scene.wait_for(|spans| spans.len() >= 6);
    drop(one);
    let (_again, third) = start(&scene, "red/orders", "app.py");
    ask(&[third]);
    let spans = scene.finish(8);
    assert_eq!(answered(&spans, &[first, second, third]), ["red/orders", "blue/orders", "red/orders"]);
}

/// Starts a program in a mount namespace of its own, in which the folder of this name is mounted where all of them are.
fn start_mounted(scene: &Scene, color: &str) -> (Program, u16) {
    let (folder, here, port) = (scene.dir().join(color), scene.dir().join("srv"), scene.port());
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::create_dir_all(&here).expect("a folder");
    let file = folder.join("app.py");
    if !file.exists() {
        std::fs::write(file, format!("# {color}\n{APP}")).expect("a program");
    }
    let (folder, here) = (folder.display(), here.display());
    let script = format!("mount --bind {folder} {here} && cd {here} && exec python3 app.py {port}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    (Program::start(&format!("{color}-{port}"), scene.dir(), &mut command).listens_on(port), port)
}

#[test]
fn programs_at_the_same_path_of_two_containers_without_names_are_two_and_keep_their_names() {
    let mut scene = Scene::new();
    let (red, first) = start_mounted(&scene, "red");
    let (_blue, second) = start_mounted(&scene, "blue");
    scene.trace();
    ask(&[first, second, first]);
    scene.wait_for(|spans| spans.len() >= 6);
    drop(red);
    let (_again, third) = start_mounted(&scene, "red");
    ask(&[third]);
    let spans = scene.finish(8);
    let [one, other, again] = &answered(&spans, &[first, second, third])[..] else { panic!("{spans:?}") };
    assert!(one.contains("@") && one.ends_with("/red") && other.ends_with("/blue"), "{one} {other}");
    assert_eq!(one, again);
}

#[test]
fn words_that_vary_are_learnt_and_both_ends_say_the_same() {
    const REQUESTS: usize = 2000;
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    let mut client = Client::to_port(faults.port);
    for n in 0..REQUESTS {
        let word: String = [n / 676, n / 26, n].into_iter().map(letter).chain("ane".chars()).collect();
        client.send(request("GET", faults.port, &format!("/users/{word}/orders")));
        assert_eq!(client.response(), 200);
    }
    let spans = scene.finish(2 * REQUESTS);
    let of =
        |kind: Kind| -> BTreeSet<&str> { spans.iter().filter(|s| s.kind == kind).map(|s| s.name.as_str()).collect() };
    let (callers, callees) = (of(Kind::Client), of(Kind::Server));
    assert!(callees.contains("GET /users/{word}/orders"), "{callees:?}");
    assert!(callees.len() < 100, "{} operations", callees.len());
    assert_eq!(callers, callees);
    for callee in spans.iter().filter(|span| span.kind == Kind::Server) {
        let caller = spans.iter().find(|span| span.span_id == callee.parent).expect("the caller");
        assert_eq!(
            (&caller.name, &caller.attributes["url.template"]),
            (&callee.name, &callee.attributes["url.template"])
        );
        assert!(!callee.attributes.contains_key("http.route"), "a route is the program's own");
    }
}

#[test]
fn what_a_proxy_forwards_does_not_carry_the_listener_s_port() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let url = faults.url("/forwarded");
    let fields = ["-H", "X-Forwarded-Host: shop.test", "-H", "X-Forwarded-Proto: https", &url];
    assert_eq!(curl::run(&fields).code, 200);
    let forwarded = server("faults", "GET", &url, 200)
        .with("server.address", "shop.test")
        .with("server.port", 443_u16)
        .with("url.scheme", "https");
    scene.expect(&[client("curl", "GET", &url, 200).child(forwarded)]);
}
