//! Turns what a parser says into signals, which name the exchange, the connection and the process.

use std::ops::Range;
use std::sync::Arc;

use wirespan_common::Endpoints;
use wirespan_protocols::exchange::{Exchange, Output, Reason, Started};
use wirespan_protocols::registry::Protocol;
use wirespan_protocols::{Parser, Role, given_up};

use crate::discovery::Process;
use crate::metrics::Counters;
use wirespan_links::{Connect, ConnectionInfo, ExchangeKey, Signal, StartedSignal};

/// What a parser's outputs mean for the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// It carries telemetry.
    pub telemetry: bool,
    /// An exchange finished.
    pub finished: bool,
}

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
            parsers: 0,
            exchanges: 0,
        }
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
        let mut outputs = outputs.drain(..).peekable();
        while let Some(output) = outputs.next() {
            match output {
                // What the first of an operation that is dropped at once says of who read or sent it, the others say again:
                // one is enough, for there may be hundreds.
                Output::Started(started) if dropped && is_dropped(outputs.peek(), started.id).is_some() => {
                    let reason = is_dropped(outputs.next().as_ref(), started.id);
                    counters.exchanges_started.inc();
                    counters.dropped(protocol.name, reason.unwrap_or(Reason::Refused), 1);
                    self.exchanges += 1;
                }
                Output::Started(started) => {
                    dropped |= is_dropped(outputs.peek(), started.id).is_some();
                    self.started(protocol, role, started, counters, out);
                }
                Output::Finished(exchange) => {
                    said.finished = true;
                    self.finished(role, exchange, out);
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

    fn finished(&mut self, role: Role, mut exchange: Box<Exchange>, out: &mut Vec<Signal>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        // Of what the connection's end broke, the parser says whether it matters.
        let answered = exchange.response.is_some_and(|r| r.last.time == exchange.end);
        if role == Role::Server && answered && self.peer_left.is_some_and(|left| left <= exchange.end) {
            exchange.attributes.push(given_up());
        }
        if let Some(peer) = self.datagram_to {
            out.push(Signal::Peer(self.key(exchange.id), peer));
        }
        out.push(Signal::Finished(self.key(exchange.id), exchange));
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
            first: self.exchanges == 0,
        }
    }

    /// Tells the names of requests that began in `began` and have no end yet.
    pub fn under_way(&self, parser: &dyn Parser, began: &Range<u64>, out: &mut Vec<Signal>) {
        parser.under_way(began, &mut |id, name| out.push(Signal::UnderWay(self.key(id), name)));
    }
}
