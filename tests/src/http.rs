//! What an HTTP request must look like, by the OpenTelemetry semantic conventions (stable, HTTP spans).

use crate::expect::{Expected, Want};
use crate::span::Kind;

/// The parts of a URL.
struct Url<'a> {
    scheme: &'a str,
    host: &'a str,
    port: u16,
    path: &'a str,
    query: Option<&'a str>,
}

fn parse(url: &str) -> Url<'_> {
    let (scheme, rest) = url.split_once("://").expect("tests use absolute URLs");
    let (authority, target) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().expect("a port")),
        _ => (authority, if scheme == "https" { 443 } else { 80 }),
    };
    Url { scheme, host: host.trim_start_matches('[').trim_end_matches(']'), port, path, query }
}

/// The path as span names have it: numbers, which would make every request a name of its own, are one.
fn template(path: &str) -> String {
    let segment =
        |s: &str| if !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()) { "{id}".into() } else { s.to_owned() };
    path.split('/').map(segment).collect::<Vec<String>>().join("/")
}

/// The caller's span of a request to `url`, by address, over TCP.
pub fn client(service: &str, method: &str, url: &str, code: u16) -> Expected {
    let at = parse(url);
    let route = template(at.path);
    let span = Expected::new(service, Kind::Client, &format!("{method} {route}"))
        .with("url.template", route)
        .with("user_agent.original", Want::Any)
        .with("http.request.body.size", Want::Optional)
        .with("http.response.body.size", Want::Optional)
        .with("http.request.method", method)
        .with("url.full", url)
        .with("server.address", at.host)
        .with("server.port", at.port)
        .with("network.peer.address", at.host)
        .with("network.peer.port", at.port)
        .with("network.protocol.version", "1.1")
        .with("http.response.status_code", i64::from(code));
    let span = secured(span, at.scheme);
    if code >= 400 { span.failed(&code.to_string()) } else { span }
}

/// What says that it passed inside TLS.
fn secured(span: Expected, scheme: &str) -> Expected {
    if scheme == "https" { span.with("tls.protocol.version", "1.3") } else { span }
}

/// The callee's span of a request to `url`, from this host, over TCP.
pub fn server(service: &str, method: &str, url: &str, code: u16) -> Expected {
    let at = parse(url);
    let route = template(at.path);
    let mut span = Expected::new(service, Kind::Server, &format!("{method} {route}"))
        .with("url.template", route)
        .with("http.request.body.size", Want::Optional)
        .with("http.response.body.size", Want::Optional)
        .with("http.request.method", method)
        .with("url.scheme", at.scheme)
        .with("url.path", at.path)
        .with("server.address", at.host)
        .with("server.port", at.port)
        .with("client.address", at.host)
        .with("network.peer.address", at.host)
        .with("network.peer.port", Want::Port)
        .with("network.protocol.version", "1.1")
        .with("user_agent.original", Want::Any)
        .with("http.response.status_code", i64::from(code));
    if let Some(query) = at.query {
        span = span.with("url.query", query);
    }
    span = secured(span, at.scheme);
    if code >= 500 { span.failed(&code.to_string()) } else { span }
}

/// `curl` asking `service`: the caller's span with the callee's below.
pub fn curl(service: &str, method: &str, url: &str, code: u16) -> Expected {
    client("curl", method, url, code).child(server(service, method, url, code))
}

/// `caller` asking `callee`: the caller's span with the callee's below.
pub fn call(caller: &str, callee: &str, url: &str) -> Expected {
    client(caller, "GET", url, 200).child(server(callee, "GET", url, 200))
}

/// What deviates from the usual.
pub trait Deviation {
    /// Without a response, failed for `error`.
    fn unanswered(self, error: &str) -> Self;
    /// Another version of HTTP than 1.1, here and in the children given so far.
    fn version(self, version: &str) -> Self;
    /// Bytes of the request's and the response's body, where they are stated.
    fn bodies(self, request: Option<i64>, response: Option<i64>) -> Self;
    /// The requester calls itself this, here and in the children given so far.
    fn user_agent(self, name: impl Into<Want>) -> Self;
    /// The caller reads requests without waiting for them (an event loop), and had no other (docs/links.md).
    fn lone(self) -> Self;
    /// The requester does not say what it is, here and in the children given so far.
    fn no_user_agent(self) -> Self;
}

impl Deviation for Expected {
    fn unanswered(self, error: &str) -> Self {
        self.without("http.response.status_code").failed(error)
    }

    fn version(mut self, version: &str) -> Self {
        self.children = self.children.into_iter().map(|child| child.version(version)).collect();
        self.with("network.protocol.version", version)
    }

    fn bodies(mut self, request: Option<i64>, response: Option<i64>) -> Self {
        for (key, size) in [("http.request.body.size", request), ("http.response.body.size", response)] {
            self = match size {
                Some(size) => self.with(key, size),
                None => self.without(key),
            };
        }
        self.children = self.children.into_iter().map(|child| child.bodies(request, response)).collect();
        self
    }

    fn user_agent(mut self, name: impl Into<Want>) -> Self {
        let name = name.into();
        self.children = self.children.into_iter().map(|child| child.user_agent(name.clone())).collect();
        self.with("user_agent.original", name)
    }

    fn lone(self) -> Self {
        self.with("wirespan.link.evidence", "lone_request")
    }

    fn no_user_agent(mut self) -> Self {
        self.children = self.children.into_iter().map(Self::no_user_agent).collect();
        self.without("user_agent.original")
    }
}
