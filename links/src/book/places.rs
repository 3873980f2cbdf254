//! Calls on their way from the unit that made them to whoever writes them.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::facts::{Handle, Place, UnitKey};

/// Places at a time; more are not kept, and their calls have no maker.
const MAX_PLACES: usize = 65_536;
/// Calls on their way to one place that are remembered.
const MAX_AT_PLACE: usize = 32;
/// A place where nothing happened for this long is forgotten, nanoseconds.
const FORGOTTEN: u64 = 600_000_000_000;
/// Where there are too many, one where nothing happened for this long; looked for as often, at most.
const FORGOTTEN_SOON: u64 = 2_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Handed {
    by: UnitKey,
    handle: Option<Handle>,
    time: u64,
}

#[derive(Debug, Default)]
struct Way {
    handed: VecDeque<Handed>,
    /// When calls were written there.
    written: VecDeque<u64>,
    used: u64,
    /// Calls were handed over to it.
    hands: bool,
}

/// All places.
#[derive(Debug, Default)]
pub struct Places {
    ways: HashMap<Place, Way>,
    /// When it was last looked for those to be forgotten soon.
    shed: u64,
    /// Processes in which calls are handed over.
    handing: HashSet<u32>,
}

impl Places {
    /// A call is on its way. Returns whether it is the first of its process: then the calls before it must be told again.
    pub fn handed_over(&mut self, to: Place, by: UnitKey, handle: Option<Handle>, time: u64) -> bool {
        let first = self.handing.insert(by.tgid);
        if let Some(way) = self.way(to, time) {
            if way.handed.len() >= MAX_AT_PLACE {
                way.handed.pop_front();
            }
            way.handed.push_back(Handed { by, handle, time });
            way.hands = true;
        }
        first
    }

    /// A call was written to a place by a unit.
    pub fn called(&mut self, place: Place, writer: UnitKey, time: u64) {
        if !self.handing.contains(&writer.tgid) {
            return;
        }
        // (A stream has one call.)
        for place in ways(place, writer).into_iter().filter(|p| matches!(p, Place::Connection(_) | Place::Unit(_))) {
            let Some(way) = self.way(place, time) else { continue };
            if way.written.len() >= MAX_AT_PLACE {
                way.written.pop_front();
            }
            way.written.push_back(time);
        }
    }

    fn way(&mut self, place: Place, time: u64) -> Option<&mut Way> {
        if self.ways.len() >= MAX_PLACES && !self.ways.contains_key(&place) {
            if time > self.shed.saturating_add(FORGOTTEN_SOON) {
                self.shed = time;
                self.ways.retain(|_, way| way.used.saturating_add(FORGOTTEN_SOON) > time);
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
    }

    /// Who handed over the call that `writer` wrote to `place` at `time`: the last since the call before there. `Some(None)` if
    /// calls are handed over there and this one was not seen to be; `None` if none ever was.
    pub fn maker(&self, place: Place, writer: UnitKey, time: u64) -> Option<Option<(UnitKey, Option<Handle>)>> {
        ways(place, writer).into_iter().find_map(|place| self.maker_at(place, time))
    }

    fn maker_at(&self, place: Place, time: u64) -> Option<Option<(UnitKey, Option<Handle>)>> {
        let way = self.ways.get(&place).filter(|way| way.hands)?;
        let before = way.written.iter().copied().filter(|at| *at < time).max().unwrap_or(0);
        let since = way.handed.iter().filter(|h| h.time > before && h.time <= time);
        Some(since.max_by_key(|h| h.time).map(|h| (h.by, h.handle)))
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.handing.remove(&tgid);
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        let recent = |time: u64| time.saturating_add(FORGOTTEN) > now;
        self.ways.retain(|_, way| recent(way.used));
    }
}

/// The places to which a call may have been handed over that `writer` wrote to `place`, the most certain first.
fn ways(place: Place, writer: UnitKey) -> Vec<Place> {
    match place {
        Place::Stream(cookie, id) => {
            vec![place, Place::StreamOf(writer, id), Place::Connection(cookie), Place::Unit(writer)]
        }
        place => vec![place, Place::Unit(writer)],
    }
}
