//! Applications behind a proxy that speaks to them by a gateway's protocol: php-fpm and uWSGI behind nginx.

use std::thread;
use std::time::Duration;

use wirespan_tests::curl;
use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::http::{Deviation, call, client, server};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::php::{Fpm, Listens};
use wirespan_tests::services::uwsgi::{self, Uwsgi};
use wirespan_tests::span::{Kind, Span};

/// What php-fpm's workers are called: they write their title over the environment that named them.
const FPM: &str = "php-fpm";

/// nginx in front of php-fpm.
fn front(scene: &Scene, fpm: &Fpm) -> Nginx {
    Nginx::start(scene, &Settings { workers: 1, http: "", server: &fpm.location() })
}

/// A span of the connection between the two: what it is about is what nginx was asked.
fn by_gateway(span: Expected, port: Option<u16>) -> Expected {
    match (port, span.kind) {
        (Some(port), Kind::Client) => span.with("network.peer.port", port),
        (Some(_), _) => span,
        (None, _) => {
            let socket = span.without("network.peer.address").without("network.peer.port");
            socket.with("network.transport", "unix")
        }
    }
}

/// What nginx passes on is exact once nginx is probed, and rests on its request being the only one before.
fn passed_on(span: Expected) -> Expected {
    span.with("wirespan.link.evidence", Want::Optional)
}

/// curl, nginx, and nginx's call of an application with what is below it.
fn through_nginx(url: &str, code: u16, port: Option<u16>, application: Expected) -> Expected {
    let to_application = passed_on(by_gateway(client("nginx", "GET", url, code), port)).child(application);
    client("curl", "GET", url, code).child(server("nginx", "GET", url, code).child(to_application))
}

fn a_request_through_php_fpm_is_one_trace(listens: Listens) {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let fpm = Fpm::start(&scene, &orders.url(""), listens, 2);
    let front = front(&scene, &fpm);
    scene.trace();
    let url = front.url("/hop/3/0");
    curl::get(&url, 200);
    let below = call(FPM, "orders", &orders.url("/hop/3/1")).no_user_agent();
    let in_fpm = by_gateway(server(FPM, "GET", &url, 200), fpm.port).child(below);
    scene.expect(&[through_nginx(&url, 200, fpm.port, in_fpm)]);
}

#[test]
fn a_request_through_php_fpm_is_one_trace_over_a_unix_socket() {
    a_request_through_php_fpm_is_one_trace(Listens::Unix);
}

#[test]
fn a_request_through_php_fpm_is_one_trace_over_tcp() {
    a_request_through_php_fpm_is_one_trace(Listens::Tcp);
}

fn a_request_through_uwsgi_is_one_trace(protocol: &str) {
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let application = Uwsgi::start(&scene, protocol, &orders.url(""));
    let location = format!(
        "location / {{ {protocol}_pass 127.0.0.1:{}; include /etc/nginx/{protocol}_params; }}",
        application.port
    );
    let front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: &location });
    scene.trace();
    let asked = front.url("/hop/3/0");
    curl::get(&asked, 200);
    // uWSGI waits for its requests' bytes elsewhere than where it reads them.
    let url = orders.url("/hop/3/1");
    let below = client(uwsgi::SERVICE, "GET", &url, 200).lone().child(server("orders", "GET", &url, 200));
    let in_application = server(uwsgi::SERVICE, "GET", &asked, 200).child(below);
    scene.expect(&[through_nginx(&asked, 200, Some(application.port), in_application)]);
}

#[test]
fn a_request_through_uwsgi_is_one_trace_by_its_own_protocol() {
    a_request_through_uwsgi_is_one_trace("uwsgi");
}

#[test]
fn a_request_through_uwsgi_is_one_trace_by_scgi() {
    a_request_through_uwsgi_is_one_trace("scgi");
}

#[test]
fn a_script_that_fails_and_a_worker_that_dies_are_errors_all_the_way_up() {
    let mut scene = Scene::new();
    let fpm = Fpm::start(&scene, "", Listens::Tcp, 1);
    let front = front(&scene, &fpm);
    scene.trace();
    let (fails, dies) = (front.url("/fail"), front.url("/die"));
    curl::get(&fails, 500);
    curl::get(&dies, 502);
    let failed = through_nginx(&fails, 500, fpm.port, by_gateway(server(FPM, "GET", &fails, 500), fpm.port));
    let died = |span: Expected, error| by_gateway(span, fpm.port).unanswered(error);
    let in_fpm = died(server(FPM, "GET", &dies, 200), "connection_closed");
    // (It had not read all, so its end is a reset.)
    let to_fpm = died(client("nginx", "GET", &dies, 200), "connection_reset");
    let to_fpm = passed_on(to_fpm).child(in_fpm);
    let died = client("curl", "GET", &dies, 502).child(server("nginx", "GET", &dies, 502).child(to_fpm));
    scene.expect(&[failed, died]);
}

/// The number in a span's path: `/hop/17/0`.
fn number(span: &Span, key: &str) -> u32 {
    let path = span.text(key).expect("a path");
    let after = path.split("/hop/").nth(1).expect("a hop");
    after.split('/').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Asks for so many, one after the other, with these numbers.
fn ask(front: &Nginx, first: u32, many: u32) {
    for n in first..first + many {
        curl::get(&front.url(&format!("/hop/{n}/0")), 200);
    }
}

/// Each call of nginx is below its own request, has its own request of the application below it, and that its own call: over a new
/// connection of a Unix socket each, which has no number before its first byte.
#[test]
fn each_of_many_requests_at_once_has_its_own_worker_and_that_its_own_call() {
    const AT_ONCE: u32 = 32;
    const EACH: u32 = 3;
    // (After all others; until nginx is known, so often at most.)
    const WARM_UP: u32 = 1000;
    const FEW: u32 = 8;
    const ATTEMPTS: u32 = 15;
    let mut scene = Scene::new();
    let orders = Node::orders(&scene, "");
    let fpm = Fpm::start(&scene, &orders.url(""), Listens::Unix, 6);
    let front = front(&scene, &fpm);
    scene.trace();
    // nginx is probed once it was seen to serve.
    let warm = (1..=ATTEMPTS).find(|attempt| {
        let first = attempt * WARM_UP;
        ask(&front, first, FEW);
        let exact = || {
            let spans = scene.spans();
            let of_nginx = spans.iter().filter(|span| span.service() == "nginx" && span.kind == Kind::Client);
            let made: Vec<&Span> = of_nginx.filter(|span| number(span, "url.full") >= first).collect();
            let is_exact = |span: &&Span| !span.parent.is_empty() && span.text("wirespan.link.evidence").is_none();
            made.len() == FEW as usize && made.iter().all(is_exact)
        };
        assert!(scene.settles_unless(Duration::from_millis(1500), exact), "spans keep arriving");
        exact()
    });
    let warm = warm.unwrap_or_else(|| panic!("nginx is not known:\n{}", scene.agent().log()));
    thread::scope(|scope| {
        for client in 0..AT_ONCE {
            let front = &front;
            scope.spawn(move || ask(front, client * EACH, EACH));
        }
    });
    let count = |spans: &[Span], service: &str, kind| {
        spans.iter().filter(|span| span.service() == service && span.kind == kind).count()
    };
    let total = (AT_ONCE * EACH + warm * FEW) as usize;
    let spans = scene.wait_for(|spans| {
        let of_fpm = [Kind::Server, Kind::Client].map(|kind| count(spans, FPM, kind));
        of_fpm.into_iter().chain([count(spans, "nginx", Kind::Server)]).all(|found| found >= total)
    });
    let above = |span: &Span| -> &Span {
        let found: Vec<&Span> = spans.iter().filter(|other| other.span_id == span.parent).collect();
        let [above] = found[..] else { panic!("nothing above {span:?}") };
        above
    };
    let served = spans.iter().filter(|span| span.service() == FPM && span.kind == Kind::Server);
    let served: Vec<&Span> = served.filter(|span| number(span, "url.path") < WARM_UP).collect();
    assert_eq!(served.len() as u32, AT_ONCE * EACH);
    for span in served {
        let own = number(span, "url.path");
        let call = above(span);
        assert_eq!((call.service(), call.kind, number(call, "url.full")), ("nginx", Kind::Client, own));
        let request = above(call);
        assert_eq!((request.service(), request.kind, number(request, "url.path")), ("nginx", Kind::Server, own));
        assert_eq!(call.text("wirespan.link.evidence"), None, "it is exact");
        let below: Vec<u32> =
            spans.iter().filter(|other| other.parent == span.span_id).map(|other| number(other, "url.full")).collect();
        assert_eq!(below, [own]);
    }
}
