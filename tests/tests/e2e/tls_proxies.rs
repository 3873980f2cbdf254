//! HAProxy and Apache, which speak TLS to both sides: every hop is seen, and none below another request's.

use wirespan_tests::known::{of_number, until_whole};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::tls::{Secure, crowd, until_read};
use wirespan_tests::services::tls_proxies;
use wirespan_tests::span::Span;
use wirespan_tests::{curl, trace};

use crate::tls_chain::{answered, called};
use crate::tls_libraries::assert_pairs;

#[test]
fn what_passes_through_haproxy_and_apache_by_tls_is_seen_at_every_hop() {
    const CLIENTS: usize = 8;
    const EACH: usize = 16;
    let mut scene = Scene::new();
    let vault = Secure::python(&scene, "");
    let apache = tls_proxies::apache(&scene, vault.port);
    let haproxy = tls_proxies::haproxy(&scene, apache.port);
    scene.trace();
    until_read(&mut scene);
    let mut numbers = 100..;
    for (at, size) in [(&vault, 2), (&apache, 4)] {
        until_whole(&mut scene, &mut numbers, size, |number| at.url(&format!("/alone/{number}")));
    }
    let mut expected = Vec::new();
    for number in 7..10 {
        let [first, second] = [&apache, &vault].map(|at| at.url(&format!("/alone/{number}")));
        assert_eq!(curl::run(&["-k", "--http1.1", &first]).code, 200);
        // (Apache says whom it was asked for, and the server believes it.)
        let last = answered("vault", &second).with("server.port", apache.port);
        let below = called("apache", &second).child(last);
        expected.push(called("curl", &first).child(answered("apache", &first).child(below)));
    }
    // (Which of HAProxy's calls belong to which of its requests is not promised: docs/links.md.)
    let requests = CLIENTS * EACH;
    for mode in ["keep", "fresh"] {
        crowd(&scene, &haproxy.url(&format!("/{mode}")), CLIENTS, EACH, mode);
    }
    let is_of_crowd = |span: &Span| span.path().starts_with("/keep") || span.path().starts_with("/fresh");
    scene.wait_for(|spans| spans.iter().filter(|span| is_of_crowd(span)).count() >= 2 * 6 * requests);
    let spans = scene.finish(0);
    let alone: Vec<Span> = (7..10).flat_map(|number| of_number(&spans, number)).filter(|s| !is_of_crowd(s)).collect();
    trace::assert_traces(&expected, &alone);
    let many: Vec<Span> = spans.into_iter().filter(is_of_crowd).collect();
    assert_pairs(&many, 2 * 3 * requests);
    assert_eq!(many.len(), 2 * 6 * requests);
    for counter in ["tls_conflicts", "tls_untied", "tls_unfinished", "tls_refused"] {
        assert_eq!(scene.agent().try_counter(counter).unwrap_or_default(), 0, "{counter}");
    }
}
