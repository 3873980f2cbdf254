//! What this crate hears: exchanges on connections, and what else happened to processes and threads.

use std::borrow::Cow;
use std::sync::Arc;

use wirespan_common::Endpoints;
use wirespan_protocols::Role;
use wirespan_protocols::exchange::{Event, Exchange, Mark, Started, TaskEvent, Unit};
use wirespan_protocols::weight::piece;
use wirespan_signals::Log;

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

impl ExchangeKey {
    /// Of what passed no connection.
    pub(crate) const NO_CONNECTION: Self = Self { connection: u64::MAX, parser: 0, id: 0 };
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
    /// It is encrypted and not read, and this is all that is told of it: how many requests it has is not known.
    pub opaque: bool,
    /// What is read passes inside a session of TLS, and positions count its plaintext.
    pub inside: Option<Inside>,
    /// Whether this is the connection's first exchange.
    pub first: bool,
}

impl ConnectionInfo {
    /// A connection of which nothing is known, or none.
    pub fn unknown(cookie: u64) -> Self {
        Self {
            cookie,
            endpoints: Endpoints::default(),
            role: Role::Client,
            connect: None,
            streams: false,
            datagrams: false,
            opening: false,
            opaque: false,
            inside: None,
            first: false,
        }
    }
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

/// A unit begins to say something, of which it is to be found out for whose request it says it.
#[derive(Clone, Debug)]
pub struct Speaks {
    /// Its name, until it was told what it says.
    pub id: u64,
    /// The process.
    pub process: Arc<dyn Process>,
    /// When, and which unit. (It has no position.)
    pub at: Mark,
}

/// What a unit said: an exception, a record of a log, or both.
#[derive(Clone, Debug)]
pub struct Said {
    /// When it began to say it, `CLOCK_BOOTTIME` nanoseconds.
    pub time: u64,
    /// An exception, for the span that it is said for.
    pub event: Option<Event>,
    /// A record. (Its time and its span are those that it leaves with.)
    pub log: Option<Log>,
}

impl Said {
    /// Bytes that it takes, about.
    pub fn weight(&self) -> usize {
        let (event, log) = (self.event.as_ref(), self.log.as_ref());
        piece(size_of::<Self>()) + event.map_or(0, Event::weight) + log.map_or(0, Log::weight)
    }
}

/// Everything the traces stage hears, in the order in which it happened on each connection and each thread.
#[derive(Clone, Debug)]
pub enum Signal {
    /// A request was recognised.
    Started(Box<StartedSignal>),
    /// Whose request it was shows only when it is answered: the socket that it came to has no peer.
    Peer(ExchangeKey, Endpoints),
    /// It is complete, and weighs so much ([`Exchange::weight`]): who made it has it at hand.
    Finished(ExchangeKey, Box<Exchange>, usize),
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
    /// A unit begins to say something. [`Signal::Said`] follows.
    Speaks(Box<Speaks>),
    /// What it said; nothing, if it turned out to be nothing, or not its own.
    Said {
        /// [`Speaks::id`].
        id: u64,
        /// It.
        said: Option<Box<Said>>,
    },
    /// Something was said of which nothing tells for whom.
    SaidByNobody(Box<Said>),
}
