//! Connections to the view: how many there may be, how slow and how large their requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

/// Connections at a time; others wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// Bytes of a request's head.
const MAX_HEAD: usize = 32 << 10;
/// How long readers are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A request's head may take this long, and a connection be without a request.
    pub head: Duration,
    /// A reader may take none of a response for this long.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(15), stall: Duration::from_secs(30) }
    }
}

/// Pause after the system refused a connection (no file descriptor left, usually).
const PAUSE: Duration = Duration::from_millis(100);
const BACKLOG: u32 = 128;

/// Listens. Must be called within a runtime.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of an agent before that linger must not keep this one from its port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts and serves connections for ever.
pub async fn run(listener: TcpListener, router: Router, patience: Patience) {
    let _vital = crate::vital::Vital::of("the local view");
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    connection(stream, router, patience).await;
                    drop(place);
                });
            }
            Err(error) => {
                log::debug!("the view could not accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, patience: Patience) {
    let mut stream = TimeoutStream::new(stream);
    // Of reading, the server keeps the time itself: a stream of events reads nothing for hours.
    stream.set_write_timeout(Some(patience.stall));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        log::debug!("a connection to the view ended: {error}");
    }
}
