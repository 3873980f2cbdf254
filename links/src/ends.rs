//! How exchanges end: with a response, without, as one of a batch, with their connection.

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::FxHasher;
use wirespan_protocols::exchange::{Exchange, Mark, Value};
use wirespan_protocols::template::template;

use super::facts::{At, Fact, UnitKey};
use super::live::{LiveSpan, SpanKey};
use super::{ExchangeKey, Traces, log};

impl Traces {
    /// The result of an exchange is known.
    pub(super) fn finished(&mut self, key: ExchangeKey, exchange: Box<Exchange>, weight: usize, now: u64) {
        let Some(span) = self.no_longer_under_way(&key) else { return };
        self.responded(span, &exchange, now);
        if let Some(recorder) = &mut self.recorder {
            recorder(&log::write_name(span, path_of(&exchange)));
        }
        self.note_response(span, &exchange);
        let live = &mut self.spans[span];
        live.request.last = exchange.request.last;
        live.ends(exchange, weight);
        self.span_bytes += weight;
        let group = live.group;
        self.groups[group].open -= 1;
        self.groups[group].last = now;
        self.schedule(group, now);
        self.make_room(now);
    }

    /// What a response, or an answer, says of who did what.
    fn responded(&mut self, span: SpanKey, exchange: &Exchange, now: u64) {
        let live = &self.spans[span];
        let (first, last) = (exchange.response.map(|r| r.first), exchange.response.map(|r| r.last));
        let at = |mark: Mark| At::of(mark.time, &mark.unit);
        if live.connection.opaque {
            return;
        }
        let fact = match (live.is_callee(), first.zip(last)) {
            (true, answer) => Fact::Over {
                request: span,
                answered: answer.map(|(first, last)| {
                    // The last of it may be written by a callback.
                    (UnitKey::of(&first.unit), At { mark: at(first).mark, ..at(last) })
                }),
                read: Some(at(exchange.request.last)),
            },
            (false, Some((first, last))) => Fact::Responded {
                call: span,
                units: [UnitKey::of(&first.unit), UnitKey::of(&last.unit)],
                at: [at(first), at(last)],
                waited: !first.unit.nonblocking,
                // (Nobody else asks for it.)
                operation: if self.court.book.loops.knows(span) { operation(live, exchange) } else { 0 },
            },
            (false, None) => return,
        };
        self.fact(&fact, now);
    }

    /// A request whose end cannot be known: its span vanishes, its children hang below its parent.
    pub(super) fn dropped(&mut self, key: ExchangeKey, now: u64) {
        if let Some(span) = self.no_longer_under_way(&key) {
            self.vanish(span, now);
        }
    }

    /// A request that is one of many: their span tells of it, and what hangs below it hangs below that.
    pub(super) fn batched(&mut self, part: &ExchangeKey, batch: &ExchangeKey, now: u64) {
        let Some(span) = self.no_longer_under_way(part) else { return };
        let batch = self.by_exchange.get(batch).copied();
        if let Some(batch) = batch {
            self.spans[span].batch = Some(batch);
            // (What was found to be made for a request meanwhile hangs there, and so will the batch.)
            self.adopt(span, batch, false, now);
        }
        self.vanish(span, now);
    }

    fn vanish(&mut self, span: SpanKey, now: u64) {
        if self.spans[span].is_request() {
            self.fact(&Fact::Over { request: span, answered: None, read: None }, now);
        }
        self.spans[span].dropped = true;
        let group = self.spans[span].group;
        self.groups[group].open -= 1;
        self.groups[group].last = now;
        self.schedule(group, now);
    }

    /// What is open of a connection will never be complete. (All are looked at: this is a defect, and rare.)
    pub(super) fn connection_failed(&mut self, connection: u64, now: u64) {
        let open: Vec<_> = self.by_exchange.keys().filter(|key| key.connection == connection).copied().collect();
        for key in open {
            self.dropped(key, now);
        }
    }
}

/// What was asked of whom: the same of two calls that are alike.
fn operation(live: &LiveSpan, exchange: &Exchange) -> u64 {
    let ends = &live.connection.endpoints;
    let mut hasher = FxHasher::default();
    (ends.peer, ends.peer_port, template(path_of(exchange))).hash(&mut hasher);
    hasher.finish()
}

/// What an exchange was about, more precisely than its name if its protocol tells.
fn path_of(exchange: &Exchange) -> &str {
    let is_path = |key: &str| matches!(key, "url.path" | "url.full");
    let path = exchange.attributes.iter().find(|a| is_path(&a.key)).and_then(|a| match &a.value {
        Value::Str(text) => Some(text.as_ref()),
        _ => None,
    });
    path.unwrap_or(&exchange.name)
}
