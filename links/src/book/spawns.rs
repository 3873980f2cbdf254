//! Units whose numbers are never used again, that others made: by whom, at which place in the program, and when they ended.
//!
//! Who made a unit is no proof of what it works for: pools make their workers when there is work, for whom they work next is
//! another question. So a *place* is believed that has shown otherwise: all that it made for a request, and that made a call, was
//! through when that was answered, many times in a row. One that is seen to outlive a request, or to call for it after that, is
//! not believed, for longer each time.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use wirespan_signals::Slim as _;

use super::doubt::Doubt;
use super::{Alone, Book, Made, Maker};
use crate::court::SETTLED;
use crate::facts::{Place, UnitKey};
use crate::live::SpanKey;

/// Units at a time; of more, nothing is remembered.
const MAX_UNITS: usize = 131_072;
/// Places at a time; others are not believed.
const MAX_PLACES: usize = 16_384;
/// Calls of which it is not known yet how they ended; of more, nothing is learnt.
const MAX_CALLS: usize = 65_536;
/// Units from one to the one that made it, and so on.
const MAX_DEPTH: usize = 8;
/// So many calls in a row must go as they should before a place is believed at all.
const ENOUGH: u32 = 32;
/// One that made one call and ended so soon after the answer may have been kept from its last step by the scheduler: it counts
/// for nothing, nanoseconds.
const SOON: u64 = 10_000_000;
/// When it is looked again at a request that is over, if not all of that moment is told, nanoseconds.
const AGAIN: u64 = 50_000_000;
/// What ended, or did nothing, for so long is forgotten, nanoseconds.
const FORGOTTEN: u64 = 60_000_000_000;
const FORGOTTEN_ALIVE: u64 = 600_000_000_000;

/// A unit that another made.
#[derive(Clone, Copy, Debug)]
struct Spawn {
    of: UnitKey,
    /// The place in the program.
    site: u64,
    time: u64,
    ended: Option<u64>,
    /// Calls that it made.
    calls: u32,
    /// It made others.
    makes: bool,
    used: u64,
}

/// How it went with a unit that was made for a request, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was through when that was answered.
    Within,
    /// That is not certain.
    Unclear,
    /// It outlived the request, or called after it.
    Beyond,
    /// The request is not over, or not all of that moment is told.
    Open,
}

/// The request which was served by who made a unit, or made the one that made it, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeFor {
    /// The request.
    pub request: SpanKey,
    /// How a call of the unit went.
    pub outcome: Outcome,
    /// The places that made it, and those that it was made by; and how it went with what each made.
    pub sites: Vec<(u64, Outcome)>,
}

#[derive(Debug, Default)]
struct Site {
    /// Calls in a row that went as they should.
    within: u32,
    doubt: Doubt,
}

/// A call that is to be learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    when: u64,
    unit: UnitKey,
    time: u64,
    /// Where it wrote the call itself.
    wrote: Option<Place>,
    /// The call says itself whose it is.
    says: bool,
}

/// All such units.
#[derive(Debug, Default)]
pub struct Spawns {
    units: HashMap<UnitKey, Spawn>,
    sites: HashMap<(u32, u64), Site>,
    /// Those whose units and places these are: any process of the host may end.
    processes: HashSet<u32>,
    /// Those of which no births are told any more; what is still on its way is not the whole of it.
    ignored: HashSet<u32>,
    /// By when they are to be looked at, about.
    due: VecDeque<Due>,
    /// Those of requests that are under way, by these, and how many they are.
    open: HashMap<SpanKey, Vec<Due>>,
    held: usize,
}

impl Spawns {
    /// A unit was made by another, at a place in the program.
    pub fn born(&mut self, unit: UnitKey, of: UnitKey, site: u64, time: u64) {
        if let Some(maker) = self.units.get_mut(&of) {
            (maker.makes, maker.used) = (true, maker.used.max(time));
        }
        if self.units.len() < MAX_UNITS && !self.ignored.contains(&unit.tgid) {
            self.processes.insert(unit.tgid);
            self.units.insert(unit, Spawn { of, site, time, ended: None, calls: 0, makes: false, used: time });
        }
    }

    /// A unit is gone.
    pub fn ended(&mut self, unit: UnitKey, time: u64) {
        let Some(spawn) = self.units.get_mut(&unit) else { return };
        (spawn.ended, spawn.used) = (Some(time), spawn.used.max(time));
        // (News of a call may be late.)
        if spawn.calls == 0 && !spawn.makes && self.units.len() > MAX_UNITS / 2 {
            self.units.remove(&unit);
        }
    }

    /// A unit handed a call over, which may say itself whose it is, or wrote it itself.
    pub fn called(&mut self, unit: UnitKey, wrote: Option<Place>, says: bool, time: u64) {
        let Some(spawn) = self.units.get_mut(&unit) else { return };
        (spawn.calls, spawn.used) = (spawn.calls.saturating_add(1), spawn.used.max(time));
        if self.due.len() + self.held < MAX_CALLS {
            self.due.push_back(Due { when: time.saturating_add(SETTLED), unit, time, wrote, says });
        }
    }

    /// A unit, the one that made it, and so on, as far as is known.
    fn line(&self, unit: UnitKey) -> impl Iterator<Item = &Spawn> {
        std::iter::successors(self.units.get(&unit), |spawn| self.units.get(&spawn.of)).take(MAX_DEPTH)
    }

    /// A call from which it is time to learn.
    fn next_due(&mut self, now: u64) -> Option<Due> {
        self.due.pop_front_if(|due| due.when <= now)
    }

    /// There is nothing to learn from a call before its request is over.
    fn hold(&mut self, due: Due, request: SpanKey) {
        self.open.entry(request).or_default().push(due);
        self.held += 1;
    }

    /// A request is over, or its span is gone.
    pub fn over(&mut self, request: SpanKey, now: u64) {
        let held = self.open.remove(&request).unwrap_or_default();
        self.held -= held.len();
        self.due.extend(held.into_iter().map(|due| Due { when: now.saturating_add(SETTLED), ..due }));
    }

    /// How a call went, and what each place made that made who made it.
    fn learn(&mut self, due: Due, made: &MadeFor, now: u64) {
        if made.outcome == Outcome::Open {
            self.due.push_back(Due { when: now.saturating_add(AGAIN), ..due });
        }
        for (site, outcome) in &made.sites {
            let place = (due.unit.tgid, *site);
            if self.sites.len() >= MAX_PLACES && !self.sites.contains_key(&place) {
                continue;
            }
            let site = self.sites.entry(place).or_default();
            match outcome {
                Outcome::Within if made.outcome == Outcome::Within => {
                    site.within = site.within.saturating_add(1);
                    site.doubt.calm(now);
                }
                Outcome::Beyond => {
                    site.within = 0;
                    site.doubt.raise(now);
                }
                _ => {}
            }
        }
    }

    /// Whether what a place makes is through when the request is answered for which it was made, as was seen many times.
    pub fn is_believed(&self, tgid: u32, site: u64) -> bool {
        self.sites.get(&(tgid, site)).is_some_and(|site| site.within >= ENOUGH && !site.doubt.is_held())
    }

    /// Whether what a place makes was seen to outlive a request of late, or to call for it after that.
    pub fn is_doubted(&self, tgid: u32, site: u64) -> bool {
        self.sites.get(&(tgid, site)).is_some_and(|site| site.doubt.is_held())
    }

    /// Records of a process, or of nobody knows whom, were lost: who made whom is not known any more.
    pub fn lost(&mut self, of: Option<u32>) {
        self.units.retain(|unit, _| of.is_some_and(|tgid| unit.tgid != tgid));
    }

    /// Births of a process are told no longer: neither will be that a unit ends. What its places have shown remains.
    pub fn ignore(&mut self, tgid: u32) {
        self.lost(Some(tgid));
        self.ignored.insert(tgid);
    }

    /// They are told from now on.
    pub fn listen(&mut self, tgid: u32) {
        self.ignored.remove(&tgid);
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.ignored.remove(&tgid);
        if self.processes.remove(&tgid) {
            self.units.retain(|unit, _| unit.tgid != tgid);
            self.sites.retain(|(of, _), _| *of != tgid);
        }
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        self.units.retain(|_, spawn| {
            let kept = if spawn.ended.is_some() { FORGOTTEN } else { FORGOTTEN_ALIVE };
            spawn.used.saturating_add(kept) > now
        });
        self.units.slim();
        self.sites.slim();
        self.due.slim();
        self.open.slim();
    }
}

impl Book {
    /// Learns from calls that are over how far places are to be believed.
    pub(super) fn learn_of_spawns(&mut self) {
        while let Some(due) = self.spawns.next_due(self.now) {
            // (What others handed to it was told of them.)
            let others = due.wrote.is_some_and(|place| self.places.maker(place, due.unit, due.time).is_some());
            let Some(made) = self.made_for(due.unit, due.time).filter(|_| !others) else { continue };
            match self.requests.get(made.request) {
                Some(note) if !note.is_over => self.spawns.hold(due, made.request),
                _ => {
                    self.spawns.learn(due, &made, self.now);
                    if made.outcome == Outcome::Within && !due.says {
                        self.births.explained(due.unit.tgid, self.now);
                    }
                }
            }
        }
    }

    /// A call hangs below no request, as was decided: perhaps it is worth being told who made its maker.
    pub fn stays_root(&mut self, call: SpanKey) {
        let Some(note) = self.calls.get(call) else { return };
        let Maker::Unit(Made { by, handle: None, relays: None, time }) = self.maker(note) else { return };
        let serves = self.serves(by.tgid) && self.in_flight(by, time) == Alone::None;
        if by.is_numbered() && serves && self.made_for(by, time).is_none() {
            self.births.missed(by.tgid, time, self.now);
        }
    }

    /// The request for which a unit that made a call at a moment was made, if it serves none itself.
    pub fn made_for(&self, unit: UnitKey, time: u64) -> Option<MadeFor> {
        if self.in_flight(unit, time) != Alone::None {
            return None;
        }
        let mut line: Vec<&Spawn> = Vec::new();
        for spawn in self.spawns.line(unit) {
            line.push(spawn);
            match self.in_flight(spawn.of, spawn.time) {
                Alone::None => {}
                Alone::Several | Alone::Lost => return None,
                Alone::One(request) => {
                    // (Its trace may have left by now.)
                    let note = self.requests.get(request);
                    let over = note.map_or_else(|| self.served.over_of(spawn.of, request), |note| note.over);
                    let of = |spawn: &Spawn, called: u64| match over {
                        Some(over) if self.is_settled(over) => outcome(spawn, called, over),
                        None if note.is_none_or(|note| note.is_over) => Outcome::Unclear,
                        _ => Outcome::Open,
                    };
                    // (The others' part was over when they had made it.)
                    let called = |at: usize| if at == 0 { time } else { line[at - 1].time };
                    let sites = line.iter().enumerate().map(|(at, spawn)| (spawn.site, of(spawn, called(at))));
                    let sites: Vec<(u64, Outcome)> = sites.collect();
                    let worst = sites.iter().map(|(_, outcome)| *outcome).max().unwrap_or(Outcome::Open);
                    return Some(MadeFor { request, outcome: worst, sites });
                }
            }
        }
        None
    }
}

/// How it went with a unit that was made for a request which was answered at `over`, and last did something for it at `called`.
fn outcome(spawn: &Spawn, called: u64, over: u64) -> Outcome {
    match spawn.ended.map_or(u64::MAX, |ended| ended.saturating_sub(over)) {
        _ if called > over => Outcome::Beyond,
        0 => Outcome::Within,
        late if late <= SOON && spawn.calls <= 1 => Outcome::Unclear,
        _ => Outcome::Beyond,
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;
    use wirespan_common::UNIT_GOROUTINE;

    use super::*;
    use crate::facts::{At, Fact};

    const SITE: u64 = 0x4000;

    fn unit(id: u64) -> UnitKey {
        UnitKey { tgid: 1, kind: UNIT_GOROUTINE, id }
    }

    fn learns(spawns: &mut Spawns, outcome: Outcome, now: u64) {
        let made = MadeFor { request: SpanKey::default(), outcome, sites: vec![(SITE, outcome)] };
        spawns.learn(Due { when: 0, unit: unit(2), time: 0, wrote: None, says: false }, &made, now);
    }

    #[test]
    fn a_place_is_believed_after_enough_and_not_once_it_was_seen_otherwise() {
        let mut spawns = Spawns::default();
        for n in 0..ENOUGH {
            assert!(!spawns.is_believed(1, SITE), "{n}");
            learns(&mut spawns, Outcome::Unclear, 0);
            learns(&mut spawns, Outcome::Within, 0);
        }
        assert!(spawns.is_believed(1, SITE) && !spawns.is_believed(2, SITE));
        learns(&mut spawns, Outcome::Beyond, 1);
        (0..10 * ENOUGH).for_each(|_| learns(&mut spawns, Outcome::Within, 2));
        assert!(!spawns.is_believed(1, SITE), "so soon");
        (0..ENOUGH).for_each(|_| learns(&mut spawns, Outcome::Within, 100_000_000_000));
        assert!(spawns.is_believed(1, SITE));
    }

    #[test]
    fn how_it_went_is_known_by_when_it_was_through() {
        let of = |ended, calls, called| {
            let spawn = Spawn { of: unit(1), site: 1, time: 1, ended, calls, makes: false, used: 1 };
            outcome(&spawn, called, 100)
        };
        assert_eq!(of(Some(100), 1, 50), Outcome::Within);
        assert_eq!(of(Some(101), 1, 50), Outcome::Unclear);
        assert_eq!(of(Some(101), 2, 50), Outcome::Beyond, "it may have done another's work");
        assert_eq!(of(Some(102 + SOON), 1, 50), Outcome::Beyond);
        assert_eq!(of(None, 1, 50), Outcome::Beyond);
        assert_eq!(of(Some(90), 1, 101), Outcome::Beyond);
    }

    #[test]
    fn what_was_called_for_a_request_is_learnt_from_when_that_is_over_or_gone() {
        let mut keys: SlotMap<SpanKey, ()> = SlotMap::with_key();
        let at = |time| At { time, tid: 1, ..At::default() };
        for is_told in [true, false] {
            let (mut book, request, call) = (Book::default(), keys.insert(()), keys.insert(()));
            let (server, helper) = (unit(1), unit(2));
            for fact in [
                Fact::Read { request, unit: server, connection: 1, cookie: 0, at: at(1), waited: true, queued: true },
                Fact::Born { unit: helper, of: Some(server), site: SITE, mark: 0, time: 2 },
                Fact::Called { call, unit: helper, place: Place::Connection(6), at: at(3), opened: None },
                Fact::Ended { unit: helper, with_process: false, time: 4 },
            ] {
                book.hear(&fact);
            }
            for now in [SETTLED + 3, 100 * SETTLED] {
                book.passes(now);
                assert_eq!((book.spawns.due.len(), book.spawns.held), (0, 1), "nobody looks at it");
            }
            match is_told {
                true => drop(book.hear(&Fact::Over {
                    request,
                    answered: Some((Some(server), at(100 * SETTLED))),
                    read: None,
                })),
                false => book.forget(request),
            }
            assert_eq!((book.spawns.due.len(), book.spawns.held), (1, 0));
            book.passes(101 * SETTLED);
            assert!(book.spawns.due.is_empty() && book.spawns.open.is_empty());
            let within = book.spawns.sites.get(&(1, SITE)).map_or(0, |site| site.within);
            assert_eq!(within, u32::from(is_told), "of a request whose end is not told nothing is learnt");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let mut spawns = Spawns::default();
        for id in 2..MAX_UNITS as u64 + 10 {
            spawns.born(unit(id), unit(1), SITE, 1);
        }
        assert_eq!(spawns.units.len(), MAX_UNITS);
        spawns.called(unit(2), None, false, 5);
        spawns.ended(unit(2), 6);
        spawns.ended(unit(3), 6);
        assert_eq!(spawns.units.len(), MAX_UNITS - 1, "nobody asks for one that did nothing");
        spawns.sweep(FORGOTTEN + 7);
        assert!(!spawns.units.contains_key(&unit(2)) && spawns.units.contains_key(&unit(4)));
        assert_eq!(spawns.next_due(SETTLED + 4), None);
        assert_eq!(spawns.next_due(SETTLED + 5).map(|due| due.unit), Some(unit(2)));
        spawns.lost(Some(2));
        assert!(!spawns.units.is_empty());
        spawns.gone(1);
        assert!(spawns.units.is_empty() && spawns.sites.is_empty());
    }
}
