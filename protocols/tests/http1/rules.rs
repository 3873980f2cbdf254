//! Attributes that people ask for.

use wirespan_protocols::http1::Http1;
use wirespan_protocols::rules::{Rule, Rules, UNREAD};
use wirespan_protocols::{Direction, Role, Settings};

use crate::wire::{Wire, text, value};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A server's connection with these rules.
fn asked(lines: &[&str]) -> Wire {
    let rules = Rules::new(lines.iter().map(|line| Rule::parse(line).unwrap()).collect());
    let mut wire = Wire::server();
    wire.parser = Box::new(Http1::new(Settings { rules: rules.of("shop"), ..Settings::of(Role::Server) }));
    wire
}

#[test]
fn what_the_head_says_is_on_the_span_and_nothing_else_of_it() {
    let mut wire = asked(&[
        "order.id = path /orders/{id}",
        "page = query page",
        "tenant = header x-tenant",
        "sid = cookie sid hash",
    ]);
    let head = "GET /orders/4711?page=2&key=s3cr3t HTTP/1.1\r\nHost: shop\r\nX-Tenant: acme\r\nCookie: a=s3cr3t; sid=abc\r\n\r\n";
    wire.request(head).response(OK);
    let exchange = wire.only();
    for (key, expected) in [("order.id", "4711"), ("page", "2"), ("tenant", "acme"), ("sid", "ba7816bf8f01cfea")] {
        assert_eq!(text(exchange, key), Some(expected), "{key}");
    }
    assert!(!format!("{exchange:?}").contains("s3cr3t"));
    assert_eq!(exchange.name, "GET /orders/{id}");
}

#[test]
fn bodies_are_read_however_they_come() {
    let lines = ["id = json request order.id at POST /orders", "total = json response total", "note = form note"];
    let body = r#"{"lines": [1, 2], "order": {"id": 17}}"#;
    let chunked = format!("{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", 10, &body[..10], body.len() - 10, &body[10..]);
    let request = format!("POST /orders HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}");
    let answer = "HTTP/1.1 201 Created\r\nContent-Length: 15\r\n\r\n{\"total\": 12.5}";
    for size in [1, 7, 10_000] {
        let mut wire = asked(&lines);
        for piece in request.as_bytes().chunks(size) {
            wire.request(piece);
        }
        for piece in answer.as_bytes().chunks(size) {
            wire.response(piece);
        }
        let exchange = wire.only();
        assert_eq!((text(exchange, "id"), text(exchange, "total")), (Some("17"), Some("12.5")), "{size}");
        assert_eq!((value(exchange, "note"), value(exchange, UNREAD)), (None, None));
    }
    let mut wire = asked(&lines);
    wire.request("POST /other HTTP/1.1\r\nContent-Length: 15\r\n\r\nid=1&note=a+%62").response(OK);
    assert_eq!((text(wire.only(), "note"), value(wire.only(), "id")), (Some("a b"), None));
}

#[test]
fn of_a_body_that_was_not_seen_whole_nothing_is_made_and_that_is_told() {
    let lines = ["id = json request id", "late = json request late", "note = form note"];
    let mut wire = asked(&lines);
    wire.operation(Direction::Request, b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{\"id\": 1, \"x\": \"", 984);
    wire.response(OK);
    let exchange = wire.only();
    assert_eq!(text(exchange, "id"), Some("1"), "it was there before");
    let unread = format!("{:?}", value(exchange, UNREAD));
    assert!(unread.contains("late") && unread.contains("note") && !unread.contains("\"id\""), "{unread}");
    // A client that leaves in the middle.
    let mut wire = asked(&["id = json request id"]);
    wire.request("POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{\"id\": 12").response(OK);
    assert_eq!(value(wire.only(), "id"), None, "it may be 123");
}

#[test]
fn a_form_is_what_says_so_or_nothing_and_one_that_cannot_be_read_is_told() {
    let ask = |head: &str, body: &[u8]| {
        let mut wire = asked(&["note = form note"]);
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n{head}\r\n", body.len());
        wire.request([head.as_bytes(), body].concat()).response(OK);
        let exchange = wire.only();
        (text(exchange, "note").map(str::to_owned), value(exchange, UNREAD).is_some())
    };
    let form = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    assert_eq!(ask(form, b"a=1&note=b"), (Some("b".to_owned()), false));
    assert_eq!(ask("", b"a=1&note=b"), (Some("b".to_owned()), false));
    assert_eq!(ask("Content-Type: application/json\r\n", b"{\"text\": \"a&note=b&c\"}"), (None, false));
    assert_eq!(ask(form, b"a=1&b=2"), (None, false));
    assert_eq!(ask(form, b"\x1f\x8b\x08&compressed"), (None, true));
    assert_eq!(ask(form, &[&[b'x'; 70_000][..], b"&note=b"].concat()), (None, true));
}

#[test]
fn a_body_without_end_takes_no_memory_and_one_that_is_deep_no_stack() {
    let mut wire = asked(&["id = json request id", "note = form note"]);
    wire.request("POST / HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n");
    let before = wire.parser.buffered();
    for piece in [vec![b'['; 65_536], vec![b'x'; 65_536]] {
        for _ in 0..800 {
            wire.request(&piece);
        }
    }
    assert!(wire.parser.buffered() <= before + 8192, "{} after {before}", wire.parser.buffered());
    wire.response(OK);
    assert!(value(wire.only(), UNREAD).is_some());
}
