//! What passes inside TLS is seen as if it did not, and never on another connection than its own.

use wirespan_tests::curl;
use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::http::{Deviation, client, server};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::tls::{Secure, crowd, until_read};
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

/// A span of a request to `https://localhost:<port>`, whose peer is known by address.
fn by_address(span: Expected) -> Expected {
    span.with("network.peer.address", "127.0.0.1")
}

fn called(service: &str, url: &str) -> Expected {
    by_address(client(service, "GET", url, 200))
}

fn answered(service: &str, url: &str) -> Expected {
    by_address(server(service, "GET", url, 200)).with("client.address", "127.0.0.1")
}

#[test]
fn a_trace_goes_through_tls_of_three_libraries() {
    let mut scene = Scene::new();
    let safe = Secure::node(&scene, "");
    let vault = Secure::python(&scene, &safe.url(""));
    let proxy = Secure::nginx(&scene, &format!("location / {{ proxy_pass https://localhost:{}; }}", vault.port));
    scene.trace();
    until_read(&mut scene);
    // The first session shows where Node has its library.
    curl::run(&["-k", &safe.url("/first")]);
    scene.wait_for(|spans| !spans.is_empty());
    let url = format!("https://localhost:{}/three/hops", proxy.port);
    let reply = curl::run(&["-k", "--http1.1", &url]);
    assert_eq!((reply.code, reply.body.as_slice()), (200, &b"/three/hops"[..]));
    let (second, third) = (vault.url("/three/hops"), safe.url("/three/hops"));
    let below = called("vault", &third).user_agent("Python-urllib/3.11").child(answered("safe", &third));
    let middle = called("nginx", &second)
        .with("wirespan.link.evidence", Want::Optional)
        .version("1.0")
        .child(answered("vault", &second).version("1.0").child(below));
    let expected = called("curl", &url).child(answered("nginx", &url).child(middle));
    let spans = scene.finish(expected.size());
    let ours: Vec<Span> = spans.into_iter().filter(|span| span.path().starts_with("/three")).collect();
    trace::assert_traces(&[expected], &ours);
}

#[test]
fn under_load_every_request_inside_tls_is_seen_once_and_joined_with_its_own() {
    let mut scene = Scene::new();
    let (vault, looping, safe) = (Secure::python(&scene, ""), Secure::asyncio(&scene), Secure::node(&scene, ""));
    let proxy = Secure::nginx(&scene, &format!("location / {{ proxy_pass https://localhost:{}; }}", vault.port));
    scene.trace();
    until_read(&mut scene);
    curl::run(&["-k", &safe.url("/first")]);
    scene.wait_for(|spans| !spans.is_empty());
    let servers = [("vault", vault.port), ("vault_async", looping.port), ("safe", safe.port), ("proxy", proxy.port)];
    for (name, port) in servers {
        for mode in ["keep", "fresh"] {
            crowd(&scene, &format!("https://localhost:{port}/{name}-{mode}"), 8, 25, mode);
        }
    }
    // A client's and a server's span each; with the proxy, two of each.
    let wanted = 2 * 200 * 2 * 5;
    let spans = scene.finish(wanted);
    for (name, _) in servers {
        for mode in ["keep", "fresh"] {
            let of = |kind: Kind| {
                let fits = |span: &&Span| span.kind == kind && span.path().starts_with(&format!("/{name}-{mode}/"));
                spans.iter().filter(fits).count()
            };
            let hops = if name == "proxy" { 2 } else { 1 };
            assert_eq!([of(Kind::Client), of(Kind::Server)], [200 * hops; 2], "{name}, {mode}");
        }
    }
    assert_joined(&spans);
    for counter in ["tls_conflicts", "tls_untied", "tls_unfinished", "tls_refused"] {
        assert_eq!(scene.agent().try_counter(counter).unwrap_or_default(), 0, "{counter}");
    }
}

/// Every server's span is below the client's span of the same request, and of no other.
fn assert_joined(spans: &[Span]) {
    let (mut alone, mut wrong) = (0, Vec::new());
    // (When the first request came, Node's library may not have been read yet: then it is not known to be whole.)
    for span in spans.iter().filter(|span| span.kind == Kind::Server && span.path() != "/first" && span.name != "TLS") {
        match spans.iter().find(|other| other.span_id == span.parent) {
            Some(above) if above.kind == Kind::Client && above.path() == span.path() => {}
            Some(above) => wrong.push(format!("{} below {}", trace::line(span), trace::line(above))),
            None => {
                alone += 1;
                eprintln!("alone: {}", trace::line(span));
            }
        }
    }
    assert!(wrong.is_empty(), "{} joins are wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(3)]);
    assert_eq!(alone, 0, "servers' spans without the call that reached them");
}

#[test]
fn with_tls_off_nothing_inside_it_is_read() {
    let mut scene = Scene::new();
    let vault = Secure::python(&scene, "");
    scene.trace_with(&["--tls", "off"]);
    assert_eq!(curl::run(&["-k", &vault.url("/secret")]).code, 200);
    let plain = wirespan_tests::services::python::Python::http_server(&scene);
    curl::get(&plain.url("/hello.txt"), 200);
    let spans = scene.finish(2);
    assert!(!spans.is_empty() && spans.iter().all(|span| !span.path().contains("secret")));
}

#[test]
fn tls_of_one_program_is_left_alone_by_a_rule_and_that_of_others_is_read() {
    let mut scene = Scene::new();
    let vault = Secure::python(&scene, "");
    scene.trace_with(&["--tls", &format!("pid:{}=off", vault.program.pid()), "--tls", "auto"]);
    until_read(&mut scene);
    for number in 0..3 {
        assert_eq!(curl::run(&["-k", &vault.url(&format!("/secret/{number}"))]).code, 200);
    }
    let spans = scene.finish(6);
    let (asked, left): (Vec<&Span>, Vec<&Span>) = spans.iter().partition(|span| span.kind == Kind::Client);
    let mut paths: Vec<&str> = asked.iter().map(|span| span.path()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/secret/0", "/secret/1", "/secret/2"]);
    assert_eq!(left.len(), 3);
    for span in left {
        assert_eq!((span.service(), span.name.as_str()), ("vault", "TLS"), "{}", trace::line(span));
        assert_eq!(span.text("wirespan.tls.reason"), Some("off"));
        assert!(!format!("{span:?}").contains("secret"));
    }
}
