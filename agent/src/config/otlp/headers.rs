//! Header lists: `name=value,name=value`, in the W3C Baggage format without metadata, values percent-encoded.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::{OtlpConfigError, Setting};

/// Reads the list. Empty entries are skipped, as a trailing comma is harmless.
pub(super) fn parse(setting: &Setting) -> Result<HeaderMap, OtlpConfigError> {
    let mut headers = HeaderMap::new();
    for (index, entry) in setting.value.split(',').enumerate() {
        if entry.trim().is_empty() {
            continue;
        }
        let (name, value) = pair(entry).map_err(|reason| OtlpConfigError::Header {
            variable: setting.name.clone(),
            position: index + 1,
            reason,
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn pair(entry: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let (name, value) = entry.split_once('=').ok_or("has no '='")?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| "has a name that is no HTTP header name")?;
    let decoded: Vec<u8> = percent_decode_str(value.trim()).collect();
    let mut value = HeaderValue::try_from(decoded).map_err(|_| "has a value with control characters")?;
    value.set_sensitive(true);
    Ok((name, value))
}
