//! Which request a response answers, where the protocol gives them no ids, and when that cannot be known.
//!
//! Answers come in the order of the requests, so counting from a known start is a proof so long as nothing is hidden.
//! What is hidden ends it, and it begins anew only where positions prove a start. Every operation says where its own
//! direction stood and where the other one stood. So:
//!
//! - A request *opens a turn* if bytes of responses moved since the last byte before it did: the operation before it
//!   saw the responses at an earlier position, or the last response bytes saw the requests where this one begins.
//!   Whatever was sent before it, hidden or not, was sent before an answer was read; no part of its own batch is hidden.
//! - On a connection that waits for what it asked before it asks anew, everything before a turn is answered. So the
//!   next answer belongs to the request that opens the turn, and it begins at the very byte where the responses stood
//!   when that was sent, and moves when the request stream stands behind its beginning. If not, it is dropped.
//! - That a connection waits is proven anew: if a lost record may hide a request, or one of several answers, the first
//!   turn behind it is a *probe*. It is read like any other and dropped. Only if all of it is answered when the next turn
//!   opens, no more and no less, counting goes on from there.
//!
//! Nothing tells a connection that waits from one that always has the same number of answers outstanding, once it is
//! hidden how many those are. So what a connection does in plain sight counts: one that sends several requests at a time
//! must pass more probes until it was often seen to take in all answers before it asks anew; so must one that *overlaps*,
//! which asked anew before everything was answered; and one that does so time and again is not counted again.
//!
//! Positions are taken when an operation returns: another thread may have moved the other direction by then. A start
//! that this spoils is not proven, and waits for the next turn.

use crate::Direction;
use crate::exchange::{Mark, Unit};

/// Probes that a connection must pass on which several requests are outstanding at a time.
const PROBES_OF_SEVERAL: u32 = 8;
/// The same for one that overlapped in plain sight, but seldom.
const PROBES_OF_OVERLAPPING: u32 = 16;
/// Batches that were answered before the next request, in plain sight, until one probe will do for them as well.
const BATCHES: u32 = 16;
/// Overlaps that make a habit, if they are more than half as many as the turns at which all was answered.
const HABIT: u32 = 3;

/// What may become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its response will be known.
    Pair,
    /// Its response shows whether the connection waits; it is dropped itself.
    Probe,
    /// Its response cannot be told.
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Everything since a known start was counted.
    Counted,
    /// A start is presumed: so many turns have borne it out.
    Probing(u32),
    /// There is no start. A lost record may hide requests: the next start must be probed.
    Lost { probe: bool },
}

/// How far one direction has come.
#[derive(Debug, Default)]
struct Reach {
    end: Option<u64>,
    /// The operation that moved the byte before `end`, if it was seen.
    operation: Option<(u64, Unit)>,
    /// Where the other direction stood then.
    opposite: u64,
}

impl Reach {
    fn is_same(&self, mark: &Mark) -> bool {
        self.operation == Some((mark.time, mark.unit))
    }

    fn moved(&mut self, mark: &Mark, len: u64) {
        self.operation = (!mark.lost).then_some((mark.time, mark.unit));
        self.opposite = mark.opposite;
        self.end = Some(mark.position.saturating_add(len));
    }

    /// Whether the last bytes were hidden by a record that was lost, not by the bound on what is captured of one.
    fn is_lost(&self) -> bool {
        self.end.is_some() && self.operation.is_none()
    }
}

/// Where a turn begins.
#[derive(Clone, Copy, Debug)]
struct Turn {
    position: u64,
    /// Where the responses stood.
    opposite: u64,
    /// What begins there wants no answer.
    unanswered: bool,
}

impl Turn {
    fn begins_with(&self, first: &Mark) -> bool {
        self.opposite == first.opposite && (self.position == first.position || self.unanswered)
    }
}

/// Whether responses of one connection can be told apart. Knows no protocol.
#[derive(Debug)]
pub(crate) struct Pairing {
    trust: Trust,
    requests: Reach,
    responses: Reach,
    /// The last operation on requests that opened a turn.
    turn: Option<Turn>,
    /// Since a start was presumed no response byte came: where the first must be, and where its request begins.
    expected: Option<(u64, u64)>,
    /// Response bytes came since the last request.
    turned: bool,
    /// Several requests came in this turn; in any turn.
    several: (bool, bool),
    /// Turns in plain sight at which everything was answered; those that ended a batch; and at which not all was.
    drained: u32,
    drained_batches: u32,
    overlapped: u32,
    /// What moved last was beyond what is captured of one operation, of each direction.
    cut: [bool; 2],
    /// That hid where responses begin.
    wants_more: bool,
    /// That hid a part of requests that is needed.
    wants_requests: bool,
}

impl Pairing {
    /// What comes first is the connection's beginning, unless something was `missed`.
    pub(crate) fn new(missed: bool) -> Self {
        Self {
            trust: if missed { Trust::Lost { probe: true } } else { Trust::Counted },
            requests: Reach::default(),
            responses: Reach::default(),
            turn: None,
            expected: None,
            turned: true,
            several: (false, false),
            drained: 0,
            drained_batches: 0,
            overlapped: 0,
            cut: [false; 2],
            wants_more: false,
            wants_requests: false,
        }
    }

    /// Whether every request since a start is counted.
    pub(crate) fn counts(&self) -> bool {
        !matches!(self.trust, Trust::Lost { .. })
    }

    /// Whether nothing is hidden but what was beyond the capture of one operation.
    pub(crate) fn is_only_cut(&self) -> bool {
        self.trust == Trust::Lost { probe: false }
    }

    /// Whether a request ever came before everything was answered.
    pub(crate) fn overlaps(&self) -> bool {
        self.overlapped > 0
    }

    /// `len` bytes moved and are about to be read. False if they cannot be the answer that was expected: what is in
    /// flight must be forgotten.
    #[must_use]
    pub(crate) fn bytes(&mut self, direction: Direction, mark: &Mark, len: usize) -> bool {
        self.cut[direction as usize] = false;
        match direction {
            Direction::Request => {
                if !self.requests.is_same(mark) && self.opens_turn(mark) {
                    let Mark { position, opposite, .. } = *mark;
                    self.turn = Some(Turn { position, opposite, unanswered: false });
                }
                self.requests.moved(mark, len as u64);
                true
            }
            Direction::Response => {
                self.turned = true;
                self.responses.moved(mark, len as u64);
                let expected = self.expected.take();
                self.holds(expected.is_none_or(|(at, behind)| mark.position == at && mark.opposite > behind))
            }
        }
    }

    /// `len` bytes moved that nobody saw. As [`Pairing::bytes`].
    #[must_use]
    pub(crate) fn gap(&mut self, direction: Direction, mark: &Mark, len: u64) -> bool {
        self.cut[direction as usize] = !mark.lost;
        match direction {
            Direction::Request => {
                self.requests.moved(mark, len);
                true
            }
            Direction::Response => {
                self.turned = true;
                self.responses.moved(mark, len);
                let expected = self.expected.take();
                self.holds(expected.is_none_or(|(at, _)| mark.position == at))
            }
        }
    }

    fn holds(&mut self, holds: bool) -> bool {
        if !holds {
            self.lose(true);
        }
        holds
    }

    fn opens_turn(&self, mark: &Mark) -> bool {
        let by_requests = self.requests.operation.is_some()
            && self.requests.end == Some(mark.position)
            && self.requests.opposite < mark.opposite;
        let by_responses = self.responses.operation.is_some()
            && self.responses.end == Some(mark.opposite)
            && self.responses.opposite == mark.position;
        by_requests || by_responses
    }

    /// A request that begins at `first` opens a turn before which everything should be answered, and is not: what is in
    /// flight can never be answered.
    pub(crate) fn is_stale(&self, first: &Mark) -> bool {
        !self.counts() && self.overlapped == 0 && self.opens(first)
    }

    /// Whether what begins at `first` opens a turn.
    pub(crate) fn opens(&self, first: &Mark) -> bool {
        self.turn.is_some_and(|turn| turn.begins_with(first))
    }

    /// A request came that begins at `first` and wants no answer.
    pub(crate) fn unanswered(&mut self, first: &Mark) {
        if let Some(turn) = &mut self.turn {
            turn.unanswered = turn.begins_with(first);
        }
    }

    /// A request came that begins at `first`, while `waiting` others were in flight. What passed of responses up to `seen` cannot be
    /// its own: of a protocol whose servers answer whole requests, what its last byte's operation had seen.
    pub(crate) fn request(&mut self, first: &Mark, seen: u64, waiting: usize) -> Verdict {
        if std::mem::take(&mut self.turned) {
            self.next_turn(waiting);
            self.several.0 = false;
        } else {
            self.several = (true, true);
        }
        if waiting == 0 && self.responses.end.is_some_and(|end| end > seen) {
            // Responses were told before this that it had not seen: they may be its own.
            self.lose(false);
        }
        if !self.counts() && waiting == 0 {
            self.start(first);
        }
        if let Some(turn) = &mut self.turn {
            turn.unanswered = false;
        }
        match self.trust {
            Trust::Counted => Verdict::Pair,
            Trust::Probing(_) => Verdict::Probe,
            Trust::Lost { .. } => Verdict::Drop,
        }
    }

    fn next_turn(&mut self, waiting: usize) {
        match (self.trust, waiting) {
            (Trust::Lost { .. }, _) => {}
            (Trust::Counted, 0) => {
                self.drained = self.drained.saturating_add(1);
                self.drained_batches = self.drained_batches.saturating_add(u32::from(self.several.0));
            }
            (Trust::Counted, _) => self.overlapped = self.overlapped.saturating_add(1),
            (Trust::Probing(passed), 0) => {
                let enough = self.probes().is_some_and(|needed| passed + 1 >= needed);
                self.trust = if enough { Trust::Counted } else { Trust::Probing(passed + 1) };
            }
            (Trust::Probing(_), _) => {
                self.overlapped = self.overlapped.saturating_add(1);
                self.lose(true);
            }
        }
    }

    /// How many probes show that the connection waits; `None` if they cannot.
    fn probes(&self) -> Option<u32> {
        match self.overlapped {
            0 if !self.several.1 || self.drained_batches >= BATCHES => Some(1),
            0 => Some(PROBES_OF_SEVERAL),
            n if n >= HABIT && 2 * n > self.drained => None,
            _ => Some(PROBES_OF_OVERLAPPING),
        }
    }

    /// Begins to count with the request at `first`, if that is a start.
    fn start(&mut self, first: &Mark) {
        let Trust::Lost { probe } = self.trust else { return };
        let level = self.responses.end.is_none_or(|end| end == first.opposite);
        if !self.opens(first) || !level || self.probes().is_none() {
            return;
        }
        let sure = !probe && !self.overlaps();
        self.trust = if sure { Trust::Counted } else { Trust::Probing(0) };
        self.expected = Some((first.opposite, first.position));
    }

    fn lose(&mut self, probe: bool) {
        let before = match self.trust {
            Trust::Counted => false,
            Trust::Probing(_) => true,
            Trust::Lost { probe } => probe,
        };
        self.trust = Trust::Lost { probe: before || probe };
        self.expected = None;
    }

    /// Whether the bound on what is captured of one operation hid where responses begin.
    pub(crate) fn wants_more(&self) -> bool {
        self.wants_more
    }

    /// Whether that bound hid a part of requests that is needed.
    pub(crate) fn wants_requests(&self) -> bool {
        self.wants_requests
    }

    /// Requests are larger than what is captured of one operation, or may be.
    pub(crate) fn note_large(&mut self) {
        self.wants_requests = true;
    }

    /// What moved last hides a part of requests that is needed.
    pub(crate) fn note_cut(&mut self) {
        self.wants_requests |= self.cut[Direction::Request as usize];
    }

    /// Requests may be hidden by what moved last.
    pub(crate) fn requests_hidden(&mut self) {
        // What comes behind them opens no turn, though what came before them wanted no answer.
        if let Some(turn) = &mut self.turn {
            turn.unanswered = false;
        }
        self.lose(self.requests.is_lost());
    }

    /// Response bytes passed that were not understood, or not seen: there may have been responses among them. `waiting`
    /// requests were in flight. Whoever calls this forgets them, or will settle the only one.
    pub(crate) fn responses_hidden(&mut self, waiting: usize) {
        self.wants_more |= self.cut[Direction::Response as usize] && waiting > 1;
        // If one request was unanswered, and seen, it is answered when the next turn opens. Of several, some may not be.
        self.lose(self.responses.is_lost() && waiting > 1);
    }

    /// A response is complete that answers no request in flight: one that nobody saw, or somebody counted wrong.
    pub(crate) fn response_to_nothing(&mut self) {
        self.lose(false);
    }

    /// A request in flight had to be forgotten while the response's bytes made no sense: the client does not wait.
    pub(crate) fn disproved(&mut self) {
        self.overlapped = self.overlapped.saturating_add(1);
        self.lose(true);
    }
}
