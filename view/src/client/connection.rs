//! One request to a running agent, and what can go wrong with it.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Runtime};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is read of an answer.
const MAX_ANSWER: usize = 256 << 20;

/// Where an agent is asked, and what it may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `HOST:PORT`; empty if only the socket is asked.
    pub address: String,
    /// Its Unix socket, which is asked first.
    pub socket: Option<PathBuf>,
    /// The token of its `--token-file`.
    pub token: Option<String>,
}

impl Endpoint {
    /// An agent that is asked at its socket alone.
    pub fn socket(path: PathBuf, token: Option<String>) -> Self {
        Self { address: String::new(), socket: Some(path), token }
    }

    /// Where that is, for people.
    pub fn place(&self) -> String {
        let socket = self.socket.as_ref().map(|path| path.display().to_string());
        let places = socket.into_iter().chain((!self.address.is_empty()).then(|| self.address.clone()));
        places.collect::<Vec<_>>().join(" or ")
    }
}

/// Why there is no answer. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address makes no sense.
    #[error("--address: {0:?} is no HOST:PORT, such as 127.0.0.1:4316")]
    Address(String),
    /// Nobody listens there, or nobody answers.
    #[error(
        "no wirespan answers on {address} ({reason}): start one with `sudo wirespan`, or say where it listens with --address HOST:PORT"
    )]
    NoAgent {
        /// Where it was asked.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// It wants a token, or another.
    #[error("the wirespan on {address} demands its token: add the --token-file that it was started with")]
    Token {
        /// Where it was asked.
        address: String,
    },
    /// There is no such thing; the sentence is the agent's.
    #[error("{0}")]
    Unknown(String),
    /// It refuses the question; the sentence is the agent's.
    #[error("the wirespan on {address} refuses: {sentence}")]
    Refused {
        /// Where it was asked.
        address: String,
        /// Why.
        sentence: String,
    },
    /// Something else answers, or another version.
    #[error(
        "what listens on {address} is no wirespan of this version ({reason}): say where it listens with --address HOST:PORT"
    )]
    Foreign {
        /// Where it was asked.
        address: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The system gives no thread or file descriptor.
    #[error("cannot ask: {0}")]
    System(#[from] std::io::Error),
}

/// Asks one agent.
pub struct Client {
    endpoint: Endpoint,
    token: Option<HeaderValue>,
    runtime: Runtime,
}

/// How an agent says no.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Client {
    /// For the agent at `endpoint`. Nothing is sent yet.
    ///
    /// # Errors
    /// If the address or the token cannot be used.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        let address = || ClientError::Address(endpoint.address.clone());
        if !endpoint.address.is_empty() || endpoint.socket.is_none() {
            let host = endpoint.address.parse::<http::uri::Authority>().map_err(|_| address())?;
            host.port_u16().ok_or_else(address)?;
        }
        let bearer = |token: &String| HeaderValue::from_str(&format!("Bearer {token}")).ok();
        let token = endpoint.token.as_ref().and_then(bearer);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { endpoint, token, runtime })
    }

    /// The agent's answer to a question.
    ///
    /// # Errors
    /// If there is none, or it makes no sense.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ClientError> {
        let body = self.bytes(path, query)?;
        serde_json::from_slice(&body).map_err(|error| self.foreign(format!("its answer is not understood: {error}")))
    }

    /// The same as it came.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn bytes(&self, path: &str, query: &[(&str, String)]) -> Result<Bytes, ClientError> {
        let mut target = path.to_owned();
        for (at, (key, value)) in query.iter().enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(&format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        }
        let answer = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.ask(&target)).await });
        answer.unwrap_or_else(|_| Err(self.nobody(format!("no answer within {} s", PATIENCE.as_secs()))))
    }

    /// Asks the socket, and the address if nobody listens there.
    async fn ask(&self, target: &str) -> Result<Bytes, ClientError> {
        let mut reason = None;
        if let Some(path) = &self.endpoint.socket {
            match UnixStream::connect(path).await {
                Ok(stream) => return self.exchange(stream, "localhost", target).await,
                // Where there is an agent that may not be asked, the reason is worth more than what comes after.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    reason = Some(format!("{error} for {}; ask as the user that it runs as", path.display()));
                }
                Err(error) => reason = self.endpoint.address.is_empty().then(|| error.to_string()),
            }
        }
        if self.endpoint.address.is_empty() {
            return Err(self.nobody(reason.unwrap_or_default()));
        }
        match TcpStream::connect(&self.endpoint.address).await {
            Ok(stream) => self.exchange(stream, &self.endpoint.address, target).await,
            Err(error) => Err(self.nobody(reason.unwrap_or_else(|| error.to_string()))),
        }
    }

    async fn exchange<S>(&self, stream: S, host: &str, target: &str) -> Result<Bytes, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut request = Request::builder().uri(target).header(HOST, host);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| self.foreign(error.to_string()))?;
        let failed = |error: hyper::Error| self.nobody(innermost(&error));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(failed)?;
        let answer = self.read(response).await;
        connection.abort();
        answer
    }

    async fn read(&self, response: http::Response<Incoming>) -> Result<Bytes, ClientError> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| self.foreign(format!("its answer broke off: {error}")))?.to_bytes();
        let json = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if head.status == StatusCode::OK && json {
            return Ok(body);
        }
        let sentence = serde_json::from_slice(&body).map(|refusal: Refusal| refusal.error);
        let address = || self.endpoint.place();
        Err(match (head.status, sentence) {
            (StatusCode::UNAUTHORIZED, _) => ClientError::Token { address: address() },
            (StatusCode::NOT_FOUND, Ok(sentence)) => ClientError::Unknown(sentence),
            (_, Ok(sentence)) => ClientError::Refused { address: address(), sentence },
            (status, Err(_)) => self.foreign(format!("it answers {status}")),
        })
    }

    fn nobody(&self, reason: String) -> ClientError {
        ClientError::NoAgent { address: self.endpoint.place(), reason }
    }

    fn foreign(&self, reason: String) -> ClientError {
        ClientError::Foreign { address: self.endpoint.place(), reason }
    }
}

/// What lies at the ground of an error: the system's own words.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn client(address: &str) -> Client {
        Client::new(Endpoint { address: address.to_owned(), socket: None, token: Some("s3cret".to_owned()) }).unwrap()
    }

    /// What a client makes of this answer, and what it had sent.
    fn asked(answer: &'static str) -> (Result<serde_json::Value, ClientError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let result = client(&address).get("/api/v1/search", &[("service", "a b&c".to_owned()), ("limit", "1".into())]);
        (result, server.join().unwrap())
    }

    #[test]
    fn a_question_is_a_get_with_escaped_values_and_the_token() {
        let (answer, request) =
            asked("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
        assert_eq!(answer.unwrap()["a"], 1);
        assert!(request.starts_with("GET /api/v1/search?service=a%20b%26c&limit=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.to_lowercase().contains("authorization: bearer s3cret"), "{request}");
    }

    #[test]
    fn what_goes_wrong_is_said_with_its_remedy() {
        let error = |answer| asked(answer).0.unwrap_err().to_string();
        assert!(error("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n").contains("--token-file"));
        assert!(error("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").contains("no wirespan"));
        assert!(error("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").contains("404"));
        let unknown = "HTTP/1.1 404 No\r\nContent-Length: 17\r\n\r\n{\"error\":\"gone.\"}";
        assert!(matches!(asked(unknown).0, Err(ClientError::Unknown(sentence)) if sentence == "gone."));
        assert!(error("not HTTP at all\r\n\r\n").contains("--address"));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let nobody = client(&free).bytes("/", &[]).unwrap_err().to_string();
        assert!(nobody.contains("sudo wirespan") && nobody.contains("refused"), "{nobody}");
        for bad in ["", "localhost", "127.0.0.1:", "http://127.0.0.1:1/"] {
            let endpoint = Endpoint { address: bad.to_owned(), socket: None, token: None };
            assert!(matches!(Client::new(endpoint), Err(ClientError::Address(_))), "{bad}");
        }
    }
}
