//! Who may ask the view, and what every response says about safety.
//!
//! What the view shows is private, and any web page in the user's browser can send requests to it. So:
//!
//! - A request that names a host other than this machine is refused: a stranger's name that was made to point here (DNS
//!   rebinding) would let that stranger's page read the answers. An IP address cannot be rebound, and with a token the
//!   name does not matter, since the cookie belongs to the right name only.
//! - A request that another origin's page made is refused (`Origin`, `Sec-Fetch-Site`), save one that shows the page
//!   itself in a window of its own (a link), whose contents that origin cannot read.
//! - No response has a CORS header; the content security policy lets the page load and ask nothing but this server.
//! - With a token, nothing is answered without it, save whether the agent is well (`/livez`, `/readyz`). It is compared by its HMAC, which takes the same time for any guess.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::hmac;

use super::params::Refusal;
use super::{Shared, probes, problem};
use crate::config::Token;
use wirespan_signals::hex;

/// Bytes of an address.
const MAX_URI: usize = 8 << 10;
/// What the page may do (<https://www.w3.org/TR/CSP3/>).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Headers of every response.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Decides.
pub struct Guard {
    token: Option<Secret>,
    /// No name leads to a socket, so none is asked for.
    socket: bool,
}

/// What proves that a reader knows the token.
struct Secret {
    key: hmac::Key,
    expected: hmac::Tag,
    cookie_name: String,
}

/// What is signed with the token as the key. A browser keeps the signature and not the token, which is of use elsewhere.
const COOKIE: &[u8] = b"wirespan view: cookie";
const TOKEN: &[u8] = b"wirespan view: token";

/// What is done with a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Answer,
    /// The token was in the address: keep it in a cookie, and show the address without it.
    LogIn {
        location: String,
        cookie: String,
    },
    Refuse(u16, String),
}

impl Guard {
    /// A guard of the view on the Unix socket: whoever may open it may ask, and no page of a browser can.
    pub fn of_socket() -> Self {
        Self { token: None, socket: true }
    }

    /// A guard of the view at `address`.
    pub fn new(token: Option<&Token>, address: SocketAddr) -> Self {
        Self { token: token.map(|token| Secret::new(token, address.port())), socket: false }
    }

    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Verdict {
        let refuse = |status, sentence: &str| Verdict::Refuse(status, sentence.to_owned());
        if uri.path().len() + uri.query().unwrap_or_default().len() > MAX_URI {
            return refuse(414, "the address is too long");
        }
        if let Some(refusal) = self.judge_host(headers) {
            return refusal;
        }
        if !may_ask(uri, headers) {
            return refuse(403, "another site's page asked: open the view in a window of its own");
        }
        if *method != Method::GET && *method != Method::HEAD {
            return refuse(405, "only GET is answered here");
        }
        if has_body(headers) {
            return refuse(413, "a request has no body here");
        }
        match &self.token {
            None => Verdict::Answer,
            Some(_) if probes::is_for_all(uri.path()) => Verdict::Answer,
            Some(secret) => secret.judge(uri, headers),
        }
    }

    fn judge_host(&self, headers: &HeaderMap) -> Option<Verdict> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
            return Some(Verdict::Refuse(400, "a request states its Host once".to_owned()));
        };
        (self.token.is_none() && !self.socket && !is_this_machine(host_name(host))).then(|| {
            let sentence = "this view answers to localhost and to IP addresses, not to other names (DNS rebinding): \
                            open http://127.0.0.1 with its port, or set --token-file";
            Verdict::Refuse(403, sentence.to_owned())
        })
    }
}

impl Secret {
    fn new(token: &Token, port: u16) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.secret().as_bytes());
        let expected = hmac::sign(&key, TOKEN);
        // Cookies of one host are shared by all its ports.
        Self { key, expected, cookie_name: format!("wirespan_{port}") }
    }

    fn is(&self, guess: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, guess.as_bytes());
        hmac::verify(&key, TOKEN, self.expected.as_ref()).is_ok()
    }

    fn cookie(&self) -> String {
        format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie_name,
            hex(hmac::sign(&self.key, COOKIE).as_ref())
        )
    }

    fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Verdict {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer =
            bearer.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if bearer.is_some_and(|(_, token)| self.is(token.trim())) || self.has_cookie(headers) {
            return Verdict::Answer;
        }
        let query = uri.query().unwrap_or_default();
        let pairs = || form_urlencoded::parse(query.as_bytes());
        let stated = pairs().find(|(key, _)| key == "token");
        if stated.is_some_and(|(_, token)| self.is(&token)) && !uri.path().starts_with("/api/") {
            let rest: String = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs().filter(|(key, _)| key != "token"))
                .finish();
            // One slash at the start: two would name another host.
            let path = format!("/{}", uri.path().trim_start_matches('/'));
            let location = if rest.is_empty() { path } else { format!("{path}?{rest}") };
            return Verdict::LogIn { location, cookie: self.cookie() };
        }
        let sentence = "this view needs its token: open it once with ?token=TOKEN, or send `Authorization: Bearer TOKEN`; \
                        it is in the file that --token-file names";
        Verdict::Refuse(401, sentence.to_owned())
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| {
            let signature = u256(value);
            name == self.cookie_name && signature.is_some_and(|tag| hmac::verify(&self.key, COOKIE, &tag).is_ok())
        })
    }
}

/// 64 hexadecimal digits.
fn u256(digits: &str) -> Option<[u8; 32]> {
    let half = |text: &str| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes);
    let (high, low) = (digits.len() == 64 && digits.is_ascii()).then(|| digits.split_at(32))?;
    Some(std::array::from_fn({
        let (high, low) = (half(high)?, half(low)?);
        move |at| if at < 16 { high[at] } else { low[at - 16] }
    }))
}

/// The name in a `Host` header, without the port and without the brackets of an IPv6 address.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

/// Whether a name cannot be a stranger's: an address, or what means this machine everywhere (RFC 6761, section 6.3).
fn is_this_machine(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether the user, this page or a program asks, and not another site's page.
fn may_ask(uri: &Uri, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let own_origin = |origin: &str| {
        let host = text("host").unwrap_or_default();
        origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
    };
    if !text("origin").is_none_or(own_origin) {
        return false;
    }
    match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => true,
        Some(_) => {
            let shown = text("sec-fetch-mode") == Some("navigate") && text("sec-fetch-dest") == Some("document");
            shown && !uri.path().starts_with("/api/")
        }
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    length || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Judges a request, and completes its response.
pub(super) async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    shared.shown.counters.view_requests.inc();
    let for_people = problem::is_for_people(request.headers());
    let mut response = match shared.guard.judge(request.method(), request.uri(), request.headers()) {
        Verdict::Answer => next.run(request).await,
        Verdict::LogIn { location, cookie } => {
            (axum::http::StatusCode::SEE_OTHER, [(header::LOCATION, location), (header::SET_COOKIE, cookie)])
                .into_response()
        }
        Verdict::Refuse(status, sentence) => {
            shared.shown.counters.view_refused.inc();
            let mut response = Refusal::new(status, sentence).into_response();
            if status == 401 {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    };
    if for_people {
        response = problem::as_page(response);
    }
    let headers = response.headers_mut();
    HEADERS.into_iter().for_each(|(name, value)| drop(headers.insert(name, value)));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
