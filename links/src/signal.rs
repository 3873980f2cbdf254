//! What this crate hears: exchanges on connections, and what else happened to processes and threads.

use std::borrow::Cow;
use std::sync::Arc;

use wirespan_common::Endpoints;
use wirespan_protocols::Role;
use wirespan_protocols::exchange::{Exchange, Started, TaskEvent, Unit};

use crate::facts::Fact;
use crate::process::Process;

/// Names one exchange among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeKey {
    /// The connection; never reused while the agent runs.
    pub connection: u64,
    /// The parser that saw it: a connection may be detected anew.
    pub parser: u32,
    /// [`Started::id`].
    pub id: u64,
}

/// A connection is being opened.
#[derive(Clone, Copy, Debug)]
pub struct Connect {
    /// When it began, `CLOCK_BOOTTIME` nanoseconds.
    pub time: u64,
    /// Who called `connect`.
    pub unit: Unit,
}

/// A session of TLS, as both its ends know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The beginning of the client's random number.
    pub random: [u8; 16],
    /// Its plaintext was counted from its first byte on, as the other end's is.
    pub whole: bool,
}

/// The connection of an exchange, as linking needs it.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Socket cookie.
    pub cookie: u64,
    /// Both ends as the local socket knows them.
    pub endpoints: Endpoints,
    /// Which end is observed.
    pub role: Role,
    /// How this process began to connect; `None` if accepted, or older than the agent.
    pub connect: Option<Connect>,
    /// Its protocol has several requests under way at once, in streams.
    pub streams: bool,
    /// It is a socket for datagrams, which have no positions.
    pub datagrams: bool,
    /// It is not open: this is the attempt to open it.
    pub opening: bool,
    /// What is read passes inside a session of TLS, and positions count its plaintext.
    pub inside: Option<Inside>,
    /// Whether this is the connection's first exchange.
    pub first: bool,
}

/// A request was recognised.
#[derive(Clone, Debug)]
pub struct StartedSignal {
    /// Its name.
    pub key: ExchangeKey,
    /// The protocol's name in the registry.
    pub protocol: &'static str,
    /// What the parser knows so far.
    pub started: Started,
    /// The process that sent or received it.
    pub process: Arc<dyn Process>,
    /// Its connection.
    pub connection: ConnectionInfo,
}

/// Everything the traces stage hears, in the order in which it happened on each connection and each thread.
#[derive(Clone, Debug)]
pub enum Signal {
    /// A request was recognised.
    Started(Box<StartedSignal>),
    /// Whose request it was shows only when it is answered: the socket that it came to has no peer.
    Peer(ExchangeKey, Endpoints),
    /// It is complete.
    Finished(ExchangeKey, Box<Exchange>),
    /// It will never be.
    Dropped(ExchangeKey),
    /// It is part of another one that tells of it.
    Batched {
        /// It.
        part: ExchangeKey,
        /// The other one.
        batch: ExchangeKey,
    },
    /// The reading of a connection failed: what is open of it will never be complete.
    Failed {
        /// [`ExchangeKey::connection`].
        connection: u64,
    },
    /// It has been under way for a while, and this is what it is called so far.
    UnderWay(ExchangeKey, Cow<'static, str>),
    /// An exchange that is not complete says something of a task's execution.
    Task(ExchangeKey, Box<TaskEvent>),
    /// The process sends telemetry of its own.
    ExportsTelemetry {
        /// Which.
        tgid: u32,
    },
    /// Something else happened that says who does what for whom.
    Fact(Fact),
}
