//! One trace through TLS of many libraries: each program is asked until it is known, and then all of the trace is asserted.

use std::process::Command;

use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::http::{Deviation, client, server};
use wirespan_tests::known::{of_number, until_whole};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::services::tls::{Secure, certificate, until_programs_are_read, until_reads};
use wirespan_tests::span::Span;
use wirespan_tests::trace;

pub(crate) fn called(service: &str, url: &str) -> Expected {
    client(service, "GET", url, 200)
        .with("network.peer.address", "127.0.0.1")
        .with("wirespan.link.evidence", Want::Optional)
}

pub(crate) fn answered(service: &str, url: &str) -> Expected {
    server(service, "GET", url, 200).with("network.peer.address", "127.0.0.1").with("client.address", "127.0.0.1")
}

/// Go's name for what is asked for the sake of `a` has a number in it as well.
fn deeper(span: Expected) -> Expected {
    let route = "/hop/chain/{id}/a.{id}";
    span.named(&format!("GET {route}")).with("url.template", route)
}

#[test]
fn a_trace_goes_through_gnutls_openssl_gos_own_tls_nodes_own_openssl_and_rustls() {
    let mut scene = Scene::new();
    certificate(&scene);
    let last = Secure::granian(&scene, "last", "");
    let safe = Secure::node(&scene, &format!("https://127.0.0.1:{}", last.port));
    let port = scene.port();
    let next = format!("https://127.0.0.1:{}", safe.port);
    let relay = clients::start(&scene, "relay.go", &["serve", &port.to_string(), &next, "s1"]).listens_on(port);
    let proxy = Secure::nginx(&scene, &format!("location / {{ proxy_pass https://localhost:{port}; }}"));
    scene.trace();
    // OpenSSL's and GnuTLS's, which are shared, and then Go's.
    until_reads(&mut scene, 2);
    until_programs_are_read(&mut scene, &[relay.pid()]);
    // The last first: no connection is kept that is older than what is known of its end.
    let mut numbers = 100..;
    until_whole(&mut scene, &mut numbers, 2, |number| last.url(&format!("/hop/leaf/{number}/a")));
    until_whole(&mut scene, &mut numbers, 4, |number| safe.url(&format!("/hop/leaf/{number}/a")));
    until_whole(&mut scene, &mut numbers, 2, |number| format!("https://localhost:{port}/hop/leaf/{number}/a"));
    let front = |number: usize| format!("https://localhost:{}/hop/chain/{number}/a", proxy.port);
    until_whole(&mut scene, &mut numbers, 8, front);
    let before = scene.count();
    let asked = 7..10;
    for number in asked.clone() {
        let mut wget = Command::new("wget");
        wget.args(["-q", "-O", "-", "--no-proxy", "--ca-certificate", "cert.pem", &front(number)]);
        let output = wget.current_dir(scene.dir()).output().expect("wget");
        assert_eq!(output.stdout, b"done\n", "{}", String::from_utf8_lossy(&output.stderr));
    }
    let expected: Vec<Expected> = asked
        .clone()
        .map(|number| {
            let (first, second) = (front(number), format!("https://localhost:{port}/hop/chain/{number}/a"));
            let third = format!("{next}/hop/chain/{number}/a.1");
            let fourth = format!("https://127.0.0.1:{}/hop/chain/{number}/a.1", last.port);
            let below = deeper(called("safe", &fourth)).child(deeper(answered("last", &fourth))).no_user_agent();
            let below = deeper(called("relay", &third)).child(deeper(answered("safe", &third)).child(below));
            let passed = answered("relay", &second).version("1.0").child(below);
            let below = called("nginx", &second).version("1.0").child(passed);
            called("wget", &first).child(answered("nginx", &first).child(below))
        })
        .collect();
    let spans = scene.finish(before + expected.iter().map(Expected::size).sum::<usize>());
    let ours: Vec<Span> = asked.flat_map(|number| of_number(&spans, number)).collect();
    trace::assert_traces(&expected, &ours);
    for counter in ["tls_conflicts", "tls_untied", "tls_unfinished", "tls_refused"] {
        assert_eq!(scene.agent().try_counter(counter).unwrap_or_default(), 0, "{counter}");
    }
}
