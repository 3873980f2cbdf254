//! The variables of a request, and the HTTP request that a proxy made them of.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::Settings;
use crate::context::Carrier;
use crate::exchange::{Asks, KeyValue};
use crate::http::attributes::{self, Gateway, Request, Target};
use crate::http::fields::Fields;

/// The name of the longest header field that matters has as many bytes: `X-Datadog-Sampling-Priority`.
const LONGEST_FIELD: usize = 27;
/// Longest method, as in HTTP/1.
const MAX_METHOD: usize = 32;

/// The variables that matter, first occurrence. Empty ones are as good as absent.
#[derive(Debug, Default)]
pub(crate) struct Variables<'a> {
    fields: Fields<'a>,
    method: Option<&'a [u8]>,
    uri: Option<&'a [u8]>,
    script: Option<&'a [u8]>,
    path_info: Option<&'a [u8]>,
    query: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    https: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    server_name: Option<&'a [u8]>,
    server_port: Option<&'a [u8]>,
    remote: Option<&'a [u8]>,
    /// Not all of them are here: what stands in for another may not be said.
    cut: bool,
}

/// As text, if it is some.
fn text(value: Option<&[u8]>) -> Option<&str> {
    value.and_then(|value| std::str::from_utf8(value).ok())
}

impl<'a> Variables<'a> {
    /// None yet; `cut` if not all of them will come.
    pub(crate) fn new(cut: bool) -> Self {
        Self { cut, ..Self::default() }
    }

    /// Looks at one variable.
    pub(crate) fn offer(&mut self, name: &[u8], value: &'a [u8]) {
        if value.is_empty() {
            return;
        }
        let slot = match name {
            b"REQUEST_METHOD" => &mut self.method,
            b"REQUEST_URI" => &mut self.uri,
            b"SCRIPT_NAME" => &mut self.script,
            b"PATH_INFO" => &mut self.path_info,
            b"QUERY_STRING" => &mut self.query,
            b"SERVER_PROTOCOL" => &mut self.protocol,
            b"HTTPS" => &mut self.https,
            b"REQUEST_SCHEME" => &mut self.scheme,
            b"SERVER_NAME" => &mut self.server_name,
            b"SERVER_PORT" => &mut self.server_port,
            b"REMOTE_ADDR" => &mut self.remote,
            b"CONTENT_LENGTH" => return self.fields.offer("content-length", value),
            b"CONTENT_TYPE" => return self.fields.offer("content-type", value),
            _ => return self.field(name, value),
        };
        slot.get_or_insert(value);
    }

    /// A header field of the request: `HTTP_USER_AGENT` was `User-Agent` (RFC 3875 §4.1.18).
    fn field(&mut self, name: &[u8], value: &'a [u8]) {
        let Some(name) = name.strip_prefix(b"HTTP_") else { return };
        let mut spelt = [0; LONGEST_FIELD];
        let Some(spelt) = spelt.get_mut(..name.len()) else { return };
        for (to, from) in spelt.iter_mut().zip(name) {
            *to = if *from == b'_' { b'-' } else { *from };
        }
        if let Ok(name) = std::str::from_utf8(spelt) {
            self.fields.offer(name, value);
        }
    }

    /// Whether it is known what was asked for.
    pub(crate) fn is_request(&self) -> bool {
        self.method().is_some() && (self.uri.is_some() || self.script.is_some() || self.path_info.is_some())
    }

    /// Trace context.
    pub(crate) fn carrier(&self) -> &Carrier<'a> {
        &self.fields.carrier
    }

    /// The request asks for a head alone.
    pub(crate) fn is_head(&self) -> bool {
        self.method == Some(b"HEAD")
    }

    fn method(&self) -> Option<&'a str> {
        text(self.method).filter(|method| method.len() <= MAX_METHOD)
    }

    /// What was asked for, as the client spelt it; put together of its parts where a proxy does not tell that.
    fn target(&self) -> Cow<'a, str> {
        if let Some(uri) = self.uri {
            return String::from_utf8_lossy(uri);
        }
        let [script, path, query] = [self.script, self.path_info, self.query].map(Option::unwrap_or_default);
        let sign: &[u8] = if query.is_empty() { b"" } else { b"?" };
        String::from_utf8_lossy(&[script, path, sign, query].concat()).into_owned().into()
    }

    fn version(&self) -> Option<&'static str> {
        match self.protocol? {
            b"HTTP/1.0" => Some("1.0"),
            b"HTTP/1.1" => Some("1.1"),
            b"HTTP/2" | b"HTTP/2.0" => Some("2"),
            b"HTTP/3" | b"HTTP/3.0" => Some("3"),
            _ => None,
        }
    }

    fn scheme(&self) -> Option<&'static str> {
        let stated = text(self.scheme).unwrap_or_default();
        let secure = self.https.is_some_and(|value| !value.eq_ignore_ascii_case(b"off"));
        let known = ["http", "https"].into_iter().find(|known| stated.eq_ignore_ascii_case(known));
        if secure { Some("https") } else { known }
    }

    /// What the proxy calls itself. (nginx's `_` stands for any name.)
    fn server_name(&self) -> Option<&'a str> {
        text(self.server_name).filter(|name| *name != "_")
    }

    fn gateway(&self) -> Gateway {
        if self.cut {
            return Gateway::default();
        }
        Gateway {
            port: text(self.server_port).and_then(|port| port.parse().ok()).filter(|port| *port > 0),
            client: text(self.remote).and_then(|client| client.parse::<IpAddr>().ok()),
        }
    }

    /// The span's name and the attributes that the request alone gives, and what it asks.
    pub(crate) fn describe(&self, settings: &Settings) -> (Cow<'static, str>, Vec<KeyValue>, Option<Asks>) {
        let (method, whole) = (self.method(), self.target());
        let mut target = Target::parse(method.unwrap_or_default(), &whole);
        target.scheme = target.scheme.or(self.scheme());
        if self.fields.host.is_none() && !self.cut {
            target.authority = target.authority.or(self.server_name());
        }
        let (version, gateway) = (self.version(), self.gateway());
        let request = Request { method, version, target, fields: &self.fields, gateway };
        let (name, attributes) = attributes::request(&request, settings);
        (name, attributes, attributes::asks(&request, settings))
    }
}
