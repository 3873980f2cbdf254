//! One loop, in the order in which things happened.

use rustc_hash::FxHashMap as HashMap;

use super::call::{Call, Connection, Request};
use super::doubts::{Believed, Doubts};
use super::segments::{Kind, Segment, Segments};
use crate::facts::{Cause, Work};
use crate::live::SpanKey;

/// Connections, and numbers of timers, of one loop that are remembered.
const MAX_KNOWN: usize = 65_536;
/// What happened in one piece of work that is remembered: one with more did not end, or that was not told.
const MAX_IN_ONE: usize = 16_384;
/// What began before records were lost is over after so long, nanoseconds, and what comes again and again has come again.
const LONG: u64 = 10_000_000_000;
/// Changes of how many calls were under way for a request that are remembered.
const MAX_BUSY: usize = 1024;
/// Calls from one to those that were made for what it got, and so on.
const MAX_DEPTH: usize = 64;

/// Something that happened on a loop's thread.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A piece of work began: with a socket or 0, when this was the newest number.
    Begins(Cause, u64, u64),
    /// A request came on a connection.
    Read(SpanKey, u64),
    /// A call went out on a connection, perhaps after that had been opened for it, then.
    Called(SpanKey, u64, Work, Option<(u64, Work)>),
    /// The last of its response came.
    Responded(SpanKey, u64),
    /// A request was answered.
    Answered(SpanKey, Work),
    /// Something was said, as for a call.
    Said(SpanKey, Work),
}

/// Whose a piece of work is.
struct Who {
    owner: Option<SpanKey>,
    /// The piece that left it to be done.
    left_by: Option<u64>,
    /// Nothing says.
    unknown: bool,
    /// Numbers lead to it, which were given before.
    chained: bool,
}

/// Where a call was begun, and whose it seems to be.
struct Begun {
    piece: u64,
    owner: Option<SpanKey>,
    chained: bool,
    /// The number of what may come again and again.
    timer: Option<u64>,
}

/// A loop.
#[derive(Debug, Default)]
pub struct Line {
    segments: Segments,
    connections: HashMap<u64, Connection>,
    requests: HashMap<SpanKey, Request>,
    pub calls: HashMap<SpanKey, Call>,
    /// In which piece of work a number of a timer made a call, and which.
    timers: HashMap<u64, (u64, SpanKey)>,
    doubts: Doubts,
    /// Of what began by then the end may be missing, since records were lost.
    lost_until: u64,
}

impl Line {
    /// Takes in what happened next. Returns the calls of which more is known now.
    pub fn take(&mut self, event: Event, time: u64) -> Vec<SpanKey> {
        if self.segments.last().and_then(|n| self.segments.get(n)).is_some_and(|s| s.happened() >= MAX_IN_ONE) {
            self.lost();
        }
        match event {
            Event::Begins(cause, cookie, newest) => return self.begins(cause, cookie, newest, time),
            Event::Read(request, cookie) => self.read(request, cookie, time),
            Event::Called(call, cookie, work, opened) => self.called(call, cookie, work, opened, time),
            Event::Responded(call, operation) => return self.responded(call, operation, time),
            Event::Answered(request, work) => self.answered(request, work, time),
            Event::Said(said, work) => self.said(said, work, time),
        }
        Vec::new()
    }

    /// Records were lost: what began a piece of work may not have been told.
    pub fn lost(&mut self) {
        self.segments.clear();
    }

    /// Records were lost that may have been of moments up to this one. What was under way on connections may be over, and other
    /// things be.
    pub fn records_lost(&mut self, until: u64) {
        self.lost();
        self.lost_until = self.lost_until.max(until);
        self.calls.values_mut().filter(|call| !call.ended).for_each(|call| call.lost = true);
    }

    fn begins(&mut self, cause: Cause, cookie: u64, newest: u64, time: u64) -> Vec<SpanKey> {
        let last = self.segments.last();
        let ended = last.map(|n| self.ends(n)).unwrap_or_default();
        // Another loop by now, on a thread of the same number.
        if last.and_then(|n| self.segments.get(n)).is_some_and(|segment| segment.newest > newest) {
            self.segments.clear();
        }
        let kind = match cause {
            Cause::Timer => Kind::Timer,
            Cause::Immediate => Kind::Immediate,
            Cause::Connected => Kind::Connected,
            Cause::Arrival | Cause::Accepted | Cause::WakeUp => Kind::Other,
        };
        let mut segment = Segment::new(newest, time, cookie, kind);
        if let Some(connection) = self.connections.get(&cookie).filter(|_| cause == Cause::Arrival) {
            match (connection.calls.as_slice(), connection.requests.as_slice()) {
                ([key], []) => {
                    if let Some(call) = self.calls.get(key).filter(|call| call.time > self.lost_until) {
                        segment.is_about(Kind::Response, *key, call.owner);
                    }
                }
                ([], [key]) if self.requests.get(key).is_some_and(|request| request.read > self.lost_until) => {
                    segment.is_about(Kind::Request, *key, Some(*key));
                }
                _ => {}
            }
        }
        self.segments.push(segment);
        ended
    }

    fn read(&mut self, request: SpanKey, cookie: u64, time: u64) {
        self.connection(cookie).requests.push(request);
        self.requests.insert(request, Request { cookie, read: time, ..Request::default() });
        let segment = self.segments.at(time).and_then(|n| self.segments.get_mut(n));
        if let Some(segment) = segment.filter(|segment| segment.cookie == cookie) {
            segment.is_about(Kind::Request, request, Some(request));
        }
    }

    fn connection(&mut self, cookie: u64) -> &mut Connection {
        if self.connections.len() >= MAX_KNOWN {
            self.connections.retain(|_, known| !known.calls.is_empty() || !known.requests.is_empty());
        }
        self.connections.entry(cookie).or_default()
    }

    /// Whose a piece of work is, by the number of what runs in it.
    fn who(&self, work: Work, n: u64) -> Who {
        let nobody = Who { owner: None, left_by: None, unknown: true, chained: false };
        let Some(segment) = self.segments.get(n) else { return nobody };
        let given_before = work.runs <= segment.newest || work.by <= segment.newest;
        let chained = work.runs != 0 && work.by != 0 && given_before;
        let set_going = work.runs > segment.newest && work.by != 0 && work.by <= segment.newest;
        let number = self.connections.get(&segment.cookie).and_then(|connection| connection.number);
        if number.is_some_and(|number| number == work.runs || set_going && number == work.by) {
            // Whoever opened the connection, it is another's by now.
            return Who { owner: segment.owner, unknown: false, ..nobody };
        }
        if work.runs != 0 && work.runs <= segment.newest {
            return Who { chained, ..self.who_made(work.runs, segment) };
        }
        if segment.goes_on() {
            let by = if set_going { self.segments.making(work.by) } else { None };
            let by = by.and_then(|by| self.segments.get(by)).filter(|by| by.goes_on());
            let other = by.and_then(|by| by.owner).filter(|_| segment.kind == Kind::Response);
            return Who { owner: other.or(segment.owner), left_by: None, unknown: false, chained };
        }
        match self.segments.making(work.by).filter(|_| set_going) {
            Some(by) => {
                let owner = self.segments.get(by).and_then(|by| by.owner);
                Who { owner, left_by: Some(by), unknown: false, chained }
            }
            None => Who { unknown: !set_going, ..nobody },
        }
    }

    /// Whose a piece of work is that got its number before the one that goes on.
    fn who_made(&self, id: u64, segment: &Segment) -> Who {
        let making = self.segments.making(id);
        let maker = making.and_then(|n| self.segments.get(n));
        let owner = maker.and_then(|maker| maker.owner).or_else(|| match segment.kind {
            // The connection's own number, given when it was accepted.
            Kind::Request if maker.is_none_or(|maker| maker.kind == Kind::Other) => segment.owner,
            Kind::Response if maker.is_some() => segment.owner,
            _ => None,
        });
        Who { owner, left_by: making, unknown: false, chained: false }
    }

    fn called(&mut self, key: SpanKey, cookie: u64, work: Work, opened: Option<(u64, Work)>, time: u64) {
        let Some(n) = self.segments.at(time) else { return };
        let who = self.who(work, n);
        let Begun { piece, owner, chained, timer } = match opened {
            Some((time, work)) => self.begun_by_opening(cookie, n, &who, self.segments.at(time), work),
            None => self.begun_by_sending(n, &who, work),
        };
        let left_by = who.left_by.or(Some(piece)).filter(|by| *by != n && self.leaves_to(*by, n));
        let handed_on = !chained && owner.is_some_and(|owner| self.is_over(owner));
        let mut call = Call {
            cookie,
            time,
            made: [Some(n), left_by],
            begun: Some(piece),
            after: self.asked_before(left_by.unwrap_or(piece)),
            owner: owner.filter(|_| !handed_on),
            chained,
            freed: self.connections.get(&cookie).is_some_and(|known| known.freed == Some(n)),
            handed_on,
            ..Call::default()
        };
        (call.timed, call.lost) = (timer.is_some(), time <= self.lost_until);
        call.repeated = chained && timer.is_some_and(|timer| self.comes_again(timer, n, key));
        self.busy(call.owner, time, |calls| calls + 1);
        for n in call.made.into_iter().flatten() {
            self.segments.get_mut(n).into_iter().for_each(|segment| segment.made.push(key));
        }
        self.segments.get_mut(piece).into_iter().for_each(|segment| segment.begun.push(key));
        self.connection(cookie).calls.push(key);
        self.calls.insert(key, call);
    }

    /// A call goes out on a connection that was there. What a request's piece left to be sent was begun in that.
    fn begun_by_sending(&self, n: u64, who: &Who, work: Work) -> Begun {
        let by = who.left_by.filter(|by| self.segments.get(*by).is_some_and(|by| by.kind == Kind::Request));
        let (piece, chained) = (by.unwrap_or(n), who.chained && who.owner.is_some());
        Begun { piece, owner: who.owner, chained, timer: self.timer(work, n) }
    }

    /// A call goes out first on a connection, which was opened in another piece.
    fn begun_by_opening(&mut self, cookie: u64, n: u64, who: &Who, at: Option<u64>, work: Work) -> Begun {
        let opener = at.map(|at| self.who(work, at));
        let opened_by = opener.as_ref().and_then(|opener| opener.owner);
        let segment = self.segments.get_mut(n).filter(|s| s.kind == Kind::Connected && s.cookie == cookie);
        segment.into_iter().for_each(|segment| segment.owner = opened_by);
        self.connection(cookie).number = Some(work.by).filter(|number| *number != 0);
        let owner = who.owner.or(opened_by);
        let known = who.owner.is_none() || !who.unknown;
        let chained = owner.is_some() && known && opener.is_some_and(|opener| opener.chained);
        Begun { piece: at.unwrap_or(n), owner, chained, timer: at.and_then(|at| self.timer(work, at)) }
    }

    /// The number that a timer, or what was left to be done, was given before.
    fn timer(&self, work: Work, n: u64) -> Option<u64> {
        let segment = self.segments.get(n).filter(|s| matches!(s.kind, Kind::Timer | Kind::Immediate))?;
        Some(if work.runs <= segment.newest { work.runs } else { work.by })
    }

    /// What is said is whose the piece of work is, or the one that left it to be said, if that one alone is answered in it, or if
    /// numbers lead to it.
    fn said(&mut self, key: SpanKey, work: Work, time: u64) {
        let Some(n) = self.segments.at(time) else { return };
        let who = self.who(work, n);
        let chained = who.chained && who.owner.is_some();
        let made = [Some(n), who.left_by];
        let call = Call { time, made, owner: who.owner, chained, is_said: true, ..Call::default() };
        self.calls.insert(key, call);
        self.segments.get_mut(n).into_iter().for_each(|segment| segment.said.push(key));
    }

    /// What was asked with the response that began a piece of work, 0 if none did.
    fn asked_before(&self, n: u64) -> u64 {
        let segment = self.segments.get(n).filter(|segment| segment.kind == Kind::Response);
        let call = segment.and_then(|segment| self.calls.get(&segment.began_with?));
        call.map_or(0, |call| call.operation)
    }

    /// Whether a piece of work goes on in a later one that it left to be done.
    fn leaves_to(&self, by: u64, n: u64) -> bool {
        let is_response = self.segments.get(by).is_some_and(|by| by.kind == Kind::Response);
        is_response && self.segments.get(n).is_some_and(|segment| !segment.goes_on())
    }

    /// Whether what has this number made a call before, in another piece of work.
    fn comes_again(&mut self, timer: u64, n: u64, call: SpanKey) -> bool {
        if self.timers.len() >= MAX_KNOWN {
            self.timers.clear();
        }
        let (before, first) = *self.timers.entry(timer).or_insert((n, call));
        if before == n {
            return false;
        }
        self.calls.entry(first).and_modify(|first| first.repeated = true);
        true
    }

    fn busy(&mut self, request: Option<SpanKey>, time: u64, change: impl Fn(u32) -> u32) {
        if let Some(request) = request.and_then(|request| self.requests.get_mut(&request)) {
            let calls = request.busy.back().map_or(0, |(_, calls)| *calls);
            // (A request may last as long as its client likes.)
            if request.busy.len() >= MAX_BUSY {
                request.busy.pop_front();
            }
            request.busy.push_back((time, change(calls)));
        }
    }

    /// Whether a request was under way at a moment, and no call for it seemed to be.
    fn waited(&self, request: SpanKey, time: u64) -> bool {
        let Some(request) = self.requests.get(&request) else { return false };
        let idle = match request.busy.iter().rev().find(|(since, _)| *since < time) {
            Some((_, calls)) => *calls == 0,
            // What was before is forgotten.
            None => request.busy.len() < MAX_BUSY,
        };
        request.read <= time && request.over.is_none_or(|over| over >= time) && idle
    }

    fn responded(&mut self, key: SpanKey, operation: u64, time: u64) -> Vec<SpanKey> {
        let n = self.segments.at(time);
        let Some(call) = self.calls.get_mut(&key) else { return Vec::new() };
        (call.response, call.operation) = (n, operation);
        let (cookie, owner) = (call.cookie, call.owner);
        if let Some(connection) = self.connections.get_mut(&cookie) {
            connection.calls.retain(|other| *other != key);
            connection.freed = n;
        }
        self.busy(owner, time, |calls| calls.saturating_sub(1));
        let Some(n) = n else { return Vec::new() };
        if let Some(segment) = self.segments.get_mut(n) {
            segment.ended.push(key);
            if segment.cookie == cookie {
                segment.is_about(Kind::Response, key, owner);
            }
        }
        // (It was told late.)
        if self.segments.last() == Some(n) { Vec::new() } else { self.works_off(key, n) }
    }

    fn answered(&mut self, request: SpanKey, work: Work, time: u64) {
        if let Some(known) = self.requests.get_mut(&request) {
            known.over = Some(time);
            if let Some(connection) = self.connections.get_mut(&known.cookie) {
                connection.requests.retain(|other| *other != request);
            }
        }
        let Some(n) = self.segments.at(time) else { return };
        let left_by = self.who(work, n).left_by.filter(|by| *by != n && self.leaves_to(*by, n));
        for n in [Some(n), left_by].into_iter().flatten() {
            self.segments.get_mut(n).into_iter().for_each(|segment| segment.answers.push(request));
        }
    }

    /// A piece of work is over.
    fn ends(&mut self, n: u64) -> Vec<SpanKey> {
        let Some(segment) = self.segments.get(n) else { return Vec::new() };
        let (ended, said) = (segment.ended.clone(), segment.said.clone());
        for key in &said {
            let Some(call) = self.calls.get_mut(key) else { continue };
            let piece = self.segments.get(call.made[1].unwrap_or(n));
            let answers = piece.map(|piece| piece.answers.as_slice()).unwrap_or_default();
            call.ended = true;
            for request in answers {
                call.answers.add(*request);
            }
        }
        ended.into_iter().flat_map(|call| self.works_off(call, n)).chain(said).collect()
    }

    /// What a call's response began is over: what was done with it says whose it was.
    fn works_off(&mut self, key: SpanKey, n: u64) -> Vec<SpanKey> {
        let Some(segment) = self.segments.get(n) else { return Vec::new() };
        let (direct, made) = (segment.answers.clone(), segment.made.clone());
        let next: Vec<SpanKey> = made.iter().flat_map(|next| self.says(*next)).collect();
        let Some(call) = self.calls.get_mut(&key) else { return Vec::new() };
        let held = self.doubts.are_held(call.after);
        (call.ended, call.doubted, call.direct) = (true, held, !direct.is_empty());
        let found = if direct.is_empty() { next } else { direct };
        for request in found {
            call.answers.add(request);
        }
        let mut changed = vec![key];
        if !call.chained {
            self.weighs(key, !made.is_empty());
        }
        if self.calls.get(&key).is_some_and(|call| !call.answers.is_empty()) {
            self.tells_earlier(key, &mut changed);
        }
        changed
    }

    /// Notes whether what was answered with a call's response contradicts what it was made in. `leads_on`: other calls were made
    /// with it.
    fn weighs(&mut self, key: SpanKey, leads_on: bool) {
        let Some(call) = self.calls.get(&key) else { return };
        let owner = call.owner;
        let contradicted = owner.is_some_and(|owner| !call.answers.is_empty() && !call.answers.has(owner));
        let (operation, time) = (call.operation, call.time);
        let only = call.answers.only();
        let handed_on = call.handed_on || contradicted;
        self.doubts.note(call.after, contradicted);
        if owner.is_some() && !contradicted || !call.direct && leads_on {
            return;
        }
        let believed = self.doubts.answered(operation, contradicted, call.answers.all().len());
        let only = only.filter(|only| !handed_on || self.waited(*only, time));
        self.calls.entry(key).and_modify(|call| match believed {
            Believed::Yes => call.answer = only,
            Believed::NotYet => call.likely = only,
            Believed::No => {}
        });
    }

    /// The requests that a call was made for, as far as it says.
    fn says(&self, key: SpanKey) -> Vec<SpanKey> {
        match self.calls.get(&key) {
            Some(call) if call.chained => call.owner.into_iter().collect(),
            Some(call) => call.answers.all().to_vec(),
            None => Vec::new(),
        }
    }

    /// What is known of a call says something of the one whose response it was made with, and so on.
    fn tells_earlier(&mut self, key: SpanKey, changed: &mut Vec<SpanKey>) {
        let mut next = vec![key];
        for _ in 0..MAX_DEPTH {
            let Some(key) = next.pop() else { return };
            let said = self.says(key);
            let made = self.calls.get(&key).map(|call| call.made).unwrap_or_default();
            let segments = made.into_iter().flatten().filter_map(|n| self.segments.get(n));
            let before: Vec<SpanKey> =
                segments.filter(|s| s.answers.is_empty()).flat_map(|s| s.ended.clone()).collect();
            for earlier in before {
                let Some(call) = self.calls.get_mut(&earlier).filter(|call| !call.direct) else { continue };
                let news = said.iter().filter(|request| call.answers.add(**request)).count() > 0;
                if news {
                    changed.push(earlier);
                    if !call.chained {
                        next.push(earlier);
                    }
                }
            }
        }
    }

    /// Whether a call beside one, begun in the same piece of work, is confirmed to be its request's; and nothing else can have been.
    /// (Where a contradiction counts, the piece that a response began may go on with anybody's work.)
    pub fn has_a_sibling(&self, key: SpanKey, owner: SpanKey) -> bool {
        let Some(call) = self.calls.get(&key).filter(|call| !call.freed) else { return false };
        let Some(segment) = call.begun.and_then(|n| self.segments.get(n)) else { return false };
        let confirmed = |other: &&SpanKey| {
            let other = self.calls.get(*other).filter(|_| **other != key);
            other.is_some_and(|o| o.owner == Some(owner) && (o.chained || o.answers.only() == Some(owner)))
        };
        let may_go_on = call.doubted && segment.kind != Kind::Request;
        !may_go_on && !segment.answers.contains(&owner) && segment.begun.iter().any(|other| confirmed(&other))
    }

    /// Whether what would contradict the numbers that lead from a call to a request may have been among the records that are missing:
    /// that its response was another's, that the number made another call before, that the connection became free for another.
    pub fn may_be_contradicted(&self, call: &Call) -> bool {
        let lately = self.lost_until > 0 && call.time <= self.lost_until.saturating_add(LONG);
        call.lost || lately && (call.timed || call.freed)
    }

    /// Whether it may yet be seen what was done with a call's response.
    pub fn is_open(&self, call: &Call) -> bool {
        let made = call.response.and_then(|n| self.segments.get(n)).into_iter().flat_map(|segment| &segment.made);
        let open = |next: &SpanKey| self.calls.get(next).is_some_and(|next| !next.ended);
        !call.ended || made.into_iter().any(open) || call.owner.is_some_and(|owner| self.is_under_way(owner))
    }

    fn is_under_way(&self, request: SpanKey) -> bool {
        self.requests.get(&request).is_some_and(|request| request.over.is_none())
    }

    fn is_over(&self, request: SpanKey) -> bool {
        self.requests.get(&request).is_some_and(|request| request.over.is_some())
    }

    /// A span is gone.
    pub fn forget(&mut self, span: SpanKey) {
        let (call, request) = (self.calls.remove(&span), self.requests.remove(&span));
        let cookie = call.map(|call| call.cookie).or(request.map(|request| request.cookie));
        if let Some(connection) = cookie.and_then(|cookie| self.connections.get_mut(&cookie)) {
            connection.calls.retain(|other| *other != span);
            connection.requests.retain(|other| *other != span);
        }
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn what_is_remembered_of_a_request_and_of_a_piece_of_work_that_do_not_end_is_bounded() {
        let mut keys: SlotMap<SpanKey, ()> = SlotMap::with_key();
        let (mut line, request) = (Line::default(), keys.insert(()));
        line.take(Event::Begins(Cause::Arrival, 1, 5), 1);
        line.take(Event::Read(request, 1), 2);
        let work = Work { newest: 9, ..Work::default() };
        for time in (10..).step_by(10).take(MAX_IN_ONE) {
            let call = keys.insert(());
            line.take(Event::Called(call, 2, work, None), time);
            line.take(Event::Responded(call, 1), time + 2);
            line.forget(call);
            let happened = line.segments.get(0).map_or(0, Segment::happened);
            assert!(happened <= MAX_IN_ONE && line.requests[&request].busy.len() <= MAX_BUSY);
            if time == 1000 {
                assert_eq!([5, 11, 15].map(|time| line.waited(request, time)), [true, false, true]);
            }
        }
        assert_eq!(line.segments.last(), None, "its end was not told");
        let last = line.requests[&request].busy[MAX_BUSY - 1].0;
        assert_eq!([15, last, last + 1].map(|time| line.waited(request, time)), [false, false, true]);
    }
}
