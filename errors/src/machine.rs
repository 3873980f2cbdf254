//! Lines into exceptions. A frame opens one, with what was said in the lines before it; the grammar of its language says what
//! goes on with it, and the first line that does not ends it.

use std::collections::VecDeque;

use crate::exception::{Exception, What};
use crate::{dotnet, go, jvm, node, php, python, ruby, rust, text};

/// Lines before a frame in which the beginning of its exception, whose message may have several, is looked for.
pub const BEFORE: usize = 8;
/// Bytes of them that are kept, each.
const BEFORE_LENGTH: usize = 2048;
/// Lines without the form of any that an exception may have at a time.
pub const MAX_LOOSE: usize = 16;

/// One language's grammar.
pub struct Grammar {
    /// Whether a line opens an exception, behind lines of which the last is the nearest.
    pub opens: fn(&str, &VecDeque<String>) -> Option<Open>,
    /// What a line is to an exception that is open; `None` ends it.
    pub goes_on: fn(&mut Open, &str) -> Option<Said>,
}

/// What a line says, and how many bytes of it stand before a message.
pub type Said = (What, usize);

/// All grammars. The first that takes a line for a frame has it: those come first whose frames are like no other's.
static GRAMMARS: [Grammar; 8] = [
    python::GRAMMAR,
    jvm::GRAMMAR,
    node::GRAMMAR,
    dotnet::GRAMMAR,
    go::GRAMMAR,
    ruby::GRAMMAR,
    php::GRAMMAR,
    rust::GRAMMAR,
];

/// An exception that may go on.
pub struct Open {
    /// It.
    pub exception: Exception,
    /// What the grammar keeps: where in it this is.
    pub phase: u8,
    /// What the grammar keeps: how deep.
    pub depth: u32,
    /// Lines in a row without a form of their own.
    pub loose: usize,
    /// The line is of the same write as the one before.
    pub together: bool,
    /// How many of the lines before the one that opened it are its own.
    pub taken: usize,
}

impl Open {
    /// One of which nothing was said yet.
    pub fn new(exception: Exception, phase: u8) -> Self {
        Self { exception, phase, depth: 0, loose: 0, together: true, taken: 0 }
    }

    /// One whose head is among the lines before: `head` tells what it says there. Between it and the frame stands its message.
    pub fn with_head(
        before: &VecDeque<String>,
        reach: usize,
        frame: &str,
        head: impl Fn(&str) -> Option<(String, Exception)>,
    ) -> Option<Self> {
        let near = before.iter().rev().take(reach).enumerate();
        let (back, (text, exception)) = near.filter_map(|(back, line)| Some((back, head(line)?))).next()?;
        let mut open = Self::new(exception, 0);
        let message = text.len() - open.exception.message.len();
        open.exception.push(What::Head, &text, message);
        let between = before.iter().skip(before.len() - back).filter(|line| !line.trim().is_empty());
        between.for_each(|line| open.exception.push(What::Text, line, 0));
        open.exception.push(What::Frame, frame, 0);
        open.taken = back + 1;
        Some(open)
    }

    /// A line that looks like none of the grammar: it may be more of a message, if it was written together with that.
    pub fn loosely(&mut self, line: &str) -> Option<Said> {
        self.loose += 1;
        let may = self.together && self.loose <= MAX_LOOSE && !line.trim().is_empty() && !text::is_record(line);
        may.then_some((What::Text, 0))
    }

    fn finish(self) -> Option<Exception> {
        let mut exception = self.exception;
        while exception.lines.pop_if(|line| line.text.trim().is_empty()).is_some() {}
        let is_whole =
            !exception.kind.is_empty() && (exception.language != crate::Language::Go || exception.frames() > 0);
        is_whole.then_some(exception)
    }
}

/// What became of a line.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// It opened an exception, to which so many of the lines before belong.
    Opened(usize),
    /// It is one more of the exception that is open.
    WentOn,
    /// It is of none.
    Other,
}

/// The lines of one unit.
#[derive(Default)]
pub struct Machine {
    before: VecDeque<String>,
    open: Option<(Open, &'static Grammar)>,
}

impl Machine {
    /// Takes in a line; `together`: it was written together with the one before. Returns an exception that it ended, too.
    pub fn line(&mut self, line: &str, together: bool) -> (Option<Exception>, Step) {
        let mut ended = None;
        if let Some((mut open, grammar)) = self.open.take() {
            open.together = together;
            if let Some((what, message)) = (grammar.goes_on)(&mut open, line) {
                if what != What::Text {
                    open.loose = 0;
                }
                open.exception.push(what, line, message);
                self.open = Some((open, grammar));
                return (None, Step::WentOn);
            }
            ended = open.finish();
        }
        let opened = GRAMMARS.iter().find_map(|grammar| Some(((grammar.opens)(line, &self.before)?, grammar)));
        if let Some((open, grammar)) = opened {
            let taken = open.taken;
            self.open = Some((open, grammar));
            self.before.clear();
            return (ended, Step::Opened(taken));
        }
        if self.before.len() >= BEFORE {
            self.before.pop_front();
        }
        self.before.push_back(line[..line.floor_char_boundary(BEFORE_LENGTH)].to_owned());
        (ended, Step::Other)
    }

    /// Nothing goes on with what is open.
    pub fn end(&mut self) -> Option<Exception> {
        self.before.clear();
        self.open.take().and_then(|(open, _)| open.finish())
    }

    /// Whether an exception is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Bytes that it holds, about.
    pub fn weight(&self) -> usize {
        let before: usize = self.before.iter().map(String::capacity).sum();
        before + self.open.as_ref().map_or(0, |(open, _)| open.exception.weight())
    }
}
