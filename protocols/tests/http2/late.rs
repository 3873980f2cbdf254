//! A connection joined in its middle: what is known is said, what is not is absent, and it gets better.

use wirespan_protocols::exchange::{Status, Value};
use wirespan_protocols::{Detection, Direction, Role, registry};

use crate::bytes::{END_STREAM, Peer, data, message};
use crate::wire::{Wire, int, text};

const PATH: &str = "/shop.v1.Stock/Reserve";

#[test]
fn a_request_by_indices_alone_is_named_by_its_method() {
    let (mut client, mut server) = (Peer::new(), Peer::new());
    client.get(1, "/users/42");
    let mut wire = Wire::server();
    wire.request(client.get(3, "/users/42")).response(server.status(0, 3, "200")).response(data(END_STREAM, 3, b"ok"));
    assert_eq!(wire.summary(), ["GET 200"]);
    for absent in ["url.path", "http.route", "server.address"] {
        assert_eq!(text(wire.only(), absent), None, "{absent}");
    }
    assert_eq!(int(wire.only(), "http.response.body.size"), Some(2));
}

#[test]
fn what_is_inserted_after_the_join_is_known_from_then_on() {
    let (mut client, mut server) = (Peer::new(), Peer::new());
    client.get(1, "/old");
    let mut wire = Wire::server();
    for (stream, path) in [(3, "/old"), (5, "/new"), (7, "/new"), (9, "/old"), (11, "/newer"), (13, "/new")] {
        wire.request(client.get(stream, path)).response(server.status(END_STREAM, stream, "200"));
    }
    let expected = ["GET 200", "GET /new 200", "GET /new 200", "GET 200", "GET /newer 200", "GET /new 200"];
    assert_eq!(wire.summary(), expected);
}

#[test]
fn a_call_that_cannot_be_known_from_its_head_is_known_from_its_trailers() {
    let (mut client, mut server) = (Peer::new(), Peer::new());
    client.call(1, PATH, &[]);
    server.reply(1);
    let mut wire = Wire::server();
    wire.request([client.call(3, PATH, &[]), data(END_STREAM, 3, &message(3))].concat());
    wire.response([server.reply(3), data(0, 3, &message(7)), server.trailers(3, "0")].concat());
    assert_eq!(wire.summary(), ["grpc OK"]);
    assert_eq!(text(wire.only(), "rpc.method"), None);
    assert_eq!(int(wire.only(), "wirespan.rpc.request.messages"), Some(1));
}

#[test]
fn a_join_within_a_frame_waits_for_the_next_that_begins_an_operation() {
    let (mut client, mut server) = (Peer::new(), Peer::new());
    let mut wire = Wire::server();
    wire.request(b"the end of some body").response(b"and of another");
    wire.request(client.get(5, "/a")).response([server.status(0, 5, "200"), data(END_STREAM, 5, b"ok")].concat());
    assert_eq!(wire.summary(), ["GET /a 200"]);
}

#[test]
fn a_response_to_a_request_that_was_missed_is_nobody_s() {
    let (mut client, mut server) = (Peer::new(), Peer::new());
    let mut wire = Wire::new(Role::Client);
    wire.response([server.status(0, 3, "200"), data(END_STREAM, 3, b"ok")].concat());
    wire.request(client.get(5, "/a")).response(server.status(END_STREAM, 5, "204"));
    assert_eq!(wire.summary(), ["GET /a 204"]);
}

#[test]
fn the_middle_of_a_connection_is_detected_in_either_direction() {
    let (mut client, mut server) = (Peer::new(), Peer::new());
    let http2 = registry::PROTOCOLS.iter().find(|p| p.name == "http2").unwrap();
    let requests = [client.call(7, PATH, &[]), data(END_STREAM, 7, &message(3)), client.call(9, PATH, &[])].concat();
    assert_eq!((http2.detect)(&requests), Detection::Match(Direction::Request));
    let responses = [server.reply(7), data(0, 7, &message(7)), server.trailers(7, "0")].concat();
    assert_eq!((http2.detect)(&responses), Detection::Match(Direction::Response));
    // One frame could be anything's.
    assert_eq!((http2.detect)(&client.get(9, "/a")), Detection::NeedMore);
}

#[test]
fn the_trailers_of_a_request_that_was_missed_are_no_request() {
    let (mut client, mut server) = (Peer::new(), Peer::new());
    let mut wire = Wire::server();
    wire.request(client.head(END_STREAM, 3, &[("x-sum", "1")])).response(server.status(END_STREAM, 3, "200"));
    wire.request(client.get(5, "/a")).response(server.status(END_STREAM, 5, "204"));
    assert_eq!(wire.summary(), ["GET /a 204"]);
}

/// A client and a server that have exchanged all the fields that they have, before anybody listened.
fn met() -> (Peer, Peer) {
    let (mut client, mut server) = (Peer::new(), Peer::new());
    client.call(1, PATH, &[]);
    server.reply(1);
    server.trailers(1, "0");
    server.trailers(1, "5");
    (client, server)
}

fn unknown(wire: &Wire) -> Vec<String> {
    match wire.only().attributes.iter().find(|a| a.key == "wirespan.unknown").map(|a| &a.value) {
        Some(Value::StrArray(keys)) => keys.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_call_of_which_all_is_referred_to_is_a_call_whose_end_is_not_known() {
    for (role, code) in [(Role::Client, "0"), (Role::Client, "5"), (Role::Server, "0"), (Role::Server, "5")] {
        let ((mut client, mut server), mut wire) = (met(), Wire::new(role));
        wire.request([client.call(3, PATH, &[]), data(END_STREAM, 3, &message(3))].concat());
        let answer = if code == "0" { data(0, 3, &message(7)) } else { Vec::new() };
        wire.response([server.reply(3), answer, server.trailers(3, code)].concat());
        assert_eq!(wire.only().name, "grpc");
        assert_eq!(wire.only().status, Status::Unset);
        assert_eq!(text(wire.only(), "rpc.response.status_code"), None);
        assert_eq!(text(wire.only(), "http.request.method"), None);
        assert_eq!(unknown(&wire), ["rpc.method", "rpc.response.status_code"]);
    }
}

#[test]
fn a_status_that_is_said_anew_is_known_although_its_name_is_not() {
    let ((mut client, mut server), mut wire) = (met(), Wire::new(Role::Client));
    wire.request([client.call(3, PATH, &[]), data(END_STREAM, 3, &message(3))].concat());
    let trailers = server.head(END_STREAM, 3, &[("grpc-status", "7"), ("grpc-message", "not yours")]);
    wire.response([server.reply(3), trailers].concat());
    assert_eq!(wire.summary(), ["grpc PERMISSION_DENIED error PERMISSION_DENIED"]);
    assert_eq!(unknown(&wire), ["rpc.method"]);
}

#[test]
fn a_post_that_is_no_call_stays_one() {
    let bodies: [&[u8]; 4] = [b"{\"a\": 1}", b"\0\0\0\0\x09too short", b"\0\0\0\0\x01ab", b"a=b"];
    for body in bodies {
        let ((mut client, mut server), mut wire) = (met(), Wire::server());
        wire.request([client.call(3, PATH, &[]), data(END_STREAM, 3, body)].concat());
        wire.response([server.reply(3), data(END_STREAM, 3, b"ok")].concat());
        assert_eq!(wire.summary(), ["POST 200"]);
        assert_eq!(unknown(&wire), ["url.path"]);
    }
    // Framed as gRPC frames it, as other protocols do that end with their bodies.
    let ((mut client, mut server), mut wire) = (met(), Wire::server());
    wire.request([client.call(3, PATH, &[]), data(END_STREAM, 3, &message(3))].concat());
    wire.response([server.reply(3), data(END_STREAM, 3, &message(3))].concat());
    assert_eq!(wire.summary(), ["POST 200"]);
}
