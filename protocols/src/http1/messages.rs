//! What messages, and their absence, do to the connection's state.

use super::body::{Body, Framing};
use super::flight::{Answer, Request, Rpc};
use super::head::{self, Parsed, RequestHead, ResponseHead, Size};
use super::lane::State;
use super::start_line::{self, Fit};
use super::{Http1, Step};
use crate::context::Carrier;
use crate::exchange::{Asks, Marks, Output, Reason, SpanKind, Started};
use crate::grpc::{self, Call};
use crate::http::attributes;
use crate::http::fields::Length;
use crate::http::lines;
use crate::http2::{Asked, Http2};
use crate::pairing::Verdict;
use crate::rules::Applied;
use crate::{Direction, Progress};

/// A head of more bytes is followed by others: so large are the cookies of who sends it.
const LARGE: usize = 4096;

impl Http1 {
    /// Reads a head at the start of `bytes`, and says whether the connection leaves HTTP with it.
    pub(super) fn message(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        out: &mut Vec<Output>,
    ) -> Parsed<Option<Progress>> {
        match direction {
            Direction::Request => match head::request(bytes, self.settings.rules) {
                Parsed::Whole(head, len) => {
                    self.request(&head, head.framing(), out);
                    if len > LARGE {
                        self.pairing.note_large();
                    }
                    Parsed::Whole(None, len)
                }
                Parsed::Partial => Parsed::Partial,
                Parsed::Invalid => Parsed::Invalid,
            },
            Direction::Response => match head::response(bytes) {
                Parsed::Whole(head, len) => Parsed::Whole(self.response(&head, None, out), len),
                Parsed::Partial => Parsed::Partial,
                Parsed::Invalid => Parsed::Invalid,
            },
        }
    }

    fn request(&mut self, head: &RequestHead<'_>, framing: Framing, out: &mut Vec<Output>) {
        self.settle_hidden_end(out);
        let marks = Marks { first: self.requests.first, last: self.requests.operation };
        let (common, call) = (head.common(), rpc(head));
        let asks = if call.is_none() { attributes::asks(&common, &self.settings) } else { None };
        let id = self.started(marks, &head.fields.common.carrier, asks, out);
        if !self.exports && attributes::exports_telemetry(&common) {
            self.exports = true;
            out.push(Output::ExportsTelemetry);
        }
        let connect = head.method == "CONNECT";
        self.requests.after_head(framing);
        if connect {
            // What follows is the tunnel's, unless the answer says no.
            self.requests.state = State::Unknown;
        }
        self.sending = (framing != Framing::Empty).then_some(id);
        self.awaits_leave = head.fields.expects_continue && self.sending.is_some();
        if self.flight.len() > 0 && self.pairing.is_stale(&marks.first) {
            self.flight.forget(Reason::Gap, out);
        }
        let waiting = self.flight.len();
        let verdict = self.pairing.request(&marks.first, marks.first.opposite, waiting);
        if verdict == Verdict::Drop {
            out.push(Output::Dropped { id, reason: self.flight.reason() });
            return;
        }
        let (name, attributes) = attributes::request(&common, &self.settings);
        let (to_head, upgrades) = (head.method == "HEAD", head.fields.upgrades_to_http2);
        let asked = |rules: Applied| rules.request(&head.asked(&common.target, call.is_some()));
        let answers = self.settings.rules.and_then(asked);
        let probe = verdict == Verdict::Probe;
        let request = Request {
            id,
            name,
            marks,
            attributes,
            head: to_head,
            connect,
            upgrades,
            call,
            answers,
            answer: None,
            probe,
            weight: 0,
        };
        if !self.flight.push(request) {
            out.push(Output::Dropped { id, reason: Reason::Refused });
            self.pairing.requests_hidden();
        } else if waiting == 0 {
            self.responses.expect();
        }
    }

    /// Announces a request.
    fn started(&mut self, request: Marks, carrier: &Carrier<'_>, asks: Option<Asks>, out: &mut Vec<Output>) -> u64 {
        let context = carrier.context();
        let denied = context.is_none() && carrier.denies_sampling();
        let id = self.next_id;
        self.next_id += 1;
        let kind = SpanKind::from(self.settings.role);
        out.push(Output::Started(Started { asks, ..Started::call(id, request, kind, context, denied) }));
        id
    }

    /// A new request shows that a response whose end is hidden has ended, if the client waits for responses.
    fn settle_hidden_end(&mut self, out: &mut Vec<Output>) {
        if !self.flight.answering() || self.flight.len() > 1 || !self.responses.end_is_hidden() {
            return;
        }
        if self.pairing.overlaps() {
            self.responses_lost(out);
        } else {
            self.flight.settle(out);
        }
    }

    /// A response's head came; `framing` overrides what it says of its body.
    fn response(&mut self, head: &ResponseHead, framing: Option<Framing>, out: &mut Vec<Output>) -> Option<Progress> {
        if matches!(head.status, 100 | 102..=199) {
            self.awaits_leave = false;
            self.responses.state = State::Head;
            return None;
        }
        if self.flight.answering() {
            // Only where a request may be hidden: this answers it, so the response before it has ended.
            self.flight.settle(out);
        }
        let switches = head.status == 101;
        let marks = Marks { first: self.responses.first, last: self.responses.operation };
        let Some(request) = self.flight.oldest() else {
            self.pairing.response_to_nothing();
            self.responses.after_head(framing.unwrap_or(head.framing(false)));
            return switches.then_some(Progress::Left);
        };
        let framing = framing.unwrap_or(head.framing(request.head));
        if let (Some(rpc), Some(_)) = (&mut request.call, head.call_status) {
            rpc.call.stated(head.call_status);
        }
        if switches && request.upgrades {
            self.upgrade(out);
            return None;
        }
        let leaves = switches || (request.connect && (200..300).contains(&head.status));
        let body = match (framing, head.size.length) {
            (Framing::Length(length), _) => Some(length),
            (Framing::Empty, Length::Known(0)) => Some(0),
            _ => None,
        };
        request.answer = Some(Answer { code: head.status, marks, body, events: head.events });
        self.responses.after_head(framing);
        if leaves || framing == Framing::Empty {
            self.flight.complete(&marks.last, out);
        } else if framing == Framing::Unknown {
            self.response_end_hidden(out);
        }
        if leaves {
            self.flight.forget(Reason::Left, out);
        }
        leaves.then_some(Progress::Left)
    }

    /// The connection goes on in HTTP/2, with the oldest request as its first stream (RFC 7540 §3.2).
    fn upgrade(&mut self, out: &mut Vec<Output>) {
        let Some(request) = self.flight.take() else { return };
        // Whoever asked for more in the old version before it was left gets no answer in it.
        self.flight.forget(Reason::Left, out);
        let Request { id, name, attributes, marks, .. } = request;
        let first = Asked { id, name, attributes, request: marks };
        self.http2 = Some(Box::new(Http2::upgraded(self.settings, self.next_id, first)));
    }

    /// A body is complete.
    pub(super) fn body_ended(&mut self, direction: Direction, out: &mut Vec<Output>) {
        let lane = self.lane(direction);
        let chunked = match &lane.state {
            State::Body(Body::Chunked(chunks)) => Some(chunks.total),
            _ => None,
        };
        lane.state = State::Head;
        self.touch(direction);
        match direction {
            Direction::Request => {
                if let Some(request) = self.sending.take().and_then(|id| self.flight.latest(id)) {
                    request.answers.iter_mut().for_each(|answers| answers.complete(direction));
                    request.attributes.extend(chunked.map(attributes::request_body));
                }
            }
            Direction::Response => {
                if let Some(answer) = self.flight.answer() {
                    answer.body = answer.body.or(chunked);
                    self.flight.settle(out);
                }
            }
        }
    }

    /// A chunked body ended, if its writer wrote whole chunks.
    pub(super) fn body_presumably_ended(&mut self, direction: Direction, out: &mut Vec<Output>) {
        if direction == Direction::Request || self.flight.len() > 1 || !self.is_alone() {
            return self.body_lost(direction, out);
        }
        self.body_ended(direction, out);
        self.responses.lose();
    }

    /// A body's end is hidden.
    pub(super) fn body_lost(&mut self, direction: Direction, out: &mut Vec<Output>) {
        self.touch(direction);
        self.lane(direction).lose();
        match direction {
            Direction::Request => self.pairing.requests_hidden(),
            Direction::Response => self.response_end_hidden(out),
        }
    }

    /// Whether no request can be unanswered but the one in flight.
    fn is_alone(&self) -> bool {
        self.pairing.counts() && !self.pairing.overlaps()
    }

    /// What a hidden end of a response means: nothing while its request is alone.
    fn response_end_hidden(&mut self, out: &mut Vec<Output>) {
        if self.flight.len() > 1 || (self.flight.len() > 0 && !self.is_alone()) {
            self.responses_lost(out);
        }
    }

    /// A gap begins where a head was expected, or within one. Says whether the connection leaves HTTP with that head.
    pub(super) fn head_hidden(&mut self, direction: Direction, out: &mut Vec<Output>) -> Option<Progress> {
        let cut = std::mem::take(&mut self.lane(direction).buffer);
        match direction {
            Direction::Request => {
                self.request_cut(cut, out);
                None
            }
            Direction::Response => self.response_cut(&cut, out),
        }
    }

    fn request_cut(&mut self, cut: Vec<u8>, out: &mut Vec<Output>) {
        let begun = !cut.is_empty();
        if begun {
            // Trace context may be behind it.
            self.pairing.note_cut();
        }
        if let Some(closed) = lines::close(cut)
            && let Parsed::Whole(head, _) = head::request(&closed, self.settings.rules)
        {
            self.request(&head, Framing::Unknown, out);
            return self.pairing.requests_hidden();
        }
        self.settle_hidden_end(out);
        self.requests.lose();
        self.sending = None;
        if begun {
            let marks = Marks { first: self.requests.first, last: self.requests.operation };
            let id = self.started(marks, &Carrier::default(), None, out);
            out.push(Output::Dropped { id, reason: Reason::Gap });
        }
        self.pairing.requests_hidden();
    }

    fn response_cut(&mut self, cut: &[u8], out: &mut Vec<Output>) -> Option<Progress> {
        match start_line::status_line(cut) {
            Fit::Whole((minor, status)) if status == 101 || status >= 200 => {
                let head = ResponseHead { status, minor, size: Size::default(), call_status: None, events: false };
                self.response(&head, Some(Framing::Unknown), out)
            }
            _ => {
                self.responses_lost(out);
                None
            }
        }
    }

    /// Responses are hidden: of no request in flight can be told which was its own.
    fn responses_lost(&mut self, out: &mut Vec<Output>) {
        self.pairing.responses_hidden(self.flight.len());
        self.flight.forget(Reason::Gap, out);
        self.responses.lose();
    }

    /// `len` bytes are no head where one was expected.
    pub(super) fn nonsense(&mut self, direction: Direction, len: usize, out: &mut Vec<Output>) -> Step {
        let waiting = self.flight.len();
        let lane = self.lane(direction);
        let doubtful = lane.doubtful;
        lane.lose();
        match direction {
            // Requests in flight may still be answered.
            Direction::Request if doubtful || waiting > 0 => {
                self.sending = None;
                self.pairing.requests_hidden();
                Step::Read(len)
            }
            Direction::Response if doubtful => {
                self.flight.forget(Reason::Nonsense, out);
                if waiting > 0 {
                    self.pairing.disproved();
                }
                Step::Read(len)
            }
            _ => {
                self.flight.forget(Reason::Nonsense, out);
                Step::Stop(Progress::LostSync)
            }
        }
    }
}

/// The call that a request by gRPC-Web makes.
fn rpc(head: &RequestHead<'_>) -> Option<Box<Rpc>> {
    let content_type = head.fields.common.content_type.filter(|t| grpc::is_grpc(t))?;
    let mut call = Call::new(None);
    if grpc::is_text(content_type) {
        call.messages(Direction::Request).lose();
        call.messages(Direction::Response).lose();
    }
    let common = head.common();
    let authority = common.target.authority.or_else(|| std::str::from_utf8(common.fields.host?).ok());
    Some(Box::new(Rpc { call, path: common.target.path.into(), authority: authority.map(Into::into) }))
}
