//! DNS: what programs ask, and what a resolver on this host answers.

use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::brokers::Dnsmasq;
use wirespan_tests::span::Kind;

/// A query, at the caller's end and at the answerer's. Datagrams have no position in a stream, so the two are not joined.
fn query(caller: &str, name: &str, kind: &str, code: &str) -> [Expected; 2] {
    let end = |service: &str, span_kind| {
        Expected::new(service, span_kind, &format!("DNS {kind}"))
            .with("dns.question.name", name)
            .with("dns.question.type", kind)
            .with("dns.question.class", "IN")
            .with("dns.response_code", code)
            .with("dns.answers_count", i64::from(code == "NOERROR"))
            .with("dns.answers_types", Want::Optional)
            .with("network.protocol.name", "dns")
            .with("network.transport", "udp")
    };
    let asked = end(caller, Kind::Client)
        .with("server.address", "127.0.0.1")
        .with("server.port", 53u16)
        .with("network.peer.address", "127.0.0.1")
        .with("network.peer.port", 53u16);
    // A name that is not there is no failure of who says so.
    [if code == "NOERROR" { asked } else { asked.failed(code) }, end("dnsmasq", Kind::Server)]
}

#[test]
fn what_programs_ask_and_what_dnsmasq_answers_are_spans() {
    let mut scene = Scene::new();
    let name = format!("shop-{}.test", scene.port());
    let missing = format!("missing-{name}");
    scene.owns_text(&name);
    let dnsmasq = Dnsmasq::start(&scene, &name);
    scene.trace();
    let run = |program: &str, arguments: &[&str]| {
        let output = dnsmasq.inside(program).args(arguments).output().expect("it is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(run("getent", &["hosts", &name]).contains("192.0.2.7"));
    assert!(run("dig", &["+noedns", &name, "A"]).contains("192.0.2.7"));
    assert!(run("dig", &["+noedns", &missing, "AAAA"]).contains("NXDOMAIN"));
    let queries = [
        query("getent", &name, "AAAA", "NXDOMAIN"),
        query("getent", &name, "A", "NOERROR"),
        query("dig", &name, "A", "NOERROR"),
        query("dig", &missing, "AAAA", "NXDOMAIN"),
    ];
    scene.expect(queries.as_flattened());
}
