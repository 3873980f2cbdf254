//! Records of a write, until it is known that they are no beginning of an exception, and whose they are.

use crate::exception::Exception;
use crate::reader::Found;
use crate::{MAX_LINE, text};

/// A record, as far as it was written.
struct Record<T> {
    found: Found<T>,
    /// Lines that it was made of, empty ones behind it included.
    lines: usize,
    /// It was written in the current write.
    is_new: bool,
}

/// Records that wait.
pub(crate) struct Waiting<T> {
    records: Vec<Record<T>>,
    /// Things that were said in the current write: records, and exceptions that ended within it.
    said: usize,
    /// The line that the current write goes on with was written alone so far.
    goes_on_alone: bool,
    /// The current write goes on with a line.
    goes_on: bool,
    /// Not all of the last write was seen.
    broken: bool,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { records: Vec::new(), said: 0, goes_on_alone: true, goes_on: false, broken: false }
    }
}

impl<T: Clone> Waiting<T> {
    /// A write begins; `goes_on`: with the rest of a line.
    pub(crate) fn begins(&mut self, goes_on: bool) {
        (self.said, self.goes_on, self.broken) = (0, goes_on, false);
        self.records.iter_mut().for_each(|record| record.is_new = false);
    }

    /// An exception ended within the write.
    pub(crate) fn passes(&mut self) {
        self.said += 1;
    }

    /// A line that is of no exception, or carries one.
    pub(crate) fn push(&mut self, line: &str, exception: Option<Exception>, began: T, is_cut: bool) {
        let line = if is_cut { whole_words(line) } else { line };
        let last = self.records.last_mut().filter(|record| record.is_new);
        if text::without_colours(line).trim().is_empty() {
            last.into_iter().for_each(|record| record.lines += 1);
            return;
        }
        match last {
            Some(record) if goes_on(line) && exception.is_none() => {
                record.lines += 1;
                record.found.is_cut |= is_cut;
                let said = record.found.line.get_or_insert_default();
                match said.len() + line.len() < MAX_LINE {
                    true => said.extend(["\n", line]),
                    false => record.found.is_cut = true,
                }
            }
            _ => {
                let is_own = self.said > 0 || !self.goes_on || self.goes_on_alone;
                let found = Found { line: Some(line.to_owned()), exception, began, is_own, is_cut };
                self.records.push(Record { found, lines: 1, is_new: true });
                self.said += 1;
            }
        }
    }

    /// So many of the last lines were an exception's.
    pub(crate) fn take_back(&mut self, mut lines: usize) {
        while lines > 0
            && let Some(last) = self.records.last_mut()
        {
            if last.lines > lines {
                let said = last.found.line.get_or_insert_default();
                let stays = said.lines().count().saturating_sub(lines).max(1);
                *said = said.lines().take(stays).collect::<Vec<_>>().join("\n");
                last.lines -= lines;
                return;
            }
            lines -= last.lines;
            self.said -= usize::from(last.is_new).min(self.said);
            self.records.pop();
        }
    }

    /// A write ends; `is_whole`: all of it was seen; `within`: in the midst of a line. What cannot become an exception any more is
    /// found.
    pub(crate) fn ends(&mut self, is_whole: bool, within: bool, found: &mut Vec<Found<T>>) {
        self.broken = !is_whole;
        let alone = is_whole && self.said + usize::from(within && self.said > 0) <= 1;
        for record in self.records.iter_mut().filter(|record| record.is_new) {
            record.found.is_own &= alone;
        }
        self.goes_on_alone = is_whole && self.said == 0 && (!self.goes_on || self.goes_on_alone);
        let head = self.records.pop_if(|record| record.is_new && is_whole && may_be_head(&record.found));
        found.extend(self.records.drain(..).map(|record| record.found));
        self.records.extend(head);
    }

    /// Nothing more comes.
    pub(crate) fn idle(&mut self, found: &mut Vec<Found<T>>) {
        let shared = self.said > 1 || self.broken;
        for record in self.records.iter_mut().filter(|record| record.is_new && shared) {
            record.found.is_own = false;
        }
        found.extend(self.records.drain(..).map(|record| record.found));
        self.goes_on_alone = true;
    }

    /// The write in which the first that waits began.
    pub(crate) fn began(&self) -> Option<&T> {
        self.records.first().map(|record| &record.found.began)
    }

    /// Whether any waits.
    pub(crate) fn is_open(&self) -> bool {
        !self.records.is_empty()
    }

    /// Bytes that it holds, about.
    pub(crate) fn weight(&self) -> usize {
        let text = |record: &Record<T>| record.found.line.as_ref().map_or(0, String::capacity);
        self.records.capacity() * size_of::<Record<T>>() + self.records.iter().map(text).sum::<usize>()
    }
}

/// A line that was cut without its last word, whose rest is missing: half a secret looks like none.
fn whole_words(line: &str) -> &str {
    match line.rsplit_once(char::is_whitespace) {
        Some((whole, _)) if !text::without_colours(whole).trim().is_empty() => whole,
        _ => line,
    }
}

/// Whether a line goes on with the record before it, if that was written at once with it.
fn goes_on(line: &str) -> bool {
    line.starts_with([' ', '\t', '}', ']', ')'])
}

/// Whether the first frame of an exception may follow, in a write of its own.
fn may_be_head<T>(found: &Found<T>) -> bool {
    let line = text::without_colours(found.line.as_deref().unwrap_or_default());
    let last = line.lines().last().unwrap_or_default();
    let panics = last.contains("panic: ") || (last.starts_with("thread '") && last.contains(" panicked at "));
    found.exception.is_none() && (panics || text::kind_within(last, text::is_exceptions).is_some())
}
