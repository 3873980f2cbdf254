//! Requests that have been under way for a while: streams and calls that live for hours are seen before they end.
//!
//! A span is exported when it ends. Until then it is on this list: written once a second by the stage, read by whoever
//! shows it (the status line by two counters; `--stats` and SIGUSR1 as a table).

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use wirespan_common::AF_UNIX;
use wirespan_protocols::exchange::Asks;
use wirespan_signals::{Active, Linking, OPEN_AFTER, OpenList, OpenRequests, OpenSpan};

use super::live::{LiveSpan, SpanKey};
use super::{Traces, assemble};
use crate::signal::ExchangeKey;

/// How often the list is made, nanoseconds.
const EVERY: u64 = 1_000_000_000;
/// Most requests on the list; of more, those that began first.
const MAX_LISTED: usize = 500;

/// What is told only if it is worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// What a thread sleeps on, by its id.
    Sleeps(u32),
    /// Which units of a process make others, by its id.
    Births(u32),
}

impl Traces {
    /// Where to write how well calls find their requests, once a second.
    pub fn show_linking(&mut self, linking: Arc<Linking>) {
        self.linking = linking;
    }

    /// What is worth being told of from now on (`true`), or no longer.
    pub fn take_interests(&mut self) -> Vec<(Interest, bool)> {
        let book = &mut self.court.book;
        let sleeps = book.sleeps.take_wishes().into_iter();
        let sleeps = sleeps.filter_map(|(thread, on)| Some((Interest::Sleeps(u32::try_from(thread.id).ok()?), on)));
        let births = book.births.take_wishes().into_iter().map(|(tgid, on)| (Interest::Births(tgid), on));
        sleeps.chain(births).collect()
    }

    /// The list that this stage writes.
    pub fn open_requests(&self) -> Arc<OpenRequests> {
        Arc::clone(&self.open_requests)
    }

    /// A request has been under way for a while, and this is what it is called.
    pub(super) fn under_way(&mut self, key: ExchangeKey, name: Cow<'static, str>) {
        if let Some(span) = self.by_exchange.get(&key).and_then(|span| self.spans.get_mut(*span)) {
            span.name = Some(name);
        }
    }

    /// Makes the list anew, if it is time.
    pub(super) fn list_open(&mut self, now: u64) {
        if now.saturating_sub(self.listed) < EVERY {
            return;
        }
        self.listed = now;
        self.linking.set(self.court.list(self.clock));
        let began = |key: &SpanKey| self.spans.get(*key).map_or(now, |s| s.request.first.time);
        let mut open: Vec<(u64, SpanKey)> = self.by_exchange.values().map(|key| (began(key), *key)).collect();
        // (A connection that is not read is open as long as its program likes, whatever is asked on it.)
        open.retain(|(_, key)| self.spans.get(*key).is_none_or(|span| !span.connection.opaque));
        open.retain(|(began, _)| began + OPEN_AFTER <= now);
        let total = open.len();
        open.sort_unstable_by_key(|(began, _)| *began);
        open.truncate(MAX_LISTED);
        let oldest = open.first().map_or(0, |(began, _)| now.saturating_sub(*began) / 1_000_000_000);
        let spans = open.iter().filter_map(|(_, key)| self.spans.get(*key).map(|s| self.describe_open(*key, s, now)));
        let list = OpenList { total, spans: spans.collect(), active: self.active() };
        self.counters.exchanges_lasting.set(total as u64);
        self.counters.exchanges_longest_seconds.set(oldest);
        self.open_requests.set(list);
    }

    /// What HTTP servers have under way, by process and by what is asked.
    fn active(&self) -> Vec<Active> {
        let mut active: FxHashMap<(usize, Asks), Active> = FxHashMap::default();
        for span in self.by_exchange.values().filter_map(|key| self.spans.get(*key)) {
            let Some(asks) = span.asks.filter(|_| span.process.is_traced()) else { continue };
            let resource = span.process.resource();
            let known = active.entry((Arc::as_ptr(resource) as usize, asks));
            known.or_insert_with(|| Active { resource: Arc::clone(resource), asks, count: 0 }).count += 1;
        }
        active.into_values().collect()
    }

    fn describe_open(&self, key: SpanKey, span: &LiveSpan, now: u64) -> OpenSpan {
        let began = span.request.first.time;
        let ends = &span.connection.endpoints;
        let fixed = self.groups.get(span.group).and_then(|g| g.root.as_ref()).map(|root| root.trace_id);
        OpenSpan {
            start_unix_nano: self.clock.unix(began),
            age: now.saturating_sub(began),
            name: span.name.clone(),
            kind: span.kind,
            protocol: span.protocol,
            resource: Arc::clone(span.process.resource()),
            peer: (ends.family != AF_UNIX && ends.peer_port != 0)
                .then(|| (assemble::address(ends, ends.peer), ends.peer_port)),
            trace_id: fixed.or_else(|| self.trace_of(key)),
            span_id: span.span_id,
        }
    }
}
