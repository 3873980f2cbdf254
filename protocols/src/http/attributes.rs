//! Span names and attributes, as in the stable HTTP semantic conventions
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
//!
//! Only what the message itself says: the peer's address, a port that `Host` leaves out, and the authority of a
//! `url.full` that no `Host` gives, are the caller's to add. Of the header fields, `User-Agent`, `Host` and the
//! forwarding ones are recorded; bodies never are.

use std::borrow::Cow;
use std::net::IpAddr;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::fields::{Fields, media};
use super::forwarded::{self, host_port};
use crate::exchange::{Asks, KeyValue, Status};
use crate::redact::{self, clip};
use crate::template::template;
use crate::{Role, Settings};

/// Longest path that is kept.
const MAX_PATH: usize = 8192;
/// Longest user agent that is kept.
const MAX_USER_AGENT: usize = 512;

/// Methods that the conventions call known: RFC 9110, PATCH, QUERY.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

/// Schemes of targets that are told: a proxy is asked for others than HTTP's, too.
const SCHEMES: [&str; 6] = ["http", "https", "ws", "wss", "ftp", "ftps"];

/// A request as every version of HTTP knows it.
pub(crate) struct Request<'a> {
    /// `None` if it is not known.
    pub method: Option<&'a str>,
    /// `network.protocol.version`, if it is known.
    pub version: Option<&'static str>,
    pub target: Target<'a>,
    pub fields: &'a Fields<'a>,
    pub gateway: Gateway,
}

/// What a gateway, which hands a request on in another form, says of the connection that it came by.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    /// The port that it came to.
    pub port: Option<u16>,
    /// Where it came from.
    pub client: Option<IpAddr>,
}

/// A request-target taken apart (RFC 9112 §3.2, RFC 9113 §8.3.1).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub scheme: Option<&'static str>,
    /// Without user information, and a host beyond doubt.
    pub authority: Option<&'a str>,
    /// User information was there.
    credentials: bool,
    /// It has a scheme that is not told.
    foreign: bool,
    /// Empty in authority form, and where it is not known.
    pub path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// What stands behind `?`.
    pub(crate) fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Takes a request-target in any of its four forms apart.
    pub(crate) fn parse(method: &str, target: &'a str) -> Self {
        let target = target.split('#').next().unwrap_or_default();
        if method == "CONNECT" {
            return Self { authority: redact::authority(target), ..Self::default() };
        }
        let (origin, query) = match target.split_once('?') {
            Some((origin, query)) => (origin, Some(query)),
            None => (target, None),
        };
        let absolute = origin.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
        let Some((scheme, rest)) = absolute else { return Self { path: origin, query, ..Self::default() } };
        let scheme = SCHEMES.into_iter().find(|known| scheme.eq_ignore_ascii_case(known));
        let foreign = scheme.is_none();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let Some(host) = redact::authority(authority) else {
            // The rest may be a password that was not encoded.
            return Self { scheme, foreign, ..Self::default() };
        };
        let path = if path.is_empty() { "/" } else { path };
        Self { scheme, authority: Some(host), credentials: host.len() < authority.len(), foreign, path, query }
    }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(sound)
}

/// The span's name and the attributes that the request alone gives.
pub(crate) fn request(head: &Request<'_>, settings: &Settings) -> (Cow<'static, str>, Vec<KeyValue>) {
    let mut attributes = Vec::with_capacity(14);
    let method = known(head.method);
    if let Some(original) = head.method {
        attributes.push(KeyValue::str(semconv::HTTP_REQUEST_METHOD, method.unwrap_or("_OTHER")));
        if method.is_none() {
            attributes.push(KeyValue::str(semconv::HTTP_REQUEST_METHOD_ORIGINAL, original.to_owned()));
        }
    }
    attributes.extend(head.version.map(|version| KeyValue::str(semconv::NETWORK_PROTOCOL_VERSION, version)));
    let target = &head.target;
    let route = match target.path {
        "*" => Some("*".into()),
        path if path.starts_with('/') => Some(template(path)),
        _ => None,
    };
    match settings.role {
        Role::Server => server(head, settings, &mut attributes),
        Role::Client => client(head, settings, &mut attributes),
    }
    if let Some(agent) = head.fields.user_agent.filter(|a| !a.is_empty()) {
        let agent = String::from_utf8_lossy(agent);
        let agent = redact::text(&agent);
        attributes.push(KeyValue::str(semconv::USER_AGENT_ORIGINAL, clip(&agent, MAX_USER_AGENT).to_owned()));
    }
    if let Some(length) = head.fields.length.known() {
        attributes.push(size(semconv::HTTP_REQUEST_BODY_SIZE, length));
    }
    // `HTTP` stands for a method of which there may be any number.
    let method = method.unwrap_or("HTTP");
    let Some(route) = route else { return (method.into(), attributes) };
    let name = [method, " ", &route].concat();
    // `http.route` is the program's own route, which is not on the wire: the conventions forbid to make it of the path.
    attributes.push(KeyValue::str(semconv::URL_TEMPLATE, route));
    (name.into(), attributes)
}

fn known(method: Option<&str>) -> Option<&'static str> {
    METHODS.into_iter().find(|known| Some(*known) == method)
}

/// What is asked of a server, as its requests under way are told apart; nothing of what has no scheme of HTTP.
pub(crate) fn asks(head: &Request<'_>, settings: &Settings) -> Option<Asks> {
    if settings.role != Role::Server {
        return None;
    }
    let scheme = scheme(head, settings)?;
    Some(Asks { method: known(head.method).unwrap_or("_OTHER"), scheme })
}

/// `url.scheme` of what is asked of a server.
fn scheme(head: &Request<'_>, settings: &Settings) -> Option<&'static str> {
    let target = &head.target;
    forwarded::scheme(head.fields).or(target.scheme).or((!target.foreign).then_some(usual_scheme(settings)))
}

fn server(head: &Request<'_>, settings: &Settings, attributes: &mut Vec<KeyValue>) {
    let (fields, target, gateway) = (head.fields, &head.target, &head.gateway);
    let host = forwarded::host(fields).or(target.authority).or_else(|| forwarded::text(fields.host?));
    address(host, attributes);
    let scheme = scheme(head, settings);
    // What a proxy forwards was asked of the proxy: the port that this server listens on is another one.
    if forwarded::is_forwarded(fields) {
        let port = forwarded::port(fields).unwrap_or(if scheme == Some("https") { 443 } else { 80 });
        port_unless_stated(port, attributes);
    } else if let Some(port) = gateway.port {
        port_unless_stated(port, attributes);
    }
    attributes.extend(scheme.map(|scheme| KeyValue::str(semconv::URL_SCHEME, scheme)));
    path_and_query(target, settings, attributes);
    let client = forwarded::client(fields).map(str::to_owned).or_else(|| Some(gateway.client?.to_string()));
    attributes.extend(client.map(|client| KeyValue::str(semconv::CLIENT_ADDRESS, client)));
}

/// `server.port` of an address that was written down without one.
fn port_unless_stated(port: u16, attributes: &mut Vec<KeyValue>) {
    let has = |key: &str| attributes.iter().any(|a| a.key == key);
    if has(semconv::SERVER_ADDRESS) && !has(semconv::SERVER_PORT) {
        attributes.push(KeyValue::int(semconv::SERVER_PORT, i64::from(port)));
    }
}

fn client(head: &Request<'_>, settings: &Settings, attributes: &mut Vec<KeyValue>) {
    let (fields, target) = (head.fields, &head.target);
    let host = target.authority.or_else(|| redact::authority(forwarded::text(fields.host?)?));
    address(host, attributes);
    if let Some(port) = head.gateway.port {
        port_unless_stated(port, attributes);
    }
    // A tunnel has an address and no URL, and what is fetched by another scheme is no URL of this one.
    if target.path.is_empty() || target.foreign {
        return;
    }
    let Some(host) = host.filter(|_| target.path.starts_with(['/', '*'])) else {
        return path_and_query(target, settings, attributes);
    };
    let mut url = String::with_capacity(host.len() + target.path.len() + 32);
    url.push_str(target.scheme.unwrap_or(usual_scheme(settings)));
    url.push_str("://");
    if target.credentials {
        url.push_str(redact::USER);
    }
    url.push_str(host);
    let usual = if target.scheme == Some("https") { 443 } else { 80 };
    if let Some(port) = head.gateway.port.filter(|port| *port != usual && host_port(host).1.is_none()) {
        url.extend([":", &port.to_string()]);
    }
    // RFC 9112 §3.3: the URI of `OPTIONS *` has no path.
    if target.path != "*" {
        url.push_str(clip(&redact::path(target.path, settings.keep_query_values), MAX_PATH));
    }
    if let Some(query) = target.query {
        url.push('?');
        url.push_str(&redact::query(query, settings.keep_query_values));
    }
    attributes.push(KeyValue::str(semconv::URL_FULL, url));
}

/// The scheme of a target that has none.
fn usual_scheme(settings: &Settings) -> &'static str {
    if settings.secured { "https" } else { "http" }
}

fn path_and_query(target: &Target<'_>, settings: &Settings, attributes: &mut Vec<KeyValue>) {
    if !target.path.is_empty() {
        let path = redact::path(target.path, settings.keep_query_values);
        attributes.push(KeyValue::str(semconv::URL_PATH, clip(&path, MAX_PATH).to_owned()));
    }
    if let Some(query) = target.query.filter(|q| !q.is_empty()) {
        attributes.push(KeyValue::str(semconv::URL_QUERY, redact::query(query, settings.keep_query_values)));
    }
}

/// `server.address`, and `server.port` if it is written down.
pub(crate) fn address(authority: Option<&str>, attributes: &mut Vec<KeyValue>) {
    let (host, port) = host_port(authority.and_then(redact::authority).unwrap_or_default());
    if host.is_empty() {
        return;
    }
    attributes.push(KeyValue::str(semconv::SERVER_ADDRESS, clip(host, MAX_PATH).to_owned()));
    if let Some(port) = port {
        attributes.push(KeyValue::int(semconv::SERVER_PORT, i64::from(port)));
    }
}

/// `http.request.body.size`.
pub(crate) const REQUEST_BODY_SIZE: &str = semconv::HTTP_REQUEST_BODY_SIZE;

/// [`REQUEST_BODY_SIZE`] of a body that was seen whole.
pub(crate) fn request_body(bytes: u64) -> KeyValue {
    size(semconv::HTTP_REQUEST_BODY_SIZE, bytes)
}

fn size(key: &'static str, bytes: u64) -> KeyValue {
    KeyValue::int(key, i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// Adds what the response gives, and says what became of the exchange: `failure` is the `error.type` of a connection
/// that broke. A client's error begins at 400, a server's at 500.
pub(crate) fn response(
    role: Role,
    code: Option<u16>,
    body: Option<u64>,
    failure: Option<&'static str>,
    attributes: &mut Vec<KeyValue>,
) -> Status {
    if let Some(code) = code {
        attributes.push(KeyValue::int(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(code)));
    }
    if let Some(body) = body {
        attributes.push(size(semconv::HTTP_RESPONSE_BODY_SIZE, body));
    }
    let from = match role {
        Role::Client => 400,
        Role::Server => 500,
    };
    let error = match code.filter(|code| *code >= from) {
        Some(code) => Cow::Owned(code.to_string()),
        None => match failure {
            Some(failure) => Cow::Borrowed(failure),
            None => return Status::Unset,
        },
    };
    attributes.push(KeyValue::str(semconv::ERROR_TYPE, error));
    Status::Error("".into())
}

/// Whether a client's request carries its own telemetry: OTLP over HTTP
/// (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>).
pub(crate) fn exports_telemetry(head: &Request<'_>) -> bool {
    let media = head.fields.content_type.map(media).unwrap_or_default();
    let otlp = [&b"application/x-protobuf"[..], b"application/json"].iter().any(|t| media.eq_ignore_ascii_case(t));
    head.method == Some("POST") && head.target.path.ends_with("/v1/traces") && otlp
}
