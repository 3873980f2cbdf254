//! One connection: brings its operations into order, finds its protocol, feeds the parser.

use std::ops::Range;
use std::sync::Arc;

use wirespan_common::{AF_UNIX, EGRESS, Endpoints, INGRESS};
use wirespan_protocols::exchange::{Mark, Output, Unit};
use wirespan_protocols::registry::{DATAGRAM_PROTOCOLS, PROTOCOLS, Protocol};
use wirespan_protocols::{Detection, Direction, End, Parser, Progress, Role, Settings};

use super::Limits;
use super::signal::{Connect, ConnectionInfo, ExchangeKey, Signal, StartedSignal};
use super::stream::{Place, Segment, Stream};
use crate::discovery::Process;
use crate::metrics::Counters;

/// Changes of direction without a known protocol after which a connection is muted.
const MUTE_TURNS: u32 = 8;
/// Operations without a change of direction and without a known protocol after which a connection is muted.
const MUTE_OPERATIONS: u32 = 4096;
/// The same for datagrams: who sends that many that are not understood will go on.
const MUTE_DATAGRAMS: u32 = 64;
/// Operations after which the kernel is told again that more of a socket is wanted.
const WIDEN_AGAIN: u32 = 4096;
/// How long an operation waits for those before it, nanoseconds. They are late by microseconds, or lost.
const HOLD: u64 = 50_000_000;
/// How long a socket that the kernel closed may still be read from, nanoseconds.
const LINGER: u64 = 250_000_000;
/// Ports that Linux gives to those who do not choose (`ip_local_port_range`, by default).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;
/// Most bytes kept of a first message whose protocol is not yet certain.
const MAX_UNDECIDED: usize = 8 * 1024;

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

enum State {
    /// Not known yet.
    Detecting { turns: u32, operations: u32, last: Option<u8>, undecided: Vec<(u8, Segment)> },
    /// Known.
    Reading { protocol: &'static Protocol, parser: Box<dyn Parser>, requests: u8, role: Role },
    /// Given up: the socket is muted in the kernel.
    Muted,
}

impl State {
    fn detecting() -> Self {
        Self::Detecting { turns: 0, operations: 0, last: None, undecided: Vec::new() }
    }
}

/// One connection, seen from one socket.
pub struct Connection {
    /// Unique while the agent runs.
    pub id: u64,
    /// Socket cookie.
    pub cookie: u64,
    /// Counting epoch of a Unix socket, 0 for TCP.
    pub epoch: u32,
    /// Ends.
    pub endpoints: Endpoints,
    /// The process that used it last.
    pub process: Arc<Process>,
    /// When the last operation was seen, `CLOCK_BOOTTIME` nanoseconds.
    pub last_seen: u64,
    /// How this process began to connect.
    pub connect: Option<Connect>,
    /// Requests without an answer.
    pub in_flight: u32,
    /// On the list of connections that need attention.
    pub restless: bool,
    /// Bytes held, as last counted in the total.
    pub counted: usize,
    reads_unknown: bool,
    /// Datagrams so far, if it is a socket for such.
    datagrams: Option<u64>,
    streams: [Stream; 2],
    state: State,
    /// The protocol that the bytes which are being read did not turn out to be.
    disproved: Option<&'static str>,
    parsers: u32,
    exchanges: u64,
    closed_at: Option<u64>,
    /// Operations since more of each was wanted.
    widened: u32,
}

impl Connection {
    /// A connection whose first operation is about to be fed.
    pub fn new(id: u64, cookie: u64, epoch: u32, endpoints: Endpoints, process: Arc<Process>, now: u64) -> Self {
        Self {
            id,
            cookie,
            epoch,
            endpoints,
            process,
            last_seen: now,
            connect: None,
            in_flight: 0,
            restless: false,
            counted: 0,
            reads_unknown: false,
            datagrams: None,
            streams: Default::default(),
            state: State::detecting(),
            disproved: None,
            parsers: 0,
            exchanges: 0,
            closed_at: None,
            widened: 0,
        }
    }

    /// Whether the kernel should stop capturing this socket.
    pub fn is_muted(&self) -> bool {
        matches!(self.state, State::Muted)
    }

    /// Whether the kernel should be told now to capture more of each operation: from time to time, for it may forget.
    pub fn widens(&mut self) -> bool {
        let wanted = matches!(&self.state, State::Reading { parser, .. } if parser.wants_more());
        self.widened = self.widened.wrapping_add(u32::from(wanted));
        wanted && self.widened % WIDEN_AGAIN == 1
    }

    /// Bytes of memory held beyond the structure itself.
    pub fn buffered(&self) -> usize {
        let state = match &self.state {
            State::Detecting { undecided, .. } => undecided.iter().map(|(_, s)| s.bytes.len()).sum(),
            State::Reading { parser, .. } => parser.buffered(),
            State::Muted => 0,
        };
        state + self.streams.iter().map(Stream::held_bytes).sum::<usize>()
    }

    /// An operation moved `len` bytes of `direction`, of which `bytes` were captured. `end` and `opposite` are the raw
    /// positions behind the operation; for TCP, 32-bit sequence numbers.
    pub fn operation(
        &mut self,
        direction: u8,
        bytes: &[u8],
        len: u64,
        raw: RawPositions,
        unit: Unit,
        cx: &mut Context<'_>,
    ) {
        let [own, other] = [usize::from(direction), usize::from(1 - direction)];
        let end = self.position(own, raw.end);
        let opposite = self.position(other, raw.opposite);
        let start = end.wrapping_sub(len);
        if self.streams[other].next().is_none() {
            self.streams[other].advance_to(opposite);
        }
        let mark = Mark { time: raw.time, position: start, opposite, unit };
        match self.streams[own].place(start, len) {
            Place::Past => {}
            Place::Now { skip } if self.reached(other, opposite) => {
                self.deliver(direction, bytes, len, skip, mark, cx);
                self.release(raw.time, cx);
            }
            Place::Now { .. } | Place::Early => {
                if !self.streams[own].hold(Segment { start, len, bytes: bytes.to_vec(), mark }) {
                    self.give_up_waiting(own, cx);
                }
                self.release(raw.time, cx);
            }
        }
    }

    /// A datagram was sent or received, of which `bytes` were captured.
    pub fn datagram(&mut self, direction: u8, bytes: &[u8], time: u64, unit: Unit, cx: &mut Context<'_>) {
        let position = self.datagrams.unwrap_or_default();
        self.datagrams = Some(position + 1);
        if !bytes.is_empty() {
            self.data(direction, bytes, Mark { time, position, opposite: position, unit }, cx);
        }
    }

    fn position(&self, stream: usize, raw: u64) -> u64 {
        // A Unix socket's counter is 64 bits wide already; it never gets near the offset that TCP positions start at.
        if self.epoch != 0 { raw } else { self.streams[stream].extend(raw as u32) }
    }

    /// Whether the other direction has been handed on as far as it had come when an operation happened.
    fn reached(&self, other: usize, opposite: u64) -> bool {
        self.streams[other].next().is_none_or(|next| next >= opposite)
    }

    /// Hands on what was held and whose turn has come, or whose wait has been long enough.
    pub fn release(&mut self, now: u64, cx: &mut Context<'_>) {
        if self.streams.iter().all(|s| s.first_held().is_none()) {
            return;
        }
        loop {
            let mut progressed = false;
            for direction in [EGRESS, INGRESS] {
                let [own, other] = [usize::from(direction), usize::from(1 - direction)];
                let Some(next) = self.streams[own].next() else { continue };
                let reached = self.streams[other].next().unwrap_or(u64::MAX);
                // Of what waits in both directions, the earlier goes first: a response must not precede its request.
                let earlier = self.streams[other].first_held().map_or(u64::MAX, |s| s.mark.time);
                let waited = |s: &Segment| now.saturating_sub(s.mark.time) >= HOLD && s.mark.time <= earlier;
                let ready = |s: &Segment| waited(s) || (s.start <= next && s.mark.opposite <= reached);
                let Some(segment) = self.streams[own].take_first(ready) else { continue };
                progressed = true;
                self.deliver_held(direction, segment, cx);
            }
            if !progressed {
                return;
            }
        }
    }

    fn give_up_waiting(&mut self, own: usize, cx: &mut Context<'_>) {
        if let Some(segment) = self.streams[own].take_first(|_| true) {
            self.deliver_held(own as u8, segment, cx);
        }
    }

    fn deliver_held(&mut self, direction: u8, segment: Segment, cx: &mut Context<'_>) {
        let own = usize::from(direction);
        self.give_up_other(direction, &segment, cx);
        if let Some(next) = self.streams[own].next()
            && segment.start > next
        {
            let mark = Mark { position: next, ..segment.mark };
            self.gap(direction, segment.start - next, mark, cx);
        }
        if let Place::Now { skip } = self.streams[own].place(segment.start, segment.len) {
            self.deliver(direction, &segment.bytes, segment.len, skip, segment.mark, cx);
        }
    }

    /// What the other direction had moved before `segment` and is not here will not come any more.
    fn give_up_other(&mut self, direction: u8, segment: &Segment, cx: &mut Context<'_>) {
        let other = 1 - direction;
        let stream = &self.streams[usize::from(other)];
        let Some(next) = stream.next() else { return };
        let held = stream.first_held().map_or(u64::MAX, |s| s.start);
        let until = segment.mark.opposite.min(held);
        if until > next {
            let mark = Mark { position: next, opposite: segment.start, ..segment.mark };
            self.gap(other, until - next, mark, cx);
        }
    }

    /// The operation's turn has come.
    fn deliver(&mut self, direction: u8, bytes: &[u8], len: u64, skip: u64, mark: Mark, cx: &mut Context<'_>) {
        let (len, mark) = (len - skip, Mark { position: mark.position + skip, ..mark });
        let bytes = bytes.get(skip as usize..).unwrap_or_default();
        self.streams[usize::from(direction)].advance_to(mark.position + bytes.len() as u64);
        if !bytes.is_empty() {
            self.data(direction, bytes, mark, cx);
        }
        let missing = len - bytes.len() as u64;
        if missing > 0 {
            self.gap(direction, missing, Mark { position: mark.position + bytes.len() as u64, ..mark }, cx);
        }
    }

    fn data(&mut self, direction: u8, bytes: &[u8], mark: Mark, cx: &mut Context<'_>) {
        match &mut self.state {
            State::Muted => {}
            State::Detecting { .. } => self.detect(direction, bytes, mark, cx),
            State::Reading { protocol, parser, requests, .. } => {
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
        self.streams[usize::from(direction)].advance_to(mark.position + len);
        cx.counters.gaps.inc();
        cx.counters.gap_bytes.add(len);
        match &mut self.state {
            State::Muted => {}
            State::Detecting { undecided, .. } => undecided.clear(),
            State::Reading { parser, requests, .. } => {
                let progress = parser.gap(toward(direction, *requests), len, &mark, cx.outputs);
                self.after(progress, cx);
            }
        }
    }

    /// Whether the other end opened this TCP connection, as far as can be told of one that is older than the agent.
    fn looks_accepted(&self) -> bool {
        let Endpoints { family, local_port, peer_port, .. } = self.endpoints;
        let dialled = EPHEMERAL.contains(&local_port) && !EPHEMERAL.contains(&peer_port);
        family != AF_UNIX && self.connect.is_none() && !dialled
    }

    /// Asks every protocol about the bytes; keeps them while one is undecided.
    fn detect(&mut self, direction: u8, bytes: &[u8], mark: Mark, cx: &mut Context<'_>) {
        let State::Detecting { turns, operations, last, undecided } = &mut self.state else { return };
        let turned = *last != Some(direction);
        *last = Some(direction);
        *operations = if turned { 0 } else { *operations + 1 };
        *turns += u32::from(turned);
        let patience = if self.datagrams.is_some() { MUTE_DATAGRAMS } else { MUTE_OPERATIONS };
        let (exhausted, before) = (*turns > MUTE_TURNS || *operations > patience, undecided);
        let mut first: Vec<u8> = Vec::new();
        before.iter().filter(|(d, _)| *d == direction).for_each(|(_, s)| first.extend_from_slice(&s.bytes));
        let whole = if first.is_empty() {
            bytes
        } else {
            first.extend_from_slice(bytes);
            &first
        };
        let mut undecided_yet = false;
        let protocols = if self.datagrams.is_some() { DATAGRAM_PROTOCOLS } else { PROTOCOLS };
        for protocol in protocols.iter().filter(|p| self.disproved != Some(p.name)) {
            match (protocol.detect)(whole) {
                Detection::Match(found) => return self.start(protocol, direction, found, bytes, mark, cx),
                Detection::NeedMore => undecided_yet = true,
                Detection::No => {}
            }
        }
        if undecided_yet && whole.len() < MAX_UNDECIDED {
            let segment = Segment { start: mark.position, len: bytes.len() as u64, bytes: bytes.to_vec(), mark };
            before.push((direction, segment));
        } else {
            before.retain(|(d, _)| *d != direction);
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
        let before = match std::mem::replace(&mut self.state, State::Reading { protocol, parser, requests, role }) {
            State::Detecting { undecided, .. } => undecided,
            _ => Vec::new(),
        };
        self.parsers += 1;
        for (d, segment) in before {
            self.data(d, &segment.bytes, segment.mark, cx);
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
        self.state = State::detecting();
    }

    /// What is still open has no end that could be known: forgotten, not reported as an error.
    fn abandon(&mut self, cx: &mut Context<'_>) {
        let mark = Mark { time: self.last_seen, ..Mark::default() };
        if let State::Reading { parser, .. } = &mut self.state {
            parser.end(Direction::Request, End::Unwatched, &mark, cx.outputs);
        }
        self.emit(cx);
    }

    /// Turns the parser's outputs into signals. Returns whether the connection turned out to carry telemetry.
    fn emit(&mut self, cx: &mut Context<'_>) -> bool {
        let State::Reading { protocol, role, .. } = &self.state else { return false };
        let (protocol, streams, role) = (protocol.name, protocol.streams, *role);
        let mut telemetry = false;
        for output in cx.outputs.drain(..) {
            let key = |id| ExchangeKey { connection: self.id, parser: self.parsers, id };
            match output {
                Output::Started(started) => {
                    self.in_flight += 1;
                    cx.counters.exchanges_started.inc();
                    let connection = ConnectionInfo {
                        cookie: self.cookie,
                        endpoints: self.endpoints,
                        role,
                        connect: self.connect,
                        streams,
                        datagrams: self.datagrams.is_some(),
                        first: self.exchanges == 0,
                    };
                    self.exchanges += 1;
                    cx.out.push(Signal::Started(Box::new(StartedSignal {
                        key: key(started.id),
                        protocol,
                        started,
                        process: self.process.clone(),
                        connection,
                    })));
                }
                Output::Finished(exchange) => {
                    self.in_flight = self.in_flight.saturating_sub(1);
                    cx.out.push(Signal::Finished(key(exchange.id), exchange));
                }
                Output::Dropped { id } => {
                    self.in_flight = self.in_flight.saturating_sub(1);
                    cx.counters.exchanges_dropped.inc();
                    cx.out.push(Signal::Dropped(key(id)));
                }
                Output::Task(event) => cx.out.push(Signal::Task(key(event.exchange), event)),
                Output::ExportsTelemetry => {
                    telemetry = true;
                    if role == Role::Client {
                        cx.out.push(Signal::ExportsTelemetry { tgid: self.process.tgid });
                    }
                }
            }
        }
        telemetry
    }

    /// Tells the names of requests that began in `began` and have no end yet.
    pub fn under_way(&self, began: &Range<u64>, out: &mut Vec<Signal>) {
        if let State::Reading { parser, .. } = &self.state {
            let key = |id| ExchangeKey { connection: self.id, parser: self.parsers, id };
            parser.under_way(began, &mut |id, name| out.push(Signal::UnderWay(key(id), name)));
        }
    }

    /// One direction ended in order, or both by a reset.
    pub fn end(&mut self, direction: u8, end: End, time: u64, unit: Unit, cx: &mut Context<'_>) {
        let own = usize::from(direction);
        if std::mem::replace(&mut self.streams[own].ended, true) {
            return;
        }
        if self.streams[own].first_held().is_some() {
            self.release(u64::MAX, cx);
        }
        let position = self.streams[own].next().unwrap_or_default();
        let opposite = self.streams[1 - own].next().unwrap_or_default();
        if let State::Reading { parser, requests, .. } = &mut self.state {
            let mark = Mark { time, position, opposite, unit };
            parser.end(toward(direction, *requests), end, &mark, cx.outputs);
            self.emit(cx);
        }
    }

    /// The kernel closed the socket; bytes that it had received may still be read for a moment.
    pub fn close(&mut self, time: u64) {
        self.closed_at.get_or_insert(time);
    }

    /// Whether time alone will change something: held operations, or a closed socket.
    pub fn is_waiting(&self) -> bool {
        self.closed_at.is_some() || self.streams.iter().any(|s| s.first_held().is_some())
    }

    /// Whether nothing more is to be expected.
    pub fn is_over(&self, now: u64) -> bool {
        let held = self.streams.iter().any(|s| s.first_held().is_some());
        match self.closed_at {
            Some(at) => (self.in_flight == 0 && !held) || now.saturating_sub(at.max(self.last_seen)) >= LINGER,
            None => false,
        }
    }

    /// Ends both directions: the socket is gone ([`End::Closed`]), or the agent no longer watches it
    /// ([`End::Unwatched`]).
    pub fn finish(&mut self, end: End, now: u64, cx: &mut Context<'_>) {
        let time = self.closed_at.unwrap_or(now);
        for direction in [EGRESS, INGRESS] {
            self.end(direction, end, time, Unit::default(), cx);
        }
        if end == End::Unwatched {
            self.abandon(cx);
        }
    }
}

/// Raw positions and time of one operation.
#[derive(Clone, Copy, Debug)]
pub struct RawPositions {
    /// Behind the operation, in its direction.
    pub end: u64,
    /// In the other direction, at that time.
    pub opposite: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
}

fn toward(direction: u8, requests: u8) -> Direction {
    if direction == requests { Direction::Request } else { Direction::Response }
}
