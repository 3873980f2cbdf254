//! Real conversations with bytes changed, pieces lost, and ends anywhere: nothing panics, grows, or ends twice.

use proptest::prelude::*;
use wirespan_protocols::{Direction, End, Progress, Role, Settings};

use crate::captures::{Operation, assert_balanced, captures};
use crate::wire::Wire;

/// What happens to one operation.
#[derive(Clone, Debug)]
enum Harm {
    None,
    Lost,
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Turned,
    Twice,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        6 => Just(Harm::None),
        1 => Just(Harm::Lost),
        2 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, with)| Harm::Flip(at, with)),
        2 => any::<prop::sample::Index>().prop_map(Harm::Cut),
        1 => Just(Harm::Turned),
        1 => Just(Harm::Twice),
    ]
}

fn feed(wire: &mut Wire, direction: Direction, bytes: &[u8], harm: &Harm) {
    let other = if direction == Direction::Request { Direction::Response } else { Direction::Request };
    match harm {
        Harm::None => wire.operation(direction, bytes, 0),
        Harm::Lost => wire.lose(direction, bytes.len() as u64),
        Harm::Turned => wire.operation(other, bytes, 0),
        Harm::Twice => wire.operation(direction, bytes, 0).operation(direction, bytes, 0),
        Harm::Cut(at) => {
            let cut = at.index(bytes.len());
            wire.operation(direction, &bytes[..cut], (bytes.len() - cut) as u64)
        }
        Harm::Flip(at, with) => {
            let mut bytes = bytes.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= with;
            wire.operation(direction, &bytes, 0)
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_harm_makes_a_parser_panic_or_grow(harms in prop::collection::vec(harm(), 1..40), keep: bool) {
        for capture in captures() {
            let settings = Settings { keep_query_text: keep, ..Settings::of(Role::Client) };
            let mut wire = Wire::with(capture.protocol, settings);
            for (operation, harm) in capture.operations.iter().zip(harms.iter().cycle()) {
                match operation {
                    Operation::Bytes(direction, bytes) => feed(&mut wire, *direction, bytes, harm),
                    Operation::End(direction) => {
                        wire.end(*direction, End::Finished);
                    }
                }
                prop_assert!(wire.parser.buffered() < 1024 * 1024);
                if wire.progress != Progress::Continue {
                    wire.end(Direction::Request, End::Unwatched);
                    assert_balanced(&wire.out, &capture.name);
                    wire = Wire::with(capture.protocol, settings);
                }
            }
            wire.end(Direction::Request, End::Unwatched);
            assert_balanced(&wire.out, &capture.name);
        }
    }
}
