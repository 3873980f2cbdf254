//! Streams in flight, in bounded memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::kin::Kin;
use super::stream::{Failure, Stream};
use crate::exchange::{Output, Reason};
use crate::{Break, Settings};

/// Most memory that streams in flight may take together, bytes: about 1550 streams.
const MAX_BYTES: usize = 768 * 1024;
/// From so many on it is seen from time to time whether some of them are dead. Fewer may stay: one of them may be a stream
/// that lives for hours and is silent.
const MANY: usize = 64;
/// How long a stream whose end may have been missed is kept without a sign of life, nanoseconds.
const PATIENCE: u64 = 30_000_000_000;
/// How often, at most, all streams are looked at for dead ones, nanoseconds: a connection that is full of live streams
/// and opens more would have all of them looked at for each.
const SWEEP_EVERY: u64 = 1_000_000_000;

/// Streams whose request was seen and whose end was not.
#[derive(Debug)]
pub(super) struct Streams {
    settings: Settings,
    /// Which of them are calls because others were.
    pub kin: Kin,
    open: BTreeMap<u32, Box<Stream>>,
    bytes: usize,
    /// Some of them are doubtful.
    doubtful: bool,
    /// How often frames were missed. Each stream learns it when it is asked for, so that a gap costs nothing.
    misses: u64,
    /// When dead streams may be looked for again.
    sweep_after: u64,
}

impl Streams {
    pub(super) fn new(settings: Settings) -> Self {
        let kin = Kin::default();
        Self { settings, kin, open: BTreeMap::new(), bytes: 0, doubtful: false, misses: 0, sweep_after: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.kin.bytes()
    }

    pub(super) fn contains(&self, stream: u32) -> bool {
        self.open.contains_key(&stream)
    }

    /// Whether `stream` is open and no other is.
    pub(super) fn is_only(&self, stream: u32) -> bool {
        self.open.len() == 1 && self.contains(stream)
    }

    pub(super) fn get(&mut self, stream: u32) -> Option<&mut Stream> {
        let stream = self.open.get_mut(&stream)?;
        stream.hear_of(self.misses);
        Some(stream)
    }

    /// Takes a request in. One for which there is no room is dropped, and `false` returned.
    pub(super) fn open(&mut self, number: u32, mut stream: Stream, out: &mut Vec<Output>) -> bool {
        let (weight, id) = (stream.weight(), stream.id);
        let many = self.open.len() >= MANY && self.open.len().is_power_of_two();
        if self.doubtful && stream.seen >= self.sweep_after && (many || self.bytes + weight > MAX_BYTES) {
            self.sweep(stream.seen, out);
        }
        if self.bytes + weight > MAX_BYTES {
            out.push(Output::Dropped { id, reason: Reason::Refused });
            return false;
        }
        self.bytes += weight;
        stream.misses = self.misses;
        self.open.insert(number, Box::new(stream));
        true
    }

    /// Tells the requests that began in `began`, see [`crate::Parser::under_way`].
    pub(super) fn under_way(&self, began: &Range<u64>, tell: &mut dyn FnMut(u64, Cow<'static, str>)) {
        for stream in self.open.values().filter(|s| began.contains(&s.request.first.time)) {
            tell(stream.id, stream.name(&self.settings, &self.kin));
        }
    }

    fn remove(&mut self, number: u32) -> Option<Stream> {
        let mut stream = self.open.remove(&number)?;
        stream.hear_of(self.misses);
        // (A call may have been recognised since, which weighs a little more.)
        self.bytes = if self.open.is_empty() { 0 } else { self.bytes.saturating_sub(stream.weight()) };
        Some(*stream)
    }

    /// Ends a stream at `end`, in `CLOCK_BOOTTIME` nanoseconds.
    pub(super) fn finish(&mut self, number: u32, end: u64, failure: Option<Failure>, out: &mut Vec<Output>) {
        if let Some(stream) = self.remove(number) {
            out.push(Output::Finished(Box::new(stream.finish(&self.settings, &mut self.kin, end, failure))));
        }
    }

    /// Ends all streams after `last`.
    pub(super) fn refuse_after(&mut self, last: u32, time: u64, out: &mut Vec<Output>) {
        let refused: Vec<u32> = self.open.range(last.saturating_add(1)..).map(|(number, _)| *number).collect();
        for number in refused {
            self.finish(number, time, Some(Failure::GoneAway), out);
        }
    }

    /// The connection broke at `time`. How doubtful streams ended before, if they did, is not known.
    pub(super) fn fail(&mut self, broke: Break, time: u64, out: &mut Vec<Output>) {
        while let Some((number, stream)) = self.open.first_key_value() {
            let (number, doubtful) = (*number, stream.is_doubtful(self.misses));
            if doubtful {
                self.drop_one(number, Reason::Gap, out);
            } else {
                self.finish(number, time, Some(Failure::Connection(broke)), out);
            }
        }
    }

    /// Nothing can be known of any stream.
    pub(super) fn forget(&mut self, reason: Reason, out: &mut Vec<Output>) {
        while let Some((number, _)) = self.open.first_key_value() {
            self.drop_one(*number, reason, out);
        }
    }

    fn drop_one(&mut self, number: u32, reason: Reason, out: &mut Vec<Output>) {
        out.extend(self.remove(number).map(|stream| Output::Dropped { id: stream.id, reason }));
    }

    /// Frames were missed: any stream may have ended.
    pub(super) fn doubt(&mut self) {
        self.doubtful = !self.open.is_empty();
        self.misses += 1;
    }

    /// Drops streams that showed no life since frames were missed.
    fn sweep(&mut self, now: u64, out: &mut Vec<Output>) {
        self.sweep_after = now.saturating_add(SWEEP_EVERY);
        let doubtful = |s: &Stream| s.is_doubtful(self.misses);
        let silent = |s: &Stream| doubtful(s) && now.saturating_sub(s.seen) > PATIENCE;
        let dead: Vec<u32> = self.open.iter().filter(|(_, s)| silent(s)).map(|(number, _)| *number).collect();
        for number in dead {
            self.drop_one(number, Reason::Gap, out);
        }
        self.doubtful = self.open.values().any(|s| s.is_doubtful(self.misses));
    }
}
