//! Our HPACK against another's, and against blocks that other encoders made.

use proptest::prelude::*;
use wirespan_protocols::http2::hpack::{Decoder, Fields, Outcome};

use crate::bytes::Peer;

/// Fields as owned pairs; unknown parts are `None`.
type List = Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> (Outcome, List) {
    let mut fields = Fields::default();
    let outcome = decoder.decode(block, &mut fields);
    (outcome, fields.iter().map(|(n, v)| (n.map(<[u8]>::to_vec), v.map(<[u8]>::to_vec))).collect())
}

fn known(pairs: &[(Vec<u8>, Vec<u8>)]) -> List {
    pairs.iter().map(|(n, v)| (Some(n.clone()), Some(v.clone()))).collect()
}

/// Names that occur again and again, so that tables matter.
fn field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let name = prop_oneof![
        prop::sample::select(vec![":method", ":path", ":status", "user-agent", "x-a", "x-b", "cookie", "grpc-status"])
            .prop_map(|n| n.as_bytes().to_vec()),
        "[a-z-]{1,20}".prop_map(String::into_bytes),
    ];
    let value = prop_oneof![
        prop::sample::select(vec!["GET", "/", "200", "0", "same"]).prop_map(|v| v.as_bytes().to_vec()),
        "[ -~]{0,200}".prop_map(String::into_bytes),
    ];
    (name, value)
}

fn blocks() -> impl Strategy<Value = Vec<Vec<(Vec<u8>, Vec<u8>)>>> {
    prop::collection::vec(prop::collection::vec(field(), 0..12), 1..20)
}

fn encode(peer: &mut Peer, list: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    let owned: Vec<_> = list.iter().map(|(n, v)| (text(n), text(v))).collect();
    peer.block(&owned.iter().map(|(n, v)| (&n[..], &v[..])).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocks_mean_what_another_decoder_says(blocks in blocks()) {
        let (mut peer, mut theirs, mut ours) = (Peer::new(), loona_hpack::Decoder::new(), Decoder::new());
        for list in &blocks {
            let block = encode(&mut peer, list);
            let (outcome, fields) = decode(&mut ours, &block);
            prop_assert_eq!(outcome, Outcome::Whole);
            prop_assert_eq!(&fields, &known(list));
            prop_assert_eq!(known(&theirs.decode(&block).unwrap()), fields);
        }
    }

    #[test]
    fn what_another_encodes_is_decoded(blocks in blocks()) {
        let (mut encoder, mut decoder) = (loona_hpack::Encoder::new(), Decoder::new());
        for list in &blocks {
            let (outcome, fields) = decode(&mut decoder, &encoder.encode(list.iter().map(|(n, v)| (&n[..], &v[..]))));
            prop_assert_eq!(outcome, Outcome::Whole);
            prop_assert_eq!(fields, known(list));
        }
    }

    #[test]
    fn the_huffman_code_is_another_s(mut coded in prop::collection::vec(any::<u8>(), 1..100), ones in 0..8u32) {
        // Enough ones at the end for padding to be right often.
        *coded.last_mut().unwrap() |= (1 << ones) - 1;
        let block = [&b"\x40\x01a"[..], &[0x80 | coded.len() as u8], &coded].concat();
        let (outcome, fields) = decode(&mut Decoder::new(), &block);
        match loona_hpack::Decoder::new().decode(&block) {
            Ok(list) => prop_assert_eq!((outcome, fields), (Outcome::Whole, known(&list))),
            Err(_) => prop_assert_eq!(outcome, Outcome::Invalid),
        }
    }

    #[test]
    fn a_late_joiner_is_never_wrong(blocks in blocks(), joined in 0..20usize) {
        let (mut encoder, mut decoder) = (Peer::new(), Decoder::joined_late());
        for (n, list) in blocks.iter().enumerate() {
            let block = encode(&mut encoder, list);
            if n < joined {
                continue;
            }
            let (outcome, fields) = decode(&mut decoder, &block);
            prop_assert_eq!(outcome, Outcome::Whole);
            prop_assert_eq!(fields.len(), list.len());
            for ((name, value), (true_name, true_value)) in fields.iter().zip(list) {
                prop_assert!(name.as_ref().is_none_or(|n| n == true_name));
                prop_assert!(value.as_ref().is_none_or(|v| v == true_value));
            }
        }
    }

    #[test]
    fn hostile_blocks_give_what_another_decoder_gives(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6)) {
        let (mut theirs, mut ours) = (loona_hpack::Decoder::new(), Decoder::new());
        for block in &blocks {
            let (outcome, fields) = decode(&mut ours, block);
            match theirs.decode(block) {
                Ok(list) if outcome == Outcome::Whole => prop_assert_eq!(fields, known(&list)),
                // The two differ in what they forgive: sizes beyond a limit, and size updates in the middle.
                Ok(_) | Err(_) => break,
            }
        }
        prop_assert!(ours.bytes() < 256 * 1024);
    }
}

#[test]
fn every_byte_survives_the_huffman_code() {
    // RFC 7541, C.4.1 and C.6.1.
    let mut decoder = Decoder::new();
    let request = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let (outcome, fields) = decode(&mut decoder, request);
    assert_eq!(outcome, Outcome::Whole);
    assert_eq!(fields[3], (Some(b":authority".to_vec()), Some(b"www.example.com".to_vec())));
    // The indices of what was just inserted, and one too many.
    assert_eq!(decode(&mut decoder, b"\xbe").1, [(Some(b":authority".to_vec()), Some(b"www.example.com".to_vec()))]);
    assert_eq!(decode(&mut decoder, b"\xbf").0, Outcome::Invalid);
    assert_eq!(decode(&mut Decoder::joined_late(), b"\xbf"), (Outcome::Whole, vec![(None, None)]));
}

#[test]
fn padding_of_the_huffman_code_is_less_than_a_byte_of_ones() {
    for (block, expected) in [
        (&b"\x40\x81\x1f\x00"[..], Outcome::Whole),
        (b"\x40\x81\x18\x00", Outcome::Invalid),
        (b"\x40\x82\x1f\xff\x00", Outcome::Invalid),
        (b"\x40\x84\xff\xff\xff\xff\x00", Outcome::Invalid),
    ] {
        assert_eq!(decode(&mut Decoder::new(), block).0, expected, "{block:?}");
    }
}

#[test]
fn a_smaller_table_forgets_and_an_empty_one_is_known_again() {
    let mut decoder = Decoder::joined_late();
    assert_eq!(decode(&mut decoder, b"\xc0").0, Outcome::Whole, "an entry from before");
    decode(&mut decoder, b"\x20\x40\x01a\x01b");
    assert_eq!(decode(&mut decoder, b"\xbe").0, Outcome::Invalid, "nothing fits a table of no size");
    decode(&mut decoder, b"\x3f\xe1\x1f\x40\x01a\x01b");
    assert_eq!(decode(&mut decoder, b"\xbe").1, [(Some(b"a".to_vec()), Some(b"b".to_vec()))]);
    assert_eq!(decode(&mut decoder, b"\x82\x20").0, Outcome::Invalid, "an update after a field");
}
