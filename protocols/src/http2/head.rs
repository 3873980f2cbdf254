//! What is kept of a request's head while its response is awaited: few bytes, for there may be many requests.

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::hpack;
use crate::exchange::{Asks, KeyValue, unknown};
use crate::http::attributes::{self, Gateway, Request, Target};
use crate::http::fields::Fields;
use crate::redact;
use crate::{Role, Settings};

/// Longest value that is kept of any field but the path.
const MAX_VALUE: usize = 512;
/// Longest `:path` that is kept.
const MAX_PATH: usize = 16 * 1024;

const METHOD: &str = ":method";
const SCHEME: &str = ":scheme";
const AUTHORITY: &str = ":authority";
const PATH: &str = ":path";
/// The fields that are kept, by their place here.
const KEPT: [&str; 13] = [
    METHOD,
    SCHEME,
    AUTHORITY,
    PATH,
    "host",
    "user-agent",
    "content-type",
    "content-length",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];

/// The fields of [`KEPT`] that a request has and that are known: place in the list, length, value, and so on.
#[derive(Debug, Default)]
pub(super) struct Head(Box<[u8]>);

impl Head {
    /// Keeps what matters. First occurrences count.
    pub(super) fn keep(fields: &hpack::Fields) -> Self {
        let mut kept = Vec::with_capacity(160);
        let mut seen = 0u16;
        for (name, value) in fields.iter() {
            let (Some(name), Some(value)) = (name, value) else { continue };
            let Some(place) = KEPT.iter().position(|k| k.as_bytes() == name) else { continue };
            if seen >> place & 1 == 1 {
                continue;
            }
            seen |= 1 << place;
            let max = if KEPT[place] == PATH { MAX_PATH } else { MAX_VALUE };
            let value = &value[..value.len().min(max)];
            kept.push(place as u8);
            kept.extend_from_slice(&(value.len() as u16).to_le_bytes());
            kept.extend_from_slice(value);
        }
        Self(kept.into_boxed_slice())
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let ([place, a, b], after) = rest.split_first_chunk::<3>()?;
            let (value, next) = after.split_at_checked(usize::from(u16::from_le_bytes([*a, *b])))?;
            rest = next;
            Some((*KEPT.get(usize::from(*place))?, value))
        })
    }

    fn text(&self, wanted: &str) -> Option<Cow<'_, str>> {
        self.iter().find(|(name, _)| *name == wanted).map(|(_, value)| String::from_utf8_lossy(value))
    }

    pub(super) fn method(&self) -> Option<Cow<'_, str>> {
        self.text(METHOD)
    }

    pub(super) fn path(&self) -> Option<Cow<'_, str>> {
        self.text(PATH)
    }

    /// `:authority`, else `Host` (RFC 9113 §8.3.1).
    pub(super) fn authority(&self) -> Option<Cow<'_, str>> {
        self.text(AUTHORITY).or_else(|| self.text("host"))
    }

    pub(super) fn content_type(&self) -> Option<&[u8]> {
        self.iter().find(|(name, _)| *name == "content-type").map(|(_, value)| value)
    }

    /// What is asked of a server.
    pub(super) fn asks(&self, settings: &Settings) -> Option<Asks> {
        self.request(|request| attributes::asks(request, settings))
    }

    /// Name and attributes of a request that is plain HTTP, or may be a call (`possible`).
    pub(super) fn http(&self, settings: &Settings, possible: bool) -> (Cow<'static, str>, Vec<KeyValue>) {
        let (name, mut attributes) = self.request(|request| attributes::request(request, settings));
        let (method, path) = (self.method(), self.path());
        let hidden = path.is_none() && method.as_deref() != Some("CONNECT");
        attributes.extend(unknown([
            method.is_none().then_some(semconv::HTTP_REQUEST_METHOD),
            possible.then_some(semconv::RPC_SYSTEM_NAME),
            hidden.then_some(if settings.role == Role::Server { semconv::URL_PATH } else { semconv::URL_FULL }),
        ]));
        (name, attributes)
    }

    /// What every version of HTTP knows of it.
    fn request<T>(&self, describe: impl FnOnce(&Request<'_>) -> T) -> T {
        let (method, path) = (self.method(), self.path());
        let (scheme, authority) = (self.text(SCHEME), self.authority());
        let mut fields = Fields::default();
        self.iter().for_each(|(name, value)| fields.offer(name, value));
        // Of CONNECT, the authority is the target (RFC 9113 §8.5).
        let target = if method.as_deref() == Some("CONNECT") { authority.as_deref() } else { path.as_deref() };
        let mut target = Target::parse(method.as_deref().unwrap_or_default(), target.unwrap_or_default());
        let scheme = ["http", "https"].into_iter().find(|known| scheme.as_deref() == Some(known));
        target.scheme = target.scheme.or(scheme);
        // An authority should have no user information (RFC 9113 §8.3.1).
        target.authority = target.authority.or(authority.as_deref().and_then(redact::authority));
        let gateway = Gateway::default();
        describe(&Request { method: method.as_deref(), version: Some("2"), target, fields: &fields, gateway })
    }
}
