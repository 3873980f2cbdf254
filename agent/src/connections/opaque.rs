//! A connection that is encrypted and not read inside, told in stretches: who spoke with whom, under which name, when, how much.
//!
//! How many requests there were nobody can tell, so a stretch is no request itself: no call hangs below it.

use std::sync::Arc;

use opentelemetry_semantic_conventions::attribute::{
    SERVER_ADDRESS, TLS_PROTOCOL_NAME, TLS_PROTOCOL_VERSION as TLS_VERSION,
};
use wirespan_protocols::exchange::{Exchange, KeyValue, Mark, Marks, Output, Reason, Secured, Started, Status};
use wirespan_protocols::{Direction, Role};

use crate::tls::Why;

/// What it is called.
pub const NAME: &str = "TLS";
/// Once the server has answered and nothing passed for so long, a stretch is over, nanoseconds.
pub const QUIET: u64 = 1_000_000_000;
/// And after so long in any case.
const LONGEST: u64 = 60_000_000_000;
/// Operations of one stretch, beyond which it is enough to hear of one from time to time.
const BUSY: u32 = 4096;
/// What a client says at most to take its leave, encrypted bytes (an alert; before it a frame of HTTP/2).
const FAREWELL: u64 = 128;
/// How often the direction has changed once something was surely said: hello, hello, the client's last of the handshake (and
/// perhaps a request), tickets (or an answer), and the client again.
const USED: u32 = 5;

/// What is known of it.
#[derive(Debug, Default)]
pub struct Opaque {
    /// Of the present stretch.
    request: Option<Marks>,
    response: Option<Marks>,
    operations: u32,
    turns: u32,
    last: Option<Direction>,
    stage: Stage,
    /// Stretches that are over, and where both directions stood then: requests, responses.
    told: u64,
    from: [Option<u64>; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Whether it will be read is not known.
    #[default]
    Untold,
    /// A stretch has begun.
    Began,
    /// One is over.
    Rests,
    Over,
}

/// What a stretch's end adds.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// When it was.
    pub time: u64,
    /// Where both directions stood: requests, responses.
    pub stood: [u64; 2],
    /// Why it was not read.
    pub why: Why,
    /// The connection is over.
    pub last: bool,
}

impl Opaque {
    /// An operation moved some of it. (What the server says unasked is counted with the next stretch.)
    pub fn passed(&mut self, toward: Direction, mark: &Mark) {
        if self.stage == Stage::Rests && toward == Direction::Response {
            return;
        }
        let (marks, from) = match toward {
            Direction::Request => (&mut self.request, &mut self.from[0]),
            Direction::Response => (&mut self.response, &mut self.from[1]),
        };
        from.get_or_insert(mark.position);
        marks.get_or_insert(Marks { first: *mark, last: *mark }).last = *mark;
        self.operations = self.operations.saturating_add(1);
        if self.last.replace(toward) != Some(toward) {
            self.turns = self.turns.saturating_add(1);
        }
    }

    /// Whether something was surely said inside.
    pub fn is_used(&self) -> bool {
        self.turns >= USED
    }

    /// Whether a stretch has begun, and has not ended.
    pub fn is_told(&self) -> bool {
        self.stage == Stage::Began
    }

    /// Whether one has ended and the next may begin.
    pub fn rests(&self) -> bool {
        self.stage == Stage::Rests
    }

    /// Whether so much passes that not all of it need be heard of.
    pub fn is_busy(&self) -> bool {
        self.is_told() && self.operations > BUSY
    }

    /// Whether the present stretch is over `now`. `last_seen`: when something passed; `None` if nobody listened lately.
    pub fn is_past(&self, last_seen: Option<u64>, now: u64) -> bool {
        let answered = self.last == Some(Direction::Response) || self.is_busy();
        let quiet = answered && last_seen.is_some_and(|last| now.saturating_sub(last) >= QUIET);
        let long = self.request.is_some_and(|request| now.saturating_sub(request.first.time) >= LONGEST);
        self.is_told() && (quiet || long)
    }

    /// A stretch begins, if none did before it ended.
    pub fn begin(&mut self, role: Role) -> Option<Output> {
        let waits = matches!(self.stage, Stage::Untold | Stage::Rests);
        let request = self.request.filter(|_| waits)?;
        self.stage = Stage::Began;
        Some(Output::Started(Started::call(self.told, request, role.into(), None, false)))
    }

    /// The present stretch ends here. With its connection, one in which a client only took its leave is none.
    pub fn end(&mut self, role: Role, secured: &Arc<Secured>, end: End) -> Option<Output> {
        let request = self.request.filter(|_| self.is_told())?;
        let [asked, answered] = [0, 1].map(|way| self.from[way].map_or(0, |from| end.stood[way].saturating_sub(from)));
        if end.last && self.told > 0 && self.response.is_none() && asked <= FAREWELL {
            return self.drop(Reason::Unanswered);
        }
        let name = secured.server_name.as_ref().filter(|_| role == Role::Client);
        let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let attributes = [
            Some(KeyValue::str("wirespan.tls", "opaque")),
            Some(KeyValue::str("wirespan.tls.reason", end.why.name())),
            Some(KeyValue::str(TLS_PROTOCOL_NAME, "tls")),
            secured.version.map(|version| KeyValue::str(TLS_VERSION, version)),
            name.map(|name| KeyValue::str(SERVER_ADDRESS, name.to_string())),
            Some(KeyValue::int("wirespan.tls.request.size", size(asked))),
            Some(KeyValue::int("wirespan.tls.response.size", size(answered))),
        ];
        let exchange = Exchange {
            id: self.told,
            name: NAME.into(),
            request,
            response: self.response,
            end: end.time,
            status: Status::Unset,
            attributes: attributes.into_iter().flatten().collect(),
            events: Vec::new(),
        };
        *self = Self {
            stage: if end.last { Stage::Over } else { Stage::Rests },
            told: self.told + 1,
            from: end.stood.map(Some),
            ..Self::default()
        };
        Some(Output::Finished(Box::new(exchange)))
    }

    /// A stretch will not end: it is read inside, or not watched any more.
    pub fn drop(&mut self, reason: Reason) -> Option<Output> {
        let told = self.is_told();
        self.stage = Stage::Over;
        told.then_some(Output::Dropped { id: self.told, reason })
    }
}
