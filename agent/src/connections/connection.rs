//! One connection: its life, and what is read on it. Order, detection and signals have files of their own.

use std::ops::Range;
use std::sync::Arc;

use wirespan_common::{AF_UNIX, EGRESS, Endpoints, INGRESS};
use wirespan_protocols::exchange::{Mark, Output, Unit};
use wirespan_protocols::registry::Protocol;
use wirespan_protocols::{Direction, End, Parser, Progress, Role, Settings};

use super::Limits;
use super::detection::{Answer, Detecting};
use super::emit::Origin;
use super::order::{Operation, Order, Sink};
use crate::discovery::Process;
use crate::metrics::Counters;
use wirespan_links::Signal;

/// Operations after which the kernel is told again that more of a socket is wanted.
const WIDEN_AGAIN: u32 = 4096;
/// How long a socket that the kernel closed may still be read from, nanoseconds.
const LINGER: u64 = 250_000_000;
/// Ports that Linux gives to those who do not choose (`ip_local_port_range`, by default).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// What every connection needs from outside.
pub struct Context<'a> {
    /// Where signals go.
    pub out: &'a mut Vec<Signal>,
    /// Scratch for parsers' outputs.
    pub outputs: &'a mut Vec<Output>,
    /// Counters.
    pub counters: &'a Counters,
    /// Bounds, and what parsers may keep.
    pub limits: &'a Limits,
}

/// One connection, seen from one socket.
pub struct Connection {
    /// Counting epoch of a Unix socket, 0 for TCP.
    pub epoch: u32,
    /// On the list of connections that need attention.
    pub restless: bool,
    /// Bytes held, as last counted in the total.
    pub counted: usize,
    order: Order,
    reading: Reading,
    /// Datagrams so far, if it is a socket for such.
    datagrams: u64,
    closed_at: Option<u64>,
    /// Operations since more of each was wanted.
    widened: u32,
}

/// What is read on a connection, and by whom.
struct Reading {
    origin: Origin,
    /// When the last operation was seen, `CLOCK_BOOTTIME` nanoseconds.
    last_seen: u64,
    state: State,
    /// The protocol that the bytes which are being read did not turn out to be.
    disproved: Option<&'static str>,
    reads_unknown: bool,
}

enum State {
    /// Not known yet.
    Detecting(Detecting),
    /// Known.
    Known { protocol: &'static Protocol, parser: Box<dyn Parser>, requests: u8, role: Role },
    /// Given up: the socket is muted in the kernel.
    Muted,
}

/// What has its turn goes to the reader.
struct Feed<'a, 'c> {
    reading: &'a mut Reading,
    cx: &'a mut Context<'c>,
}

impl Sink for Feed<'_, '_> {
    fn data(&mut self, direction: u8, bytes: &[u8], mark: Mark) {
        self.reading.data(direction, bytes, mark, self.cx);
    }

    fn gap(&mut self, direction: u8, len: u64, mark: Mark) {
        self.reading.gap(direction, len, mark, self.cx);
    }
}

impl Connection {
    /// A connection whose first operation is about to be fed.
    pub fn new(origin: Origin, epoch: u32, now: u64) -> Self {
        let state = State::Detecting(Detecting::default());
        Self {
            epoch,
            restless: false,
            counted: 0,
            order: Order::new(epoch != 0),
            reading: Reading { origin, last_seen: now, state, disproved: None, reads_unknown: false },
            datagrams: 0,
            closed_at: None,
            widened: 0,
        }
    }

    /// Socket cookie.
    pub fn cookie(&self) -> u64 {
        self.reading.origin.cookie
    }

    /// The process that used it last.
    pub fn process(&self) -> &Arc<Process> {
        &self.reading.origin.process
    }

    /// When the last operation was seen, `CLOCK_BOOTTIME` nanoseconds.
    pub fn last_seen(&self) -> u64 {
        self.reading.last_seen
    }

    /// Requests without an answer.
    pub fn in_flight(&self) -> u32 {
        self.reading.origin.in_flight
    }

    /// An operation was seen, by this process.
    pub fn used(&mut self, process: &Arc<Process>, time: u64) {
        self.reading.last_seen = time;
        if !Arc::ptr_eq(self.process(), process) {
            self.reading.origin.process = process.clone();
        }
    }

    /// Whether the kernel should stop capturing this socket.
    pub fn is_muted(&self) -> bool {
        matches!(self.reading.state, State::Muted)
    }

    /// Whether the kernel should be told now to capture more of each operation: from time to time, for it may forget.
    pub fn widens(&mut self) -> bool {
        let wanted = matches!(&self.reading.state, State::Known { parser, .. } if parser.wants_more());
        self.widened = self.widened.wrapping_add(u32::from(wanted));
        wanted && self.widened % WIDEN_AGAIN == 1
    }

    /// Bytes of memory held beyond the structure itself.
    pub fn buffered(&self) -> usize {
        let state = match &self.reading.state {
            State::Detecting(detecting) => detecting.buffered(),
            State::Known { parser, .. } => parser.buffered(),
            State::Muted => 0,
        };
        state + self.order.held_bytes()
    }

    /// An operation moved bytes.
    pub fn operation(&mut self, operation: Operation<'_>, cx: &mut Context<'_>) {
        self.order.operation(operation, &mut Feed { reading: &mut self.reading, cx });
    }

    /// A datagram was sent or received, of which `bytes` were captured.
    pub fn datagram(&mut self, direction: u8, bytes: &[u8], time: u64, unit: Unit, cx: &mut Context<'_>) {
        let position = self.datagrams;
        self.datagrams += 1;
        self.reading.origin.datagrams = true;
        if !bytes.is_empty() {
            self.reading.data(direction, bytes, Mark { time, position, opposite: position, unit }, cx);
        }
    }

    /// Hands on what was held and whose turn has come, or whose wait has been long enough.
    pub fn release(&mut self, now: u64, cx: &mut Context<'_>) {
        self.order.release(now, &mut Feed { reading: &mut self.reading, cx });
    }

    /// Tells the names of requests that began in `began` and have no end yet.
    pub fn under_way(&self, began: &Range<u64>, out: &mut Vec<Signal>) {
        if let State::Known { parser, .. } = &self.reading.state {
            self.reading.origin.under_way(parser.as_ref(), began, out);
        }
    }

    /// One direction ended in order, or both by a reset.
    pub fn end(&mut self, direction: u8, end: End, time: u64, unit: Unit, cx: &mut Context<'_>) {
        if self.order.end(direction, &mut Feed { reading: &mut self.reading, cx }) {
            let (position, opposite) = (self.order.next(direction), self.order.next(1 - direction));
            self.reading.end(direction, end, &Mark { time, position, opposite, unit }, cx);
        }
    }

    /// The kernel closed the socket; bytes that it had received may still be read for a moment.
    pub fn close(&mut self, time: u64) {
        self.closed_at.get_or_insert(time);
    }

    /// Whether time alone will change something: held operations, or a closed socket.
    pub fn is_waiting(&self) -> bool {
        self.closed_at.is_some() || self.order.is_holding()
    }

    /// Whether nothing more is to be expected.
    pub fn is_over(&self, now: u64) -> bool {
        let lingered = |at: u64| now.saturating_sub(at.max(self.last_seen())) >= LINGER;
        self.closed_at.is_some_and(|at| (self.in_flight() == 0 && !self.order.is_holding()) || lingered(at))
    }

    /// Ends both directions: the socket is gone ([`End::Closed`]), or the agent no longer watches it
    /// ([`End::Unwatched`]).
    pub fn finish(&mut self, end: End, now: u64, cx: &mut Context<'_>) {
        let time = self.closed_at.unwrap_or(now);
        for direction in [EGRESS, INGRESS] {
            self.end(direction, end, time, Unit::default(), cx);
        }
        if end == End::Unwatched {
            self.reading.abandon(cx);
        }
    }
}

impl Reading {
    fn data(&mut self, direction: u8, bytes: &[u8], mark: Mark, cx: &mut Context<'_>) {
        match &mut self.state {
            State::Muted => {}
            State::Detecting(_) => self.detect(direction, bytes, mark, cx),
            State::Known { protocol, parser, requests, .. } => {
                let (name, toward) = (protocol.name, toward(direction, *requests));
                let progress = parser.data(toward, bytes, &mark, cx.outputs);
                let full = parser.buffered() > cx.limits.max_connection_buffer;
                self.after(if full { Progress::LostSync } else { progress }, cx);
                // What disproves one protocol may show another; once, so that two cannot hand it to and fro.
                if progress == Progress::LostSync && self.disproved.is_none() {
                    self.disproved = Some(name);
                    self.data(direction, bytes, mark, cx);
                    self.disproved = None;
                }
            }
        }
    }

    fn gap(&mut self, direction: u8, len: u64, mark: Mark, cx: &mut Context<'_>) {
        cx.counters.gaps.inc();
        cx.counters.gap_bytes.add(len);
        match &mut self.state {
            State::Muted => {}
            State::Detecting(detecting) => detecting.gap(),
            State::Known { parser, requests, .. } => {
                let progress = parser.gap(toward(direction, *requests), len, &mark, cx.outputs);
                self.after(progress, cx);
            }
        }
    }

    fn end(&mut self, direction: u8, end: End, mark: &Mark, cx: &mut Context<'_>) {
        if let State::Known { parser, requests, .. } = &mut self.state {
            parser.end(toward(direction, *requests), end, mark, cx.outputs);
            self.emit(cx);
        }
    }

    /// Whether the other end opened this TCP connection, as far as can be told of one that is older than the agent.
    fn looks_accepted(&self) -> bool {
        let Endpoints { family, local_port, peer_port, .. } = self.origin.endpoints;
        let dialled = EPHEMERAL.contains(&local_port) && !EPHEMERAL.contains(&peer_port);
        family != AF_UNIX && self.origin.connect.is_none() && !dialled
    }

    /// Asks every protocol about the bytes.
    fn detect(&mut self, direction: u8, bytes: &[u8], mark: Mark, cx: &mut Context<'_>) {
        let State::Detecting(detecting) = &mut self.state else { return };
        match detecting.offer(direction, bytes, mark, self.origin.datagrams, self.disproved) {
            Answer::Found(protocol, found) => self.start(protocol, direction, found, bytes, mark, cx),
            Answer::Perhaps => {}
            Answer::Unknown { exhausted } => {
                let first_unknown = direction == INGRESS && !std::mem::replace(&mut self.reads_unknown, true);
                if first_unknown && mark.unit.nonblocking && self.looks_accepted() {
                    cx.out.push(Signal::ReadsUnknown { tgid: mark.unit.tgid });
                }
                if exhausted {
                    self.state = State::Muted;
                    cx.counters.connections_muted.inc();
                }
            }
        }
    }

    fn start(
        &mut self,
        protocol: &'static Protocol,
        direction: u8,
        found: Direction,
        bytes: &[u8],
        mark: Mark,
        cx: &mut Context<'_>,
    ) {
        let requests = if found == Direction::Request { direction } else { 1 - direction };
        let role = if requests == EGRESS { Role::Client } else { Role::Server };
        let parser = (protocol.parser)(Settings {
            role,
            keep_query_values: cx.limits.keep_query_values,
            keep_query_text: cx.limits.keep_query_text,
        });
        let before = match std::mem::replace(&mut self.state, State::Known { protocol, parser, requests, role }) {
            State::Detecting(detecting) => detecting.into_kept(),
            _ => Vec::new(),
        };
        self.origin.next_parser();
        for piece in before {
            self.data(piece.direction, &piece.bytes, piece.mark, cx);
        }
        self.data(direction, bytes, mark, cx);
    }

    /// Passes on what the parser said, and acts on its progress.
    fn after(&mut self, progress: Progress, cx: &mut Context<'_>) {
        if self.emit(cx) {
            self.abandon(cx);
            self.state = State::Muted;
            return;
        }
        match progress {
            Progress::Continue => return,
            Progress::Left => {}
            Progress::LostSync => {
                cx.counters.connections_lost_sync.inc();
                self.abandon(cx);
            }
        }
        self.state = State::Detecting(Detecting::default());
    }

    /// What is still open has no end that could be known: forgotten, not reported as an error.
    fn abandon(&mut self, cx: &mut Context<'_>) {
        let mark = Mark { time: self.last_seen, ..Mark::default() };
        if let State::Known { parser, .. } = &mut self.state {
            parser.end(Direction::Request, End::Unwatched, &mark, cx.outputs);
        }
        self.emit(cx);
    }

    /// Passes on what the parser said. Returns whether the connection turned out to carry telemetry.
    fn emit(&mut self, cx: &mut Context<'_>) -> bool {
        let State::Known { protocol, role, .. } = self.state else { return false };
        self.origin.emit(protocol, role, cx.outputs, cx.counters, cx.out)
    }
}

fn toward(direction: u8, requests: u8) -> Direction {
    if direction == requests { Direction::Request } else { Direction::Response }
}
