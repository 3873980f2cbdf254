//! axum and reqwest on tokio's multi-threaded runtime.

use std::env;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::calls::Calls;
use crate::shapes::{Hop, Shape};

mod calls;
mod shapes;

#[derive(Deserialize)]
struct Parameters {
    shape: Shape,
    /// Milliseconds.
    #[serde(default)]
    delay: u64,
    #[serde(default)]
    depth: u32,
}

async fn hop(
    State(calls): State<Arc<Calls>>,
    Path((request, name)): Path<(u64, String)>,
    Query(Parameters { shape, delay, depth }): Query<Parameters>,
) -> (StatusCode, String) {
    let answer = format!("hop {name}\n");
    match shapes::run(calls, shape, Hop { request, name, delay, depth }).await {
        Ok(()) => (StatusCode::OK, answer),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}\n")),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = env::var("PORT").context("PORT")?.parse().context("PORT")?;
    let calls = Calls::new(env::var("NEXT").context("NEXT")?)?;
    let app = Router::new()
        .route("/ready", get(|| async { "ready\n" }))
        .route("/hop/{request}/{hop}", get(hop))
        .with_state(calls);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
