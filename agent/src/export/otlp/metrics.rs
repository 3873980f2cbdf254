//! Delivers figures: all of them, every so often, and once more at the end.
//!
//! Nothing waits in a queue: what an endpoint does not take is told with the next figures, cumulative ones as they are by then,
//! and of deltas what came since the last that was accepted. So an outage costs no memory and no count. One service is read
//! at a time, and its figures are let go before the next one's are read.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use wirespan_meters::{Meters, unix_nanos};
use wirespan_signals::{Metric, ResourceMetrics};

use crate::config::metrics::MetricsExport;
use crate::config::otlp::Signal;
use crate::metrics::Counters;
use crate::vital::Vital;

use super::backoff::Backoff;
use super::figures::{Earlier, Request, Telling};
use super::outcome::Outcome;
use super::report::Reporter;
use super::{Packed, TlsError, Transport, Way};

/// Requests that are made before they can be sent.
const AHEAD: usize = 1;
/// How long an export may take with all its attempts, unless the next one comes before.
const WHOLE: Duration = Duration::from_secs(30);

/// Where figures come from.
pub struct Source {
    /// What is measured of spans, if anything is.
    pub meters: Option<Arc<Meters>>,
    /// What the agent says of itself, with its resource.
    pub own: Box<dyn Fn() -> ResourceMetrics + Send + Sync>,
}

impl Source {
    /// Tells all figures, a resource at a time, until `told` wants no more.
    fn each(&self, mut told: impl FnMut(ResourceMetrics) -> bool) {
        let mut wanted = told((self.own)());
        if let Some(meters) = &self.meters {
            meters.each(|of| wanted = wanted && told(of));
        }
    }
}

/// What is exported of an agent.
pub fn own(resource: &Arc<wirespan_signals::Resource>, metrics: Vec<Metric>) -> ResourceMetrics {
    ResourceMetrics { resource: Arc::clone(resource), time_unix_nano: unix_nanos(), metrics }
}

/// The running exporter.
pub struct MetricsExporter {
    stop: watch::Sender<Option<Instant>>,
    done: mpsc::Receiver<()>,
}

impl MetricsExporter {
    /// Starts it on `runtime`; over the connections of `beside`, if they lead where figures go.
    ///
    /// # Errors
    /// If certificates cannot be read.
    pub fn start(
        config: MetricsExport,
        source: Source,
        beside: Option<&Way>,
        counters: Arc<Counters>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, TlsError> {
        let transport = Transport::by(beside, &config.otlp, Signal::Metrics)?;
        let reporter = Reporter::new(config.otlp.endpoint.to_string(), "metrics");
        let (stop, stopped) = watch::channel(None);
        let (done_in, done) = mpsc::sync_channel(1);
        let telling = Telling { temporality: config.temporality };
        let (source, earlier) = (Arc::new(source), Arc::default());
        let mut delivery = Delivery { config, telling, source, transport, reporter, counters, stopped, earlier };
        runtime.spawn(async move {
            let _vital = Vital::of("the sender of metrics");
            delivery.run().await;
            let _ = done_in.send(());
        });
        Ok(Self { stop, done })
    }

    /// Begins to export for the last time.
    pub fn stop(&self, deadline: std::time::Instant) {
        // Fails only if the sender is gone, which `wait` notices.
        let _ = self.stop.send(Some(deadline.into()));
    }

    /// Waits for the end or the deadline.
    pub fn wait(self, deadline: std::time::Instant) {
        let _ = self.done.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now()));
    }
}

struct Delivery {
    config: MetricsExport,
    telling: Telling,
    source: Arc<Source>,
    transport: Transport,
    reporter: Reporter,
    counters: Arc<Counters>,
    stopped: watch::Receiver<Option<Instant>>,
    earlier: Arc<Mutex<Earlier>>,
}

impl Delivery {
    async fn run(&mut self) {
        let mut next = Instant::now() + self.config.interval;
        loop {
            let deadline = tokio::select! {
                () = tokio::time::sleep_until(next) => None,
                // (Whoever holds the other end is gone only at the end.)
                _ = self.stopped.changed() => Some(self.stopped.borrow().unwrap_or_else(Instant::now)),
            };
            let until = deadline.unwrap_or_else(|| Instant::now() + self.config.interval.min(WHOLE));
            self.export(until, deadline.is_some()).await;
            if deadline.is_some() {
                return;
            }
            next = (next + self.config.interval).max(Instant::now());
        }
    }

    /// Reads all figures and delivers them, as far as that goes until then.
    async fn export(&mut self, until: Instant, last: bool) {
        let (begun, mut requests) = (unix_nanos(), self.gather());
        let mut backoff = Backoff::default();
        while let Some(mut request) = requests.recv().await {
            let packed = self.transport.pack(std::mem::take(&mut request.body).into());
            loop {
                let pause = match self.send(packed.clone(), until).await {
                    Outcome::Accepted { rejected, message } => {
                        let rejected = rejected.min(request.points as u64);
                        self.counters.metric_points_exported.add(request.points as u64 - rejected);
                        self.counters.metric_points_rejected.add(rejected);
                        self.reporter.accepted(rejected, &message);
                        break;
                    }
                    Outcome::Refused { reason } => {
                        self.counters.metric_points_rejected.add(request.points as u64);
                        self.reporter.complained(request.points as u64, &reason);
                        break;
                    }
                    Outcome::Failed { reason, after } => {
                        self.counters.metric_export_failures.inc();
                        self.reporter.failed(&reason, "they are told with the next");
                        after.unwrap_or_else(|| backoff.next(false))
                    }
                };
                let again = Instant::now() + pause;
                if last || again >= until || self.stopped.has_changed().unwrap_or(true) {
                    // What is left is told next time; whoever makes it notices that nobody wants it.
                    return;
                }
                tokio::time::sleep_until(again).await;
            }
            self.reporter.recovered();
            backoff.reset();
            self.earlier().done(&mut request);
        }
        self.earlier().forget(begun);
    }

    fn earlier(&self) -> std::sync::MutexGuard<'_, Earlier> {
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes requests, off the threads that send them.
    fn gather(&self) -> Receiver<Request> {
        let (made, requests) = channel(AHEAD);
        let (source, telling, earlier) = (Arc::clone(&self.source), self.telling, Arc::clone(&self.earlier));
        tokio::task::spawn_blocking(move || {
            source.each(|of| {
                let mut some = Vec::new();
                let held = earlier.lock().unwrap_or_else(PoisonError::into_inner);
                telling.requests(&of, &held, |request| {
                    some.push(request);
                    true
                });
                drop(held);
                some.into_iter().all(|request| made.blocking_send(request).is_ok())
            });
        });
        requests
    }

    async fn send(&self, Packed { body, gzipped }: Packed, until: Instant) -> Outcome {
        self.counters.metric_export_requests.inc();
        let limit = self.config.otlp.timeout.map_or(until, |limit| until.min(Instant::now() + limit));
        let answered = timeout_at(limit, self.transport.send_body(body, gzipped)).await;
        answered.unwrap_or_else(|_| Outcome::Failed { reason: "no answer in time".to_owned(), after: None })
    }
}
