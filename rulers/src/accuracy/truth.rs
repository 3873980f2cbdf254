//! What really happened: which exchanges took place, and which of them caused which.

use std::collections::HashMap;

use wirespan_tests::span::Span;

/// An exchange: the request and the hop that its path names, at the port of its server. The port tells a proxy's own call
/// from the request that it passes on, which has the same path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Number of the request that the driver made.
    pub request: u64,
    /// Place in the request's tree, e.g. `0.1`.
    pub hop: String,
    /// The server's port.
    pub port: u16,
}

/// What is known of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The cell that it belongs to, an index.
    pub cell: usize,
    /// The exchange during which its caller made it; `None` for the driver's.
    pub parent: Option<Key>,
    /// How often it was completed, each of which gives a CLIENT and a SERVER span.
    pub must: u32,
    /// How often it may have been tried.
    pub may: u32,
}

/// Every exchange of a run.
pub type Truth = HashMap<Key, Exchange>;

/// `/hop/<request>/<hop>` in a path.
pub fn parse_path(path: &str) -> Option<(u64, &str)> {
    let (request, hop) = path.strip_prefix("/hop/")?.split_once('/')?;
    Some((request.parse().ok()?, hop))
}

/// Protocols by which a server hands on a request that it got: path and port are those of that request.
const HANDED_ON: [&str; 3] = ["wirespan/fastcgi", "wirespan/uwsgi", "wirespan/scgi"];

/// The exchange that a span is about; `None` for a span that no hop made, or that is a hop's inside.
pub fn key_of(span: &Span) -> Option<Key> {
    if HANDED_ON.contains(&span.scope.as_str()) {
        return None;
    }
    let (request, hop) = parse_path(span.path())?;
    let port = u16::try_from(span.int("server.port")?).ok()?;
    Some(Key { request, hop: hop.to_owned(), port })
}

/// The hop that made this one: `0.1` of `0.1.2`, nothing of `0`.
pub fn parent_hop(hop: &str) -> Option<&str> {
    hop.rsplit_once('.').map(|(parent, _)| parent)
}
