//! Connections that end before their time.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::End;

use crate::wire::{TICK, Wire};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_reset_before_the_response_is_an_error() {
    let mut wire = Wire::client();
    wire.request(GET).end(Request, End::Reset);
    assert_eq!(wire.summary(), ["GET /a error connection_reset"]);
    assert_eq!(wire.only().end, 2 * TICK);
    assert_eq!(wire.only().response, None);
}

#[test]
fn a_close_before_the_response_is_an_error_whoever_closes() {
    for (direction, end) in [(Response, End::Finished), (Response, End::Closed), (Request, End::Closed)] {
        let mut wire = Wire::client();
        wire.request(GET).end(direction, end);
        assert_eq!(wire.summary(), ["GET /a error connection_closed"]);
    }
}

#[test]
fn a_call_that_is_let_go_is_given_up_at_the_client_and_no_error_at_the_server() {
    let mut wire = Wire::client();
    wire.request(GET).end(Response, End::LetGo);
    assert_eq!(wire.summary(), ["GET /a error given_up"]);
    for ends in [&[(Request, End::Reset)][..], &[(Request, End::Finished), (Response, End::Closed)]] {
        let mut wire = Wire::server();
        wire.request(GET);
        for (direction, end) in ends {
            wire.end(*direction, *end);
        }
        assert_eq!(wire.summary(), ["GET /a"]);
        assert!(wire.only().attributes.iter().any(|a| a.key == "wirespan.given_up"));
    }
    let mut wire = Wire::server();
    wire.request(GET).end(Response, End::LetGo);
    assert_eq!(wire.summary(), ["GET /a error connection_closed"], "the server's own doing");
}

#[test]
fn an_event_stream_ends_when_its_reader_leaves() {
    let events =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n";
    let mut client = Wire::client();
    client.request(GET).response(events).end(Response, End::LetGo);
    let mut server = Wire::server();
    server.request(GET).response(events).end(Request, End::Reset);
    for wire in [client, server] {
        assert_eq!(wire.summary(), ["GET /a 200"]);
        assert!(wire.only().attributes.iter().all(|a| a.key != "wirespan.given_up"));
    }
    let mut cut = Wire::client();
    cut.request(GET).response(events).end(Response, End::Finished);
    assert_eq!(cut.summary(), ["GET /a 200 error connection_closed"], "the server ended it before its time");
}

#[test]
fn what_has_no_end_by_its_kind_ends_when_its_reader_leaves() {
    let left = |media: &str| {
        let mut wire = Wire::client();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n");
        wire.request(GET).response(&head).end(Response, End::LetGo);
        wire.summary()
    };
    for media in
        ["Text/Event-Stream; charset=utf-8", "multipart/x-mixed-replace; boundary=b", "application/json; stream=watch"]
    {
        assert_eq!(left(media), ["GET /a 200"], "{media}");
    }
    for media in ["application/json", "application/json; charset=stream=watch", "multipart/mixed"] {
        assert_eq!(left(media), ["GET /a 200 error given_up"], "{media}");
    }
}

#[test]
fn a_client_that_only_stops_sending_still_gets_its_response() {
    let mut wire = Wire::server();
    wire.request(GET).end(Request, End::Finished);
    assert!(wire.finished().is_empty());
    wire.response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(wire.summary(), ["GET /a 200"]);
}

#[test]
fn a_response_cut_short_is_an_error_with_its_status_code() {
    for (end, error) in [(End::Reset, "connection_reset"), (End::Finished, "connection_closed")] {
        let mut wire = Wire::client();
        wire.request(GET).response("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").end(Response, end);
        assert_eq!(wire.summary(), [format!("GET /a 200 error {error}")]);
        assert_eq!(wire.only().response.unwrap().last.time, 2 * TICK);
        assert_eq!(wire.only().end, 3 * TICK);
    }
}

#[test]
fn a_reset_within_a_body_until_close_is_an_error_and_a_close_is_not() {
    let begin = |end| {
        let mut wire = Wire::client();
        wire.request(GET).response("HTTP/1.0 200 OK\r\n\r\nabc").end(Response, end);
        wire.summary()
    };
    assert_eq!(begin(End::Reset), ["GET /a 200 error connection_reset"]);
    assert_eq!(begin(End::Closed), ["GET /a 200"]);
}

#[test]
fn every_pipelined_request_fails_with_the_connection() {
    let mut wire = Wire::client();
    wire.request(GET.repeat(3)).response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").end(Response, End::Finished);
    assert_eq!(wire.summary(), ["GET /a 200", "GET /a error connection_closed", "GET /a error connection_closed"]);
}

#[test]
fn what_is_no_longer_watched_is_dropped_and_no_error() {
    let mut wire = Wire::client();
    wire.request(GET).end(Request, End::Unwatched);
    assert!(wire.finished().is_empty());
    assert_eq!(wire.dropped(), [0]);
}

#[test]
fn ends_are_told_once() {
    let mut wire = Wire::client();
    wire.request(GET).end(Response, End::Finished).end(Request, End::Closed);
    assert_eq!(wire.finished().len(), 1);
}

#[test]
fn half_a_head_is_no_exchange() {
    let mut wire = Wire::client();
    wire.request("GET /a HTTP/1.1\r\nHost").end(Request, End::Reset);
    assert!(wire.out.is_empty());
}

#[test]
fn requests_under_way_tell_their_names() {
    let mut wire = Wire::server();
    wire.request("GET /users/42 HTTP/1.1\r\nHost: h\r\n\r\nGET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    wire.response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut names = Vec::new();
    wire.parser.under_way(&(0..u64::MAX), &mut |id, name| names.push((id, name.into_owned())));
    assert_eq!(names, [(1, "GET /slow".to_owned())]);
}
