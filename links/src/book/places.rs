//! Calls on their way from the unit that made them to whoever writes them, and the handles that requests are known by.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::facts::{Handle, Place, UnitKey};

/// Places at a time; more are not kept, and their calls have no maker.
const MAX_PLACES: usize = 65_536;
/// Handles at a time.
const MAX_HANDLES: usize = 65_536;
/// Calls on their way to one place that are remembered.
const MAX_AT_PLACE: usize = 32;
/// Requests of one handle that are remembered.
const MAX_NAMED: usize = 8;
/// A place where nothing happened for this long is forgotten, nanoseconds.
const FORGOTTEN: u64 = 600_000_000_000;

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

/// A request that carries a handle.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Who serves it.
    pub unit: UnitKey,
    /// When it was named.
    pub time: u64,
}

/// All places and handles.
#[derive(Debug, Default)]
pub struct Places {
    ways: HashMap<Place, Way>,
    handles: HashMap<Handle, VecDeque<Named>>,
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
        for place in [place, Place::Unit(writer)] {
            let Some(way) = self.way(place, time) else { continue };
            if way.written.len() >= MAX_AT_PLACE {
                way.written.pop_front();
            }
            way.written.push_back(time);
        }
    }

    fn way(&mut self, place: Place, time: u64) -> Option<&mut Way> {
        if self.ways.len() >= MAX_PLACES && !self.ways.contains_key(&place) {
            return None;
        }
        let way = self.ways.entry(place).or_default();
        way.used = way.used.max(time);
        Some(way)
    }

    /// Records were lost: what was on its way may have been written unseen.
    pub fn lost(&mut self) {
        self.ways.values_mut().for_each(|way| way.handed.clear());
    }

    /// Who handed over the call that was written to `place` at `time`: the last since the call before. `Some(None)` if calls
    /// are handed over there and this one was not seen to be; `None` if none ever was.
    pub fn maker(&self, place: Place, time: u64) -> Option<Option<(UnitKey, Option<Handle>)>> {
        let way = self.ways.get(&place).filter(|way| way.hands)?;
        let before = way.written.iter().copied().filter(|at| *at < time).max().unwrap_or(0);
        let since = way.handed.iter().filter(|h| h.time > before && h.time <= time);
        Some(since.max_by_key(|h| h.time).map(|h| (h.by, h.handle)))
    }

    /// A request carries a handle.
    pub fn named(&mut self, handle: Handle, named: Named) {
        if self.handles.len() >= MAX_HANDLES && !self.handles.contains_key(&handle) {
            return;
        }
        let all = self.handles.entry(handle).or_default();
        if all.len() >= MAX_NAMED {
            all.pop_front();
        }
        all.push_back(named);
    }

    /// The requests that a handle was given to, up to `time`: the last of each unit.
    pub fn requests(&self, handle: Handle, time: u64) -> impl Iterator<Item = Named> {
        let mut last: Vec<Named> = Vec::new();
        for named in self.handles.get(&handle).into_iter().flatten().filter(|n| n.time <= time) {
            last.retain(|n| n.unit != named.unit || n.time > named.time);
            last.push(*named);
        }
        last.into_iter()
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.handing.remove(&tgid);
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        let recent = |time: u64| time.saturating_add(FORGOTTEN) > now;
        self.ways.retain(|_, way| recent(way.used));
        self.handles.retain(|_, named| named.back().is_some_and(|n| recent(n.time)));
    }
}
