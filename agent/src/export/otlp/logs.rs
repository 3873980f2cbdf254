//! The agent's own records: gathered into requests, which leave by the way that applications' logs take ([`Relay`]).
//!
//! Bounded by number and by bytes; what finds no room is dropped and counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout_at;
use wirespan_delivery::otlp::logs::Gathering;
use wirespan_signals::Log;

use crate::config::otlp::BatchConfig;
use crate::memory::Account;
use crate::metrics::Counters;
use crate::vital::Vital;

use super::relay::Relay;

/// A request ends at this size even if it has room for more records.
const MAX_BYTES: usize = 2 << 20;
/// How often is looked whether all was delivered, when the agent ends.
const LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// Where records go in.
pub struct LogsExporter {
    queue: UnboundedSender<Log>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    room: Account,
    relay: Relay,
    full: AtomicBool,
    counters: Arc<Counters>,
    done: mpsc::Receiver<()>,
}

impl LogsExporter {
    /// Starts it on `runtime`.
    pub fn start(
        relay: Relay,
        batch: BatchConfig,
        room: Account,
        counters: Arc<Counters>,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        // Bounded by its account, and by number.
        let (queue, logs) = unbounded_channel();
        let (done_in, done) = mpsc::sync_channel(1);
        let waiting = Arc::<AtomicUsize>::default();
        let gatherer = Gatherer { batch, room: room.clone(), relay: relay.clone(), waiting: Arc::clone(&waiting) };
        runtime.spawn(async move {
            let _vital = Vital::of("the gathering of logs");
            gatherer.run(logs).await;
            let _ = done_in.send(());
        });
        let full = AtomicBool::new(false);
        Self { queue, waiting, limit: batch.queue_spans, room, relay, full, counters, done }
    }

    /// Takes what there is room for.
    pub fn export(&self, logs: Vec<Log>) {
        for log in logs {
            let fits = self.held() < self.limit && self.room.try_take(log.weight());
            if !fits {
                self.counters.log_records_dropped.inc();
                if !self.full.swap(true, Ordering::Relaxed) {
                    log::warn!("logs come faster than they can be sent: some are dropped, and counted (max-memory)");
                }
                continue;
            }
            self.full.store(false, Ordering::Relaxed);
            self.waiting.fetch_add(1, Ordering::Relaxed);
            // The task ends only after this sender is gone.
            let _ = self.queue.send(log);
        }
    }

    fn held(&self) -> usize {
        self.waiting.load(Ordering::Relaxed) + self.relay.waiting()
    }

    /// Delivers what waits until the deadline; the number of records that were not acknowledged.
    pub fn shutdown(self, deadline: Instant) -> usize {
        let Self { queue, waiting, relay, done, .. } = self;
        drop(queue);
        let _ = done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        while relay.waiting() > 0 && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        waiting.load(Ordering::Relaxed) + relay.waiting()
    }
}

struct Gatherer {
    batch: BatchConfig,
    room: Account,
    relay: Relay,
    waiting: Arc<AtomicUsize>,
}

impl Gatherer {
    /// Makes requests until nobody can give it records any more.
    async fn run(self, mut logs: UnboundedReceiver<Log>) {
        let (mut gathering, mut weight) = (Gathering::default(), 0);
        while let Some(first) = logs.recv().await {
            let due = tokio::time::Instant::now() + self.batch.delay;
            let mut next = Some(first);
            while let Some(log) = next {
                weight += log.weight();
                gathering.push(&log);
                if gathering.records() >= self.batch.batch_spans || gathering.bytes() >= MAX_BYTES {
                    break;
                }
                next = timeout_at(due, logs.recv()).await.ok().flatten();
            }
            let records = gathering.records();
            let body = gathering.take();
            self.room.take(body.len());
            self.room.give(std::mem::take(&mut weight));
            self.relay.send(body.into(), records, &self.room);
            self.waiting.fetch_sub(records, Ordering::Relaxed);
        }
    }
}
