//! Connections to the view: how many there may be, how slow and how large their requests.
//!
//! Whoever is slow, silent, or many, keeps nobody out. When there are as many connections as there may be, a new one
//! takes the place of the one that has waited longest without a request; one with a request is worked for, and that has
//! bounds of its own. Connections over the socket and over TCP have places of their own.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::web::own::{Cookies, Known};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_io_timeout::TimeoutStream;

/// Connections at a time, of each kind.
pub const MAX_CONNECTIONS: usize = 192;
/// Bytes of a request's head.
const MAX_HEAD: usize = 32 << 10;
/// How long readers are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A request's head may take this long, and a connection be without a request.
    pub head: Duration,
    /// A reader may take none of a response for this long.
    pub stall: Duration,
    /// A reader may take this long for a whole response, the stream of events excepted.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(15), stall: Duration::from_secs(30), whole: Duration::from_secs(120) }
    }
}

/// Pause after the system refused a connection (no file descriptor left, usually), and while every place is worked for.
const PAUSE: Duration = Duration::from_millis(100);

/// What answers requests.
type Answers = TowerToHyperService<Router>;

/// A response that goes on until the reader leaves.
#[derive(Clone)]
pub struct Endless;

/// Where connections come from.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket. The ends that are accepted are told to `Cookies`, so that nobody's request to it is traced.
    Unix(UnixListener, Arc<Cookies>),
}

/// Accepts and serves connections for ever.
pub async fn run(listener: Listener, router: Router, patience: Patience) {
    let _vital = wirespan_delivery::vital::Vital::of("the local view");
    let places = Arc::new(Places::default());
    let router = TowerToHyperService::new(router);
    loop {
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| (Stream::Tcp(stream), None)),
            Listener::Unix(listener, cookies) => listener.accept().await.map(|(stream, _)| {
                let known = cookies.keep(&stream);
                (Stream::Unix(stream), Some(known))
            }),
        };
        match accepted {
            Ok((stream, known)) => {
                while !places.make_room() {
                    tokio::time::sleep(PAUSE).await;
                }
                start(&places, stream, known, router.clone(), patience);
            }
            Err(error) => {
                log::debug!("the view could not accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A connection's bytes.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

fn start(places: &Arc<Places>, stream: Stream, known: Option<Known>, router: Answers, patience: Patience) {
    let (number, connection) = places.add();
    let places = Arc::clone(places);
    tokio::spawn(async move {
        let mine = Arc::clone(&connection);
        let served = async {
            match stream {
                Stream::Tcp(stream) => serve(stream, router, mine, patience).await,
                Stream::Unix(stream) => serve(stream, router, mine, patience).await,
            }
        };
        tokio::select! {
            () = served => {}
            () = connection.end.notified() => log::debug!("a connection to the view made room for another"),
            () = overdue(&connection, patience.whole) => log::debug!("a reader of the view takes too long"),
        }
        places.remove(number);
        drop(known);
    });
}

async fn serve<S>(stream: S, router: Answers, connection: Arc<Connection>, patience: Patience)
where
    S: AsyncRead + AsyncWrite,
{
    let mut stream = TimeoutStream::new(stream);
    // Of reading, the server keeps the time itself: a stream of events reads nothing for hours.
    stream.set_write_timeout(Some(patience.stall));
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = connection.begin();
        let answer = router.call(request);
        async move {
            let response = answer.await?;
            if response.extensions().get::<Endless>().is_some() {
                busy.0.endless.store(true, Ordering::Relaxed);
            }
            Ok::<_, std::convert::Infallible>(response.map(|body| Sending { body, _busy: busy }))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await;
    if let Err(error) = served {
        log::debug!("a connection to the view ended: {error}");
    }
}

/// Waits until a request has taken too long, its response being taken included.
async fn overdue(connection: &Connection, whole: Duration) {
    loop {
        tokio::time::sleep(whole / 4).await;
        let busy = connection.busy.load(Ordering::Relaxed) && !connection.endless.load(Ordering::Relaxed);
        if busy && connection.since() > whole {
            return;
        }
    }
}

/// Every connection of one kind.
#[derive(Default)]
struct Places {
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

impl Places {
    fn add(&self) -> (u64, Arc<Connection>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::default());
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&connection));
        (number, connection)
    }

    fn remove(&self, number: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Whether there is a place for one more; one that has waited longest without a request makes way for it.
    fn make_room(&self) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() < MAX_CONNECTIONS {
            return true;
        }
        let waits = |(_, connection): &(&u64, &Arc<Connection>)| !connection.busy.load(Ordering::Relaxed);
        let longest = open.iter().filter(waits).max_by_key(|(number, c)| (c.since(), std::cmp::Reverse(**number)));
        let Some(number) = longest.map(|(number, _)| *number) else { return false };
        if let Some(connection) = open.remove(&number) {
            // One permit is kept for a task that does not wait for it yet.
            connection.end.notify_one();
        }
        true
    }
}

/// A connection, as those see it who want its place.
struct Connection {
    begun: Instant,
    /// When the last request came or was done with, milliseconds after `begun`.
    changed: AtomicU64,
    /// A request is worked for, or its response is being sent.
    busy: AtomicBool,
    endless: AtomicBool,
    end: Notify,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            changed: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            endless: AtomicBool::new(false),
            end: Notify::new(),
        }
    }
}

impl Connection {
    fn change(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
        self.changed.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn begin(self: &Arc<Self>) -> Busy {
        self.change(true);
        Busy(Arc::clone(self))
    }

    /// How long it has been in its state.
    fn since(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.changed.load(Ordering::Relaxed)))
    }
}

/// A request, until its response is handed to the system.
struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(false);
    }
}

/// A response's body, which keeps its connection busy.
struct Sending {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
