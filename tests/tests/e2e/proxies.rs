//! nginx: one thread, many requests, and each call below the request that it was made for.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use wirespan_tests::raw::Crowd;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::node::Node;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

use crate::units::{assert_never_wrong, identity};

/// Every request passes from the client through nginx, once or by way of a check, to Node: all calls of nginx are below its
/// requests, exactly, and nothing is missing.
fn assert_all_linked(http: &str, server: &str, calls: usize, crowd: &Crowd) {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let upstream = format!("upstream orders {{ server 127.0.0.1:{}; keepalive 8; }}\n{http}", orders.port);
    let nginx = Nginx::start(&scene, &Settings { workers: 1, http: &upstream, server });
    scene.trace();
    // A worker is probed once it was seen to serve.
    let warm = (1..=ATTEMPTS).find(|attempt| {
        let first = 100_000 * attempt;
        WARM_UP.get(nginx.port, |n| format!("/hop/{}/0", first + n));
        let exact = || are_exact(&scene.spans(), first..first + WARM_UP.total(), calls * WARM_UP.total());
        assert!(scene.settles_unless(QUIET, exact), "spans keep arriving");
        exact()
    });
    let warm = warm.unwrap_or_else(|| panic!("nginx is not known:\n{}", scene.agent().log()));
    crowd.get(nginx.port, |n| format!("/hop/{n}/0"));
    let spans = scene.finish((2 + 2 * calls) * (warm * WARM_UP.total() + crowd.total()));
    assert_never_wrong(&spans);
    let counted = |span: &&Span| identity(span).parse::<usize>().is_ok_and(|n| n < crowd.total());
    let of_nginx = |kind: Kind| spans.iter().filter(move |s| s.service() == "nginx" && s.kind == kind).filter(counted);
    let requests: HashMap<&str, &Span> = of_nginx(Kind::Server).map(|s| (s.span_id.as_str(), s)).collect();
    assert_eq!((requests.len(), of_nginx(Kind::Client).count()), (crowd.total(), calls * crowd.total()));
    for call in of_nginx(Kind::Client) {
        let request = requests.get(call.parent.as_str());
        let request = request.unwrap_or_else(|| panic!("below no request: {}", trace::line(call)));
        assert_eq!(identity(request), identity(call));
        assert_eq!(call.text("wirespan.link.evidence"), None, "it is exact");
    }
}

/// Whether nginx made so many calls for requests with these numbers, and all links of them are exact.
fn are_exact(spans: &[Span], numbers: Range<usize>, calls: usize) -> bool {
    let is_its = |span: &&Span| span.service() == "nginx" && span.kind == Kind::Client;
    let counted = |span: &&Span| identity(span).parse().is_ok_and(|n| numbers.contains(&n));
    let is_exact = |span: &Span| !span.parent.is_empty() && span.text("wirespan.link.evidence").is_none();
    let made: Vec<&Span> = spans.iter().filter(is_its).filter(counted).collect();
    made.len() == calls && made.into_iter().all(is_exact)
}

/// Requests until it is known, so often at most.
const WARM_UP: Crowd = Crowd { clients: 8, each: 4 };
const ATTEMPTS: usize = 15;
/// After this time without spans none is on its way.
const QUIET: Duration = Duration::from_millis(1500);
const PROXY: &str = "proxy_http_version 1.1; proxy_set_header Connection '';";

#[test]
fn what_nginx_passes_on_is_below_its_request_with_many_at_a_time_over_few_connections() {
    let server = format!("{PROXY} location / {{ proxy_pass http://orders; }}");
    assert_all_linked("", &server, 1, &Crowd { clients: 64, each: 10 });
}

#[test]
fn what_nginx_asks_before_it_passes_on_is_below_the_same_request() {
    let server = format!(
        "{PROXY} location / {{ auth_request /check; proxy_pass http://orders; }}
        location = /check {{ internal; proxy_pass http://orders$request_uri; }}"
    );
    assert_all_linked("", &server, 2, &Crowd { clients: 32, each: 8 });
}

#[test]
fn what_nginx_delays_is_below_its_request() {
    let http = "limit_req_zone $server_name zone=slow:1m rate=200r/s;";
    let server = format!("{PROXY} location / {{ limit_req zone=slow burst=1000; proxy_pass http://orders; }}");
    assert_all_linked(http, &server, 1, &Crowd { clients: 32, each: 8 });
}
