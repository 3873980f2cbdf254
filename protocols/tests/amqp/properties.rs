//! What holds for any bytes.

use proptest::prelude::*;
use wirespan_protocols::{Direction, End, Parser, Progress, Role};

use crate::captures::assert_balanced;
use crate::wire::*;

/// Frames, sound and nearly so.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let known = vec![
        b"AMQP\0\0\x09\x01".to_vec(),
        method(1, 20, 10, b"\0"),
        method(1, 20, 40, &[1, 148, 0, 0, 0, 0, 0]),
        method(0, 10, 50, &[0, 200, 0, 0, 0, 0, 0]),
        method(0, 10, 31, &[7, 255, 0, 2, 0, 0, 0, 60]),
        confirm_select(),
        consume("c", "q", false),
        consume("d", "", true),
        publish("e", "k", b"body"),
        publish_method(1, "", "k", true),
        deliver("c", 1, "k", b"body"),
        deliver("d", 2, "k", b"body"),
        deliver_method("c", 3, "", "k"),
        get("q"),
        got(4, "k", b"body"),
        method(1, 60, 72, b"\0"),
        header(1, 4),
        header(1, u64::MAX),
        header_with(1, 4, 1 << 13, &table(&[("task", "t"), ("id", "i")])),
        frame(3, 1, b"body"),
        frame(3, 1, b"bo"),
        ack(1, false),
        ack(0, true),
        nack(2, true),
        heartbeat(),
        vec![3, 0, 1, 0, 0, 1, 0],
    ];
    prop_oneof![4 => prop::sample::select(known), 1 => prop::collection::vec(any::<u8>(), 0..60)]
}

/// What may happen to a parser.
#[derive(Clone, Debug)]
enum Event {
    Data(bool, Vec<u8>, bool),
    Gap(bool, u64),
    End(bool, End),
}

fn event() -> impl Strategy<Value = Event> {
    let end = prop::sample::select(vec![End::Finished, End::Reset, End::Closed, End::Unwatched]);
    prop_oneof![
        30 => (any::<bool>(), prop::collection::vec(almost(), 1..6), any::<bool>())
            .prop_map(|(up, parts, fresh)| Event::Data(up, parts.concat(), fresh)),
        5 => (any::<bool>(), prop_oneof![0..30u64, any::<u64>()]).prop_map(|(up, len)| Event::Gap(up, len)),
        1 => (any::<bool>(), end).prop_map(|(up, end)| Event::End(up, end)),
    ]
}

fn direction(up: bool) -> Direction {
    if up { Direction::Request } else { Direction::Response }
}

/// A conversation: messages of these sizes, published and confirmed, or delivered and settled.
fn conversation(sizes: &[(usize, bool)]) -> Vec<(Direction, Vec<u8>)> {
    let mut all = vec![
        (Direction::Request, [&b"AMQP\0\0\x09\x01"[..], &method(1, 20, 10, b"\0"), &confirm_select()].concat()),
        (Direction::Request, consume("c", "q", false)),
    ];
    let (mut published, mut delivered) = (0, 0);
    for (size, up) in sizes {
        let body: Vec<u8> = vec![b'x'; *size].chunks(100).flat_map(|piece| frame(3, 1, piece)).collect();
        let content = [header(1, *size as u64), body].concat();
        let key = format!("k{}", all.len());
        if *up {
            published += 1;
            all.push((Direction::Request, [publish_method(1, "", &key, false), content].concat()));
            all.push((Direction::Response, ack(published, false)));
        } else {
            delivered += 1;
            all.push((Direction::Response, [deliver_method("c", delivered, "", &key), content].concat()));
            all.push((Direction::Request, ack(delivered, false)));
        }
    }
    all
}

fn sizes() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((0..700usize, any::<bool>()), 1..6)
}

fn cuts(bytes: &[u8], places: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<_> = places.iter().map(|i| i.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_splits_equal_the_whole(sizes in sizes(), places in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let (mut whole, mut split) = (Wire::client(), Wire::client());
        for (direction, bytes) in conversation(&sizes) {
            whole.operation(direction, &bytes, 0);
            split.time += TICK;
            for piece in cuts(&bytes, &places).windows(2) {
                split.data(direction, &bytes[piece[0]..piece[1]]);
            }
        }
        prop_assert_eq!(&whole.out, &split.out);
        prop_assert_eq!(whole.finished().len(), sizes.len());
    }

    #[test]
    fn losses_never_settle_wrong(
        sizes in sizes(),
        losses in prop::collection::vec(prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..4), 1..8),
        separate: bool,
    ) {
        let (mut whole, mut lossy) = (Wire::client(), Wire::client());
        for (n, (direction, bytes)) in conversation(&sizes).into_iter().enumerate() {
            whole.operation(direction, &bytes, 0);
            lossy.time = whole.time - if separate { 10 } else { 0 };
            let loss = &losses[n % losses.len()];
            let cuts = cuts(&bytes, &loss.iter().map(|(place, _)| *place).collect::<Vec<_>>());
            for (n, piece) in cuts.windows(2).enumerate() {
                lossy.time += u64::from(separate);
                match loss.get(n) {
                    Some((_, true)) => lossy.gap(direction, (piece[1] - piece[0]) as u64),
                    _ => lossy.data(direction, &bytes[piece[0]..piece[1]]),
                };
            }
        }
        lossy.end(Direction::Response, End::Unwatched);
        assert_balanced(&lossy.out, "");
        for told in lossy.finished() {
            let real = whole.finished().into_iter().find(|e| e.request.first.position == told.request.first.position
                && text(e, "messaging.operation.name") == text(told, "messaging.operation.name"));
            let Some(real) = real else { panic!("invented {told:#?}") };
            // Unconfirmed, or settled in the operation in which it was.
            prop_assert!(told.response.is_none() || told.end.abs_diff(real.end) < TICK, "{told:#?} {real:#?}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_grow(events in prop::collection::vec(event(), 0..60), client: bool) {
        let mut wire = Wire::new(if client { Role::Client } else { Role::Server });
        for event in events {
            match event {
                Event::Data(up, bytes, fresh) => {
                    wire.time += u64::from(fresh);
                    wire.data(direction(up), &bytes);
                }
                Event::Gap(up, len) => {
                    wire.gap(direction(up), len >> 1);
                }
                Event::End(up, end) => {
                    wire.end(direction(up), end);
                }
            }
            prop_assert!(wire.parser.buffered() < 2 * 1024 * 1024);
            if wire.progress != Progress::Continue {
                assert_balanced(&wire.out, "lost sync");
                wire = Wire::new(Role::Client);
            }
        }
        wire.end(Direction::Request, End::Unwatched);
        assert_balanced(&wire.out, "");
    }
}
