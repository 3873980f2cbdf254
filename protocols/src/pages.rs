//! `docs/protocols.md`, made of the registry.
//!
//! What is written about a protocol stands beside its code, in `doc.md`. Links there are relative to `docs/`, where the
//! text ends up. `tests/documentation.rs` holds the document, the registry and the attributes of real exchanges together.

use std::fmt::Write;

use crate::registry::{DATAGRAM_PROTOCOLS, PROTOCOLS, Protocol};

/// Chapters, each Markdown that begins with a heading of the second level.
pub type Pages = &'static [&'static str];

const DATABASES_IN_GENERAL: &str = include_str!("db/doc.md");
const TEXT: &str = include_str!("sql/doc.md");
const TASKS: &str = include_str!("celery/doc.md");

/// Both: HTTP/1 carries gRPC-Web, and HTTP/2 what all versions share.
pub(crate) const HTTP: Pages = &[include_str!("http1/doc.md"), include_str!("http2/doc.md")];
pub(crate) const POSTGRESQL: Pages = &[DATABASES_IN_GENERAL, TEXT, include_str!("postgresql/doc.md")];
pub(crate) const MYSQL: Pages = &[DATABASES_IN_GENERAL, TEXT, include_str!("mysql/doc.md")];
pub(crate) const REDIS: Pages = &[DATABASES_IN_GENERAL, include_str!("redis/doc.md"), TASKS];
pub(crate) const MEMCACHED: Pages = &[DATABASES_IN_GENERAL, include_str!("memcached/doc.md")];
pub(crate) const AMQP: Pages = &[include_str!("amqp/doc.md"), TASKS];
/// What it is told of is HTTP's.
pub(crate) const FASTCGI: Pages = &[HTTP[0], include_str!("fastcgi/doc.md")];
pub(crate) const UWSGI: Pages = &[HTTP[0], FASTCGI[1], include_str!("uwsgi/doc.md")];
pub(crate) const SCGI: Pages = &[HTTP[0], FASTCGI[1], include_str!("scgi/doc.md")];
pub(crate) const TLS: Pages = &[include_str!("tls/doc.md")];
pub(crate) const DNS: Pages = &[include_str!("dns/doc.md")];

/// The document: an introduction, a table of all protocols, and every chapter once, in the registry's order.
pub fn document() -> String {
    let mut out = String::from(include_str!("intro.md"));
    out.push_str("\n| Protocol | Over | Several requests of a connection at once | Chapters |\n|---|---|---|---|\n");
    let mut chapters: Vec<&str> = Vec::new();
    for protocol in PROTOCOLS {
        let at_once = if protocol.streams { "yes" } else { "answered in order" };
        row(&mut out, protocol, "streams: TCP, Unix", at_once);
    }
    for protocol in DATAGRAM_PROTOCOLS {
        row(&mut out, protocol, "datagrams: UDP", "yes");
    }
    for protocol in PROTOCOLS.iter().chain(DATAGRAM_PROTOCOLS) {
        for page in protocol.pages {
            if !chapters.contains(page) {
                chapters.push(page);
            }
        }
    }
    for chapter in chapters {
        out.push('\n');
        out.push_str(chapter);
    }
    out
}

fn row(out: &mut String, protocol: &Protocol, over: &str, at_once: &str) {
    let links: Vec<_> =
        protocol.pages.iter().map(|page| heading(page)).map(|h| format!("[{h}](#{})", anchor(h))).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "| `{}` | {over} | {at_once} | {} |", protocol.name, links.join(", "));
}

/// A chapter's heading.
pub fn heading(page: &str) -> &str {
    page.lines().next().unwrap_or_default().trim_start_matches("## ")
}

fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}
