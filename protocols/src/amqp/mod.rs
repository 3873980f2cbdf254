//! AMQP 0-9-1, as RabbitMQ speaks it (<https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf> and its extensions).
//!
//! | module | what it is |
//! |---|---|
//! | `frame` | the grammar of frames, by which AMQP is detected, and found again after a gap |
//! | `method` | which methods there are, and their arguments |
//! | `reader`, `properties` | fields, tables, content headers |
//! | `lane` | one direction: where the next byte belongs |
//! | `channel` | what a channel holds: consumers, messages in transfer, messages to be settled |
//! | `messages` | what a frame does to all these |
//! | `settle` | how messages end |
//! | `attributes` | names and attributes of spans |
//!
//! Only messages make spans: `basic.publish` (PRODUCER), `basic.deliver` (CONSUMER), `basic.get` (CLIENT: a call that
//! returns a message). The broker's end of a connection makes none: it stands between sender and receiver, and what it
//! does with a message does not show on one connection.
//!
//! # Gaps
//!
//! Every frame says how long it is. The frames of a large body are all of one size save the last, so a gap within a
//! body is passed through exactly, and what comes behind it must fit. A gap that hides where a frame begins makes its
//! direction unknown until an operation begins with a whole frame, and drops what it may have settled.

mod attributes;
mod channel;
mod frame;
mod lane;
mod messages;
mod method;
mod properties;
mod reader;
mod settle;

use std::collections::BTreeMap;

use channel::{Channel, Confirms, Load};
pub use frame::detect;
use frame::{END, HEAD, Head, Kind, PROTOCOL_HEADER};
use lane::{Frame, Lane, State};

use crate::exchange::{Mark, Output, Reason};
use crate::{Direction, End, Parser, Progress, Role, Settings};

/// Most channels of a connection. RabbitMQ's own limit is 2047.
const MAX_CHANNELS: usize = 2048;

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(Amqp::new(settings))
}

/// One connection.
#[derive(Debug)]
pub struct Amqp {
    role: Role,
    next_id: u64,
    requests: Lane,
    responses: Lane,
    channels: BTreeMap<u16, Box<Channel>>,
    load: Load,
    /// Every frame from the client since the beginning was seen.
    complete: bool,
    /// Largest body frame, as both sides agreed; 0 if that is unknown or without limit.
    largest_body: u32,
}

/// How far a step through a segment went, or why it can go no further.
type Step = Result<usize, Progress>;

impl Amqp {
    /// A parser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            role: settings.role,
            next_id: 0,
            requests: Lane::new(),
            responses: Lane::new(),
            channels: BTreeMap::new(),
            load: Load::default(),
            complete: false,
            largest_body: 0,
        }
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Request => &mut self.requests,
            Direction::Response => &mut self.responses,
        }
    }

    fn channel(&mut self, id: u16) -> Option<&mut Channel> {
        if self.channels.len() >= MAX_CHANNELS && !self.channels.contains_key(&id) {
            return None;
        }
        let confirms = if self.complete { Confirms::Off } else { Confirms::Unknown };
        Some(self.channels.entry(id).or_insert_with(|| Box::new(Channel::new(confirms))))
    }

    /// Reads some of `rest`, which begins at `here`.
    fn step(&mut self, direction: Direction, rest: &[u8], here: Mark, fresh: bool, out: &mut Vec<Output>) -> Step {
        match self.lane(direction).state {
            State::Head => self.head(direction, rest, here, out),
            State::Payload(frame) => self.payload(direction, frame, rest, out),
            State::End(_) if rest[0] != END => self.nonsense(direction, rest.len(), out),
            State::End(frame) => {
                let payload = self.lane(direction).close();
                self.lane(direction).doubtful = false;
                self.frame(direction, frame, &payload, out).map(|()| 1)
            }
            State::Unknown if fresh && frame::resumes(direction, rest) => {
                self.lane(direction).state = State::Head;
                Ok(0)
            }
            State::Unknown => Ok(rest.len()),
        }
    }

    /// Reads the head of a frame; the whole frame, if it is there.
    fn head(&mut self, direction: Direction, rest: &[u8], here: Mark, out: &mut Vec<Output>) -> Step {
        let lane = self.lane(direction);
        let before = lane.buffer.len();
        if before == 0 {
            lane.first = here;
        }
        if lane.buffer.first().or(rest.first()) == Some(&PROTOCOL_HEADER[0]) {
            return self.protocol_header(direction, rest, out);
        }
        let taken = rest.len().min(HEAD - before);
        let mut bytes = [0; HEAD];
        bytes[..before].copy_from_slice(&lane.buffer);
        bytes[before..before + taken].copy_from_slice(&rest[..taken]);
        if before + taken < HEAD {
            lane.buffer.extend_from_slice(&rest[..taken]);
            return Ok(taken);
        }
        let Some(head) = Head::parse(bytes).filter(|head| self.fits(direction, head)) else {
            return self.nonsense(direction, rest.len(), out);
        };
        let lane = self.lane(direction);
        lane.open(head);
        let len = taken + head.size as usize;
        if head.kind != Kind::Body && rest.get(len) == Some(&END) && head.size as usize <= lane::MAX_KEPT {
            lane.close();
            lane.doubtful = false;
            let frame = Frame { head, left: 0, cut: false };
            return self.frame(direction, frame, &rest[taken..len], out).map(|()| len + 1);
        }
        Ok(taken)
    }

    /// Whether a frame may come here: a body is no longer than its header said.
    fn fits(&mut self, direction: Direction, head: &Head) -> bool {
        let left = self.content(direction, head.channel).and_then(|content| content.left);
        head.kind != Kind::Body || left.is_none_or(|left| u64::from(head.size) <= left)
    }

    /// What a client says first; a broker says it to refuse another version.
    fn protocol_header(&mut self, direction: Direction, rest: &[u8], out: &mut Vec<Output>) -> Step {
        let lane = self.lane(direction);
        let before = lane.buffer.len();
        let taken = rest.len().min(PROTOCOL_HEADER.len() - before);
        lane.buffer.extend_from_slice(&rest[..taken]);
        if !PROTOCOL_HEADER.starts_with(&lane.buffer) {
            return self.nonsense(direction, rest.len(), out);
        }
        if lane.buffer.len() == PROTOCOL_HEADER.len() {
            lane.close();
            if direction == Direction::Request {
                self.forget(Reason::Nonsense, out);
                self.channels.clear();
                self.complete = true;
            }
        }
        Ok(taken)
    }

    /// Reads what belongs to a payload.
    fn payload(&mut self, direction: Direction, frame: Frame, rest: &[u8], out: &mut Vec<Output>) -> Step {
        let len = rest.len().min(usize::try_from(frame.left).unwrap_or(usize::MAX));
        if frame.head.kind == Kind::Body {
            self.body(direction, frame.head.channel, len as u64, &rest[..len]);
        }
        let lane = self.lane(direction);
        lane.payload(frame, len as u64, Some(&rest[..len]));
        // Not a method, so not AMQP: that need not wait for a frame of perhaps a megabyte.
        let sound = frame.head.kind != Kind::Method || method::plausible(frame.head.channel, &lane.buffer);
        if sound { Ok(len) } else { self.nonsense(direction, rest.len(), out) }
    }

    /// A frame is complete.
    fn frame(
        &mut self,
        direction: Direction,
        frame: Frame,
        payload: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), Progress> {
        let channel = frame.head.channel;
        match frame.head.kind {
            Kind::Heartbeat => {}
            Kind::Body => self.body_frame_ended(direction, channel, out),
            Kind::Header => self.header(direction, channel, payload, frame.cut, out),
            Kind::Method if frame.cut && payload.len() < 4 => self.unseen(direction, Reason::Gap, out),
            Kind::Method => {
                let known = method::plausible(channel, payload);
                if !known || !method::sender(payload).is_some_and(|s| s.sends(direction)) {
                    return self.nonsense(direction, 0, out).map(|_| ());
                }
                self.method(direction, channel, payload, frame.cut, out);
            }
        }
        Ok(())
    }

    /// `len` bytes make no sense here.
    fn nonsense(&mut self, direction: Direction, len: usize, out: &mut Vec<Output>) -> Step {
        if self.lane(direction).doubtful {
            self.lost(direction, out);
            return Ok(len);
        }
        self.forget(Reason::Nonsense, out);
        self.channels.clear();
        Err(Progress::LostSync)
    }

    /// Passes `len` hidden bytes through what their place is known of, and says how many that were; `None` if their
    /// place is not known.
    fn hidden(&mut self, direction: Direction, len: u64, out: &mut Vec<Output>) -> Option<u64> {
        match self.lane(direction).state {
            State::Unknown => Some(len),
            State::Payload(frame) => {
                let len = len.min(frame.left);
                if frame.head.kind == Kind::Body {
                    self.body(direction, frame.head.channel, len, &[]);
                }
                self.lane(direction).payload(frame, len, None);
                Some(len)
            }
            State::End(frame) => {
                let payload = self.lane(direction).close();
                self.lane(direction).doubtful = true;
                self.frame(direction, frame, &payload, out).ok().map(|()| 1)
            }
            State::Head => {
                let head = self.next_body_frame(direction)?;
                let whole = u64::from(head.size) + HEAD as u64 + 1;
                if self.lane(direction).buffer.is_empty() && len >= whole {
                    return Some(self.frames_hidden(direction, head, len / whole, out) * whole);
                }
                let lane = self.lane(direction);
                let (bytes, before) = (head.bytes(), lane.buffer.len());
                lane.doubtful = true;
                let taken = (HEAD - before).min(usize::try_from(len).unwrap_or(HEAD));
                lane.buffer.extend_from_slice(&bytes[before..before + taken]);
                if lane.buffer.len() == HEAD {
                    lane.open(head);
                }
                Some(taken as u64)
            }
        }
    }

    /// At most `count` hidden frames like `head` pass at once; says how many do.
    fn frames_hidden(&mut self, direction: Direction, head: Head, count: u64, out: &mut Vec<Output>) -> u64 {
        let left = self.content(direction, head.channel).and_then(|content| content.left).unwrap_or(0);
        // A last frame that is shorter is one by itself.
        let count = count.min(left / u64::from(head.size)).max(1);
        self.body(direction, head.channel, count * u64::from(head.size), &[]);
        self.lane(direction).doubtful = true;
        self.body_frame_ended(direction, head.channel, out);
        count
    }

    /// The frame that comes next, if the present message's body goes on.
    fn next_body_frame(&mut self, direction: Direction) -> Option<Head> {
        let (channel, agreed) = (self.lane(direction).content, self.largest_body);
        let content = self.content(direction, channel)?;
        let left = content.left.filter(|left| *left > 0)?;
        // No frame may be limited to less (AMQP 0-9-1 reference, connection.tune).
        let largest = if content.frame > 0 { content.frame } else { agreed.max(4096 - HEAD as u32 - 1) };
        let size = u64::from(largest).min(left) as u32;
        (content.frame > 0 || agreed > 0 || left == u64::from(size)).then_some(Head { kind: Kind::Body, channel, size })
    }
}

impl Parser for Amqp {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if self.role == Role::Server {
            return Progress::Continue;
        }
        let fresh = self.lane(direction).begin(mark);
        let mut at = 0;
        while at < bytes.len() {
            let here = Mark { position: mark.position.saturating_add(at as u64), ..*mark };
            match self.step(direction, &bytes[at..], here, fresh && at == 0, out) {
                Ok(read) => at += read,
                Err(progress) => return progress,
            }
        }
        Progress::Continue
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if self.role == Role::Server {
            return Progress::Continue;
        }
        self.lane(direction).begin(mark);
        let mut left = len;
        while left > 0 {
            match self.hidden(direction, left, out) {
                Some(passed) => left -= passed,
                None => {
                    self.lost(direction, out);
                    break;
                }
            }
        }
        Progress::Continue
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        let failure = match (end, direction) {
            (End::Unwatched, _) => return self.forget(Reason::Unwatched, out),
            // What was published may still be confirmed.
            (End::Finished, Direction::Request) => return self.client_finished(mark.time, out),
            _ => end.breaks(self.role, false).error,
        };
        self.fail(failure, mark.time, out);
    }

    fn buffered(&self) -> usize {
        let channels = self.channels.len() * size_of::<Channel>();
        self.requests.buffer.capacity() + self.responses.buffer.capacity() + channels + self.load.bytes
    }
}
