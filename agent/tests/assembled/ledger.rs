//! Accounts for every request, from the bytes that it is read from to the span that leaves.

use std::collections::{HashMap, HashSet};

use wirespan_agent::connections::{ExchangeKey, Signal};
use wirespan_agent::span::Trace;
use wirespan_common::{AF_UNIX, FLAG_DATAGRAM, IoEvent};
use wirespan_protocols::exchange::Mark;

/// An operation that was reported.
struct Operation {
    /// Where its bytes begin, by direction; `None` for a datagram.
    start: Option<u64>,
    captured: u64,
    wide: bool,
}

/// What was seen.
#[derive(Default)]
pub struct Ledger {
    /// By cookie and time, which no two operations share.
    operations: HashMap<(u64, u64), Operation>,
    open: HashMap<ExchangeKey, u64>,
    attempts: HashSet<ExchangeKey>,
    connects_failed: u64,
    seen: HashSet<ExchangeKey>,
    spans: HashSet<[u8; 8]>,
    executions: u64,
    tasks: u64,
    pub started: u64,
    pub finished: u64,
    pub dropped: u64,
    exports_telemetry: bool,
}

impl Ledger {
    /// An operation was reported.
    pub fn operation(&mut self, event: &IoEvent) {
        if event.result <= 0 {
            return;
        }
        let end = if event.direction == wirespan_common::EGRESS { event.tx_position } else { event.rx_position };
        let datagram = event.flags & FLAG_DATAGRAM != 0;
        let start = (!datagram).then(|| end.wrapping_sub(event.result as u64));
        let operation =
            Operation { start, captured: u64::from(event.captured), wide: event.endpoints.family == AF_UNIX };
        self.operations.insert((event.cookie, event.time), operation);
    }

    /// A signal came.
    pub fn signal(&mut self, signal: &Signal) {
        match signal {
            // An attempt to connect, of which no byte tells, and no counter of requests.
            Signal::Started(started) if started.connection.opening => {
                assert!(self.seen.insert(started.key), "{:?} began twice", started.key);
                self.attempts.insert(started.key);
            }
            Signal::Finished(key, ..) if self.attempts.remove(key) => self.connects_failed += 1,
            Signal::Dropped(key) if self.attempts.remove(key) => {}
            Signal::Started(started) => {
                let (key, cookie) = (started.key, started.connection.cookie);
                self.started += 1;
                assert!(self.seen.insert(key), "{key:?} began twice");
                self.open.insert(key, cookie);
                self.justify(cookie, &started.started.request.first, "a request");
            }
            Signal::Finished(key, exchange, _) => {
                self.finished += 1;
                let cookie = self.open.remove(key).unwrap_or_else(|| panic!("{key:?} ended, and is not open"));
                assert!(!exchange.name.is_empty());
                self.justify(cookie, &exchange.request.first, "a finished request");
                if let Some(response) = &exchange.response {
                    self.justify(
                        cookie,
                        &response.first,
                        &format!("a response to {} {:?}", exchange.name, exchange.attributes),
                    );
                    // (It may have passed without being captured.)
                    let end = (cookie, response.last.time);
                    assert!(self.operations.contains_key(&end), "the end of a response at {:?}", response.last);
                }
            }
            Signal::Dropped(key) => {
                self.dropped += 1;
                assert!(self.open.remove(key).is_some(), "{key:?} was dropped, and is not open");
            }
            Signal::Batched { part, batch } => {
                self.dropped += 1;
                assert!(self.open.remove(part).is_some(), "{part:?} is part of a batch, and is not open");
                assert!(self.open.contains_key(batch), "{batch:?} takes in a part, and is not open");
            }
            Signal::Task(key, _) => {
                self.tasks += 1;
                assert!(self.open.contains_key(key), "{key:?} says something, and is not open");
            }
            Signal::ExportsTelemetry { .. } => self.exports_telemetry = true,
            Signal::Failed { .. } => panic!("the reading of a connection failed"),
            _ => {}
        }
    }

    /// A mark is of an operation whose bytes were captured, on this socket.
    fn justify(&self, cookie: u64, mark: &Mark, what: &str) {
        let operation = self.operations.get(&(cookie, mark.time));
        let operation = operation.unwrap_or_else(|| panic!("{what} at {mark:?} of socket {cookie}: no bytes"));
        let Some(start) = operation.start else { return };
        let into = mark.position.wrapping_sub(start);
        let into = if operation.wide { into } else { into & 0xffff_ffff };
        assert!(into < operation.captured, "{what} at {mark:?} of socket {cookie}: not among the bytes captured");
    }

    /// A trace left.
    pub fn trace(&mut self, trace: &Trace, now: u64) {
        assert!(!trace.spans.is_empty());
        for span in &trace.spans {
            assert!(self.spans.insert(span.span_id) && span.span_id != [0; 8], "a span leaves once");
            assert!(span.trace_id == trace.spans[0].trace_id && span.trace_id != [0; 16]);
            assert!(span.start_unix_nano <= span.end_unix_nano && span.end_unix_nano <= now);
            let is_execution = span.attributes.iter().any(|a| a.key == "wirespan.celery.start");
            self.executions += u64::from(is_execution);
        }
    }

    /// All is over: every request was accounted for once.
    pub fn close(&self, unsampled: u64, evicted: u64) {
        assert!(self.open.is_empty(), "{:?} have no end", self.open);
        assert_eq!(self.started, self.finished + self.dropped);
        let spans = self.spans.len() as u64 - self.executions;
        let finished = self.finished + self.connects_failed;
        if evicted > 0 {
            return assert!(spans <= finished && finished <= spans + unsampled + evicted);
        }
        // An execution that is not sampled is counted among the spans that are not, and shows nowhere else.
        let (least, most) = (spans + unsampled, finished + self.tasks);
        assert!(least <= most, "{spans} spans, {unsampled} unsampled, of {finished} requests");
        // Spans of a process that turned out to export its own are left out.
        if !self.exports_telemetry {
            assert!(finished <= least, "{spans} spans, {unsampled} unsampled, of {finished} requests");
        }
    }
}
