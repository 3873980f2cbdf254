//! FastCGI, record by record.

use wirespan_protocols::exchange::{Exchange, Output, Reason, Status, Value};
use wirespan_protocols::fastcgi::detect;
use wirespan_protocols::{Detection, Direction, End, Progress};

use crate::wire::{Wire, int, text, value};

fn record(kind: u8, number: u16, content: &[u8]) -> Vec<u8> {
    let padding = content.len().wrapping_neg() % 8;
    let [n1, n0] = number.to_be_bytes();
    let [l1, l0] = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[1, kind, n1, n0, l1, l0, padding as u8, 0], content, &[0; 8][..padding]].concat()
}

fn pair(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| match text.len() {
        short @ 0..128 => vec![short as u8],
        long => (long as u32 | 1 << 31).to_be_bytes().to_vec(),
    };
    [length(name), length(value), name.into(), value.into()].concat()
}

fn begin(number: u16) -> Vec<u8> {
    record(1, number, &[0, 1, 1, 0, 0, 0, 0, 0])
}

fn params(number: u16, pairs: &[(&str, &str)]) -> Vec<u8> {
    let all: Vec<u8> = pairs.iter().flat_map(|(name, value)| pair(name, value)).collect();
    [record(4, number, &all), record(4, number, b"")].concat()
}

fn request(number: u16, uri: &str) -> Vec<u8> {
    let pairs = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", uri), ("SERVER_PROTOCOL", "HTTP/1.1")];
    [begin(number), params(number, &pairs), record(5, number, b"")].concat()
}

fn end(number: u16) -> Vec<u8> {
    record(3, number, &[0; 8])
}

fn response(number: u16, text: &str) -> Vec<u8> {
    [record(6, number, text.as_bytes()), end(number)].concat()
}

fn described(pairs: &[(&str, &str)], mut wire: Wire) -> Exchange {
    wire.request([begin(1), params(1, pairs)].concat()).response(response(1, "A: b\r\n\r\nbody"));
    wire.only().clone()
}

const ASKED: [(&str, &str); 13] = [
    ("REQUEST_METHOD", "POST"),
    ("REQUEST_URI", "/users/42?token=s3cret"),
    ("SCRIPT_NAME", "/index.php"),
    ("SERVER_PROTOCOL", "HTTP/2.0"),
    ("HTTP_HOST", "shop.test"),
    ("SERVER_NAME", "_"),
    ("SERVER_PORT", "8443"),
    ("HTTPS", "on"),
    ("REMOTE_ADDR", "192.0.2.7"),
    ("CONTENT_LENGTH", "17"),
    ("HTTP_USER_AGENT", "curl"),
    ("HTTP_AUTHORIZATION", "Bearer s3cret"),
    ("HTTP_TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
];

#[test]
fn variables_are_the_request_that_the_proxy_was_asked() {
    let exchange = described(&ASKED, Wire::server());
    assert_eq!(exchange.name, "POST /users/{id}");
    for (key, expected) in [
        ("http.request.method", "POST"),
        ("network.protocol.version", "2"),
        ("url.scheme", "https"),
        ("url.path", "/users/42"),
        ("url.query", "token=REDACTED"),
        ("url.template", "/users/{id}"),
        ("server.address", "shop.test"),
        ("client.address", "192.0.2.7"),
        ("user_agent.original", "curl"),
    ] {
        assert_eq!(text(&exchange, key), Some(expected), "{key}");
    }
    assert_eq!(int(&exchange, "server.port"), Some(8443));
    assert_eq!(int(&exchange, "http.request.body.size"), Some(17));
    assert_eq!(int(&exchange, "http.response.body.size"), Some(4));
    assert_eq!(int(&exchange, "http.response.status_code"), Some(200));
    assert!(!format!("{exchange:?}").contains("s3cret"));
}

#[test]
fn the_proxys_call_says_where_it_goes_as_one_url() {
    let exchange = described(&ASKED, Wire::client());
    assert_eq!(text(&exchange, "url.full"), Some("https://shop.test:8443/users/42?token=REDACTED"));
    assert_eq!(int(&exchange, "server.port"), Some(8443));
    assert_eq!(value(&exchange, "client.address"), None);
}

#[test]
fn a_request_carries_the_context_of_its_header_fields() {
    let mut wire = Wire::server();
    wire.request([begin(1), params(1, &ASKED)].concat());
    let context = wire.started()[0].context.clone().expect("a context");
    assert_eq!(context.trace_id[..2], [0x4b, 0xf9]);
    let b3 = [("HTTP_X_B3_TRACEID", "463ac35c9f6413ad48485a3953bb6124"), ("HTTP_X_B3_SPANID", "a2fb4a1d1a96d312")];
    let mut wire = Wire::server();
    wire.request([begin(1), params(1, &b3)].concat());
    assert_eq!(wire.started()[0].context.as_ref().map(|c| c.span_id[0]), Some(0xa2));
}

#[test]
fn what_a_proxy_was_told_of_the_client_goes_before_what_it_saw() {
    let forwarded = ("HTTP_X_FORWARDED_FOR", "198.51.100.1, 10.0.0.1");
    let exchange = described(&[&ASKED[..], &[forwarded]].concat(), Wire::server());
    assert_eq!(text(&exchange, "client.address"), Some("198.51.100.1"));
}

#[test]
fn a_path_is_put_together_where_no_uri_is_told() {
    let parts = [("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/app"), ("PATH_INFO", "/n/7"), ("QUERY_STRING", "a=b")];
    let exchange = described(&parts, Wire::server());
    assert_eq!((&*exchange.name, text(&exchange, "url.query")), ("GET /app/n/{id}", Some("a=REDACTED")));
}

#[test]
fn variables_come_over_many_records_and_may_be_long() {
    let long = "x".repeat(300);
    let pairs = [pair("REQUEST_METHOD", "GET"), pair("X", &long), pair("REQUEST_URI", "/late")].concat();
    let records: Vec<u8> = pairs.chunks(7).flat_map(|piece| record(4, 9, piece)).collect();
    let mut wire = Wire::server();
    wire.request([begin(9), records, record(4, 9, b"")].concat()).response(response(9, "A: b\r\n\r\n"));
    assert_eq!(wire.summary(), ["GET /late 200"]);
}

#[test]
fn the_status_is_what_the_script_says() {
    for (head, code) in [
        ("Status: 404 Not Found\r\n\r\n", 404),
        ("X: y\nstatus:503\n\n", 503),
        ("Location: /x\r\n\r\n", 302),
        ("Status: 201\r\nLocation: /x\r\n\r\n", 201),
        ("HTTP/1.1 418 T\r\nA: b\r\n\r\n", 418),
        ("Content-Type: text/html\r\n\r\nStatus: 500\r\n\r\n", 200),
    ] {
        let mut wire = Wire::server();
        wire.request(request(1, "/")).response(response(1, head));
        assert_eq!(int(wire.only(), "http.response.status_code"), Some(code), "{head}");
    }
}

#[test]
fn requests_at_the_same_time_are_told_apart_by_their_numbers() {
    let mut wire = Wire::server();
    wire.request(request(1, "/a")).request(request(2, "/b"));
    wire.response(record(6, 2, b"Status: 202 A\r\n\r\n")).response(record(6, 1, b"Status: 201 C\r\n\r\n"));
    wire.response(end(2)).response(end(1));
    assert_eq!(wire.summary(), ["GET /b 202", "GET /a 201"]);
}

#[test]
fn what_the_application_complains_of_is_an_event_without_what_it_quotes() {
    let said = b"PHP message: PHP Fatal error:  Uncaught E: no 's3cret' in /a.php:3\nStack trace:\n#0 f('pw')";
    let mut wire = Wire::server();
    wire.request(request(1, "/")).response([record(7, 1, said), response(1, "Status: 500 E\r\n\r\n")].concat());
    let [event] = &wire.only().events[..] else { panic!("{:?}", wire.only().events) };
    assert_eq!(event.name, "wirespan.stderr");
    let expected = "PHP message: PHP Fatal error:  Uncaught E: no ? in /a.php:3";
    assert_eq!(event.attributes[0].value, Value::Str(expected.into()));
    assert_eq!(wire.summary(), ["GET / 500 error 500"]);
}

#[test]
fn a_worker_that_dies_is_an_error_of_the_connection() {
    for (mut wire, end, error) in [
        (Wire::client(), End::Closed, "connection_closed"),
        (Wire::client(), End::Reset, "connection_reset"),
        (Wire::server(), End::LetGo, "connection_closed"),
    ] {
        wire.request(request(1, "/die")).response(record(6, 1, b"A: b\r\n\r\nhalf")).end(Direction::Response, end);
        assert_eq!(wire.summary(), [format!("GET /die 200 error {error}")]);
        assert_eq!(value(wire.only(), "http.response.body.size"), None);
    }
}

#[test]
fn what_the_server_refuses_or_leaves_out_is_an_error() {
    let mut wire = Wire::client();
    wire.request(request(1, "/")).response(record(3, 1, &[0, 0, 0, 0, 2, 0, 0, 0]));
    assert_eq!(wire.summary(), ["GET / error overloaded"]);
    wire.request(request(1, "/")).response(end(1));
    assert_eq!(wire.summary()[1], "GET / error invalid_response");
}

#[test]
fn a_request_that_is_aborted_was_given_up() {
    let mut wire = Wire::server();
    wire.request(request(1, "/")).request(record(2, 1, b"")).response(response(1, "A: b\r\n\r\n"));
    assert_eq!((wire.only().status.clone(), value(wire.only(), "wirespan.given_up").is_some()), (Status::Unset, true));
    let mut wire = Wire::client();
    wire.request(request(1, "/")).request(record(2, 1, b"")).response(response(1, "A: b\r\n\r\n"));
    assert_eq!(wire.summary(), ["GET / 200 error given_up"]);
}

#[test]
fn a_hidden_end_comes_with_the_next_request_and_a_hidden_status_is_said_to_be_unknown() {
    let mut wire = Wire::server();
    wire.request(request(1, "/a")).response(record(6, 1, b"A: b\r\n\r\n"));
    wire.lose(Direction::Response, 100);
    wire.request(request(1, "/b")).response(response(1, "Status: 404 N\r\n\r\n"));
    assert_eq!(wire.summary(), ["GET /a 200", "GET /b 404"]);
    let mut wire = Wire::server();
    let answer = response(1, "Status: 404 N\r\n\r\n");
    wire.request(request(1, "/a"));
    wire.data(Direction::Response, &answer[..10]).gap(Direction::Response, 10);
    wire.data(Direction::Response, &answer[20..]);
    assert_eq!(wire.summary(), ["GET /a"]);
    let unknown = Value::StrArray(vec!["http.response.status_code".into()]);
    assert_eq!(value(wire.only(), "wirespan.unknown"), Some(&unknown));
}

#[test]
fn where_records_of_both_directions_are_missing_nothing_is_told() {
    let mut wire = Wire::server();
    wire.request(request(1, "/a")).response(record(6, 1, b"A: b\r\n\r\n"));
    wire.lose(Direction::Response, 100);
    wire.lose(Direction::Request, 100);
    wire.lose(Direction::Response, 100);
    wire.request(request(1, "/c")).response(response(1, "Status: 404 N\r\n\r\n"));
    assert_eq!(wire.summary(), ["GET /c 404"]);
    let reasons: Vec<_> = wire
        .out
        .iter()
        .filter_map(|o| if let Output::Dropped { reason, .. } = o { Some(*reason) } else { None })
        .collect();
    assert_eq!(reasons, [Reason::Gap]);
}

#[test]
fn what_is_uploaded_is_not_taken_for_a_request_after_a_gap() {
    let mut wire = Wire::server();
    wire.request([begin(1), params(1, &[("REQUEST_METHOD", "PUT"), ("REQUEST_URI", "/up")])].concat());
    wire.lose(Direction::Request, 100);
    wire.request(request(1, "/hostile"));
    wire.response(response(1, "Status: 201 C\r\n\r\n"));
    assert_eq!(wire.summary(), ["PUT /up 201"]);
    wire.request(request(1, "/next")).response(response(1, "A: b\r\n\r\n"));
    assert_eq!(wire.summary(), ["PUT /up 201", "GET /next 200"]);
}

#[test]
fn detection_wants_a_whole_beginning() {
    let whole = request(1, "/");
    assert_eq!(detect(&whole), Detection::Match(Direction::Request));
    for end in 1..24 {
        assert_eq!(detect(&whole[..end]), Detection::NeedMore, "{end}");
        let mut wrong = whole.clone();
        // Lengths and padding may be anything.
        if ![6, 20, 21, 22].contains(&end) {
            wrong[end] ^= 0x55;
            assert_eq!(detect(&wrong), Detection::No, "{end}");
        }
    }
    assert_eq!(detect(&response(1, "A: b\r\n\r\n")), Detection::No);
}

#[test]
fn nonsense_ends_it() {
    let mut wire = Wire::server();
    wire.request(request(1, "/")).request(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!((wire.progress, wire.dropped().len()), (Progress::LostSync, 1));
}

#[test]
fn requests_without_end_take_no_more_than_they_may() {
    let mut wire = Wire::server();
    for number in 1..2000u16 {
        wire.request([begin(number), record(4, number, &[b'x'; 4000])].concat());
        assert!(wire.parser.buffered() < 1024 * 1024);
    }
}
