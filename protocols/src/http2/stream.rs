//! One request and what came of its response.

use std::borrow::Cow;

use super::head::Head;
use super::kin::{Kin, Unsaid};
use super::{Asked, frame};
use crate::exchange::{Exchange, KeyValue, Marks, Status};
use crate::grpc::{self, Call, Ending, Messages};
use crate::http::attributes;
use crate::rules::Answers;
use crate::{Break, Direction, Role, Settings, given_up};

/// `error.type` of a stream that was reset, nobody knows why.
const STREAM_RESET: &str = "stream_reset";

/// A body in transfer.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Bytes so far, without padding; `None` if frames or padding were missed.
    bytes: Option<u64>,
    missed: bool,
}

impl Body {
    /// So many bytes passed.
    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes = Some(self.bytes.unwrap_or_default().saturating_add(bytes));
    }

    /// An unknown number of bytes passed.
    pub(super) fn miss(&mut self) {
        self.missed = true;
    }

    /// So many bytes have passed in all, as is now known.
    pub(super) fn restore(&mut self, bytes: u64) {
        *self = Self { bytes: Some(bytes), missed: false };
    }

    /// Whether anything of it passed.
    pub(super) fn has_begun(&self) -> bool {
        self.bytes.is_some_and(|bytes| bytes > 0)
    }

    /// Length of the whole body, if it is known and there was one.
    pub(super) fn length(&self) -> Option<u64> {
        self.bytes.filter(|_| !self.missed)
    }
}

/// Why there is no complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// RST_STREAM, with its error code if that is known, from the end that sends in this direction.
    Reset(Option<u32>, Direction),
    /// The server said that it did not and will not look at the request (RFC 9113 §6.8).
    GoneAway,
    /// The connection broke.
    Connection(Break),
}

impl Failure {
    /// Whether the client left, or took back its request.
    fn is_by_client(self) -> bool {
        match self {
            Self::Reset(code, by) => {
                by == Direction::Request && matches!(code, None | Some(frame::NO_ERROR | frame::CANCEL))
            }
            Self::Connection(broke) => broke.client_left,
            Self::GoneAway => false,
        }
    }
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub id: u64,
    pub head: Head,
    pub request: Marks,
    pub response: Option<Marks>,
    /// `:status`, once known.
    pub status: Option<u16>,
    /// The final response's head was seen.
    pub answered: bool,
    /// The response is a stream of events, which ends when its reader leaves.
    pub events: bool,
    /// `Content-Length` of the response.
    pub length: Option<u64>,
    pub sent: Body,
    pub received: Body,
    /// How the response ended.
    pub ending: Option<Ending>,
    /// Set once it is known, or may turn out, to be gRPC.
    pub call: Option<Box<Call>>,
    /// What people ask for.
    pub answers: Option<Box<Answers>>,
    /// What of its head was said before anybody listened, if that decides whether it is gRPC.
    pub unsaid: Option<Box<Unsaid>>,
    /// The client has said all.
    pub request_ended: bool,
    /// Frames were missed that may have ended it.
    doubtful: bool,
    /// How often frames had been missed when it was last asked for.
    pub misses: u64,
    /// Name and attributes of a request that was made in HTTP/1.1.
    made: Option<Box<(Cow<'static, str>, Vec<KeyValue>)>>,
    /// When its last frame passed, `CLOCK_BOOTTIME` nanoseconds.
    pub seen: u64,
}

impl Stream {
    /// A request that began at `request`.
    pub(super) fn new(id: u64, head: Head, request: Marks, call: Option<Call>) -> Self {
        Self {
            id,
            head,
            request,
            response: None,
            status: None,
            answered: false,
            events: false,
            length: None,
            sent: Body::default(),
            received: Body::default(),
            ending: None,
            call: call.map(Box::new),
            answers: None,
            unsaid: None,
            request_ended: false,
            doubtful: false,
            misses: 0,
            made: None,
            seen: request.last.time,
        }
    }

    /// A request that was made in HTTP/1.1 and is answered in HTTP/2.
    pub(super) fn upgraded(asked: Asked) -> Self {
        let made = Some(Box::new((asked.name, asked.attributes)));
        Self { made, request_ended: true, ..Self::new(asked.id, Head::default(), asked.request, None) }
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.head.bytes()
            + self.call.as_ref().map_or(0, |_| size_of::<Call>())
            + self.answers.as_ref().map_or(0, |answers| answers.bytes())
            + self.unsaid.as_ref().map_or(0, |unsaid| unsaid.bytes())
    }

    /// A method whose success makes a tunnel of the stream (RFC 9113 §8.5, RFC 8441).
    pub(super) fn connects(&self) -> bool {
        self.head.method().as_deref() == Some("CONNECT")
    }

    /// Frames have been missed so often. If one was since it was last asked for, it may have ended, and parts of its
    /// bodies may have passed.
    pub(super) fn hear_of(&mut self, misses: u64) {
        if std::mem::replace(&mut self.misses, misses) == misses {
            return;
        }
        self.doubtful = true;
        self.miss(Direction::Response);
        // Of a request that is complete, nothing can have been missed.
        if !self.request_ended {
            self.miss(Direction::Request);
        }
    }

    /// Nobody knows how much of one direction was missed.
    fn miss(&mut self, direction: Direction) {
        self.body(direction).miss();
        if let Some(messages) = self.messages(direction) {
            messages.lose();
        }
        if let Some(answers) = &mut self.answers {
            answers.lose(direction);
        }
    }

    /// Whether it may have ended, frames having been missed so often.
    pub(super) fn is_doubtful(&self, misses: u64) -> bool {
        self.doubtful || self.misses != misses
    }

    /// A frame with something of the message passed; the mark's first is where the frame began.
    pub(super) fn touch(&mut self, direction: Direction, marks: &Marks) {
        self.seen = marks.last.time;
        match direction {
            Direction::Request => self.request.last = marks.last,
            Direction::Response => {
                self.doubtful = false;
                self.response.get_or_insert(*marks).last = marks.last;
            }
        }
    }

    /// The body of one direction.
    pub(super) fn body(&mut self, direction: Direction) -> &mut Body {
        match direction {
            Direction::Request => &mut self.sent,
            Direction::Response => &mut self.received,
        }
    }

    /// The messages of one direction of a call.
    pub(super) fn messages(&mut self, direction: Direction) -> Option<&mut Messages> {
        self.call.as_deref_mut().map(|call| call.messages(direction))
    }

    /// Whether it is a call because another one was.
    fn is_kin(&self, kin: &Kin) -> bool {
        self.unsaid.as_ref().is_some_and(|unsaid| kin.has(unsaid))
    }

    /// What its span would be called if it ended now.
    pub(super) fn name(&self, settings: &Settings, kin: &Kin) -> Cow<'static, str> {
        match (&self.call, &self.made) {
            (Some(call), _) if call.is_certain(self.request_ended, self.ending) || self.is_kin(kin) => {
                grpc::name(self.head.path().as_deref())
            }
            (_, Some(made)) => made.0.clone(),
            (_, None) => self.head.http(settings, false).0,
        }
    }

    /// Ends it at `end`, in `CLOCK_BOOTTIME` nanoseconds.
    pub(super) fn finish(mut self, settings: &Settings, kin: &mut Kin, end: u64, failure: Option<Failure>) -> Exchange {
        let refused = matches!(self.status, Some(status) if status != 200);
        let known = self.is_kin(kin);
        let is_call =
            |call: &Call| known || (call.is_certain(self.request_ended, self.ending) && !(call.guessed && refused));
        let answers = self.answers.take();
        let (name, mut attributes, status) = match self.call.take() {
            Some(call) if is_call(&call) => {
                kin.learn(self.unsaid.take());
                self.rpc(*call, settings.role, end, failure)
            }
            call => {
                let possible = !refused && call.is_some_and(|call| call.is_possible(self.request_ended, self.ending));
                self.http(settings, failure, possible)
            }
        };
        attributes.extend(answers.into_iter().flat_map(|answers| answers.finish()));
        Exchange {
            id: self.id,
            name,
            request: self.request,
            response: self.response,
            end,
            status,
            attributes,
            events: Vec::new(),
        }
    }

    /// `possible`: it may be a call, which is not known.
    fn http(&mut self, settings: &Settings, failure: Option<Failure>, possible: bool) -> Described {
        let made = self.made.take();
        let (name, mut attributes) = made.map_or_else(|| self.head.http(settings, possible), |made| *made);
        let stated = attributes.iter().any(|a| a.key == attributes::REQUEST_BODY_SIZE);
        if let Some(length) = self.sent.length().filter(|_| self.request_ended && !stated) {
            attributes.push(attributes::request_body(length));
        }
        let body = self.received.length().or(self.length).filter(|_| failure.is_none() && !self.bodiless());
        let by_client = failure.is_some_and(Failure::is_by_client);
        let no_error = by_client && (self.events || settings.role == Role::Server);
        let error = failure.filter(|_| !no_error).map(|failure| match failure {
            Failure::Reset(code, _) => code.map_or(STREAM_RESET, frame::error_name),
            Failure::GoneAway => frame::error_name(frame::REFUSED),
            Failure::Connection(broke) => broke.error,
        });
        let status = attributes::response(settings.role, self.status, body, error, &mut attributes);
        if by_client && settings.role == Role::Server && !self.events {
            attributes.push(given_up());
        }
        (name, attributes, status)
    }

    /// Whether the response has no body whatever its length says (RFC 9110 §6.4.1).
    fn bodiless(&self) -> bool {
        matches!(self.status, Some(204 | 304)) || self.head.method().as_deref() == Some("HEAD")
    }

    fn rpc(&self, mut call: Call, role: Role, end: u64, failure: Option<Failure>) -> Described {
        let elapsed = end.saturating_sub(self.request.first.time);
        let error = match failure {
            Some(Failure::Reset(Some(code), by)) => {
                call.reset(code, by, elapsed);
                None
            }
            Some(Failure::Reset(None, _)) => Some(STREAM_RESET),
            Some(Failure::GoneAway) => {
                call.unavailable();
                None
            }
            Some(Failure::Connection(broke)) if broke.client_left => {
                call.cancelled();
                None
            }
            Some(Failure::Connection(broke)) => {
                if role == Role::Client {
                    call.unavailable();
                }
                Some(broke.error)
            }
            None => {
                call.without_status(self.status);
                None
            }
        };
        // A call whose answer is one message has its status at once: this one was a stream, and its reader left.
        call.read = self.answered && self.received.has_begun() && failure.is_some_and(Failure::is_by_client);
        let (path, authority) = (self.head.path(), self.head.authority());
        grpc::describe(&call, role, path.as_deref(), authority.as_deref(), "2", error)
    }
}

/// Name, attributes, status.
type Described = (Cow<'static, str>, Vec<KeyValue>, Status);
