//! What is read on a connection, and by whom: drives detection and the parser, piece by piece.
//!
//! A queue stands where a call to oneself would: what a parser is to read again, or another is to read now, waits in it.
//! Why that ends: `detection.rs`.

use std::collections::VecDeque;
use std::ops::Range;

use wirespan_common::{AF_UNIX, EGRESS, Endpoints, INGRESS};
use wirespan_protocols::exchange::{Mark, Output, Reason};
use wirespan_protocols::{Direction, End, Parser, Progress, Role, Settings};

use super::Limits;
use super::detection::{Answer, Detection, Found, Piece, Registry};
use super::emit::{Origin, Said, TLS};
use super::opaque::{self, Opaque};
use super::order::Sink;
use crate::metrics::Counters;
use wirespan_links::Signal;
use wirespan_links::facts::Fact;

/// Ports that Linux gives to those who do not choose (`ip_local_port_range`, by default).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// Received operations of an encrypted connection among which is a request, if nobody has read it by then: the hello, the end of
/// the handshake, each with its header.
const UNREAD: u32 = 5;

/// Signals after which operations that waited for their turn wait for the next one: one record must not become memory
/// without end.
const MANY_SIGNALS: usize = 2048;

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
    /// Which protocols there are.
    pub registry: Registry,
}

/// The reader of one connection.
pub struct Reading {
    /// Whose exchanges they are.
    pub origin: Origin,
    /// When the last operation was seen, `CLOCK_BOOTTIME` nanoseconds.
    pub last_seen: u64,
    detection: Detection,
    state: State,
    reads_unknown: bool,
    /// Records were lost before the present parser began.
    missed: bool,
    /// What passes is read inside TLS.
    is_read_inside: bool,
    /// Encrypted operations while it was not.
    encrypted: u32,
    /// A session of TLS began here, or more is known of it, since this was last looked at.
    pub secured: bool,
    /// What is known of a session that is not read inside.
    pub opaque: Opaque,
}

enum State {
    /// The protocol is not known.
    Asking,
    /// It is.
    Reading(Known),
    /// Given up: the socket is muted in the kernel.
    Muted,
    /// What passes is read inside TLS, and not here.
    Aside,
}

/// A protocol that was found, and its parser.
struct Known {
    found: Found,
    parser: Box<dyn Parser>,
    /// The direction of requests.
    requests: u8,
    role: Role,
    /// Bytes were missing since it was found.
    gapped: bool,
}

impl Known {
    fn toward(&self, direction: u8) -> Direction {
        if direction == self.requests { Direction::Request } else { Direction::Response }
    }
}

/// What has its turn goes to the reader.
pub struct Feed<'a, 'c> {
    /// It.
    pub reading: &'a mut Reading,
    /// What it needs.
    pub cx: &'a mut Context<'c>,
}

impl Sink for Feed<'_, '_> {
    fn data(&mut self, direction: u8, bytes: &[u8], mark: Mark) {
        self.reading.data(direction, bytes, mark, self.cx);
    }

    fn gap(&mut self, direction: u8, len: u64, mark: Mark) {
        self.reading.gap(direction, len, mark, self.cx);
    }

    fn is_full(&self) -> bool {
        self.cx.out.len() >= MANY_SIGNALS
    }
}

impl Reading {
    /// Nothing was read yet.
    pub fn new(origin: Origin, now: u64) -> Self {
        Self {
            origin,
            last_seen: now,
            detection: Detection::default(),
            state: State::Asking,
            reads_unknown: false,
            missed: false,
            is_read_inside: false,
            encrypted: 0,
            secured: false,
            opaque: Opaque::default(),
        }
    }

    /// Whether it gave up.
    pub fn is_muted(&self) -> bool {
        matches!(self.state, State::Muted)
    }

    /// Whether it is known that what passes here is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.state, State::Aside) || self.protocol() == Some(TLS)
    }

    /// What passes is read inside TLS from now on.
    pub fn step_aside(&mut self, cx: &mut Context<'_>) {
        self.is_read_inside = true;
        self.origin.process.tls.was_read();
        self.forget_opaque(Reason::Left, cx);
        // (Who reads TLS itself may yet say more of it.)
        if !self.is_encrypted() {
            self.abandon(cx);
            self.state = State::Aside;
        }
    }

    /// Gives up.
    pub fn mute(&mut self, cx: &mut Context<'_>) {
        self.abandon(cx);
        self.state = State::Muted;
        cx.counters.connections_muted.inc();
    }

    /// The name of the protocol, if it is known.
    pub fn protocol(&self) -> Option<&'static str> {
        self.known().map(|known| known.found.protocol.name)
    }

    /// The protocol, and which end of it this is, once that is known.
    pub fn spoken(&self) -> Option<(&'static str, Role)> {
        self.known().map(|known| (known.found.protocol.name, known.role))
    }

    fn known(&self) -> Option<&Known> {
        if let State::Reading(known) = &self.state { Some(known) } else { None }
    }

    /// The directions of whose operations the parser wants more.
    pub fn wants_more(&self) -> &'static [u8] {
        let Some(Known { role, parser, .. }) = self.known() else { return &[] };
        match role {
            _ if parser.wants_more() => &[INGRESS, EGRESS],
            Role::Server if parser.wants_requests() => &[INGRESS],
            Role::Client if parser.wants_requests() => &[EGRESS],
            _ => &[],
        }
    }

    /// Bytes of memory held, the parser included.
    pub fn bytes(&self) -> usize {
        let parser = |known: &Known| size_of_val(known.parser.as_ref()) + known.parser.buffered();
        self.detection.buffered() + self.known().map_or(0, parser)
    }

    /// Tells the names of requests that began in `began` and have no end yet.
    pub fn under_way(&self, began: &Range<u64>, out: &mut Vec<Signal>) {
        if let Some(known) = self.known() {
            self.origin.under_way(known.parser.as_ref(), began, out);
        }
    }

    /// Reads bytes of `direction`.
    pub fn data(&mut self, direction: u8, bytes: &[u8], mark: Mark, cx: &mut Context<'_>) {
        let mut waiting = VecDeque::new();
        let mut next = Some(Piece::new(direction, bytes, mark));
        while let Some(piece) = next {
            match &self.state {
                State::Muted | State::Aside => return,
                State::Asking => self.ask(piece, &mut waiting, cx),
                State::Reading(_) => {
                    if let Some(again) = self.read(piece, cx) {
                        waiting.push_front(again);
                    }
                }
            }
            next = waiting.pop_front();
        }
    }

    /// Asks every protocol about a piece. Puts what the one that knows it has to read before what waits.
    fn ask<'p>(&mut self, piece: Piece<'p>, waiting: &mut VecDeque<Piece<'p>>, cx: &mut Context<'_>) {
        let (direction, mark) = (piece.direction, piece.mark);
        match self.detection.offer(piece, cx.registry, self.origin.datagrams) {
            Answer::Found(found, pieces) => {
                self.start(found, direction, cx);
                pieces.into_iter().rev().for_each(|piece| waiting.push_front(piece));
            }
            Answer::Perhaps => {}
            Answer::Unknown { exhausted } => {
                if direction == INGRESS {
                    self.cannot_read(&mark, cx);
                }
                if exhausted {
                    self.state = State::Muted;
                    cx.counters.connections_muted.inc();
                }
            }
        }
    }

    /// What was received cannot be read: there may be requests in it.
    fn cannot_read(&mut self, mark: &Mark, cx: &mut Context<'_>) {
        let first = !std::mem::replace(&mut self.reads_unknown, true);
        if first && mark.unit.nonblocking && self.looks_accepted() {
            cx.out.push(Signal::Fact(Fact::Unread { tgid: mark.unit.tgid }));
        }
    }

    /// Whether the other end opened this TCP connection, as far as can be told of one that is older than the agent.
    fn looks_accepted(&self) -> bool {
        let Endpoints { family, local_port, peer_port, .. } = self.origin.endpoints;
        let dialled = EPHEMERAL.contains(&local_port) && !EPHEMERAL.contains(&peer_port);
        family != AF_UNIX && self.origin.connect.is_none() && !dialled
    }

    /// A protocol was found by bytes of `direction`.
    fn start(&mut self, found: Found, direction: u8, cx: &Context<'_>) {
        let requests = if found.toward == Direction::Request { direction } else { 1 - direction };
        let role = if requests == EGRESS { Role::Client } else { Role::Server };
        let parser = (found.protocol.parser)(Settings {
            role,
            keep_query_values: cx.limits.keep_query_values,
            keep_query_text: cx.limits.keep_query_text,
            missed: self.missed,
            secured: self.origin.inside.is_some(),
            rules: cx.limits.rules.and_then(|rules| rules.of(self.origin.process.resource.service_name())),
        });
        self.state = State::Reading(Known { found, parser, requests, role, gapped: false });
        self.origin.next_parser();
        self.opaque = Opaque::default();
    }

    /// Has the parser read a piece. Returns it if it is to be offered to other protocols.
    fn read<'p>(&mut self, piece: Piece<'p>, cx: &mut Context<'_>) -> Option<Piece<'p>> {
        let State::Reading(known) = &mut self.state else { return Some(piece) };
        let (found, toward) = (known.found, known.toward(piece.direction));
        let said = known.parser.data(toward, &piece.bytes, &piece.mark, cx.outputs);
        let full = known.parser.buffered() > cx.limits.max_connection_buffer;
        let progressed = self.after(if full { Progress::LostSync } else { said }, !full, cx);
        if found.protocol.name == TLS && piece.direction == INGRESS && !self.is_read_inside {
            self.encrypted += 1;
            if self.encrypted == UNREAD {
                self.cannot_read(&piece.mark, cx);
            }
        }
        if found.protocol.name == TLS {
            self.opaque.passed(toward, &piece.mark);
            self.tell_opaque(cx);
        }
        // What disproves one protocol may show another; but what an exchange was read from is no other's.
        (said == Progress::LostSync && !progressed).then(|| piece.refused_by(found))
    }

    /// Bytes of `direction` are missing.
    pub fn gap(&mut self, direction: u8, len: u64, mark: Mark, cx: &mut Context<'_>) {
        if self.is_encrypted() {
            // Nobody misses what nobody could read.
        } else {
            cx.counters.gaps.inc();
            cx.counters.gap_bytes.add(len);
        }
        self.missed |= mark.lost;
        match &mut self.state {
            State::Muted | State::Aside => {}
            State::Asking => self.detection.gap(),
            State::Reading(known) => {
                known.gapped = true;
                let progress = known.parser.gap(known.toward(direction), len, &mark, cx.outputs);
                self.after(progress, true, cx);
            }
        }
    }

    /// A direction ended.
    pub fn end(&mut self, direction: u8, end: End, mark: &Mark, cx: &mut Context<'_>) {
        if let State::Reading(known) = &mut self.state {
            known.parser.end(known.toward(direction), end, mark, cx.outputs);
            self.emit(cx);
        }
    }

    /// Passes on what the parser said, and acts on its progress; `disproves` if bytes that make no sense say something of
    /// the protocol. Returns whether an exchange finished.
    fn after(&mut self, progress: Progress, disproves: bool, cx: &mut Context<'_>) -> bool {
        let State::Reading(Known { found, gapped, .. }) = self.state else { return false };
        let said = self.emit(cx);
        if said.telemetry {
            self.abandon(cx);
            self.state = State::Muted;
            return true;
        }
        if said.finished {
            self.detection.forgive();
        }
        if progress == Progress::Continue {
            return said.finished;
        }
        // Whatever it was that made the parser go: what it has not told the end of, nobody will.
        self.abandon(cx);
        if progress == Progress::LostSync {
            cx.counters.connections_lost_sync.inc();
        }
        match (progress, gapped, disproves) {
            (Progress::LostSync, false, true) => self.detection.disprove(found),
            (Progress::LostSync, false, false) => {}
            _ => self.detection.forgive(),
        }
        self.state = State::Asking;
        said.finished
    }

    /// What is still open has no end that could be known: forgotten, not reported as an error.
    pub fn abandon(&mut self, cx: &mut Context<'_>) {
        let mark = Mark { time: self.last_seen, ..Mark::default() };
        if let State::Reading(known) = &mut self.state {
            known.parser.end(Direction::Request, End::Unwatched, &mark, cx.outputs);
        }
        self.forget_opaque(Reason::Unwatched, cx);
        self.emit(cx);
    }

    /// The first stretch of a session that is not read begins once something was surely said in it; at once where nothing of its
    /// process was ever read. So do all others.
    fn tell_opaque(&mut self, cx: &mut Context<'_>) {
        if self.opaque.rests() {
            return self.begin_opaque(cx);
        }
        if self.is_opaque() || self.is_known_inside() || self.origin.secured.is_none() {
            return;
        }
        let usage = &self.origin.process.tls;
        if self.opaque.is_used() {
            usage.was_unread();
        } else if !usage.is_opaque() {
            return;
        }
        self.begin_opaque(cx);
    }

    /// Whether what passes inside is read, or this is what does.
    fn is_known_inside(&self) -> bool {
        self.is_read_inside || self.origin.inside.is_some()
    }

    fn begin_opaque(&mut self, cx: &mut Context<'_>) {
        let State::Reading(Known { role, .. }) = self.state else { return };
        cx.outputs.extend(self.opaque.begin(role));
        self.emit(cx);
    }

    /// Whether the session is told as one that is not read.
    pub fn is_opaque(&self) -> bool {
        self.opaque.is_told() || self.opaque.rests()
    }

    /// A stretch of it ended at `time`, where both directions `stand`, and another may begin.
    pub fn end_stretch(&mut self, time: u64, stand: [u64; 2], cx: &mut Context<'_>) {
        self.end_told(time, stand, false, cx);
    }

    fn end_told(&mut self, time: u64, stand: [u64; 2], last: bool, cx: &mut Context<'_>) {
        let State::Reading(Known { role, requests, .. }) = self.state else { return };
        let Some(secured) = self.origin.secured.clone() else { return };
        let stood = [stand[usize::from(requests)], stand[usize::from(1 - requests)]];
        let why = self.origin.process.tls.why();
        cx.outputs.extend(self.opaque.end(role, &secured, opaque::End { time, stood, why, last }));
        self.emit(cx);
    }

    /// The connection ended at `time`, where both directions `stood`. A session that was not read is told, though little was said
    /// in it, if nothing of its process is ever read.
    pub fn end_opaque(&mut self, time: u64, stood: [u64; 2], cx: &mut Context<'_>) {
        let agreed = self.origin.secured.as_ref().is_some_and(|secured| secured.version.is_some());
        if !agreed || self.is_known_inside() {
            return;
        }
        let usage = &self.origin.process.tls;
        if !self.is_opaque() && !usage.is_read() {
            usage.was_unread();
            self.begin_opaque(cx);
        }
        self.end_told(time, stood, true, cx);
    }

    fn forget_opaque(&mut self, reason: Reason, cx: &mut Context<'_>) {
        cx.outputs.extend(self.opaque.drop(reason));
        self.emit(cx);
    }

    /// Passes on what the parser said.
    fn emit(&mut self, cx: &mut Context<'_>) -> Said {
        let State::Reading(Known { found, role, .. }) = self.state else { return Said::default() };
        let said = self.origin.emit(found.protocol, role, cx.outputs, cx.counters, cx.out);
        self.secured |= said.secured;
        said
    }
}
