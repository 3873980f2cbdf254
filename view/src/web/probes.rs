//! What machines ask: `/metrics`, `/livez`, `/readyz`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{Semaphore, mpsc};
use wirespan_meters::text::Format;

use super::Shared;
use super::params::Refusal;

/// Answers of figures that are written at a time.
pub const AT_ONCE: usize = 2;
/// Pieces of an answer that wait for the connection.
const PIECES: usize = 2;

/// How the agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does not trace yet.
    Starting,
    /// It traces.
    Ready,
    /// A stage of it is gone.
    Lost(&'static str),
}

/// Writes figures piece by piece, until no more are wanted.
pub type Write = dyn Fn(Format, &mut dyn FnMut(String) -> bool) + Send + Sync;

/// What is asked for when a machine asks.
pub struct Probes {
    health: Box<dyn Fn() -> Health + Send + Sync>,
    figures: Arc<Write>,
    turns: Arc<Semaphore>,
}

impl Probes {
    /// Answers by these two.
    pub fn new(health: impl Fn() -> Health + Send + Sync + 'static, figures: Arc<Write>) -> Self {
        Self { health: Box::new(health), figures, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// The addresses.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/metrics", get(metrics)).route("/livez", get(live)).route("/readyz", get(ready))
}

/// Whether anybody may ask: what is told is a word, and whoever supervises a program knows no token.
pub(super) fn is_for_all(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz")
}

async fn live(State(shared): State<Arc<Shared>>) -> Response {
    match (shared.shown.probes.health)() {
        Health::Lost(stage) => lost(stage),
        Health::Starting | Health::Ready => "ok\n".into_response(),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match (shared.shown.probes.health)() {
        Health::Lost(stage) => lost(stage),
        Health::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Health::Ready => "ok\n".into_response(),
    }
}

fn lost(stage: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{stage} stopped by itself\n")).into_response()
}

/// Figures are written while they are sent: however many there are, few of them are in memory as text.
async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let probes = &shared.shown.probes;
    let turn = Arc::clone(&probes.turns).try_acquire_owned();
    let turn = turn.map_err(|_| Refusal::busy("figures are being read by too many others: ask again"))?;
    let (pieces, mut sent) = mpsc::channel::<String>(PIECES);
    let figures = Arc::clone(&probes.figures);
    tokio::task::spawn_blocking(move || {
        // Fails once the reader has left.
        figures(format, &mut |piece| pieces.blocking_send(piece).is_ok());
        drop(turn);
    });
    let body = stream::poll_fn(move |context| {
        sent.poll_recv(context).map(|piece| piece.map(|piece| Ok::<_, std::convert::Infallible>(Bytes::from(piece))))
    });
    Ok(([(header::CONTENT_TYPE, format.content_type())], Body::from_stream(body)).into_response())
}
