//! What a hop does before it is answered.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::time::sleep;

use crate::calls::Calls;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    Chain,
    Sequence,
    Parallel,
    Retry,
    Forget,
    Pool,
    Queue,
    Timer,
}

/// One request's place in the tree.
pub struct Hop {
    pub request: u64,
    pub name: String,
    /// Milliseconds.
    pub delay: u64,
    pub depth: u32,
}

impl Hop {
    /// Path and query of the n-th call.
    fn target(&self, n: u32) -> String {
        self.target_with(n, "")
    }

    /// The same with further parameters, each followed by `&`.
    fn target_with(&self, n: u32, more: &str) -> String {
        let Self { request, name, delay, .. } = self;
        format!("/hop/{request}/{name}.{n}?{more}delay={delay}")
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(self.delay)
    }
}

pub async fn run(calls: Arc<Calls>, shape: Shape, hop: Hop) -> Result<()> {
    match shape {
        Shape::Chain => chain(&calls, &hop).await,
        Shape::Sequence => sequence(&calls, &hop).await,
        Shape::Parallel => parallel(&calls, &hop).await,
        Shape::Retry => retry(&calls, &hop).await,
        Shape::Forget => {
            forget(calls, hop);
            Ok(())
        }
        Shape::Pool => calls.get_through_pool(&hop.target(1)).await.map(drop),
        Shape::Queue => calls.get_through_queue(hop.target(1)).await.map(drop),
        Shape::Timer => {
            sleep(hop.pause()).await;
            calls.get(&hop.target(1)).await.map(drop)
        }
    }
}

async fn chain(calls: &Calls, hop: &Hop) -> Result<()> {
    let target = match hop.depth.checked_sub(1) {
        Some(depth) => hop.target_with(1, &format!("shape=chain&depth={depth}&")),
        None => hop.target(1),
    };
    calls.get(&target).await.map(drop)
}

async fn sequence(calls: &Calls, hop: &Hop) -> Result<()> {
    for n in 1..=3 {
        calls.get(&hop.target(n)).await?;
    }
    Ok(())
}

async fn parallel(calls: &Calls, hop: &Hop) -> Result<()> {
    let [a, b, c] = [1, 2, 3].map(|n| hop.target(n));
    tokio::try_join!(calls.get(&a), calls.get(&b), calls.get(&c))?;
    Ok(())
}

async fn retry(calls: &Calls, hop: &Hop) -> Result<()> {
    if calls.get(&hop.target_with(1, "fail=1&")).await? == StatusCode::SERVICE_UNAVAILABLE {
        calls.get(&hop.target(2)).await?;
    }
    Ok(())
}

fn forget(calls: Arc<Calls>, hop: Hop) {
    tokio::spawn(async move {
        sleep(hop.pause()).await;
        if let Err(error) = calls.get(&hop.target(1)).await {
            eprintln!("{error:#}");
        }
    });
}
