//! Which requests a unit, a connection or a process had under way at a moment, and what to think of that where records are missing.

use std::collections::BTreeSet;

use super::Book;
use super::served::Alone;
use crate::facts::{Handle, UnitKey};
use crate::live::SpanKey;

impl Book {
    /// Whether what a unit had in flight at a moment is over, and forgotten.
    pub fn is_past(&self, unit: UnitKey, time: u64) -> bool {
        self.served.is_past(unit, time)
    }

    /// The requests that a unit had in flight at a moment. Where records were lost meanwhile that is not known, even if the one that
    /// is known was answered later.
    pub fn in_flight(&self, unit: UnitKey, time: u64) -> Alone {
        let taken = self.streams.served_by(unit, time).map_or(Alone::None, |found| match found {
            Alone::One(request) if self.was_over(request, time) => Alone::None,
            found => found,
        });
        match self.served.at(unit, time).and(taken) {
            Alone::One(request) if self.is_doubted(request) => Alone::Lost,
            found => found,
        }
    }

    /// The request that a unit, whose id is never used again, had read last at a moment, if that has ended without an answer: the
    /// unit was at work for it, as long as it read no other.
    pub fn unanswered(&self, unit: UnitKey, time: u64) -> Option<SpanKey> {
        let read = self.read_by.get(&unit)?.iter().filter_map(|key| Some((*key, self.requests.get(*key)?)));
        let (request, note) = read.filter(|(_, note)| note.read.time <= time).max_by_key(|(_, note)| note.read.time)?;
        (note.is_over && note.answered.is_none() && !note.doubted).then_some(request)
    }

    /// The requests of a process that a handle named at a moment.
    pub fn named(&self, tgid: u32, handle: Handle, time: u64) -> Alone {
        let mut found = Alone::None;
        for named in self.handles.requests(tgid, handle, time) {
            let takes = self.streams.served_by(named.unit, named.time).is_some();
            if !takes && self.served.is_past(named.unit, named.time) {
                continue;
            }
            // It is another's by now, if that request is over.
            match self.in_flight(named.unit, named.time) {
                Alone::One(request) if named.lasts || !self.was_over(request, time) => {
                    found = found.and(Alone::One(request));
                }
                Alone::One(_) | Alone::None => {}
                unclear @ (Alone::Several | Alone::Lost) => found = unclear,
            }
        }
        found
    }

    /// The request that a connection had under way at a moment, where requests are answered one after the other. Of one that was
    /// read before another was over it is not known which of them is worked on. Where records were lost ([`Book::is_doubted`]), it was
    /// this one if it turns out to be answered later: the next is not worked on before.
    pub fn under_way_on(&self, connection: u64, time: u64) -> Alone {
        let Some(came) = self.connections.requests(connection) else { return Alone::Several };
        let known = came.filter_map(|request| Some((request, self.requests.get(request)?)));
        let mut last = Alone::None;
        let mut busy = 0;
        for (request, note) in known.filter(|(_, note)| note.read.time <= time) {
            let over = if note.is_over { note.over } else { Some(u64::MAX) };
            match over {
                Some(over) if over < time => busy = busy.max(over),
                Some(_) if last == Alone::None => last = Alone::One(request),
                _ => return Alone::Several,
            }
        }
        match last {
            Alone::One(request) if self.requests.get(request).is_none_or(|note| note.read.time < busy) => {
                Alone::Several
            }
            last => last,
        }
    }

    /// Whether a process has a request that is not over and had been read by then.
    pub fn is_open(&self, tgid: u32, time: u64) -> bool {
        self.open.get(&tgid).and_then(BTreeSet::first).is_some_and(|(read, _)| *read <= time)
    }

    /// Whether a request was over at a moment, or its span is gone.
    pub fn was_over(&self, request: SpanKey, time: u64) -> bool {
        self.requests.get(request).is_none_or(|r| r.over.is_some_and(|over| over < time))
    }

    /// Whether a request is over, or its span is gone.
    pub fn is_over(&self, request: SpanKey) -> bool {
        self.requests.get(request).is_none_or(|note| note.is_over)
    }

    /// Whether records are missing among those that say how long a request was in flight.
    pub fn is_doubted(&self, request: SpanKey) -> bool {
        self.requests.get(request).is_some_and(|note| note.doubted)
    }

    /// Records of a process, or of nobody knows whom, were lost: what is in flight there may be over, and more may be.
    pub(super) fn doubt_open(&mut self, of: Option<u32>) {
        let open = self.open.iter().filter(|(tgid, _)| of.is_none_or(|of| of == **tgid));
        for (_, request) in open.flat_map(|(_, requests)| requests) {
            if let Some(note) = self.requests.get_mut(*request) {
                note.doubted = true;
            }
        }
        // Whoever is still at work for one that ended without an answer may have read another.
        let read = self.read_by.iter().filter(|(unit, _)| of.is_none_or(|of| of == unit.tgid));
        for request in read.flat_map(|(_, requests)| requests) {
            if let Some(note) = self.requests.get_mut(*request).filter(|note| note.answered.is_none()) {
                note.doubted = true;
            }
        }
    }
}
