//! AMQP 0-9-1 is recognised by grammar.

use wirespan_protocols::Detection::{self, Match, NeedMore, No};
use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::amqp::detect;

use crate::wire::*;

#[test]
fn the_protocol_header_is_a_client_s() {
    let header = b"AMQP\0\0\x09\x01";
    for cut in 0..8 {
        assert_eq!(detect(&header[..cut]), NeedMore, "{cut}");
    }
    assert_eq!(detect(header), Match(Request));
}

#[test]
fn other_versions_are_other_protocols() {
    for header in [b"AMQP\0\x01\0\0", b"AMQP\x03\x01\0\0", b"AMQP\x01\x01\0\x0a", b"AMQP\x02\x01\0\0"] {
        assert_eq!(detect(header), No);
    }
}

#[test]
fn methods_tell_who_sends_them() {
    for frame in [publish_method(1, "", "q", false), get("q"), consume("c", "q", true), confirm_select()] {
        assert_eq!(detect(&frame), Match(Request));
        assert_eq!(detect(&[heartbeat(), ack(1, false), frame].concat()), Match(Request));
    }
    for frame in [deliver_method("c", 1, "", "q"), got(1, "q", b"x"), method(1, 60, 72, b"\0")] {
        assert_eq!(detect(&frame), Match(Response));
    }
}

#[test]
fn frames_that_both_send_are_waited_beyond() {
    for frame in [heartbeat(), ack(1, false), nack(1, true), method(1, 20, 41, b"")] {
        assert_eq!(detect(&frame), NeedMore);
    }
    assert_eq!(detect(&heartbeat().repeat(100)), No, "the wait is bounded");
}

#[test]
fn a_prefix_of_a_method_needs_more() {
    let frame = publish_method(513, "exchange", "routing.key", false);
    for cut in 0..frame.len() {
        assert_eq!(detect(&frame[..cut]), NeedMore, "{cut}");
    }
}

#[test]
fn frames_that_are_not_quite_frames_are_none() {
    let sound = get("queue");
    let broken = |at: usize, byte: u8| {
        let mut frame = sound.clone();
        frame[at] = byte;
        frame
    };
    let last = sound.len() - 1;
    for frame in [broken(0, 4), broken(3, 1), broken(8, 61), broken(10, 99), broken(last, 0xcd), broken(6, 200)] {
        assert!(matches!(detect(&frame), No | NeedMore), "{}", frame.escape_ascii());
    }
    assert_eq!(detect(&broken(last, 0)), No);
    assert_eq!(detect(&method(0, 60, 40, &[0; 5])), No, "a channel's method on the connection's channel");
    assert_eq!(detect(&method(1, 10, 10, &[0; 5])), No, "and the other way round");
}

#[test]
fn contents_by_themselves_begin_nothing() {
    assert_eq!(detect(&header(1, 10)), No);
    assert_eq!(detect(&frame(3, 1, b"body")), No);
}

#[test]
fn other_protocols_are_not_amqp() {
    let others: [&[u8]; 14] = [
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x01\0\0\0\x0e\0",
        b"\x08\0\0\0\x03SELECT 1",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\x10\x0f\0\x04MQTT\x04",
        b"\x80\x01\0\0\0\0\0\0",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"AMQ\0\0\0",
        b"\x01\x02\x03\x04",
        b"\x08\x01",
        b"\xce\xce\xce",
    ];
    for other in others {
        assert_eq!(detect(other), No, "{}", other.escape_ascii());
    }
}

#[test]
fn the_registry_asks_for_amqp() {
    let matches = |p: &&wirespan_protocols::registry::Protocol| (p.detect)(&get("q")) == Detection::Match(Request);
    let found: Vec<_> = wirespan_protocols::registry::PROTOCOLS.iter().filter(matches).map(|p| p.name).collect();
    assert_eq!(found, ["amqp"]);
}
