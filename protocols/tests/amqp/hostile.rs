//! Garbage, truncated, gigantic and binary bytes.

use wirespan_protocols::{Direction, Parser, Progress};

use crate::wire::*;

#[test]
fn bytes_that_are_no_amqp_lose_sync() {
    for garbage in [&b"\0\0\0\0\0\0\0\0"[..], b"not amqp at all", &[0xff; 100]] {
        for direction in [Direction::Request, Direction::Response] {
            let mut wire = Wire::opened();
            wire.operation(direction, garbage, 0);
            assert_eq!(wire.progress, Progress::LostSync);
        }
    }
}

#[test]
fn what_was_open_is_dropped_when_sync_is_lost() {
    let mut wire = Wire::opened();
    wire.request(confirm_select()).request(publish("", "q", b"x")).response("garbage garbage");
    assert_eq!((wire.progress, wire.dropped()), (Progress::LostSync, vec![0]));
}

#[test]
fn a_frame_without_its_end_loses_sync() {
    let mut wire = Wire::opened();
    let mut frame = publish("", "q", b"x");
    *frame.last_mut().unwrap() = 0;
    wire.request(frame);
    assert_eq!((wire.progress, wire.dropped()), (Progress::LostSync, vec![0]));
}

#[test]
fn a_method_of_the_other_side_loses_sync() {
    let mut wire = Wire::opened();
    wire.request(deliver_method("c", 1, "", "q"));
    assert_eq!(wire.progress, Progress::LostSync);
}

#[test]
fn a_body_longer_than_its_header_said_loses_sync() {
    let mut wire = Wire::opened();
    wire.request([publish_method(1, "", "q", false), header(1, 2), frame(3, 1, b"abc")].concat());
    assert_eq!(wire.progress, Progress::LostSync);
}

#[test]
fn a_message_without_its_end_is_replaced_by_the_next() {
    let mut wire = Wire::opened();
    wire.request([publish_method(1, "", "a", false), header(1, 10), publish("", "b", b"x")].concat());
    assert_eq!((wire.summary(), wire.dropped()), (vec!["producer publish b".to_owned()], vec![0]));
}

#[test]
fn gigantic_frames_hold_no_memory() {
    let mut wire = Wire::opened();
    wire.request([&[1, 0, 1, 0, 15, 0xff, 0xff][..], &[0, 60, 0, 40]].concat());
    for _ in 0..260 {
        wire.request([0; 4000]);
        assert!(wire.parser.buffered() < 256 * 1024);
    }
    let mut wire = Wire::opened();
    wire.request(publish_method(1, "", "q", false)).request([2, 0, 1, 0, 15, 0xff, 0xff]);
    wire.request([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for _ in 0..260 {
        wire.request([0; 4000]);
        assert!(wire.parser.buffered() < 256 * 1024);
    }
}

#[test]
fn thousands_of_open_messages_stay_within_bounds() {
    let mut wire = Wire::opened();
    wire.request(confirm_select()).request(consume("c", "q", false));
    let key = "k".repeat(250);
    for n in 1..5000 {
        wire.request(publish(&key, &key, b"x")).response(deliver("c", n, &key, b"x"));
        assert!(wire.parser.buffered() < 3 * 1024 * 1024);
    }
    assert_eq!(wire.started().len(), 9998);
    // Publishes beyond the bound end as if nobody confirmed them, deliveries are dropped.
    assert!(wire.finished().len() > 3000 && wire.dropped().len() > 3000);
}

#[test]
fn any_number_of_channels_stays_within_bounds() {
    let mut wire = Wire::opened();
    for channel in 1..=u16::MAX {
        wire.request(method(channel, 20, 10, b"\0")).request(publish_method(channel, "", "q", false));
        // 2048 of them are kept, each with what it awaits.
        assert!(wire.parser.buffered() < 3 * 1024 * 1024);
    }
}

#[test]
fn any_number_of_consumers_stays_within_bounds() {
    let mut wire = Wire::client();
    for n in 0..20_000u64 {
        wire.response(deliver(&n.to_string(), n + 1, "q", b"x"));
    }
    assert_eq!(wire.finished().len(), 20_000);
    assert!(wire.parser.buffered() < 1024 * 1024);
}
