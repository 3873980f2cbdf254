//! Real conversations (`captures/http1/*.json`), replayed in every way that a capture may see them.

use std::collections::HashMap;

use wirespan_protocols::exchange::Exchange;
use wirespan_protocols::{Progress, Role, registry};

use crate::replay::{self, Capture, Operation, assert_balanced};
use crate::wire::{Wire, summary};

fn captures() -> Vec<Capture> {
    replay::captures("http1", 12)
}

#[test]
fn whole_captures_give_the_exchanges_that_were_made() {
    for capture in captures() {
        let wire = capture.whole(Role::Server);
        assert_eq!(wire.summary(), capture.exchanges, "{}", capture.name);
        assert_eq!(wire.progress == Progress::Left, capture.leaves, "{}", capture.name);
        assert!(wire.dropped().is_empty(), "{}", capture.name);
        let client = capture.whole(Role::Client);
        assert_eq!(client.finished().len(), capture.exchanges.len(), "{}", capture.name);
    }
}

#[test]
fn the_first_operation_is_detected() {
    for capture in captures() {
        for operation in &capture.operations[..2] {
            let Operation::Bytes(direction, bytes) = operation else { panic!("{}", capture.name) };
            let found = registry::PROTOCOLS.iter().find(|p| (p.detect)(bytes) != wirespan_protocols::Detection::No);
            let found = found.map(|p| (p.name, (p.detect)(bytes)));
            let expected = Some(("http", wirespan_protocols::Detection::Match(*direction)));
            assert_eq!(found, expected, "{}", capture.name);
        }
    }
}

#[test]
fn a_split_anywhere_changes_nothing() {
    for capture in captures() {
        let expected = capture.whole(Role::Server).out;
        for (split_in, at, _) in capture.offsets() {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                let cut = if n == split_in { at } else { 0 };
                wire.data(direction, &bytes[..cut]).data(direction, &bytes[cut..]);
            });
            assert_eq!(wire.out, expected, "{} operation {split_in} at {at}", capture.name);
        }
    }
}

#[test]
fn an_operation_more_anywhere_changes_no_exchange() {
    for capture in captures() {
        for (split_in, at, _) in capture.offsets() {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                let cut = if n == split_in { at } else { 0 };
                wire.data(direction, &bytes[..cut]);
                wire.time += 1;
                wire.data(direction, &bytes[cut..]);
            });
            assert_eq!(wire.summary(), capture.exchanges, "{} operation {split_in} at {at}", capture.name);
        }
    }
}

#[test]
fn byte_by_byte_changes_nothing() {
    for capture in captures() {
        let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
            for byte in bytes {
                wire.data(direction, &[*byte]);
            }
        });
        assert_eq!(wire.out, capture.whole(Role::Server).out, "{}", capture.name);
    }
}

/// Each request's true exchange, by the position of its first byte. What goes through a tunnel is true, too, for a
/// parser that missed the tunnel's beginning.
fn truth(capture: &Capture) -> HashMap<u64, Exchange> {
    let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
        if wire.progress == Progress::Left {
            let inner = Wire::server();
            (wire.parser, wire.progress) = (inner.parser, inner.progress);
        }
        wire.data(direction, bytes);
    });
    wire.finished().into_iter().map(|e| (e.request.first.position, e.clone())).collect()
}

/// Nothing is invented or paired wrong, and each start has one end.
fn assert_true(wire: &Wire, truth: &HashMap<u64, Exchange>, context: &str) {
    for exchange in wire.finished() {
        let Some(real) = truth.get(&exchange.request.first.position) else {
            panic!("{context}: invented {exchange:#?}")
        };
        // That a connection broke within a body cannot be known where the body's length is hidden.
        let told = summary(real).replace(" error connection_closed", "");
        assert!([summary(real), told].contains(&summary(exchange)), "{context}: {exchange:#?}");
        let first = |e: &Exchange| e.response.map(|r| r.first.position);
        assert_eq!(first(exchange), first(real), "{context}: {exchange:#?}");
    }
    assert_balanced(&wire.out, context);
}

#[test]
fn gaps_anywhere_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for (gap_in, at, len) in capture.offsets() {
            for hidden in [1, 5, 40, 300, usize::MAX] {
                let hidden = hidden.min(len - at);
                let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                    let (from, to) = if n == gap_in { (at, at + hidden) } else { (0, 0) };
                    wire.data(direction, &bytes[..from])
                        .gap(direction, (to - from) as u64)
                        .data(direction, &bytes[to..]);
                });
                assert_true(&wire, &truth, &format!("{} operation {gap_in} {hidden} bytes at {at}", capture.name));
            }
        }
    }
}

#[test]
fn captures_of_any_length_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for limit in 0..600 {
            let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
                let (captured, hidden) = bytes.split_at(limit.min(bytes.len()));
                wire.data(direction, captured).gap(direction, hidden.len() as u64);
            });
            assert_true(&wire, &truth, &format!("{} captured {limit}", capture.name));
        }
    }
}

#[test]
fn a_capture_that_holds_every_head_finds_every_exchange() {
    for capture in captures().iter().filter(|c| c.name != "pipelined-nginx") {
        let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
            let (captured, hidden) = bytes.split_at(400.min(bytes.len()));
            wire.data(direction, captured).gap(direction, hidden.len() as u64);
        });
        assert_eq!(wire.summary(), capture.exchanges, "{}", capture.name);
    }
}

#[test]
fn lost_operations_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for lost in 0u32..1 << capture.operations.len().min(12) {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                if lost >> n & 1 == 1 {
                    wire.gap(direction, bytes.len() as u64);
                } else {
                    wire.data(direction, bytes);
                }
            });
            assert_true(&wire, &truth, &format!("{} lost {lost:b}", capture.name));
        }
    }
}

#[test]
fn a_start_in_the_middle_invents_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for start in 0..capture.operations.len() {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                if n >= start {
                    wire.data(direction, bytes);
                } else {
                    // The agent was not there: nobody told the parser, but the bytes had positions.
                    wire.skip(direction, bytes.len() as u64);
                }
            });
            assert_true(&wire, &truth, &format!("{} from {start}", capture.name));
        }
    }
}
