//! Passes on metrics and logs that applications send, as they came.
//!
//! They are bounded by bytes; what finds no room is refused where it came in, so that its sender keeps it. In order, one
//! request at a time: an endpoint that is away for a while gets what waits when it is back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::config::otlp::{OtlpConfig, Signal};
use crate::memory::Account;
use crate::metrics::Counters;
use crate::vital::Vital;

use super::backoff::Backoff;
use super::encoder::gzip;
use super::outcome::Outcome;
use super::report::Reporter;
use super::{TlsError, Transport, Way};

/// The longest pause that an endpoint may ask for.
const LONGEST: Duration = Duration::from_secs(60);

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
        let shared = beside.and_then(|way| way.transport.beside(&way.config, &config, signal));
        let transport = shared.map_or_else(|| Transport::new(&config, signal), Ok)?;
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
        let packed = self.transport.takes_gzip().then(|| gzip(&body).ok()).flatten().map(Bytes::from);
        let (body, gzipped) = (packed.clone().unwrap_or(body), packed.is_some());
        let mut backoff = Backoff::default();
        loop {
            match self.send(body.clone(), gzipped).await {
                Outcome::Accepted { rejected, message } => {
                    if rejected > 0 || !message.is_empty() {
                        self.reporter.complained(rejected, &message);
                    }
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
                    tokio::time::sleep(after.unwrap_or_else(|| backoff.next(false)).min(LONGEST)).await;
                }
            }
        }
    }

    async fn send(&self, body: Bytes, gzipped: bool) -> Outcome {
        let sent = self.transport.send_body(body, gzipped);
        let Some(limit) = self.config.timeout else { return sent.await };
        timeout(limit, sent).await.unwrap_or_else(|_| Outcome::Failed {
            reason: format!("no answer within {} ms", limit.as_millis()),
            after: None,
        })
    }
}
