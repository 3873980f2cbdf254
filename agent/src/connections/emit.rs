//! Turns what a parser says into signals, which name the exchange, the connection and the process.

use std::ops::Range;
use std::sync::Arc;

use wirespan_common::Endpoints;
use wirespan_protocols::exchange::{Exchange, KeyValue, Output, Reason, Secured, Started};
use wirespan_protocols::registry::Protocol;
use wirespan_protocols::{Parser, Role, given_up};

use opentelemetry_semantic_conventions::attribute::{SERVER_ADDRESS, TLS_PROTOCOL_VERSION as TLS_VERSION};

use crate::discovery::Process;
use crate::metrics::Counters;
use wirespan_links::{Connect, ConnectionInfo, ExchangeKey, Inside, Signal, StartedSignal};

/// What a parser's outputs mean for the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// It carries telemetry.
    pub telemetry: bool,
    /// An exchange finished.
    pub finished: bool,
    /// What follows is encrypted.
    pub secured: bool,
}

/// The protocol inside which others are.
pub const TLS: &str = "tls";
/// Numbers of parsers of what passes inside TLS begin here, and of each session so many later.
const ABOVE: u32 = 1 << 31;
const PARSERS: u32 = 1 << 16;

/// Whether an output drops this request, and why.
fn is_dropped(output: Option<&Output>, request: u64) -> Option<Reason> {
    match output {
        Some(Output::Dropped { id, reason }) if *id == request => Some(*reason),
        _ => None,
    }
}

/// Whose exchanges they are.
#[derive(Debug)]
pub struct Origin {
    /// Number of the connection, unique while the agent runs.
    pub id: u64,
    /// Socket cookie.
    pub cookie: u64,
    /// Ends.
    pub endpoints: Endpoints,
    /// The process that used it last.
    pub process: Arc<Process>,
    /// How this process began to connect.
    pub connect: Option<Connect>,
    /// It is a socket for datagrams.
    pub datagrams: bool,
    /// Where the datagram goes that is being read, if its socket has no peer of its own.
    pub datagram_to: Option<Endpoints>,
    /// When the other end left, if it was seen to.
    pub peer_left: Option<u64>,
    /// Requests without an answer.
    pub in_flight: u32,
    /// What is known of the session of TLS that began on it.
    pub secured: Option<Arc<Secured>>,
    /// What is read passes inside that session.
    pub inside: Option<Inside>,
    parsers: u32,
    exchanges: u64,
}

impl Origin {
    /// A connection without exchanges.
    pub fn new(id: u64, cookie: u64, endpoints: Endpoints, process: Arc<Process>) -> Self {
        Self {
            id,
            cookie,
            endpoints,
            process,
            connect: None,
            datagrams: false,
            datagram_to: None,
            peer_left: None,
            in_flight: 0,
            secured: None,
            inside: None,
            parsers: 0,
            exchanges: 0,
        }
    }

    /// The same connection, for what passes inside TLS on it; `others`: how many such there were before.
    pub fn above(&self, inside: Inside, others: u32) -> Self {
        // (Parsers of either have numbers of their own.)
        let parsers = ABOVE + others * PARSERS;
        let mut origin = Self::new(self.id, self.cookie, self.endpoints, Arc::clone(&self.process));
        (origin.connect, origin.peer_left, origin.secured) = (self.connect, self.peer_left, self.secured.clone());
        (origin.inside, origin.parsers) = (Some(inside), parsers);
        origin
    }

    /// From here on, another parser speaks.
    pub fn next_parser(&mut self) {
        self.parsers += 1;
    }

    fn key(&self, id: u64) -> ExchangeKey {
        ExchangeKey { connection: self.id, parser: self.parsers, id }
    }

    /// Turns the parser's outputs into signals.
    pub fn emit(
        &mut self,
        protocol: &'static Protocol,
        role: Role,
        outputs: &mut Vec<Output>,
        counters: &Counters,
        out: &mut Vec<Signal>,
    ) -> Said {
        let (mut said, mut dropped) = (Said::default(), false);
        // (What comes next is looked at where it lies: it is large.)
        let mut outputs = outputs.drain(..);
        while let Some(output) = outputs.next() {
            match output {
                // What the first of an operation that is dropped at once says of who read or sent it, the others say again:
                // one is enough, for there may be hundreds.
                Output::Started(started) if dropped && is_dropped(outputs.as_slice().first(), started.id).is_some() => {
                    let reason = is_dropped(outputs.next().as_ref(), started.id);
                    counters.exchanges_started.inc();
                    counters.dropped(protocol.name, reason.unwrap_or(Reason::Refused), 1);
                    self.exchanges += 1;
                }
                Output::Started(started) => {
                    dropped |= is_dropped(outputs.as_slice().first(), started.id).is_some();
                    self.started(protocol, role, started, counters, out);
                }
                Output::Finished(exchange) => {
                    said.finished = true;
                    self.finished(protocol, role, exchange, out);
                }
                Output::Dropped { id, reason } => {
                    self.in_flight = self.in_flight.saturating_sub(1);
                    counters.dropped(protocol.name, reason, 1);
                    out.push(Signal::Dropped(self.key(id)));
                }
                Output::Batched { id, into } => {
                    self.in_flight = self.in_flight.saturating_sub(1);
                    counters.exchanges_batched.inc();
                    out.push(Signal::Batched { part: self.key(id), batch: self.key(into) });
                }
                Output::Task(event) => out.push(Signal::Task(self.key(event.exchange), event)),
                Output::Secured(secured) => {
                    said.secured = true;
                    self.secured = Some(secured.into());
                }
                Output::ExportsTelemetry => {
                    said.telemetry = true;
                    if role == Role::Client {
                        out.push(Signal::ExportsTelemetry { tgid: self.process.tgid });
                    }
                }
            }
        }
        said
    }

    fn finished(&mut self, protocol: &Protocol, role: Role, mut exchange: Box<Exchange>, out: &mut Vec<Signal>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        // Of what the connection's end broke, the parser says whether it matters.
        let answered = exchange.response.is_some_and(|r| r.last.time == exchange.end);
        let is_answer = answered && protocol.name != TLS;
        if role == Role::Server && is_answer && self.peer_left.is_some_and(|left| left <= exchange.end) {
            exchange.attributes.push(given_up());
        }
        self.describe(role, &mut exchange);
        if let Some(peer) = self.datagram_to {
            out.push(Signal::Peer(self.key(exchange.id), peer));
        }
        let weight = exchange.weight();
        out.push(Signal::Finished(self.key(exchange.id), exchange, weight));
    }

    /// Adds what TLS says of an exchange inside it.
    fn describe(&self, role: Role, exchange: &mut Exchange) {
        let Some(secured) = self.secured.as_ref().filter(|_| self.inside.is_some()) else { return };
        let attributes = &mut exchange.attributes;
        attributes.extend(secured.version.map(|version| KeyValue::str(TLS_VERSION, version)));
        let named = attributes.iter().any(|attribute| attribute.key == SERVER_ADDRESS);
        if let Some(name) = secured.server_name.as_ref().filter(|_| role == Role::Client && !named) {
            attributes.push(KeyValue::str(SERVER_ADDRESS, name.to_string()));
        }
    }

    fn started(
        &mut self,
        protocol: &'static Protocol,
        role: Role,
        started: Started,
        counters: &Counters,
        out: &mut Vec<Signal>,
    ) {
        self.in_flight += 1;
        counters.exchanges_started.inc();
        let connection = self.info(protocol, role);
        self.exchanges += 1;
        let (key, process) = (self.key(started.id), self.process.clone());
        let signal = StartedSignal { key, protocol: protocol.name, started, process, connection };
        out.push(Signal::Started(Box::new(signal)));
    }

    fn info(&self, protocol: &Protocol, role: Role) -> ConnectionInfo {
        ConnectionInfo {
            cookie: self.cookie,
            endpoints: self.datagram_to.unwrap_or(self.endpoints),
            role,
            connect: self.connect,
            streams: protocol.streams,
            datagrams: self.datagrams,
            opening: false,
            opaque: protocol.name == TLS,
            inside: self.inside,
            first: self.exchanges == 0,
        }
    }

    /// Tells the names of requests that began in `began` and have no end yet.
    pub fn under_way(&self, parser: &dyn Parser, began: &Range<u64>, out: &mut Vec<Signal>) {
        parser.under_way(began, &mut |id, name| out.push(Signal::UnderWay(self.key(id), name)));
    }
}
