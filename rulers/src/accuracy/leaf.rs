//! The server behind everything: waits as long as the request says, answers, and writes down what it answered.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use clap::Args;
use serde::Deserialize;

use super::truth::parse_path;

/// What the leaf takes.
#[derive(Args)]
pub struct Options {
    /// Where it listens, on 127.0.0.1.
    #[arg(long)]
    port: u16,
}

#[derive(Deserialize)]
struct Parameters {
    /// Milliseconds.
    #[serde(default)]
    delay: u64,
    #[serde(default)]
    fail: u8,
}

/// One line for each answer, `<request> <hop>`, on standard output.
type Log = Arc<Mutex<std::io::Stdout>>;

/// Serves until it is ended by a signal.
pub fn command(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let log: Log = Arc::new(Mutex::new(std::io::stdout()));
        let app = Router::new().route("/hop/{request}/{hop}", get(answer)).route("/ready", get(|| async { "ready\n" }));
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        axum::serve(socket.listen(4096)?, app.with_state(log)).await.context("serving")
    })
}

async fn answer(
    State(log): State<Log>,
    Path((request, hop)): Path<(u64, String)>,
    Query(parameters): Query<Parameters>,
) -> (StatusCode, &'static str) {
    tokio::time::sleep(Duration::from_millis(parameters.delay)).await;
    if let Ok(mut out) = log.lock() {
        // Nobody reads it any more when this fails.
        let _ = writeln!(out, "/hop/{request}/{hop}");
    }
    if parameters.fail == 1 { (StatusCode::SERVICE_UNAVAILABLE, "no\n") } else { (StatusCode::OK, "leaf\n") }
}

/// The requests and hops that a leaf's log says it answered.
pub fn answered(log: &str) -> impl Iterator<Item = (u64, &str)> {
    // The last line may be half written.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole.lines().filter_map(parse_path)
}
