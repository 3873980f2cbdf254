//! What proxies say of the original request: `Forwarded` (RFC 7239) and the older `X-Forwarded-*`.

use super::fields::Fields;
use crate::redact::{self, clip};

/// Longest value that is believed.
const MAX_VALUE: usize = 256;

/// The original client's address, without port.
pub(crate) fn client<'a>(fields: &Fields<'a>) -> Option<&'a str> {
    let node = parameter(fields.forwarded, "for").or_else(|| first(fields.forwarded_for))?;
    let (address, _port) = host_port(redact::authority(node)?);
    // RFC 7239 §6.2, §6.3: a proxy may hide who it was.
    let hidden = address.is_empty() || address.eq_ignore_ascii_case("unknown") || address.starts_with('_');
    (!hidden).then_some(address)
}

/// The `Host` of the original request.
pub(crate) fn host<'a>(fields: &Fields<'a>) -> Option<&'a str> {
    redact::authority(parameter(fields.forwarded, "host").or_else(|| first(fields.forwarded_host))?)
}

/// The scheme of the original request.
pub(crate) fn scheme(fields: &Fields<'_>) -> Option<&'static str> {
    let proto = parameter(fields.forwarded, "proto").or_else(|| first(fields.forwarded_proto))?;
    ["http", "https"].into_iter().find(|known| proto.eq_ignore_ascii_case(known))
}

/// The port of the original request, where it is stated beside the host.
pub(crate) fn port(fields: &Fields<'_>) -> Option<u16> {
    first(fields.forwarded_port)?.parse().ok().filter(|port| *port > 0)
}

/// Whether a proxy says that the original request went to another host, or by another scheme.
pub(crate) fn is_forwarded(fields: &Fields<'_>) -> bool {
    host(fields).is_some() || scheme(fields).is_some()
}

/// A parameter of the first element of `Forwarded`: the one that the proxy nearest to the client added.
fn parameter<'a>(forwarded: Option<&'a [u8]>, name: &str) -> Option<&'a str> {
    let element = first(forwarded)?;
    element.split(';').filter_map(|pair| pair.split_once('=')).find_map(|(key, value)| {
        let value = value.trim().trim_matches('"');
        (key.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
    })
}

/// The first of a comma-separated list.
fn first(list: Option<&[u8]>) -> Option<&str> {
    let first = text(list?)?.split(',').next()?.trim();
    (!first.is_empty()).then_some(first)
}

/// A header's value as text of sensible length.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().map(|v| clip(v, MAX_VALUE))
}

/// Host without brackets, and port. An IPv6 address without brackets has no port.
pub(crate) fn host_port(authority: &str) -> (&str, Option<u16>) {
    let port = |text: &str| text.parse().ok();
    if let Some((host, rest)) = authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(port));
    }
    match authority.split_once(':') {
        Some((_, more)) if more.contains(':') => (authority, None),
        Some((host, digits)) => (host, port(digits)),
        None => (authority, None),
    }
}
