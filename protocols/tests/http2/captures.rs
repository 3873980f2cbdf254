//! Real conversations (`captures/http2/*.json`), replayed in every way that a capture may see them.

use std::collections::HashMap;

use wirespan_protocols::exchange::Exchange;
use wirespan_protocols::{Detection, Direction, Progress, Role, registry};

use crate::replay::{self, Capture, Operation, assert_balanced};
use crate::wire::{Wire, text};

/// Those that are HTTP/2 from their first byte.
fn captures() -> Vec<Capture> {
    replay::captures("http2", 12).into_iter().filter(|c| !c.name.contains("upgrade")).collect()
}

/// As many of a capture's offsets as there is time for, spread over all of it.
fn some(capture: &Capture) -> impl Iterator<Item = (usize, usize, usize)> {
    let stride = capture.offsets().count() / 700 + 1;
    capture.offsets().step_by(stride)
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

#[test]
fn whole_captures_give_the_exchanges_that_were_made() {
    for capture in captures() {
        let wire = capture.whole(Role::Server);
        // Concurrent streams end in any order.
        assert_eq!(sorted(wire.summary()), sorted(capture.exchanges.clone()), "{}", capture.name);
        assert!(!capture.leaves && wire.progress == Progress::Continue, "{}", capture.name);
        assert!(wire.dropped().is_empty(), "{}", capture.name);
        assert_balanced(&wire.out, &capture.name);
        let client = capture.whole(Role::Client);
        assert_eq!(client.finished().len(), capture.exchanges.len(), "{}", capture.name);
    }
}

#[test]
fn the_first_operations_of_either_side_are_detected() {
    for capture in captures() {
        for wanted in [Direction::Request, Direction::Response] {
            let sent = capture.operations.iter().filter_map(|o| match o {
                Operation::Bytes(direction, bytes) if *direction == wanted => Some(&bytes[..]),
                _ => None,
            });
            // An empty SETTINGS alone is not enough.
            let first = sent.take(2).collect::<Vec<_>>().concat();
            let found = registry::PROTOCOLS.iter().find(|p| (p.detect)(&first) != Detection::No);
            let found = found.map(|p| (p.name, (p.detect)(&first)));
            assert_eq!(found, Some(("http2", Detection::Match(wanted))), "{}", capture.name);
        }
    }
}

#[test]
fn a_split_anywhere_changes_nothing() {
    for capture in captures() {
        let expected = capture.whole(Role::Server).out;
        for (split_in, at, _) in some(&capture) {
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
        let expected = capture.whole(Role::Server).summary();
        for (split_in, at, _) in some(&capture) {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                let cut = if n == split_in { at } else { 0 };
                wire.data(direction, &bytes[..cut]);
                wire.time += 1;
                wire.data(direction, &bytes[cut..]);
            });
            assert_eq!(wire.summary(), expected, "{} operation {split_in} at {at}", capture.name);
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

/// Each request's true exchange, by the position of its first byte.
fn truth(capture: &Capture) -> HashMap<u64, Exchange> {
    let wire = capture.whole(Role::Server);
    wire.finished().into_iter().map(|e| (e.request.first.position, e.clone())).collect()
}

/// Nothing is invented or paired wrong, and each start has one end. What was missed may be absent, never different.
fn assert_true(wire: &Wire, truth: &HashMap<u64, Exchange>, context: &str) {
    for exchange in wire.finished() {
        let Some(real) = truth.get(&exchange.request.first.position) else {
            panic!("{context}: invented {exchange:#?}")
        };
        for attribute in &exchange.attributes {
            let known = real.attributes.iter().find(|a| a.key == attribute.key);
            let told = known == Some(attribute) || missed(&attribute.key, exchange, real);
            assert!(told, "{context}: {attribute:?} instead of {known:?} in {exchange:#?}");
        }
        if let (Some(response), Some(true_response)) = (exchange.response, real.response) {
            // An interim response of which the status was missed passes for the beginning of the final one.
            let sound = response.first.position >= true_response.first.position || real.name == "GET /hints";
            assert!(sound, "{context}: {exchange:#?}");
        }
        assert!(exchange.end >= real.request.first.time, "{context}: {exchange:#?}");
    }
    assert_balanced(&wire.out, context);
}

/// What may differ where something was missed.
fn missed(key: &str, exchange: &Exchange, real: &Exchange) -> bool {
    match key {
        // What is unknown is named.
        "wirespan.unknown" => true,
        // That it was a call; that the server did not know the method.
        _ if text(real, "rpc.system.name") != text(exchange, "rpc.system.name") => true,
        "rpc.method" => text(real, "rpc.method") == Some("_OTHER"),
        // The frame that gave the reason.
        "error.type" | "rpc.response.status_code" => !matches!(text(real, "rpc.response.status_code"), Some("OK")),
        _ => false,
    }
}

#[test]
fn gaps_anywhere_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for (gap_in, at, len) in some(&capture) {
            for hidden in [1, 9, 40, 300, usize::MAX] {
                let hidden = hidden.min(len - at);
                let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                    let (from, to) = if n == gap_in { (at, at + hidden) } else { (0, 0) };
                    wire.data(direction, &bytes[..from])
                        .gap(direction, (to - from) as u64)
                        .data(direction, &bytes[to..]);
                });
                let context = format!("{} operation {gap_in} {hidden} bytes at {at}", capture.name);
                assert_true(&wire, &truth, &context);
            }
        }
    }
}

#[test]
fn captures_of_any_length_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for limit in (0..300).chain((300..5000).step_by(50)) {
            let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
                let (captured, hidden) = bytes.split_at(limit.min(bytes.len()));
                wire.data(direction, captured).gap(direction, hidden.len() as u64);
            });
            assert_true(&wire, &truth, &format!("{} captured {limit}", capture.name));
        }
    }
}

#[test]
fn lost_operations_invent_nothing() {
    for capture in captures() {
        let truth = truth(&capture);
        for lost in 0u32..1 << capture.operations.len().min(9) {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                if lost >> (n % 9) & 1 == 1 {
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
                    wire.skip(direction, bytes.len() as u64);
                }
            });
            assert_true(&wire, &truth, &format!("{} from {start}", capture.name));
        }
    }
}
