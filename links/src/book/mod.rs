//! The book: what the facts say so far. Rules read it, and nothing else.
//!
//! | file | what it is |
//! |---|---|
//! | `units.rs` | what units were seen to do, in the order in which it was told, and what that puts in doubt |
//! | `served.rs` | which requests a unit had in flight at a moment, whatever the order in which it was told |
//! | `under_way.rs` | the same of units, connections and processes, and where records are missing |
//! | `doubt.rs` | how doubt passes |
//! | `losses.rs` | whose records are missing |
//! | `sleeps.rs` | what threads sleep on |
//! | `lives.rs` | what units were seen to do that others read for |
//! | `loops/` | what loops were seen to do that number their pieces of work |
//! | `places.rs` | calls on their way |
//! | `handles.rs` | what requests are known by |
//! | `streams.rs` | requests that one unit takes in and another serves |
//! | `readers.rs` | what threads of pools read, called and answered, one after the other |
//! | `virtuals.rs` | which connections virtual threads read requests of |
//! | `recent.rs` | the bound on both |
//! | `results.rs` | what workers give to those who wait |
//! | `births.rs` | whether it is worth being told of births |
//! | `spawns.rs` | units that others made, and which places in a program are believed that make them |
//!
//! It holds what its spans' owner has not taken out by [`Book::forget`], and bounded memories of units and places.

pub mod births;
mod connections;
mod doubt;
mod handles;
pub mod lives;
pub mod loops;
mod losses;
mod places;
pub mod readers;
mod recent;
pub mod results;
mod served;
mod sleeps;
pub mod spawns;
mod streams;
mod under_way;
pub mod units;
pub mod virtuals;

use std::collections::BTreeSet;

use rustc_hash::FxHashMap as HashMap;
use slotmap::SecondaryMap;

use crate::court::SETTLED;
use crate::facts::{At, Cause, Fact, Place, UnitKey};
use crate::live::SpanKey;
use crate::rules::Missing;
use births::Births;
use connections::Connections;
use handles::{Handles, Named};
use lives::Lives;
use loops::Loops;
pub use places::Made;
use places::Places;
use readers::{Did, Readers, Step};
use results::{Given, Results};
pub use served::Alone;
use served::Served;
use sleeps::Sleeps;
use spawns::Spawns;
use streams::Streams;
use units::{Proof, Request, Units};
use virtuals::Virtuals;
use wirespan_signals::Slim as _;

/// What is known of a request.
#[derive(Debug)]
pub struct RequestNote {
    /// Who read its first byte.
    pub unit: UnitKey,
    /// When.
    pub read: At,
    /// When its last byte was read, as far as is known.
    pub read_last: At,
    /// The read waited for it.
    pub waited: bool,
    /// Its connection.
    pub connection: u64,
    /// It is over.
    pub is_over: bool,
    /// When, if that is known, `CLOCK_BOOTTIME` nanoseconds.
    pub over: Option<u64>,
    /// Who answered it, and when its last byte was sent.
    pub answered: Option<(Option<UnitKey>, At)>,
    /// Records of its process were lost while it was being read or in flight: it may have been over long before that is told, and
    /// whoever was at work for it at work for another, which nobody was told of.
    pub doubted: bool,
    /// Calls that hang below it, or may.
    pub calls: Vec<SpanKey>,
}

impl RequestNote {
    /// Who read it, as rules about threads see it.
    pub fn thread(&self) -> UnitKey {
        self.unit.on_thread(self.read.tid)
    }
}

/// What is known of a call.
#[derive(Debug)]
pub struct CallNote {
    /// Its span.
    pub key: SpanKey,
    /// Who wrote it.
    pub writer: UnitKey,
    /// That, as rules about threads see it.
    pub thread: UnitKey,
    /// Where to.
    pub place: Place,
    /// When.
    pub at: At,
    /// When its connection began to be opened for it.
    pub opened: Option<At>,
    /// What its writer seemed to serve, as was known when the call was told.
    pub proof: Proof,
    /// If that is nothing: why.
    pub missing: Missing,
    /// Its thread is over, and did nothing else.
    pub one_shot: bool,
    /// Who took in its response, and when.
    pub responded: Option<([Option<UnitKey>; 2], [At; 2])>,
    /// It is decided that it hangs below its request.
    pub linked: bool,
    /// It is no call: something that its unit writes where its lines go. Nobody else can have had that written.
    pub says: bool,
}

impl CallNote {
    /// When the work on it is known to have begun: its connection was opened for it.
    pub fn began(&self) -> u64 {
        self.opened.map_or(self.at.time, |opened| opened.time.min(self.at.time))
    }
}

/// Who made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// This unit, with what is known of how.
    Unit(Made),
    /// Calls go to this place on behalf of others, and on whose behalf this one went was not seen.
    Unseen,
}

/// Everything that the facts say.
#[derive(Debug, Default)]
pub struct Book {
    /// What units were seen to do.
    pub units: Units,
    requests: SecondaryMap<SpanKey, Box<RequestNote>>,
    calls: SecondaryMap<SpanKey, Box<CallNote>>,
    served: Served,
    places: Places,
    /// Requests by who read them, of units whose ids are never used again.
    read_by: HashMap<UnitKey, Vec<SpanKey>>,
    /// Requests that are not over, by process and in the order in which they were read.
    open: HashMap<u32, BTreeSet<(u64, SpanKey)>>,
    /// What units were seen to do that others read for.
    pub lives: Lives,
    /// What they gave to each other.
    pub results: Results,
    /// Which units others made.
    pub spawns: Spawns,
    /// Of which processes that is told.
    pub births: Births,
    /// How late it is, `CLOCK_BOOTTIME` nanoseconds.
    now: u64,
    /// What loops were seen to do that number their pieces of work.
    pub loops: Loops,
    handles: Handles,
    streams: Streams,
    connections: Connections,
    /// What threads sleep on.
    pub sleeps: Sleeps,
    /// What threads of pools did, one thing after the other.
    pub readers: Readers,
    /// Which connections virtual threads read requests of.
    pub virtuals: Virtuals,
}

impl Book {
    /// Takes a fact in. Returns the calls of which more is known now than what happened to themselves.
    pub fn hear(&mut self, fact: &Fact) -> Vec<SpanKey> {
        if let Some(time) = fact.time() {
            self.units.set_time(time);
            self.now = self.now.max(time);
        }
        match *fact {
            Fact::Read { request, unit, connection, cookie, at, waited, queued } => {
                self.read(request, unit, connection, at, waited, queued);
                self.connections.came(cookie, request, queued);
                self.loops.read(unit, request, cookie, at);
            }
            Fact::Called { call, unit, place, at, opened } => {
                self.called(call, unit, place, at, opened);
                self.loops.called(unit, call, place, at, opened);
            }
            Fact::Responded { call, units, at, waited, operation } => {
                self.responded(call, units, at, waited);
                self.loops.responded(call, operation, at[1]);
            }
            Fact::Over { request, answered, read } => {
                self.over(request, answered, read);
                if let Some((_, at)) = answered {
                    self.loops.answered(request, at);
                }
                let mut waiting = self.requests.get(request).map(|note| note.calls.clone()).unwrap_or_default();
                match answered {
                    Some((Some(by), at)) if by.is_fed() => waiting.extend(self.lives.answered(by, request, at)),
                    Some((Some(by), at)) => {
                        let more = self.readers.calls_before(by, at.time);
                        waiting.extend(more.into_iter().filter(|call| !waiting.contains(call)).collect::<Vec<_>>());
                    }
                    _ => {}
                }
                return waiting;
            }
            Fact::Born { unit, of: Some(of), site, time, .. } if unit.is_numbered() => {
                self.spawns.born(unit, of, site, time);
            }
            Fact::Born { unit, of, mark, time, .. } => {
                if !unit.is_fed() {
                    self.served.born(unit, time);
                }
                if let Some(of) = of.filter(|_| unit.is_fed()) {
                    self.lives.born(unit, of, lives::Moment { time, mark });
                }
                self.sleeps.forget(unit);
                self.readers.gone(unit);
                if let Some(creator) = of.filter(|_| unit.is_thread()) {
                    self.units.created(creator, unit);
                }
            }
            Fact::Ended { unit, time, .. } if unit.is_fed() => {
                self.served.ended(unit);
                return self.lives.ended(unit, time);
            }
            Fact::Ended { unit, time, .. } if unit.is_numbered() => self.spawns.ended(unit, time),
            Fact::Ended { unit, with_process, .. } => {
                self.served.ended(unit);
                self.sleeps.forget(unit);
                self.readers.gone(unit);
                self.results.ended(unit);
                self.loops.gone(unit);
                if unit.leads() {
                    self.places.gone(unit.tgid);
                    self.lives.gone(unit.tgid);
                    self.spawns.gone(unit.tgid);
                    self.births.gone(unit.tgid);
                    self.virtuals.gone(unit.tgid);
                }
                return self.one_shots(unit, with_process);
            }
            Fact::HandedOver { by, to, handle, time } => {
                self.handed_over(to, Made { by, handle, relays: None, time });
            }
            Fact::Relayed { by, to, of, time } => {
                self.handed_over(Place::Connection(to), Made { by, handle: None, relays: Some(of), time });
            }
            Fact::Named { unit, handle, lasts, time } => self.handles.named(handle, Named { unit, time, lasts }),
            Fact::CameOn { request, reader, reader_of, stream, time } => {
                self.streams.came(request, [Some(reader), reader_of], stream, time);
            }
            Fact::TakenUp { by, from, stream, time } => self.streams.taken_up(by, from, stream, time),
            Fact::Lost { of, losing } => {
                let until = self.units.lost_records(of, losing);
                self.doubt_open(of);
                self.places.lost(of);
                self.lives.lost(of);
                self.results.lose(of);
                self.loops.lost(of, until);
                self.spawns.lost(of);
                self.readers.lost(of, self.now);
            }
            Fact::Watched { tgid, births: false, time } => {
                self.spawns.lost(Some(tgid));
                self.births.calls_told(tgid, time);
            }
            Fact::Watched { tgid, births: true, time } => {
                self.spawns.listen(tgid);
                self.births.told(tgid, time);
            }
            Fact::Unread { tgid } => self.units.reads_unknown(tgid),
            Fact::Slept { thread, on, cookie, .. } => self.sleeps.slept(thread, on, cookie),
            Fact::Woke { unit, by, at } if unit.is_fed() && by.is_thread() => self.lives.woken(unit, at),
            // A pool's thread numbers no work, and begins jobs.
            Fact::Turn { thread, cause: Cause::Immediate, newest: 0, time, .. } => {
                return self.results.took_up(thread, time);
            }
            Fact::Turn { thread, cause, cookie, newest, time } => {
                self.loops.begins(thread, cause, cookie, newest, time);
            }
            Fact::Resolved { unit, by, time } => return self.resolved(unit, by, time),
            // No rule asks for these yet.
            Fact::Woke { .. } => {}
        }
        Vec::new()
    }

    fn read(&mut self, request: SpanKey, unit: UnitKey, connection: u64, at: At, waited: bool, queued: bool) {
        let thread = unit.on_thread(at.tid);
        self.units.read_request(thread, Request { span: request, connection, nonblocking: !waited, queued });
        self.open.entry(unit.tgid).or_default().insert((at.time, request));
        self.units.has_threads(unit.tgid, at.only);
        self.served.read(unit, request, at.time);
        if thread != unit {
            self.served.read(thread, request, at.time);
        }
        let note = RequestNote {
            unit,
            read: at,
            read_last: at,
            waited,
            connection,
            is_over: false,
            over: None,
            answered: None,
            doubted: self.units.may_have_lost(unit.tgid, at.time),
            calls: Vec::new(),
        };
        self.requests.insert(request, Box::new(note));
        self.readers.did(unit, Step { time: at.time, span: request, did: Did::Read(connection) });
        if !unit.is_thread() && !unit.is_fed() {
            self.read_by.entry(unit).or_default().push(request);
        }
        if unit.is_virtual() {
            self.virtuals.read(unit, connection, at.time);
        }
    }

    /// A unit has what it waited for. Calls of whoever gave it wait for what it does with it.
    fn resolved(&mut self, unit: UnitKey, by: UnitKey, time: u64) -> Vec<SpanKey> {
        let calls = self.results.gave(by, unit, time).unwrap_or_else(|| self.lives.waiting(by));
        for call in &calls {
            self.lives.called(unit, *call, time);
        }
        calls
    }

    /// A call is on its way. What was told of calls before the first that is handed over is told again.
    fn handed_over(&mut self, to: Place, made: Made) {
        self.spawns.called(made.by, None, made.handle.is_some(), made.time);
        if self.places.handed_over(to, made) {
            let earlier = self.calls.values().filter(|c| c.writer.tgid == made.by.tgid);
            earlier.for_each(|call| self.places.called(call.place, call.writer, call.at.time));
        }
    }

    fn called(&mut self, call: SpanKey, writer: UnitKey, place: Place, at: At, opened: Option<At>) {
        let thread = writer.on_thread(at.tid);
        self.units.calls(thread);
        let note = self.note(call, writer, place, at);
        let proof = note.proof;
        if let Proof::IfOneShot(_) = proof {
            self.units.wait_for_end(thread, call);
        }
        self.places.called(place, writer, at.time);
        self.readers.did(writer, Step { time: at.time, span: call, did: Did::Called });
        let watched = || self.readers.knows(thread) && self.units.held(thread.tgid).handed_on;
        if let (Some(cookie), true) = (place.cookie(), thread.is_thread())
            && (matches!(proof, Proof::Perhaps(..)) || watched())
        {
            self.sleeps.called(thread, cookie);
        }
        self.lives.called(writer, call, at.time);
        self.spawns.called(writer, Some(place), false, at.time);
        self.results.called(writer, call, at.time);
        // What its maker gave may have been told before it.
        if let Given::To(unit, time) = self.results.given(writer, at.time) {
            self.lives.called(unit, call, time);
        }
        self.calls.insert(call, Box::new(CallNote { opened, ..note }));
    }

    /// A unit says something. Whose that is, is asked as of a call; but it speaks for or against nothing else.
    pub fn says(&mut self, key: SpanKey, writer: UnitKey, at: At) {
        let note = self.note(key, writer, Place::Unit(writer), at);
        self.lives.called(writer, key, at.time);
        self.loops.said(writer, key, at);
        self.calls.insert(key, Box::new(CallNote { says: true, ..note }));
    }

    /// What is known of a call as it is told.
    fn note(&self, key: SpanKey, writer: UnitKey, place: Place, at: At) -> CallNote {
        let thread = writer.on_thread(at.tid);
        CallNote {
            key,
            writer,
            thread,
            place,
            at,
            opened: None,
            proof: self.units.proof(thread),
            missing: self.units.missing(thread),
            one_shot: false,
            responded: None,
            linked: false,
            says: false,
        }
    }

    fn responded(&mut self, call: SpanKey, units: [Option<UnitKey>; 2], at: [At; 2], waited: bool) {
        let Some(note) = self.calls.get_mut(call) else { return };
        note.responded = Some((units, at));
        if units == [Some(note.writer); 2] {
            self.readers.did(note.writer, Step { time: at[1].time, span: call, did: Did::Responded });
            if waited {
                self.readers.waited(note.writer);
            }
        }
        if waited && units[0].map(|unit| unit.on_thread(at[0].tid)) == Some(note.thread) {
            self.units.waited(note.thread);
        }
    }

    /// A request is open no more.
    fn closed(&mut self, tgid: u32, read: u64, request: SpanKey) {
        if let Some(open) = self.open.get_mut(&tgid) {
            // (Where none is left, the next soon comes: its place is given back later.)
            open.remove(&(read, request));
        }
    }

    fn over(&mut self, request: SpanKey, answered: Option<(Option<UnitKey>, At)>, read: Option<At>) {
        let Some(note) = self.requests.get_mut(request) else { return };
        note.answered = answered;
        note.is_over = true;
        note.over = answered.map(|(_, at)| at.time);
        note.read_last = read.unwrap_or(note.read_last);
        let (unit, thread, read, over) = (note.unit, note.thread(), note.read.time, note.over);
        if let Some((Some(by), at)) = answered {
            let did = Did::Answered { connection: note.connection, own: by == unit, read };
            self.readers.did(by, Step { time: at.time, span: request, did });
        }
        self.closed(unit.tgid, read, request);
        self.served.over(unit, request, over);
        if thread != unit {
            self.served.over(thread, request, over);
        }
        self.units.over(thread, request, answered.is_some());
        self.spawns.over(request, self.now);
        if let Some((Some(by), at)) = answered {
            match unit.is_greenlet() {
                true => self.units.passed(unit, by),
                false => self.units.passed(thread, by.on_thread(at.tid)),
            }
        }
    }

    /// A unit is gone: what its calls waited for is known, if it was made for a request.
    fn one_shots(&mut self, unit: UnitKey, with_process: bool) -> Vec<SpanKey> {
        let proven = self.units.ended(unit, with_process);
        for (call, _) in &proven {
            if let Some(note) = self.calls.get_mut(*call) {
                note.one_shot = true;
            }
        }
        proven.into_iter().map(|(call, _)| call).collect()
    }

    /// It is so late by now, whatever is told.
    pub fn passes(&mut self, now: u64) {
        self.now = self.now.max(now);
        self.learn_of_spawns();
        self.readers.learn(self.now);
    }

    /// Whether all that happened at a moment has been told, in whatever order.
    pub fn is_settled(&self, time: u64) -> bool {
        time.saturating_add(SETTLED) <= self.now
    }

    /// Whether a process was seen to take in a request.
    pub fn serves(&self, tgid: u32) -> bool {
        self.units.serves(tgid)
    }

    /// A request, as long as its span is here.
    pub fn request(&self, request: SpanKey) -> Option<&RequestNote> {
        self.requests.get(request).map(|note| &**note)
    }

    /// A call, as long as its span is here.
    pub fn call(&self, call: SpanKey) -> Option<&CallNote> {
        self.calls.get(call).map(|note| &**note)
    }

    /// Who made a call: whoever wrote it, or handed it over before that.
    ///
    /// What its maker had in flight is asked of the moment at which it was handed over. The kernel tells of a write when that has
    /// returned: who is asked may have answered by then, and the request be over that the call was made for.
    pub fn maker(&self, call: &CallNote) -> Maker {
        if call.says {
            return Maker::Unit(Made { by: call.writer, handle: None, relays: None, time: call.at.time });
        }
        match self.places.maker(call.place, call.writer, call.at.time) {
            Some(Some(made)) => Maker::Unit(made),
            Some(None) => Maker::Unseen,
            None => Maker::Unit(Made { by: call.writer, handle: None, relays: None, time: call.at.time }),
        }
    }

    /// Whether a thread made a call, and nothing finer: what it does may be left over from something else.
    pub fn is_threads_own(&self, call: SpanKey) -> bool {
        let Some(note) = self.calls.get(call) else { return true };
        matches!(self.maker(note), Maker::Unit(Made { by, handle: None, relays: None, .. }) if by.is_thread() || by.is_fed())
    }

    /// Whether the thread that made a call had not gone to sleep since it took in something that belongs to the request: its
    /// bytes, or the response to an earlier call below it.
    pub fn ran_on(&self, call: &CallNote, request: SpanKey) -> bool {
        let Some(above) = self.requests.get(request) else { return false };
        let siblings = above.calls.iter().filter_map(|c| self.calls.get(*c)).filter(|c| c.linked);
        let responses = siblings.filter_map(|c| c.responded).flat_map(|(_, at)| at);
        let mut taken = [above.read, above.read_last].into_iter().chain(responses);
        taken.any(|earlier| call.at.ran_on_from(earlier) || call.opened.is_some_and(|o| o.ran_on_from(earlier)))
    }

    /// A call may hang below a request.
    pub fn may_hang(&mut self, call: SpanKey, request: SpanKey) {
        if let Some(note) = self.requests.get_mut(request).filter(|n| !n.calls.contains(&call)) {
            note.calls.push(call);
        }
    }

    /// A call hangs below a request.
    pub fn hangs(&mut self, call: SpanKey, request: SpanKey) {
        self.may_hang(call, request);
        if let Some(note) = self.calls.get_mut(call) {
            note.linked = true;
        }
    }

    /// A span is gone.
    pub fn forget(&mut self, span: SpanKey) {
        self.calls.remove(span);
        self.loops.forget(span);
        self.streams.forget(span);
        self.connections.forget(span);
        if let Some(note) = self.requests.remove(span) {
            if let Some(read) = self.read_by.get_mut(&note.unit) {
                read.retain(|request| *request != span);
                if read.is_empty() {
                    self.read_by.remove(&note.unit);
                }
            }
            self.closed(note.unit.tgid, note.read.time, span);
            self.spawns.over(span, self.now);
            // (What is over has been told, and is listed with when, or not at all.)
            if !note.is_over {
                self.units.over(note.thread(), span, false);
                self.served.forget(note.unit, span);
                self.served.forget(note.thread(), span);
            }
        }
    }

    /// Forgets what refers to spans that are gone, and what is too old to be asked for.
    pub fn sweep(&mut self, now: u64, alive: impl Fn(SpanKey) -> bool) {
        self.units.retain(&alive);
        self.lives.sweep(now, &alive);
        self.results.sweep(now, alive);
        self.served.sweep(now);
        self.places.sweep(now);
        self.handles.sweep(now);
        self.streams.sweep(now);
        for tgid in self.births.give_up(now) {
            self.spawns.ignore(tgid);
        }
        self.spawns.sweep(now);
        self.readers.sweep(now);
        self.virtuals.sweep(now);
        self.connections.slim();
        self.loops.slim();
        self.sleeps.slim();
        self.open.retain(|_, open| !open.is_empty());
        self.open.slim();
        self.read_by.slim();
    }
}
