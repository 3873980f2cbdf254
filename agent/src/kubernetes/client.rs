//! Requests to the Kubernetes API. Whatever the server does, an answer has an end: in bytes, and in time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use wirespan_kubernetes::follow::Trouble;
use wirespan_kubernetes::text;

use crate::config::kubernetes::KubernetesConfig;
use crate::config::otlp::TlsFiles;
use crate::export::otlp;
use crate::metrics::Counters;

/// How long an answer may take to begin, and a page to be read.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most of an error's explanation that is read.
const MAX_EXPLANATION: usize = 16 << 10;
/// Bytes of a single object.
pub(super) const MAX_OBJECT: usize = 2 << 20;
/// The longest token. (Those of service accounts have about a kilobyte.)
const MAX_TOKEN: u64 = 64 << 10;
/// How often a connection that waits is asked whether it still lives.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Metadata alone, of whatever kind the object is.
const METADATA_ONLY: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What an answer is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything.
    Whole,
    /// Names, labels and owners.
    Metadata,
}

/// Asks the API server. Clones share their connection.
#[derive(Clone)]
pub struct Client {
    http: Http<HttpsConnector<otlp::own::Connector>, Empty<Bytes>>,
    server: Uri,
    token: PathBuf,
    counters: Arc<Counters>,
}

impl Client {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// If the authority's certificate cannot be used.
    pub fn new(config: &KubernetesConfig, counters: Arc<Counters>) -> Result<Self, otlp::TlsError> {
        let encrypted = config.server.scheme_str() == Some("https");
        let files = TlsFiles { certificate: encrypted.then(|| config.authority()), identity: None };
        let http = Http::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_while_idle(true)
            .build(otlp::connector_to(&files, encrypted)?);
        Ok(Self { http, server: config.server.clone(), token: config.token(), counters })
    }

    /// A whole answer, of at most `most` bytes.
    ///
    /// # Errors
    /// Whatever hinders it.
    pub async fn get(&self, path: &str, part: Part, most: usize) -> Result<Bytes, Trouble> {
        let body = self.begin(path, part).await?.into_body();
        let read = timeout(PATIENCE, Limited::new(body, most).collect());
        match read.await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                Err(Trouble::Nonsense("it is too large"))
            }
            Ok(Err(error)) => Err(Trouble::Broken(error.to_string())),
            Err(_) => Err(Trouble::Broken("the answer does not end".into())),
        }
    }

    /// An answer that has begun, with status 200.
    ///
    /// # Errors
    /// Whatever hinders it.
    pub async fn begin(&self, path: &str, part: Part) -> Result<Response<Incoming>, Trouble> {
        self.counters.kubernetes_requests.inc();
        let broken = |error: &dyn std::error::Error| Trouble::Broken(causes(error));
        let response = match timeout(PATIENCE, self.http.request(self.request(path, part)?)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => return Err(Trouble::Broken("it does not answer".into())),
        };
        if response.status() == 200 {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let explained = timeout(PATIENCE, Limited::new(body, MAX_EXPLANATION).collect()).await;
        let explained = explained.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Err(Trouble::of_status(head.status.as_u16(), retry_after, &explanation(&explained)))
    }

    fn request(&self, path: &str, part: Part) -> Result<Request<Empty<Bytes>>, Trouble> {
        let server = self.server.to_string();
        let request = Request::get(format!("{}{path}", server.trim_end_matches('/')))
            .header(ACCEPT, if part == Part::Metadata { METADATA_ONLY } else { JSON })
            .header(USER_AGENT, concat!("wirespan/", env!("CARGO_PKG_VERSION")));
        // Read anew each time: the kubelet replaces it every hour or so.
        let token = crate::discovery::facts::read_small(&self.token, MAX_TOKEN).unwrap_or_default();
        let request = if token.trim().is_empty() {
            request
        } else {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
                .map_err(|_| Trouble::Nonsense("the token's file holds no token"))?;
            bearer.set_sensitive(true);
            request.header(AUTHORIZATION, bearer)
        };
        request.body(Empty::new()).map_err(|_| Trouble::Nonsense("a name in it makes no path"))
    }
}

/// What the server says of an error: the message of a `Status`, for people.
fn explanation(body: &[u8]) -> String {
    let status: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    text::plain(status["message"].as_str().unwrap_or_default(), text::VALUE).unwrap_or("without saying why").to_string()
}

/// An error with all its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let next = std::iter::successors(Some(error), |error| error.source());
    next.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
