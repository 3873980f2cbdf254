//! A span ends with the last byte of the response, however it left the server.

use wirespan_tests::curl;
use wirespan_tests::http::{self, Deviation};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};

/// How far a duration may be from what the program itself measured, milliseconds: a busy machine.
const TOLERANCE: f64 = 300.0;

fn of_kind(spans: &[Span], kind: Kind) -> &Span {
    spans.iter().find(|span| span.kind == kind).unwrap_or_else(|| panic!("no {kind} span arrived"))
}

fn assert_close(what: &str, span_millis: f64, measured_millis: f64) {
    let apart = (span_millis - measured_millis).abs();
    assert!(apart < TOLERANCE, "{what}: the span lasts {span_millis:.0} ms, the program says {measured_millis:.0} ms");
}

/// Ten megabytes at a limited rate, so that the first and the last byte are far apart.
fn a_large_file_lasts_until_its_last_byte(sendfile: &str) {
    let mut scene = Scene::new();
    let www = scene.dir().join("www");
    std::fs::create_dir_all(&www).expect("the document root");
    std::fs::write(www.join("large.bin"), vec![b'x'; 10 << 20]).expect("a large file");
    let lines = format!("sendfile {sendfile}; location / {{ root www; limit_rate 8m; }}");
    let front = Nginx::start(&scene, &Settings { workers: 2, http: "", server: &lines });
    scene.trace();
    let url = front.url("/large.bin");
    let reply = curl::run(&["-o", "/dev/null", &url]);
    assert_eq!((reply.exit, reply.code), (0, 200));
    scene.expect(&[http::curl("nginx", "GET", &url, 200)]);

    let spans = scene.spans();
    assert_close("curl", of_kind(&spans, Kind::Client).millis(), reply.transfer_millis);
    let log = front.access_log();
    let seconds: f64 = log[0].split(' ').nth(1).and_then(|s| s.parse().ok()).expect("$request_time");
    assert!(seconds > 0.5, "nginx kept to its limit: {log:?}");
    assert_close("nginx", of_kind(&spans, Kind::Server).millis(), seconds * 1e3);
}

#[test]
fn a_file_sent_by_sendfile_lasts_until_its_last_byte() {
    a_large_file_lasts_until_its_last_byte("on");
}

#[test]
fn a_file_sent_by_writev_lasts_until_its_last_byte() {
    a_large_file_lasts_until_its_last_byte("off");
}

#[test]
fn a_file_sent_by_splice_lasts_until_its_last_byte() {
    let mut scene = Scene::new();
    std::fs::write(scene.dir().join("large.bin"), vec![b'x'; 10 << 20]).expect("a large file");
    let splicer = Python::splicer(&scene);
    scene.trace();
    let url = splicer.url("/large.bin");
    let reply = curl::run(&["-o", "/dev/null", "--limit-rate", "12m", &url]);
    assert_eq!((reply.exit, reply.code), (0, 200));
    scene.expect(&[http::curl("splicer", "GET", &url, 200).bodies(None, Some(10 << 20))]);
    assert_close("curl", of_kind(&scene.spans(), Kind::Client).millis(), reply.transfer_millis);
}

#[test]
fn a_response_in_two_parts_lasts_until_the_second() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let url = faults.url("/slow/600");
    let reply = curl::get(&url, 200);
    scene.expect(&[http::curl("faults", "GET", &url, 200)]);
    let spans = scene.spans();
    let (caller, callee) = (of_kind(&spans, Kind::Client), of_kind(&spans, Kind::Server));
    assert_close("curl", caller.millis(), reply.transfer_millis);
    assert!(callee.millis() >= 590.0, "Node answered for {} ms only", callee.millis());
    assert!(caller.start <= callee.start && callee.start < callee.end, "the server's span begins within the client's");
}
