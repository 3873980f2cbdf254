//! Where messages begin and end, when everything is captured.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::exchange::Output;
use wirespan_protocols::{End, Progress};

use crate::wire::{TICK, Wire, int};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_request_and_its_response_are_an_exchange() {
    let mut wire = Wire::server();
    wire.request(GET);
    assert!(matches!(wire.out[..], [Output::Started(_)]), "said as soon as the head is complete: {:?}", wire.out);
    wire.response(OK);
    assert_eq!(wire.summary(), ["GET /a 200"]);
    assert_eq!(wire.only().id, wire.started()[0].id);
}

#[test]
fn the_exchange_ends_with_the_last_byte_of_the_response() {
    let mut wire = Wire::server();
    wire.request(GET).response("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n").response("abc");
    assert!(wire.finished().is_empty());
    wire.response("def");
    let exchange = wire.only();
    assert_eq!(exchange.end, 4 * TICK);
    let response = exchange.response.unwrap();
    assert_eq!((response.first.time, response.last.time), (2 * TICK, 4 * TICK));
    assert_eq!(response.last.position, 50_000 + 38 + 3, "where the last operation's bytes begin");
}

#[test]
fn marks_name_the_operations_of_the_request() {
    let mut wire = Wire::server();
    wire.request("POST /a HTTP/1.1\r\nContent-").request("Length: 5\r\n\r\n12").request("345").response(OK);
    assert_eq!(wire.started()[0].request.last.time, 2 * TICK, "the head's end");
    let request = wire.only().request;
    assert_eq!((request.first.time, request.first.position), (TICK, 10_000));
    assert_eq!((request.last.time, request.last.position), (3 * TICK, 10_000 + 26 + 15));
    assert_eq!(int(wire.only(), "http.request.body.size"), Some(5));
}

#[test]
fn connections_are_kept_alive() {
    let mut wire = Wire::server();
    for _ in 0..3 {
        wire.request(GET).response(OK);
    }
    assert_eq!(wire.summary(), ["GET /a 200"; 3]);
    let ids: Vec<_> = wire.finished().iter().map(|e| e.id).collect();
    assert_eq!(ids, [0, 1, 2]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut wire = Wire::server();
    wire.request("GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyzGET /c HTTP/1.1\r\n\r\n");
    assert_eq!(wire.started().len(), 3);
    let firsts: Vec<_> = wire.started().iter().map(|s| s.request.first.position).collect();
    assert_eq!(firsts, [10_000, 10_019, 10_061]);
    wire.response("HTTP/1.1 201 A\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 202 B\r\nContent-Length: 0\r\n\r\nHTTP/1.1 20");
    wire.response("3 C\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(wire.summary(), ["GET /a 201", "POST /b 202", "GET /c 203"]);
    let response = wire.finished()[2].response.unwrap();
    assert_eq!((response.first.time, response.last.time), (2 * TICK, 3 * TICK));
    assert_eq!(response.first.position, 50_000 + 38 + 37);
}

#[test]
fn too_many_requests_in_flight_are_dropped_and_none_is_paired_wrong() {
    let mut wire = Wire::server();
    for _ in 0..1100 {
        wire.request("GET / HTTP/1.1\r\n\r\n");
        assert!(wire.parser.buffered() < 1024 * 1024, "{}", wire.parser.buffered());
    }
    for _ in 0..1100 {
        wire.response("HTTP/1.1 204 No Content\r\n\r\n");
    }
    let answered: Vec<u64> = wire.finished().iter().map(|e| e.id).collect();
    let room = answered.len() as u64;
    assert!((500..1100).contains(&room), "{room} have room");
    assert_eq!(answered, (0..room).collect::<Vec<_>>(), "the first are answered, in order");
    assert_eq!(wire.dropped(), (room..1100).collect::<Vec<_>>());
}

#[test]
fn chunks_with_extensions_and_trailers_are_counted() {
    let mut wire = Wire::server();
    wire.request(
        "POST /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
         5;name=\"v\" ; other\r\nhello\r\n00a\r\n, world!!!\r\n0;last\r\nX-Trailer: 1\r\nY: 2\r\n\r\n",
    );
    wire.response("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n").response("0\r\n\r\n");
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["POST /a 200", "GET /a 200"]);
    let first = wire.finished()[0];
    assert_eq!(int(first, "http.request.body.size"), Some(15));
    assert_eq!(int(first, "http.response.body.size"), Some(3));
    assert_eq!(first.end, 3 * TICK);
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 500\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
    ] {
        let mut wire = Wire::server();
        wire.request(format!("{method} /a HTTP/1.1\r\n\r\n")).response(head);
        assert_eq!(wire.finished().len(), 1, "{head}");
        assert_eq!(int(wire.only(), "http.response.body.size"), None);
        wire.request(GET).response(OK);
        assert_eq!(wire.finished().len(), 2, "{head}");
    }
}

#[test]
fn interim_responses_do_not_end_the_exchange() {
    let mut wire = Wire::server();
    wire.request("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    wire.response("HTTP/1.1 100 Continue\r\n\r\n");
    wire.response("HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\n");
    wire.request("abc").response(OK);
    assert_eq!(wire.summary(), ["POST /a 200"]);
    assert_eq!(wire.only().response.unwrap().first.time, 5 * TICK);
}

#[test]
fn a_client_that_got_no_leave_to_continue_may_skip_the_body() {
    let mut wire = Wire::server();
    let post = "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 400\r\n\r\n";
    wire.request(post).response("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["POST /a 417", "GET /a 200"]);
}

#[test]
fn a_response_before_the_end_of_the_request_ends_the_exchange() {
    let mut wire = Wire::server();
    wire.request("POST /a HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345");
    wire.response("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(wire.summary(), ["POST /a 413"]);
    assert_eq!(wire.only().end, 2 * TICK);
    wire.request(format!("67890{GET}")).response(OK);
    assert_eq!(wire.summary(), ["POST /a 413", "GET /a 200"], "the rest of the body is skipped");
}

#[test]
fn an_upgrade_ends_the_exchange_and_http() {
    let mut wire = Wire::server();
    wire.request("GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    wire.response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x01\x02");
    assert_eq!(wire.summary(), ["GET /chat 101"]);
    assert_eq!(wire.progress, Progress::Left);
}

#[test]
fn an_upgrade_that_is_not_taken_stays_http() {
    let mut wire = Wire::server();
    wire.request("GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").response(OK);
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["GET /chat 200", "GET /a 200"]);
}

#[test]
fn a_tunnel_leaves_http_and_a_refused_one_does_not() {
    let connect = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n";
    let mut wire = Wire::client();
    wire.request(connect).response("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno");
    wire.request(connect).response("HTTP/1.1 200 Connection established\r\n\r\n");
    assert_eq!(wire.summary(), ["CONNECT 407 error 407", "CONNECT 200"]);
    assert_eq!(wire.progress, Progress::Left);
}

#[test]
fn bytes_sent_ahead_into_a_tunnel_are_no_request() {
    let mut wire = Wire::client();
    wire.request("CONNECT h:1 HTTP/1.1\r\n\r\n\x16\x03\x01").response("HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(wire.summary(), ["CONNECT 200"]);
}

#[test]
fn http_1_0_bodies_end_with_the_connection() {
    let mut wire = Wire::server();
    wire.request("GET /a HTTP/1.0\r\n\r\n").response("HTTP/1.0 200 OK\r\n\r\nsome").response("thing");
    assert!(wire.finished().is_empty());
    wire.end(Response, End::Finished);
    assert_eq!(wire.summary(), ["GET /a 200"]);
    assert_eq!(wire.only().end, 3 * TICK, "the last byte, not the close after it");
    wire.end(Request, End::Closed);
    assert_eq!(wire.finished().len(), 1);
}

#[test]
fn http_1_0_may_keep_alive_with_a_length() {
    let mut wire = Wire::server();
    for _ in 0..2 {
        wire.request("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        wire.response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx");
    }
    assert_eq!(wire.summary(), ["GET /a 200"; 2]);
}

#[test]
fn transfer_encoding_overrides_content_length() {
    let mut wire = Wire::server();
    wire.request("POST /a HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    wire.response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 100\r\n\r\n0\r\n\r\n");
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["POST /a 200", "GET /a 200"]);
}

#[test]
fn equal_content_lengths_are_one_and_different_ones_end_with_the_next_request() {
    for same in ["Content-Length: 2\r\nContent-Length: 2", "Content-Length: 2, 2"] {
        let mut wire = Wire::server();
        wire.request(GET).response(format!("HTTP/1.1 200 OK\r\n{same}\r\n\r\nok"));
        assert_eq!(wire.summary(), ["GET /a 200"]);
        assert_eq!(int(wire.only(), "http.response.body.size"), Some(2));
    }
    for bad in ["Content-Length: 2\r\nContent-Length: 3", "Content-Length: +2", "Content-Length: 99999999999999999999"]
    {
        let mut wire = Wire::server();
        wire.request(GET).response(format!("HTTP/1.1 200 OK\r\n{bad}\r\n\r\nok"));
        assert!(wire.finished().is_empty(), "{bad}");
        wire.request(GET).response(OK);
        assert_eq!(wire.summary(), ["GET /a 200"; 2], "{bad}");
        assert_eq!(wire.finished()[0].end, 2 * TICK);
    }
}

#[test]
fn bare_line_feeds_folded_lines_and_blank_lines_are_forgiven() {
    let mut wire = Wire::server();
    wire.request("\r\nGET /a HTTP/1.1\nHost: h\n\n");
    wire.response("HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok\r\n");
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["GET /a 200"; 2]);
}

#[test]
fn a_broken_header_line_does_not_hide_the_others() {
    let mut wire = Wire::server();
    wire.request("POST /a HTTP/1.1\r\nbad header: x\r\nContent-Length: 2\r\n\r\nab").response(OK);
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["POST /a 200", "GET /a 200"]);
}

#[test]
fn heads_with_hundreds_of_fields_are_read() {
    let fields = (0..500).map(|n| format!("X-{n}: v\r\n")).collect::<String>();
    let mut wire = Wire::server();
    wire.request(format!("GET /a HTTP/1.1\r\n{fields}Content-Length: 0\r\n\r\n"));
    wire.response(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"));
    assert_eq!(wire.summary(), ["GET /a 200"]);
}

#[test]
fn a_response_that_nobody_asked_for_is_ignored_and_skipped() {
    let mut wire = Wire::server();
    wire.response("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nHTTP/1.1 500").response(" inside the body..");
    assert!(wire.out.is_empty());
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["GET /a 200"]);
}

#[test]
fn a_timeout_message_on_an_idle_connection_is_ignored() {
    let mut wire = Wire::client();
    wire.request(GET).response(OK);
    wire.response("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n").end(Response, End::Finished);
    assert_eq!(wire.summary(), ["GET /a 200"]);
}
