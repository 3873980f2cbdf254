//! The local view: a page, its API, and Jaeger's API, over HTTP on a loopback address and on a Unix socket.
//!
//! | module | what it is |
//! |---|---|
//! | `serve` | connections: how many, how slow, how large |
//! | `socket` | the Unix socket's file |
//! | [`guard`] | who may ask: host, origin, token; what every response says about safety |
//! | `work` | what takes longer than a moment: how much of it at a time, how long |
//! | `otlp` | one trace as OTLP/JSON |
//! | `api`, `params`, `detail` | the page's own API under `/api/v1/` |
//! | `logs` | records of logs |
//! | `linking` | how well calls find their requests, by process |
//! | `processes` | which processes there are |
//! | [`probes`] | what machines ask: `/metrics`, `/livez`, `/readyz` |
//! | `live` | new traces as they come |
//! | [`own`] | whose connections are its own: who looks at traces makes no traces |
//! | `jaeger` | what Jaeger's query service answers |
//! | `assets` | the page itself |
//! | `problem` | a refusal as a page, for people |
//!
//! It runs on threads of its own and only reads: nothing that a reader does can hold tracing up. The threads that serve
//! connections never wait for memory.

mod api;
mod assets;
mod detail;
pub mod guard;
mod jaeger;
mod linking;
mod live;
mod logs;
mod otlp;
pub mod own;
mod params;
pub mod probes;
mod problem;
mod processes;
mod serve;
mod socket;
mod work;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use crate::Counters;
use crate::config::Token;
use crate::config::ViewConfig;
use crate::inventory::Inventory;
use crate::store::Reader;
use crate::web::own::{Cookies, OwnServer};
use guard::Guard;
use params::Refusal;
use serve::{Listener, Patience};
use socket::{Socket, SocketFile};
use wirespan_signals::{Linking, Readings};
use work::{About, Desk, render};

/// Questions of each kind at a time, of those who come over TCP and of those who come over the socket.
const OVER_TCP: usize = 2;
const OVER_SOCKET: usize = 1;

/// Why the view cannot be had in one of its places. Tracing goes on, and so does the view in its other place.
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
    /// The socket cannot be had.
    #[error("{} cannot be listened on ({source}); choose another with --socket PATH, or --socket off", path.display())]
    Socket {
        /// The path asked for.
        path: PathBuf,
        /// The system's reason, or ours.
        source: std::io::Error,
    },
}

/// The places that the view has, and does not answer at yet.
pub struct Bound {
    tcp: Option<(TcpListener, SocketAddr)>,
    socket: Option<Socket>,
    token: Option<Token>,
    patience: Patience,
    cookies: Arc<Cookies>,
}

/// The running view.
pub struct View {
    address: Option<SocketAddr>,
    socket: Option<SocketFile>,
    runtime: Runtime,
}

/// What the view shows.
pub struct Shown {
    /// The traces.
    pub reader: Reader,
    /// What the view itself counts.
    pub counters: Arc<Counters>,
    /// Every counter of the agent, these included.
    pub readings: Arc<dyn Readings>,
    /// How well calls find their requests.
    pub linking: Arc<Linking>,
    /// Traces outlive the agent.
    pub persistent: bool,
    /// Where spans may be sent to, for people.
    pub otlp_listen: Option<String>,
    /// The processes.
    pub inventory: Arc<Inventory>,
    /// What machines ask.
    pub probes: probes::Probes,
}

/// What every request of one kind of connection may need.
struct Shared {
    shown: Arc<Shown>,
    guard: Guard,
    /// Unix time, milliseconds.
    started: f64,
    desk: Desk,
    watchers: Arc<Semaphore>,
}

impl Bound {
    /// Takes the address and the socket, as far as they can be had, and says why not.
    pub fn new(config: &ViewConfig) -> (Self, Vec<ViewError>) {
        let mut problems = Vec::new();
        let tcp = config.listen.and_then(|address| {
            let bound = TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                Ok((listener, address))
            });
            bound.map_err(|source| problems.push(ViewError::Bind { address, source })).ok()
        });
        let socket = config.socket.as_ref().and_then(|path| {
            let problem = |source| problems.push(ViewError::Socket { path: path.clone(), source });
            Socket::bind(path).map_err(problem).ok()
        });
        let (token, patience) = (config.token.clone(), Patience::default());
        (Self { tcp, socket, token, patience, cookies: Arc::default() }, problems)
    }

    /// Where it listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(|(_, address)| *address)
    }

    /// Its socket, if it has one.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(|socket| socket.file.path())
    }

    /// Whether nobody can ask.
    pub fn is_empty(&self) -> bool {
        self.tcp.is_none() && self.socket.is_none()
    }

    /// By what its own connections are known.
    pub fn own(&self) -> OwnServer {
        OwnServer::new(self.address(), Arc::clone(&self.cookies))
    }

    /// Begins to answer.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn serve(self, shown: Shown) -> std::io::Result<View> {
        let Self { tcp, socket, token, patience, cookies } = self;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(2 * (OVER_TCP + OVER_SOCKET) + 1 + probes::AT_ONCE)
            .thread_name("wirespan-view")
            .enable_all()
            .build()?;
        let context = runtime.enter();
        let (shown, watchers) = (Arc::new(shown), Arc::new(Semaphore::new(live::MAX_WATCHERS)));
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_millis() as f64);
        let shared = |guard, places| {
            let (shown, watchers) = (Arc::clone(&shown), Arc::clone(&watchers));
            Arc::new(Shared { shown, guard, started, desk: Desk::new(places), watchers })
        };
        let address = tcp.as_ref().map(|(_, address)| *address);
        if let Some((listener, address)) = tcp {
            let listener = Listener::Tcp(tokio::net::TcpListener::from_std(listener)?);
            let router = router(shared(Guard::new(token.as_ref(), address), OVER_TCP));
            runtime.spawn(serve::run(listener, router, patience));
        }
        let file = match socket {
            Some(Socket { listener, file }) => {
                let listener = Listener::Unix(tokio::net::UnixListener::from_std(listener)?, cookies);
                runtime.spawn(serve::run(listener, router(shared(Guard::of_socket(), OVER_SOCKET)), patience));
                Some(file)
            }
            None => None,
        };
        drop(context);
        Ok(View { address, socket: file, runtime })
    }
}

impl View {
    /// Where it listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Its socket, if it has one.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(SocketFile::path)
    }

    /// Ends every connection at once.
    pub fn stop(self) {
        self.runtime.shutdown_background();
    }
}

/// Every address that is answered.
fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .merge(api::routes())
        .merge(processes::routes())
        .merge(logs::routes())
        .merge(jaeger::routes())
        .fallback(not_found);
    router = router.merge(probes::routes());
    for page in ["/", "/logs", "/search", "/trace/{id}", "/services", "/operations"] {
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

#[cfg(test)]
mod long;
#[cfg(test)]
mod tests;
