//! Under a load generator at full rate: every request has its spans, or is counted as lost.

use std::collections::{HashMap, HashSet};
use std::process::{Command, Stdio};
use std::time::Duration;

use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace::{self, Node};

/// More than a hold and a batch: nothing comes after it.
const QUIET: Duration = Duration::from_millis(1500);

fn nginx_with_a_tiny_file(scene: &Scene) -> Nginx {
    let front = Nginx::files(scene);
    std::fs::write(scene.dir().join("www/tiny.txt"), "tiny\n").expect("a tiny file");
    front
}

fn wrk(url: &str, seconds: u32) -> Command {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c16", &format!("-d{seconds}s"), url]).stdout(Stdio::piped());
    command
}

#[test]
fn every_request_of_wrk_has_its_spans_or_is_counted_as_lost() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let front = nginx_with_a_tiny_file(&scene);
    scene.trace_with(&["--stats"]);
    let output = wrk(&front.url("/tiny.txt"), 3).output().expect("wrk is installed");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(scene.settles_with(2 * front.access_log().len(), QUIET), "spans keep arriving");
    scene.agent().stop();

    eprintln!("{report}");
    assert_complete(&mut scene, &front);
}

/// Checks that every request in nginx's log has a pair of spans, save what the agent counted as lost.
fn assert_complete(scene: &mut Scene, front: &Nginx) {
    let made = front.access_log().len();
    let spans = scene.spans();
    let servers = spans.iter().filter(|span| span.kind == Kind::Server).count();
    let lost = scene.agent().lost();
    eprintln!("requests {made}, server spans {servers}, all spans {}, losses counted {lost}", spans.len());
    assert!(made > 300, "wrk made no load: {made} requests");
    assert!(servers <= made, "{servers} server spans for {made} requests");
    if lost == 0 {
        assert_eq!(servers, made, "requests are missing and nothing says why:\n{}", scene.agent().log());
    } else {
        assert!(made - servers <= usize::try_from(lost).expect("a count"), "more is missing than was counted: {lost}");
    }
    let wrong: Vec<Node<'_>> = trace::forest(&spans).into_iter().filter(|root| !is_a_pair(root)).collect();
    // wrk hangs up on its last requests, so as many pairs may lack an end as it has connections; each loss costs one.
    let excused = 16 + usize::try_from(lost).expect("a count");
    let shown: Vec<String> = wrong.iter().take(5).flat_map(|root| root.flat()).map(trace::line).collect();
    assert!(wrong.len() <= excused, "{} traces are not a pair, such as\n{}", wrong.len(), shown.join("\n"));
    assert!(wrong.iter().all(|root| root.flat().len() == 1), "mixed traces, such as\n{}", shown.join("\n"));
}

fn is_a_pair(root: &Node<'_>) -> bool {
    let is = |span: &Span, service: &str, kind: Kind| span.service() == service && span.kind == kind;
    is(root.span, "wrk", Kind::Client)
        && root.children.len() == 1
        && is(root.children[0].span, "nginx", Kind::Server)
        && root.children[0].children.is_empty()
}

/// Two proxies between wrk and the file, each an event loop with many requests at a time.
#[test]
fn requests_of_wrk_through_a_proxy_never_share_a_trace() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let back = Nginx::start(&scene, &Settings { workers: 1, http: "", server: "location / { return 200 'yes'; }" });
    let http = format!("upstream back {{ server 127.0.0.1:{}; keepalive 32; }}", back.port);
    let lines = "location / { proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ''; \
                 proxy_set_header Host $http_host; }";
    let front = Nginx::start(&scene, &Settings { workers: 2, http: &http, server: lines });
    scene.trace_with(&["--stats"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/services/unique.lua");
    let output = wrk(&front.url("/"), 2).args(["-s", script]).output().expect("wrk is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let logged = || front.access_log().len() + back.access_log().len();
    assert!(scene.settles_with(2 * logged(), QUIET), "spans keep arriving");
    scene.agent().stop();

    let spans = scene.spans();
    // (What was under way when wrk left is logged after.)
    let made = logged();
    let servers = spans.iter().filter(|span| span.kind == Kind::Server).count();
    let lost = scene.agent().lost();
    eprintln!("requests {made}, server spans {servers}, all spans {}, losses counted {lost}", spans.len());
    assert!(made > 300, "wrk made no load: {made} requests");
    assert!(servers <= made && (made - servers) as u64 <= lost, "{servers} server spans for {made}");
    let mut path_of: HashMap<&str, &str> = HashMap::new();
    for span in &spans {
        let path = path_of.entry(&span.trace_id).or_insert(span.path());
        let whole = || {
            spans.iter().filter(|other| other.trace_id == span.trace_id).map(trace::line).collect::<Vec<_>>().join("\n")
        };
        assert!(*path == span.path(), "two requests share a trace:\n{}", whole());
    }
    let ids: HashSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    let orphans = spans.iter().filter(|span| !span.parent.is_empty() && !ids.contains(span.parent.as_str())).count();
    assert!(orphans as u64 <= 16 + lost, "{orphans} spans name a parent that did not arrive");
}

#[test]
fn every_connection_of_its_own_has_its_spans_or_is_counted_as_lost() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let front = nginx_with_a_tiny_file(&scene);
    scene.trace_with(&["--stats"]);
    let output = wrk(&front.url("/tiny.txt"), 2).args(["-H", "Connection: close"]).output().expect("wrk is installed");
    assert!(output.status.success());
    assert!(scene.settles_with(2 * front.access_log().len(), QUIET), "spans keep arriving");
    scene.agent().stop();
    assert_complete(&mut scene, &front);
}

#[test]
fn the_agent_ends_in_time_under_load() {
    let mut scene = Scene::new();
    let front = nginx_with_a_tiny_file(&scene);
    scene.trace();
    // (Much longer than it is let.)
    let mut load = wrk(&front.url("/tiny.txt"), 120).spawn().expect("wrk is installed");
    scene.wait_for_count(1000);
    scene.agent().stop();
    let still_running = load.try_wait().expect("waiting for wrk").is_none();
    load.kill().expect("ending wrk");
    load.wait().expect("ending wrk");
    assert!(still_running, "the load outlived the agent");
}
