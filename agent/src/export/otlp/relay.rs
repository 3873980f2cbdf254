//! Passes on metrics and logs that applications send, as they came.
//!
//! They are bounded by bytes; what finds no room is refused where it came in, so that its sender keeps it. In order, one
//! request at a time: an endpoint that is away for a while gets what waits when it is back.

use std::sync::Arc;

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

/// Where requests of one signal go in.
#[derive(Clone)]
pub struct Relay {
    queue: UnboundedSender<Bytes>,
    room: Account,
}

impl Relay {
    /// Starts it on `runtime`, with room for as many bytes as the account has; over the connections of `beside`, if they lead
    /// where this signal goes.
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
        let reporter = Reporter::new(config.endpoint.to_string(), "requests of applications");
        // Bounded by its account.
        let (queue, requests) = unbounded_channel();
        let passing = Passing { config, transport, reporter, counters, room: room.clone() };
        runtime.spawn(passing.run(requests));
        Ok(Self { queue, room })
    }

    /// Takes a request's body if there is room for it.
    pub fn pass(&self, body: Bytes) -> bool {
        let bytes = body.len();
        if !self.room.try_take(bytes) {
            return false;
        }
        let taken = self.queue.send(body).is_ok();
        if !taken {
            self.room.give(bytes);
        }
        taken
    }
}

struct Passing {
    config: OtlpConfig,
    transport: Transport,
    reporter: Reporter,
    counters: Arc<Counters>,
    room: Account,
}

impl Passing {
    async fn run(mut self, mut requests: UnboundedReceiver<Bytes>) {
        let _vital = Vital::of("the passing on of applications' metrics and logs");
        while let Some(body) = requests.recv().await {
            let bytes = body.len();
            self.deliver(body).await;
            self.room.give(bytes);
        }
    }

    /// Sends one request until it is accepted, or refused for good.
    async fn deliver(&mut self, body: Bytes) {
        let packed = self.transport.pack(body);
        let mut backoff = Backoff::default();
        loop {
            let Packed { body, gzipped } = packed.clone();
            match within(self.config.timeout, self.transport.send_body(body, gzipped)).await {
                Outcome::Accepted { rejected, message } => {
                    self.reporter.accepted(rejected, &message);
                    self.counters.relayed_requests.inc();
                    return self.reporter.recovered();
                }
                Outcome::Refused { reason } => {
                    self.counters.relayed_requests_rejected.inc();
                    self.reporter.complained(1, &reason);
                    return;
                }
                Outcome::Failed { reason, after } => {
                    let waiting = format!("{} of at most {} bytes", self.room.held(), self.room.limit());
                    self.reporter.failed(&reason, &waiting);
                    tokio::time::sleep(after.unwrap_or_else(|| backoff.next(false)).min(MAX_RETRY_AFTER)).await;
                }
            }
        }
    }
}
