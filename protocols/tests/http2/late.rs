//! A connection joined in its middle: what is known is said, what is not is absent, and it gets better.

use wirespan_protocols::exchange::{Exchange, Status, Value};
use wirespan_protocols::{Detection, Direction, Role, registry};

use crate::bytes::{END_STREAM, Peer, data, message, reset};
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
    unknown_of(wire.only())
}

fn unknown_of(exchange: &Exchange) -> Vec<String> {
    match exchange.attributes.iter().find(|a| a.key == "wirespan.unknown").map(|a| &a.value) {
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
    let trailers = server.head(END_STREAM, 3, &[("grpc-status", "7"), ("grpc-message", "not%20%27s3cret%27")]);
    wire.response([server.reply(3), trailers].concat());
    assert_eq!(wire.summary(), ["grpc PERMISSION_DENIED error PERMISSION_DENIED"]);
    assert_eq!(wire.only().status, Status::Error("".into()), "which of the values is the message is not known");
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

/// A call that passes whole.
fn whole(wire: &mut Wire, client: &mut Peer, server: &mut Peer, stream: u32, path: &str) {
    wire.request([client.call(stream, path, &[]), data(END_STREAM, stream, &message(3))].concat());
    wire.response([server.reply(stream), data(0, stream, &message(7)), server.trailers(stream, "0")].concat());
}

/// One that its client cancels before anything comes back.
fn cancelled(wire: &mut Wire, client: &mut Peer, stream: u32, path: &str, body: &[u8]) {
    wire.request([client.call(stream, path, &[]), data(END_STREAM, stream, body)].concat());
    wire.request(reset(stream, 8));
}

#[test]
fn a_call_that_is_cancelled_is_one_if_another_showed_what_its_head_refers_to() {
    const OTHER: &str = "/shop.v1.Stock/Watch";
    for (role, error) in [(Role::Client, " error CANCELLED"), (Role::Server, "")] {
        let (mut client, mut server) = met();
        client.call(1, OTHER, &[]);
        let mut wire = Wire::new(role);
        whole(&mut wire, &mut client, &mut server, 3, PATH);
        // Of another path, which was said before as well.
        cancelled(&mut wire, &mut client, 5, OTHER, &message(3));
        cancelled(&mut wire, &mut client, 7, PATH, b"");
        assert_eq!(wire.summary()[1..], [format!("grpc CANCELLED{error}"), format!("grpc CANCELLED{error}")]);
        for call in &wire.finished()[1..] {
            assert_eq!(unknown_of(call), ["rpc.method"]);
        }
    }
}

#[test]
fn what_is_known_of_one_head_is_not_said_of_another() {
    let json = [(":method", "POST"), (":scheme", "http"), (":path", "/rest"), (":authority", "shop.test:8080")];
    let json = [&json[..], &[("te", "trailers"), ("content-type", "application/json")]].concat();
    let (mut client, mut server) = met();
    client.head(0, 1, &json);
    let mut wire = Wire::new(Role::Client);
    whole(&mut wire, &mut client, &mut server, 3, PATH);
    wire.request([client.head(0, 5, &json), data(END_STREAM, 5, &message(3))].concat()).request(reset(5, 8));
    assert_eq!(wire.summary()[1..], ["POST error cancel"]);
    assert_eq!(unknown_of(wire.finished()[1]), ["rpc.system.name", "url.full"]);
}

#[test]
fn what_is_given_up_before_anything_shows_what_it_is_may_be_a_call_or_not() {
    for (body, maybe) in [(&message(3)[..], true), (b"{\"a\": 1}", false)] {
        let ((mut client, _), mut wire) = (met(), Wire::new(Role::Client));
        cancelled(&mut wire, &mut client, 3, PATH, body);
        assert_eq!(wire.summary(), ["POST error cancel"]);
        let listed: &[&str] = if maybe { &["rpc.system.name", "url.full"] } else { &["url.full"] };
        assert_eq!(unknown(&wire), listed);
    }
}

#[test]
fn a_head_that_speaks_of_calls_before_messages_is_a_call_s() {
    for (body, expected) in
        [(&message(3)[..], "grpc DEADLINE_EXCEEDED error DEADLINE_EXCEEDED"), (b"{}", "POST error cancel")]
    {
        let ((mut client, _), mut wire) = (met(), Wire::new(Role::Client));
        wire.request(client.call(3, PATH, &[("grpc-timeout", "1n")]));
        wire.request(data(END_STREAM, 3, body)).request(reset(3, 8));
        assert_eq!(wire.summary(), [expected]);
    }
}

#[test]
fn places_in_one_table_say_nothing_of_another() {
    let ((mut client, mut server), mut wire) = (met(), Wire::new(Role::Client));
    whole(&mut wire, &mut client, &mut server, 3, PATH);
    // Two heads are missed, with what they inserted.
    client.call(5, "/shop.v1.Stock/Two", &[]);
    client.call(7, "/shop.v1.Stock/Three", &[]);
    wire.gap(Direction::Request, 100);
    cancelled(&mut wire, &mut client, 9, PATH, &message(3));
    assert_eq!(wire.summary()[1..], ["POST error cancel"]);
    assert_eq!(unknown_of(wire.finished()[1]), ["rpc.system.name", "url.full"]);
}
