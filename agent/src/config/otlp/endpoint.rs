//! The endpoint: which variable it comes from, and what the path is.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use super::{Lookup, OtlpConfigError, Protocol, Setting, Signal};

/// The endpoint that the environment asks for, if any.
pub(super) fn read(lookup: &Lookup, protocol: Protocol) -> Result<Option<Uri>, OtlpConfigError> {
    if let Some(setting) = lookup.own("ENDPOINT") {
        // The signal's own URL is used as it is.
        return parse(lookup, &setting, protocol).map(Some);
    }
    let Some(setting) = lookup.general("ENDPOINT") else { return Ok(None) };
    let base = parse(lookup, &setting, protocol)?;
    Ok(Some(match protocol {
        Protocol::Grpc => base,
        Protocol::HttpProtobuf => with_path(base, lookup.1.path()),
    }))
}

/// What the specification assumes when OTLP is asked for without saying where.
pub(super) fn default(signal: Signal, protocol: Protocol) -> Uri {
    match protocol {
        Protocol::Grpc => Uri::from_static("http://localhost:4317"),
        Protocol::HttpProtobuf => with_path(Uri::from_static("http://localhost:4318"), signal.path()),
    }
}

/// The URL that a variable says.
pub(super) fn parse(lookup: &Lookup, setting: &Setting, protocol: Protocol) -> Result<Uri, OtlpConfigError> {
    let invalid = |reason: &str| OtlpConfigError::Endpoint {
        variable: setting.name.clone(),
        value: setting.value.clone(),
        reason: reason.to_owned(),
    };
    if has_credentials(&setting.value) {
        // Not echoed.
        return Err(OtlpConfigError::Endpoint {
            variable: setting.name.clone(),
            value: "…".to_owned(),
            reason: "it holds credentials, which belong into OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
        });
    }
    let text = match (setting.value.contains("://"), protocol) {
        (true, _) => setting.value.clone(),
        (false, Protocol::Grpc) => format!("{}://{}", scheme_from_insecure(lookup, setting)?, setting.value),
        (false, Protocol::HttpProtobuf) => return Err(no_scheme(setting)),
    };
    let uri: Uri = text.parse().map_err(|e: http::uri::InvalidUri| invalid(&e.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid("the scheme must be http or https"));
    }
    match uri.authority() {
        Some(authority) if !authority.host().is_empty() => Ok(uri),
        _ => Err(invalid("it names no host")),
    }
}

/// `user:password@` before the path.
fn has_credentials(endpoint: &str) -> bool {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    rest.split(['/', '?']).next().is_some_and(|authority| authority.contains('@'))
}

fn no_scheme(setting: &Setting) -> OtlpConfigError {
    OtlpConfigError::NoScheme { variable: setting.name.clone(), value: setting.value.clone() }
}

/// gRPC alone may leave the scheme out, and only `INSECURE` then tells whether TLS is meant. Unset, the specification
/// would silently choose TLS; a person who forgot the scheme is better served by being told.
fn scheme_from_insecure(lookup: &Lookup, endpoint: &Setting) -> Result<&'static str, OtlpConfigError> {
    let Some(setting) = lookup.signal("INSECURE") else { return Err(no_scheme(endpoint)) };
    match setting.value.to_ascii_lowercase().as_str() {
        "true" => Ok("http"),
        "false" => Ok("https"),
        _ => Err(setting.unknown("true or false")),
    }
}

/// The signal's path relative to the base URL: that ends in a slash or is given one.
fn with_path(base: Uri, path: &'static str) -> Uri {
    let query = base.query().map(|q| format!("?{q}")).unwrap_or_default();
    let whole = format!("{}{path}{query}", base.path().trim_end_matches('/'));
    let scheme = base.scheme().cloned().unwrap_or(Scheme::HTTP);
    let authority = base.authority().cloned().unwrap_or_else(|| Authority::from_static("localhost"));
    let path = PathAndQuery::try_from(whole).unwrap_or_else(|_| PathAndQuery::from_static(path));
    Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().unwrap_or(base)
}
