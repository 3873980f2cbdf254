//! DNS over UDP (RFC 1035), queries and their answers. Each call of [`Parser::data`] is one datagram, or its beginning
//! if a gap follows.
//!
//! An answer belongs to the query of its id and question. A query that is sent again is the same exchange. One that gets
//! no answer fails when the client closes the socket; it is dropped when its id is used for another question, when it
//! is a minute old, or when there are too many.
//!
//! A datagram has no position in a stream. What stands there instead in the mark of a query is its id and a hash of its
//! question, which both ends know.

mod message;

use std::collections::VecDeque;

use message::{Message, Question, class_name, code_name, kind_name};
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::exchange::{Exchange, KeyValue, Mark, Marks, Output, Reason, SpanKind, Started, Status, Value};
use crate::{Detection, Direction, End, Parser, Progress, Role, Settings};

/// `error.type` of a query whose client closed the socket before an answer came.
pub const NO_ANSWER: &str = "no_answer";

/// Most queries without an answer.
const MAX_QUERIES: usize = 256;
/// How long a query is waited for, nanoseconds: no resolver waits nearly so long.
const MAX_AGE: u64 = 60_000_000_000;
/// Datagrams in a row that are no DNS, before the socket is taken for something else.
const MAX_NONSENSE: u32 = 4;

/// Whether a datagram is a DNS message, and which direction that makes it.
pub fn detect(bytes: &[u8]) -> Detection {
    match message::read(bytes, false) {
        Some(message) if message.response => Detection::Match(Direction::Response),
        Some(_) => Detection::Match(Direction::Request),
        None => Detection::No,
    }
}

/// A parser for one pair of addresses.
pub fn parser(settings: Settings) -> Box<dyn Parser> {
    Box::new(Dns::new(settings))
}

/// A query without an answer.
#[derive(Debug)]
struct Query {
    id: u64,
    message_id: u16,
    question: Question,
    request: Marks,
    /// How often it was sent again.
    resent: i64,
}

/// What passes between two addresses.
#[derive(Debug)]
pub struct Dns {
    role: Role,
    next_id: u64,
    /// Oldest first.
    queries: VecDeque<Query>,
    nonsense: u32,
}

impl Dns {
    /// A parser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self { role: settings.role, next_id: 0, queries: VecDeque::new(), nonsense: 0 }
    }

    fn query(&mut self, message_id: u16, question: Question, mark: &Mark, out: &mut Vec<Output>) {
        while self.queries.front().is_some_and(|q| mark.time.saturating_sub(q.request.first.time) > MAX_AGE) {
            self.drop_at(0, Reason::Unanswered, out);
        }
        if let Some(at) = self.queries.iter().position(|q| q.message_id == message_id) {
            let known = &mut self.queries[at];
            if known.question.is(&question) {
                known.request.last = *mark;
                known.resent += 1;
                return;
            }
            self.drop_at(at, Reason::Unanswered, out);
        }
        if self.queries.len() == MAX_QUERIES {
            self.drop_at(0, Reason::Refused, out);
        }
        let named = Mark { position: question.named(message_id), ..*mark };
        let (id, request) = (self.next_id, Marks { first: named, last: *mark });
        self.next_id += 1;
        out.push(Output::Started(Started::call(id, request, SpanKind::from(self.role), None, false)));
        self.queries.push_back(Query { id, message_id, question, request, resent: 0 });
    }

    fn drop_at(&mut self, at: usize, reason: Reason, out: &mut Vec<Output>) {
        out.extend(self.queries.remove(at).map(|query| Output::Dropped { id: query.id, reason }));
    }

    fn answer(&mut self, message: &Message, mark: &Mark, out: &mut Vec<Output>) {
        let answers = |query: &Query| {
            query.message_id == message.id && message.question.as_ref().is_none_or(|q| q.is(&query.question))
        };
        let Some(query) = self.queries.iter().position(answers).and_then(|at| self.queries.remove(at)) else { return };
        let mut exchange = begun(query);
        let attributes = &mut exchange.attributes;
        let code = code_name(message.code);
        attributes.push(KeyValue::str("dns.response_code", code.clone()));
        attributes.push(KeyValue::int("dns.answers_count", i64::from(message.answers)));
        if !message.kinds.is_empty() {
            let kinds = message.kinds.iter().map(|kind| kind_name(*kind)).collect();
            attributes.push(KeyValue { key: "dns.answers_types".into(), value: Value::StrArray(kinds) });
        }
        if message.truncated {
            attributes.push(KeyValue { key: "dns.truncated".into(), value: Value::Bool(true) });
        }
        // As with HTTP: a server fails by its own fault, a client by whatever keeps it from an answer.
        let failed = match self.role {
            Role::Client => message.code != 0,
            Role::Server => message.code == 2,
        };
        if failed {
            exchange.attributes.push(KeyValue::str(semconv::ERROR_TYPE, code));
            exchange.status = Status::Error("".into());
        }
        exchange.response = Some(Marks { first: *mark, last: *mark });
        exchange.end = mark.time;
        out.push(Output::Finished(exchange));
    }

    fn forget(&mut self, reason: Reason, out: &mut Vec<Output>) {
        out.extend(self.queries.drain(..).map(|query| Output::Dropped { id: query.id, reason }));
    }
}

/// The exchange that a query begins. No address is recorded, of the answer neither.
fn begun(query: Query) -> Box<Exchange> {
    let kind = kind_name(query.question.kind);
    let name = ["DNS ", &kind].concat().into();
    let mut attributes = vec![
        KeyValue::str(semconv::NETWORK_PROTOCOL_NAME, "dns"),
        KeyValue::str(semconv::DNS_QUESTION_NAME, query.question.name),
        KeyValue::str("dns.question.type", kind),
        KeyValue::str("dns.question.class", class_name(query.question.class)),
    ];
    if query.resent > 0 {
        attributes.push(KeyValue::int("dns.resend_count", query.resent));
    }
    let (request, status) = (query.request, Status::Unset);
    Box::new(Exchange { id: query.id, name, request, response: None, end: 0, status, attributes, events: Vec::new() })
}

impl Parser for Dns {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        // Whether a gap follows is not known yet, so a beginning is read as far as it goes.
        let message = message::read(bytes, true).filter(|m| m.response == (direction == Direction::Response));
        let Some(mut message) = message else {
            self.nonsense += 1;
            if self.nonsense < MAX_NONSENSE {
                return Progress::Continue;
            }
            self.forget(Reason::Nonsense, out);
            return Progress::LostSync;
        };
        self.nonsense = 0;
        match (direction, message.question.take()) {
            (Direction::Request, Some(question)) => self.query(message.id, question, mark, out),
            (Direction::Request, None) => {}
            (Direction::Response, question) => {
                message.question = question;
                self.answer(&message, mark, out);
            }
        }
        Progress::Continue
    }

    fn gap(&mut self, _: Direction, _: u64, _: &Mark, _: &mut Vec<Output>) -> Progress {
        // A datagram is whole or lost, and says by itself what it is.
        Progress::Continue
    }

    fn end(&mut self, _: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        if self.role == Role::Server && matches!(end, End::Undeliverable(_)) {
            // An answer, whose query has ended with it.
            return;
        }
        if self.role == Role::Server || end == End::Unwatched {
            let reason = if end == End::Unwatched { Reason::Unwatched } else { Reason::Unanswered };
            return self.forget(reason, out);
        }
        for query in std::mem::take(&mut self.queries) {
            let mut exchange = begun(query);
            let why = if let End::Undeliverable(why) = end { why } else { NO_ANSWER };
            exchange.attributes.push(KeyValue::str(semconv::ERROR_TYPE, why));
            (exchange.status, exchange.end) = (Status::Error("".into()), mark.time);
            out.push(Output::Finished(exchange));
        }
    }

    fn buffered(&self) -> usize {
        let names = self.queries.iter().map(|q| q.question.name.capacity()).sum::<usize>();
        self.queries.capacity() * size_of::<Query>() + names
    }
}
