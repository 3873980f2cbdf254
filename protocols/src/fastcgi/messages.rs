//! What records, and their absence, do to the connection's state.

use super::record::{self, HEAD, Head, Kind};
use super::requests::{Request, Stage};
use super::{FastCgi, Numbers, pairs};
use crate::cgi::call::Failure;
use crate::cgi::{Call, Variables};
use crate::exchange::{Event, KeyValue, Mark, Marks, Output, Reason, SpanKind, Started};
use crate::{Break, Direction, GIVEN_UP, Progress, redact};

/// Variables of more bytes are followed by others: so large are the cookies of who sends them.
const LARGE: usize = 4096;
/// What an application says of what went wrong.
const STDERR: &str = "wirespan.stderr";
/// Its text.
const STDERR_TEXT: &str = "wirespan.stderr.text";
/// Most of them for one request.
const MAX_STDERR: usize = 8;
/// Bytes of END_REQUEST, and of it behind an empty record that ends the response.
const LAST: [u64; 2] = [2 * HEAD as u64, 3 * HEAD as u64];

/// `error.type` of what END_REQUEST says beside that all went well (FastCGI 1.0 §5.5).
fn refusal(status: u8) -> Option<&'static str> {
    match status {
        0 => None,
        1 => Some("cant_mpx_conn"),
        2 => Some("overloaded"),
        3 => Some("unknown_role"),
        _ => Some("_OTHER"),
    }
}

fn at(mark: Mark) -> Marks {
    Marks { first: mark, last: mark }
}

impl FastCgi {
    /// Content of a record came; false if it makes no sense.
    pub(super) fn content(
        &mut self,
        direction: Direction,
        head: Head,
        bytes: &[u8],
        whole: bool,
        out: &mut Vec<Output>,
    ) -> bool {
        let marks = self.lane(direction).marks();
        match head.kind {
            Kind::Begin if whole => return self.begins(head.number, out),
            Kind::Params if head.len == 0 => self.start(head.number, marks, out),
            Kind::Params => self.open.params(head.number, bytes),
            Kind::Abort => self.aborts(head.number),
            Kind::End if whole => self.ends(head.number, out),
            Kind::Stdin | Kind::Data | Kind::Stdout => {
                if let Some(call) = self.open.running(head.number) {
                    call.touch(direction, marks);
                    if head.kind == Kind::Stdout {
                        let grows = call.document.is_in_head();
                        call.document.feed(bytes);
                        if grows {
                            self.open.weigh(head.number);
                        }
                    }
                }
            }
            Kind::Stderr => self.complains(head.number, marks, bytes, whole),
            Kind::Begin | Kind::End | Kind::Management => {}
        }
        true
    }

    /// `len` bytes of a record's content passed that nobody saw.
    pub(super) fn content_hidden(
        &mut self,
        direction: Direction,
        head: Head,
        len: u64,
        whole: bool,
        lost: bool,
        out: &mut Vec<Output>,
    ) {
        let marks = self.lane(direction).marks();
        match head.kind {
            Kind::Begin if whole => _ = self.begins(head.number, out),
            Kind::End if whole => self.ends(head.number, out),
            Kind::Stderr => self.complains(head.number, marks, &[], whole),
            Kind::Params => {
                self.wants_requests |= !lost;
                if let Some(Request { stage: Stage::Params(params), .. }) = self.open.get(head.number) {
                    params.cut = true;
                }
            }
            Kind::Stdin | Kind::Data | Kind::Stdout => {
                if let Some(call) = self.open.running(head.number) {
                    call.pass(direction, marks);
                    if head.kind == Kind::Stdout {
                        call.document.skip(len);
                    }
                }
            }
            Kind::Begin | Kind::End | Kind::Abort | Kind::Management => {}
        }
    }

    /// BEGIN_REQUEST; false if that cannot be.
    fn begins(&mut self, number: u16, out: &mut Vec<Output>) -> bool {
        let first = self.requests.first;
        let open = self.open.get(number).is_some_and(|request| !request.may_have_ended());
        // Nobody begins what has not ended: it is no record, but what somebody uploads.
        if self.requests.short().is_some_and(|body| !record::begins(body)) || (open && self.requests.doubtful) {
            return false;
        }
        self.numbers = match self.numbers {
            Numbers::None => Numbers::One(number),
            Numbers::One(one) if one == number => self.numbers,
            _ => Numbers::Several,
        };
        self.settle_before(number, out);
        let level = self.answered.is_none_or(|at| at <= first.opposite);
        if self.numbers == Numbers::One(number) && self.responses.is_lost() && level {
            self.responses.expect();
        }
        if !self.open.begin(number, first) {
            let id = self.announce(at(first), out);
            out.push(Output::Dropped { id, reason: Reason::Refused });
        }
        true
    }

    /// A request begins, so the one before it that had its number has ended.
    fn settle_before(&mut self, number: u16, out: &mut Vec<Output>) {
        match self.open.get(number).map(|request| request.may_have_ended()) {
            None => {}
            Some(true) if self.numbers == Numbers::One(number) => self.settle_hidden_ends(out),
            Some(true) => self.drop(number, Reason::Gap, out),
            Some(false) => self.drop(number, Reason::Nonsense, out),
        }
    }

    /// Announces a request of which nothing else will be told.
    fn announce(&mut self, request: Marks, out: &mut Vec<Output>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let kind = SpanKind::from(self.settings.role);
        out.push(Output::Started(Started::call(id, request, kind, None, false)));
        id
    }

    /// A request's variables have all come, with what moved between these marks.
    fn start(&mut self, number: u16, marks: Marks, out: &mut Vec<Output>) {
        let id = self.next_id;
        let Some(request) = self.open.get(number) else { return };
        let Stage::Params(params) = &mut request.stage else { return };
        let bytes = std::mem::take(&mut params.bytes);
        self.wants_requests |= bytes.len() > LARGE;
        let marks = Marks { first: request.first, last: marks.last };
        let mut variables = Variables::new(params.cut);
        pairs::each(&bytes, |name, value| variables.offer(name, value));
        if params.cut && !variables.is_request() {
            return self.drop(number, Reason::Gap, out);
        }
        let call = Call::start(id, marks, &variables, &self.settings, out);
        self.next_id += 1;
        self.requests.doubtful = false;
        request.stage = Stage::Running(Box::new(call));
        self.open.weigh(number);
    }

    fn aborts(&mut self, number: u16) {
        if let Some(request) = self.open.get(number) {
            request.aborted = true;
        }
    }

    /// END_REQUEST.
    fn ends(&mut self, number: u16, out: &mut Vec<Output>) {
        let marks = self.responses.marks();
        self.responses.doubtful = false;
        let refusal = self.responses.short().and_then(|body| refusal(body[4]));
        let Some(request) = self.open.take(number) else { return };
        let given_up = Failure::Broke(Break { error: GIVEN_UP, client_left: true });
        let failure = refusal.map(Failure::Refused).or(request.aborted.then_some(given_up));
        match request.stage {
            Stage::Running(mut call) => {
                call.touch(Direction::Response, marks);
                out.push(call.conclude(self.settings.role, marks.last.time, failure));
            }
            Stage::Params(_) => self.drop_request(request, Reason::Nonsense, out),
        }
    }

    /// STDERR: of each record the first line, without what it quotes.
    fn complains(&mut self, number: u16, marks: Marks, bytes: &[u8], whole: bool) {
        let keep = self.settings.keep_query_text;
        let Some(request) = self.open.get(number) else { return };
        let Stage::Running(call) = &mut request.stage else { return };
        call.touch(Direction::Response, marks);
        let room = redact::MAX_COMPLAINT - request.stderr.len();
        request.stderr.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if !whole {
            return;
        }
        let said = std::mem::take(&mut request.stderr);
        let text = redact::complaint(&String::from_utf8_lossy(&said), keep);
        if !text.is_empty() && call.events.len() < MAX_STDERR {
            let attributes = vec![KeyValue::str(STDERR_TEXT, text)];
            call.events.push(Event { time: marks.last.time, name: STDERR.into(), attributes });
        }
    }

    /// `len` bytes passed that nobody saw, and records begin among them.
    pub(super) fn records_hidden(&mut self, direction: Direction, len: u64, lost: bool, out: &mut Vec<Output>) {
        let presumed = direction == Direction::Response && self.is_last(len);
        self.lane(direction).lose();
        self.open.missed(direction);
        match direction {
            Direction::Request => {
                self.wants_requests |= !lost;
                // What is known of a request may suffice.
                let marks = self.requests.marks();
                for number in self.open.which(|request| matches!(request.stage, Stage::Params(_))) {
                    if let Some(Request { stage: Stage::Params(params), .. }) = self.open.get(number) {
                        params.cut = true;
                    }
                    self.start(number, marks, out);
                }
            }
            Direction::Response => {
                self.wants_more |= !lost;
                let operation = self.responses.operation;
                let several = self.open.len() > 1;
                for number in self.open.which(|_| true) {
                    match self.open.running(number) {
                        _ if several => self.drop(number, Reason::Gap, out),
                        Some(call) => call.pass(Direction::Response, at(operation)),
                        None => {}
                    }
                }
            }
        }
        for number in self.open.which(Request::is_unproven) {
            self.drop(number, Reason::Gap, out);
        }
        if presumed {
            self.settle_hidden_ends(out);
        }
    }

    /// Whether so many bytes, where a record of the only response begins, are its end, if its writer wrote whole records.
    fn is_last(&self, len: u64) -> bool {
        let mut calls = self.open.calls();
        let answered = calls.next().is_some_and(|call| !call.document.is_in_head());
        answered && self.open.len() == 1 && self.responses.is_between() && LAST.contains(&len)
    }

    /// Responses whose end is hidden have ended: with the last of them that passed.
    pub(super) fn settle_hidden_ends(&mut self, out: &mut Vec<Output>) {
        for number in self.open.which(Request::may_have_ended) {
            let Some(request) = self.open.take(number) else { continue };
            match request.stage {
                Stage::Running(call) if call.is_answered() && call.document.code.is_some() => {
                    let end = call.last();
                    out.push(call.conclude(self.settings.role, end, None));
                }
                _ => self.drop_request(request, Reason::Gap, out),
            }
        }
    }

    fn drop(&mut self, number: u16, reason: Reason, out: &mut Vec<Output>) {
        if let Some(request) = self.open.take(number) {
            self.drop_request(request, reason, out);
        }
    }

    fn drop_request(&mut self, request: Request, reason: Reason, out: &mut Vec<Output>) {
        let id = match request.stage {
            Stage::Running(call) => call.id,
            // Nobody knows what it was, but it was one.
            Stage::Params(_) => self.announce(at(request.first), out),
        };
        out.push(Output::Dropped { id, reason });
    }

    /// Nothing can be known of any request. (One that had not been said to its end is none.)
    pub(super) fn forget(&mut self, reason: Reason, out: &mut Vec<Output>) {
        while let Some(request) = self.open.pop() {
            if let Stage::Running(call) = request.stage {
                out.push(Output::Dropped { id: call.id, reason });
            }
        }
    }

    /// All requests failed at `time`.
    pub(super) fn fail(&mut self, failure: Failure, time: u64, out: &mut Vec<Output>) {
        while let Some(request) = self.open.pop() {
            if let Stage::Running(call) = request.stage {
                out.push(call.conclude(self.settings.role, time, Some(failure)));
            }
        }
    }

    /// What comes is no record where one was expected.
    pub(super) fn nonsense(&mut self, direction: Direction, out: &mut Vec<Output>) -> Progress {
        if !self.lane(direction).doubtful {
            self.forget(Reason::Nonsense, out);
            return Progress::LostSync;
        }
        self.records_hidden(direction, 0, true, out);
        Progress::Continue
    }
}
