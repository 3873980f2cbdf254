//! The local view: a page, its API, and Jaeger's API, over HTTP on a loopback address.
//!
//! | module | what it is |
//! |---|---|
//! | `serve` | connections: how many, how slow, how large |
//! | [`guard`] | who may ask: host, origin, token; what every response says about safety |
//! | `otlp` | one trace as OTLP/JSON |
//! | `api`, `params`, `detail` | the page's own API under `/api/v1/` |
//! | `linking` | how well calls find their requests, by process |
//! | `processes` | which processes there are |
//! | `live` | new traces as they come |
//! | `jaeger` | what Jaeger's query service answers |
//! | `assets` | the page itself |
//!
//! It runs on threads of its own and only reads: nothing that a reader does can hold tracing up.

mod api;
mod assets;
mod detail;
pub mod guard;
mod jaeger;
mod linking;
mod live;
mod otlp;
mod params;
mod processes;
mod serve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use crate::config::ViewConfig;
use crate::config::view::Token;
use crate::inventory::Inventory;
use crate::metrics::Counters;
use crate::span::Linking;
use crate::store::{Memory, Reader};
use guard::Guard;
use params::Refusal;
use serve::Patience;

/// Searches that run at a time; others wait.
const SEARCHES: usize = 4;

/// Why there is no view. Tracing goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The address cannot be had.
    #[error("{address} cannot be listened on ({source}); choose another with --listen 127.0.0.1:PORT, or --listen off")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system gives no thread.
    #[error("no thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// An address that the view has, and does not answer on yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    patience: Patience,
    runtime: Runtime,
}

/// The running view.
pub struct View {
    address: SocketAddr,
    runtime: Runtime,
}

/// What the view shows.
pub struct Shown {
    /// The traces.
    pub reader: Reader,
    /// The agent's counters.
    pub counters: Arc<Counters>,
    /// How well calls find their requests.
    pub linking: Arc<Linking>,
    /// Traces outlive the agent.
    pub persistent: bool,
    /// Where spans may be sent to, for people.
    pub otlp_listen: Option<String>,
    /// The processes.
    pub inventory: Arc<Inventory>,
}

/// What every request may need.
struct Shared {
    shown: Shown,
    guard: Guard,
    /// Unix time, milliseconds.
    started: f64,
    searches: Semaphore,
    watchers: Arc<Semaphore>,
}

impl Bound {
    /// Takes the address.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn new(config: &ViewConfig) -> Result<Self, ViewError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(SEARCHES + 1)
            .thread_name("wirespan-view")
            .enable_all()
            .build()?;
        let bound = {
            let _context = runtime.enter();
            serve::bind(config.listen)
        };
        let listener = bound.map_err(|source| ViewError::Bind { address: config.listen, source })?;
        let address = listener.local_addr()?;
        let patience = Patience::default();
        Ok(Self { listener, address, token: config.token.clone(), patience, runtime })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to answer.
    pub fn serve(self, shown: Shown) -> View {
        let Self { listener, address, token, patience, runtime } = self;
        let shared = Arc::new(Shared {
            shown,
            guard: Guard::new(token.as_ref(), address),
            started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_millis() as f64),
            searches: Semaphore::new(SEARCHES),
            watchers: Arc::new(Semaphore::new(live::MAX_WATCHERS)),
        });
        runtime.spawn(serve::run(listener, router(shared), patience));
        View { address, runtime }
    }
}

impl View {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection at once.
    pub fn stop(self) {
        self.runtime.shutdown_background();
    }
}

/// Every address that is answered.
fn router(shared: Arc<Shared>) -> Router {
    let mut router =
        Router::new().merge(api::routes()).merge(processes::routes()).merge(jaeger::routes()).fallback(not_found);
    for page in ["/", "/search", "/trace/{id}", "/services", "/operations"] {
        router = router.route(page, get(assets::index));
    }
    router
        .route("/assets/{*path}", get(assets::asset))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard::check))
        .with_state(shared)
}

async fn not_found() -> Response {
    Refusal::not_found("there is no such address; the page is at /, its API under /api/v1/").into_response()
}

async fn method_not_allowed() -> Response {
    Refusal::new(405, "only GET is answered here").into_response()
}

impl Shared {
    /// Asks the traces something that may take a while, off the threads that serve connections.
    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Memory) -> T + Send + 'static) -> Result<T, Refusal> {
        let _turn = self.searches.acquire().await.map_err(|_| Refusal::internal())?;
        let reader = self.shown.reader.clone();
        tokio::task::spawn_blocking(move || question(&reader.read())).await.map_err(|_| Refusal::internal())
    }
}

#[cfg(test)]
mod tests;
