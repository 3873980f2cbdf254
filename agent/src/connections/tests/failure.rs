//! A panic while one connection is read.

use std::borrow::Cow;
use std::ops::Range;

use wirespan_protocols::exchange::{Mark, Marks, Output, Reason, SpanKind, Started};
use wirespan_protocols::registry::{PROTOCOLS, Protocol};
use wirespan_protocols::{Detection as Opinion, Direction, End, Parser, Progress, Settings as ParserSettings};

use super::*;
use crate::connections::ExchangeKey;

/// Begins an exchange with each message, and panics where it is told to.
struct Fragile {
    panics: &'static str,
    exchanges: u64,
}

impl Fragile {
    fn reach(&self, place: &str) {
        assert!(self.panics != place, "a secret is in this message: {place}");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.reach("drop");
    }
}

impl Parser for Fragile {
    fn data(&mut self, _: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if let Some(place) =
            ["data", "gap", "end", "buffered", "under_way", "drop"].into_iter().find(|p| bytes.ends_with(p.as_bytes()))
        {
            self.panics = place;
        }
        let id = self.exchanges;
        self.exchanges += 1;
        let marks = Marks { first: *mark, last: *mark };
        out.push(Output::Started(Started::call(id, marks, SpanKind::Server, None, false)));
        self.reach("data");
        Progress::Continue
    }

    fn gap(&mut self, _: Direction, _: u64, _: &Mark, _: &mut Vec<Output>) -> Progress {
        self.reach("gap");
        Progress::Continue
    }

    fn end(&mut self, _: Direction, _: End, _: &Mark, out: &mut Vec<Output>) {
        self.reach("end");
        let open = std::mem::take(&mut self.exchanges);
        out.extend((0..open).map(|id| Output::Dropped { id, reason: Reason::Unwatched }));
    }

    fn buffered(&self) -> usize {
        self.reach("buffered");
        10
    }

    fn under_way(&self, _: &Range<u64>, _: &mut dyn FnMut(u64, Cow<'static, str>)) {
        self.reach("under_way");
    }
}

fn detect(bytes: &[u8]) -> Opinion {
    match bytes {
        [b'F', ..] => Opinion::Match(Direction::Request),
        [b'!', ..] => panic!("in detection"),
        _ => Opinion::No,
    }
}

fn parser(_: ParserSettings) -> Box<dyn Parser> {
    Box::new(Fragile { panics: "", exchanges: 0 })
}

/// The fragile one and, for what is to be read besides, HTTP.
fn registry() -> Registry {
    let Protocol { name, streams, detect: http, parser: http_parser, pages } = PROTOCOLS[0];
    let all = vec![
        Protocol { name: "fragile", streams: false, detect, parser, pages: &[] },
        Protocol { name, streams, detect: http, parser: http_parser, pages },
    ];
    Registry { streams: Vec::leak(all), datagrams: &[] }
}

/// Lets a connection fail while another has a request under way; which then is answered, and both are accounted for.
fn assert_fails_alone(place: &str, then: impl FnOnce(&mut Server, &mut Socket)) {
    let mut server = Server::with(registry());
    let (mut bad, mut good) = (Socket::new(1), Socket::new(2));
    server.converse(&mut good, &[request("/before"), response(), request("/during")]);
    server.request(&mut bad, b"F is for fragile");
    server.request(&mut bad, format!("F{place}").as_bytes());
    then(&mut server, &mut bad);
    assert_eq!(server.counters.connections_failed.get(), 1, "{place}");
    assert!(!server.connections.by_cookie.contains_key(&bad.cookie), "{place}");
    let held: usize = server.connections.by_cookie.values().map(|c| c.counted).sum();
    assert_eq!(server.connections.bytes, held, "{place}");
    server.converse(&mut good, &[response()]);
    assert_eq!(open(&server.out), [], "{place}");
    let dropped = server.counters.exchanges_dropped.get();
    let started = server.counters.exchanges_started.get();
    assert_eq!(started, dropped + 2, "{place}: all but the two that were answered");
    assert_eq!(server.finished(), ["GET /before", "GET /during"], "{place}");
    assert_eq!(server.request(&mut bad, b"F again"), Verdict::Mute, "{place}: what is still on the ring");
}

/// Exchanges that began and have not ended, as the traces stage sees it.
fn open(signals: &[Signal]) -> Vec<ExchangeKey> {
    let mut open = Vec::new();
    for signal in signals {
        match signal {
            Signal::Started(started) => open.push(started.key),
            Signal::Finished(key, ..) | Signal::Dropped(key) | Signal::Batched { part: key, .. } => {
                open.retain(|k| k != key)
            }
            Signal::Failed { connection } => open.retain(|k| k.connection != *connection),
            _ => {}
        }
    }
    open
}

#[test]
fn a_panic_while_bytes_are_read_costs_one_connection() {
    assert_fails_alone("data", |_, _| {});
    assert_fails_alone("buffered", |_, _| {});
}

#[test]
fn a_panic_over_missing_bytes_costs_one_connection() {
    assert_fails_alone("gap", |server, bad| {
        bad.received += 1000;
        server.operation(bad, INGRESS, 1000, b"of which few were captured");
    });
}

#[test]
fn a_panic_at_the_end_costs_one_connection() {
    assert_fails_alone("end", |server, bad| {
        server.operation(bad, INGRESS, 0, b"");
    });
    assert_fails_alone("end", |server, bad| {
        let now = server.now;
        server.connections.forget(bad.cookie, now, &mut server.out);
    });
}

#[test]
fn a_panic_over_what_is_under_way_costs_one_connection() {
    assert_fails_alone("under_way", |server, _| {
        let later = server.now + 60_000_000_000;
        server.connections.tick(later, &mut server.out);
    });
}

#[test]
fn a_panic_while_what_failed_is_dropped_is_one_failure() {
    assert_fails_alone("drop", |server, bad| {
        server.request(bad, b"Fdata");
        // The parser's own `drop` panics now as well.
    });
}

#[test]
fn a_panic_in_detection_costs_one_connection() {
    let mut server = Server::with(registry());
    assert_eq!(server.request(&mut Socket::new(1), b"!"), Verdict::Mute);
    assert_eq!(server.counters.connections_failed.get(), 1);
    assert!(server.is_read(&mut Socket::new(2)));
}

#[test]
fn a_socket_that_failed_may_have_a_successor_of_the_same_cookie_once_it_is_closed() {
    let mut server = Server::with(registry());
    for cookie in 1..5000 {
        server.request(&mut Socket::new(cookie), b"!");
    }
    assert!(server.connections.failed.len() <= crate::connections::MAX_FAILED);
    assert_eq!(server.counters.connections_failed.get(), 4999);
}

#[test]
fn what_is_said_of_a_panic_holds_no_words_that_were_put_together() {
    crate::connections::guard::install();
    let secret = String::from("hunter2é");
    let place = crate::connections::guard::guarded(|| secret[..8].len()).unwrap_err();
    assert!(place.contains("failure.rs:") && !place.contains("hunter2"), "{place}");
    let place = crate::connections::guard::guarded(|| -> u8 { panic!("words of ours") }).unwrap_err();
    assert!(place.ends_with(": words of ours"), "{place}");
}
