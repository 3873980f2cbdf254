//! Datagrams of which the network said that they cannot arrive before the kernel told that they were sent.
//!
//! On the same host that takes no time: the answer is there before `send` returns. It then belongs to what this thread is
//! sending, if nobody waited for anything on the socket before.

use rustc_hash::FxHashMap as HashMap;
use wirespan_common::{EGRESS, FLAG_DATAGRAM, IoEvent, StateEvent};

/// How much later the datagram may be told, nanoseconds.
const SOON: u64 = 20_000_000;
/// Most that are remembered; then all are forgotten.
const MAX: usize = 256;

/// What was told too early, by socket cookie.
#[derive(Default)]
pub struct Undelivered(HashMap<u64, Early>);

struct Early {
    time: u64,
    tid: u32,
    why: &'static str,
}

impl Undelivered {
    /// The network said it, and nobody waits on that socket.
    pub fn note(&mut self, event: &StateEvent, why: &'static str) {
        if self.0.len() >= MAX {
            self.0.clear();
        }
        self.0.insert(event.cookie, Early { time: event.time, tid: event.unit.tid, why });
    }

    /// Why the datagram that was sent by this operation cannot arrive, if that was said.
    pub fn of(&mut self, event: &IoEvent) -> Option<&'static str> {
        if self.0.is_empty() || event.flags & FLAG_DATAGRAM == 0 || event.direction != EGRESS {
            return None;
        }
        let early = self.0.remove(&event.cookie)?;
        let age = event.time.checked_sub(early.time)?;
        (age <= SOON && early.tid == event.unit.tid).then_some(early.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_word_is_about_what_the_same_thread_sends_next_and_soon() {
        // SAFETY: integers and arrays of integers only.
        let (mut said, mut sent): (StateEvent, IoEvent) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        (said.cookie, said.time, said.unit.tid) = (7, 1_000, 3);
        (sent.cookie, sent.time, sent.unit.tid) = (7, 2_000, 3);
        (sent.flags, sent.direction) = (FLAG_DATAGRAM, EGRESS);
        let of = |sent: IoEvent| {
            let mut undelivered = Undelivered::default();
            undelivered.note(&said, "why");
            undelivered.of(&sent)
        };
        assert_eq!(of(sent), Some("why"));
        assert_eq!(of(IoEvent { cookie: 8, ..sent }), None);
        assert_eq!(of(IoEvent { time: 999, ..sent }), None);
        assert_eq!(of(IoEvent { time: 1_001 + SOON, ..sent }), None);
        assert_eq!(of(IoEvent { flags: 0, ..sent }), None);
        sent.unit.tid = 4;
        assert_eq!(of(sent), None);
    }
}
