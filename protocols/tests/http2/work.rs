//! What a frame costs, however many streams are open.

use std::time::{Duration, Instant};

use crate::bytes::Peer;
use crate::streams::greeted;
use crate::wire::Wire;

/// Frames and gaps that are timed.
const ROUNDS: u32 = 4_000;

/// A connection with so many streams open, all of which may have ended in a gap; and the next stream's number.
fn crowded(streams: u32) -> (Wire, Peer, u32) {
    let (mut wire, mut client, _) = greeted();
    let mut next = 1;
    for _ in 0..streams {
        wire.request(client.get(next, "/"));
        next += 2;
    }
    wire.response_cut("", 5_000);
    (wire, client, next)
}

/// The quickest of three: what else the machine does only adds.
fn quickest(mut run: impl FnMut() -> Duration) -> Duration {
    (0..3).map(|_| run()).min().unwrap()
}

/// That a full connection costs several times an empty one is the maps' doing; looking at each stream costs a thousand
/// times as much.
fn assert_alike(full: Duration, empty: Duration) {
    assert!(full < empty * 25, "{full:?} with streams open, {empty:?} without");
}

#[test]
fn a_stream_that_finds_no_room_among_doubtful_ones_costs_no_look_at_all_of_them() {
    let time = |streams: u32| {
        let (mut wire, mut client, first) = crowded(streams);
        let heads: Vec<Vec<u8>> = (0..ROUNDS).map(|n| client.get(first + 2 * n, "/")).collect();
        let started = Instant::now();
        for head in heads {
            wire.request(head);
        }
        started.elapsed()
    };
    assert_alike(quickest(|| time(1_800)), quickest(|| time(1)));
}

#[test]
fn a_gap_costs_no_look_at_all_streams() {
    let time = |streams: u32| {
        let (mut wire, ..) = crowded(streams);
        let started = Instant::now();
        for _ in 0..ROUNDS {
            wire.response_cut("", 5_000);
        }
        started.elapsed()
    };
    assert_alike(quickest(|| time(1_500)), quickest(|| time(1)));
}
