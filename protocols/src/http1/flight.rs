//! Requests that wait for the end of their response.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use crate::exchange::{Exchange, KeyValue, Mark, Marks, Output, Reason, Value};
use crate::grpc::{self, Call};
use crate::http::attributes;
use crate::rules::Answers;
use crate::{Break, Role};

/// Most requests in flight.
const MAX_REQUESTS: usize = 1024;
/// Most memory that requests in flight may take together, bytes, their own size included.
const MAX_BYTES: usize = 768 * 1024;

/// One request, and what came of its response.
#[derive(Debug)]
pub(super) struct Request {
    pub id: u64,
    pub name: Cow<'static, str>,
    pub marks: Marks,
    pub attributes: Vec<KeyValue>,
    /// It was HEAD: the response has no body.
    pub head: bool,
    /// It was CONNECT: success ends HTTP.
    pub connect: bool,
    /// It asks for HTTP/2.
    pub upgrades: bool,
    /// It is a call by gRPC-Web.
    pub call: Option<Box<Rpc>>,
    /// What people ask for.
    pub answers: Option<Box<Answers>>,
    /// The response, once its head was seen.
    pub answer: Option<Answer>,
    /// It shows whether the connection waits, and is dropped in the end.
    pub probe: bool,
    /// Bytes that it holds beyond its own size, set by [`Flight::push`].
    pub weight: usize,
}

/// A call by gRPC-Web, and what describes it in the end.
#[derive(Debug)]
pub(super) struct Rpc {
    pub call: Call,
    pub path: Box<str>,
    pub authority: Option<Box<str>>,
}

/// A response in transfer.
#[derive(Debug)]
pub(super) struct Answer {
    pub code: u16,
    pub marks: Marks,
    /// Length of the body, if known.
    pub body: Option<u64>,
    /// It is a stream of events, which ends when its reader leaves.
    pub events: bool,
}

impl Request {
    /// Bytes that it holds beyond its own size, about.
    fn measure(&self) -> usize {
        let text = |a: &KeyValue| match &a.value {
            Value::Str(Cow::Owned(s)) => s.capacity(),
            _ => 0,
        };
        self.attributes.capacity() * size_of::<KeyValue>()
            + self.attributes.iter().map(text).sum::<usize>()
            + self.name.len()
            + self.call.as_ref().map_or(0, |rpc| size_of::<Rpc>() + rpc.path.len())
            + self.answers.as_ref().map_or(0, |answers| answers.bytes())
    }

    fn finish(mut self, role: Role, end: u64, broke: Option<Break>) -> Exchange {
        let events = self.answer.as_ref().is_some_and(|a| a.events);
        let failure = broke.and_then(|b| b.error(role, events));
        let (code, body) = self.answer.as_ref().map_or((None, None), |a| (Some(a.code), a.body));
        let (name, mut attributes, status) = match self.call {
            Some(mut rpc) => {
                match broke {
                    None => rpc.call.without_status(code),
                    Some(Break { client_left: true, .. }) => rpc.call.cancelled(),
                    Some(_) if role == Role::Client => rpc.call.unavailable(),
                    Some(_) => {}
                }
                grpc::describe(&rpc.call, role, Some(&rpc.path), rpc.authority.as_deref(), "1.1", failure)
            }
            None => {
                let status = attributes::response(role, code, body, failure, &mut self.attributes);
                (self.name, self.attributes, status)
            }
        };
        attributes.extend(broke.and_then(|b| b.mark(role, events)));
        attributes.extend(self.answers.into_iter().flat_map(|answers| answers.finish()));
        let response = self.answer.map(|a| a.marks);
        Exchange { id: self.id, name, request: self.marks, response, end, status, attributes, events: Vec::new() }
    }
}

/// Requests in flight, oldest first.
#[derive(Debug)]
pub(super) struct Flight {
    role: Role,
    queue: VecDeque<Request>,
    bytes: usize,
    /// There was no room, and none has become free since.
    full: bool,
}

impl Flight {
    pub(super) fn new(role: Role) -> Self {
        Self { role, queue: VecDeque::new(), bytes: 0, full: false }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.queue.capacity() * size_of::<Request>()
    }

    /// Tells the requests that began in `began`, see [`crate::Parser::under_way`].
    pub(super) fn under_way(&self, began: &Range<u64>, tell: &mut dyn FnMut(u64, Cow<'static, str>)) {
        for request in self.queue.iter().filter(|r| began.contains(&r.marks.first.time)) {
            let name = match &request.call {
                Some(rpc) => grpc::name(Some(&rpc.path)),
                None => request.name.clone(),
            };
            tell(request.id, name);
        }
    }

    /// Why a request is dropped of which nothing can be known.
    pub(super) fn reason(&self) -> Reason {
        if self.full { Reason::Refused } else { Reason::Gap }
    }

    /// Takes a request in, unless there are too many.
    pub(super) fn push(&mut self, mut request: Request) -> bool {
        request.weight = request.measure();
        let taken = self.bytes + request.weight + (self.queue.len() + 1) * size_of::<Request>();
        if self.queue.len() == MAX_REQUESTS || taken > MAX_BYTES {
            self.full = true;
            return false;
        }
        self.bytes += request.weight;
        if self.queue.is_empty() {
            self.queue.reserve_exact(1);
        }
        self.queue.push_back(request);
        true
    }

    /// The request that the next response answers.
    pub(super) fn oldest(&mut self) -> Option<&mut Request> {
        self.queue.front_mut()
    }

    /// The last request, if it is `id`.
    pub(super) fn latest(&mut self, id: u64) -> Option<&mut Request> {
        self.queue.back_mut().filter(|r| r.id == id)
    }

    /// The response in transfer.
    pub(super) fn answer(&mut self) -> Option<&mut Answer> {
        self.queue.front_mut().and_then(|r| r.answer.as_mut())
    }

    /// Whether the oldest request's response has begun.
    pub(super) fn answering(&self) -> bool {
        self.queue.front().is_some_and(|r| r.answer.is_some())
    }

    fn pop(&mut self) -> Option<Request> {
        let request = self.queue.pop_front()?;
        self.full = false;
        if self.queue.is_empty() {
            // Most connections are idle most of the time, and there are many.
            self.queue = VecDeque::new();
        }
        self.bytes -= request.weight;
        Some(request)
    }

    /// The oldest request, which is not this version's any more.
    pub(super) fn take(&mut self) -> Option<Request> {
        self.pop()
    }

    /// The oldest request's response is complete, by `operation`.
    pub(super) fn complete(&mut self, operation: &Mark, out: &mut Vec<Output>) {
        if let Some(answer) = self.answer() {
            answer.marks.last = *operation;
        }
        self.settle(out);
    }

    /// The oldest request's response is complete, by the last operation that moved bytes of it.
    pub(super) fn settle(&mut self, out: &mut Vec<Output>) {
        let Some(request) = self.pop() else { return };
        match request.answer.as_ref().map(|a| a.marks.last.time) {
            Some(end) if !request.probe => out.push(Output::Finished(Box::new(request.finish(self.role, end, None)))),
            _ => {
                let reason = if request.probe { Reason::Unproven } else { Reason::Gap };
                out.push(Output::Dropped { id: request.id, reason });
            }
        }
    }

    /// The connection broke at `time`, under all requests.
    pub(super) fn fail(&mut self, broke: Break, time: u64, out: &mut Vec<Output>) {
        while let Some(request) = self.pop() {
            out.push(match request.probe {
                false => Output::Finished(Box::new(request.finish(self.role, time, Some(broke)))),
                true => Output::Dropped { id: request.id, reason: Reason::Unproven },
            });
        }
    }

    /// Nothing can be known of any request.
    pub(super) fn forget(&mut self, reason: Reason, out: &mut Vec<Output>) {
        while let Some(request) = self.pop() {
            out.push(Output::Dropped { id: request.id, reason });
        }
    }
}
