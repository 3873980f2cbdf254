//! Connections: HTTP/1.1 and HTTP/2 on the same port, a bounded number of them.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

/// Connections at one time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// Requests under way on one HTTP/2 connection. SDKs send one or a few.
const MAX_STREAMS: u32 = 16;
/// Bytes of a request's header fields.
const MAX_HEADERS: u32 = 16 << 10;
/// How long a client may take to send a request's header fields.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// A silent HTTP/2 connection is asked whether it lives after so long.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// After a failed accept, which is mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener with its connections, all of which end when it is dropped.
pub(super) struct Server {
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `router` on a listener that does not block.
    pub(super) fn start(listener: TcpListener, router: Router, runtime: &Handle) -> std::io::Result<Self> {
        let _context = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(Self { task: runtime.spawn(accept(listener, router)) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: tokio::net::TcpListener, router: Router) {
    let _vital = crate::vital::Vital::of("the receiver of OTLP");
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Ends what it holds when this task is aborted.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    serve(stream, router).await;
                    drop(permit);
                });
            }
            Err(error) => {
                log::debug!("an OTLP connection cannot be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router) {
    // Answers are small: they must not wait for more of them.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_HEADERS as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .keep_alive_interval(KEEP_ALIVE);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
    if let Err(error) = served {
        log::debug!("an OTLP connection broke: {error}");
    }
}
