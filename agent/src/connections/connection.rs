//! One connection: the life of a socket. What is read on it, in which order and by whom, have files of their own.

use std::ops::Range;
use std::sync::Arc;

use wirespan_common::{
    EGRESS, FLAG_DATAGRAM, INGRESS, IoEvent, PlainEvent, STATE_LET_GO, SocketPositions, StateEvent, TIE_CALLED,
};
use wirespan_protocols::exchange::{Mark, Unit};
use wirespan_protocols::{End, Role};

use super::emit::Origin;
use super::layer::Layer;
use super::order::{Operation, Order};
use super::reading::{Context, Feed, Reading};
use super::sessions::SessionKey;
use super::{unit_at, unit_of};
use crate::discovery::Process;
use wirespan_links::{Inside, Signal};

/// Operations after which the kernel is told again that more of a socket is wanted.
const WIDEN_AGAIN: u32 = 4096;
/// Operations after which it is no use to capture more of what is encrypted.
const HELLOS: u32 = 16;
/// Operations of an encrypted connection after which nobody waits any more for its plaintext.
const PLAINTEXT_PATIENCE: u32 = 4096;
/// States of a TCP socket (include/net/tcp_states.h).
const TCP_CLOSE: u8 = 7;
const TCP_CLOSE_WAIT: u8 = 8;
/// How long a socket that the kernel closed may still be read from, nanoseconds.
const LINGER: u64 = 250_000_000;
/// What a connection takes beside itself: its places in tables, and what the allocator adds.
const PLACES: usize = 160;

/// One connection, seen from one socket.
pub struct Connection {
    /// Counting epoch of a Unix socket, 0 for TCP.
    pub epoch: u32,
    /// On the list of connections that need attention.
    pub restless: bool,
    /// Bytes held, as last counted in the total.
    pub counted: usize,
    /// What tells whether its program still holds its socket, where the kernel does not say so.
    pub descriptor: Option<Descriptor>,
    /// It is asked after the socket from time to time.
    pub asked_after: bool,
    order: Order,
    reading: Reading,
    /// What passes inside TLS, if it is seen; and how many sessions there were before.
    layer: Option<Box<Layer>>,
    layers: u32,
    /// Operations so far that were encrypted, and when it was told last that less of them is wanted.
    encrypted: u32,
    secured_at: Option<u32>,
    /// Datagrams so far, if it is a socket for such.
    datagrams: u64,
    /// When the connection ended.
    closed_at: Option<u64>,
    /// The program holds the socket of a connection that has ended: it says itself when it lets go.
    held: bool,
    /// The directions of whose operations more was asked for, and how many operations ago.
    widened: (&'static [u8], u32),
    /// When its first operation was seen.
    began: u64,
    /// Its socket is gone, and not all that was moved there was here by then.
    waits_for_rest: bool,
    /// No more of its operations are wanted for now; and it is to be told so.
    quiet: bool,
    hushes: bool,
    /// It is looked at from time to time, for it is not read.
    looked_at: bool,
}

/// How a program holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The program.
    pub tgid: u32,
    /// Its descriptor, perhaps.
    pub fd: u32,
    /// The socket's inode number.
    pub inode: u64,
}

/// What a look at a connection that is not read shows.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// Its stretch goes on.
    pub goes_on: bool,
    /// It was hushed, and is not any more.
    pub roused: bool,
}

/// What an operation did to its connection.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The kernel should stop capturing this socket.
    pub muted: bool,
    /// The same for now, and its end is to be told.
    pub quiet: bool,
    /// The kernel should be told now to capture more of each operation, in these directions.
    pub widens: &'static [u8],
    /// It needs attention from now on.
    pub newly_restless: bool,
    /// Somebody waits for an answer on a socket of whose end the kernel says nothing.
    pub newly_outstanding: bool,
    /// A stretch of what is not read has begun.
    pub newly_opaque: bool,
    /// Less is wanted of each operation, for it is encrypted.
    pub secures: bool,
    /// A session of TLS began, which is known by this.
    pub begun: Option<[u8; 16]>,
}

impl Connection {
    /// A connection whose first operation is about to be fed.
    pub fn new(origin: Origin, epoch: u32, now: u64) -> Self {
        Self {
            epoch,
            restless: false,
            counted: 0,
            descriptor: None,
            asked_after: false,
            order: Order::new(epoch != 0),
            reading: Reading::new(origin, now),
            layer: None,
            layers: 0,
            encrypted: 0,
            secured_at: None,
            datagrams: 0,
            closed_at: None,
            held: false,
            widened: (&[], 0),
            began: now,
            waits_for_rest: false,
            quiet: false,
            hushes: false,
            looked_at: false,
        }
    }

    /// Its number, unique while the agent runs.
    pub fn id(&self) -> u64 {
        self.reading.origin.id
    }

    /// The name of its protocol, if it is known.
    pub fn protocol(&self) -> Option<&'static str> {
        self.top().protocol()
    }

    /// Who reads what is not encrypted.
    fn top(&self) -> &Reading {
        self.layer.as_ref().map_or(&self.reading, |layer| &layer.reading)
    }

    /// By what the session of TLS that began here is known, if one was seen to.
    pub fn random(&self) -> Option<[u8; 16]> {
        self.reading.origin.secured.as_ref().and_then(|secured| secured.random.first_chunk().copied())
    }

    /// Which end of that session this is.
    pub fn hello_role(&self) -> Option<Role> {
        self.random().and(self.reading.spoken()).map(|(_, role)| role)
    }

    /// The session in its process's memory, if it is known.
    pub fn session(&self) -> Option<SessionKey> {
        self.layer.as_ref().map(|layer| layer.key)
    }

    /// Whether what passes is known to be encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.reading.is_encrypted()
    }

    /// Socket cookie.
    pub fn cookie(&self) -> u64 {
        self.reading.origin.cookie
    }

    /// The protocol, and which end of it this is, once that is known.
    pub fn spoken(&self) -> Option<(&'static str, Role)> {
        self.top().spoken()
    }

    /// Whether it is told as one that is encrypted and not read.
    pub fn is_opaque(&self) -> bool {
        self.reading.is_opaque()
    }

    /// The process that used it last.
    pub fn process(&self) -> &Arc<Process> {
        &self.reading.origin.process
    }

    /// When the first operation was seen, `CLOCK_BOOTTIME` nanoseconds.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Whether it is a socket for datagrams.
    pub fn is_datagrams(&self) -> bool {
        self.datagrams > 0
    }

    /// When the last operation was seen, `CLOCK_BOOTTIME` nanoseconds.
    pub fn last_seen(&self) -> u64 {
        self.reading.last_seen
    }

    /// Requests without an answer.
    pub fn in_flight(&self) -> u32 {
        self.reading.origin.in_flight + self.layer.as_ref().map_or(0, |layer| layer.reading.origin.in_flight)
    }

    /// An operation was seen, by this process.
    fn used(&mut self, process: &Arc<Process>, time: u64) {
        self.reading.last_seen = time;
        if !Arc::ptr_eq(self.process(), process) {
            self.reading.origin.process = process.clone();
            if let Some(layer) = &mut self.layer {
                layer.reading.origin.process = process.clone();
            }
        }
    }

    /// In which directions the kernel should be told now to capture more of each operation: from time to time, for it may
    /// forget.
    fn widens(&mut self) -> &'static [u8] {
        let wanted = self.top().wants_more();
        let (asked, ago) = self.widened;
        let again = wanted != asked || ago >= WIDEN_AGAIN;
        self.widened = (wanted, if again { 0 } else { ago + 1 });
        if again { wanted } else { &[] }
    }

    /// Bytes of memory that it takes, itself and its parser included.
    pub fn bytes(&self) -> usize {
        let layer = self.layer.as_ref().map_or(0, |layer| layer.bytes());
        size_of::<Self>() + PLACES + self.reading.bytes() + self.order.held_bytes() + layer
    }

    /// An operation was seen.
    pub fn take_in(&mut self, event: &IoEvent, bytes: &[u8], process: &Arc<Process>, cx: &mut Context<'_>) -> Seen {
        let IoEvent { direction, time, .. } = *event;
        self.used(process, time);
        if event.inode != 0 {
            self.descriptor = Some(Descriptor { tgid: event.unit.tgid, fd: event.fd, inode: event.inode });
        }
        let unit = Unit { ran: event.ran, queued: event.queued, ..unit_at(&event.unit, event.flags) };
        if event.flags & FLAG_DATAGRAM != 0 {
            self.datagram(event, bytes, unit, cx);
        } else if event.result > 0 {
            let (end, opposite) = match direction {
                EGRESS => (event.tx_position, event.rx_position),
                _ => (event.rx_position, event.tx_position),
            };
            let len = event.result as u64;
            self.operation(Operation { direction, bytes, len, end, opposite, time, unit, wire: None }, cx);
        } else if event.result == 0 {
            self.lost_until(direction, end_of(event), time, unit, cx);
            self.end(direction, End::Finished, time, unit, cx);
        } else {
            self.lost_until(direction, end_of(event), time, unit, cx);
            self.peer_left(time);
            for direction in [direction, 1 - direction] {
                self.end(direction, End::Reset, time, unit, cx);
            }
        }
        self.seen(cx)
    }

    /// Plaintext of a session on this connection passed; `whole`: it is counted from its first byte on, if no other session was
    /// here before.
    pub fn plaintext(
        &mut self,
        key: SessionKey,
        event: &PlainEvent,
        bytes: &[u8],
        process: &Arc<Process>,
        whole: bool,
        cx: &mut Context<'_>,
    ) -> Seen {
        self.used(process, event.time);
        if self.session() != Some(key) {
            if let Some(mut before) = self.layer.take() {
                before.reading.abandon(cx);
            }
            let random = if event.tie == TIE_CALLED { Some(event.random) } else { self.random() };
            // (A connection of which no hello was seen may be older than the agent, whenever it was first used since.)
            let whole = whole && self.layers == 0 && self.random().is_some();
            let inside = Inside { random: random.unwrap_or_default(), whole };
            let origin = self.reading.origin.above(inside, self.layers);
            self.layers = self.layers.saturating_add(1);
            self.layer = Some(Box::new(Layer::new(key, origin, event.time)));
            self.reading.step_aside(cx);
        }
        // (Since when its program is seen may not have been known at first.)
        let whole = whole && event.tie != TIE_CALLED && self.layers == 1 && self.random().is_some();
        if let Some(layer) = &mut self.layer {
            layer.is_whole(whole);
            layer.take_in(event, bytes, cx);
        }
        self.seen(cx)
    }

    /// What is to be done after an operation.
    fn seen(&mut self, cx: &mut Context<'_>) -> Seen {
        let (secures, begun) = (self.secures(cx), self.begins());
        let muted = self.reading.is_muted() || self.top().is_muted();
        Seen {
            muted,
            quiet: std::mem::take(&mut self.hushes),
            widens: if muted { &[] } else { self.widens() },
            newly_opaque: self.reading.opaque.is_told() && !std::mem::replace(&mut self.looked_at, true),
            newly_restless: self.is_waiting() && !std::mem::replace(&mut self.restless, true),
            newly_outstanding: self.descriptor.is_some()
                && self.in_flight() > 0
                && !std::mem::replace(&mut self.asked_after, true),
            secures,
            begun,
        }
    }

    /// Whether the kernel should be told now that less of each operation is wanted; from time to time, for it may forget.
    fn secures(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.reading.is_encrypted() {
            return false;
        }
        self.encrypted = self.encrypted.saturating_add(1);
        if self.layer.is_none() && self.encrypted > PLAINTEXT_PATIENCE {
            if !self.reading.is_opaque() {
                self.reading.mute(cx);
            } else if self.reading.opaque.is_busy() {
                (self.quiet, self.hushes) = (true, true);
            }
        }
        let agreed = self.reading.origin.secured.as_ref().is_some_and(|secured| secured.version.is_some());
        let again = self.secured_at.is_none_or(|at| self.encrypted - at >= WIDEN_AGAIN);
        let secures = again && (agreed || self.encrypted >= HELLOS);
        if secures {
            self.secured_at = Some(self.encrypted);
        }
        secures
    }

    /// A session of TLS that began since this was last asked. What is known of it is told to who reads inside.
    fn begins(&mut self) -> Option<[u8; 16]> {
        if !std::mem::take(&mut self.reading.secured) {
            return None;
        }
        if let Some(layer) = &mut self.layer {
            layer.reading.origin.secured.clone_from(&self.reading.origin.secured);
        }
        self.random()
    }

    fn operation(&mut self, operation: Operation<'_>, cx: &mut Context<'_>) {
        self.order.operation(operation, &mut Feed { reading: &mut self.reading, cx });
    }

    /// A direction ends at `position`. Of what is not here by then, an answer may be: whoever waited for it was not left alone
    /// by the other end, but by us.
    fn lost_until(&mut self, direction: u8, position: u64, time: u64, unit: Unit, cx: &mut Context<'_>) {
        let mut feed = Feed { reading: &mut self.reading, cx };
        self.order.reached_position(direction, position, time, unit, &mut feed);
    }

    /// The other end of a Unix socket has read as far as `position`, and is told that this is the end. What it has read, this
    /// end has sent, whether it was seen or not. (It may count from earlier on: then what is told to be missing is what was
    /// on its way when this end was first seen.)
    pub fn read_by_other_end(&mut self, position: u64, time: u64, cx: &mut Context<'_>) {
        if self.epoch != 0 {
            self.lost_until(EGRESS, position, time, Unit::default(), cx);
        }
        self.end(EGRESS, End::Finished, time, Unit::default(), cx);
    }

    /// A socket of whose end the kernel says nothing is gone: its program let go of it, where it `stood`. Returns how it ended;
    /// `None`: what was moved before that may still be on its way here. If it is not known where it stood, neither is whether
    /// there was an answer.
    pub fn gone(&mut self, stood: Option<SocketPositions>, now: u64, cx: &mut Context<'_>) -> Option<End> {
        if self.epoch == 0 {
            return Some(End::LetGo);
        }
        let Some(stood) = stood.filter(|stood| stood.epoch == self.epoch) else { return Some(End::Unwatched) };
        let positions = [(EGRESS, stood.tx), (INGRESS, stood.rx)];
        let all_here = positions.iter().all(|(direction, position)| self.order.next(*direction) >= *position);
        if !all_here && !std::mem::replace(&mut self.waits_for_rest, true) {
            return None;
        }
        for (direction, position) in positions {
            self.lost_until(direction, position, now, Unit::default(), cx);
        }
        Some(End::LetGo)
    }

    /// A datagram was sent or received, of which `bytes` were captured.
    fn datagram(&mut self, event: &IoEvent, bytes: &[u8], unit: Unit, cx: &mut Context<'_>) {
        let position = self.datagrams;
        self.datagrams += 1;
        let origin = &mut self.reading.origin;
        origin.datagrams = true;
        // A socket without a peer has another one for each datagram, known of those that are sent.
        let to = (origin.endpoints.peer_port == 0 && event.endpoints.peer_port != 0).then_some(event.endpoints);
        origin.datagram_to = to;
        if !bytes.is_empty() {
            let mark = Mark { time: event.time, position, opposite: position, unit, lost: false, wire: None };
            self.reading.data(event.direction, bytes, mark, cx);
        }
        self.reading.origin.datagram_to = None;
    }

    /// The network says that what was sent from this socket cannot arrive, and `why`. False if nobody waits for an answer to
    /// it, as far as is known by now.
    pub fn undeliverable(&mut self, why: &'static str, time: u64, cx: &mut Context<'_>) -> bool {
        if !self.reading.origin.datagrams || self.in_flight() == 0 {
            return false;
        }
        let mark = Mark { time, position: self.datagrams, opposite: self.datagrams, ..Mark::default() };
        self.reading.end(EGRESS, End::Undeliverable(why), &mark, cx);
        true
    }

    /// Hands on what was held and whose turn has come, or whose wait has been long enough.
    pub fn release(&mut self, now: u64, cx: &mut Context<'_>) {
        self.order.release(now, &mut Feed { reading: &mut self.reading, cx });
        if let Some(layer) = &mut self.layer {
            layer.release(now, cx);
        }
    }

    /// Tells the names of requests that began in `began` and have no end yet.
    pub fn under_way(&self, began: &Range<u64>, out: &mut Vec<Signal>) {
        self.reading.under_way(began, out);
        if let Some(layer) = &self.layer {
            layer.under_way(began, out);
        }
    }

    /// One direction ended in order, or both by a reset.
    pub fn end(&mut self, direction: u8, end: End, time: u64, unit: Unit, cx: &mut Context<'_>) {
        if self.order.end(direction, &mut Feed { reading: &mut self.reading, cx }) {
            let (position, opposite) = (self.order.next(direction), self.order.next(1 - direction));
            self.reading.end(direction, end, &Mark { time, position, opposite, unit, lost: false, wire: None }, cx);
            if let Some(layer) = &mut self.layer {
                layer.end(direction, end, time, unit, cx);
            }
        }
    }

    /// The kernel says that the state of its TCP socket changed.
    pub fn changed(&mut self, event: &StateEvent, cx: &mut Context<'_>) {
        let (time, unit) = (event.time, unit_of(&event.unit));
        if event.flags & STATE_LET_GO != 0 {
            for (direction, position) in [(EGRESS, event.tx_position), (INGRESS, event.rx_position)] {
                self.lost_until(direction, position, time, unit, cx);
            }
            let end = match event.old {
                // It had been reset.
                TCP_CLOSE => End::Reset,
                // The other end had finished.
                TCP_CLOSE_WAIT => End::Closed,
                _ => End::LetGo,
            };
            if end == End::Closed {
                self.peer_left(time);
                // Whether the program has read as far as that or not.
                self.end(INGRESS, End::Finished, time, unit, cx);
            }
            self.let_go(end, time, unit, cx);
        } else if event.new == TCP_CLOSE {
            self.ended(time);
            if event.error != 0 {
                self.peer_left(time);
            }
        } else {
            // (Another thread may just have read what is not here yet.)
            self.lost_until(EGRESS, event.tx_position, time, unit, cx);
            self.end(EGRESS, End::Finished, time, unit, cx);
        }
    }

    /// The connection has ended, by a reset or because the other end is silent. The program still holds its socket: what
    /// it had received it may read, and it may take its time until it notices.
    fn ended(&mut self, time: u64) {
        self.closed_at.get_or_insert(time);
        self.held = true;
    }

    /// The program let go of its socket, whose connection ended before or not: `end`. Whoever waits for anything on it
    /// gives that up.
    fn let_go(&mut self, end: End, time: u64, unit: Unit, cx: &mut Context<'_>) {
        self.release(u64::MAX, cx);
        for direction in [EGRESS, INGRESS] {
            self.end(direction, end, time, unit, cx);
        }
        self.end_opaque(time, cx);
        self.closed_at.get_or_insert(time);
        self.held = false;
    }

    /// A session on it that was not read is over: with its last byte, if all of them were seen.
    fn end_opaque(&mut self, time: u64, cx: &mut Context<'_>) {
        let last = if self.quiet { time } else { self.last_seen() };
        self.reading.end_opaque(last, self.stands(), cx);
    }

    fn stands(&self) -> [u64; 2] {
        [INGRESS, EGRESS].map(|direction| self.order.next(direction))
    }

    /// It is looked at, for it is not read: its stretch may be over, and what is told of it by then is heard again.
    pub fn look(&mut self, now: u64, cx: &mut Context<'_>) -> Looked {
        let heard = (!self.quiet).then(|| self.last_seen());
        // (What waits for its turn has passed, too.)
        if !self.order.is_holding() && self.reading.opaque.is_past(heard, now) {
            self.reading.end_stretch(self.last_seen(), self.stands(), cx);
        }
        self.looked_at = self.reading.opaque.is_told();
        Looked { goes_on: self.looked_at, roused: std::mem::take(&mut self.quiet) }
    }

    /// The other end has left, as far as can be known: what is still answered reaches nobody.
    fn peer_left(&mut self, time: u64) {
        self.reading.origin.peer_left.get_or_insert(time);
        if let Some(layer) = &mut self.layer {
            layer.reading.origin.peer_left.get_or_insert(time);
        }
    }

    /// Whether time alone will change something: held operations, or a closed socket.
    pub fn is_waiting(&self) -> bool {
        self.closed_at.is_some() || self.is_holding()
    }

    fn is_holding(&self) -> bool {
        self.order.is_holding() || self.layer.as_ref().is_some_and(|layer| layer.is_holding())
    }

    /// Whether nothing more is to be expected.
    pub fn is_over(&self, now: u64) -> bool {
        let lingered = |at: u64| !self.held && now.saturating_sub(at.max(self.last_seen())) >= LINGER;
        self.closed_at.is_some_and(|at| (self.in_flight() == 0 && !self.is_holding()) || lingered(at))
    }

    /// Ends both directions: the socket is gone ([`End::Closed`]), or the agent no longer watches it
    /// ([`End::Unwatched`]).
    pub fn finish(&mut self, end: End, now: u64, cx: &mut Context<'_>) {
        let time = self.closed_at.unwrap_or(now);
        for direction in [EGRESS, INGRESS] {
            self.end(direction, end, time, Unit::default(), cx);
        }
        if end != End::Unwatched {
            self.end_opaque(time, cx);
        }
        // What began after an end was told has none, and none will be told.
        if end == End::Unwatched || self.in_flight() > 0 {
            self.reading.abandon(cx);
            if let Some(layer) = &mut self.layer {
                layer.reading.abandon(cx);
            }
        }
    }
}

/// Where the direction of an operation stands behind it.
fn end_of(event: &IoEvent) -> u64 {
    if event.direction == EGRESS { event.tx_position } else { event.rx_position }
}
