//! What holds for any conversation, however it is cut, and for any bytes at all.

use proptest::prelude::*;
use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::{Direction, End, Progress, Role};

use crate::bytes::{END_STREAM, PREFACE, Peer, data, frame, goaway, greetings, message, reset, settings};
use crate::replay::assert_balanced;
use crate::wire::{Wire, int, text};

/// A conversation of `/n/x0` … whose statuses tell which request they answer: operations in causal order.
fn conversation(order: &[(prop::sample::Index, bool)], bodies: &[usize]) -> Vec<(Direction, Vec<u8>)> {
    let (greeting, answer) = greetings();
    let (mut client, mut server) = (Peer::new(), Peer::new());
    let mut operations = vec![(Request, greeting), (Response, answer)];
    let mut open: Vec<usize> = Vec::new();
    let mut asked = 0;
    for (index, ask) in order {
        if (*ask || open.is_empty()) && asked < 400 {
            operations.push((Request, client.get(2 * asked as u32 + 1, &format!("/n/x{asked}"))));
            open.push(asked);
            asked += 1;
        } else if !open.is_empty() {
            let n = open.swap_remove(index.index(open.len()));
            let stream = 2 * n as u32 + 1;
            let body = data(END_STREAM, stream, &vec![b'b'; bodies[n % bodies.len()]]);
            operations.push((Response, [server.status(0, stream, &(200 + n).to_string()), body].concat()));
        }
    }
    operations
}

fn assert_paired(wire: &Wire) {
    for exchange in wire.finished() {
        let Some(path) = text(exchange, "url.path") else { continue };
        let n: i64 =
            path.strip_prefix("/n/x").and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("invented {path}"));
        if let Some(status) = int(exchange, "http.response.status_code") {
            assert_eq!(status, 200 + n, "{exchange:#?}");
        }
    }
    assert_balanced(&wire.out, "");
}

/// Bytes that come close to HTTP/2.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let mut peer = Peer::new();
    let known: Vec<Vec<u8>> = vec![
        PREFACE.to_vec(),
        settings(),
        peer.get(1, "/a"),
        peer.call(3, "/s.V/M", &[("grpc-timeout", "1S")]),
        peer.status(0, 1, "200"),
        peer.trailers(3, "0"),
        peer.get(5, "/b")[..14].to_vec(),
        data(0, 3, &message(20)),
        data(END_STREAM, 1, b"x"),
        data(8, 1, b"\xff"),
        reset(1, 8),
        goaway(1),
        frame(1, 0, 7, b"\x82"),
        frame(9, 4, 7, b"\x84"),
        frame(5, 4, 1, b"\0\0\0\x02\x82\x84"),
        frame(1, 4, 9, b"\x3f\xe1\xff\xff\x7f"),
        frame(1, 4, 9, b"\xff\xff\xff\xff\x7f"),
    ];
    let any_frame = (0..12u8, any::<u8>(), 0..12u32, prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload));
    prop_oneof![
        6 => prop::sample::select(known),
        2 => any_frame,
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ]
}

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
    if up { Request } else { Response }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_stream_is_answered_by_its_own_response(
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..80),
        bodies in prop::collection::vec(0..3000usize, 1..5),
    ) {
        let mut wire = Wire::server();
        let operations = conversation(&order, &bodies);
        operations.iter().for_each(|(direction, bytes)| {
            wire.operation(*direction, bytes, 0);
        });
        wire.end(Response, End::Unwatched);
        let responses = operations.iter().filter(|(direction, _)| *direction == Response).count() - 1;
        prop_assert_eq!(wire.finished().len(), responses);
        assert_paired(&wire);
    }

    #[test]
    fn losses_never_pair_wrong_nor_name_wrong(
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..80),
        bodies in prop::collection::vec(0..3000usize, 1..5),
        losses in prop::collection::vec((0..1500usize, 0..4u8), 1..12),
    ) {
        let mut wire = Wire::server();
        for (n, (direction, bytes)) in conversation(&order, &bodies).iter().enumerate() {
            let (kept, how) = losses[n % losses.len()];
            let kept = match how {
                0 => kept.min(bytes.len()),
                1 => 0,
                _ => bytes.len(),
            };
            wire.operation(*direction, &bytes[..kept], (bytes.len() - kept) as u64);
        }
        wire.end(Response, End::Closed);
        assert_paired(&wire);
    }

    #[test]
    fn no_bytes_make_it_panic_or_grow(events in prop::collection::vec(event(), 0..60), client: bool) {
        let mut wire = Wire::new(if client { Role::Client } else { Role::Server });
        wire.request(PREFACE).response(settings());
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
            prop_assert!(wire.parser.buffered() < 1024 * 1024);
            if wire.progress != Progress::Continue {
                assert_balanced(&wire.out, "");
                wire = Wire::new(Role::Server);
            }
        }
        wire.end(Request, End::Unwatched);
        assert_balanced(&wire.out, "");
    }
}
