//! Bytes that passed uncaptured: bodies survive, doubts drop, nothing is settled wrong.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::Progress;

use crate::wire::*;

/// A body of `size` bytes in frames of `largest`.
fn body(size: usize, largest: usize) -> Vec<u8> {
    vec![b'x'; size].chunks(largest).flat_map(|piece| frame(3, 1, piece)).collect()
}

#[test]
fn a_large_body_of_many_frames_is_skipped_to_the_byte() {
    let message = [publish_method(1, "", "q", false), header(1, 1_000_000), body(1_000_000, 131_064)].concat();
    for captured in [100, 4096, 131_000, 140_000, 500_000] {
        let mut wire = Wire::opened();
        wire.operation(Request, &message[..captured], (message.len() - captured) as u64);
        assert_eq!(wire.summary(), ["producer publish q"], "{captured}");
        wire.request(publish("", "next", b"x"));
        assert_eq!(wire.summary(), ["producer publish q", "producer publish next"], "{captured}");
        assert_eq!(int(wire.finished()[0], "messaging.message.body.size"), Some(1_000_000));
        assert!(wire.dropped().is_empty());
    }
}

#[test]
fn a_large_body_in_many_operations_ends_with_the_last() {
    let message = [publish_method(1, "", "q", false), header(1, 300_000), body(300_000, 131_064)].concat();
    let mut wire = Wire::opened();
    for piece in message.chunks(50_000) {
        let captured = piece.len().min(1024);
        wire.operation(Request, &piece[..captured], (piece.len() - captured) as u64);
    }
    assert_eq!((wire.only().end, wire.only().request.last.time), (wire.time, wire.time));
}

#[test]
fn the_agreed_size_of_frames_is_enough_to_skip_a_body() {
    let mut wire = Wire::client();
    wire.request(b"AMQP\0\0\x09\x01").request(method(0, 10, 31, &[7, 255, 0, 2, 0, 0, 0, 60]));
    wire.request([publish_method(1, "", "q", false), header(1, 300_000)].concat());
    wire.operation(Request, b"", body(300_000, 131_064).len() as u64).request(publish("", "next", b"x"));
    assert_eq!(wire.summary(), ["producer publish q", "producer publish next"]);
    assert!(wire.dropped().is_empty());
}

#[test]
fn a_body_that_does_not_go_on_as_expected_is_dropped_with_what_follows() {
    let mut wire = Wire::opened();
    let start = [publish_method(1, "", "q", false), header(1, 10_000), frame(3, 1, &[b'x'; 1000])].concat();
    wire.operation(Request, &start, 500).request(publish("", "next", &[b'y'; 2000]));
    assert_eq!(wire.dropped(), [0]);
    assert_eq!(wire.progress, Progress::Continue);
    wire.request(publish("", "later", b"x"));
    assert_eq!(wire.summary(), ["producer publish later"]);
}

#[test]
fn properties_cut_short_keep_what_came_before_the_cut() {
    let context = table(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]);
    let mut properties = context.clone();
    properties.extend(short("a correlation id, which is hidden"));
    let head = header_with(1, 5, 1 << 13 | 1 << 10, &properties);
    let message = [publish_method(1, "", "q", false), head, frame(3, 1, b"hello")].concat();
    let mut wire = Wire::opened();
    let captured = message.len() - 13 - 20;
    wire.operation(Request, &message[..captured], (message.len() - captured) as u64);
    assert!(wire.started()[0].context.is_some());
    assert_eq!(wire.summary(), ["producer publish q"]);
}

#[test]
fn properties_cut_short_make_no_key() {
    let properties = [short("correlation"), short("message")].concat();
    let head = header_with(1, 0, 1 << 10 | 1 << 7, &properties);
    let message = [publish_method(1, "", "q", false), head].concat();
    let mut wire = Wire::opened();
    wire.operation(Request, &message[..message.len() - 5], 5);
    assert_eq!(wire.started()[0].message, None, "the message id was hidden: the correlation id is not the key");
}

#[test]
fn hidden_requests_drop_deliveries_that_they_may_have_settled() {
    let mut wire = Wire::opened();
    wire.request(consume("c", "jobs", false)).response(deliver("c", 1, "jobs", b"x"));
    wire.operation(Request, b"", 21);
    assert_eq!(wire.dropped(), [0]);
    wire.response(deliver("c", 2, "jobs", b"x")).request(ack(2, false)).response(deliver("c", 3, "jobs", b"x"));
    wire.request(ack(3, true));
    assert_eq!(wire.finished()[1].end, wire.time, "known anew to settle");
}

#[test]
fn hidden_responses_drop_publishes_that_they_may_have_confirmed() {
    let mut wire = Wire::opened();
    wire.request(confirm_select()).request(publish("", "a", b"x"));
    wire.operation(Response, b"", 21);
    assert_eq!(wire.dropped(), [0]);
    wire.request(publish("", "b", b"x")).response(ack(2, true));
    assert_eq!(wire.summary(), ["producer publish b"]);
    assert_eq!(wire.only().end, wire.time);
}

#[test]
fn hidden_publishes_make_numbers_unknown() {
    let mut wire = Wire::opened();
    wire.request(confirm_select()).operation(Request, b"", 50);
    wire.request(publish("", "b", b"x"));
    assert_eq!(wire.only().end, wire.time, "which confirmation is its own cannot be known");
    wire.response(ack(1, false)).response(nack(2, false));
    assert_eq!(wire.summary(), ["producer publish b"]);
}

#[test]
fn a_get_is_not_given_the_answer_to_a_hidden_one() {
    let mut wire = Wire::opened();
    wire.request(get("a")).operation(Request, b"", 16);
    wire.response(got(1, "a", b"x")).response(got(2, "b", b"x"));
    assert!(wire.summary().is_empty());
    assert_eq!(wire.dropped().len(), 1, "it is counted");
    wire.request(get("c")).response(got(3, "c", b"x"));
    assert_eq!(wire.summary(), ["client receive c"]);
}

#[test]
fn what_comes_after_a_gap_within_an_operation_is_not_believed() {
    let mut wire = Wire::opened();
    wire.operation(Request, b"", 10).data(Request, &publish("", "evil", b"x"));
    assert!(wire.out.is_empty());
    wire.request(publish("", "good", b"x"));
    assert_eq!(wire.summary(), ["producer publish good"]);
}

#[test]
fn a_client_that_reads_heads_and_payloads_one_by_one_is_found_again() {
    let mut wire = Wire::client();
    wire.response(b"the rest of a payload\xce");
    for n in 1..3 {
        let frame = deliver("c", n, "jobs", b"x");
        wire.response(&frame[..7]).response(&frame[7..]);
    }
    assert_eq!(wire.summary(), ["consumer process jobs"; 2]);
}

#[test]
fn gaps_never_end_a_parser_nor_take_for_ever() {
    let mut wire = Wire::opened();
    let start = [publish_method(1, "", "q", false), header(1, u64::MAX), frame(3, 1, b"x")].concat();
    wire.operation(Request, &start, u64::MAX / 4).operation(Response, b"", u64::MAX / 4);
    wire.request(publish("", "next", b"x"));
    assert_eq!(wire.progress, Progress::Continue);
}
