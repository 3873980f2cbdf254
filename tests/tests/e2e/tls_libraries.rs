//! TLS libraries beside the system's OpenSSL: what passes inside is seen, and never on another connection than its own. What cannot
//! be read is seen as a connection.

use std::process::{Command, Stdio};

use wirespan_tests::curl;
use wirespan_tests::program::Program;
use wirespan_tests::python;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::brokers::RabbitMq;
use wirespan_tests::services::install;
use wirespan_tests::services::java::Java;
use wirespan_tests::services::tls::{self, Secure, until_read, until_reads};
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

/// What tells a span's request from all others.
fn request_of(span: &Span) -> &str {
    span.text("rpc.method").unwrap_or(span.path())
}

/// Every server's span is below the client's of the same request, and there are so many.
pub(crate) fn assert_pairs(spans: &[Span], wanted: usize) {
    let servers: Vec<&Span> = spans.iter().filter(|span| span.kind == Kind::Server).collect();
    assert_eq!(servers.len(), wanted, "{:#?}", spans.iter().map(trace::line).collect::<Vec<_>>());
    for span in servers {
        let above = spans.iter().find(|other| other.span_id == span.parent);
        let above = above.unwrap_or_else(|| panic!("alone: {}", trace::line(span)));
        assert_eq!((above.kind, request_of(above)), (Kind::Client, request_of(span)), "{}", trace::line(span));
    }
}

fn assert_nothing_is_lost(scene: &mut Scene) {
    for counter in ["tls_conflicts", "tls_untied"] {
        assert_eq!(scene.agent().try_counter(counter).unwrap_or_default(), 0, "{counter}");
    }
}

#[test]
fn grpc_with_credentials_is_read_at_both_ends_though_its_library_has_no_symbols() {
    let mut scene = Scene::new();
    let till = Secure::script(&scene, Command::new(python::bin("python")), "till.py", "");
    scene.trace();
    until_read(&mut scene);
    let read = scene.agent().log().matches("is read from now on").count();
    // The first session shows where the library is.
    tls::run(&scene, "till_client.py", &[&till.port.to_string(), "1", "3", "100000"]);
    until_reads(&mut scene, read + 1);
    tls::run(&scene, "till_client.py", &[&till.port.to_string(), "6", "20", "0"]);
    let spans = scene.finish(2 * 120);
    let is_one_of_ours = |span: &&Span| {
        let method = span.text("rpc.method").unwrap_or_default();
        method.contains("/R") && !method.contains("/R10000")
    };
    let ours: Vec<Span> = spans.iter().filter(is_one_of_ours).cloned().collect();
    assert_pairs(&ours, 120);
    assert_eq!(ours.len(), 240);
    assert!(ours.iter().all(|span| span.text("tls.protocol.version").is_some()));
    assert_nothing_is_lost(&mut scene);
}

#[test]
fn rustls_is_read_at_both_ends_whatever_does_its_cryptography_though_it_has_no_symbols() {
    const CLIENTS: usize = 8;
    const EACH: usize = 16;
    let mut scene = Scene::new();
    let last = Secure::granian(&scene, "last", "");
    let first = Secure::granian(&scene, "first", &last.url(""));
    scene.trace();
    until_read(&mut scene);
    let read = scene.agent().log().matches("is read from now on").count();
    // The first sessions show where the libraries are, the servers' and two clients', if these are there for long enough.
    let warm = |library: &str| {
        let script = install("rusty_crowd.py", scene.dir());
        let mut command = Command::new(python::rust_bin("python"));
        command.current_dir(scene.dir()).arg(script).arg(first.url("/warm")).args(["1", "10000", library, "1", "0.1"]);
        Program::start(&format!("warm-{library}"), scene.dir(), &mut command)
    };
    let warming = ["ring", "aws-lc"].map(warm);
    until_reads(&mut scene, read + 3);
    drop(warming);
    let rounds = [("ring", "1"), ("ring", "2"), ("aws-lc", "1"), ("aws-lc", "2")];
    for (library, version) in rounds {
        let (clients, each) = (CLIENTS.to_string(), EACH.to_string());
        let url = first.url(&format!("/{library}-{version}"));
        let arguments = [url.as_str(), &clients, &each, library, version];
        tls::run_by(&scene, python::rust_bin("python"), "rusty_crowd.py", &arguments);
    }
    // Two hops, a client's and a server's span each.
    let requests = CLIENTS * EACH * rounds.len();
    let is_ours = |span: &Span| span.path().starts_with("/ring") || span.path().starts_with("/aws-lc");
    scene.wait_for(|spans| spans.iter().filter(|span| is_ours(span)).count() >= 4 * requests);
    let ours: Vec<Span> = scene.finish(4 * requests).into_iter().filter(is_ours).collect();
    assert_pairs(&ours, 2 * requests);
    assert_eq!(ours.len(), 4 * requests);
    for span in &ours {
        assert_eq!(span.text("tls.protocol.version"), Some("1.3"), "{}", trace::line(span));
    }
    assert_nothing_is_lost(&mut scene);
}

#[test]
fn a_request_of_gnutls_passes_through_tls_of_three_other_programs() {
    let mut scene = Scene::new();
    let vault = Secure::python(&scene, "");
    let proxy = Secure::nginx(&scene, &format!("location / {{ proxy_pass https://localhost:{}; }}", vault.port));
    scene.trace();
    until_reads(&mut scene, 2);
    let fetch = |number: usize| {
        let url = format!("https://localhost:{}/fetch/{number}", proxy.port);
        Command::new("wget")
            .args(["-q", "-O", "-", "--no-proxy", "--ca-certificate", "cert.pem", &url])
            .current_dir(scene.dir())
            .stdout(Stdio::piped())
            .spawn()
            .expect("wget")
    };
    for round in 0..5 {
        let running: Vec<_> = (0..4).map(|n| (round * 4 + n, fetch(round * 4 + n))).collect();
        for (number, child) in running {
            let output = child.wait_with_output().expect("wget ends");
            assert_eq!(output.stdout, format!("/fetch/{number}").into_bytes());
        }
    }
    let spans = scene.finish(80);
    let ours: Vec<Span> = spans.into_iter().filter(|span| span.path().starts_with("/fetch/")).collect();
    assert_pairs(&ours, 40);
    assert_eq!(ours.iter().filter(|span| span.service() == "wget").count(), 20);
    assert_nothing_is_lost(&mut scene);
}

#[test]
fn what_is_not_read_is_a_connection_with_both_its_ends() {
    let mut scene = Scene::new();
    let vault = Secure::python(&scene, "");
    scene.trace_with(&["--tls", "off"]);
    assert_eq!(curl::run(&["-k", &vault.url("/secret")]).code, 200);
    let spans = scene.finish(2);
    let [client, server] = [Kind::Client, Kind::Server].map(|kind| {
        let mut fitting = spans.iter().filter(|span| span.kind == kind);
        let found = fitting.next().unwrap_or_else(|| panic!("no {kind:?}: {spans:#?}"));
        assert!(fitting.next().is_none(), "{spans:#?}");
        found
    });
    assert_eq!((client.service(), server.service()), ("curl", "vault"));
    assert_eq!(server.parent, client.span_id);
    assert_eq!(client.text("server.address"), Some("localhost"));
    for span in [client, server] {
        assert_eq!((span.name.as_str(), span.text("wirespan.tls")), ("TLS", Some("opaque")));
        assert_eq!(span.text("wirespan.tls.reason"), Some("off"));
        assert_eq!(span.text("tls.protocol.version"), Some("1.3"));
        assert_eq!(span.int("server.port"), Some(i64::from(vault.port)));
        assert!(!format!("{span:?}").contains("secret"));
    }
    for key in ["wirespan.tls.request.size", "wirespan.tls.response.size"] {
        assert!(client.int(key).unwrap_or_default() > 100);
        assert_eq!(client.int(key), server.int(key), "{key}");
    }
}

#[test]
fn what_java_and_erlang_encrypt_themselves_is_a_connection_each_and_what_asks_them_is_read() {
    let mut scene = Scene::new();
    let (broker, port) = RabbitMq::start_secure(&scene);
    let sealed = Java::sealed(&scene);
    scene.trace();
    until_read(&mut scene);
    let url = format!("https://localhost:{}/asked", sealed.port);
    assert_eq!(curl::run(&["-k", "--http1.1", &url]).code, 200);
    tls::run(&scene, "sealed_messages.py", &[&port.to_string()]);
    let is_opaque = |span: &Span| span.text("wirespan.tls") == Some("opaque");
    let is_told = |spans: &[Span], at: u16| {
        spans.iter().any(|span| is_opaque(span) && span.int("server.port") == Some(i64::from(at)))
    };
    scene.wait_for(|spans| is_told(spans, sealed.port) && is_told(spans, port));
    let spans = scene.finish(3);
    for (port, asked) in [(sealed.port, "GET"), (port, "publish sealed")] {
        let at = |span: &&Span| span.int("server.port") == Some(i64::from(port));
        let opaque: Vec<&Span> = spans.iter().filter(at).filter(|span| is_opaque(span)).collect();
        assert!(!opaque.is_empty(), "{port}: {:#?}", spans.iter().map(trace::line).collect::<Vec<_>>());
        // (One, unless the machine was so busy that both ends rested for a second.)
        for end in &opaque {
            // Which of the requests that were read it was is not known.
            assert_eq!((end.kind, end.name.as_str(), end.parent.as_str()), (Kind::Server, "TLS", ""), "{end:#?}");
            assert_eq!(end.text("wirespan.tls.reason"), Some("library_unknown"));
            assert_eq!(end.text("tls.protocol.version"), Some("1.3"));
        }
        for key in ["wirespan.tls.request.size", "wirespan.tls.response.size"] {
            let sum: i64 = opaque.iter().map(|end| end.int(key).unwrap_or_default()).sum();
            assert!(sum > 100, "{key}: {opaque:#?}");
        }
        let read = spans.iter().filter(at).filter(|span| span.name.starts_with(asked) && span.kind != Kind::Server);
        assert_eq!(read.count(), 1, "{asked}: {:#?}", spans.iter().map(trace::line).collect::<Vec<_>>());
    }
    drop(broker);
}
