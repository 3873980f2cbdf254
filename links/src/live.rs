//! Spans and traces while they are being built.

use std::borrow::Cow;
use std::sync::Arc;

use slotmap::{SlotMap, new_key_type};
use wirespan_protocols::context::TraceContext;
use wirespan_protocols::exchange::{Asks, Exchange, Marks, MessageKey, SpanKind, Started};

use crate::process::Process;
use crate::rules::{Evidence, Missing, Until};
use crate::signal::{ConnectionInfo, ExchangeKey, Said, StartedSignal};

new_key_type! {
    /// A span that has not been handed on.
    pub struct SpanKey;
    /// The spans that hang together.
    pub struct GroupKey;
}

/// All spans that have not been handed on. (Places of a slot map never go back, so they hold no more than a pointer.)
pub type Spans = SlotMap<SpanKey, Box<LiveSpan>>;
/// All groups of spans.
pub type Groups = SlotMap<GroupKey, Box<Group>>;

/// Where a span hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Nowhere that is proven, save what its own trace context says.
    None,
    /// Below a span that is still here.
    Live(SpanKey),
    /// Below a span that was handed on.
    Sent([u8; 8]),
}

/// A parent that is not certain yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The request that may become the parent, if one is known.
    pub request: Option<SpanKey>,
    /// When it is decided.
    pub until: Until,
}

/// A span that has not been handed on.
#[derive(Debug)]
pub struct LiveSpan {
    /// The exchange behind it.
    pub key: ExchangeKey,
    /// Name of its protocol.
    pub protocol: &'static str,
    /// Kind.
    pub kind: SpanKind,
    /// Its process.
    pub process: Arc<dyn Process>,
    /// Its connection.
    pub connection: ConnectionInfo,
    /// Its request, as known when it started.
    pub request: Marks,
    /// What it asks of an HTTP server.
    pub asks: Option<Asks>,
    /// The number of its stream, on a connection that has streams.
    pub stream: Option<u64>,
    /// The context that its request carries.
    pub context: Option<TraceContext>,
    /// Spans that it is to have a link to.
    pub links: Vec<TraceContext>,
    /// The message that it sends or receives.
    pub message: Option<MessageKey>,
    /// Its request says that the trace is not recorded, without naming it.
    pub denied: bool,
    /// Its id.
    pub span_id: [u8; 8],
    /// Where it hangs.
    pub parent: Parent,
    /// Whether `parent` is the other end of the same exchange.
    pub joined: bool,
    /// Whether its other end was found, so that none is waited for.
    pub met: bool,
    /// The spans that it hangs together with.
    pub group: GroupKey,
    /// What may still become its parent.
    pub pending: Option<Pending>,
    /// What its link to the request that it was made for rests on, if that is not exact.
    pub evidence: Option<Evidence>,
    /// The request that it may well be for, by what is not believed there.
    pub likely: Option<(TraceContext, Evidence)>,
    /// Why it hangs below no request, in a process that serves some.
    pub missing: Option<Missing>,
    /// What it would be called if it ended now, known once it has been under way for a while.
    pub name: Option<Cow<'static, str>>,
    /// Its end will never be known: it is passed over.
    pub dropped: bool,
    /// It was dropped because this one tells of it: what hangs below it hangs below that.
    pub batch: Option<SpanKey>,
    /// It was handed on.
    pub sent: bool,
    /// Its process had no request under way when it began; only known of callers.
    pub idle: bool,
    /// The result, once known.
    pub exchange: Option<Box<Exchange>>,
    /// Bytes that it was counted for.
    pub weight: usize,
    /// What its unit said meanwhile, where its lines go.
    pub said: Vec<Said>,
    /// Bytes of that.
    pub said_bytes: usize,
}

/// What the places of a span and its group take in the maps by their keys, which keep them for the next.
pub const SLOTS: usize = 2 * size_of::<(u64, Option<Box<()>>)>() + 2 * size_of::<(u64, u32)>();
/// Facts come in any order within this time, nanoseconds.
const FRESH: u64 = 50_000_000;
/// What a span takes beside what its exchange says: itself, its group, its places in tables.
const SPAN: usize = size_of::<LiveSpan>() + size_of::<Group>() + 320;

impl LiveSpan {
    /// What has just begun, hanging below nothing.
    pub fn new(signal: StartedSignal, group: GroupKey) -> Self {
        let StartedSignal { key, protocol, started, process, connection } = signal;
        let weight = SPAN + started.weight();
        Self {
            key,
            protocol,
            kind: started.kind,
            process,
            connection,
            request: started.request,
            asks: started.asks,
            stream: started.stream,
            context: started.context,
            links: started.links,
            message: started.message,
            denied: started.denied,
            span_id: fastrand::u64(1..).to_be_bytes(),
            parent: Parent::None,
            joined: false,
            met: false,
            group,
            pending: None,
            evidence: None,
            likely: None,
            missing: None,
            name: None,
            dropped: false,
            batch: None,
            sent: false,
            idle: false,
            exchange: None,
            weight,
            said: Vec::new(),
            said_bytes: 0,
        }
    }

    /// The same of what passed no connection, and has no other end.
    pub fn of_no_connection(
        protocol: &'static str,
        started: Started,
        process: Arc<dyn Process>,
        group: GroupKey,
    ) -> Self {
        let (key, connection) = (ExchangeKey::NO_CONNECTION, ConnectionInfo::unknown(0));
        let signal = StartedSignal { key, protocol, started, process, connection };
        Self { met: true, ..Self::new(signal, group) }
    }

    /// The result is known, and takes so many bytes.
    pub fn ends(&mut self, exchange: Box<Exchange>, bytes: usize) {
        self.weight += bytes;
        self.exchange = Some(exchange);
    }

    /// Why it is a root, if it is one for want of a link.
    pub fn missing_link(&self) -> Option<Missing> {
        self.missing.filter(|_| self.parent == Parent::None && self.context.is_none())
    }

    /// Whether this end answers.
    pub fn is_callee(&self) -> bool {
        matches!(self.kind, SpanKind::Server | SpanKind::Consumer)
    }

    /// Whether it is told long after it began: that a connection is not read may show late.
    pub fn is_old_news(&self, now: u64) -> bool {
        self.connection.opaque && now.saturating_sub(self.request.first.time) > FRESH
    }

    /// Whether it is a request that this end answers. (A connection that is not read may have any number of them.)
    pub fn is_request(&self) -> bool {
        self.is_callee() && !self.connection.opaque
    }
}

/// Spans that hang together: a trace, or the part of it that this agent sees.
#[derive(Debug, Default)]
pub struct Group {
    /// All of them, in the order of their start.
    pub members: Vec<SpanKey>,
    /// How many are not finished.
    pub open: u32,
    /// How many links to or from it may still be proven.
    pub pending: u32,
    /// How many members wait for the end of a task that they may belong to.
    pub held: u32,
    /// Whether a member receives a message.
    pub receives: bool,
    /// When something last happened, `CLOCK_BOOTTIME` nanoseconds.
    pub last: u64,
    /// Set when the first piece was handed on.
    pub root: Option<Root>,
}

/// What the first piece of a trace fixed for all later ones.
#[derive(Clone, Debug)]
pub struct Root {
    /// The trace id.
    pub trace_id: [u8; 16],
    /// The context that the root's request carried.
    pub context: Option<TraceContext>,
    /// Whether the trace is recorded.
    pub sampled: bool,
}
