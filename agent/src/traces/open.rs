//! Requests that have been under way for a while: streams and calls that live for hours are seen before they end.
//!
//! A span is exported when it ends. Until then it is on this list: written once a second by the stage, read by whoever
//! shows it (the status line by two counters; `--stats` and SIGUSR1 as a table).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use wirespan_common::AF_UNIX;
use wirespan_protocols::exchange::SpanKind;

use super::live::{LiveSpan, SpanKey};
use super::{Traces, assemble};
use crate::connections::ExchangeKey;
use crate::span::Resource;

/// A request is on the list once it has been under way for this long, nanoseconds.
pub const OPEN_AFTER: u64 = 5_000_000_000;
/// How often the list is made, nanoseconds.
const EVERY: u64 = 1_000_000_000;
/// Most requests on the list; of more, those that began first.
const MAX_LISTED: usize = 500;

/// A request that has no end yet.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenSpan {
    /// When it began, Unix time, nanoseconds.
    pub start_unix_nano: u64,
    /// How long ago that was when the list was made, nanoseconds.
    pub age: u64,
    /// What the span would be called now; `None` if the protocol does not tell before the end.
    pub name: Option<Cow<'static, str>>,
    /// Kind.
    pub kind: SpanKind,
    /// The protocol, as in the registry.
    pub protocol: &'static str,
    /// The process.
    pub resource: Arc<Resource>,
    /// Address and port of the other end, unless that is a Unix socket.
    pub peer: Option<(IpAddr, u16)>,
    /// Its trace, if that is certain already: by the request's own context, or because a part of it was exported.
    pub trace_id: Option<[u8; 16]>,
    /// Its id, which it keeps.
    pub span_id: [u8; 8],
}

/// The list at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenList {
    /// How many there are.
    pub total: usize,
    /// The longest of them, longest first.
    pub spans: Vec<OpenSpan>,
}

/// The newest list, shared.
#[derive(Debug, Default)]
pub struct OpenRequests(Mutex<Arc<OpenList>>);

impl OpenRequests {
    /// The list as of the last second.
    pub fn get(&self) -> Arc<OpenList> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, list: OpenList) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
    }
}

impl Traces {
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
        let began = |key: &SpanKey| self.spans.get(*key).map_or(now, |s| s.request.first.time);
        let mut open: Vec<(u64, SpanKey)> = self.by_exchange.values().map(|key| (began(key), *key)).collect();
        open.retain(|(began, _)| began + OPEN_AFTER <= now);
        let total = open.len();
        open.sort_unstable_by_key(|(began, _)| *began);
        open.truncate(MAX_LISTED);
        let oldest = open.first().map_or(0, |(began, _)| now.saturating_sub(*began) / 1_000_000_000);
        let spans = open.iter().filter_map(|(_, key)| self.spans.get(*key).map(|s| self.describe_open(*key, s, now)));
        let list = OpenList { total, spans: spans.collect() };
        self.counters.exchanges_lasting.set(total as u64);
        self.counters.exchanges_longest_seconds.set(oldest);
        self.open_requests.set(list);
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
            resource: Arc::clone(&span.process.resource),
            peer: (ends.family != AF_UNIX && ends.peer_port != 0)
                .then(|| (assemble::address(ends, ends.peer), ends.peer_port)),
            trace_id: fixed.or_else(|| self.trace_of(key)),
            span_id: span.span_id,
        }
    }
}
