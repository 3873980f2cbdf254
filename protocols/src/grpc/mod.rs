//! gRPC (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>): what makes a request a call, how calls end,
//! and how the RPC semantic conventions describe them (<https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>).
//!
//! | module | what it is |
//! |---|---|
//! | `export` | whether a message can only be an export of spans |
//! | `messages` | counts messages in the bytes of a body |
//! | `status` | status codes |

mod export;
mod messages;
mod status;

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

pub(crate) use export::exports_spans;
pub(crate) use messages::Messages;
pub(crate) use status::Code;

use crate::exchange::{KeyValue, Status, unknown};
use crate::http::attributes::address;
use crate::http::fields::media;
use crate::redact::{self, clip};
use crate::rules::form;
use crate::{Direction, Role};

/// Messages of a call, by direction. The conventions have no name for it.
const REQUEST_MESSAGES: &str = "wirespan.rpc.request.messages";
const RESPONSE_MESSAGES: &str = "wirespan.rpc.response.messages";
/// Bytes of a message that are looked at.
const MAX_MESSAGE: usize = 1536;
/// Longest method that is recorded.
const MAX_METHOD: usize = 512;
/// The path of an export of spans (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>).
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Whether a `Content-Type` says gRPC, or gRPC-Web.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    let rest = media(content_type).strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b'-')))
}

/// Whether a `Content-Type` says gRPC-Web in Base64, which is not read.
pub(crate) fn is_text(content_type: &[u8]) -> bool {
    media(content_type).starts_with(b"application/grpc-web-text")
}

/// Whether a call exports spans.
pub(crate) fn exports_telemetry(path: &str) -> bool {
    path == EXPORT
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With its head.
    Head,
    /// With fields after its body.
    Trailers,
    /// With its body, as no call does.
    Data,
}

/// The status in the last fields of a response, of which some have names that are not known: each is there with its value, or
/// without if that is not known either. The status must be among them (PROTOCOL-HTTP2.md, *Responses*), so if only one can be it,
/// it is. `Err` if more can be, or its value is not known.
pub(crate) fn status_among<'a>(nameless: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Code, ()> {
    let mut possible = nameless.filter(|value| value.is_none_or(Code::is_value));
    match (possible.next(), possible.next()) {
        (Some(Some(value)), None) => Code::parse(value).ok_or(()),
        _ => Err(()),
    }
}

/// A call in progress.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// `grpc-timeout`, nanoseconds.
    timeout: Option<u64>,
    pub sent: Messages,
    pub received: Messages,
    /// It was a stream of messages from the server that its reader left: no error.
    pub read: bool,
    code: Option<Code>,
    /// The status was said before anybody listened, and only referred to since.
    hidden: bool,
    /// It is not certain that this is a call: what would say so was said before anybody listened.
    pub guessed: bool,
    /// Its head speaks of calls.
    hinted: bool,
    /// The server described what went wrong.
    described: bool,
    /// That, without the values that it quotes.
    said: Box<str>,
}

impl Call {
    /// A call that begins.
    pub fn new(timeout: Option<u64>) -> Self {
        Self { timeout, ..Self::default() }
    }

    /// The status that the server states (`grpc-status`).
    pub fn stated(&mut self, code: Option<Code>) {
        self.code = code.or(self.code);
    }

    /// What may be a call: its `Content-Type` is one that was said before anybody listened. `hinted`: its head has what calls have.
    pub fn guessed(timeout: Option<u64>, hinted: bool) -> Self {
        Self { guessed: true, hinted, ..Self::new(timeout) }
    }

    /// The server's last fields name a status that is not known.
    pub fn hide_status(&mut self) {
        self.hidden = true;
    }

    /// The server's last fields have a `grpc-message`: "a description of the error" (PROTOCOL-HTTP2.md, *Responses*). One of grpc-js's
    /// servers describes success, too.
    pub fn message(&mut self, text: &[u8], keep_values: bool) {
        if text.is_empty() || text == b"OK" {
            return;
        }
        self.described = true;
        let text = form::percent_decoded(&text[..text.len().min(MAX_MESSAGE)], false);
        self.said = redact::complaint(&String::from_utf8_lossy(&text), keep_values).into();
    }

    /// Whether what passed can be nothing but a call: messages in both directions as the protocol frames them, or a
    /// response that has none and ends with its head, or a head that speaks of calls.
    pub fn is_certain(&self, request_ended: bool, response: Option<Ending>) -> bool {
        if !self.guessed {
            return true;
        }
        let asked = self.sent.fits(request_ended) && self.sent.count() > Some(0);
        if self.hinted {
            return asked;
        }
        let answered = self.received.fits(response == Some(Ending::Trailers)) && self.received.count() > Some(0);
        asked
            && match response {
                Some(Ending::Trailers) => self.received.fits(true) || self.received.count().is_none(),
                Some(Ending::Head) => true,
                Some(Ending::Data) => false,
                None => answered,
            }
    }

    /// Whether it may be a call of which nothing came back that would show it: nothing that passed is against it. (Other protocols
    /// frame what they ask in the same way.)
    pub fn is_possible(&self, request_ended: bool, response: Option<Ending>) -> bool {
        self.guessed && response.is_none() && self.sent.may_fit(request_ended) && self.received.may_fit(false)
    }

    /// The messages of one direction.
    pub fn messages(&mut self, direction: Direction) -> &mut Messages {
        match direction {
            Direction::Request => &mut self.sent,
            Direction::Response => &mut self.received,
        }
    }

    /// The stream was reset after `elapsed` nanoseconds, by the end that sends in direction `by`.
    pub fn reset(&mut self, error: u32, by: Direction, elapsed: u64) {
        // A deadline that passes resets the stream, too. The time on the wire was rounded: 3 % are allowed for that.
        let expired = self.timeout.is_some_and(|t| elapsed >= t - t / 32);
        let code = Code::of_reset(error);
        let cancelled = code == Code::CANCELLED && (by == Direction::Request || expired);
        self.code = Some(if cancelled && expired { Code::DEADLINE_EXCEEDED } else { code });
    }

    /// The client left, with the connection.
    pub fn cancelled(&mut self) {
        self.code = Some(Code::CANCELLED);
    }

    /// The connection was lost, or refused the call.
    pub fn unavailable(&mut self) {
        self.code = Some(Code::UNAVAILABLE);
    }

    /// The response is complete: without a stated status, the one of HTTP counts, unless it is 200
    /// (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>).
    pub fn without_status(&mut self, http: Option<u16>) {
        self.code = self.code.or(self.received.trailer()).or(http.filter(|h| *h != 200).map(Code::of_http));
    }
}

/// `package.Service/Method` of a path, if it is one.
fn method(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-/".contains(&b));
    (word(service) && word(method) && path.len() <= MAX_METHOD).then_some(&path[1..])
}

/// Name of a call that is under way.
pub(crate) fn name(path: Option<&str>) -> Cow<'static, str> {
    path.and_then(method).map_or("grpc".into(), |method| method.to_owned().into())
}

/// Name, attributes and status of a call that is over. `error` is what broke, if the server said nothing.
pub(crate) fn describe(
    call: &Call,
    role: Role,
    path: Option<&str>,
    authority: Option<&str>,
    version: &'static str,
    error: Option<&'static str>,
) -> (Cow<'static, str>, Vec<KeyValue>, Status) {
    let mut attributes = Vec::with_capacity(10);
    attributes.push(KeyValue::str(semconv::RPC_SYSTEM_NAME, "grpc"));
    attributes.push(KeyValue::str(semconv::NETWORK_PROTOCOL_NAME, "http"));
    attributes.push(KeyValue::str(semconv::NETWORK_PROTOCOL_VERSION, version));
    let name = name_of(call, role, path, &mut attributes);
    address(authority, &mut attributes);
    for (key, messages) in [(REQUEST_MESSAGES, &call.sent), (RESPONSE_MESSAGES, &call.received)] {
        if let Some(count) = messages.count() {
            attributes.push(KeyValue::int(key, i64::from(count)));
        }
    }
    if let Some(code) = call.code {
        attributes.push(KeyValue::str(semconv::RPC_RESPONSE_STATUS_CODE, code.name()));
    }
    let hidden = call.hidden && call.code.is_none() && error.is_none();
    attributes.extend(unknown([
        path.is_none().then_some(semconv::RPC_METHOD),
        hidden.then_some(semconv::RPC_RESPONSE_STATUS_CODE),
    ]));
    // Of which kind an error is decides for a server whether it is one.
    let other = (hidden && call.described && role == Role::Client).then_some(Cow::Borrowed("_OTHER"));
    let read = |code: &Code| call.read && *code == Code::CANCELLED;
    let failed = call.code.filter(|code| code.is_error(role) && !read(code)).map(Code::name);
    let failed = failed.or(error.map(Cow::Borrowed)).or(other);
    let Some(failed) = failed else { return (name, attributes, Status::Unset) };
    attributes.push(KeyValue::str(semconv::ERROR_TYPE, failed));
    (name, attributes, Status::Error(call.said.clone().into_string().into()))
}

/// The span's name, and `rpc.method`. One that the server does not have could be anything, so it names no span.
fn name_of(call: &Call, role: Role, path: Option<&str>, attributes: &mut Vec<KeyValue>) -> Cow<'static, str> {
    let Some(path) = path else { return "grpc".into() };
    let unknown = role == Role::Server && call.code == Some(Code::UNIMPLEMENTED);
    match method(path).filter(|_| !unknown) {
        Some(method) => {
            attributes.push(KeyValue::str(semconv::RPC_METHOD, method.to_owned()));
            method.to_owned().into()
        }
        None => {
            let path = redact::path(path.split(['?', '#']).next().unwrap_or_default(), false);
            let original = clip(path.strip_prefix('/').unwrap_or(&path), MAX_METHOD);
            attributes.push(KeyValue::str(semconv::RPC_METHOD, "_OTHER"));
            attributes.push(KeyValue::str(semconv::RPC_METHOD_ORIGINAL, original.to_owned()));
            "grpc".into()
        }
    }
}

/// `grpc-timeout` in nanoseconds: at most eight digits and a unit.
pub(crate) fn timeout(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    let digits = std::str::from_utf8(digits).ok().filter(|d| (1..=8).contains(&d.len()))?;
    let unit = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??.checked_mul(unit)
}
