//! Requests in flight, oldest first, and what becomes of them.

use std::borrow::Cow;
use std::collections::VecDeque;

use opentelemetry_semantic_conventions::attribute as semconv;

use crate::exchange::{Event, Exchange, KeyValue, Mark, Marks, Output, Reason, SpanKind, Started, Status};
use crate::pairing::{Pairing, Verdict};
use crate::{Direction, End, Role, Settings, given_up};

/// Most requests in flight.
pub(crate) const MAX_CALLS: usize = 1024;
/// Most memory that requests in flight may take together, bytes, their own size included.
const MAX_BYTES: usize = 768 * 1024;

/// What a protocol knows of one request.
pub(crate) trait Request {
    /// Bytes held beyond its own size, about.
    fn weight(&self) -> usize;
    /// The span's name and the attributes that do not depend on how it ended.
    fn describe(self) -> (Cow<'static, str>, Vec<KeyValue>);
    /// What happened within it.
    fn events(&mut self) -> Vec<Event> {
        Vec::new()
    }
    /// It waits for what somebody else may bring, or nobody: a client that leaves meanwhile has lost nothing.
    fn waits(&self) -> bool {
        false
    }
}

/// One request, and what came of its response.
#[derive(Debug)]
pub(crate) struct Call<T> {
    pub id: u64,
    pub marks: Marks,
    pub request: T,
    /// The operations that moved what was seen of the response.
    pub response: Option<Marks>,
    /// `db.response.status_code`.
    pub code: Option<Cow<'static, str>>,
    /// It failed: `error.type`, unless `code` says it, and a text for people.
    pub failure: Option<(Cow<'static, str>, Cow<'static, str>)>,
    weight: usize,
    /// Its client left before it was answered, which is no error of the server's.
    given_up: bool,
    /// It is dropped in the end.
    doom: Option<Reason>,
}

impl<T: Request> Call<T> {
    /// Nothing came of it yet.
    #[inline]
    fn new(id: u64, marks: Marks, request: T) -> Self {
        let (response, code, failure, doom) = (None, None, None, None);
        Self { id, marks, request, response, code, failure, weight: 0, given_up: false, doom }
    }

    /// The response says that it failed, by a code of the database.
    pub(crate) fn fail(&mut self, code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) {
        let code = code.into();
        self.failure = Some((code.clone(), text.into()));
        self.code = Some(code);
    }

    /// Boxed here, and inlined: a call is half a kilobyte, and was copied at each step on its way out.
    #[inline]
    fn finish(mut self, end: u64) -> Box<Exchange> {
        let events = self.request.events();
        let (name, mut attributes) = self.request.describe();
        attributes.extend(self.code.map(|code| KeyValue::str(semconv::DB_RESPONSE_STATUS_CODE, code)));
        let status = match self.failure {
            Some((error, text)) => {
                attributes.push(KeyValue::str(semconv::ERROR_TYPE, error));
                Status::Error(text)
            }
            None => Status::Unset,
        };
        attributes.extend(self.given_up.then(given_up));
        let (id, request, response) = (self.id, self.marks, self.response);
        Box::new(Exchange { id, name, request, response, end, status, attributes, events })
    }
}

/// Requests in flight of one connection.
#[derive(Debug)]
pub(crate) struct Calls<T> {
    role: Role,
    next_id: u64,
    queue: VecDeque<Call<T>>,
    bytes: usize,
    pairing: Pairing,
    /// The response to the only request in flight is passing, and where it ends is hidden.
    hidden_end: bool,
    /// Calls from this one on are held when they are answered.
    hold: Option<u64>,
    /// The oldest of `queue`, so many, are answered and held.
    held: usize,
    /// The client has finished sending: it has left, if the server does not answer any more.
    client_finished: bool,
}

impl<T: Request> Calls<T> {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (role, pairing) = (settings.role, Pairing::new(settings.missed));
        Self {
            role,
            next_id: 0,
            queue: VecDeque::new(),
            bytes: 0,
            pairing,
            hidden_end: false,
            hold: None,
            held: 0,
            client_finished: false,
        }
    }

    /// Whether this end asks.
    pub(crate) fn asks(&self) -> bool {
        self.role == Role::Client
    }

    /// Those that are not answered.
    pub(crate) fn len(&self) -> usize {
        self.queue.len() - self.held
    }

    /// What is asked for from call `first` on may turn out to be one call: each waits for all of them to be answered.
    pub(crate) fn hold(&mut self, first: u64) {
        self.hold = Some(first);
    }

    /// How many are held.
    pub(crate) fn held_calls(&self) -> usize {
        self.held
    }

    /// They are calls of their own: tells those that are answered.
    pub(crate) fn release(&mut self, out: &mut Vec<Output>) {
        self.hold = None;
        while self.held > 0 {
            self.held -= 1;
            let Some(call) = self.pop() else { return };
            let end = call.response.as_ref().map(|r| r.last.time);
            end_call(call, end, out);
        }
    }

    /// Bytes held beyond its own size.
    pub(crate) fn held(&self) -> usize {
        self.bytes + self.queue.capacity() * size_of::<Call<T>>()
    }

    /// Whether the response in transfer ends nobody knows where.
    pub(crate) fn end_is_hidden(&self) -> bool {
        self.hidden_end
    }

    /// `len` bytes are about to be read, which begin at `mark`.
    pub(crate) fn bytes(&mut self, direction: Direction, mark: &Mark, len: usize, out: &mut Vec<Output>) {
        if !self.pairing.bytes(direction, mark, len) {
            self.forget(Reason::Unproven, out);
        }
    }

    /// `len` bytes were not seen, which began at `mark`.
    pub(crate) fn gap(&mut self, direction: Direction, mark: &Mark, len: u64, out: &mut Vec<Output>) {
        if !self.pairing.gap(direction, mark, len) {
            self.forget(Reason::Unproven, out);
        }
    }

    /// Whether an operation on requests that begins at `mark` opens a turn: everything before it is answered.
    pub(crate) fn opens(&self, mark: &Mark) -> bool {
        self.pairing.opens(mark)
    }

    /// A request came whole. What can be told of its response. Ends a response whose end was hidden.
    pub(crate) fn pairs(&mut self, request: &Marks, out: &mut Vec<Output>) -> Verdict {
        self.settle_hidden(out);
        if self.len() > 0 && self.pairing.is_stale(&request.first) {
            self.forget(Reason::Gap, out);
        }
        self.verdict(request, self.len())
    }

    /// More of the latest call is asked for. `answered`: all that was asked for so far is.
    pub(crate) fn pairs_more(&mut self, request: &Marks, answered: bool, out: &mut Vec<Output>) -> Verdict {
        if self.pairing.is_stale(&request.first) {
            self.forget(Reason::Gap, out);
        }
        self.verdict(request, self.len().saturating_sub(usize::from(answered)))
    }

    /// Servers answer whole requests: what one has seen when its last byte went is no answer to it.
    fn verdict(&mut self, request: &Marks, waiting: usize) -> Verdict {
        let Marks { first, last } = request;
        self.pairing.request(first, first.opposite.max(last.opposite), waiting)
    }

    /// Announces a request, and takes it in if its response will be known and there is room. Returns whether it is in
    /// flight.
    pub(crate) fn start(&mut self, marks: Marks, request: T, verdict: Verdict, out: &mut Vec<Output>) -> Option<u64> {
        let id = self.announce(marks, out);
        let weight = request.weight();
        let taken = self.bytes + weight + (self.queue.len() + 1) * size_of::<Call<T>>();
        let room = self.queue.len() < MAX_CALLS && taken <= MAX_BYTES;
        if verdict == Verdict::Drop || !room {
            out.push(Output::Dropped { id, reason: if room { Reason::Gap } else { Reason::Refused } });
            if !room {
                self.pairing.requests_hidden();
            }
            return None;
        }
        self.bytes += weight;
        if self.queue.is_empty() {
            self.queue.reserve_exact(1);
        }
        // It shows whether the connection waits.
        let doom = (verdict == Verdict::Probe).then_some(Reason::Unproven);
        self.queue.push_back(Call { weight, doom, ..Call::new(id, marks, request) });
        Some(id)
    }

    /// Makes one call of those from `first` on, of which none was answered yet, or all that were are held: takes the others
    /// back, and returns them. `None` if that cannot be.
    pub(crate) fn merge(&mut self, first: u64, out: &mut Vec<Output>) -> Option<Vec<Call<T>>> {
        let at = self.queue.binary_search_by_key(&first, |c| c.id).ok()?;
        let doom = self.queue.get(at)?.doom;
        let held = self.hold == Some(first);
        if self.queue.range(at..).any(|call| call.doom != doom || (call.response.is_some() && !held)) {
            return None;
        }
        let last = self.queue.back()?.marks.last;
        let others: Vec<Call<T>> = self.queue.drain(at + 1..).collect();
        self.queue.shrink_to_fit();
        self.bytes -= others.iter().map(|call| call.weight).sum::<usize>();
        out.extend(others.iter().map(|call| Output::Batched { id: call.id, into: first }));
        (self.hold, self.held) = (None, 0);
        self.queue.get_mut(at)?.marks.last = last;
        Some(others)
    }

    /// One more request of call `into`: announces it as that.
    pub(crate) fn join(&mut self, marks: Marks, into: u64, out: &mut Vec<Output>) {
        let id = self.announce(marks, out);
        out.push(Output::Batched { id, into });
    }

    /// A call holds more, or less, than when it began.
    pub(crate) fn reweigh(&mut self, id: u64) {
        let Some(call) = self.by_id(id) else { return };
        let (before, after) = (call.weight, call.request.weight());
        call.weight = after;
        self.bytes = self.bytes + after - before;
    }

    /// How a call ends will not be known.
    pub(crate) fn doom(&mut self, id: u64, reason: Reason) {
        if let Some(call) = self.by_id(id) {
            call.doom.get_or_insert(reason);
        }
    }

    /// More of the only call in flight was asked for where nobody looked: all that comes before the next request answers
    /// it. False if that cannot be known.
    pub(crate) fn goes_on(&mut self) -> bool {
        let sure = self.len() == 1 && self.pairing.is_only_cut() && !self.pairing.overlaps();
        self.hidden_end |= sure;
        sure
    }

    /// Announces a request of which nothing will be told.
    pub(crate) fn refuse(&mut self, marks: Marks, reason: Reason, out: &mut Vec<Output>) {
        let id = self.announce(marks, out);
        out.push(Output::Dropped { id, reason });
    }

    fn announce(&mut self, request: Marks, out: &mut Vec<Output>) -> u64 {
        let id = self.reserve();
        let kind = SpanKind::from(self.role);
        out.push(Output::Started(Started::call(id, request, kind, None, false)));
        id
    }

    /// An id for an exchange of the same connection that is no call: a message inside one.
    pub(crate) fn reserve(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// The id that the next call will have.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// What begins at `first` is no call, and gets no response.
    pub(crate) fn passes(&mut self, first: &Mark) {
        self.pairing.unanswered(first);
    }

    /// A request that gets no response: it ends with its last byte.
    pub(crate) fn unanswered(&mut self, marks: Marks, request: T, out: &mut Vec<Output>) {
        self.settle_hidden(out);
        self.pairing.unanswered(&marks.first);
        let id = self.announce(marks, out);
        out.push(Output::Finished(Call::new(id, marks, request).finish(marks.last.time)));
    }

    /// What is in flight, oldest first.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &T> {
        self.queue.range(self.held..).map(|call| &call.request)
    }

    pub(crate) fn oldest(&mut self) -> Option<&mut Call<T>> {
        self.queue.get_mut(self.held)
    }

    /// What was asked for after the oldest, in order.
    pub(crate) fn behind_oldest(&mut self) -> impl Iterator<Item = &mut Call<T>> {
        let first = (self.held + 1).min(self.queue.len());
        self.queue.range_mut(first..)
    }

    pub(crate) fn latest(&mut self) -> Option<&mut Call<T>> {
        self.queue.back_mut()
    }

    pub(crate) fn by_id(&mut self, id: u64) -> Option<&mut Call<T>> {
        let at = self.queue.binary_search_by_key(&id, |c| c.id).ok()?;
        self.queue.get_mut(at)
    }

    /// Response bytes passed that were not understood, while nothing is in flight.
    pub(crate) fn responses_unread(&mut self) {
        self.pairing.responses_hidden(0);
    }

    /// Bytes of a response to the oldest request: `first` is where they begin.
    pub(crate) fn touch(&mut self, first: &Mark, operation: &Mark) {
        if let Some(call) = self.oldest() {
            call.response.get_or_insert(Marks { first: *first, last: *operation }).last = *operation;
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<Call<T>> {
        let call = self.queue.pop_front()?;
        if self.queue.is_empty() && self.queue.capacity() > 16 {
            // Most connections are idle most of the time, and there are many.
            self.queue = VecDeque::new();
        }
        self.bytes -= call.weight;
        Some(call)
    }

    /// The oldest request's response is complete, by the last operation that moved bytes of it.
    pub(crate) fn complete(&mut self, out: &mut Vec<Output>) {
        self.settle(out);
    }

    /// The oldest request is answered by silence: it ends with its last byte.
    pub(crate) fn complete_silently(&mut self, out: &mut Vec<Output>) {
        self.release(out);
        if let Some(call) = self.pop() {
            let end = call.marks.last.time;
            end_call(call, Some(end), out);
        }
    }

    /// A response is complete that answers no request in flight.
    pub(crate) fn response_to_nothing(&mut self) {
        self.pairing.response_to_nothing();
    }

    fn settle(&mut self, out: &mut Vec<Output>) {
        self.hidden_end = false;
        let held = self.hold.is_some_and(|first| self.oldest().is_some_and(|call| call.id >= first));
        if held {
            self.held += 1;
            if self.len() == 0 {
                self.release(out);
            }
            return;
        }
        let Some(call) = self.pop() else { return };
        let end = call.response.as_ref().map(|r| r.last.time);
        end_call(call, end, out);
    }

    fn settle_hidden(&mut self, out: &mut Vec<Output>) {
        if self.hidden_end {
            self.settle(out);
        }
    }

    /// Where the response in transfer ends is hidden. Harmless while its request is alone, and surely so: all that comes before the
    /// next request is its response. Otherwise nothing can be told of any request.
    /// `carried`: what is hidden of requests is more of that one.
    pub(crate) fn response_end_hidden(&mut self, carried: bool, out: &mut Vec<Output>) {
        let begun = self.oldest().is_some_and(|c| c.response.is_some());
        let sure = self.pairing.counts() || (carried && self.pairing.is_only_cut());
        if self.len() == 1 && begun && sure && !self.pairing.overlaps() {
            self.hidden_end = true;
            self.pairing.responses_hidden(1);
        } else {
            self.responses_hidden(out);
        }
    }

    /// Whole responses may be hidden.
    pub(crate) fn responses_hidden(&mut self, out: &mut Vec<Output>) {
        self.pairing.responses_hidden(self.len());
        self.forget(Reason::Gap, out);
    }

    /// Requests may be hidden.
    pub(crate) fn requests_hidden(&mut self, out: &mut Vec<Output>) {
        // No database answers before it has the whole request, so this is another one.
        self.settle_hidden(out);
        self.pairing.note_cut();
        self.pairing.requests_hidden();
    }

    /// Whether the bound on what is captured of one operation hid where responses begin.
    pub(crate) fn wants_more(&self) -> bool {
        self.pairing.wants_more()
    }

    /// The response's bytes make no sense where it was presumed to begin.
    pub(crate) fn disproved(&mut self, out: &mut Vec<Output>) {
        if self.len() == 0 {
            return self.pairing.responses_hidden(0);
        }
        self.forget(Reason::Nonsense, out);
        self.pairing.disproved();
    }

    /// Of no request is it known which response answers it, and whether the next bytes are one.
    pub(crate) fn abandon(&mut self, out: &mut Vec<Output>) {
        self.forget(Reason::Gap, out);
        self.pairing.disproved();
    }

    /// Nothing can be known of any request.
    pub(crate) fn forget(&mut self, reason: Reason, out: &mut Vec<Output>) {
        self.hidden_end = false;
        self.release(out);
        while let Some(call) = self.pop() {
            out.push(Output::Dropped { id: call.id, reason: call.doom.unwrap_or(reason) });
        }
    }

    /// A direction of the connection ended.
    pub(crate) fn end(&mut self, end: End, of_requests: bool, mark: &Mark, out: &mut Vec<Output>) {
        let broke = match end {
            End::Finished if of_requests => return self.client_finished = true,
            End::Unwatched => return self.forget(Reason::Unwatched, out),
            _ => end.breaks(self.role, self.client_finished),
        };
        self.settle_hidden(out);
        self.release(out);
        while let Some(mut call) = self.pop() {
            let waits = call.request.waits();
            if let Some(error) = broke.error(self.role, waits) {
                call.failure.get_or_insert((error.into(), "".into()));
            }
            call.given_up = broke.client_left && self.role == Role::Server && !waits;
            end_call(call, Some(mark.time), out);
        }
    }
}

/// A call ended at `end`, or nobody knows when.
#[inline]
fn end_call<T: Request>(call: Call<T>, end: Option<u64>, out: &mut Vec<Output>) {
    match (end, call.doom) {
        (Some(end), None) => out.push(Output::Finished(call.finish(end))),
        (_, doom) => out.push(Output::Dropped { id: call.id, reason: doom.unwrap_or(Reason::Gap) }),
    }
}
