//! Bytes that passed uncaptured: bodies survive, doubts drop, nothing is paired wrong.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::{End, Progress};

use crate::wire::{TICK, Wire, int, text};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CHUNKED: &str = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn ok(code: u16) -> String {
    format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn bodies_larger_than_the_capture_are_skipped_to_the_byte() {
    let mut wire = Wire::server();
    wire.request_cut("POST /a HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n1234", 499_996);
    wire.request_cut("x", 499_999);
    wire.response_cut("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\nabcd", 4_999_996);
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["POST /a 200", "GET /a 200"]);
    assert_eq!(int(wire.finished()[0], "http.request.body.size"), Some(1_000_000));
    assert_eq!(wire.finished()[0].end, 3 * TICK);
    assert_eq!(wire.finished()[0].request.last.time, 2 * TICK);
    assert!(wire.dropped().is_empty());
}

#[test]
fn a_captured_head_and_its_gap_are_one_operation() {
    let mut wire = Wire::server();
    wire.request(GET).response_cut("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 100);
    let marks = wire.only().response.unwrap();
    assert_eq!(marks.last.position, marks.first.position);
}

#[test]
fn a_body_may_pass_without_a_captured_byte() {
    let mut wire = Wire::server();
    wire.request(GET).response("HTTP/1.1 200 OK\r\nContent-Length: 7000\r\n\r\n");
    wire.response_cut("", 4000).response_cut("", 3000);
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["GET /a 200"; 2]);
    assert_eq!(wire.finished()[0].end, 4 * TICK);
}

#[test]
fn a_gap_within_a_chunk_hides_nothing() {
    let mut wire = Wire::server();
    wire.request(GET).response_cut(format!("{CHUNKED}2710\r\nabcd"), 9_996 + 2).response("0\r\n\r\n");
    assert_eq!(wire.summary(), ["GET /a 201"]);
    assert_eq!(int(wire.only(), "http.response.body.size"), Some(10_000));
}

#[test]
fn a_gap_over_the_last_chunk_ends_the_body() {
    let mut wire = Wire::server();
    wire.request(GET).response_cut(format!("{CHUNKED}2710\r\nabcd"), 9_996 + 2 + 5);
    assert_eq!(wire.summary(), ["GET /a 201"], "without waiting for what comes next");
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["GET /a 201", "GET /a 200"]);
}

#[test]
fn a_body_whose_end_is_hidden_ends_before_the_next_request() {
    let mut wire = Wire::server();
    wire.request(GET).response_cut(format!("{CHUNKED}10\r\nabcd"), 5000).response("rest of it").response_cut("", 77);
    assert!(wire.finished().is_empty());
    wire.request(get("/b"));
    assert_eq!(wire.summary(), ["GET /a 201"]);
    assert_eq!(wire.only().end, 4 * TICK);
    wire.response(OK);
    assert_eq!(wire.summary(), ["GET /a 201", "GET /b 200"]);
}

#[test]
fn a_body_whose_end_is_hidden_ends_with_the_connection() {
    for end in [End::Finished, End::Closed, End::Reset] {
        let mut wire = Wire::server();
        wire.request(GET).response_cut(format!("{CHUNKED}10\r\nabcd"), 5000).end(Response, end);
        assert_eq!(wire.summary(), ["GET /a 201"]);
        assert_eq!(wire.only().end, 2 * TICK);
    }
}

#[test]
fn what_looks_like_a_response_inside_such_a_body_is_none() {
    let mut wire = Wire::server();
    wire.request(GET).response_cut(format!("{CHUNKED}10\r\nabcd"), 5000).response("HTTP/1.1 500 Fake\r\n\r\n");
    wire.request(get("/b")).response(OK);
    assert_eq!(wire.summary(), ["GET /a 201", "GET /b 200"]);
}

#[test]
fn an_upload_whose_end_is_hidden_is_followed_by_the_next_request() {
    let mut wire = Wire::server();
    wire.request_cut("POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", 9000);
    wire.request_cut("more", 100).request("even more").response(ok(201));
    wire.request(get("/b")).response(OK);
    assert_eq!(wire.summary(), ["POST /up 201", "GET /b 200"]);
    assert_eq!(wire.finished()[0].request.last.time, 3 * TICK);
    assert!(wire.dropped().is_empty());
}

#[test]
fn a_request_head_cut_short_keeps_what_came_before_the_cut() {
    let mut wire = Wire::server();
    let head = "POST /users/7 HTTP/1.1\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nCook";
    wire.request_cut(head, 3000).response(ok(200));
    wire.request(get("/b")).response(ok(204));
    assert_eq!(wire.summary(), ["POST /users/{id} 200", "GET /b 204"]);
    assert!(wire.started()[0].context.is_some());
    assert_eq!(text(wire.finished()[0], "url.path"), Some("/users/7"));
}

#[test]
fn more_is_wanted_where_heads_are_cut_and_not_where_bodies_are() {
    let mut wire = Wire::server();
    wire.request_cut("POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", 9000).response(ok(201));
    wire.request_cut("POST /up HTTP/1.1\r\nContent-Length: 9003\r\n\r\nabc", 9000).response(ok(201));
    assert!(!wire.parser.wants_requests());
    wire.request("GET /lost HTTP/1.1\r\nCook").lose(Request, 3000).response(ok(200));
    assert!(!wire.parser.wants_requests(), "a lost record is no reason");
    wire.request_cut("GET /a HTTP/1.1\r\nCook", 3000);
    assert!(wire.parser.wants_requests(), "trace context may be behind it");
}

#[test]
fn a_response_head_cut_short_keeps_its_status() {
    let mut wire = Wire::server();
    wire.request(GET).response_cut("HTTP/1.1 503 Service Unavailable\r\nSet-Cook", 3000);
    wire.request(get("/b")).response(OK);
    assert_eq!(wire.summary(), ["GET /a 503 error 503", "GET /b 200"]);
}

#[test]
fn a_request_line_cut_short_is_dropped_and_the_next_request_is_found() {
    let mut wire = Wire::server();
    wire.request_cut("GET /very/long/", 3000);
    assert_eq!(wire.dropped(), [0]);
    wire.response(ok(200)).request(get("/b")).response(ok(204));
    assert_eq!(wire.summary(), ["GET /b 204"]);
}

#[test]
fn a_lost_request_does_not_take_the_next_one_s_response() {
    let mut wire = Wire::server();
    wire.request(get("/a")).response(ok(200));
    wire.lose(Request, 100).response(ok(500));
    wire.request(get("/c")).response(ok(204));
    assert_eq!(wire.dropped(), [1], "it shows that the connection waits");
    wire.request(get("/d")).response(ok(205));
    assert_eq!(wire.summary(), ["GET /a 200", "GET /d 205"]);
}

#[test]
fn a_lost_request_that_is_unanswered_spoils_the_next() {
    let mut wire = Wire::server();
    wire.request_cut("", 100).request(get("/b"));
    wire.response(ok(500)).response(ok(200));
    assert!(wire.finished().is_empty(), "500 may not become /b's");
    assert_eq!(wire.dropped(), [0]);
}

#[test]
fn a_lost_response_drops_its_request_only() {
    let mut wire = Wire::server();
    wire.request(get("/a")).response_cut("", 500);
    assert_eq!(wire.dropped(), [0]);
    wire.response("rest of the body");
    wire.request(get("/b")).response(ok(204));
    assert_eq!(wire.summary(), ["GET /b 204"]);
}

#[test]
fn a_lost_response_drops_all_pipelined_requests_and_their_followers() {
    let mut wire = Wire::server();
    wire.request(get("/a") + &get("/b")).lose(Response, 38).response(ok(202));
    assert_eq!(wire.dropped(), [0, 1], "202 may be either's");
    wire.request(get("/c")).response(ok(203));
    assert!(wire.finished().is_empty(), "a client that pipelines may still wait for more");
    assert_eq!(wire.dropped(), [0, 1, 2]);
}

#[test]
fn pipelined_requests_before_a_gap_get_their_responses() {
    let mut wire = Wire::server();
    wire.request_cut(get("/a") + &get("/b") + "GET /c HTTP/1.1\r\nHo", 300);
    wire.response(ok(201)).response(ok(202)).response(ok(203)).response(ok(204));
    assert_eq!(wire.summary(), ["GET /a 201", "GET /b 202", "GET /c 203"]);
}

#[test]
fn if_other_bytes_come_where_the_response_should_begin_the_request_is_dropped() {
    let mut wire = Wire::server();
    wire.request(get("/a")).response_cut(format!("{CHUNKED}10\r\nabcd"), 5000);
    wire.request(get("/b")).response("still the body of /a").response(ok(202));
    assert_eq!(wire.summary(), ["GET /a 201"]);
    assert_eq!(wire.dropped(), [1]);
    wire.request(get("/c")).response(ok(203));
    assert_eq!(wire.dropped(), [1, 2], "this client does not wait");
}

#[test]
fn half_a_request_line_is_no_request() {
    let mut wire = Wire::server();
    wire.request_cut("", 10).request("OST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n").response(ok(200));
    assert!(wire.out.is_empty());
}

#[test]
fn a_request_inside_an_operation_after_a_gap_is_not_believed() {
    let mut wire = Wire::server();
    wire.request("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n").gap(Request, 1000);
    wire.data(Request, get("/evil").as_bytes());
    assert_eq!(wire.started().len(), 1);
}

#[test]
fn a_start_in_the_middle_of_a_response_invents_nothing() {
    let mut wire = Wire::client();
    wire.response("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\npart").response_cut("", 50);
    wire.request(get("/b")).response(ok(204));
    assert_eq!(wire.summary(), ["GET /b 204"]);
}

#[test]
fn an_unasked_response_to_head_does_not_swallow_the_next_response() {
    let mut wire = Wire::server();
    wire.response("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    wire.request(get("/b")).response(ok(204));
    assert_eq!(wire.summary(), ["GET /b 204"]);
}

#[test]
fn gaps_never_end_a_parser() {
    let mut wire = Wire::server();
    wire.request_cut("", u64::MAX / 4).response_cut("", u64::MAX / 4).request(GET);
    assert_eq!(wire.progress, Progress::Continue);
}

#[test]
fn a_websocket_whose_upgrade_was_cut_is_no_http() {
    let mut wire = Wire::server();
    wire.request("GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    wire.response_cut("HTTP/1.1 101 Switching", 100);
    assert_eq!(wire.summary(), ["GET /chat 101"]);
    assert_eq!(wire.progress, Progress::Left);
}
