//! HTTP/2 (RFC 9113) in plain text, and gRPC on it.
//!
//! | module | what it is |
//! |---|---|
//! | `frame` | frame headers |
//! | `detect` | what bytes must look like to be HTTP/2, at the start, in the middle, and after a gap |
//! | `cadence` | large bodies of which the frames' headers are hidden |
//! | `lane` | one direction: where in which frame the next byte is |
//! | `hpack` | header compression, by a reader that may have missed something |
//! | `messages` | what frames mean for streams |
//! | `streams`, `stream` | requests in flight |
//! | `export` | whether calls without a name export spans |
//! | `head` | what is kept of a request's head |
//! | `kin` | which requests are calls because another one was |
//!
//! An exchange is one stream. It ends with the frame that ends the response, whatever the request's body does.
//!
//! # Gaps
//!
//! Frames say how long they are, so a gap inside one changes nothing but what the frame said. If a gap hides where a
//! frame begins, its direction is *lost* until an operation begins with believable frames. Heads may have been missed
//! then, so what HPACK's table held is not known, unless no head can have been (`messages`). Streams are told apart by
//! their number, so a response is never paired with the wrong request; a stream whose end may have been missed and that
//! shows no life is dropped.

mod cadence;
mod detect;
mod export;
mod frame;
mod head;
pub mod hpack;
mod kin;
mod lane;
mod messages;
mod stream;
mod streams;

pub use detect::detect;

use std::borrow::Cow;
use std::ops::Range;

use detect::{PREFACE, Survey};
use export::Suspect;
use frame::{HEADER, Header};
use lane::{Block, Lane, MAX_BLOCK, State};
use stream::Stream;
use streams::Streams;

use crate::exchange::{KeyValue, Mark, Marks, Output, Reason};
use crate::{Direction, End, Parser, Progress, Settings};

/// Operations in a row that hold no believable frame, after which the connection is detected anew.
const MAX_MISSES: u32 = 1024;
/// What one known fact weighs, and enough of it to believe that frames begin where nobody knew.
const BELIEVABLE: u32 = 3;

/// A parser for one connection.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(Http2::new(settings))
}

/// One connection.
#[derive(Debug)]
pub struct Http2 {
    settings: Settings,
    next_id: u64,
    requests: Lane,
    responses: Lane,
    streams: Streams,
    /// The last stream that the client opened.
    last_stream: u32,
    /// The client has sent trailers, or the server a promise: heads where they are not expected.
    unexpected_heads: bool,
    /// Streams were left before the server had ended them, so it may have gone on.
    strays: bool,
    /// The position of the server's first byte, if that was seen.
    server_start: Option<u64>,
    fields: hpack::Fields,
    /// The client has said that it sends nothing more.
    client_finished: bool,
    /// [`Output::ExportsTelemetry`] was said.
    exports: bool,
    suspect: Suspect,
    /// Frames were missed because operations hold more than is captured.
    wants_more: bool,
}

/// A request in HTTP/1.1 that is answered in HTTP/2.
pub(crate) struct Asked {
    pub id: u64,
    pub name: Cow<'static, str>,
    pub attributes: Vec<KeyValue>,
    pub request: Marks,
}

/// What a frame did to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Sound,
    /// This cannot be.
    Nonsense,
    /// Requests flow the other way.
    Reversed,
}

/// Nothing that was read for long is HTTP/2.
struct Hopeless;

impl Http2 {
    /// A parser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            next_id: 0,
            requests: Lane::unread(Direction::Request),
            responses: Lane::unread(Direction::Response),
            streams: Streams::new(settings),
            last_stream: 0,
            unexpected_heads: false,
            strays: false,
            server_start: None,
            fields: hpack::Fields::default(),
            client_finished: false,
            exports: false,
            suspect: Suspect::default(),
            wants_more: false,
        }
    }

    /// A parser for a connection whose client asked for HTTP/2 in HTTP/1.1. That request is the first stream
    /// (RFC 7540 §3.2); the ids of others begin at `next_id`.
    pub(crate) fn upgraded(settings: Settings, next_id: u64, first: Asked) -> Self {
        let first = Stream::upgraded(first);
        let mut parser = Self { next_id, last_stream: 1, ..Self::new(settings) };
        // (There is room for one, so nothing is said.)
        parser.streams.open(1, first, &mut Vec::new());
        parser
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Request => &mut self.requests,
            Direction::Response => &mut self.responses,
        }
    }

    /// Reads the start of `bytes`, which lie at `here`; says how many, or that they cannot be.
    fn step(&mut self, direction: Direction, bytes: &[u8], here: Mark, out: &mut Vec<Output>) -> (usize, Verdict) {
        let lane = self.lane(direction);
        match lane.state {
            State::Preface(passed) => {
                let taken = bytes.len().min(PREFACE.len() - passed);
                let fits = PREFACE[passed..].starts_with(&bytes[..taken]);
                let whole = passed + taken == PREFACE.len();
                lane.state = if whole { State::Header(0) } else { State::Preface(passed + taken) };
                (taken, if fits { Verdict::Sound } else { Verdict::Nonsense })
            }
            State::Header(passed) => self.header(direction, passed, bytes, here, out),
            State::Payload(left) => self.payload(direction, left, bytes, out),
            State::Lost => (bytes.len(), Verdict::Sound),
        }
    }

    fn header(
        &mut self,
        direction: Direction,
        passed: usize,
        bytes: &[u8],
        here: Mark,
        out: &mut Vec<Output>,
    ) -> (usize, Verdict) {
        let lane = self.lane(direction);
        if passed == 0 {
            lane.first = here;
            lane.buffer.clear();
        }
        let taken = bytes.len().min(HEADER - passed);
        let header = match bytes.first_chunk::<HEADER>() {
            Some(whole) if passed == 0 => Header::read(whole),
            _ => {
                lane.buffer.extend_from_slice(&bytes[..taken]);
                let Some(whole) = lane.buffer.first_chunk::<HEADER>() else {
                    lane.state = State::Header(passed + taken);
                    return (taken, Verdict::Sound);
                };
                Header::read(whole)
            }
        };
        lane.buffer.clear();
        lane.state = State::Payload(header.len);
        if !header.is_sound() || !lane.admit(header) {
            return (taken, Verdict::Nonsense);
        }
        // An empty frame ends where it begins.
        let verdict = if header.len == 0 { self.frame_ended(direction, &[], out) } else { Verdict::Sound };
        (taken, verdict)
    }

    fn payload(&mut self, direction: Direction, left: u32, bytes: &[u8], out: &mut Vec<Output>) -> (usize, Verdict) {
        let here = bytes.len().min(left as usize);
        let (bytes, rest) = (&bytes[..here], left - here as u32);
        let lane = self.lane(direction);
        lane.state = State::Payload(rest);
        let wanted = wanted(&lane.frame);
        if lane.frame.kind == frame::DATA {
            self.data_bytes(direction, bytes, left, out);
        } else if rest == 0 && lane.buffer.is_empty() && !lane.cut {
            return (here, self.frame_ended(direction, &bytes[..here.min(wanted)], out));
        } else {
            let room = if lane.cut { 0 } else { wanted.saturating_sub(lane.buffer.len()) };
            lane.buffer.extend_from_slice(&bytes[..here.min(room)]);
        }
        if rest > 0 {
            return (here, Verdict::Sound);
        }
        let buffer = std::mem::take(&mut self.lane(direction).buffer);
        (here, self.frame_ended(direction, &buffer, out))
    }

    /// The last byte of a frame's payload passed; `payload` is as much of it as is [`wanted`].
    fn frame_ended(&mut self, direction: Direction, payload: &[u8], out: &mut Vec<Output>) -> Verdict {
        let lane = self.lane(direction);
        lane.state = State::Header(0);
        let (header, first, operation) = (lane.frame, lane.first, lane.operation);
        match header.kind {
            frame::DATA if header.has(frame::END_STREAM) => {
                self.stream_ended(direction, header.stream, operation, out);
            }
            frame::HEADERS | frame::PUSH_PROMISE => return self.head_began(direction, header, first, payload, out),
            frame::CONTINUATION => return self.head_continued(direction, header, payload, out),
            frame::RST_STREAM => self.reset(direction, header.stream, frame::number(payload, 0), operation.time, out),
            frame::GOAWAY if direction == Direction::Response => {
                if let Some(last) = frame::number(payload, 0) {
                    self.streams.refuse_after(last & 0x7fff_ffff, operation.time, out);
                }
            }
            _ => {}
        }
        Verdict::Sound
    }

    /// `missed` of the `left` bytes to come of the frame that is passing are missed: what is known of it counts.
    fn frame_cut(&mut self, direction: Direction, left: u32, missed: u32) {
        let lane = self.lane(direction);
        let header = lane.frame;
        match header.kind {
            frame::DATA => self.data_missed(direction, left, missed),
            frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION => {
                let payload = std::mem::take(&mut lane.buffer);
                let known = header.fragment(&payload).unwrap_or_default();
                let first = lane.first;
                let new = || Block { header, first, bytes: Vec::new(), cut: false };
                let block = lane.block.get_or_insert_with(new);
                if !block.cut {
                    block.bytes.extend_from_slice(&known[..known.len().min(MAX_BLOCK)]);
                    block.cut = true;
                }
            }
            _ if lane.buffer.len() < wanted(&header) => {
                lane.buffer.clear();
                lane.cut = true;
            }
            _ => {}
        }
    }

    /// Where the next frame begins is not known.
    fn lost(&mut self, direction: Direction, out: &mut Vec<Output>) {
        if let Some(mut block) = self.lane(direction).block.take() {
            block.cut = true;
            self.head_ended(direction, &block.header, block.first, &block.bytes, true, out);
        }
        self.lane(direction).lose();
        self.streams.doubt();
    }

    /// Whether an operation's first bytes are frames, where nobody knows what begins there.
    fn resumes(&self, direction: Direction, bytes: &[u8]) -> bool {
        let Some(survey) = Survey::of(bytes, |stream| self.streams.contains(stream)) else { return false };
        let told = survey.direction.is_none_or(|told| told == direction);
        // (A told direction is a whole head.)
        let known = if survey.direction.is_some() { 1 } else { 0 };
        told && survey.evidence + known >= BELIEVABLE
    }

    /// Where in an operation's bytes frames can be read again, where nobody knew; behind them if nowhere.
    fn found(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        position: u64,
        out: &mut Vec<Output>,
    ) -> Result<usize, Hopeless> {
        let resumes = self.goes_on(direction, bytes, position).or_else(|| self.resumes(direction, bytes).then_some(0));
        if let Some(at) = resumes {
            self.lane(direction).reads_on();
            return Ok(at);
        }
        if self.body_ends(direction, position.saturating_add(bytes.len() as u64), out) {
            return Ok(bytes.len());
        }
        self.streams.doubt();
        let lane = self.lane(direction);
        lane.misses += 1;
        if lane.misses > MAX_MISSES { Err(Hopeless) } else { Ok(bytes.len()) }
    }

    /// What to do about bytes that cannot be read as they stand.
    fn unless_sound(&mut self, verdict: Verdict, direction: Direction, out: &mut Vec<Output>) -> Progress {
        if verdict == Verdict::Sound {
            return Progress::Continue;
        }
        if verdict == Verdict::Nonsense && self.lane(direction).doubtful {
            self.lane(direction).block = None;
            self.lost(direction, out);
            return Progress::Continue;
        }
        self.streams.forget(Reason::Nonsense, out);
        Progress::LostSync
    }
}

/// How many bytes at the front of a frame's payload are of use.
fn wanted(header: &Header) -> usize {
    match header.kind {
        frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION => MAX_BLOCK,
        frame::RST_STREAM | frame::GOAWAY => 4,
        _ => 0,
    }
}

impl Parser for Http2 {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        if direction == Direction::Response {
            self.server_start.get_or_insert(mark.position);
        }
        let fresh = self.lane(direction).begin(mark, bytes);
        let mut at = 0;
        if matches!(self.lane(direction).state, State::Lost) && fresh {
            match self.found(direction, bytes, mark.position, out) {
                Ok(found) => at = found,
                Err(Hopeless) => {
                    self.streams.forget(Reason::Nonsense, out);
                    return Progress::LostSync;
                }
            }
        }
        while at < bytes.len() {
            let here = Mark { position: mark.position.saturating_add(at as u64), ..*mark };
            let (taken, verdict) = self.step(direction, &bytes[at..], here, out);
            at += taken;
            if self.unless_sound(verdict, direction, out) == Progress::LostSync {
                return Progress::LostSync;
            }
        }
        Progress::Continue
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.lane(direction).begin(mark, &[]);
        if len == 0 {
            return Progress::Continue;
        }
        let State::Payload(left) = self.lane(direction).state else {
            self.gap_between_frames(direction, len, mark.position, out);
            return Progress::Continue;
        };
        let here = u32::try_from(len).unwrap_or(u32::MAX).min(left);
        self.frame_cut(direction, left, here);
        self.lane(direction).state = State::Payload(left - here);
        if here == left {
            let buffer = std::mem::take(&mut self.lane(direction).buffer);
            let verdict = self.frame_ended(direction, &buffer, out);
            if self.unless_sound(verdict, direction, out) == Progress::LostSync {
                return Progress::LostSync;
            }
        }
        if len > u64::from(here) {
            let after = mark.position.saturating_add(u64::from(here));
            self.frames_hidden(direction, after, len - u64::from(here), out);
        }
        Progress::Continue
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        match (end, direction) {
            // What the client has still to say is nothing; the server may go on.
            (End::Finished, Direction::Request) => self.client_finished = true,
            (End::Unwatched, _) => self.streams.forget(Reason::Unwatched, out),
            _ => self.streams.fail(end.breaks(self.settings.role, self.client_finished), mark.time, out),
        }
    }

    fn buffered(&self) -> usize {
        self.requests.bytes()
            + self.responses.bytes()
            + self.streams.bytes()
            + self.fields.bytes()
            + self.suspect.bytes()
    }

    fn under_way(&self, began: &Range<u64>, tell: &mut dyn FnMut(u64, Cow<'static, str>)) {
        self.streams.under_way(began, tell);
    }

    fn wants_more(&self) -> bool {
        self.wants_more || self.settings.rules.is_some_and(|rules| rules.reads(Direction::Response))
    }

    fn wants_requests(&self) -> bool {
        self.settings.rules.is_some_and(|rules| rules.reads(Direction::Request))
    }
}
