//! Connections that this process opens itself, to send what it has: whoever serves them is not told to have been asked.
//!
//! The agent's end of them is never seen, for its process is left alone. The other end is known by both addresses, as long as
//! the connection is open and a while longer, for what passed last may still be on its way to the reader.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// For how long a closed connection is kept in mind: longer than a busy agent is behind.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Connections that are kept in mind, the oldest of which give way.
const MAX_KEPT: usize = 1024;

/// Both ends of a connection: ours, and the one that it leads to.
type Ends = (SocketAddr, SocketAddr);

/// All of them, and when they were closed.
static OPENED: Mutex<VecDeque<(Ends, Option<Instant>)>> = Mutex::new(VecDeque::new());
/// How many there are: spares a look where there are none.
static MANY: AtomicUsize = AtomicUsize::new(0);

fn opened() -> MutexGuard<'static, VecDeque<(Ends, Option<Instant>)>> {
    OPENED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a connection whose ends are `local` and `peer`, as a server on this machine knows them, is one of ours.
pub fn is_ours(local: SocketAddr, peer: SocketAddr) -> bool {
    MANY.load(Ordering::Acquire) > 0 && opened().iter().any(|(ends, _)| *ends == (peer, local))
}

/// A connection of ours, as long as this lives.
struct Known(Option<Ends>);

impl Known {
    fn keep(stream: &TcpStream) -> Self {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let (Ok(own), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return Self(None) };
        let ends = (canonical(own), canonical(peer));
        let mut all = opened();
        all.retain(|(_, closed)| closed.is_none_or(|at| at.elapsed() < REMEMBERED));
        while all.len() >= MAX_KEPT {
            all.pop_front();
        }
        all.push_back((ends, None));
        MANY.store(all.len(), Ordering::Release);
        Self(Some(ends))
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let Some(ends) = self.0 else { return };
        let mut all = opened();
        if let Some((_, closed)) = all.iter_mut().find(|(other, closed)| *other == ends && closed.is_none()) {
            *closed = Some(Instant::now());
        }
    }
}

/// Opens connections, and keeps them in mind.
#[derive(Clone)]
pub(crate) struct Connector(pub(super) HttpConnector);

/// One of them.
pub(crate) struct Stream {
    stream: TokioIo<TcpStream>,
    _known: Known,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move {
            let stream = connecting.await?;
            let _known = Known::keep(stream.inner());
            Ok(Stream { stream, _known })
        })
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, to)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_knows_our_connections_by_both_ends_also_a_while_after_their_end() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let mut connector = Connector(HttpConnector::new());
        let ours = connector.call(format!("http://{address}/").parse().unwrap()).await.unwrap();
        let (_, peer) = server.accept().await.unwrap();
        let foreign = TcpStream::connect(address).await.unwrap();
        assert!(is_ours(address, peer));
        assert!(!is_ours(address, foreign.local_addr().unwrap()) && !is_ours(peer, address));
        drop(ours);
        assert!(is_ours(address, peer), "its records come after it was closed");
    }
}
