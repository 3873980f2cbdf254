//! `/api/v1/processes`: which processes there are, what they are called, and whether they are traced.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::Shared;
use super::params::{Refusal, json};
use crate::inventory::Row;

/// How long the list may take: the thread that makes it reads records first.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(10);

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/api/v1/processes", get(processes))
}

#[derive(Serialize)]
struct Processes<'a> {
    processes: &'a [Row],
}

async fn processes(State(shared): State<Arc<Shared>>) -> Result<Response, Refusal> {
    let inventory = &shared.shown.inventory;
    let before = inventory.get();
    inventory.ask();
    let newer = async {
        loop {
            let list = inventory.get();
            if !Arc::ptr_eq(&list, &before) {
                return list;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let late = |_| Refusal::new(503, "the agent is too busy to list its processes; ask again");
    let list = tokio::time::timeout(PATIENCE, newer).await.map_err(late)?;
    Ok(json(&Processes { processes: &list }))
}
