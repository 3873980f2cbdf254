//! Garbage, truncated, gigantic and binary bytes.

use wirespan_protocols::{Direction, Progress};

use crate::wire::Wire;

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn bytes_that_are_no_http_lose_sync() {
    for garbage in [&b"\x16\x03\x01\x02\x00"[..], b"\0\0\0\0", b"not http at all\r\n", &[0xff; 100]] {
        for direction in [Direction::Request, Direction::Response] {
            let mut wire = Wire::server();
            wire.operation(direction, garbage, 0);
            assert_eq!(wire.progress, Progress::LostSync);
            assert!(wire.out.is_empty());
        }
    }
}

#[test]
fn a_response_that_is_no_http_drops_the_request() {
    let mut wire = Wire::server();
    wire.request(GET).response("garbage");
    assert_eq!((wire.progress, wire.dropped()), (Progress::LostSync, vec![0]));
}

#[test]
fn garbage_after_a_request_does_not_take_its_response() {
    let mut wire = Wire::server();
    wire.request(format!("{GET}\0\0\0\0")).response(OK);
    assert_eq!(wire.summary(), ["GET /a 200"]);
}

#[test]
fn gigantic_heads_are_given_up() {
    for direction in [Direction::Request, Direction::Response] {
        let mut wire = Wire::server();
        wire.operation(
            direction,
            if direction == Direction::Request { b"GET / HTTP/1.1\r\n" } else { b"HTTP/1.1 200 OK\r\n" },
            0,
        );
        while wire.progress == Progress::Continue {
            wire.operation(direction, &[b"X: ".as_slice(), &[b'y'; 4000], b"\r\n"].concat(), 0);
            assert!(wire.parser.buffered() <= 128 * 1024);
            assert!(wire.time < 100 * crate::wire::TICK);
        }
        assert!(wire.out.is_empty());
        assert_eq!(wire.parser.buffered(), 0);
    }
}

#[test]
fn a_gigantic_head_in_one_segment_is_given_up() {
    let mut wire = Wire::server();
    wire.request(["GET / HTTP/1.1\r\nX: ", &"y".repeat(100_000), "\r\n\r\n"].concat());
    assert_eq!(wire.progress, Progress::LostSync);
    assert!(wire.out.is_empty());
}

#[test]
fn chunk_sizes_that_overflow_are_no_chunks() {
    for size in ["ffffffffffffffffff", "", "-1", "+1", "0x10", "\0", "zz"] {
        let mut wire = Wire::server();
        wire.request(GET).response(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\nabc"));
        assert!(wire.finished().is_empty(), "{size}");
        wire.request(GET).response(OK);
        assert_eq!(wire.summary(), ["GET /a 200"; 2], "{size}");
    }
}

#[test]
fn endless_chunk_extensions_are_given_up() {
    let mut wire = Wire::server();
    wire.request(GET).response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    for _ in 0..100 {
        wire.response([b'x'; 1000]);
    }
    assert!(wire.parser.buffered() < 64 * 1024);
    wire.request(GET).response(OK);
    assert_eq!(wire.summary(), ["GET /a 200"; 2]);
}

#[test]
fn thousands_of_fat_requests_in_flight_stay_within_bounds() {
    let mut wire = Wire::server();
    let fat = format!("GET /{} HTTP/1.1\r\nUser-Agent: {}\r\n\r\n", "p/".repeat(8000), "u".repeat(30_000));
    for _ in 0..1200 {
        wire.request(&fat);
        assert!(wire.parser.buffered() < 2 * 1024 * 1024);
    }
    assert_eq!(wire.started().len(), 1200);
}
