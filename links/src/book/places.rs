//! Calls on their way from the unit that made them to whoever writes them.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::facts::{Handle, Place, UnitKey};
use wirespan_signals::Slim as _;

/// Places at a time; more are not kept, and their calls have no maker.
const MAX_PLACES: usize = 65_536;
/// Calls on their way to one place that are remembered, and where those to all places are many.
const MAX_AT_PLACE: usize = 4096;
const MAX_IF_MANY: usize = 32;
/// Calls on their way to all places that are many.
const MANY: usize = 262_144;
/// For how long a call is remembered at least, while others are made, nanoseconds: longer than it takes until it is asked for.
const REMEMBERED: u64 = 1_000_000_000;
/// A place where nothing happened for this long is forgotten, nanoseconds.
const FORGOTTEN: u64 = 600_000_000_000;
/// Where there are too many, one where nothing happened for this long; looked for as often, at most.
const FORGOTTEN_SOON: u64 = 2_000_000_000;

/// A call, as it was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Who made it.
    pub by: UnitKey,
    /// The handle that it carries.
    pub handle: Option<Handle>,
    /// The connection, by its socket's cookie, whose request it was made for, if it says so.
    pub relays: Option<u64>,
    /// When it was on its way.
    pub time: u64,
}

#[derive(Debug, Default)]
struct Way {
    /// In order of time, as all lists here.
    handed: VecDeque<Made>,
    /// When calls were written there.
    written: VecDeque<u64>,
    /// What was written by then is not listed any more.
    floor: u64,
    used: u64,
    /// Calls were handed over to it.
    hands: bool,
}

impl Way {
    /// A call is on its way, or was written. Returns how many more are remembered now.
    fn hand(&mut self, handed: Made, limit: usize) -> isize {
        let before = self.len();
        insert(&mut self.handed, handed, |h| h.time);
        while self.handed.len() > limit || self.handed.front().is_some_and(|h| is_old(h.time, self.used)) {
            self.handed.pop_front();
        }
        self.len() - before
    }

    fn write(&mut self, time: u64, limit: usize) -> isize {
        let before = self.len();
        insert(&mut self.written, time, |at| *at);
        while self.written.len() > limit || self.written.front().is_some_and(|at| is_old(*at, self.used)) {
            self.floor = self.floor.max(self.written.pop_front().unwrap_or(0));
        }
        self.len() - before
    }

    fn len(&self) -> isize {
        (self.handed.len() + self.written.len()) as isize
    }

    /// Who handed over the call that was written at `time`: the last since the call before.
    fn maker(&self, time: u64) -> Option<Made> {
        if time <= self.floor {
            return None;
        }
        let earlier = self.written.partition_point(|at| *at < time);
        let before = earlier.checked_sub(1).and_then(|n| self.written.get(n)).copied().unwrap_or(self.floor);
        let last = self.handed.partition_point(|h| h.time <= time).checked_sub(1)?;
        self.handed.get(last).filter(|h| h.time > before).copied()
    }
}

/// Whether something is remembered no longer while others are made at `now`.
fn is_old(time: u64, now: u64) -> bool {
    time.saturating_add(REMEMBERED) < now
}

/// Inserts in order of time; most come in order.
fn insert<T>(list: &mut VecDeque<T>, item: T, time: impl Fn(&T) -> u64) {
    let at = list.iter().rposition(|other| time(other) <= time(&item)).map_or(0, |n| n + 1);
    list.insert(at, item);
}

/// All places.
#[derive(Debug, Default)]
pub struct Places {
    ways: HashMap<Place, Way>,
    /// Calls on their way that all remember together.
    total: usize,
    /// When it was last looked for those to be forgotten soon.
    shed: u64,
    /// Processes in which calls are handed over.
    handing: HashSet<u32>,
}

impl Places {
    /// A call is on its way. Returns whether it is the first of its process: then the calls before it must be told again.
    pub fn handed_over(&mut self, to: Place, made: Made) -> bool {
        let (first, time) = (self.handing.insert(made.by.tgid), made.time);
        let limit = self.limit();
        if let Some(way) = self.way(to, time) {
            way.hands = true;
            let more = way.hand(made, limit);
            self.total = self.total.saturating_add_signed(more);
        }
        first
    }

    /// A call was written to a place by a unit.
    pub fn called(&mut self, place: Place, writer: UnitKey, time: u64) {
        if !self.handing.contains(&writer.tgid) {
            return;
        }
        // (A stream has one call.)
        let limit = self.limit();
        for place in ways(place, writer).filter(|p| matches!(p, Place::Connection(_) | Place::Unit(_))) {
            let Some(way) = self.way(place, time) else { continue };
            let more = way.write(time, limit);
            self.total = self.total.saturating_add_signed(more);
        }
    }

    /// Calls that one place may remember now.
    fn limit(&self) -> usize {
        if self.total > MANY { MAX_IF_MANY } else { MAX_AT_PLACE }
    }

    fn way(&mut self, place: Place, time: u64) -> Option<&mut Way> {
        if self.ways.len() >= MAX_PLACES && !self.ways.contains_key(&place) {
            if time > self.shed.saturating_add(FORGOTTEN_SOON) {
                self.shed = time;
                self.keep(|way| way.used.saturating_add(FORGOTTEN_SOON) > time);
            }
            if self.ways.len() >= MAX_PLACES {
                return None;
            }
        }
        let way = self.ways.entry(place).or_default();
        way.used = way.used.max(time);
        Some(way)
    }

    /// Records of a process, or of nobody knows whom, were lost: what was on its way there may have been written unseen.
    pub fn lost(&mut self, of: Option<u32>) {
        self.ways.values_mut().for_each(|way| way.handed.retain(|h| of.is_some_and(|tgid| h.by.tgid != tgid)));
        self.keep(|_| true);
    }

    /// Who handed over the call that `writer` wrote to `place` at `time`: the last since the call before there. `Some(None)` if
    /// calls are handed over there and this one was not seen to be; `None` if none ever was.
    pub fn maker(&self, place: Place, writer: UnitKey, time: u64) -> Option<Option<Made>> {
        ways(place, writer).find_map(|place| self.maker_at(place, time))
    }

    fn maker_at(&self, place: Place, time: u64) -> Option<Option<Made>> {
        self.ways.get(&place).filter(|way| way.hands).map(|way| way.maker(time))
    }

    fn keep(&mut self, wanted: impl Fn(&Way) -> bool) {
        self.ways.retain(|_, way| wanted(way));
        self.total = self.ways.values().map(|way| way.len().unsigned_abs()).sum();
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.handing.remove(&tgid);
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        let recent = |time: u64| time.saturating_add(FORGOTTEN) > now;
        self.keep(|way| recent(way.used));
        self.ways.slim();
    }
}

/// The places to which a call may have been handed over that `writer` wrote to `place`, the most certain first.
fn ways(place: Place, writer: UnitKey) -> impl Iterator<Item = Place> {
    let of_stream = match place {
        Place::Stream(cookie, id) => Some([Place::StreamOf(writer, id), Place::Connection(cookie)]),
        _ => None,
    };
    std::iter::once(place).chain(of_stream.into_iter().flatten()).chain([Place::Unit(writer)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKER: UnitKey = UnitKey { tgid: 1, kind: 1, id: 7 };
    const WRITER: UnitKey = UnitKey { tgid: 1, kind: 1, id: 8 };
    const SOCKET: Place = Place::Connection(5);
    const MILLI: u64 = 1_000_000;

    fn made(handle: Option<Handle>, time: u64) -> Made {
        Made { by: MAKER, handle, relays: None, time }
    }

    #[test]
    fn a_busy_place_remembers_its_calls_until_they_are_asked_for_and_not_for_ever() {
        let mut places = Places::default();
        for n in 1..=2000 {
            places.handed_over(Place::Unit(WRITER), made(Some(Handle(n, n)), n * MILLI));
            places.called(SOCKET, WRITER, n * MILLI + 1);
        }
        let maker = |n: u64| places.maker(SOCKET, WRITER, n * MILLI + 1);
        for n in [1100, 1101, 1999, 2000] {
            let made = made(Some(Handle(n, n)), n * MILLI);
            assert_eq!(maker(n), Some(Some(made)), "{n}");
        }
        assert_eq!(maker(10), Some(None), "it is not known any more");
        assert!(places.total <= 3 * 1002, "{}", places.total);
        places.sweep(2 * FORGOTTEN);
        assert_eq!((places.total, places.ways.len()), (0, 0));
    }

    #[test]
    fn what_was_handed_over_before_a_forgotten_call_is_not_a_later_ones() {
        let mut places = Places::default();
        places.handed_over(SOCKET, made(None, 10));
        places.called(SOCKET, WRITER, 11);
        // The hand-over of the next is lost.
        places.called(SOCKET, WRITER, 5 * REMEMBERED);
        assert_eq!(places.maker(SOCKET, WRITER, 5 * REMEMBERED), Some(None));
    }

    #[test]
    fn places_are_bounded_and_old_ones_give_way() {
        let mut places = Places::default();
        for n in 0..MAX_PLACES as u64 {
            places.handed_over(Place::StreamOf(WRITER, n), made(None, MILLI));
        }
        places.handed_over(SOCKET, made(None, 2 * MILLI));
        assert_eq!(places.maker(SOCKET, WRITER, 3 * MILLI), None, "there is no room");
        places.handed_over(SOCKET, made(None, 3 * FORGOTTEN_SOON));
        assert_eq!(places.maker(SOCKET, WRITER, 3 * FORGOTTEN_SOON), Some(Some(made(None, 3 * FORGOTTEN_SOON))));
    }
}
