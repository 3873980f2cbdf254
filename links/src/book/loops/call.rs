//! Calls, and what is said, requests and connections, as a loop shows them.

use std::collections::VecDeque;

use super::doubts::Few;
use crate::live::SpanKey;

/// A call, as the loop shows it.
#[derive(Debug, Default)]
pub struct Call {
    /// The connection.
    pub cookie: u64,
    pub time: u64,
    /// The pieces of work that it was made in: the last, and the one that had left that to be done.
    pub made: [Option<u64>; 2],
    /// The piece of work in which it was begun: its connection may have been opened for it.
    pub begun: Option<u64>,
    /// What was asked with the response that began that piece, 0 if none did.
    pub after: u64,
    /// The request that this work was about.
    pub owner: Option<SpanKey>,
    /// Numbers of work lead from it to that, which were given earlier.
    pub chained: bool,
    /// What it was made in comes again and again.
    pub repeated: bool,
    /// What has a number of a timer, or of what was left to be done, made it.
    pub timed: bool,
    /// Records were lost before it was known what was done with its response.
    pub lost: bool,
    /// Its connection became free in the same piece of work.
    pub freed: bool,
    /// What was asked of whom.
    pub operation: u64,
    /// The piece of work that its response began.
    pub response: Option<u64>,
    /// That is over.
    pub ended: bool,
    /// The requests that were answered with what it got, or with what was got next with that.
    pub answers: Few,
    /// They were answered in the piece of work that the response began.
    pub direct: bool,
    /// A contradiction counted then.
    pub doubted: bool,
    /// The request whose it is by its answer alone.
    pub answer: Option<SpanKey>,
    /// The same, if that were believed of such calls already.
    pub likely: Option<SpanKey>,
    /// The request that the piece of work was about had been answered by then: whoever waited for that may have gone on.
    pub handed_on: bool,
    /// It is nothing that was asked of anybody, but something that was said.
    pub is_said: bool,
}

/// A connection of the loop's.
#[derive(Debug, Default)]
pub struct Connection {
    /// Calls without a response.
    pub calls: Vec<SpanKey>,
    /// Requests without an answer.
    pub requests: Vec<SpanKey>,
    /// The piece of work in which it became free.
    pub freed: Option<u64>,
    /// The number of its own work, given when it was opened: what came on it is worked off as that.
    pub number: Option<u64>,
}

/// A request that came to it.
#[derive(Debug, Default)]
pub struct Request {
    /// Its connection.
    pub cookie: u64,
    /// When it was read.
    pub read: u64,
    /// When it was answered.
    pub over: Option<u64>,
    /// How many calls seemed to be under way for it, since when.
    pub busy: VecDeque<(u64, u32)>,
}
