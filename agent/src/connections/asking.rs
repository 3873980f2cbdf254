//! Sockets of whose end the kernel says nothing: Unix sockets, and those for datagrams. As long as somebody waits for an
//! answer there, it is asked whether the program still holds them.
//!
//! What was not answered by then was given up, if nothing is missing. Of a Unix socket the kernel's count of its bytes tells;
//! datagrams have no positions, so there it must do that no record was lost that may have been one.

use rustc_hash::FxHashMap as HashMap;
use wirespan_common::SocketPositions;
use wirespan_protocols::End;

use super::connection::Descriptor;
use super::{Connections, Signal};

/// A socket for datagrams that was silent for this long, nanoseconds, is taken for closed: a resolver asks again after five
/// seconds.
pub const DATAGRAM_SILENCE: u64 = 15_000_000_000;
/// How soon it is asked after a socket on which somebody waits for an answer, and how often at least, nanoseconds.
pub const ASK_FIRST: u64 = 10_000_000;
/// How rarely at most, nanoseconds.
const ASK_LAST: u64 = 500_000_000;
/// How many such sockets are asked after in one tick. One question costs some microseconds.
const ASKED_AT_A_TIME: usize = 16;
/// Processes of which it is remembered when records of theirs were lost; with more, it counts for everybody.
const MAX_PROCESSES: usize = 1024;

/// When records were lost for the last time, `CLOCK_BOOTTIME` nanoseconds; 0: never.
#[derive(Debug, Default)]
pub struct LostTimes {
    anybodys: u64,
    of: HashMap<u32, u64>,
}

impl LostTimes {
    fn tell(&mut self, of: Option<u32>, time: u64) {
        match of {
            Some(tgid) if self.of.len() < MAX_PROCESSES || self.of.contains_key(&tgid) => {
                _ = self.of.insert(tgid, time)
            }
            _ => {
                self.of.clear();
                self.anybodys = time;
            }
        }
    }

    fn last(&self, tgid: u32) -> u64 {
        self.anybodys.max(self.of.get(&tgid).copied().unwrap_or_default())
    }
}

impl Connections {
    /// Until `time`, records of a process were lost, or of nobody knows whom.
    pub fn records_lost(&mut self, of: Option<u32>, time: u64) {
        self.lost.tell(of, time);
    }

    /// Asks after sockets of whose end the kernel says nothing, Unix and UDP, as long as somebody waits for an answer there:
    /// `holds` tells whether its program still holds a socket, `stands` how far its bytes were counted. (A few at a time, and
    /// the longer it takes the less often.)
    pub fn ask(
        &mut self,
        now: u64,
        mut holds: impl FnMut(&mut Descriptor) -> bool,
        stands: impl Fn(u64) -> Option<SocketPositions>,
        out: &mut Vec<Signal>,
    ) {
        for _ in 0..ASKED_AT_A_TIME {
            let Some(&(at, cookie)) = self.outstanding.first().filter(|(at, _)| *at <= now) else { return };
            self.outstanding.remove(&(at, cookie));
            let Some(connection) = self.by_cookie.get_mut(&cookie) else { continue };
            connection.asked_after = connection.in_flight() > 0;
            if !connection.asked_after {
                continue;
            }
            let age = now.saturating_sub(connection.last_seen());
            if connection.descriptor.as_mut().is_none_or(&mut holds) {
                self.outstanding.insert((now + (age / 32).clamp(ASK_FIRST, ASK_LAST), cookie));
            } else if let Some(gone) = self.work(cookie, out, |connection, cx| connection.gone(stands(cookie), now, cx))
            {
                match gone {
                    Some(end) => self.remove_silent(cookie, end, now, out),
                    None => _ = self.outstanding.insert((now + ASK_FIRST, cookie)),
                }
            }
        }
    }

    /// Closes sockets for datagrams that were silent for long.
    pub(super) fn close_silent_datagrams(&mut self, now: u64, out: &mut Vec<Signal>) {
        while let Some((_, cookie)) = self.datagrams.pop_front_if(|(at, _)| *at <= now) {
            match self.by_cookie.get(&cookie).map(|c| c.last_seen() + DATAGRAM_SILENCE) {
                Some(again) if again > now => self.datagrams.push_back((again, cookie)),
                Some(_) => self.remove_silent(cookie, End::Closed, now, out),
                None => {}
            }
        }
    }

    /// Removes a socket that is gone or silent. What may have been answered by a datagram whose record was lost has no known
    /// end.
    fn remove_silent(&mut self, cookie: u64, end: End, now: u64, out: &mut Vec<Signal>) {
        let missed = |c: &super::Connection| c.is_datagrams() && self.lost.last(c.process().tgid) >= c.began();
        let end = if self.by_cookie.get(&cookie).is_some_and(|c| missed(c)) { End::Unwatched } else { end };
        self.remove(cookie, end, now, out);
    }
}
