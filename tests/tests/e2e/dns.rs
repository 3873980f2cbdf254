//! DNS: what programs ask, and what a resolver on this host answers.

use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::brokers::Dnsmasq;
use wirespan_tests::span::Kind;

/// A query, at the caller's end and at the answerer's.
fn query(caller: &str, name: &str, kind: &str, code: &str) -> Expected {
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
    let answered = end("dnsmasq", Kind::Server)
        .with("client.address", "127.0.0.1")
        .with("network.peer.address", "127.0.0.1")
        .with("network.peer.port", Want::Port)
        .with("server.address", Want::Optional)
        .with("server.port", 53u16);
    if code == "NOERROR" { asked.child(answered) } else { asked.failed(code).child(answered) }
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
    scene.expect(&queries);
}

#[test]
fn a_query_that_nobody_answers_fails_when_its_program_gives_up() {
    let mut scene = Scene::new();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let name = format!("gone-{}.test", scene.port());
    scene.owns_text(&name);
    scene.trace();
    let to = port.to_string();
    let arguments = ["-p", &to, "@127.0.0.1", "+tries=1", "+timeout=1", "+noedns", &name];
    let output = std::process::Command::new("dig").args(arguments).output().expect("dig is installed");
    assert!(!output.status.success());
    scene.expect(&[Expected::new("dig", Kind::Client, "DNS A")
        .with("dns.question.name", name.as_str())
        .with("dns.question.type", "A")
        .with("dns.question.class", "IN")
        .with("network.protocol.name", "dns")
        .with("network.transport", "udp")
        .with("server.address", "127.0.0.1")
        .with("server.port", port)
        .with("network.peer.address", "127.0.0.1")
        .with("network.peer.port", port)
        .failed("no_answer")]);
    let waited = scene.spans()[0].millis();
    assert!(waited >= 950.0, "dig waited for {waited} ms");
}

#[test]
fn a_query_that_a_server_leaves_unanswered_is_counted_there() {
    let mut scene = Scene::new();
    let server = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("its address").port();
    let name = format!("ignored-{}.test", scene.port());
    scene.owns_text(&name);
    scene.trace_with(&["--include", &format!("port:{port}"), "--stats"]);
    let reads = std::thread::spawn(move || server.recv(&mut [0; 512]).expect("a query"));
    let to = port.to_string();
    let arguments = ["-p", &to, "@127.0.0.1", "+tries=1", "+timeout=1", "+noedns", &name];
    std::process::Command::new("dig").args(arguments).output().expect("dig is installed");
    assert!(reads.join().expect("it was asked") > 0);
    let spans = scene.finish(1);
    // What its asker waited for in vain is told; when its server would have answered, nobody knows.
    assert_eq!(
        spans.iter().map(|s| (s.kind, s.text("error.type"))).collect::<Vec<_>>(),
        [(Kind::Client, Some("no_answer"))]
    );
    assert_eq!(scene.agent().counter("exchanges_dropped"), 1);
    let why = scene.agent().counter("exchanges_dropped{protocol=\"dns\",reason=\"unanswered\"}");
    assert_eq!(why, 1, "{}", scene.agent().log());
}

#[test]
fn a_query_to_a_port_where_nobody_listens_is_refused() {
    let mut scene = Scene::new();
    let name = format!("refused-{}.test", scene.port());
    scene.owns_text(&name);
    let to = scene.port();
    scene.trace();
    let port = to.to_string();
    let arguments = ["-p", &port, "@127.0.0.1", "+tries=1", "+timeout=2", "+noedns", &name];
    let output = std::process::Command::new("dig").args(arguments).output().expect("dig is installed");
    assert!(!output.status.success());
    let spans = scene.finish(1);
    assert!(!spans.is_empty(), "the query is seen");
    for span in &spans {
        assert_eq!((span.name.as_str(), span.text("error.type")), ("DNS A", Some("connection_refused")), "{span:?}");
    }
}
