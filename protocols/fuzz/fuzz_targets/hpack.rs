//! Our HPACK against loona-hpack's, block after block: where both read a list, it is the same list. A decoder that
//! joined late says of each field what the other says, or nothing.
//!
//! The input is a list of blocks, each after its length in one byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirespan_protocols::http2::hpack::{Decoder, Fields, Outcome};

/// What a decoder may hold, bytes.
const MAX_BYTES: usize = 1024 * 1024;

fn decode<'f>(decoder: &mut Decoder, block: &[u8], fields: &'f mut Fields) -> (Outcome, &'f Fields) {
    fields.clear();
    let outcome = decoder.decode(block, fields);
    assert!(decoder.bytes() < MAX_BYTES && fields.bytes() < MAX_BYTES);
    (outcome, fields)
}

/// Whether `late` contradicts `whole` nowhere.
fn agrees(late: &Fields, whole: &Fields) -> bool {
    late.iter().zip(whole.iter()).all(|((name, value), (known_name, known_value))| {
        (name.is_none() || name == known_name) && (value.is_none() || value == known_value)
    })
}

fuzz_target!(|input: &[u8]| {
    let (mut theirs, mut ours, mut late) = (loona_hpack::Decoder::new(), Decoder::new(), Decoder::joined_late());
    let (mut fields, mut few) = (Fields::default(), Fields::default());
    let mut rest = input;
    for n in 0.. {
        let [len, bytes @ ..] = rest else { return };
        let (block, next) = bytes.split_at(usize::from(*len).min(bytes.len()));
        rest = next;
        let (outcome, fields) = decode(&mut ours, block, &mut fields);
        // (The first block is what it missed.)
        let late = (n > 0).then(|| decode(&mut late, block, &mut few));
        if outcome != Outcome::Whole {
            return;
        }
        if let Some((outcome, few)) = late {
            assert_eq!(outcome, Outcome::Whole, "less is known, and nothing is wrong");
            assert!(agrees(few, fields), "{few:?} contradicts {fields:?}");
        }
        // The two differ in what they forgive: sizes beyond a limit, and size updates in the middle.
        let Ok(list) = theirs.decode(block) else { return };
        let list: Vec<_> = list.iter().map(|(n, v)| (Some(&n[..]), Some(&v[..]))).collect();
        assert_eq!(fields.iter().collect::<Vec<_>>(), list);
    }
});
