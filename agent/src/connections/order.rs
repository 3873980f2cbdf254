//! Brings the operations of both directions into causal order: an operation that happened when the other direction stood
//! at position *n* is handed on when everything before *n* has been, or will never come.

use std::num::NonZeroU32;

use wirespan_common::{EGRESS, INGRESS};
use wirespan_protocols::exchange::{Mark, Unit, Wire};

use super::stream::{Place, Segment, Stream};

/// How long an operation waits for those before it, nanoseconds. They are late by microseconds, or lost.
const HOLD: u64 = 50_000_000;

/// Takes what has its turn.
pub trait Sink {
    /// Bytes of `direction`, which begin at `mark`.
    fn data(&mut self, direction: u8, bytes: &[u8], mark: Mark);
    /// `len` bytes of `direction`, which begin at `mark`, passed and are not here.
    fn gap(&mut self, direction: u8, len: u64, mark: Mark);
    /// Whether enough was taken for now: what waits can wait a little longer.
    fn is_full(&self) -> bool;
}

/// Bytes that an operation moved, of which `bytes` were captured.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// Which way.
    pub direction: u8,
    /// The first of them.
    pub bytes: &'a [u8],
    /// How many were moved.
    pub len: u64,
    /// Behind the operation, in its direction. For TCP, a 32-bit sequence number.
    pub end: u64,
    /// In the other direction, at that time.
    pub opposite: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// Who did it.
    pub unit: Unit,
    /// Inside TLS: where the operation begins on the wire below, if that is known.
    pub wire: Option<NonZeroU32>,
}

/// Both directions of one connection.
#[derive(Debug)]
pub struct Order {
    streams: [Stream; 2],
    /// The operation that was handed on last, of each direction.
    last: [Option<Mark>; 2],
    /// Positions are 64 bits wide already.
    wide: bool,
}

impl Order {
    /// Nothing was handed on yet. Positions are `wide`, and count from 0, or sequence numbers of 32 bits that begin
    /// anywhere.
    pub fn new(wide: bool) -> Self {
        let mut streams: [Stream; 2] = Default::default();
        if wide {
            streams.iter_mut().for_each(|stream| stream.advance_to(0));
        }
        Self { streams, last: [None; 2], wide }
    }

    /// Bytes of memory that wait.
    pub fn held_bytes(&self) -> usize {
        self.streams.iter().map(Stream::held_bytes).sum()
    }

    /// Whether anything waits for its turn.
    pub fn is_holding(&self) -> bool {
        self.streams.iter().any(|s| s.first_held().is_some())
    }

    /// The next byte to be handed on, of each direction; 0 if none was.
    pub fn next(&self, direction: u8) -> u64 {
        self.streams[usize::from(direction)].next().unwrap_or_default()
    }

    /// An operation was seen.
    pub fn operation(&mut self, operation: Operation<'_>, sink: &mut impl Sink) {
        let Operation { direction, bytes, len, time, unit, .. } = operation;
        let [own, other] = [usize::from(direction), usize::from(1 - direction)];
        let end = self.position(own, operation.end);
        let opposite = self.position(other, operation.opposite);
        let start = end.wrapping_sub(len);
        if self.streams[other].next().is_none() {
            self.streams[other].advance_to(opposite);
        }
        let wire = operation.wire.map(|below| Wire::new(start, below));
        let mark = Mark { time, position: start, opposite, unit, lost: false, wire };
        match self.streams[own].place(start, len) {
            Place::Past => {}
            Place::Now { skip } if self.reached(other, opposite) => {
                self.deliver(direction, bytes, len, skip, mark, sink);
                self.release(time, sink);
            }
            Place::Now { .. } | Place::Early => {
                if !self.streams[own].hold(Segment { start, len, bytes: bytes.to_vec(), mark }) {
                    self.give_up_waiting(own, sink);
                }
                self.release(time, sink);
            }
        }
    }

    fn position(&self, stream: usize, raw: u64) -> u64 {
        // A Unix socket's counter never gets near the offset that TCP positions start at.
        if self.wide { raw } else { self.streams[stream].extend(raw as u32) }
    }

    /// Whether the other direction has been handed on as far as it had come when an operation happened.
    fn reached(&self, other: usize, opposite: u64) -> bool {
        self.streams[other].next().is_none_or(|next| next >= opposite)
    }

    /// Hands on what was held and whose turn has come, or whose wait has been long enough; `u64::MAX`: everything. The sink
    /// may have enough before that.
    pub fn release(&mut self, now: u64, sink: &mut impl Sink) {
        if !self.is_holding() {
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
                self.deliver_held(direction, segment, sink);
            }
            if !progressed || (sink.is_full() && now != u64::MAX) {
                return;
            }
        }
    }

    /// Too much waits in `own`: hands on what waits there first, and of the other direction what happened before that.
    fn give_up_waiting(&mut self, own: usize, sink: &mut impl Sink) {
        let Some(time) = self.streams[own].first_held().map(|s| s.mark.time) else { return };
        while let Some(segment) = self.streams[1 - own].take_first(|s| s.mark.time < time) {
            self.deliver_held(1 - own as u8, segment, sink);
        }
        if let Some(segment) = self.streams[own].take_first(|_| true) {
            self.deliver_held(own as u8, segment, sink);
        }
    }

    fn deliver_held(&mut self, direction: u8, segment: Segment, sink: &mut impl Sink) {
        let own = usize::from(direction);
        self.give_up_other(direction, &segment, sink);
        if let Some(next) = self.streams[own].next()
            && segment.start > next
        {
            self.lose(direction, next, segment.start - next, &segment.mark, sink);
        }
        if let Place::Now { skip } = self.streams[own].place(segment.start, segment.len) {
            self.deliver(direction, &segment.bytes, segment.len, skip, segment.mark, sink);
        }
    }

    /// What the other direction had moved before `segment` and is not here will not come any more.
    fn give_up_other(&mut self, direction: u8, segment: &Segment, sink: &mut impl Sink) {
        let other = 1 - direction;
        let stream = &self.streams[usize::from(other)];
        let Some(next) = stream.next() else { return };
        let held = stream.first_held().map_or(u64::MAX, |s| s.start);
        let until = segment.mark.opposite.min(held);
        if until > next {
            self.lose(other, next, until - next, &segment.mark, sink);
        }
    }

    /// Nobody saw the `len` bytes at `position`. They moved after what was seen before, and before `latest`.
    fn lose(&mut self, direction: u8, position: u64, len: u64, latest: &Mark, sink: &mut impl Sink) {
        let before = self.last[usize::from(direction)].unwrap_or(*latest);
        self.gap(direction, len, Mark { position, lost: true, ..before }, sink);
    }

    /// The operation's turn has come.
    fn deliver(&mut self, direction: u8, bytes: &[u8], len: u64, skip: u64, mark: Mark, sink: &mut impl Sink) {
        let (len, mark) = (len - skip, Mark { position: mark.position + skip, ..mark });
        let bytes = bytes.get(skip as usize..).unwrap_or_default();
        self.streams[usize::from(direction)].advance_to(mark.position + bytes.len() as u64);
        self.last[usize::from(direction)] = Some(mark);
        if !bytes.is_empty() {
            sink.data(direction, bytes, mark);
        }
        let missing = len - bytes.len() as u64;
        if missing > 0 {
            self.gap(direction, missing, Mark { position: mark.position + bytes.len() as u64, ..mark }, sink);
        }
    }

    fn gap(&mut self, direction: u8, len: u64, mark: Mark, sink: &mut impl Sink) {
        self.streams[usize::from(direction)].advance_to(mark.position + len);
        sink.gap(direction, len, mark);
    }

    /// `direction` is known to have come as far as `raw`, and all that was seen of it is here: what is not was lost.
    pub fn reached_position(&mut self, direction: u8, raw: u64, time: u64, unit: Unit, sink: &mut impl Sink) {
        let own = usize::from(direction);
        if self.streams[own].ended {
            return;
        }
        self.release(u64::MAX, sink);
        let position = self.position(own, raw);
        if let Some(next) = self.streams[own].next().filter(|next| *next < position) {
            let latest = Mark { time, position, opposite: self.next(1 - direction), unit, lost: false, wire: None };
            self.lose(direction, next, position - next, &latest, sink);
        }
    }

    /// Nothing more is to come in `direction`: what is held is handed on. Returns whether that was not known before.
    pub fn end(&mut self, direction: u8, sink: &mut impl Sink) -> bool {
        let stream = &mut self.streams[usize::from(direction)];
        if std::mem::replace(&mut stream.ended, true) {
            return false;
        }
        if stream.first_held().is_some() {
            self.release(u64::MAX, sink);
        }
        true
    }
}
