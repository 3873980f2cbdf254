//! Requests of a connection, by their numbers.

use std::collections::BTreeMap;

use crate::Direction;
use crate::cgi::Call;
use crate::exchange::Mark;

/// Most requests of one connection at a time.
const MAX_REQUESTS: usize = 256;
/// Most memory that they may take together, bytes, their own size included.
const MAX_BYTES: usize = 768 * 1024;
/// Most bytes of one request's variables that are read.
const MAX_PARAMS: usize = 64 * 1024;

/// Variables in transfer.
#[derive(Debug, Default)]
pub(super) struct Params {
    pub bytes: Vec<u8>,
    /// What comes next does not follow those, or is too much.
    pub cut: bool,
}

/// How far a request has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its variables come.
    Params(Params),
    /// It is with the application.
    Running(Box<Call>),
}

/// One request.
#[derive(Debug)]
pub(super) struct Request {
    /// Where it begins.
    pub first: Mark,
    pub stage: Stage,
    /// The client takes it back.
    pub aborted: bool,
    /// What the application complains of, as far as it is here.
    pub stderr: Vec<u8>,
    /// Records of this direction may have been missed since it began.
    hidden: [bool; 2],
    /// Bytes that are accounted for it.
    weight: usize,
}

impl Request {
    fn measure(&self) -> usize {
        let held = match &self.stage {
            Stage::Params(params) => params.bytes.capacity(),
            Stage::Running(call) => call.weight() + call.document.held(),
        };
        size_of::<Self>() + held + self.stderr.capacity()
    }

    /// Whether the records are missing by which its own would be told from those of another with its number.
    pub(super) fn is_unproven(&self) -> bool {
        self.hidden == [true; 2]
    }

    /// Whether its end may have been missed.
    pub(super) fn may_have_ended(&self) -> bool {
        self.hidden[Direction::Response as usize]
    }
}

/// All that have no end yet.
#[derive(Debug, Default)]
pub(super) struct Requests {
    open: BTreeMap<u16, Request>,
    bytes: usize,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Bytes of memory held.
    pub(super) fn held(&self) -> usize {
        self.bytes
    }

    /// The calls that are with the application.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.open.values().filter_map(|request| match &request.stage {
            Stage::Running(call) => Some(&**call),
            Stage::Params(_) => None,
        })
    }

    /// A request begins; says whether there is room for it.
    pub(super) fn begin(&mut self, number: u16, first: Mark) -> bool {
        if self.open.len() == MAX_REQUESTS || self.bytes > MAX_BYTES {
            return false;
        }
        let stage = Stage::Params(Params::default());
        let mut request = Request { first, stage, aborted: false, stderr: Vec::new(), hidden: [false; 2], weight: 0 };
        request.weight = request.measure();
        self.bytes += request.weight;
        self.open.insert(number, request);
        true
    }

    /// More of a request's variables came.
    pub(super) fn params(&mut self, number: u16, more: &[u8]) {
        let Some(request) = self.open.get_mut(&number) else { return };
        let Stage::Params(params) = &mut request.stage else { return };
        let room = MAX_PARAMS.saturating_sub(params.bytes.len()).min(MAX_BYTES.saturating_sub(self.bytes));
        if params.cut || more.len() > room {
            params.cut = true;
        } else {
            params.bytes.extend_from_slice(more);
        }
        self.weigh(number);
    }

    /// A request.
    pub(super) fn get(&mut self, number: u16) -> Option<&mut Request> {
        self.open.get_mut(&number)
    }

    /// The call of a request that is with the application.
    pub(super) fn running(&mut self, number: u16) -> Option<&mut Call> {
        match &mut self.open.get_mut(&number)?.stage {
            Stage::Running(call) => Some(call),
            Stage::Params(_) => None,
        }
    }

    /// What a request takes has changed.
    pub(super) fn weigh(&mut self, number: u16) {
        if let Some(request) = self.open.get_mut(&number) {
            let weight = request.measure();
            self.bytes = self.bytes + weight - std::mem::replace(&mut request.weight, weight);
        }
    }

    /// Takes a request out.
    pub(super) fn take(&mut self, number: u16) -> Option<Request> {
        let request = self.open.remove(&number)?;
        self.bytes -= request.weight;
        Some(request)
    }

    /// Takes out any of them.
    pub(super) fn pop(&mut self) -> Option<Request> {
        let number = *self.open.keys().next()?;
        self.take(number)
    }

    /// Numbers of those of which this holds.
    pub(super) fn which(&self, holds: impl Fn(&Request) -> bool) -> Vec<u16> {
        self.open.iter().filter(|(_, request)| holds(request)).map(|(number, _)| *number).collect()
    }

    /// Records of this direction were missed.
    pub(super) fn missed(&mut self, direction: Direction) {
        for request in self.open.values_mut() {
            request.hidden[direction as usize] = true;
            if let (Direction::Response, Stage::Running(call)) = (direction, &mut request.stage) {
                call.document.lose();
            }
        }
    }
}
