//! Sends batches, again and again if need be.
//!
//! While all is well, up to [`MAX_IN_FLIGHT`] requests are under way at once. After a failure that may pass, requests go
//! one at a time, each after a pause that grows; the batch that failed goes to the back, so that one which the endpoint
//! chokes on does not hold up the rest. There is no limit to how long a batch is tried: the queue's bound limits what
//! an outage can pile up.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use log::info;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::export::admission::Admission;
use crate::metrics::Counters;

use super::encoder::Batch;
use super::outcome::Outcome;
use super::report::Reporter;
use super::{Transport, backoff::Backoff};

/// Enough to keep an endpoint busy that answers in 50 ms at 40 000 spans per second.
const MAX_IN_FLIGHT: usize = 4;

/// The longest pause that an endpoint may ask for: what comes meanwhile has to fit the queue.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Sends what the encoder makes.
pub(super) struct Sender {
    pub(super) transport: Arc<Transport>,
    /// The longest that one request may take.
    pub(super) timeout: Option<Duration>,
    pub(super) batches: UnboundedReceiver<Batch>,
    /// Set to the deadline when the exporter stops.
    pub(super) stop: watch::Receiver<Option<Instant>>,
    pub(super) admission: Arc<Admission>,
    pub(super) counters: Arc<Counters>,
    pub(super) reporter: Reporter,
}

/// What a sender knows beyond its settings.
#[derive(Default)]
struct State {
    /// Batches to be sent again.
    again: VecDeque<Batch>,
    /// Requests under way; with the batch that each carries.
    in_flight: JoinSet<(Batch, Outcome)>,
    backoff: Backoff,
    /// No request before this moment.
    not_before: Option<Instant>,
    /// The exporter stops then.
    deadline: Option<Instant>,
    /// The encoder ended: no new batch will come.
    no_more: bool,
}

impl Sender {
    /// Runs until the encoder ended and everything is delivered, or until the deadline.
    pub(super) async fn run(mut self) {
        let mut state = State::default();
        loop {
            while state.may_send() {
                let Some(batch) = state.again.pop_front() else { break };
                self.counters.export_retries.inc();
                self.send(&mut state, batch);
            }
            if state.no_more && state.again.is_empty() && state.in_flight.is_empty() {
                return;
            }
            tokio::select! {
                () = at(state.deadline) => return,
                () = at(state.not_before) => state.not_before = None,
                Some(done) = state.in_flight.join_next() => {
                    // A task that panicked or was aborted took its batch along; its spans stay counted as held.
                    if let Ok((batch, outcome)) = done {
                        self.settle(&mut state, batch, outcome);
                    }
                }
                batch = self.batches.recv(), if state.may_send() && !state.no_more => match batch {
                    Some(batch) => self.send(&mut state, batch),
                    None => state.no_more = true,
                },
                Ok(()) = self.stop.changed(), if state.deadline.is_none() => {
                    state.deadline = *self.stop.borrow();
                    // One more chance for an endpoint that was being left alone.
                    state.not_before = None;
                }
            }
        }
    }

    fn send(&self, state: &mut State, batch: Batch) {
        self.counters.export_requests.inc();
        let (transport, limit) = (Arc::clone(&self.transport), self.timeout);
        state.in_flight.spawn(async move {
            let outcome = within(limit, transport.send(&batch)).await;
            (batch, outcome)
        });
    }

    fn settle(&mut self, state: &mut State, batch: Batch, outcome: Outcome) {
        match outcome {
            Outcome::Accepted { rejected, message } => {
                let rejected = rejected.min(batch.spans as u64);
                self.counters.spans_exported.add(batch.spans as u64 - rejected);
                self.counters.spans_rejected.add(rejected);
                self.reporter.accepted(rejected, &message);
                self.answered(state, &batch);
            }
            Outcome::Refused { reason } => {
                self.counters.export_failures.inc();
                self.counters.spans_rejected.add(batch.spans as u64);
                self.reporter.complained(batch.spans as u64, &reason);
                self.answered(state, &batch);
            }
            Outcome::Failed { reason, after } => {
                self.counters.export_failures.inc();
                let waiting = format!("{} of at most {}", self.admission.held(), self.admission.limit());
                self.reporter.failed(&reason, &waiting);
                state.pause(after);
                state.again.push_back(batch);
            }
        }
    }

    /// The endpoint works, and is done with a batch.
    fn answered(&mut self, state: &mut State, batch: &Batch) {
        self.admission.leave(batch.spans, batch.weight);
        self.reporter.recovered();
        state.backoff.reset();
        if let Some(dropped) = self.admission.overflow_ended() {
            info!("OTLP queue has room again; {dropped} spans were dropped meanwhile");
        }
    }
}

impl State {
    fn may_send(&self) -> bool {
        let limit = if self.backoff.active() { 1 } else { MAX_IN_FLIGHT };
        self.not_before.is_none() && self.in_flight.len() < limit
    }

    /// Leaves the endpoint alone for as long as it asked, or else for the next pause. Requests that were under way
    /// together fail together: that is one failure.
    fn pause(&mut self, asked: Option<Duration>) {
        if self.not_before.is_some() && asked.is_none() {
            return;
        }
        let next = self.backoff.next(self.deadline.is_some());
        let pause = asked.map_or(next, |a| a.min(MAX_RETRY_AFTER));
        let until = Instant::now() + pause;
        self.not_before = Some(self.not_before.map_or(until, |other| other.max(until)));
    }
}

/// Sends a request for as long as one may take.
pub(super) async fn within(limit: Option<Duration>, request: impl Future<Output = Outcome>) -> Outcome {
    let Some(limit) = limit else { return request.await };
    timeout(limit, request).await.unwrap_or_else(|_| Outcome::Failed {
        reason: format!("no answer within {} ms", limit.as_millis()),
        after: None,
    })
}

/// Waits for a moment; for ever if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
