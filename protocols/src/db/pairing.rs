//! Which request a response answers, and when that cannot be known.
//!
//! Databases answer in the order of the requests, so without gaps counting is enough. A gap may hide whole messages, and
//! then counting starts again at a request that nothing unanswered comes before. Clients of databases send batches and
//! read all answers before they send the next. So that is proven by a request after a response, when nothing is known to
//! be unanswered, on a connection that never *overlaps*: on which no request ever came between the responses to earlier
//! ones. One that does, does not start again after a gap.
//!
//! A client that overlaps only where nobody looked is beyond this proof; a response too many then shows it.

#[derive(Debug)]
pub(super) struct Pairing {
    /// Every request since the last known start is counted.
    certain: bool,
    /// A request came between the responses to earlier ones. For good.
    overlaps: bool,
    /// A response came since the last request: the next request begins a batch.
    turned: bool,
    /// A response came (or may have, in a gap) since the last gap in the requests.
    answered: bool,
    /// Requests that were sent, are not in flight here, and have no response yet: at least so many.
    owed: u64,
}

impl Pairing {
    pub(super) fn new() -> Self {
        Self { certain: true, overlaps: false, turned: true, answered: true, owed: 0 }
    }

    pub(super) fn overlaps(&self) -> bool {
        self.overlaps
    }

    /// A request came, while `waiting` others were in flight. Whether its response can be told.
    pub(super) fn request(&mut self, waiting: usize) -> bool {
        if std::mem::take(&mut self.turned) {
            self.overlaps |= waiting > 0 || self.owed > 0;
            self.certain |= self.answered && !self.overlaps;
        }
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
            self.overlaps |= self.turned && (waiting > 0 || self.owed > 0);
            self.turned = false;
            self.owed += 1;
        }
    }

    /// Bytes of a response came.
    pub(super) fn response_bytes(&mut self) {
        self.turned = true;
    }

    /// A response is complete that answers no request in flight.
    pub(super) fn response_to_nothing(&mut self) {
        self.answered = true;
        // Of a request that nobody saw, or somebody counted wrong.
        self.certain = false;
        self.owed = self.owed.saturating_sub(1);
    }

    /// A response is complete.
    pub(super) fn response(&mut self) {
        self.answered = true;
    }

    /// Response bytes passed that were not understood: there may have been responses among them. Whoever calls this
    /// forgets the requests in flight, or will settle the only one.
    pub(super) fn responses_hidden(&mut self) {
        self.certain = false;
        self.turned = true;
        self.answered = true;
        self.owed = 0;
    }

    /// A request in flight had to be forgotten while the response's bytes made no sense: the client does not wait.
    pub(super) fn disproved(&mut self) {
        self.responses_hidden();
        self.overlaps = true;
    }
}
