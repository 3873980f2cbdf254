//! The page: its files are inside the program, and are sent compressed.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::params::Refusal;

/// Path below `view/web/`, media type, contents.
type File = (&'static str, &'static str, &'static [u8]);

const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What is sent of a file.
struct Asset {
    media: &'static str,
    plain: &'static [u8],
    gzip: Bytes,
    tag: HeaderValue,
}

static ASSETS: LazyLock<HashMap<&'static str, Asset>> = LazyLock::new(|| {
    let asset = |(path, media, plain): &File| {
        // The version is in it too: a proxy must not show an old page for a new one.
        let tag = format!("\"{}-{:08x}\"", env!("CARGO_PKG_VERSION"), crc32fast::hash(plain));
        let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
        (*path, Asset { media, plain, gzip: compress(plain), tag })
    };
    FILES.iter().map(asset).collect()
});

fn compress(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    // Writing to memory does not fail; an empty body would be seen at once.
    written.unwrap_or_default().into()
}

/// The page, whatever part of it an address names.
pub async fn index(headers: HeaderMap) -> Response {
    send("index.html", &headers)
}

/// A file of the page.
pub async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    send(&path, &headers)
}

fn send(path: &str, request: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(path) else {
        return Refusal::not_found("the page has no such file").into_response();
    };
    // Asked each time whether it is still the same: no stale page after an update, and nothing sent twice.
    let common = [
        (header::ETAG, asset.tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if request.get(header::IF_NONE_MATCH) == Some(&asset.tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let accepted = request.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let gzip = accepted.split(',').any(|coding| coding.split(';').next().is_some_and(|name| name.trim() == "gzip"));
    let media = (header::CONTENT_TYPE, HeaderValue::from_static(asset.media));
    if gzip && asset.gzip.len() < asset.plain.len() {
        let coding = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return (common, [media, coding], asset.gzip.clone()).into_response();
    }
    (common, [media], asset.plain).into_response()
}
