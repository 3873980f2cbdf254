//! What parsers produce: one request with its response.

use std::borrow::Cow;
use std::num::NonZeroU32;

use crate::Role;
use crate::context::TraceContext;

/// Who did an operation: a thread, and what ran on it if the runtime is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Unit {
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// What `id` and `parent` mean; 0 when the thread is all that is known.
    pub kind: u32,
    /// The runtime's own id (goroutine, task), 0 when `kind` is 0.
    pub id: u64,
    /// The runtime's own id of the creator, 0 when unknown.
    pub parent: u64,
    /// For a read: it would not have waited for bytes, so what waits is elsewhere (an event loop, a poller).
    pub nonblocking: bool,
    /// How often the thread had gone to sleep by then, modulo 2³²: between two equal values it ran on.
    pub switches: u32,
    /// The thread was the only one of its process.
    pub only: bool,
    /// When it had written what something else sent for it later, `CLOCK_BOOTTIME` nanoseconds; 0: it sent it itself.
    pub since: u64,
    /// How long the thread had run by then, in units of [`CLOCK`] and modulo 2³²; 0 if that is not known. Only differences mean
    /// anything.
    pub ran: u32,
    /// How long it had waited for a CPU, likewise.
    pub queued: u32,
}

/// Unit of [`Unit::ran`] and [`Unit::queued`], nanoseconds.
pub const CLOCK: u64 = 1024;

/// [`Unit::kind`] of a loop's thread that numbers its pieces of work: `id` is the one that runs.
pub const LOOP: u32 = 5;

impl Unit {
    /// Whether two operations are of one unit.
    pub fn is(&self, other: &Self) -> bool {
        let ids = self.id == other.id || self.kind == LOOP;
        ids && (self.tgid, self.tid, self.kind) == (other.tgid, other.tid, other.kind)
    }
}

/// A place in one direction of a connection, and when and by whom it was passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// `CLOCK_BOOTTIME`, nanoseconds, when the operation that moved the bytes returned.
    pub time: u64,
    /// Stream position of the first byte.
    pub position: u64,
    /// Stream position that the *other* direction had reached by then.
    pub opposite: u64,
    /// Who moved the bytes.
    pub unit: Unit,
    /// Of a gap: the operation that moved the bytes was not seen at all. Time, thread and `opposite` are those of the
    /// operation before, if there was one.
    pub lost: bool,
    /// Inside TLS: where the operation begins on the wire below, if that is known.
    pub wire: Option<Wire>,
}

/// Where the first byte of an operation inside TLS is: the record that begins with it begins at `below` on the wire.
///
/// Of marks there are many, so it is as small as fits beside what they have anyway.
#[repr(Rust, packed(2))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The operation's first byte, as [`Mark::position`], modulo 2¹⁶: of an operation fewer bytes are captured, so no other of
    /// them has this number.
    position: u16,
    /// The record's first byte, in the connection's own stream, modulo 2³². (Not where that is 0, once in four billion.)
    below: NonZeroU32,
}

const _: () = assert!(size_of::<Option<Wire>>() == 6);

impl Wire {
    /// An operation whose first byte is at `position`, and the record that it begins with at `below` on the wire.
    #[must_use]
    pub fn new(position: u64, below: NonZeroU32) -> Self {
        Self { position: position as u16, below }
    }
}

impl Mark {
    /// Where on the wire the record begins that this byte is the first of.
    #[must_use]
    pub fn below(&self) -> Option<u32> {
        self.wire.filter(|wire| wire.position == self.position as u16).map(|wire| { wire.below }.get())
    }
}

/// The first and the last operation that moved bytes of a message.
///
/// `last.position` is where the last operation's bytes begin, not where the message ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The operation that moved the first byte.
    pub first: Mark,
    /// The operation that moved the last byte.
    pub last: Mark,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Str(Cow<'static, str>),
    /// Integer.
    Int(i64),
    /// Boolean.
    Bool(bool),
    /// Floating-point number.
    Double(f64),
    /// A list of texts.
    StrArray(Vec<Cow<'static, str>>),
    /// Bytes. This and what follows only occur on spans that applications made themselves.
    Bytes(Vec<u8>),
    /// A list of anything.
    List(Vec<Value>),
    /// Names and values.
    Map(Vec<KeyValue>),
    /// Present without a value.
    Empty,
}

/// An attribute, named as in the OpenTelemetry semantic conventions.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyValue {
    /// Name.
    pub key: Cow<'static, str>,
    /// Value.
    pub value: Value,
}

impl KeyValue {
    /// A text attribute.
    pub fn str(key: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        Self { key: Cow::Borrowed(key), value: Value::Str(value.into()) }
    }

    /// An integer attribute.
    pub fn int(key: &'static str, value: i64) -> Self {
        Self { key: Cow::Borrowed(key), value: Value::Int(value) }
    }
}

/// Which attributes are not known although they are there.
pub const UNKNOWN: &str = "wirespan.unknown";

/// Attributes whose values were said before anybody listened, and that are only referred to since: by an index of HPACK, by the
/// name of a prepared statement. The conventions have no name for it. `None` if there are none.
pub(crate) fn unknown(keys: impl IntoIterator<Item = Option<&'static str>>) -> Option<KeyValue> {
    let keys: Vec<Cow<'static, str>> = keys.into_iter().flatten().map(Cow::Borrowed).collect();
    (!keys.is_empty()).then_some(KeyValue { key: Cow::Borrowed(UNKNOWN), value: Value::StrArray(keys) })
}

/// What kind of span the observed end of an exchange becomes. Most protocols derive it from the role; messaging does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// Work inside a process.
    Internal,
    /// The callee of a remote call.
    Server,
    /// The caller.
    Client,
    /// The sender of a message.
    Producer,
    /// The receiver of a message.
    Consumer,
}

impl From<Role> for SpanKind {
    /// The span of this end of a call.
    fn from(role: Role) -> Self {
        match role {
            Role::Client => Self::Client,
            Role::Server => Self::Server,
        }
    }
}

/// Span status, as in the OpenTelemetry trace API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing to report.
    #[default]
    Unset,
    /// It failed. `error.type` is among the attributes; the text is for people and may be empty.
    Error(Cow<'static, str>),
    /// An application says that it went well; no parser says so.
    Ok,
}

/// What a message is known by on both sides of its broker.
///
/// The span of the sender ([`SpanKind::Producer`]) and those of the receivers ([`SpanKind::Consumer`]) carry the same
/// key, on whatever connections, so a receiver's span can get a span *link* to the sender's. It is never a reason to
/// merge their traces. Keys are made of what the message itself says (its id, and where it was sent), so a sender that
/// chooses ids badly or sends a message twice makes one key for several sends: only a key of exactly one known sender
/// proves anything. A message that carries a trace context has no key, for it names its sender itself
/// ([`Started::links`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageKey {
    /// Whose ids these are: `rabbitmq`, `celery`.
    pub system: &'static str,
    /// The identity within `system`, never empty. At most 1 KiB.
    pub id: Box<str>,
}

/// A request was recognised, or a message: everything that linking needs, before the response is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// Identifies the exchange within its connection; the matching [`Exchange::id`] follows later.
    pub id: u64,
    /// First and last operation of the request seen so far. Of a message that a broker delivers, the operations that
    /// delivered it: their positions are in the stream of the *responses*.
    pub request: Marks,
    /// Client or server span, or messaging kinds.
    pub kind: SpanKind,
    /// Trace context that the request carries: the parent of its span.
    pub context: Option<TraceContext>,
    /// Trace contexts that are not the parent, but that this span is to have a link to: the one in a message that is
    /// received. They say nothing of sampling.
    pub links: Vec<TraceContext>,
    /// What a message is known by, to link its receivers with its sender.
    pub message: Option<MessageKey>,
    /// The request carries no context, but says that its trace is not recorded.
    pub denied: bool,
    /// The number of its stream, on a connection that has streams.
    pub stream: Option<u64>,
    /// What is asked of an HTTP server, by which requests under way are counted.
    pub asks: Option<Asks>,
}

/// What tells HTTP requests apart that a server has under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asks {
    /// `http.request.method`.
    pub method: &'static str,
    /// `url.scheme`.
    pub scheme: &'static str,
}

impl Started {
    /// A request that is no message.
    pub fn call(id: u64, request: Marks, kind: SpanKind, context: Option<TraceContext>, denied: bool) -> Self {
        Self { id, request, kind, context, links: Vec::new(), message: None, denied, stream: None, asks: None }
    }
}

/// One request with its response, or with the reason why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The id of the [`Started`] that came before.
    pub id: u64,
    /// Span name, low cardinality.
    pub name: Cow<'static, str>,
    /// The request.
    pub request: Marks,
    /// The response, if any byte of it was seen.
    pub response: Option<Marks>,
    /// When the exchange ended, `CLOCK_BOOTTIME` nanoseconds: the last byte of the response, or the failure.
    pub end: u64,
    /// Status.
    pub status: Status,
    /// Attributes that the protocol knows; addresses and process are added later.
    pub attributes: Vec<KeyValue>,
    /// What happened within it.
    pub events: Vec<Event>,
}

/// Something that happened within an exchange: a statement of a batch that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// Name, low cardinality.
    pub name: Cow<'static, str>,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
}

/// What an exchange says of a task that a worker takes from a broker and runs elsewhere, on another thread or in another
/// process (Celery): what the execution of the task is made of, which passes no socket itself.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEvent {
    /// The exchange that says so, whose [`Started`] came before.
    pub exchange: u64,
    /// The operation that carried it: when, and which thread.
    pub at: Mark,
    /// What it says.
    pub fact: TaskFact,
}

/// What is said of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskFact {
    /// A worker took it from its broker.
    Taken(Box<TakenTask>),
    /// A worker settled with its broker what it took under this tag. Where the exchange that brought the task ends when it
    /// is settled (AMQP), that end says so instead.
    Settled {
        /// [`TakenTask::tag`].
        tag: Box<str>,
    },
    /// The thread sends a task again, which it therefore runs for the `retries`th time less one.
    SentAgain {
        /// The task's id.
        id: Box<str>,
        /// How often it was tried before the attempt that is sent; not 0.
        retries: u32,
    },
    /// The thread writes the task's state where results are kept.
    State(Box<TaskState>),
}

/// A task that a worker took.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenTask {
    /// The task's id, the same for all attempts.
    pub id: Box<str>,
    /// How often it was tried before.
    pub retries: u32,
    /// What its message is settled by, if that is another exchange.
    pub tag: Option<Box<str>>,
    /// The message says that no result is to be kept.
    pub silent: bool,
    /// It is one of a group: its thread may have to do for that after it told its own end.
    pub grouped: bool,
    /// Name of the execution's span.
    pub name: Cow<'static, str>,
    /// What is known of the execution.
    pub attributes: Vec<KeyValue>,
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskState {
    /// The task's id.
    pub id: Box<str>,
    /// What that means for its execution.
    pub phase: TaskPhase,
    /// What it adds to what is known of the execution.
    pub attributes: Vec<KeyValue>,
    /// Of the execution.
    pub status: Status,
    /// What the exception of a task that failed says, which is an event of its execution.
    pub exception: Vec<KeyValue>,
}

/// What a task's state means for its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskPhase {
    /// The thread that writes it begins to run the task.
    Begun,
    /// The thread that writes it has run the task, or speaks for one that could not.
    Ended,
    /// The task will not be run, or was stopped by another than writes this.
    Revoked,
}

/// Why nothing is told of a request that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Bytes that nobody saw hide which response answers it, or where that is.
    Gap,
    /// It showed, behind a loss, whether the client waits for its answers; or an answer did not stand where it must.
    Unproven,
    /// Its connection has no room: too many wait for an answer.
    Refused,
    /// The bytes do not make sense, or it turned out to be no request.
    Nonsense,
    /// The connection left the protocol, or became something else (a replica's), before it was answered.
    Left,
    /// The protocol itself says that nothing will answer it.
    Unanswered,
    /// The agent stopped watching: at its exit, or because a connection was forgotten.
    Unwatched,
    /// Reading its connection failed, which is a defect.
    Failed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Gap,
        Self::Unproven,
        Self::Refused,
        Self::Nonsense,
        Self::Left,
        Self::Unanswered,
        Self::Unwatched,
        Self::Failed,
    ];

    /// As counters name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Unproven => "unproven",
            Self::Refused => "refused",
            Self::Nonsense => "nonsense",
            Self::Left => "left",
            Self::Unanswered => "unanswered",
            Self::Unwatched => "unwatched",
            Self::Failed => "failed",
        }
    }
}

/// What is known of a session of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secured {
    /// The client's random number, by which both ends know the session.
    pub random: [u8; 32],
    /// The name that the client asked for.
    pub server_name: Option<Box<str>>,
    /// `tls.protocol.version`, once both ends agreed on it.
    pub version: Option<&'static str>,
}

/// What a parser says.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "outputs live for one operation, and most are `Started`: a box would cost more"
)]
pub enum Output {
    /// A request began. Every `Started` is followed by exactly one `Finished`, `Dropped` or `Batched` with its id.
    Started(Started),
    /// An exchange is complete.
    Finished(Box<Exchange>),
    /// The request of this id turned out not to be one, or its end cannot be known: forget it.
    Dropped {
        /// The id of the [`Started`].
        id: u64,
        /// Why.
        reason: Reason,
    },
    /// The request of this id is part of a batch, whose exchange tells of it: no loss.
    Batched {
        /// The id of the [`Started`].
        id: u64,
        /// The id of the batch, which began before and has not ended.
        into: u64,
    },
    /// An exchange says something of a task's execution. The exchange began before, and has not ended.
    Task(Box<TaskEvent>),
    /// What follows on this connection is encrypted, and this is known of it. Said again when more is known.
    Secured(Box<Secured>),
    /// This connection carries telemetry (an OTLP export request was seen): tracing it would make more of it.
    ExportsTelemetry,
}
