//! gRPC-Web over HTTP/1.1.

use wirespan_protocols::{Role, Settings, http1};

use crate::bytes::message;
use crate::wire::{Wire, int, text};

const CALL: &str =
    "POST /shop.v1.Stock/Reserve HTTP/1.1\r\nHost: shop.test:8080\r\nContent-Type: application/grpc-web+proto\r\n";

fn web(role: Role) -> Wire {
    let mut wire = Wire::new(role);
    wire.parser = http1::parser(Settings::of(role));
    wire
}

/// The trailers, as the last message of a body.
fn trailers(text: &str) -> Vec<u8> {
    [&[0x80][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

fn call(wire: &mut Wire) {
    let body = message(3);
    wire.request([format!("{CALL}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat());
}

#[test]
fn a_call_is_a_call_and_its_status_is_in_the_body() {
    let mut wire = web(Role::Client);
    call(&mut wire);
    let body = [message(5), message(0), trailers("grpc-status:5\r\ngrpc-message:none\r\n")].concat();
    let chunks: Vec<u8> =
        body.chunks(6).flat_map(|c| [format!("{:x}\r\n", c.len()).as_bytes(), c, b"\r\n"].concat()).collect();
    wire.response("HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.response([&chunks[..], b"0\r\n\r\n"].concat());
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve NOT_FOUND error NOT_FOUND"]);
    assert_eq!(text(wire.only(), "network.protocol.version"), Some("1.1"));
    assert_eq!(text(wire.only(), "server.address"), Some("shop.test"));
    assert_eq!(int(wire.only(), "wirespan.rpc.request.messages"), Some(1));
    assert_eq!(int(wire.only(), "wirespan.rpc.response.messages"), Some(2));
}

#[test]
fn a_call_without_a_body_in_its_answer_has_its_status_in_the_head() {
    let mut wire = web(Role::Server);
    call(&mut wire);
    wire.response("HTTP/1.1 200 OK\r\ngrpc-status: 14\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve UNAVAILABLE error UNAVAILABLE"]);
}

#[test]
fn what_was_missed_of_a_body_is_not_counted() {
    let mut wire = web(Role::Server);
    call(&mut wire);
    wire.response_cut("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n\0\0\0\x01", 4_996);
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve"]);
    assert_eq!(int(wire.only(), "wirespan.rpc.response.messages"), None);
}

#[test]
fn a_proxy_s_error_is_the_call_s() {
    let mut wire = web(Role::Client);
    call(&mut wire);
    wire.response("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve UNAVAILABLE error UNAVAILABLE"]);
}
