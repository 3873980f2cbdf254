//! The one way out of metrics and logs that are told as requests: those that applications send, passed on as they came, and the
//! agent's own records.
//!
//! They are bounded by bytes; what finds no room is refused where it came in, so that its sender keeps it. In order, one
//! request at a time: an endpoint that is away for a while gets what waits when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::config::otlp::{OtlpConfig, Signal};
use crate::memory::Account;
use crate::metrics::Counters;
use crate::vital::Vital;

use super::backoff::Backoff;
use super::outcome::Outcome;
use super::report::Reporter;
use super::sender::{MAX_RETRY_AFTER, within};
use super::{Packed, TlsError, Transport, Way};

/// A request on its way.
struct Outgoing {
    body: Bytes,
    /// Where its bytes are counted.
    room: Account,
    /// How many records of ours it has; an application's without.
    own: Option<usize>,
}

/// Where requests of one signal go in.
#[derive(Clone)]
pub struct Relay {
    queue: UnboundedSender<Outgoing>,
    room: Account,
    own: Arc<AtomicUsize>,
}

impl Relay {
    /// Starts it on `runtime`, with room for as many bytes of applications as the account has; over the connections of `beside`, if
    /// they lead where this signal goes.
    ///
    /// # Errors
    /// If certificates cannot be read.
    pub fn start(
        (config, signal): (OtlpConfig, Signal),
        room: Account,
        beside: Option<&Way>,
        counters: Arc<Counters>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, TlsError> {
        let transport = Transport::by(beside, &config, signal)?;
        let reporter = Reporter::new(config.endpoint.to_string(), what(signal));
        // Bounded by accounts.
        let (queue, requests) = unbounded_channel();
        let own = Arc::<AtomicUsize>::default();
        let passing = Passing { config, transport, reporter, counters, own: Arc::clone(&own) };
        runtime.spawn(passing.run(requests));
        Ok(Self { queue, room, own })
    }

    /// Takes an application's request if there is room for its body.
    pub fn pass(&self, body: Bytes) -> bool {
        let bytes = body.len();
        if !self.room.try_take(bytes) {
            return false;
        }
        let taken = self.queue.send(Outgoing { body, room: self.room.clone(), own: None }).is_ok();
        if !taken {
            self.room.give(bytes);
        }
        taken
    }

    /// Takes a request of ours with so many records, whose body is counted already.
    pub(super) fn send(&self, body: Bytes, records: usize, room: &Account) {
        self.own.fetch_add(records, Ordering::Relaxed);
        let (bytes, room) = (body.len(), room.clone());
        if let Err(refused) = self.queue.send(Outgoing { body, room, own: Some(records) }) {
            // Nobody sends any more: they stay counted, as lost.
            refused.0.room.give(bytes);
        }
    }

    /// Records of ours that were not delivered yet.
    pub(super) fn waiting(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }
}

fn what(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "records of logs, and requests of applications,",
        Signal::Metrics | Signal::Traces => "requests of applications",
    }
}

struct Passing {
    config: OtlpConfig,
    transport: Transport,
    reporter: Reporter,
    counters: Arc<Counters>,
    own: Arc<AtomicUsize>,
}

impl Passing {
    async fn run(mut self, mut requests: UnboundedReceiver<Outgoing>) {
        let _vital = Vital::of("the passing on of metrics and logs");
        while let Some(Outgoing { body, room, own }) = requests.recv().await {
            let bytes = body.len();
            self.deliver(body, own, &room).await;
            self.own.fetch_sub(own.unwrap_or_default(), Ordering::Relaxed);
            room.give(bytes);
        }
    }

    /// Sends one request until it is accepted, or refused for good.
    async fn deliver(&mut self, body: Bytes, own: Option<usize>, room: &Account) {
        let packed = self.transport.pack(body);
        let mut backoff = Backoff::default();
        loop {
            let Packed { body, gzipped } = packed.clone();
            match within(self.config.timeout, self.transport.send_body(body, gzipped)).await {
                Outcome::Accepted { rejected, message } => {
                    self.reporter.accepted(rejected, &message);
                    self.taken(own, rejected);
                    return self.reporter.recovered();
                }
                Outcome::Refused { reason } => {
                    self.reporter.complained(own.unwrap_or(1) as u64, &reason);
                    return self.refused(own);
                }
                Outcome::Failed { reason, after } => {
                    let waiting = format!("{} of at most {} bytes", room.held(), room.limit());
                    self.reporter.failed(&reason, &waiting);
                    tokio::time::sleep(after.unwrap_or_else(|| backoff.next(false)).min(MAX_RETRY_AFTER)).await;
                }
            }
        }
    }

    /// The endpoint took a request, of which it refused so many parts.
    fn taken(&self, own: Option<usize>, rejected: u64) {
        let Some(records) = own else { return self.counters.relayed_requests.inc() };
        let rejected = rejected.min(records as u64);
        self.counters.log_records_exported.add(records as u64 - rejected);
        self.counters.log_records_rejected.add(rejected);
    }

    /// The endpoint refused one for good.
    fn refused(&self, own: Option<usize>) {
        match own {
            Some(records) => self.counters.log_records_rejected.add(records as u64),
            None => self.counters.relayed_requests_rejected.inc(),
        }
    }
}
