//! What is HTTP/2, and what is not.

use proptest::prelude::*;
use wirespan_protocols::http2::detect;
use wirespan_protocols::{Detection, Direction};

use crate::bytes::{PREFACE, Peer, data, frame, settings, settings_ack};

#[test]
fn the_preface_and_the_first_settings_are_enough() {
    assert_eq!(detect(PREFACE), Detection::Match(Direction::Request));
    for at in 1..PREFACE.len() {
        assert_eq!(detect(&PREFACE[..at]), Detection::NeedMore, "{at}");
    }
    assert_eq!(detect(&settings()), Detection::Match(Direction::Response));
    assert_eq!(detect(&[frame(4, 0, 0, &[]), settings_ack()].concat()), Detection::Match(Direction::Response));
}

#[test]
fn other_protocols_are_not_http2() {
    let others: [&[u8]; 14] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x4a\x00\x00\x00\x0a5.5.5-10.11.6-MariaDB",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"\x00\x00\x00\x52\x00\x03\x00\x00user\0postgres\0database\0shop\0application_name\0psql\0\0",
        b"Q\x00\x00\x00\x0dSELECT 1\0",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x00\x00\x00\x1c\x00\x03\x00\x0b\x00\x00\x00\x01\x00\x08consumer\x00\x00\x00",
        b"AMQP\x00\x00\x09\x01",
        b"\x01\x00\x00\x00\x00\x01\x6a\x00\x0a\x00\x0a\x00\x00\x00\x1a",
        b"\x10\x2a\x00\x04MQTT\x04\x02\x00\x3c",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
    ];
    for bytes in others {
        assert!(!matches!(detect(bytes), Detection::Match(_)), "{bytes:?}");
    }
}

#[test]
fn control_frames_alone_are_not_enough() {
    let control =
        [frame(6, 0, 0, &[7; 8]), frame(8, 0, 0, &[0, 0, 1, 0]), settings_ack(), data(0, 1, b"body")].concat();
    assert_eq!(detect(&control), Detection::NeedMore);
}

#[test]
fn zeroes_are_not_http2() {
    for len in 0..200 {
        assert!(!matches!(detect(&vec![0; len]), Detection::Match(_)), "{len}");
    }
    // Messages with a length before them, of no more than zeroes.
    assert!(!matches!(detect(&[0, 0, 0, 4, 0, 0, 0, 0].repeat(9)), Detection::Match(_)));
    assert!(!matches!(detect(&[0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(9)), Detection::Match(Direction::Request)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_not_http2(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!matches!(detect(&bytes), Detection::Match(_)));
    }

    #[test]
    fn messages_behind_a_length_are_not_http2(messages in prop::collection::vec(prop::collection::vec(0..16u8, 0..40), 1..8)) {
        let framed: Vec<u8> = messages.iter().flat_map(|m| [&(m.len() as u32).to_be_bytes()[..], m].concat()).collect();
        prop_assert!(!matches!(detect(&framed), Detection::Match(_)));
    }

    #[test]
    fn a_damaged_chain_is_not_believed(at in 0..9usize, bit in 0..8u32) {
        let (mut peer, mut chain) = (Peer::new(), Vec::new());
        (0..3).for_each(|n| chain.extend(peer.get(2 * n + 1, "/a")));
        prop_assert_eq!(detect(&chain), Detection::Match(Direction::Request));
        chain[at] ^= 1 << bit;
        // (END_STREAM, padding of no length, priority and the number of the stream may be so.)
        let harmless = at == 4 || (5..9).contains(&at);
        prop_assert!(harmless || !matches!(detect(&chain), Detection::Match(_)), "byte {} bit {}", at, bit);
    }
}
