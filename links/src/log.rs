//! Facts as text, a line each: what a real run told, to be replayed (`links/captures/`).
//!
//! A line is the fact's name and its fields, in the order of the enum: numbers, units as `tgid/kind/id`, moments as
//! `time/tid/switches` with `/mark` if there is one, `/only` where that was its process's only thread and `~runs/by/newest` where a loop numbers its work, `-` for what is not there. `name SPAN TEXT` says what a request or call is called; of a recorded run the
//! text tells which call was made for which request.

use std::fmt::{Display, Write as _};
use std::str::{FromStr, SplitWhitespace};

use slotmap::{Key as _, KeyData};

use crate::facts::{At, Cause, Fact, Handle, Place, SleptOn, UnitKey, Work};
use crate::live::SpanKey;

/// A fact as a line, without its end.
pub fn write(fact: &Fact) -> String {
    let mut line = Line::default();
    match *fact {
        Fact::Read { request, unit, connection, cookie, at, waited, queued } => {
            line.word("read").span(request).unit(unit).word(connection).at(at).word(waited).word(queued).word(cookie);
        }
        Fact::CameOn { request, reader, reader_of, stream, time } => {
            line.word("came").span(request).unit(reader);
            line.maybe(reader_of, Line::unit);
            line.word(stream).word(time);
        }
        Fact::Called { call, unit, place, at, opened } => {
            line.word("called").span(call).unit(unit).place(place).at(at);
            line.maybe(opened, Line::at);
        }
        Fact::Responded { call, units, at, waited, operation } => {
            line.word("responded").span(call);
            units.into_iter().for_each(|unit| line.maybe(unit, Line::unit));
            line.at(at[0]).at(at[1]).word(waited).word(operation);
        }
        Fact::Over { request, answered, read } => {
            line.word("over").span(request).word(answered.is_some());
            line.maybe(answered.and_then(|(by, _)| by), Line::unit);
            line.maybe(answered.map(|(_, at)| at), Line::at);
            line.maybe(read, Line::at);
        }
        Fact::Born { unit, of, site, mark, time } => {
            line.word("born").unit(unit);
            line.maybe(of, Line::unit);
            line.marked(site, mark).word(time);
        }
        Fact::Ended { unit, with_process, time } => {
            line.word("ended").unit(unit).word(with_process).word(time);
        }
        Fact::HandedOver { by, to, handle, time } => {
            line.word("handed").unit(by).place(to);
            line.maybe(handle, Line::handle);
            line.word(time);
        }
        Fact::Relayed { by, to, of, time } => {
            line.word("relayed").unit(by).word(to).word(of).word(time);
        }
        Fact::TakenUp { by, from, stream, time } => {
            line.word("taken").unit(by).unit(from).word(stream).word(time);
        }
        Fact::Named { unit, handle, lasts, time } => {
            line.word(if lasts { "named-lasting" } else { "named" }).unit(unit).handle(handle).word(time);
        }
        Fact::Turn { thread, cause, cookie, newest, time } => {
            line.word("turn").unit(thread).word(cause as u8).word(cookie).word(newest).word(time);
        }
        Fact::Slept { thread, on, cookie, time } => {
            let (kind, set) = match on {
                SleptOn::Own => ("own", 0),
                SleptOn::Many => ("many", 0),
                SleptOn::Set(set) => ("set", set),
            };
            line.word("slept").unit(thread).word(kind).word(set).word(cookie).word(time);
        }
        Fact::Woke { unit, by, at } => {
            line.word("woke").unit(unit).unit(by).at(at);
        }
        Fact::Resolved { unit, by, time } => {
            line.word("resolved").unit(unit).unit(by).word(time);
        }
        Fact::Lost { of: None, losing } => {
            line.word("lost").word(losing);
        }
        Fact::Lost { of: Some(tgid), losing } => {
            line.word("lost-of").word(tgid).word(losing);
        }
        Fact::Watched { tgid, births, time } => {
            line.word("watched").word(tgid).word(births).word(time);
        }
        Fact::Unread { tgid } => {
            line.word("unread").word(tgid);
        }
    }
    line.0
}

/// What a request or call is called, as a line.
pub fn write_name(span: SpanKey, name: &str) -> String {
    let mut line = Line::default();
    line.word("name").span(span).word(name.escape_debug());
    line.0
}

#[derive(Default)]
struct Line(String);

impl Line {
    fn word(&mut self, word: impl Display) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        // Writing to a string does not fail.
        let _ = write!(self.0, "{word}");
        self
    }

    fn span(&mut self, span: SpanKey) -> &mut Self {
        self.word(span.data().as_ffi())
    }

    fn unit(&mut self, unit: UnitKey) -> &mut Self {
        self.word(format_args!("{}/{}/{}", unit.tgid, unit.kind, unit.id))
    }

    fn at(&mut self, at: At) -> &mut Self {
        self.marked(format_args!("{}/{}/{}", at.time, at.tid, at.switches), at.mark);
        if at.only {
            self.0.push_str("/only");
        }
        if at.work != Work::default() {
            // Writing to a string does not fail.
            let _ = write!(self.0, "~{}/{}/{}", at.work.runs, at.work.by, at.work.newest);
        }
        self
    }

    /// Something with a mark, if there is one.
    fn marked(&mut self, what: impl Display, mark: u64) -> &mut Self {
        match mark {
            0 => self.word(what),
            mark => self.word(format_args!("{what}/{mark}")),
        }
    }

    fn handle(&mut self, handle: Handle) -> &mut Self {
        self.word(format_args!("{}/{}", handle.0, handle.1))
    }

    fn place(&mut self, place: Place) -> &mut Self {
        match place {
            Place::Connection(cookie) => self.word("connection").word(cookie),
            Place::Stream(cookie, id) => self.word("stream").word(format_args!("{cookie}/{id}")),
            Place::Unit(unit) => self.word("unit").unit(unit),
            Place::StreamOf(unit, id) => self.word("stream-of").unit(unit).word(id),
        }
    }

    fn maybe<T>(&mut self, value: Option<T>, write: impl Fn(&mut Self, T) -> &mut Self) {
        match value {
            Some(value) => drop(write(self, value)),
            None => drop(self.word('-')),
        }
    }
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A fact.
    Fact(Fact),
    /// What a request or a call is called.
    Name(SpanKey, String),
}

/// Reads a line; `None` if it makes no sense.
pub fn read(line: &str) -> Option<Entry> {
    let mut words = Words(line.split_whitespace());
    let fact = match words.0.next()? {
        "name" => {
            let rest = line.splitn(3, ' ').nth(2)?;
            return Some(Entry::Name(words.span()?, rest.to_owned()));
        }
        "read" => Fact::Read {
            request: words.span()?,
            unit: words.unit()?,
            connection: words.get()?,
            at: words.at()?,
            waited: words.get()?,
            queued: words.get()?,
            // (Older logs have none.)
            cookie: words.get().unwrap_or_default(),
        },
        "came" => Fact::CameOn {
            request: words.span()?,
            reader: words.unit()?,
            reader_of: words.maybe(unit)?,
            stream: words.get()?,
            time: words.get()?,
        },
        "called" => Fact::Called {
            call: words.span()?,
            unit: words.unit()?,
            place: words.place()?,
            at: words.at()?,
            opened: words.maybe(at)?,
        },
        "responded" => Fact::Responded {
            call: words.span()?,
            units: [words.maybe(unit)?, words.maybe(unit)?],
            at: [words.at()?, words.at()?],
            waited: words.get()?,
            // (Older logs have none.)
            operation: words.get().unwrap_or_default(),
        },
        "over" => {
            let (request, answered) = (words.span()?, words.get::<bool>()?);
            let (by, when, read) = (words.maybe(unit)?, words.maybe(at)?, words.maybe(at)?);
            Fact::Over { request, answered: if answered { Some((by, when?)) } else { None }, read }
        }
        "born" => {
            let (unit, of) = (words.unit()?, words.maybe(unit)?);
            let ([site], mark) = words.next(marked)?;
            Fact::Born { unit, of, site, mark, time: words.get()? }
        }
        "ended" => Fact::Ended { unit: words.unit()?, with_process: words.get()?, time: words.get()? },
        "handed" => {
            Fact::HandedOver { by: words.unit()?, to: words.place()?, handle: words.maybe(handle)?, time: words.get()? }
        }
        "relayed" => Fact::Relayed { by: words.unit()?, to: words.get()?, of: words.get()?, time: words.get()? },
        "taken" => Fact::TakenUp { by: words.unit()?, from: words.unit()?, stream: words.get()?, time: words.get()? },
        kind @ ("named" | "named-lasting") => Fact::Named {
            unit: words.unit()?,
            handle: words.next(handle)?,
            lasts: kind == "named-lasting",
            time: words.get()?,
        },
        "turn" => Fact::Turn {
            thread: words.unit()?,
            cause: words.next(cause)?,
            cookie: words.get()?,
            newest: words.get()?,
            time: words.get()?,
        },
        "slept" => {
            let (thread, kind, set) = (words.unit()?, words.0.next()?, words.get()?);
            let on = match kind {
                "own" => SleptOn::Own,
                "many" => SleptOn::Many,
                "set" => SleptOn::Set(set),
                _ => return None,
            };
            Fact::Slept { thread, on, cookie: words.get()?, time: words.get()? }
        }
        "woke" => Fact::Woke { unit: words.unit()?, by: words.unit()?, at: words.at()? },
        "resolved" => Fact::Resolved { unit: words.unit()?, by: words.unit()?, time: words.get()? },
        "lost" => Fact::Lost { of: None, losing: words.get()? },
        "lost-of" => Fact::Lost { of: Some(words.get()?), losing: words.get()? },
        "watched" => Fact::Watched { tgid: words.get()?, births: words.get()?, time: words.get()? },
        "unread" => Fact::Unread { tgid: words.get()? },
        _ => return None,
    };
    words.0.next().is_none().then_some(Entry::Fact(fact))
}

struct Words<'a>(SplitWhitespace<'a>);

impl Words<'_> {
    fn get<T: FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    fn next<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        read(self.0.next()?)
    }

    /// `None` if it makes no sense, `Some(None)` if it is not there.
    fn maybe<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
        match self.0.next()? {
            "-" => Some(None),
            word => read(word).map(Some),
        }
    }

    fn span(&mut self) -> Option<SpanKey> {
        self.get().map(|ffi| KeyData::from_ffi(ffi).into())
    }

    fn unit(&mut self) -> Option<UnitKey> {
        self.next(unit)
    }

    fn at(&mut self) -> Option<At> {
        self.next(at)
    }

    fn place(&mut self) -> Option<Place> {
        match self.0.next()? {
            "connection" => self.get().map(Place::Connection),
            "stream" => self.next(|word| numbers(word).map(|[cookie, id]| Place::Stream(cookie, id))),
            "unit" => self.unit().map(Place::Unit),
            "stream-of" => Some(Place::StreamOf(self.unit()?, self.get()?)),
            _ => None,
        }
    }
}

/// Numbers between slashes.
fn numbers<const N: usize>(word: &str) -> Option<[u64; N]> {
    let parsed: Vec<u64> = word.split('/').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    parsed.try_into().ok()
}

/// Numbers between slashes, and a mark behind them if there is one.
fn marked<const N: usize>(word: &str) -> Option<([u64; N], u64)> {
    match numbers(word) {
        Some(found) => Some((found, 0)),
        None => {
            let (word, mark) = word.rsplit_once('/')?;
            Some((numbers(word)?, mark.parse().ok()?))
        }
    }
}

fn unit(word: &str) -> Option<UnitKey> {
    let [tgid, kind, id] = numbers(word)?;
    Some(UnitKey { tgid: tgid.try_into().ok()?, kind: kind.try_into().ok()?, id })
}

fn at(word: &str) -> Option<At> {
    let (word, work) = match word.split_once('~') {
        Some((word, work)) => (word, numbers(work).map(|[runs, by, newest]| Work { runs, by, newest })?),
        None => (word, Work::default()),
    };
    let (word, only) = word.strip_suffix("/only").map_or((word, false), |rest| (rest, true));
    let ([time, tid, switches], mark) = marked(word)?;
    Some(At { time, tid: tid.try_into().ok()?, switches: switches.try_into().ok()?, mark, only, work })
}

fn handle(word: &str) -> Option<Handle> {
    numbers(word).map(|[a, b]| Handle(a, b))
}

fn cause(word: &str) -> Option<Cause> {
    use Cause::{Accepted, Arrival, Connected, Immediate, Timer, WakeUp};
    let all = [Arrival, Timer, Immediate, Accepted, Connected, WakeUp];
    all.into_iter().find(|cause| word == (*cause as u8).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_comes_back_from_its_line() {
        let span: SpanKey = KeyData::from_ffi(1 << 32 | 7).into();
        let (unit, other) = (UnitKey { tgid: 1, kind: 2, id: u64::MAX }, UnitKey::thread(3, 4));
        let (at, time) = (At { time: 5, tid: 6, switches: 7, mark: 8, ..At::default() }, 8);
        let work = Work { runs: 1, by: 2, newest: 3 };
        let handle = Handle(9, 10);
        let facts = [
            Fact::Read { request: span, unit, connection: 1, cookie: 0, at, waited: true, queued: false },
            Fact::Called { call: span, unit, place: Place::Connection(1), at, opened: None },
            Fact::Called { call: span, unit, place: Place::Stream(1, 2), at, opened: Some(at) },
            Fact::Responded { call: span, units: [None, Some(unit)], at: [at; 2], waited: true, operation: 0 },
            Fact::Responded {
                call: span,
                units: [None; 2],
                at: [At { work, ..at }, At { only: true, work, ..at }],
                waited: true,
                operation: 9,
            },
            Fact::Over { request: span, answered: None, read: None },
            Fact::Over { request: span, answered: Some((Some(unit), at)), read: Some(at) },
            Fact::Over { request: span, answered: Some((None, at)), read: None },
            Fact::Born { unit, of: Some(other), site: 11, mark: 12, time },
            Fact::Ended { unit, with_process: true, time },
            Fact::HandedOver { by: unit, to: Place::Unit(other), handle: Some(handle), time },
            Fact::HandedOver { by: unit, to: Place::StreamOf(other, 3), handle: None, time },
            Fact::CameOn { request: span, reader: unit, reader_of: Some(other), stream: 5, time },
            Fact::CameOn { request: span, reader: unit, reader_of: None, stream: 5, time },
            Fact::TakenUp { by: unit, from: other, stream: 5, time },
            Fact::Named { unit, handle, lasts: false, time },
            Fact::Named { unit, handle, lasts: true, time },
            Fact::Turn { thread: other, cause: Cause::Immediate, cookie: 1, newest: 2, time },
            Fact::Slept { thread: other, on: SleptOn::Set(12), cookie: 13, time },
            Fact::Slept { thread: other, on: SleptOn::Own, cookie: 13, time },
            Fact::Woke { unit, by: other, at },
            Fact::Resolved { unit, by: other, time },
            Fact::Lost { of: None, losing: true },
            Fact::Lost { of: Some(14), losing: false },
            Fact::Watched { tgid: 14, births: true, time },
            Fact::Unread { tgid: 14 },
        ];
        for fact in facts {
            let line = write(&fact);
            assert_eq!(read(&line), Some(Entry::Fact(fact)), "{line}");
            assert_eq!(read(&format!("{line} 1")), None, "{line}");
        }
        assert_eq!(read(&write_name(span, "GET /a b")), Some(Entry::Name(span, "GET /a b".into())));
        for line in ["", "read", "read 1 2 3", "over 1 true - - -", "turn 1/0/1 9 0 0 0 0 0", "slept 1/0/1 x 0 0 0"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
