//! Bytes that passed uncaptured.

use wirespan_protocols::Direction::Response;
use wirespan_protocols::{End, Progress};

use crate::bytes::{END_STREAM, Peer, data, message};
use crate::streams::greeted;
use crate::wire::{TICK, Wire, int, text};

#[test]
fn a_gap_inside_data_changes_nothing() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.get(1, "/a"));
    let large = [server.status(0, 1, "200"), data(0, 1, &[0; 16_000])].concat();
    wire.response_cut(&large[..60], large.len() as u64 - 60).response(data(END_STREAM, 1, b"end"));
    wire.request(client.get(3, "/a")).response(server.status(END_STREAM, 3, "200"));
    assert_eq!(wire.summary(), ["GET /a 200", "GET /a 200"]);
    assert_eq!(int(wire.finished()[0], "http.response.body.size"), Some(16_003));
}

#[test]
fn a_gap_to_the_end_of_a_frame_that_ends_a_stream_ends_it() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.get(1, "/a"));
    let last = data(END_STREAM, 1, &[0; 9_000]);
    wire.response([&server.status(0, 1, "200"), &last[..9]].concat()).response_cut("", 9_000);
    assert_eq!(wire.summary(), ["GET /a 200"]);
    assert_eq!(wire.only().end, 5 * TICK);
}

#[test]
fn after_a_gap_over_frames_reading_goes_on_at_the_next_operation() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request([client.get(1, "/a"), client.get(3, "/b")].concat());
    wire.response_cut(server.status(0, 1, "200"), 50_000);
    wire.response(data(END_STREAM, 1, b"end"));
    wire.request(client.get(5, "/c")).response(server.status(END_STREAM, 5, "204"));
    assert_eq!(wire.summary(), ["GET /a 200", "GET /c 204"]);
    assert_eq!(int(wire.finished()[0], "http.response.body.size"), None, "part of it is hidden");
    wire.end(Response, End::Closed);
    assert_eq!(wire.dropped(), [1], "/b may have been answered");
}

#[test]
fn a_table_is_as_before_if_no_request_can_have_been_missed() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.get(1, "/a")).response(server.status(END_STREAM, 1, "200"));
    wire.request(client.call(3, "/s.V/Up", &[])).request_cut("", 40_000).response(server.trailers(3, "0"));
    wire.request(client.get(5, "/a")).response(server.status(END_STREAM, 5, "200"));
    assert_eq!(wire.summary(), ["GET /a 200", "s.V/Up OK", "GET /a 200"]);
}

#[test]
fn a_table_is_unknown_if_a_request_was_missed() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.get(1, "/a")).response(server.status(END_STREAM, 1, "200"));
    let missed = client.get(3, "/missed");
    wire.request_cut("", missed.len() as u64).response(server.status(END_STREAM, 3, "200"));
    wire.request(client.get(5, "/a")).response(server.status(END_STREAM, 5, "200"));
    wire.request(client.get(7, "/b")).response(server.status(END_STREAM, 7, "200"));
    assert_eq!(wire.summary(), ["GET /a 200", "GET 200", "GET /b 200"], "and /missed is nobody's name");
}

#[test]
fn a_head_cut_short_keeps_what_came_before_the_cut() {
    let (mut wire, mut client, mut server) = greeted();
    let long = "x".repeat(3000);
    let head = client.head(END_STREAM, 1, &[(":method", "GET"), (":path", "/long"), ("cookie", &long)]);
    wire.request_cut(&head[..200], head.len() as u64 - 200).response(server.status(END_STREAM, 1, "200"));
    assert_eq!(wire.summary(), ["GET /long 200"]);
    wire.request(client.get(3, "/b")).response(server.status(END_STREAM, 3, "200"));
    assert_eq!(wire.summary(), ["GET /long 200", "GET /b 200"]);
}

#[test]
fn a_reset_whose_reason_is_hidden_is_a_reset() {
    let (mut wire, mut client, _) = greeted();
    wire.request(client.get(1, "/a")).response_cut([0, 0, 4, 3, 0, 0, 0, 0, 1], 4);
    assert_eq!(wire.summary(), ["GET /a error stream_reset"]);
}

#[test]
fn the_only_call_of_a_connection_keeps_its_trailers_after_a_large_answer() {
    let (mut wire, mut client, mut server) = greeted();
    for stream in [1, 3] {
        wire.request([client.call(stream, "/s.V/Get", &[]), data(END_STREAM, stream, &message(1))].concat());
        wire.response(server.reply(stream)).response_cut(&data(0, stream, &message(9_000))[..100], 50_000);
        wire.response(server.trailers(stream, "5"));
    }
    assert_eq!(wire.summary(), ["s.V/Get NOT_FOUND", "s.V/Get NOT_FOUND"]);
    assert_eq!(int(wire.finished()[0], "wirespan.rpc.response.messages"), None);
}

#[test]
fn gaps_never_end_a_parser() {
    let mut wire = Wire::server();
    wire.request_cut("", u64::MAX / 4).response_cut("", u64::MAX / 4).request(Peer::new().get(1, "/a"));
    assert_eq!(wire.progress, Progress::Continue);
    wire.response(Peer::new().status(END_STREAM, 1, "200"));
    assert_eq!(text(wire.only(), "url.path"), Some("/a"));
}

#[test]
fn a_stream_that_is_silent_for_long_after_a_gap_is_waited_for() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request(client.call(1, "/s.V/Watch", &[])).response(server.reply(1)).request_cut("", 5_000);
    for n in 1..20 {
        wire.time += 60_000_000_000;
        wire.request(client.get(2 * n + 1, "/a")).response(server.status(END_STREAM, 2 * n + 1, "200"));
    }
    assert!(wire.dropped().is_empty());
    wire.response(server.trailers(1, "0"));
    assert_eq!(wire.summary().last().map(String::as_str), Some("s.V/Watch OK"));
}

/// Head and body of a response of `len` bytes in frames of `size`, and its end in a frame of its own or not.
fn large(server: &mut Peer, stream: u32, len: usize, size: usize, end_apart: bool) -> (Vec<u8>, Vec<u8>) {
    let length = len.to_string();
    let head = server.head(0, stream, &[(":status", "200"), ("content-length", &length)]);
    let mut bytes = Vec::new();
    let body = vec![0; len];
    let frames: Vec<&[u8]> = body.chunks(size).collect();
    for (n, payload) in frames.iter().enumerate() {
        let last = n + 1 == frames.len() && !end_apart;
        bytes.extend(data(if last { END_STREAM } else { 0 }, stream, payload));
    }
    if end_apart {
        bytes.extend(data(END_STREAM, stream, &[]));
    }
    (head, bytes)
}

/// As curl reads, 32 KiB at a time, and as nghttpd writes, three frames at a time; 16 KiB are captured. Wherever the last
/// header lies, the end is known.
#[test]
fn a_large_response_is_found_though_most_of_its_frames_are_hidden() {
    let forms = [(16_384, false), (16_384, true), (8_192, false), (16_375, true)];
    for (n, len) in (40_000..400_000).step_by(7_001).enumerate() {
        for (size, end_apart) in forms {
            let at_once = if n % 2 == 0 { 32_768 } else { 3 * (size + 9) };
            let (mut wire, mut client, mut server) = greeted();
            wire.request(client.get(1, "/big"));
            let (head, body) = large(&mut server, 1, len, size, end_apart);
            wire.response(head);
            for operation in body.chunks(at_once) {
                let seen = operation.len().min(16_384);
                wire.response_cut(&operation[..seen], (operation.len() - seen) as u64);
            }
            assert_eq!(wire.summary(), ["GET /big 200"], "{len} by {size}");
            assert_eq!(wire.only().end, wire.time, "{len} by {size}");
            assert_eq!(int(wire.only(), "http.response.body.size"), Some(len as i64));
            wire.request(client.get(3, "/next")).response(server.status(END_STREAM, 3, "204"));
            assert_eq!(wire.summary(), ["GET /big 200", "GET /next 204"]);
        }
    }
}

#[test]
fn what_is_hidden_between_the_frames_of_a_body_is_not_taken_for_it() {
    let (mut wire, mut client, mut server) = greeted();
    wire.request([client.get(1, "/big"), client.get(3, "/b")].concat());
    let (head, body) = large(&mut server, 1, 60_000, 16_384, false);
    let whole = [head, body].concat();
    // The other response comes among its frames, and shifts them.
    let at = whole.len() - (60_000 - 3 * 16_384) - 9;
    let other = [server.status(0, 3, "404"), data(END_STREAM, 3, b"none")].concat();
    let bytes = [&whole[..at], &other, &whole[at..]].concat();
    for operation in bytes.chunks(32_768) {
        let seen = operation.len().min(16_384);
        wire.response_cut(&operation[..seen], (operation.len() - seen) as u64);
    }
    wire.end(Response, End::Closed);
    for exchange in wire.finished() {
        let expected = if exchange.name == "GET /big" { "GET /big 200" } else { "GET /b 404" };
        assert!(crate::wire::summary(exchange).starts_with(expected), "{exchange:#?}");
    }
    assert!(!wire.dropped().is_empty(), "the end of one is hidden");
}
