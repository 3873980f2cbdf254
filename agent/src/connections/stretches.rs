//! When connections that are not read inside are looked at: their stretches end by time alone.

use std::collections::VecDeque;

use wirespan_signals::Slim as _;

use super::opaque::QUIET;
use super::{Connections, Signal};

/// Those in which a stretch has begun.
#[derive(Debug, Default)]
pub struct Stretches {
    /// When to look at which socket's, in that order.
    due: VecDeque<(u64, u64)>,
    /// Sockets whose operations are wanted again.
    roused: Vec<u64>,
}

impl Stretches {
    /// A stretch began.
    pub fn begins(&mut self, cookie: u64, now: u64) {
        // (In the order in which they are heard of, which is nearly that of their times.)
        self.due.push_back((now + QUIET, cookie));
    }

    /// Bytes that it takes.
    pub fn weight(&self) -> usize {
        self.due.len() * size_of::<(u64, u64)>()
    }

    /// Gives back what is not needed.
    pub fn slim(&mut self) {
        self.due.slim();
    }
}

impl Connections {
    /// Ends stretches whose time has come; each is looked at once in so long.
    pub(super) fn end_stretches(&mut self, now: u64, out: &mut Vec<Signal>) {
        while let Some((_, cookie)) = self.stretches.due.pop_front_if(|(at, _)| *at <= now) {
            let Some(looked) = self.work(cookie, out, |connection, cx| connection.look(now, cx)) else { continue };
            if looked.goes_on {
                self.stretches.begins(cookie, now);
            }
            if looked.roused {
                self.stretches.roused.push(cookie);
            }
        }
    }

    /// Sockets that were hushed and of whose operations it is to be told again, since this was last asked.
    pub fn roused(&mut self) -> impl Iterator<Item = u64> {
        self.stretches.roused.drain(..)
    }
}
