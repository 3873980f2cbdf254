//! Protocol parsers: bytes in, exchanges out. No I/O, no clock, no kernel, no unsafe code.
//!
//! | module | what it is |
//! |---|---|
//! | [`exchange`] | the output: one request with its response, and the marks that place it in time and stream |
//! | [`registry`] | every protocol, one line each; detection |
//! | [`pages`] | `docs/protocols.md`, made of the registry |
//! | [`context`] | trace context found in requests (W3C, B3, Jaeger, Datadog) |
//! | [`http1`] | HTTP/1.0, HTTP/1.1 |
//! | [`http2`] | HTTP/2, and its header compression |
//! | `http` | what all versions of HTTP share: fields, names, attributes |
//! | `grpc` | calls on HTTP: status, messages, attributes |
//! | `pairing` | which request a response answers, where there are no ids, and when that cannot be known |
//! | `db` | what the parsers of databases share |
//! | [`postgresql`] | PostgreSQL: protocol 3.0, 3.2 |
//! | [`mysql`] | MySQL, MariaDB |
//! | [`redis`] | Redis: RESP2, RESP3 |
//! | [`memcached`] | memcached: text, meta, binary |
//! | [`fastcgi`] | FastCGI |
//! | [`uwsgi`] | uwsgi, as spoken to uWSGI |
//! | [`scgi`] | SCGI |
//! | `cgi` | what gateways' protocols share: variables, documents |
//! | [`sql`] | SQL without its literals, and its summary |
//! | [`amqp`] | AMQP 0-9-1 (RabbitMQ) |
//! | [`celery`] | tasks and results inside messages |
//! | [`dns`] | DNS over UDP |
//! | [`tls`] | what TLS says of itself before it is encrypted |
//! | [`template`] | paths with ids, hashes and the like replaced: low-cardinality names |
//! | [`secrets`] | secrets in what programs log |
//! | [`redact`] | query strings without values |
//! | [`rules`] | attributes that people ask for |
//! | [`weight`] | what exchanges take of memory |
//!
//! A parser reads bytes that a stranger chose. It never panics, bounds its memory, its depth and its requests in
//! flight, and says when it lost the thread instead of inventing an answer.
//!
//! # Adding a protocol
//!
//! 1. `src/<name>.rs`, or a folder once it holds several ideas: a `detect` function and a type that implements
//!    [`Parser`]. `detect` decides by grammar and answers [`Detection::NeedMore`] only so long as a bounded prefix fits.
//! 2. One line in [`registry`]. Detection, the fuzz target and the property tests iterate over it.
//! 3. `captures/<name>/`: bytes recorded from real programs (`captures/README.md` describes the format), and a test that
//!    replays them whole, split at every offset, and with gaps.
//! 4. `src/<name>/doc.md`, a constant in [`pages`] and its name in the registry's line: what is read, what is not, which
//!    conventions the spans follow. `docs/protocols.md` is made of it: `UPDATE_DOCS=1 cargo test -p wirespan-protocols
//!    documentation`. A test looks there for each attribute of the captures.
#![forbid(unsafe_code)]

pub mod amqp;
pub mod celery;
mod cgi;
pub mod context;
mod db;
pub use db::{BATCH_FAILURE, BATCH_INDEX};
pub mod dns;
pub mod exchange;
pub mod fastcgi;
mod grpc;
mod http;
pub mod http1;
pub mod http2;
pub mod memcached;
pub mod mysql;
pub mod pages;
mod pairing;
pub mod postgresql;
pub mod redact;
pub mod redis;
pub mod registry;
pub mod rules;
pub mod scgi;
pub mod secrets;
pub mod sql;
pub mod template;
pub mod tls;
pub mod uwsgi;
pub mod weight;

use std::borrow::Cow;
use std::ops::Range;

use exchange::{KeyValue, Mark, Output, Value};

/// Which way bytes flow, seen from the protocol: not from the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Client to server: requests.
    Request,
    /// Server to client: responses.
    Response,
}

/// Which end of the connection the observed process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It sends requests.
    Client,
    /// It answers them.
    Server,
}

/// What a protocol says of the first bytes of one direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// The bytes are this protocol, and flow in this direction.
    Match(Direction),
    /// The bytes so far fit, but more are needed to be sure.
    NeedMore,
    /// The bytes are not this protocol.
    No,
}

/// How a direction of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The sender finished in order (FIN, end of file): this direction is complete, the other may go on.
    Finished,
    /// The connection was reset by the other end (`ECONNRESET`, `EPIPE`), or timed out: nothing more will come in either
    /// direction.
    Reset,
    /// The socket is gone: nothing more will come in either direction.
    Closed,
    /// This program let go of its socket, which the other end had not closed: what has not come by then it does not want.
    LetGo,
    /// What this program sent cannot arrive, as the network says, and why: `error.type`. Only datagrams end so, and others
    /// may follow.
    Undeliverable(&'static str),
    /// The agent stops watching: how requests in flight will end is not known, so they are dropped.
    Unwatched,
}

/// `error.type` of a connection that was reset before the response was complete.
pub const CONNECTION_RESET: &str = "connection_reset";
/// `error.type` of a connection that was closed before the response was complete.
pub const CONNECTION_CLOSED: &str = "connection_closed";
/// `error.type` of a call whose caller did not wait for the end of the response.
pub const GIVEN_UP: &str = "given_up";

/// What a server's span says, beside what else it does, of a request whose client left before it was answered.
pub fn given_up() -> KeyValue {
    KeyValue { key: "wirespan.given_up".into(), value: Value::Bool(true) }
}

/// How what was under way on a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Break {
    /// `error.type`.
    pub error: &'static str,
    /// It was the client that left: no error of the server's, and whoever reads an event stream ends it so.
    pub client_left: bool,
}

impl Break {
    /// `error.type` at the end of this role, if the end of what was under way is an error there. `events`: it was a stream
    /// of events.
    pub(crate) fn error(self, role: Role, events: bool) -> Option<&'static str> {
        (!self.client_left || (role == Role::Client && !events)).then_some(self.error)
    }

    /// The mark of a request that a server need not have answered any more.
    pub(crate) fn mark(self, role: Role, events: bool) -> Option<KeyValue> {
        (self.client_left && role == Role::Server && !events).then(given_up)
    }
}

impl End {
    /// Whether what lasts until the connection is closed was cut off, at the end that has this role: a reset, or a client that
    /// lets go. All others complete it.
    pub(crate) fn cuts(self, role: Role) -> bool {
        self == Self::Reset || (self == Self::LetGo && role == Role::Client)
    }

    /// What this end means at the end of the connection that has this role. `client_finished`: the client had finished
    /// sending before.
    pub(crate) fn breaks(self, role: Role, client_finished: bool) -> Break {
        let error = match (self, role) {
            (Self::Reset, _) => CONNECTION_RESET,
            (Self::LetGo, Role::Client) => GIVEN_UP,
            (Self::Undeliverable(why), _) => why,
            (Self::LetGo | Self::Closed | Self::Finished | Self::Unwatched, _) => CONNECTION_CLOSED,
        };
        let client_left = match (self, role) {
            (Self::LetGo, Role::Client) | (Self::Reset, Role::Server) => true,
            (Self::LetGo | Self::Closed, Role::Server) => client_finished,
            _ => false,
        };
        Break { error, client_left }
    }
}

/// What a parser is told about the connection that it reads, once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Which end is observed: decides which attributes the conventions want and what counts as an error.
    pub role: Role,
    /// Keep values in query strings instead of replacing each by `REDACTED`.
    pub keep_query_values: bool,
    /// Keep the text of database queries and the arguments of commands instead of replacing each value by `?`.
    /// Credentials are left out in any case where the protocol shows them.
    pub keep_query_text: bool,
    /// Records of this connection were lost before: what comes first is not its beginning.
    pub missed: bool,
    /// What is read passed inside TLS.
    pub secured: bool,
    /// Attributes that people ask for.
    pub rules: Option<rules::Applied>,
}

impl Settings {
    /// One end, with every value that may be a secret left out.
    pub fn of(role: Role) -> Self {
        Self { role, keep_query_values: false, keep_query_text: false, missed: false, secured: false, rules: None }
    }
}

/// Whether a parser can use what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Keep feeding.
    Continue,
    /// The bytes no longer make sense, and this parser finished what it could: the connection may be detected anew from
    /// the next bytes of either direction.
    LostSync,
    /// The connection left this protocol for good (`Upgrade`, `CONNECT`): detect anew what follows.
    Left,
}

/// One connection's parser. Bytes of each direction arrive in stream order; the two directions arrive in causal order,
/// so a response follows its request.
pub trait Parser: Send {
    /// Reads `bytes`, which begin at `mark`. `mark.time` and `mark.unit` hold for all of them.
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress;

    /// `len` bytes of `direction`, beginning at `mark`, were transferred but not captured.
    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress;

    /// `direction` ended at `mark`. Called at most once per direction; all but [`End::Finished`] end both.
    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>);

    /// Bytes of memory that this parser holds beyond its own size.
    fn buffered(&self) -> usize;

    /// Whether more than usual should be captured of each operation: gaps hide what this parser needs. A wish, which may
    /// be granted late or not at all.
    fn wants_more(&self) -> bool {
        false
    }

    /// The same of the operations that move requests only: batches, large heads. Said from the start where such are usual,
    /// for what is asked for when something is missing comes too late for that.
    fn wants_requests(&self) -> bool {
        false
    }

    /// Tells id and name of each request that has no end yet and that began in `began` (`CLOCK_BOOTTIME`, nanoseconds):
    /// what its span would be called if it ended now. For people who ask what takes so long; a parser need not know.
    fn under_way(&self, began: &Range<u64>, tell: &mut dyn FnMut(u64, Cow<'static, str>)) {
        let _ = (began, tell);
    }
}
