//! What has been under way for a while is seen before it ends.

use std::net::Ipv4Addr;

use super::*;
use wirespan_agent::span::{OPEN_AFTER, OpenList};

const SECOND: u64 = 1_000_000_000;

impl World {
    /// The list after `nanos` more in which nothing happens.
    fn open_after(&mut self, nanos: u64) -> Arc<OpenList> {
        let end = self.now + nanos;
        while self.now < end {
            self.now = end.min(self.now + SECOND / 4);
            self.connections.tick(self.now, &mut self.signals);
            for signal in std::mem::take(&mut self.signals) {
                self.traces.signal(signal, self.now);
            }
            self.traces.tick(self.now, &mut Vec::new());
        }
        self.traces.open_requests().get()
    }
}

#[test]
fn a_request_is_listed_while_it_is_under_way_and_no_longer() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let context = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/watch/7", context));
    let began = world.now;
    let young = world.open_after(OPEN_AFTER - SECOND);
    assert_eq!((young.total, young.spans.len()), (0, 0), "it is young");
    let active: Vec<_> =
        young.active.iter().map(|active| (active.asks.method, active.asks.scheme, active.count)).collect();
    assert_eq!(active, [("GET", "http", 1)], "the server has it under way, the client has not");
    let list = world.open_after(3 * SECOND);
    assert_eq!((list.total, list.spans.len()), (2, 2), "both ends");
    for (span, kind) in list.spans.iter().zip([SpanKind::Client, SpanKind::Server]) {
        assert_eq!((span.name.as_deref(), span.kind, span.protocol), (Some("GET /watch/{id}"), kind, "http"));
        assert!((OPEN_AFTER..=world.now - began + SECOND).contains(&span.age), "{}", span.age);
        assert_eq!(span.trace_id.map(|id| id[..2].to_vec()), Some(vec![0x4b, 0xf9]));
    }
    assert_eq!(list.spans[0].peer, Some((Ipv4Addr::new(127, 0, 0, 2).into(), 80)));
    assert_eq!(
        (world.counters.links.exchanges_lasting.get(), world.counters.links.exchanges_longest_seconds.get()),
        (2, 7)
    );
    let ids = list.spans.iter().map(|span| span.span_id).collect::<Vec<_>>();

    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    assert_eq!(traces[0].iter().map(|span| span.span_id).collect::<Vec<_>>(), ids, "the spans keep their ids");
    assert_eq!(*world.open_after(2 * SECOND), OpenList::default());
    assert_eq!(world.counters.links.exchanges_lasting.get(), 0);
}

#[test]
fn of_many_the_longest_are_listed_and_all_are_counted() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let requests = get("/", "").repeat(10);
    for _ in 0..30 {
        world.pass(&mut a, CLIENT, &mut b, FRONT, &requests);
        world.now += 1000;
    }
    let list = world.open_after(OPEN_AFTER + 2 * SECOND);
    assert_eq!((list.total, list.spans.len()), (600, 500));
    assert!(list.spans.is_sorted_by_key(|span| std::cmp::Reverse(span.age)));
}
