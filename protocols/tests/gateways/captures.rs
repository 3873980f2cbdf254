//! Real conversations (`captures/{fastcgi,uwsgi,scgi}/*.json`), replayed in every way that a capture may see them.

use std::collections::HashMap;

use wirespan_protocols::exchange::{Exchange, Status};
use wirespan_protocols::registry::PROTOCOLS;
use wirespan_protocols::{Detection, Direction, End, Progress, Role};

use crate::PROTOCOL;
use crate::replay::{self, Capture, Operation, assert_balanced};
use crate::wire::{Wire, int, text};

/// Names in the registry, and how many captures there are at least.
const ALL: [(&str, usize); 3] = [("fastcgi", 6), ("scgi", 4), ("uwsgi", 6)];
/// Captures longer than this are replayed at some offsets only, so that debug builds end in time.
const MANY: usize = 4000;

/// Does something with each capture.
fn each(mut with: impl FnMut(Capture)) {
    for (protocol, least) in ALL {
        PROTOCOL.set(protocol);
        for capture in replay::captures(protocol, least) {
            with(Capture { name: format!("{protocol}/{}", capture.name), ..capture });
        }
    }
}

/// Offsets within every operation: each one near its ends, unless there are many.
fn offsets(capture: &Capture, many: usize) -> Vec<(usize, usize, usize)> {
    let all: Vec<_> = capture.offsets().collect();
    let step = (all.len() / many).max(1);
    all.into_iter().filter(|(_, at, len)| *at < 60 || at.is_multiple_of(step) || at + 60 > *len).collect()
}

#[test]
fn whole_captures_give_the_exchanges_that_were_made() {
    each(|capture| {
        for role in [Role::Server, Role::Client] {
            let wire = capture.whole(role);
            let expected = match role {
                Role::Server => capture.exchanges.clone(),
                // What the client did wrong is an error for it alone.
                Role::Client => capture.exchanges.iter().map(|e| e.replace(" 404", " 404 error 404")).collect(),
            };
            assert_eq!(wire.summary(), expected, "{}", capture.name);
            assert_eq!(wire.progress, Progress::Continue, "{}", capture.name);
            assert!(wire.dropped().is_empty() && !capture.leaves, "{}", capture.name);
        }
    });
}

#[test]
fn both_ends_agree_on_where_each_exchange_begins() {
    each(|capture| {
        let (client, server) = (capture.whole(Role::Client), capture.whole(Role::Server));
        let places = |wire: &Wire| wire.started().iter().map(|s| s.request.first.position).collect::<Vec<_>>();
        assert_eq!(places(&client), places(&server));
        assert!(places(&client).is_sorted(), "{}", capture.name);
    });
}

#[test]
fn the_beginning_is_detected_and_is_nothing_else() {
    each(|capture| {
        let Operation::Bytes(Direction::Request, bytes) = &capture.operations[0] else { panic!("{}", capture.name) };
        for protocol in PROTOCOLS {
            let opinion = (protocol.detect)(bytes);
            let own = protocol.name == PROTOCOL.get();
            let expected = if own { Detection::Match(Direction::Request) } else { Detection::No };
            assert_eq!(opinion, expected, "{} by {}", capture.name, protocol.name);
        }
        let own = crate::protocol(PROTOCOL.get());
        for (end, _) in bytes.iter().enumerate().skip(1) {
            assert_ne!((own.detect)(&bytes[..end]), Detection::No, "{} up to {end}", capture.name);
        }
    });
}

#[test]
fn a_split_anywhere_changes_nothing() {
    each(|capture| {
        let expected = capture.whole(Role::Server).out;
        for (split_in, at, _) in offsets(&capture, MANY) {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                let cut = if n == split_in { at } else { 0 };
                wire.data(direction, &bytes[..cut]).data(direction, &bytes[cut..]);
            });
            assert_eq!(wire.out, expected, "{} operation {split_in} at {at}", capture.name);
        }
    });
}

#[test]
fn an_operation_more_anywhere_changes_no_exchange() {
    each(|capture| {
        for (split_in, at, _) in offsets(&capture, MANY) {
            let wire = capture.replay(Role::Server, |wire, n, direction, bytes| {
                let cut = if n == split_in { at } else { 0 };
                wire.data(direction, &bytes[..cut]);
                wire.time += 1;
                wire.data(direction, &bytes[cut..]);
            });
            assert_eq!(wire.summary(), capture.exchanges, "{} operation {split_in} at {at}", capture.name);
        }
    });
}

#[test]
fn byte_by_byte_changes_nothing() {
    each(|capture| {
        let wire = capture.replay(Role::Server, |wire, _, direction, bytes| {
            for byte in bytes {
                wire.data(direction, &[*byte]);
            }
        });
        assert_eq!(wire.out, capture.whole(Role::Server).out, "{}", capture.name);
    });
}

/// Each request's true exchange, by the position of its first byte.
fn truth(capture: &Capture) -> HashMap<u64, Exchange> {
    capture.whole(Role::Server).finished().into_iter().map(|e| (e.request.first.position, e.clone())).collect()
}

/// Nothing is invented or paired wrong, and each start has one end. What was hidden may be missing.
fn assert_true(wire: &Wire, truth: &HashMap<u64, Exchange>, context: &str) {
    for exchange in wire.finished() {
        let Some(real) = truth.get(&exchange.request.first.position) else {
            panic!("{context}: invented {exchange:#?}")
        };
        assert_eq!(exchange.name, real.name, "{context}");
        if let Some(response) = exchange.response {
            let told = real.response.unwrap_or_else(|| panic!("{context}: a response to {exchange:#?}"));
            let within = response.first.position >= told.first.position && response.last.time <= told.last.time;
            assert!(within, "{context}: wrong response {exchange:#?} instead of {real:#?}");
        }
        let code = int(exchange, "http.response.status_code");
        assert!(code.is_none() || code == int(real, "http.response.status_code"), "{context}: {exchange:#?}");
        let failed = matches!(exchange.status, Status::Error(_));
        assert!(!failed || text(exchange, "error.type") == text(real, "error.type"), "{context}: {exchange:#?}");
        for size in ["http.request.body.size", "http.response.body.size"] {
            let told = int(exchange, size);
            assert!(told.is_none() || told == int(real, size), "{context}: {size} {told:?} instead of {real:#?}");
        }
        for attribute in exchange.attributes.iter().filter(|a| a.key.starts_with("url.") || a.key == "client.address") {
            let known = real.attributes.iter().find(|a| a.key == attribute.key);
            assert_eq!(known, Some(attribute), "{context}");
        }
    }
    assert_balanced(&wire.out, context);
}

/// Ends what is left in flight.
fn unwatched(mut wire: Wire) -> Wire {
    wire.end(Direction::Request, End::Unwatched);
    wire
}

#[test]
fn gaps_anywhere_invent_nothing() {
    each(|capture| {
        let truth = truth(&capture);
        for (gap_in, at, len) in offsets(&capture, MANY / 4) {
            for hidden in [1, 8, 40, usize::MAX] {
                let hidden = hidden.min(len - at);
                let wire = unwatched(capture.replay(Role::Server, |wire, n, direction, bytes| {
                    let (from, to) = if n == gap_in { (at, at + hidden) } else { (0, 0) };
                    wire.data(direction, &bytes[..from])
                        .gap(direction, (to - from) as u64)
                        .data(direction, &bytes[to..]);
                }));
                assert_true(&wire, &truth, &format!("{} operation {gap_in} {hidden} bytes at {at}", capture.name));
            }
        }
    });
}

#[test]
fn captures_of_any_length_invent_nothing() {
    each(|capture| {
        let truth = truth(&capture);
        for limit in 0..500 {
            let wire = unwatched(capture.replay(Role::Server, |wire, _, direction, bytes| {
                let (captured, hidden) = bytes.split_at(limit.min(bytes.len()));
                wire.data(direction, captured).gap(direction, hidden.len() as u64);
            }));
            assert_true(&wire, &truth, &format!("{} captured {limit}", capture.name));
        }
    });
}

/// The operation that begins a connection, and requests, are captured wide: all else as the agent captures by itself.
#[test]
fn a_capture_as_long_as_the_agents_finds_every_exchange() {
    each(|capture| {
        let wire = unwatched(capture.replay(Role::Server, |wire, _, direction, bytes| {
            let most = if direction == Direction::Request { 32 * 1024 } else { 4096 };
            let (captured, hidden) = bytes.split_at(most.min(bytes.len()));
            wire.data(direction, captured).gap(direction, hidden.len() as u64);
        }));
        assert_eq!(wire.summary(), capture.exchanges, "{}", capture.name);
    });
}

#[test]
fn lost_operations_invent_nothing() {
    each(|capture| {
        let truth = truth(&capture);
        for lost in 0u32..1 << capture.operations.len().min(12) {
            let wire = unwatched(capture.replay(Role::Server, |wire, n, direction, bytes| {
                if lost >> (n % 12) & 1 == 1 {
                    wire.lose(direction, bytes.len() as u64);
                } else {
                    wire.data(direction, bytes);
                }
            }));
            assert_true(&wire, &truth, &format!("{} lost {lost:b}", capture.name));
        }
    });
}

#[test]
fn a_start_in_the_middle_invents_nothing() {
    each(|capture| {
        let truth = truth(&capture);
        for start in 0..capture.operations.len() {
            let wire = unwatched(capture.replay(Role::Server, |wire, n, direction, bytes| {
                if n >= start {
                    wire.data(direction, bytes);
                } else {
                    // The agent was not there: nobody told the parser, but the bytes had positions.
                    wire.skip(direction, bytes.len() as u64);
                }
            }));
            assert_true(&wire, &truth, &format!("{} from {start}", capture.name));
        }
    });
}
