//! One question to a container runtime over its Unix socket. Whatever the runtime does, the answer has an end.
//!
//! Only two requests are ever made, both of which read: `GET /containers/ID/json` of Docker's API, and CRI's `ListContainers`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::cri;
use crate::config::{ContainerSocket, Speech};
use crate::discovery::container::Container;

/// How long a question may take in all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;
/// Who asks.
const AGENT: &str = concat!("wirespan/", env!("CARGO_PKG_VERSION"));
/// Own connections that are kept in mind: more than a busy agent is behind.
const MAX_KEPT: usize = 1024;

/// Cookies of the sockets by which was asked last: the runtime's ends of them tell nobody that they were asked.
static OWN: Mutex<VecDeque<u64>> = Mutex::new(VecDeque::new());
/// Whether there are any: spares a look where there are none.
static ANY: AtomicBool = AtomicBool::new(false);

/// Whether the other end of a Unix socket, by its cookie, is one by which was asked.
pub fn is_ours(cookie: u64) -> bool {
    ANY.load(Ordering::Acquire) && OWN.lock().unwrap_or_else(PoisonError::into_inner).contains(&cookie)
}

fn keep(stream: &UnixStream) {
    let Ok(cookie) = rustix::net::sockopt::socket_cookie(stream) else { return };
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if own.len() >= MAX_KEPT {
        own.pop_front();
    }
    own.push_back(cookie);
    ANY.store(true, Ordering::Release);
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Nobody listens, or it may not be used.
    #[error("{0}")]
    Closed(#[from] std::io::Error),
    /// It breaks off, or speaks something else.
    #[error("it does not speak as expected: {0}")]
    Broken(#[from] hyper::Error),
    /// It refuses.
    #[error("it answers with status {0}")]
    Status(u16),
    /// It makes no sense, or too much of it.
    #[error("its answer makes no sense")]
    Nonsense,
    /// Not in time.
    #[error("it does not answer")]
    Late,
}

/// The container of this id; `None` if the runtime knows none, or no name of it.
///
/// # Errors
/// If there is no answer.
pub async fn ask(socket: &ContainerSocket, roots: &[PathBuf], id: &str) -> Result<Option<Container>, SocketError> {
    let asking = async {
        let stream = UnixStream::connect(place(&socket.path, roots)).await?;
        keep(&stream);
        match socket.speech {
            Speech::Docker => docker(stream, id).await,
            Speech::Cri => cri(stream, id).await,
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or(Err(SocketError::Late))
}

/// Where the machine has the socket: an agent in a container sees it below process 1.
fn place(path: &Path, roots: &[PathBuf]) -> PathBuf {
    let below = |root: &PathBuf| root.join(path.strip_prefix("/").unwrap_or(path));
    roots.iter().map(below).find(|place| place.exists()).unwrap_or_else(|| path.into())
}

/// A connection that is driven until this is dropped.
struct Driven(JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn drive<C: Future<Output = hyper::Result<()>> + Send + 'static>(connection: C) -> Driven {
    // (What goes wrong is what the request ends with.)
    Driven(tokio::spawn(async move { drop(connection.await) }))
}

async fn docker(stream: UnixStream, id: &str) -> Result<Option<Container>, SocketError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _driven = drive(connection);
    let request = Request::get(format!("/containers/{id}/json")).header(HOST, "localhost").header(USER_AGENT, AGENT);
    let request = request.body(Full::<Bytes>::default()).map_err(|_| SocketError::Nonsense)?;
    let response = sender.send_request(request).await?;
    match response.status().as_u16() {
        200 => {}
        404 => return Ok(None),
        other => return Err(SocketError::Status(other)),
    }
    let (body, _) = read(response).await?;
    let described = serde_json::from_slice(&body).map_err(|_| SocketError::Nonsense)?;
    Ok(Container::of_docker(&described))
}

async fn cri(stream: UnixStream, id: &str) -> Result<Option<Container>, SocketError> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let _driven = drive(connection);
    let asked = cri::Request { filter: Some(cri::Filter { id: id.to_owned() }) }.encode_to_vec();
    // One message: not compressed, and how long it is.
    let mut body = vec![0];
    body.extend((asked.len() as u32).to_be_bytes());
    body.extend(asked);
    let request = Request::post(format!("http://localhost{}", cri::LIST))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT);
    let request = request.body(Full::<Bytes>::from(body)).map_err(|_| SocketError::Nonsense)?;
    let response = sender.send_request(request).await?;
    if response.status() != 200 {
        return Err(SocketError::Status(response.status().as_u16()));
    }
    refused(response.headers())?;
    let (body, trailers) = read(response).await?;
    refused(&trailers)?;
    let mut message = body;
    if message.len() < 5 || message.get_u8() != 0 || message.get_u32() as usize != message.len() {
        return Err(SocketError::Nonsense);
    }
    let answer = cri::Response::decode(message).map_err(|_| SocketError::Nonsense)?;
    Ok(answer.containers.into_iter().find(|container| container.id == id).and_then(named))
}

/// A status of gRPC that is not 0.
fn refused(headers: &HeaderMap) -> Result<(), SocketError> {
    match headers.get("grpc-status").map(|status| status.to_str().ok().and_then(|status| status.parse().ok())) {
        None | Some(Some(0)) => Ok(()),
        Some(status) => Err(SocketError::Status(status.unwrap_or_default())),
    }
}

/// A whole answer, and what comes behind it.
async fn read(response: Response<Incoming>) -> Result<(Bytes, HeaderMap), SocketError> {
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return SocketError::Nonsense;
        }
        error.downcast().map_or(SocketError::Nonsense, |error| SocketError::Broken(*error))
    })?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok((body.to_bytes(), trailers))
}

fn named(container: cri::Container) -> Option<Container> {
    let cri::Container { metadata, image, labels, .. } = container;
    let label = |key: &str| labels.get(key).map(String::as_str);
    let name = label("io.kubernetes.container.name").map(str::to_owned).or(metadata.map(|metadata| metadata.name));
    let pod = label("io.kubernetes.pod.name").zip(label("io.kubernetes.pod.namespace"));
    // (Some say the image's digest alone, which is no name.)
    let image = image.map(|image| image.image).filter(|image| !image.starts_with("sha256:")).unwrap_or_default();
    Container::of_runtime(&name?, pod, &image)
}
