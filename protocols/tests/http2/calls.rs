//! gRPC: how calls are named, counted and ended.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::exchange::{Output, Status};
use wirespan_protocols::{End, Role};

use crate::bytes::{END_STREAM, Peer, data, greetings, message, reset};
use crate::streams::greeted;
use crate::wire::{Wire, int, text};

const PATH: &str = "/shop.v1.Stock/Reserve";

fn client() -> (Wire, Peer, Peer) {
    let mut wire = Wire::new(Role::Client);
    let (client, server) = greetings();
    wire.request(client).response(server);
    (wire, Peer::new(), Peer::new())
}

#[test]
fn a_unary_call_follows_the_conventions() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request([client.call(1, PATH, &[]), data(END_STREAM, 1, &message(3))].concat());
    wire.response([server.reply(1), data(0, 1, &message(7)), server.trailers(1, "0")].concat());
    let call = wire.only();
    assert_eq!(call.name, "shop.v1.Stock/Reserve");
    for (key, value) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", "shop.v1.Stock/Reserve"),
        ("rpc.response.status_code", "OK"),
        ("server.address", "shop.test"),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "2"),
    ] {
        assert_eq!(text(call, key), Some(value), "{key}");
    }
    assert_eq!(int(call, "server.port"), Some(8080));
    assert_eq!(int(call, "wirespan.rpc.request.messages"), Some(1));
    assert_eq!(int(call, "wirespan.rpc.response.messages"), Some(1));
    assert_eq!(call.attributes.len(), 9, "{:?}", call.attributes);
}

#[test]
fn a_failure_says_what_the_server_says_without_what_it_quotes() {
    let (mut wire, mut client, mut server) = client();
    wire.request([client.call(1, PATH, &[]), data(END_STREAM, 1, &message(3))].concat());
    let trailers = [("grpc-status", "7"), ("grpc-message", "not%20%27s3cret%27")];
    wire.response([server.reply(1), server.head(END_STREAM, 1, &trailers)].concat());
    assert_eq!(wire.only().status, Status::Error("not ?".into()));
}

#[test]
fn of_a_long_description_the_beginning_is_told_wherever_it_is_cut() {
    let said = |words: &str| {
        let (mut wire, mut client, mut server) = client();
        wire.request([client.call(1, PATH, &[]), data(END_STREAM, 1, &message(3))].concat());
        let trailers = [("grpc-status", "13"), ("grpc-message", words)];
        wire.response([server.reply(1), server.head(END_STREAM, 1, &trailers)].concat());
        match &wire.only().status {
            Status::Error(text) => text.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(said(&"a".repeat(900)), "a".repeat(512));
    assert!(said(&"%E2%82%AC".repeat(200)).starts_with(&"€".repeat(170)));
    assert_eq!(said(&format!("no %27{}", "s3cret".repeat(300))), "no ?");
}

#[test]
fn messages_of_streams_are_counted_however_they_are_cut() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.call(1, PATH, &[])).response(server.reply(1));
    let three = [message(10), message(0), message(300)].concat();
    for piece in three.chunks(4) {
        wire.request(data(0, 1, piece)).response(data(0, 1, piece));
    }
    wire.request(data(END_STREAM, 1, &[])).response(data(0, 1, &message(1))).response(server.trailers(1, "0"));
    assert_eq!(int(wire.only(), "wirespan.rpc.request.messages"), Some(3));
    assert_eq!(int(wire.only(), "wirespan.rpc.response.messages"), Some(4));
}

#[test]
fn large_messages_are_counted_across_what_was_not_captured() {
    let (mut wire, mut client, mut server) = greeted();
    let large = data(END_STREAM, 1, &message(10_000));
    wire.request(client.call(1, PATH, &[])).request_cut(&large[..100], large.len() as u64 - 100);
    wire.response(server.reply(1)).response(server.trailers(1, "0"));
    assert_eq!(int(wire.only(), "wirespan.rpc.request.messages"), Some(1));
    let two = data(END_STREAM, 3, &[message(5_000), message(5)].concat());
    wire.request(client.call(3, PATH, &[])).request_cut(&two[..100], two.len() as u64 - 100);
    wire.response(server.reply(3)).response(server.trailers(3, "0"));
    assert_eq!(int(wire.finished()[1], "wirespan.rpc.request.messages"), None, "the second is hidden");
}

#[test]
fn which_codes_are_errors_depends_on_the_side() {
    let cases = [
        ("0", "OK", false, false),
        ("5", "NOT_FOUND", true, false),
        ("14", "UNAVAILABLE", true, true),
        ("99", "99", true, false),
    ];
    for (code, name, for_client, for_server) in cases {
        for (role, is_error) in [(Role::Client, for_client), (Role::Server, for_server)] {
            let mut wire = Wire::new(role);
            let (greeting, answer) = greetings();
            wire.request(greeting).response(answer).request(Peer::new().call(1, PATH, &[]));
            // Trailers only.
            let head = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", code)];
            wire.response(Peer::new().head(END_STREAM, 1, &head));
            let error = if is_error { format!(" error {name}") } else { String::new() };
            assert_eq!(wire.summary(), [format!("shop.v1.Stock/Reserve {name}{error}")]);
            assert_eq!(int(wire.only(), "wirespan.rpc.response.messages"), Some(0));
        }
    }
}

#[test]
fn a_method_that_the_server_does_not_have_names_no_span() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.call(1, "/x.Y/random-8473", &[])).response(server.trailers(1, "12"));
    assert_eq!(wire.only().name, "grpc");
    assert_eq!(text(wire.only(), "rpc.method"), Some("_OTHER"));
    assert_eq!(text(wire.only(), "rpc.method_original"), Some("x.Y/random-8473"));
    let (mut wire, mut peer, _) = self::client();
    wire.request(peer.call(1, PATH, &[])).response(Peer::new().trailers(1, "12"));
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve UNIMPLEMENTED error UNIMPLEMENTED"]);
}

#[test]
fn a_cancelled_call_is_told_from_one_whose_deadline_passed() {
    for (timeout, after, code) in [("100m", 100_000_000, "DEADLINE_EXCEEDED"), ("100m", 40_000_000, "CANCELLED")] {
        let (mut wire, mut peer, _) = client();
        wire.request(peer.call(1, PATH, &[("grpc-timeout", timeout)]));
        wire.time += after;
        wire.request(reset(1, 8));
        assert_eq!(wire.summary(), [format!("shop.v1.Stock/Reserve {code} error {code}")]);
    }
    let (mut wire, mut peer, _) = greeted();
    wire.request(peer.call(1, PATH, &[])).request(reset(1, 8));
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve CANCELLED"], "no error of the server's");
}

#[test]
fn a_response_without_a_status_of_its_own_has_the_one_of_http() {
    let (mut wire, mut peer, mut server) = client();
    wire.request(peer.call(1, PATH, &[])).response(server.status(END_STREAM, 1, "503"));
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve UNAVAILABLE error UNAVAILABLE"]);
}

#[test]
fn a_broken_connection_is_unavailable_to_the_client() {
    let (mut wire, mut peer, _) = client();
    wire.request(peer.call(1, PATH, &[])).end(Response, End::Reset);
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve UNAVAILABLE error UNAVAILABLE"]);
    let (mut wire, mut peer, _) = greeted();
    wire.request(peer.call(1, PATH, &[])).end(Response, End::Reset);
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve CANCELLED"], "its client has left");
    let (mut wire, mut peer, _) = greeted();
    wire.request(peer.call(1, PATH, &[])).end(Response, End::LetGo);
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve error connection_closed"], "it closed the connection itself");
}

#[test]
fn a_stream_of_messages_whose_reader_leaves_is_cancelled_and_no_error() {
    for role in [Role::Client, Role::Server] {
        for by_stream in [true, false] {
            let mut wire = Wire::new(role);
            let (greeting, answer) = greetings();
            let (mut peer, mut server) = (Peer::new(), Peer::new());
            wire.request(greeting).response(answer).request(peer.call(1, PATH, &[]));
            wire.response([server.reply(1), data(0, 1, &message(3))].concat());
            match (by_stream, role) {
                (true, _) => wire.request(reset(1, 8)),
                (false, Role::Client) => wire.end(Response, End::LetGo),
                (false, Role::Server) => wire.end(Request, End::Finished).end(Response, End::Closed),
            };
            assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve CANCELLED"], "{role:?}, by the stream: {by_stream}");
        }
    }
    let (mut wire, mut peer, _) = client();
    wire.request(peer.call(1, PATH, &[])).end(Response, End::LetGo);
    assert_eq!(wire.summary(), ["shop.v1.Stock/Reserve CANCELLED error CANCELLED"], "nothing had come of its answer");
}

#[test]
fn a_stream_that_lives_for_hours_costs_nothing() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.call(1, PATH, &[])).response(server.reply(1));
    let before = wire.parser.buffered();
    for _ in 0..20_000 {
        wire.request(data(0, 1, &message(20))).response(data(0, 1, &message(20)));
    }
    assert!(wire.parser.buffered() <= before + 64, "{} after {before}", wire.parser.buffered());
    assert_eq!(wire.started().len(), 1, "it is visible");
    wire.request(data(END_STREAM, 1, &[])).response(server.trailers(1, "0"));
    assert_eq!(int(wire.only(), "wirespan.rpc.response.messages"), Some(20_000));
}

#[test]
fn an_export_of_spans_is_recognised() {
    let hex = include_str!("../../captures/http2/node-otlp-export.hex");
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let bytes: Vec<u8> =
        digits.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect();
    let mut wire = Wire::new(Role::Client);
    wire.request(bytes);
    assert!(wire.out.contains(&Output::ExportsTelemetry));
    let (mut wire, mut peer, _) = client();
    wire.request(peer.call(1, "/opentelemetry.proto.collector.trace.v1.TraceService/Exports", &[]));
    assert!(!wire.out.contains(&Output::ExportsTelemetry));
}

#[test]
fn calls_under_way_tell_their_names_once_they_have_lasted() {
    let (mut wire, mut peer, mut server) = greeted();
    wire.request(peer.call(1, PATH, &[])).request(peer.get(3, "/users/42")).request(peer.get(5, "/done"));
    wire.response(server.status(END_STREAM, 5, "200"));
    let first = wire.started()[0].request.first.time;
    let names = |began| {
        let mut names = Vec::new();
        wire.parser.under_way(&began, &mut |id, name| names.push((id, name.into_owned())));
        names
    };
    assert_eq!(names(0..u64::MAX), [(0, "shop.v1.Stock/Reserve".into()), (1, "GET /users/{id}".into())]);
    assert_eq!(names(0..first), []);
    assert_eq!(names(first + 1..u64::MAX), [(1, "GET /users/{id}".into())]);
}

#[test]
fn what_people_ask_for_is_read_in_this_version_too() {
    use wirespan_protocols::rules::{Rule, Rules};
    let lines = ["tenant = metadata x-tenant", "method = path /shop.v1.Stock/{method}"];
    let rules = Rules::new(lines.iter().map(|line| Rule::parse(line).unwrap()).collect());
    let (mut wire, mut client, mut server) = greeted();
    let settings =
        wirespan_protocols::Settings { rules: rules.of("any"), ..wirespan_protocols::Settings::of(Role::Server) };
    wire.parser = crate::parser(settings);
    let (hello, answer) = greetings();
    wire.request(hello).response(answer);
    wire.request([client.call(1, PATH, &[("x-tenant", "acme")]), data(END_STREAM, 1, &message(3))].concat());
    wire.response([server.reply(1), data(0, 1, &message(7)), server.trailers(1, "0")].concat());
    assert_eq!((text(wire.only(), "tenant"), text(wire.only(), "method")), (Some("acme"), Some("Reserve")));
}
