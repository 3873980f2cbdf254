//! Names, attributes and status, as the stable HTTP semantic conventions want them.

use wirespan_protocols::exchange::{Exchange, Output, SpanKind, Status, Value};
use wirespan_protocols::http1::Http1;
use wirespan_protocols::{Role, Settings};

use crate::wire::{Wire, int, text, value};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The exchange of `head`, whose lines end in `\n` and whose empty line is added.
fn exchange(role: Role, head: &str, response: &str) -> Exchange {
    let mut wire = Wire::new(role);
    wire.request(format!("{}\r\n\r\n", head.replace('\n', "\r\n"))).response(response);
    wire.only().clone()
}

fn names(exchange: &Exchange) -> Vec<(&str, String)> {
    let mut all: Vec<_> = exchange
        .attributes
        .iter()
        .map(|a| match &a.value {
            Value::Str(s) => (a.key.as_ref(), s.to_string()),
            Value::Int(n) => (a.key.as_ref(), n.to_string()),
            other => panic!("{other:?}"),
        })
        .collect();
    all.sort();
    all
}

fn pairs<'a>(all: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    all.iter().map(|(k, v)| (*k, v.to_string())).collect()
}

#[test]
fn a_server_span_has_these_attributes_and_no_others() {
    let head = "GET /users/42?token=s3cret HTTP/1.1\nHost: shop.test:8080\nUser-Agent: curl/8\nCookie: secret=1\nAuthorization: x";
    let exchange = exchange(Role::Server, head, OK);
    assert_eq!(exchange.name, "GET /users/{id}");
    assert_eq!(exchange.status, Status::Unset);
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.body.size", "2"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("server.address", "shop.test"),
        ("server.port", "8080"),
        ("url.path", "/users/42"),
        ("url.query", "token=REDACTED"),
        ("url.scheme", "http"),
        ("url.template", "/users/{id}"),
        ("user_agent.original", "curl/8"),
    ];
    assert_eq!(names(&exchange), pairs(&expected));
}

#[test]
fn a_client_span_has_these_attributes_and_no_others() {
    let head = "POST /users/42?token=s3cret HTTP/1.0\nHost: shop.test:8080\nUser-Agent: curl/8\nContent-Length: 0";
    let exchange = exchange(Role::Client, head, OK);
    assert_eq!(exchange.name, "POST /users/{id}");
    let expected = [
        ("http.request.body.size", "0"),
        ("http.request.method", "POST"),
        ("http.response.body.size", "2"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.0"),
        ("server.address", "shop.test"),
        ("server.port", "8080"),
        ("url.full", "http://shop.test:8080/users/42?token=REDACTED"),
        ("url.template", "/users/{id}"),
        ("user_agent.original", "curl/8"),
    ];
    assert_eq!(names(&exchange), pairs(&expected));
}

#[test]
fn the_kind_follows_the_role() {
    for (role, kind) in [(Role::Server, SpanKind::Server), (Role::Client, SpanKind::Client)] {
        let mut wire = Wire::new(role);
        wire.request("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(wire.started()[0].kind, kind);
    }
}

#[test]
fn errors_begin_at_400_for_a_client_and_at_500_for_a_server() {
    let status = |role, code: u16| {
        let exchange = exchange(role, "GET / HTTP/1.1", &format!("HTTP/1.1 {code} x\r\nContent-Length: 0\r\n\r\n"));
        let error = text(&exchange, "error.type").map(str::to_owned);
        assert_eq!(error.is_some(), exchange.status == Status::Error("".into()));
        error
    };
    assert_eq!(status(Role::Server, 302), None);
    assert_eq!(status(Role::Server, 404), None);
    assert_eq!(status(Role::Server, 503).as_deref(), Some("503"));
    assert_eq!(status(Role::Client, 302), None);
    assert_eq!(status(Role::Client, 404).as_deref(), Some("404"));
    assert_eq!(status(Role::Client, 503).as_deref(), Some("503"));
}

#[test]
fn unknown_methods_are_other_and_do_not_make_names() {
    let exchange = exchange(Role::Server, "BREW /pots/1 HTTP/1.1", OK);
    assert_eq!(exchange.name, "HTTP /pots/{id}");
    assert_eq!(text(&exchange, "http.request.method"), Some("_OTHER"));
    assert_eq!(text(&exchange, "http.request.method_original"), Some("BREW"));
}

#[test]
fn targets_without_a_path_are_named_by_what_they_are() {
    let options = exchange(Role::Server, "OPTIONS * HTTP/1.1\nHost: h", OK);
    assert_eq!((options.name.as_ref(), text(&options, "url.path")), ("OPTIONS *", Some("*")));
    let options = exchange(Role::Client, "OPTIONS * HTTP/1.1\nHost: h", OK);
    assert_eq!((options.name.as_ref(), text(&options, "url.full")), ("OPTIONS *", Some("http://h")));
    let connect = exchange(Role::Client, "CONNECT example.com:443 HTTP/1.1\nHost: example.com:443", OK);
    assert_eq!(connect.name, "CONNECT");
    assert_eq!(text(&connect, "server.address"), Some("example.com"));
    assert_eq!(int(&connect, "server.port"), Some(443));
    assert_eq!((value(&connect, "url.full"), value(&connect, "url.template")), (None, None));
}

#[test]
fn an_absolute_target_overrides_host_and_loses_its_credentials() {
    let head = "GET http://user:pass@origin.test/a/1?b=2#c HTTP/1.1\nHost: proxy.test:3128";
    let client = exchange(Role::Client, head, OK);
    assert_eq!(text(&client, "url.full"), Some("http://REDACTED:REDACTED@origin.test/a/1?b=REDACTED"));
    assert_eq!(text(&client, "server.address"), Some("origin.test"));
    assert_eq!(value(&client, "server.port"), None);
    let server = exchange(Role::Server, "GET HTTPS://origin.test HTTP/1.1", OK);
    assert_eq!(text(&server, "url.path"), Some("/"));
    assert_eq!(text(&server, "url.scheme"), Some("https"));
}

#[test]
fn without_a_host_the_caller_completes_the_url() {
    let client = exchange(Role::Client, "GET /a?b=c HTTP/1.0", OK);
    assert_eq!(value(&client, "url.full"), None);
    assert_eq!((text(&client, "url.path"), text(&client, "url.query")), (Some("/a"), Some("b=REDACTED")));
}

#[test]
fn ipv6_hosts_lose_their_brackets_and_keep_them_in_urls() {
    let client = exchange(Role::Client, "GET /a HTTP/1.1\nHost: [::1]:8080", OK);
    assert_eq!(text(&client, "server.address"), Some("::1"));
    assert_eq!(int(&client, "server.port"), Some(8080));
    assert_eq!(text(&client, "url.full"), Some("http://[::1]:8080/a"));
}

#[test]
fn a_proxy_s_word_counts_for_a_server() {
    let head = "GET / HTTP/1.1\nHost: backend:8000\nX-Forwarded-For: 203.0.113.9, 10.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: shop.test";
    let server = exchange(Role::Server, head, OK);
    assert_eq!(text(&server, "client.address"), Some("203.0.113.9"));
    assert_eq!(text(&server, "url.scheme"), Some("https"));
    assert_eq!(text(&server, "server.address"), Some("shop.test"));
    let head = "GET / HTTP/1.1\nHost: backend\nX-Forwarded-For: 1.2.3.4\nForwarded: For=\"[2001:db8::17]:4711\";proto=HTTPS;host=\"shop.test:444\", for=10.0.0.1";
    let server = exchange(Role::Server, head, OK);
    assert_eq!(text(&server, "client.address"), Some("2001:db8::17"));
    assert_eq!(text(&server, "url.scheme"), Some("https"));
    assert_eq!((text(&server, "server.address"), int(&server, "server.port")), (Some("shop.test"), Some(444)));
    for hidden in ["for=unknown", "for=_gazonk", "for=", ";;;", "=", "for"] {
        let server = exchange(Role::Server, &format!("GET / HTTP/1.1\nForwarded: {hidden}"), OK);
        assert_eq!(value(&server, "client.address"), None, "{hidden}");
    }
    let client = exchange(Role::Client, "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 203.0.113.9", OK);
    assert_eq!(value(&client, "client.address"), None);
}

#[test]
fn what_was_asked_of_a_proxy_does_not_carry_this_listener_s_port() {
    let port = |fields: &str| {
        let server = exchange(Role::Server, &format!("GET / HTTP/1.1\n{fields}"), OK);
        int(&server, "server.port")
    };
    for (fields, expected) in [
        ("Host: backend:8000\nX-Forwarded-Host: shop.test\nX-Forwarded-Proto: https", Some(443)),
        ("Host: shop.test\nX-Forwarded-Proto: https", Some(443)),
        ("Host: backend:8000\nX-Forwarded-Host: shop.test", Some(80)),
        ("Host: backend:8000\nX-Forwarded-Host: shop.test:8443\nX-Forwarded-Proto: https", Some(8443)),
        ("Host: b\nX-Forwarded-Host: shop.test\nX-Forwarded-Port: 8444\nX-Forwarded-Proto: https", Some(8444)),
        ("Host: b\nX-Forwarded-Host: shop.test\nX-Forwarded-Port: x", Some(80)),
        ("Host: b\nForwarded: host=shop.test;proto=https", Some(443)),
        // Asked of this server itself, and the port of the socket is the caller's to add.
        ("Host: backend", None),
    ] {
        assert_eq!(port(fields), expected, "{fields}");
    }
}

#[test]
fn query_values_are_kept_on_request() {
    let mut wire = Wire::server();
    wire.parser = Box::new(Http1::new(Settings { keep_query_values: true, ..Settings::of(Role::Server) }));
    wire.request("GET /a?q=tea&sig=abc HTTP/1.1\r\n\r\n").response(OK);
    assert_eq!(text(wire.only(), "url.query"), Some("q=tea&sig=REDACTED"));
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let mut wire = Wire::server();
    wire.request(b"GET /caf\xff\xfe?x=\xff HTTP/1.1\r\nHost: h\xff\r\nUser-Agent: \xff!\r\n\r\n").response(OK);
    let exchange = wire.only();
    assert_eq!(text(exchange, "url.path"), Some("/caf\u{fffd}\u{fffd}"));
    assert_eq!(exchange.name, "GET /{value}");
    assert_eq!(text(exchange, "user_agent.original"), Some("\u{fffd}!"));
    assert_eq!(value(exchange, "server.address"), None);
}

#[test]
fn a_target_that_is_no_path_makes_no_name() {
    let exchange = exchange(Role::Server, "GET xyz123 HTTP/1.1", OK);
    assert_eq!(exchange.name, "GET");
    assert_eq!(value(&exchange, "url.template"), None);
}

#[test]
fn the_trace_context_is_said_at_the_start() {
    let mut wire = Wire::server();
    wire.request("GET / HTTP/1.1\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\nTraceState: a=b\r\ntracestate: c=d\r\n\r\n");
    let context = wire.started()[0].context.clone().unwrap();
    assert_eq!(context.span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    assert!(!context.sampled());
    assert_eq!(&*context.trace_state, "a=b,c=d");
}

#[test]
fn a_connection_that_carries_telemetry_is_told_of_once_on_either_end() {
    let told = |role, head: &str| {
        let mut wire = Wire::new(role);
        for _ in 0..2 {
            wire.request(head).response(OK);
        }
        wire.out.iter().filter(|o| **o == Output::ExportsTelemetry).count()
    };
    let export = |target: &str, media: &str| {
        format!("POST {target} HTTP/1.1\r\nHost: c:4318\r\nContent-Type: {media}\r\nContent-Length: 0\r\n\r\n")
    };
    assert_eq!(told(Role::Client, &export("/v1/traces", "application/x-protobuf")), 1);
    assert_eq!(told(Role::Client, &export("/otlp/v1/traces", "application/json; charset=utf-8")), 1);
    assert_eq!(told(Role::Server, &export("/v1/traces", "application/x-protobuf")), 1);
    assert_eq!(told(Role::Client, &export("/v1/traces", "text/plain")), 0);
    assert_eq!(told(Role::Client, &export("/v1/metrics", "application/x-protobuf")), 0);
    assert_eq!(told(Role::Client, "GET /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"), 0);
}
