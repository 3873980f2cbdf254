//! Which request a response answers, and when that cannot be known.
//!
//! Responses come in the order of their requests (RFC 9112 §9.3.2), so without gaps counting is enough: a response
//! answers the oldest request in flight. A gap may hide whole messages, and then:
//!
//! - *A gap in the requests* leaves those before it as they were: the next responses are theirs. Later responses may
//!   answer hidden requests.
//! - *A gap in the responses* takes with it the answers of all requests in flight: they are dropped. Only a body whose
//!   end is hidden does not, if its request is alone: all that comes until the next request is its response.
//!
//! Pairing starts again at a request that nothing unanswered comes before. That is proven only for a client that waits
//! for each response, so a connection on which a request ever came while another was surely unanswered (*it pipelines*)
//! does not start again. A client that pipelines only inside gaps, never in sight, is beyond this proof. The parser
//! checks it once more: the response must then begin exactly where the next response byte is, and if other bytes come
//! first the request is dropped and the connection counts as pipelining.

/// Whether new requests can be paired.
#[derive(Debug)]
pub(super) struct Pairing {
    /// Every request since the last known start is counted.
    certain: bool,
    /// A request came while another was unanswered. For good.
    pipelines: bool,
    /// Requests that were sent, are not in flight here, and have no response yet: at least so many.
    owed: u64,
    /// A response came (or may have, in a gap) since the last gap in the requests.
    answered: bool,
}

impl Pairing {
    pub(super) fn new() -> Self {
        Self { certain: true, pipelines: false, owed: 0, answered: false }
    }

    pub(super) fn certain(&self) -> bool {
        self.certain
    }

    pub(super) fn pipelines(&self) -> bool {
        self.pipelines
    }

    /// A request came, while `waiting` others were in flight. Whether its response can be told.
    pub(super) fn request(&mut self, waiting: usize) -> bool {
        self.pipelines |= waiting > 0 || self.owed > 0;
        self.certain |= !self.pipelines && self.answered;
        if !self.certain {
            self.owed += 1;
        }
        self.certain
    }

    /// Requests may be hidden; one is if `sure`, while `waiting` others were in flight.
    pub(super) fn requests_hidden(&mut self, sure: bool, waiting: usize) {
        self.certain = false;
        self.answered = false;
        if sure {
            self.pipelines |= waiting > 0 || self.owed > 0;
            self.owed += 1;
        }
    }

    /// A final response came; `in_flight` if it answers a request that is.
    pub(super) fn response(&mut self, in_flight: bool) {
        self.answered = true;
        if !in_flight {
            self.owed = self.owed.saturating_sub(1);
        }
    }

    /// Response bytes passed that were not understood: there may have been heads among them.
    pub(super) fn responses_unread(&mut self) {
        self.answered = true;
        self.owed = 0;
    }

    /// Responses may be hidden. Whoever calls this forgets all requests in flight.
    pub(super) fn responses_hidden(&mut self) {
        self.certain = false;
        self.responses_unread();
    }

    /// A request in flight had to be forgotten while the response's bytes made no sense: the client does not wait.
    pub(super) fn disproved(&mut self) {
        self.responses_hidden();
        self.pipelines = true;
    }
}
