//! New traces as they come, as Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! Nothing is queued for a reader: each remembers the last change that it was told, and asks for what came since when it
//! can take more. What is too much at once, or is forgotten by then, is told as a number.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::params::{Params, Refusal};
use super::serve::Endless;
use super::{About, Shared};
use crate::store::Reader;
use crate::store::filter::{Filter, Matcher};
use crate::store::query::Summary;
use crate::store::stop::{Stop, Stopped};

/// Readers at a time.
pub const MAX_WATCHERS: usize = 64;
/// Most traces told at once.
const MAX_TRACES: usize = 100;
/// Shortest time between two events.
const PACE: Duration = Duration::from_millis(200);
/// How often a quiet stream shows that it is alive.
const ALIVE: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Traces {
    traces: Vec<Summary>,
    skipped: u64,
}

/// One reader.
struct Watcher {
    shared: Arc<Shared>,
    filter: Arc<Filter>,
    changed: watch::Receiver<u64>,
    /// The last change that it knows.
    change: u64,
    last: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

/// Starts to tell.
pub async fn watch(State(shared): State<Arc<Shared>>, params: Params) -> Result<Response, Refusal> {
    let filter = Arc::new(params.filter()?);
    let place = Arc::clone(&shared.watchers)
        .try_acquire_owned()
        .map_err(|_| Refusal::new(503, format!("{MAX_WATCHERS} readers watch already: close some of their windows")))?;
    let changed = shared.shown.reader.changed();
    let change = *changed.borrow();
    let watcher = Watcher { shared, filter, changed, change, last: None, _place: place };
    let events = futures_util::stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response();
    response.extensions_mut().insert(Endless);
    Ok(response)
}

impl Watcher {
    /// Waits for something to tell; `None` when the store has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            self.changed.changed().await.ok()?;
            if let Some(last) = self.last {
                tokio::time::sleep_until(last + PACE).await;
            }
            self.changed.borrow_and_update();
            let (since, filter) = (self.change, Arc::clone(&self.filter));
            let about = if filter.reads_spans() { About::Spans } else { About::Figures };
            let told = self.shared.work(about, move |reader, stop| news(reader, since, &filter, stop)).await;
            // Where there is no turn, what came meanwhile is told the next time.
            let Ok((change, traces)) = told else { continue };
            self.change = change;
            if !traces.traces.is_empty() || traces.skipped > 0 {
                self.last = Some(Instant::now());
                self.shared.shown.counters.view_live_skipped.add(traces.skipped);
                return serde_json::to_string(&traces).ok().map(|data| Event::default().event("traces").data(data));
            }
        }
    }
}

/// What came after a change, the latest first.
fn news(reader: &Reader, since: u64, filter: &Filter, stop: &Stop) -> Result<(u64, Traces), Refusal> {
    let (change, mut skipped, candidates) = {
        let memory = reader.read();
        let matcher = Matcher::new(filter, &memory);
        let (changed, forgotten) = memory.changed_since(since);
        let (mut candidates, mut skipped) = (Vec::new(), forgotten);
        for stored in changed.filter(|stored| matcher.seems(stored)) {
            match candidates.len() < MAX_TRACES {
                true => candidates.push(memory.candidate(stored, filter)),
                false => skipped += 1,
            }
        }
        (memory.change(), skipped, candidates)
    };
    let mut traces = Vec::new();
    for candidate in candidates {
        match candidate.check(filter, stop) {
            Ok(summary) => traces.extend(summary),
            Err(Stopped::TooLong) => skipped += 1,
            Err(stopped) => return Err(stopped.into()),
        }
    }
    Ok((change, Traces { traces, skipped }))
}
