//! One request by way of a gateway, and what came of it.

use std::borrow::Cow;

use super::Variables;
use super::document::Document;
use crate::exchange::{Event, Exchange, KeyValue, Marks, Output, Reason, SpanKind, Started, unknown};
use crate::http::attributes;
use crate::{Break, Direction, Role, Settings, weight};

/// `error.type` of a response that has ended before its head has.
const INVALID_RESPONSE: &str = "invalid_response";
/// The attribute that says how a response went.
const STATUS_CODE: &str = "http.response.status_code";

/// Why a request was not answered as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection broke, or the client gave it up.
    Broke(Break),
    /// The server said why, in its protocol.
    Refused(&'static str),
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    /// Of the exchange.
    pub id: u64,
    name: Cow<'static, str>,
    attributes: Vec<KeyValue>,
    request: Marks,
    response: Option<Marks>,
    /// Of the response something passed that was not captured, before anything was.
    missed: bool,
    /// What answers it.
    pub document: Document,
    /// What happened meanwhile.
    pub events: Vec<Event>,
}

impl Call {
    /// Announces a request whose variables have all come.
    pub(crate) fn start(
        id: u64,
        request: Marks,
        variables: &Variables<'_>,
        settings: &Settings,
        out: &mut Vec<Output>,
    ) -> Self {
        let context = variables.carrier().context();
        let denied = context.is_none() && variables.carrier().denies_sampling();
        let kind = SpanKind::from(settings.role);
        let (name, attributes, asks) = variables.describe(settings);
        out.push(Output::Started(Started { asks, ..Started::call(id, request, kind, context, denied) }));
        let document = Document::new(variables.is_head());
        Self { id, name, attributes, request, response: None, missed: false, document, events: Vec::new() }
    }

    /// What its span would be called if it ended now, and when it began.
    pub(crate) fn under_way(&self) -> (u64, Cow<'static, str>) {
        (self.request.first.time, self.name.clone())
    }

    /// Bytes of memory that it takes, about, beside what of the response's head is here.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + weight::text(&self.name) + weight::attributes(&self.attributes)
    }

    /// Something of it passed, from the first of the marks on.
    pub(crate) fn touch(&mut self, direction: Direction, marks: Marks) {
        match direction {
            Direction::Request => self.request.last = marks.last,
            Direction::Response => self.response.get_or_insert(marks).last = marks.last,
        }
    }

    /// Something of it passed that was not captured: the beginning of no response.
    pub(crate) fn pass(&mut self, direction: Direction, marks: Marks) {
        match direction {
            Direction::Response if self.response.is_none() => self.missed = true,
            _ => self.touch(direction, marks),
        }
    }

    /// Whether any of the response was seen.
    pub(crate) fn is_answered(&self) -> bool {
        self.response.is_some()
    }

    /// Whether any of the response passed, seen or not.
    pub(crate) fn is_begun(&self) -> bool {
        self.is_answered() || self.missed
    }

    /// When the response moved last.
    pub(crate) fn last(&self) -> u64 {
        self.response.map_or(self.request.last.time, |response| response.last.time)
    }

    /// What became of it, at `end`. Of a response that passed without being seen nobody knows what it said.
    pub(crate) fn conclude(self, role: Role, end: u64, failure: Option<Failure>) -> Output {
        if self.missed && !self.is_answered() {
            return Output::Dropped { id: self.id, reason: Reason::Gap };
        }
        Output::Finished(Box::new(self.finish(role, end, failure)))
    }

    fn finish(mut self, role: Role, end: u64, failure: Option<Failure>) -> Exchange {
        let document = &self.document;
        let error = match failure {
            Some(Failure::Broke(broke)) => broke.error(role, document.events),
            Some(Failure::Refused(why)) => Some(why),
            None => document.is_in_head().then_some(INVALID_RESPONSE),
        };
        let body = document.body().filter(|_| failure.is_none());
        let status = attributes::response(role, document.code, body, error, &mut self.attributes);
        self.attributes.extend(unknown([document.is_status_hidden().then_some(STATUS_CODE)]));
        if let Some(Failure::Broke(broke)) = failure {
            self.attributes.extend(broke.mark(role, document.events));
        }
        let Self { id, name, attributes, request, response, events, .. } = self;
        Exchange { id, name, request, response, end, status, attributes, events }
    }
}
