//! What traced programs write where their lines go, as signals: an exception, or a record of a log, is announced when it begins, and
//! told when it is whole.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | a reader for each unit and place; what becomes of what it finds |
//! | `telling.rs` | what is told of that, without secrets |
//! | `places.rs` | where a process's lines go |
//!
//! Unless records are asked for, nothing is kept of what passes here but exceptions: their types, what they say (without what it
//! quotes), their frames.

pub mod places;
mod telling;

use std::sync::Arc;

use rustc_hash::FxHashMap;
use wirespan_common::{FLAG_ONLY_THREAD, IoEvent, LineEvent, LogPlaces, UnitId, log_place};
use wirespan_errors::{Found, Reader};
use wirespan_links::facts::UnitKey;
use wirespan_links::{Said, Speaks};
use wirespan_protocols::exchange::{Mark, Unit};
use wirespan_signals::Slim as _;

use crate::connections::{Signal, unit_of};
use crate::discovery::Process;
use crate::metrics::Counters;
use places::Places;
pub use telling::Telling;

/// An exception has ended when its unit has written nothing for so long, nanoseconds.
const IDLE: u64 = 50_000_000;
/// Or when it began so long ago.
const LONGEST: u64 = 2_000_000_000;
/// How often that is looked at.
const LOOK_EVERY: u64 = 10_000_000;
/// Bytes that all readers hold; beyond, what they have is all there is.
const MAX_BYTES: usize = 16 << 20;
/// Bytes of exceptions and records of one process that are told in a second.
const MAX_TOLD: usize = 4 << 20;
const SECOND: u64 = 1_000_000_000;

/// What was written at once, where lines go.
pub struct Written<'a> {
    /// Where.
    pub place: u64,
    /// When and by which unit.
    pub mark: Mark,
    /// As much of it as was captured.
    pub bytes: &'a [u8],
    /// That is all.
    pub is_whole: bool,
}

impl<'a> Written<'a> {
    /// Of a record.
    pub fn of(event: &LineEvent, bytes: &'a [u8]) -> Self {
        let LineEvent { place, unit, flags, time, captured, total, .. } = *event;
        Self { place, mark: mark(&unit, flags, time), bytes, is_whole: total == u64::from(captured) }
    }

    /// Of an operation that sent it.
    pub fn to_socket(event: &IoEvent, bytes: &'a [u8]) -> Self {
        let IoEvent { inode, unit, flags, time, captured, result, .. } = *event;
        let is_whole = result as u64 == u64::from(captured);
        Self { place: log_place(inode, places::SOCKET), mark: mark(&unit, flags, time), bytes, is_whole }
    }
}

fn mark(unit: &UnitId, flags: u8, time: u64) -> Mark {
    let unit = Unit { only: flags & FLAG_ONLY_THREAD != 0, ..unit_of(unit) };
    Mark { time, unit, ..Mark::default() }
}

/// What one unit writes to one place.
struct Writer {
    reader: Reader<Mark>,
    process: Arc<Process>,
    /// The exception that is open, by its name among signals.
    announced: Option<(u64, Mark)>,
    last: u64,
}

/// What a process may still tell in this second.
#[derive(Default)]
struct Told {
    since: u64,
    bytes: usize,
}

/// All of them.
pub struct Lines {
    places: Places,
    writers: FxHashMap<(UnitKey, u64), Writer>,
    told: FxHashMap<u32, Told>,
    next: u64,
    looked: u64,
    telling: Telling,
    counters: Arc<Counters>,
}

impl Lines {
    /// Nothing was written yet.
    pub fn new(places: Places, telling: Telling, counters: Arc<Counters>) -> Self {
        let (writers, told) = (FxHashMap::default(), FxHashMap::default());
        Self { places, writers, told, next: 0, looked: 0, telling, counters }
    }

    /// Where lines go.
    pub fn places(&mut self) -> &mut Places {
        &mut self.places
    }

    /// Something was written.
    pub fn written(&mut self, written: &Written<'_>, process: &Arc<Process>, out: &mut Vec<Signal>) {
        let Some(unit) = UnitKey::of(&written.mark.unit) else { return };
        self.counters.lines_writes.inc();
        let key = (unit, written.place);
        let mut writer = self.writers.remove(&key).unwrap_or_else(|| Writer {
            reader: if self.telling.records { Reader::of_records() } else { Reader::default() },
            process: Arc::clone(process),
            announced: None,
            last: 0,
        });
        writer.last = written.mark.time;
        writer.reader.write(written.bytes, written.is_whole, &written.mark);
        self.tell(written.place, &mut writer, out);
        self.writers.insert(key, writer);
    }

    /// Ends what has been silent for a while. Returns where the lines of a process go, if that was found to be elsewhere.
    pub fn tick(&mut self, now: u64, out: &mut Vec<Signal>) -> Option<(u32, LogPlaces)> {
        if now.saturating_sub(self.looked) >= LOOK_EVERY {
            self.looked = now;
            let bytes: usize = self.writers.values().map(|writer| writer.reader.weight()).sum();
            self.end(out, |writer| {
                let old = writer.announced.as_ref().is_some_and(|(_, began)| now > began.time + LONGEST);
                old || now > writer.last + IDLE || bytes > MAX_BYTES
            });
            self.told.retain(|_, told| now < told.since + SECOND);
            self.writers.slim();
        }
        self.places.look(now)
    }

    /// A process is gone, or runs another program.
    pub fn forget(&mut self, tgid: u32, out: &mut Vec<Signal>) {
        if self.places.forget(tgid) {
            self.end(out, |writer| writer.process.tgid == tgid);
        }
    }

    /// What is open is all there is: the agent stops.
    pub fn finish(&mut self, out: &mut Vec<Signal>) {
        self.end(out, |_| true);
    }

    fn end(&mut self, out: &mut Vec<Signal>, which: impl Fn(&Writer) -> bool) {
        let ended: Vec<_> = self.writers.extract_if(|_, writer| which(writer)).collect();
        for ((_, place), mut writer) in ended {
            writer.reader.idle();
            self.tell(place, &mut writer, out);
        }
    }

    /// Tells what a writer's reader has found, and announces what it has begun to find.
    fn tell(&mut self, place: u64, writer: &mut Writer, out: &mut Vec<Signal>) {
        for found in writer.reader.take() {
            let announced = writer.announced.take_if(|(_, began)| *began == found.began).map(|(id, _)| id);
            let said = self.said(&found, place, &writer.process).map(Box::new);
            // (Whoever names the span is believed.)
            let names = said.as_ref().is_some_and(|said| said.log.as_ref().is_some_and(|log| log.span.is_some()));
            if found.is_own && !names {
                let id = announced.unwrap_or_else(|| self.announce(&writer.process, found.began, out));
                out.push(Signal::Said { id, said });
                continue;
            }
            out.extend(announced.map(|id| Signal::Said { id, said: None }));
            out.extend(said.map(Signal::SaidByNobody));
        }
        let opened = writer.reader.opened();
        if let Some((id, _)) = writer.announced.take_if(|(_, began)| Some(&*began) != opened) {
            out.push(Signal::Said { id, said: None });
        }
        if let (Some(began), None) = (opened, &writer.announced) {
            let id = self.announce(&writer.process, *began, out);
            writer.announced = Some((id, *began));
        }
    }

    fn announce(&mut self, process: &Arc<Process>, at: Mark, out: &mut Vec<Signal>) -> u64 {
        self.next += 1;
        out.push(Signal::Speaks(Box::new(Speaks { id: self.next, process: process.clone(), at })));
        self.next
    }

    /// What is told of something that was found, if it may be.
    fn said(&mut self, found: &Found<Mark>, place: u64, process: &Process) -> Option<Said> {
        let counters = &self.counters;
        counters.exceptions_read.add(found.exception.is_some().into());
        counters.exceptions_shared.add((found.exception.is_some() && !found.is_own).into());
        let said = self.telling.of(found, process, self.places.origin(process.tgid, place), counters)?;
        let records = said.log.is_some().into();
        counters.log_records_read.add(records);
        counters.log_records_shared.add(if found.is_own { 0 } else { records });
        let told = self.told.entry(process.tgid).or_insert(Told { since: found.began.time, bytes: 0 });
        told.bytes += said.weight();
        if told.bytes > MAX_TOLD {
            counters.exceptions_limited.add(said.event.is_some().into());
            counters.log_records_limited.add(records);
            return None;
        }
        Some(said)
    }
}

#[cfg(test)]
mod tests;
