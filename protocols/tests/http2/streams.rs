//! Streams: concurrency, ends, bodies, heads in every form.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::{End, Progress, Role};

use crate::bytes::{END_HEADERS, END_STREAM, PADDED, Peer, data, frame, goaway, greetings, reset};
use crate::replay::assert_balanced;
use crate::wire::{TICK, Wire, int, text};

/// Both ends have greeted each other.
pub fn greeted() -> (Wire, Peer, Peer) {
    let mut wire = Wire::server();
    let (client, server) = greetings();
    wire.request(client).response(server);
    (wire, Peer::new(), Peer::new())
}

#[test]
fn a_request_has_the_attributes_of_http() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.get(1, "/users/42?token=secret")).response(server.status(0, 1, "200"));
    wire.response(data(END_STREAM, 1, b"hello"));
    let exchange = wire.only();
    assert_eq!(exchange.name, "GET /users/{id}");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("network.protocol.version", "2"),
        ("url.template", "/users/{id}"),
        ("url.scheme", "http"),
        ("url.path", "/users/42"),
        ("url.query", "token=REDACTED"),
        ("server.address", "shop.test"),
    ] {
        assert_eq!(text(exchange, key), Some(value), "{key}");
    }
    assert_eq!(int(exchange, "server.port"), Some(8080));
    assert_eq!(int(exchange, "http.response.status_code"), Some(200));
    assert_eq!(int(exchange, "http.response.body.size"), Some(5));
    assert_eq!(int(exchange, "http.request.body.size"), None);
    assert_eq!(exchange.end, 5 * TICK);
}

#[test]
fn a_client_s_span_has_the_whole_url() {
    let mut wire = Wire::client();
    let (client, server) = greetings();
    wire.request(client).response(server).request(Peer::new().get(1, "/a?b=c"));
    wire.response(Peer::new().status(END_STREAM, 1, "404"));
    assert_eq!(text(wire.only(), "url.full"), Some("http://shop.test:8080/a?b=REDACTED"));
    assert_eq!(wire.summary(), ["GET /a 404 error 404"]);
}

#[test]
fn a_request_begins_at_the_first_byte_of_its_head() {
    let (mut wire, mut client, _) = greeted();
    let (first, second) = (client.get(1, "/a"), client.get(3, "/b"));
    let start = 10_000 + greetings().0.len() as u64;
    wire.request([&first[..], &second[..7]].concat()).request(&second[7..]);
    let firsts: Vec<_> = wire.started().iter().map(|s| (s.request.first.position, s.request.first.time)).collect();
    assert_eq!(firsts, [(start, 3 * TICK), (start + first.len() as u64, 3 * TICK)]);
    assert_eq!(wire.started()[1].request.last.time, 4 * TICK);
}

#[test]
fn both_ends_agree_on_a_stream_whatever_is_in_flight() {
    let (greeting, answer) = greetings();
    let requests = {
        let mut p = Peer::new();
        [p.get(1, "/a"), p.get(3, "/b")]
    };
    let response = Peer::new().status(END_STREAM, 1, "200");
    // The client sends its second request before it receives the first response, the server reads it after.
    let mut client = Wire::client();
    client.request(&greeting).request(&requests[0]).request(&requests[1]).response(&answer).response(&response);
    let mut server = Wire::server();
    server.response(&answer).request(&greeting).request(&requests[0]).response(&response).request(&requests[1]);
    let facts = |wire: &Wire| {
        wire.started().iter().map(|s| (s.request.first.position, s.request.first.opposite)).collect::<Vec<_>>()
    };
    assert_eq!(facts(&client), facts(&server));
    let [one, two] = facts(&client)[..] else { panic!("two requests") };
    assert!(one != two);
}

#[test]
fn a_hundred_streams_at_once_are_a_hundred_exchanges() {
    let (mut wire, mut client, mut server) = greeted();
    let numbers: Vec<u32> = (0..100).map(|n| 2 * n + 1).collect();
    wire.request(numbers.iter().flat_map(|n| client.get(*n, &format!("/n/x{n}"))).collect::<Vec<_>>());
    // Answered backwards, heads first.
    wire.response(numbers.iter().rev().flat_map(|n| server.status(0, *n, "200")).collect::<Vec<_>>());
    wire.response(numbers.iter().rev().flat_map(|n| data(END_STREAM, *n, b"ok")).collect::<Vec<_>>());
    assert_eq!(wire.finished().len(), 100);
    assert_eq!(text(wire.finished()[0], "url.path"), Some("/n/x199"));
    assert_balanced(&wire.out, "");
}

#[test]
fn more_streams_than_there_is_room_for_are_dropped_and_counted() {
    let (mut wire, mut client, mut server) = greeted();
    for n in 0..3000 {
        wire.request(client.get(2 * n + 1, "/x"));
    }
    assert!(wire.parser.buffered() < 1024 * 1024, "{}", wire.parser.buffered());
    let dropped = wire.dropped().len();
    assert!((1..1600).contains(&dropped), "{dropped}");
    for n in 0..3000 {
        wire.response(server.status(END_STREAM, 2 * n + 1, "200"));
    }
    assert_eq!(wire.finished().len() + dropped, 3000);
    wire.request(client.get(9001, "/y")).response(server.status(END_STREAM, 9001, "200"));
    assert_eq!(wire.finished().last().unwrap().name, "GET /y");
}

#[test]
fn padding_priority_and_continuation_are_read() {
    let (mut wire, mut client, mut server) = greeted();
    let block = client.block(&[(":method", "PUT"), (":scheme", "http"), (":path", "/split"), (":authority", "h")]);
    let (a, b) = block.split_at(5);
    let padded = [&[3][..], &[0x80, 0, 0, 9, 7], a, &[0; 3]].concat();
    wire.request([frame(1, PADDED | 0x20, 1, &padded), frame(9, 0, 1, &[]), frame(9, END_HEADERS, 1, b)].concat());
    wire.request(data(PADDED | END_STREAM, 1, b"\x04body\0\0\0\0"));
    wire.response([server.status(0, 1, "200"), data(PADDED, 1, b"\x02ab\0\0"), data(END_STREAM, 1, b"c")].concat());
    assert_eq!(wire.summary(), ["PUT /split 200"]);
    assert_eq!(int(wire.only(), "http.request.body.size"), Some(4));
    assert_eq!(int(wire.only(), "http.response.body.size"), Some(3));
}

#[test]
fn interim_responses_are_passed_over_and_trailers_read() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.get(1, "/a")).response(server.status(0, 1, "103")).response(server.status(0, 1, "200"));
    wire.response(data(0, 1, b"x")).response(server.head(END_STREAM, 1, &[("x-sum", "1")]));
    assert_eq!(wire.summary(), ["GET /a 200"]);
    assert_eq!(wire.only().response.unwrap().first.time, 5 * TICK);
}

#[test]
fn an_upload_that_goes_on_after_the_response_changes_nothing() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.head(0, 1, &[(":method", "POST"), (":path", "/up"), (":scheme", "http")]));
    wire.response(server.status(END_STREAM, 1, "413")).request(data(END_STREAM, 1, b"too late"));
    wire.request(reset(1, 0)).request(client.get(3, "/b")).response(server.status(END_STREAM, 3, "204"));
    assert_eq!(wire.summary(), ["POST /up 413", "GET /b 204"]);
}

#[test]
fn a_reset_ends_a_stream_with_its_reason() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request([client.get(1, "/a"), client.get(3, "/b"), client.get(5, "/c")].concat());
    wire.request(reset(1, 8)).response(reset(3, 7)).response([server.status(0, 5, "200"), reset(5, 2)].concat());
    let expected = ["GET /a", "GET /b error refused_stream", "GET /c 200 error internal_error"];
    assert_eq!(wire.summary(), expected, "what a client takes back is no error of the server's");
    assert!(wire.finished()[0].attributes.iter().any(|a| a.key == "wirespan.given_up"));
    let mut wire = Wire::new(Role::Client);
    let (greeting, answer) = greetings();
    wire.request(greeting).response(answer).request(Peer::new().get(1, "/a")).request(reset(1, 8));
    assert_eq!(wire.summary(), ["GET /a error cancel"]);
}

#[test]
fn goaway_ends_what_the_server_did_not_look_at() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request([client.get(1, "/a"), client.get(3, "/b")].concat()).response(goaway(0x7fff_ffff));
    assert!(wire.finished().is_empty(), "a warning");
    wire.response(goaway(1)).response(server.status(END_STREAM, 1, "200"));
    assert_eq!(wire.summary(), ["GET /b error refused_stream", "GET /a 200"]);
}

#[test]
fn the_end_of_a_connection_ends_its_streams() {
    let ends = [(End::Reset, "connection_reset"), (End::Closed, "connection_closed"), (End::LetGo, "given_up")];
    for (role, (end, error)) in [Role::Client, Role::Server].into_iter().flat_map(|role| ends.map(|end| (role, end))) {
        let mut wire = Wire::new(role);
        let (greeting, answer) = greetings();
        let (mut client, mut server) = (Peer::new(), Peer::new());
        wire.request(greeting).response(answer);
        wire.request([client.get(1, "/a"), client.get(3, "/b")].concat()).response(server.status(0, 3, "200"));
        wire.end(Request, End::Finished);
        assert!(wire.finished().is_empty());
        wire.end(Response, end);
        // At the server it is the client that has left.
        let error = if role == Role::Client { format!(" error {error}") } else { String::new() };
        assert_eq!(wire.summary(), [format!("GET /a{error}"), format!("GET /b 200{error}")]);
    }
    let (mut wire, mut client, _) = greeted();
    wire.request(client.get(1, "/a")).end(Response, End::Unwatched);
    assert_eq!(wire.dropped(), [0]);
}

#[test]
fn a_promise_is_refused_and_its_fields_are_remembered() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.get(1, "/a"));
    let promised = server.block(&[(":method", "GET"), (":path", "/pushed"), ("x-new", "value")]);
    wire.response(frame(5, END_HEADERS, 1, &[&2u32.to_be_bytes()[..], &promised].concat()));
    wire.response(server.head(0, 2, &[(":status", "200"), ("x-new", "value")])).response(data(END_STREAM, 2, b"x"));
    wire.response(server.head(END_STREAM, 1, &[(":status", "200"), ("x-new", "value")]));
    assert_eq!(wire.summary(), ["GET /a 200"]);
    assert_eq!(wire.progress, Progress::Continue);
}

#[test]
fn a_tunnel_ends_the_exchange() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.head(0, 1, &[(":method", "CONNECT"), (":authority", "db.test:5432")]));
    wire.response(server.status(0, 1, "200")).request(data(0, 1, b"anything")).response(data(0, 1, b"else"));
    assert_eq!(wire.summary(), ["CONNECT 200"]);
    assert_eq!(text(wire.only(), "server.address"), Some("db.test"));
}

#[test]
fn trace_context_is_read_in_every_encoding() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (mut wire, mut client, _) = greeted();
    // Inserted, then by index; and as a literal that is never indexed.
    for stream in [1, 3] {
        wire.request(client.head(END_STREAM, stream, &[(":method", "GET"), (":path", "/"), ("traceparent", PARENT)]));
    }
    let literal = [&b"\x82\x84\x10\x0btraceparent\x37"[..], PARENT.as_bytes()].concat();
    wire.request(frame(1, END_HEADERS | END_STREAM, 5, &literal));
    // In Huffman's code, inserted, then by index (python-hpack 4.2).
    let coded = b"\x82\x84\x40\x88\x4d\x83\x21\x6b\x1d\x85\xa9\x3f\xa7\x00\x16\x6a\x39\x5f\x14\xac\xb6\xeb\xb1\xb2\xd4\x83\x70\x6c\x90\
                  \xaf\x89\xf9\x00\x50\x15\xa7\x59\x71\x60\x02\x50\x38\xe8\xc6\x08\xc6\xf8\x05\x1b\xab\x00\x3f";
    wire.request(frame(1, END_HEADERS | END_STREAM, 7, coded));
    wire.request(frame(1, END_HEADERS | END_STREAM, 9, b"\x82\x84\xbe"));
    assert_eq!(wire.started().len(), 5);
    for started in wire.started() {
        assert_eq!(started.context.as_ref().unwrap().span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    }
}

#[test]
fn frames_of_unknown_types_are_ignored() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request([frame(0x10, 0xff, 0, b"u=1"), client.get(1, "/a"), frame(0xb, 0, 7, &[])].concat());
    wire.response([frame(0xa, 0, 0, b"alt"), server.status(END_STREAM, 1, "200")].concat());
    assert_eq!(wire.summary(), ["GET /a 200"]);
}

#[test]
fn nonsense_ends_the_parser_and_drops_what_was_open() {
    for bad in [
        frame(6, 0, 0, b"short"),
        frame(0, 0, 0, b"x"),
        frame(9, 4, 1, b""),
        frame(1, 4, 3, b"\xff\xff\xff\xff\xff\xff"),
    ] {
        let (mut wire, mut client, _) = greeted();
        wire.request(client.get(1, "/a")).request(bad);
        assert_eq!(wire.progress, Progress::LostSync);
        assert_eq!(wire.dropped(), [0]);
    }
}
