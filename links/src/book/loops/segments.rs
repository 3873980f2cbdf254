//! The pieces of a loop's work, in their order, and whose each is.

use std::collections::VecDeque;

use crate::live::SpanKey;

/// Pieces of one loop that are remembered: a few seconds of a busy one.
const MAX_SEGMENTS: usize = 16_384;

/// What a piece began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something of which nothing is known.
    Other,
    /// Timers.
    Timer,
    /// What was left to be done.
    Immediate,
    /// A connection that was being opened.
    Connected,
    /// Bytes of a request.
    Request,
    /// Bytes of a response.
    Response,
}

/// A piece of a loop's work.
#[derive(Debug)]
pub struct Segment {
    /// The newest number of work by then: later ones were given in it, or after.
    pub newest: u64,
    /// When it began.
    pub time: u64,
    /// The socket that it began with, 0 if none.
    pub cookie: u64,
    /// With what.
    pub kind: Kind,
    /// The request that it is about, as far as is known.
    pub owner: Option<SpanKey>,
    /// What owns it, the response of a call or a request, if that is one.
    pub began_with: Option<SpanKey>,
    /// Requests that were answered in it, or in what it left to be done.
    pub answers: Vec<SpanKey>,
    /// Calls that were made in it, or in what it left to be done.
    pub made: Vec<SpanKey>,
    /// Calls that were begun in it: made, or their connections opened.
    pub begun: Vec<SpanKey>,
    /// Calls whose responses ended in it.
    pub ended: Vec<SpanKey>,
    /// What was said in it.
    pub said: Vec<SpanKey>,
}

impl Segment {
    /// Nothing is known of it yet.
    pub fn new(newest: u64, time: u64, cookie: u64, kind: Kind) -> Self {
        Self {
            newest,
            time,
            cookie,
            kind,
            owner: None,
            began_with: None,
            answers: Vec::new(),
            made: Vec::new(),
            begun: Vec::new(),
            ended: Vec::new(),
            said: Vec::new(),
        }
    }

    /// It began with `what` (a request, a call's response). With two things, it is nobody's.
    pub fn is_about(&mut self, kind: Kind, what: SpanKey, owner: Option<SpanKey>) {
        match (self.kind, self.began_with) {
            (Kind::Other, None) => (self.kind, self.began_with, self.owner) = (kind, Some(what), owner),
            (_, Some(known)) if known == what => {}
            _ => self.owner = None,
        }
    }

    /// How much happened in it.
    pub fn happened(&self) -> usize {
        [&self.answers, &self.made, &self.begun, &self.ended, &self.said].map(Vec::len).iter().sum()
    }

    /// Whether what is done in it is about what it began with.
    pub fn goes_on(&self) -> bool {
        matches!(self.kind, Kind::Request | Kind::Response)
    }
}

/// Those of one loop. Each has a number of its own.
#[derive(Debug, Default)]
pub struct Segments {
    first: u64,
    all: VecDeque<Segment>,
}

impl Segments {
    /// One more, later than all others.
    pub fn push(&mut self, segment: Segment) {
        if self.all.len() >= MAX_SEGMENTS {
            self.all.pop_front();
            self.first += 1;
        }
        self.all.push_back(segment);
    }

    /// The number of the last one.
    pub fn last(&self) -> Option<u64> {
        (self.first + self.all.len() as u64).checked_sub(1).filter(|_| !self.all.is_empty())
    }

    /// The one with a number.
    pub fn get(&self, n: u64) -> Option<&Segment> {
        self.all.get(usize::try_from(n.checked_sub(self.first)?).ok()?)
    }

    /// The one with a number.
    pub fn get_mut(&mut self, n: u64) -> Option<&mut Segment> {
        self.all.get_mut(usize::try_from(n.checked_sub(self.first)?).ok()?)
    }

    /// The one that was going on at a moment.
    pub fn at(&self, time: u64) -> Option<u64> {
        self.before(self.all.partition_point(|segment| segment.time <= time))
    }

    /// The one in which a number was given to a piece of work.
    pub fn making(&self, id: u64) -> Option<u64> {
        self.before(self.all.partition_point(|segment| segment.newest < id))
    }

    fn before(&self, point: usize) -> Option<u64> {
        point.checked_sub(1).map(|n| self.first + n as u64)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.first += self.all.len() as u64;
        self.all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_was_given_in_the_last_piece_that_began_before_it() {
        let mut segments = Segments::default();
        assert_eq!((segments.last(), segments.making(1), segments.at(1)), (None, None, None));
        for (time, newest) in [(10, 5), (20, 8), (30, 8), (40, 9)] {
            segments.push(Segment::new(newest, time, 0, Kind::Other));
        }
        assert_eq!([5, 6, 8, 9, 10].map(|id| segments.making(id)), [None, Some(0), Some(0), Some(2), Some(3)]);
        assert_eq!([9, 10, 25, 99].map(|time| segments.at(time)), [None, Some(0), Some(1), Some(3)]);
        segments.clear();
        segments.push(Segment::new(9, 50, 0, Kind::Other));
        assert_eq!((segments.last(), segments.making(9), segments.making(10)), (Some(4), None, Some(4)));
    }

    #[test]
    fn the_oldest_give_way() {
        let mut segments = Segments::default();
        (0..MAX_SEGMENTS as u64 + 3).for_each(|n| segments.push(Segment::new(n, n, 0, Kind::Other)));
        assert!(segments.get(2).is_none() && segments.get(3).is_some());
        assert_eq!(segments.making(2), None);
    }
}
