//! Which requests a unit had in flight at a moment, by the times that the facts carry: it does not matter in which order
//! they were told.

use std::collections::VecDeque;

use rustc_hash::FxHashMap as HashMap;

use crate::facts::UnitKey;
use crate::live::SpanKey;
use wirespan_signals::Slim as _;

/// Requests of one unit that are listed; one with more in flight is an event loop, and proves nothing meanwhile.
const MAX_LISTED: usize = 1024;
/// For how long a request that is over is listed at least, while others are read, nanoseconds: longer than news are late, and
/// than a busy agent takes to come round to asking.
const REMEMBERED: u64 = 1_000_000_000;

/// Which request, if it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// None at all.
    None,
    /// Exactly this.
    One(SpanKey),
    /// Several, or it cannot be known.
    Several,
    /// It cannot be known, since records are missing.
    Lost,
}

impl Alone {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, found) | (found, Self::None) => found,
            (Self::One(a), Self::One(b)) if a == b => self,
            _ => Self::Several,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    request: SpanKey,
    read: u64,
    /// `u64::MAX` while it is in flight.
    over: u64,
}

impl Interval {
    fn holds(&self, time: u64) -> bool {
        (self.read..=self.over).contains(&time)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.request != other.request && self.read < other.over && other.read < self.over
    }
}

#[derive(Debug, Default)]
struct Life {
    /// When the unit was born, 0 if that was not seen.
    born: u64,
    ended: bool,
    requests: VecDeque<Interval>,
    /// Requests in flight that are not listed.
    unlisted: usize,
    /// What was over by then is not listed any more.
    floor: u64,
}

impl Life {
    /// Forgets what was over long before `now`.
    fn prune(&mut self, now: u64) {
        while let Some(old) = self.requests.pop_front_if(|i| i.over.saturating_add(REMEMBERED) < now) {
            self.floor = self.floor.max(old.over);
        }
    }

    /// Forgets the first that is over.
    fn drop_one(&mut self) {
        let first = self.requests.iter().position(|i| i.over != u64::MAX);
        if let Some(old) = first.and_then(|index| self.requests.remove(index)) {
            self.floor = self.floor.max(old.over);
        }
    }
}

/// All units that serve.
#[derive(Debug, Default)]
pub struct Served {
    lives: HashMap<UnitKey, Life>,
}

impl Served {
    /// A unit read a request.
    pub fn read(&mut self, unit: UnitKey, request: SpanKey, read: u64) {
        let life = self.lives.entry(unit).or_default();
        life.prune(read);
        if life.requests.len() >= MAX_LISTED {
            life.drop_one();
        }
        if life.requests.len() >= MAX_LISTED {
            life.unlisted += 1;
        } else {
            life.requests.push_back(Interval { request, read, over: u64::MAX });
        }
    }

    /// A request is over, at a moment that may not be known.
    pub fn over(&mut self, unit: UnitKey, request: SpanKey, at: Option<u64>) {
        let Some(life) = self.lives.get_mut(&unit) else { return };
        match (life.requests.iter().rposition(|i| i.request == request), at) {
            (Some(index), Some(at)) => life.requests[index].over = at,
            (Some(index), None) => drop(life.requests.remove(index)),
            (None, _) => life.unlisted = life.unlisted.saturating_sub(1),
        }
    }

    /// A unit was born: what was told of it before is of an earlier life.
    pub fn born(&mut self, unit: UnitKey, time: u64) {
        if let Some(life) = self.lives.get_mut(&unit) {
            (life.born, life.ended, life.unlisted) = (time, false, 0);
        } else if !unit.is_thread() {
            self.lives.insert(unit, Life { born: time, ..Life::default() });
        }
    }

    /// A unit is gone. What it had in flight is remembered until its spans are gone.
    pub fn ended(&mut self, unit: UnitKey) {
        let Some(life) = self.lives.get_mut(&unit) else { return };
        life.ended = true;
        if life.requests.is_empty() {
            self.lives.remove(&unit);
        }
    }

    /// A request's span is gone. When it was in flight is remembered a while, if that is known.
    pub fn forget(&mut self, unit: UnitKey, request: SpanKey) {
        if let Some(life) = self.lives.get_mut(&unit) {
            life.requests.retain(|i| i.request != request || i.over != u64::MAX);
        }
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        self.lives.retain(|unit, life| {
            life.prune(now);
            let blank = life.requests.is_empty() && life.unlisted == 0;
            !(blank && (life.ended || unit.is_thread()))
        });
        self.lives.slim();
    }

    /// When a request was over that a unit had in flight, if that is still listed.
    pub fn over_of(&self, unit: UnitKey, request: SpanKey) -> Option<u64> {
        let interval = self.lives.get(&unit)?.requests.iter().find(|interval| interval.request == request)?;
        Some(interval.over).filter(|over| *over != u64::MAX)
    }

    /// Whether what a unit had in flight at `time` is over, and forgotten.
    pub fn is_past(&self, unit: UnitKey, time: u64) -> bool {
        self.lives.get(&unit).is_none_or(|life| time <= life.floor)
    }

    /// What a unit had in flight at `time`.
    pub fn at(&self, unit: UnitKey, time: u64) -> Alone {
        let Some(life) = self.lives.get(&unit).filter(|life| life.born <= time) else { return Alone::None };
        if life.unlisted > 0 || time <= life.floor {
            return Alone::Several;
        }
        let of_this_life = |i: &&Interval| i.read >= life.born;
        let mut there = life.requests.iter().filter(of_this_life).filter(|i| i.holds(time));
        match (there.next(), there.next()) {
            (None, _) => Alone::None,
            (Some(one), None) if !life.requests.iter().any(|other| other.overlaps(one)) => Alone::One(one.request),
            _ => Alone::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    const G: UnitKey = UnitKey { tgid: 1, kind: 1, id: 7 };

    fn spans() -> [SpanKey; 3] {
        let mut map: SlotMap<SpanKey, ()> = SlotMap::with_key();
        [(); 3].map(|()| map.insert(()))
    }

    #[test]
    fn what_was_in_flight_at_a_moment_does_not_depend_on_the_order_of_news() {
        let [s, t, _] = spans();
        type News = fn(&mut Served, SpanKey, SpanKey);
        let news: [News; 4] = [
            |served, s, _| served.read(G, s, 10),
            |served, s, _| served.over(G, s, Some(20)),
            |served, _, t| served.read(G, t, 30),
            |served, _, t| served.over(G, t, Some(40)),
        ];
        // An end is never told before its beginning.
        for order in [[0, 1, 2, 3], [0, 2, 1, 3], [2, 0, 1, 3], [2, 3, 0, 1], [0, 2, 3, 1], [2, 0, 3, 1]] {
            let mut served = Served::default();
            order.iter().for_each(|n: &usize| news[*n](&mut served, s, t));
            let at = [5, 15, 25, 35, 45].map(|time| served.at(G, time));
            assert_eq!(at, [Alone::None, Alone::One(s), Alone::None, Alone::One(t), Alone::None], "{order:?}");
        }
    }

    #[test]
    fn requests_that_overlap_are_several_even_when_one_of_them_is_over() {
        let [s, t, u] = spans();
        let mut served = Served::default();
        served.read(G, s, 10);
        served.read(G, t, 20);
        served.over(G, s, Some(30));
        served.over(G, t, Some(40));
        served.read(G, u, 50);
        assert_eq!([35, 55].map(|time| served.at(G, time)), [Alone::Several, Alone::One(u)]);
        // One that ended without an answer may only have been left by its client.
        let mut served = Served::default();
        served.read(G, s, 10);
        served.over(G, s, None);
        served.read(G, t, 20);
        assert_eq!(served.at(G, 25), Alone::One(t));
    }

    #[test]
    fn what_an_earlier_life_of_an_address_read_is_not_the_new_ones() {
        let [s, ..] = spans();
        let mut served = Served::default();
        served.read(G, s, 10);
        served.born(G, 20);
        assert_eq!(served.at(G, 25), Alone::None);
        assert_eq!(served.at(G, 15), Alone::None, "it is not known which life that was");
    }

    #[test]
    fn a_unit_with_many_requests_in_flight_proves_nothing_until_they_are_over() {
        let mut map: SlotMap<SpanKey, ()> = SlotMap::with_key();
        let mut served = Served::default();
        let many: Vec<SpanKey> = (0..2 * MAX_LISTED as u64).map(|_| map.insert(())).collect();
        for (n, span) in many.iter().enumerate() {
            served.read(G, *span, n as u64);
        }
        assert_eq!(served.at(G, 1000), Alone::Several);
        many.iter().for_each(|span| served.over(G, *span, Some(2000)));
        let last = map.insert(());
        served.read(G, last, 3000);
        assert_eq!(served.at(G, 3001), Alone::One(last));
        served.over(G, last, Some(3002));
        many.iter().chain([&last]).for_each(|span| served.forget(G, *span));
        served.ended(G);
        served.sweep(3000 + 2 * REMEMBERED);
        assert!(served.lives.is_empty(), "{served:?}");
    }
}
