//! What one unit writes to one place: bytes in any number of pieces, into lines, into exceptions.
//!
//! What is gathered and written later holds what several units said. It is known by that: one write with more than one record. Nothing
//! in such a write is its writer's own.

use crate::exception::Exception;
use crate::machine::{Machine, Step};
use crate::waiting::Waiting;
use crate::{MAX_LINE, json, text};

/// Lines that may stand before an exception in the same write: what a logger says first, and an empty one.
const INTRODUCTION: usize = 2;

/// What somebody said, an exception or a record or both, and what is known of its writing.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// The record as it was written, if it is one and records are told; in several lines, if they go on with the first.
    pub line: Option<String>,
    /// The exception, if it is one or carries one.
    pub exception: Option<Exception>,
    /// Of the write in which it began.
    pub began: T,
    /// Nothing shows that somebody else's words were written with it: whoever wrote it said it.
    pub is_own: bool,
    /// More was written of the record than is known.
    pub is_cut: bool,
}

impl<T> Found<T> {
    fn exception(exception: Exception, began: T, is_own: bool) -> Self {
        Self { line: None, is_cut: exception.is_cut, exception: Some(exception), began, is_own }
    }
}

/// What one unit writes to one place. `T` is what is known of a write.
pub struct Reader<T> {
    machine: Machine,
    /// The beginning of a line, and when that was written.
    partial: Vec<u8>,
    /// The rest of a line that is too long is passed over.
    skips: bool,
    began: Option<T>,
    partial_began: Option<T>,
    /// Lines of the current write that are not empty and belong to no exception.
    others: usize,
    /// One of them looks like the beginning of a record, and is not the first.
    records: bool,
    /// An exception ended within it.
    ended: bool,
    is_own: bool,
    /// Records, if they are told.
    waiting: Option<Waiting<T>>,
    found: Vec<Found<T>>,
}

impl<T: Clone> Default for Reader<T> {
    fn default() -> Self {
        Self {
            machine: Machine::default(),
            partial: Vec::new(),
            skips: false,
            began: None,
            partial_began: None,
            others: 0,
            records: false,
            ended: false,
            is_own: true,
            waiting: None,
            found: Vec::new(),
        }
    }
}

impl<T: Clone> Reader<T> {
    /// One that tells every record, not exceptions alone.
    pub fn of_records() -> Self {
        Self { waiting: Some(Waiting::default()), ..Self::default() }
    }

    /// Takes in what was written at once. `is_whole`: all of it was seen.
    pub fn write(&mut self, bytes: &[u8], is_whole: bool, of: &T) {
        (self.others, self.records, self.ended) = (0, false, false);
        if let Some(waiting) = &mut self.waiting {
            waiting.begins(!self.partial.is_empty());
        }
        let mut together = false;
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let began = self.partial_began.take().unwrap_or_else(|| of.clone());
            self.extend(&rest[..end]);
            rest = &rest[end + 1..];
            self.ends_line(together, began);
            together = true;
        }
        if !rest.is_empty() {
            self.partial_began.get_or_insert_with(|| of.clone());
            self.extend(rest);
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.ends(is_whole, !rest.is_empty(), &mut self.found);
        }
        if !is_whole {
            // What is missing may have been anything.
            self.is_own = false;
            self.skips |= !self.partial.is_empty();
            self.idle();
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = MAX_LINE - self.partial.len();
        if !self.skips {
            self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
            self.skips = bytes.len() > room;
        }
    }

    fn ends_line(&mut self, together: bool, began: T) {
        let is_cut = std::mem::take(&mut self.skips);
        let line = std::mem::take(&mut self.partial);
        let written = String::from_utf8_lossy(&line);
        let written = written.strip_suffix('\r').unwrap_or(&written);
        let line = text::without_colours(written);
        let (ended, step) = self.machine.line(&line, together);
        if together && ended.is_some() {
            self.ended = true;
            self.waiting.iter_mut().for_each(Waiting::passes);
        }
        self.ended(ended);
        match step {
            Step::WentOn => {}
            Step::Opened(taken) => {
                self.waiting.iter_mut().for_each(|waiting| waiting.take_back(taken));
                let alone = !self.records && !self.ended;
                self.is_own = alone && self.others.saturating_sub(taken) <= INTRODUCTION;
                (self.began, self.others, self.records) = (Some(began), 0, false);
            }
            Step::Other => {
                let is_own = self.others == 0 && !self.ended;
                self.passes(&line);
                let exception = json::exception(&line);
                self.ended |= exception.is_some();
                match (&mut self.waiting, exception) {
                    (Some(waiting), exception) => waiting.push(written, exception, began, is_cut),
                    (None, Some(exception)) => self.found.push(Found::exception(exception, began, is_own)),
                    (None, None) => {}
                }
            }
        }
    }

    /// A line is of no exception.
    fn passes(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        // Something else was written with the exception before it, by whoever gathers what is written.
        if self.ended
            && let Some(last) = self.found.last_mut()
            && !is_known_end(line)
        {
            last.is_own = false;
        }
        self.records |= self.others > 0 && text::is_record(line);
        self.others += 1;
    }

    fn ended(&mut self, exception: Option<Exception>) {
        if let Some(exception) = exception
            && let Some(began) = self.began.take()
        {
            self.found.push(Found::exception(exception, began, self.is_own));
        }
    }

    /// Nothing more was written for a while: what is open has ended.
    pub fn idle(&mut self) {
        if !self.partial.is_empty()
            && let Some(began) = self.partial_began.take()
        {
            self.ends_line(true, began);
        }
        let ended = self.machine.end();
        self.ended(ended);
        if let Some(waiting) = &mut self.waiting {
            waiting.idle(&mut self.found);
        }
    }

    /// What was found since this was last asked.
    pub fn take(&mut self) -> Vec<Found<T>> {
        std::mem::take(&mut self.found)
    }

    /// The write in which what is open began.
    pub fn opened(&self) -> Option<&T> {
        let exception = self.began.as_ref().filter(|_| self.machine.is_open());
        exception.or_else(|| self.waiting.as_ref().and_then(Waiting::began))
    }

    /// Whether an exception is open, or a line.
    pub fn is_open(&self) -> bool {
        self.machine.is_open() || !self.partial.is_empty() || self.waiting.as_ref().is_some_and(Waiting::is_open)
    }

    /// Bytes that it holds, about.
    pub fn weight(&self) -> usize {
        let waiting = self.waiting.as_ref().map_or(0, Waiting::weight);
        size_of::<Self>() + self.partial.capacity() + self.machine.weight() + waiting
    }
}

/// What runtimes say at the end of an exception, and is no part of it.
fn is_known_end(line: &str) -> bool {
    line.starts_with("Node.js v") || line.starts_with("exit status ") || line.starts_with('}')
}
