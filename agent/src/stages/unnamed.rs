//! What is told of a Unix socket that has no number yet: it gets one with its first bytes, which follow. Until then it is known by its
//! inode's.

use rustc_hash::FxHashMap;
use wirespan_common::{EGRESS, FactEvent, FactKind, INODE_IDENTITY, IoEvent};

/// Sockets at a time; of more, what was told is forgotten.
const MAX: usize = 1024;
/// What was told so long before is about another send, nanoseconds.
const SOON: u64 = 1_000_000_000;

/// What was told of each.
#[derive(Debug, Default)]
pub struct Unnamed(FxHashMap<u64, FactEvent>);

impl Unnamed {
    /// Something is told. Returns it, unless it has to wait for the socket's number.
    pub fn told(&mut self, event: FactEvent) -> Option<FactEvent> {
        if event.what != FactKind::Relayed as u8 || event.cookie & INODE_IDENTITY == 0 {
            return Some(event);
        }
        if self.0.len() >= MAX {
            self.0.retain(|_, known| known.time.saturating_add(SOON) > event.time);
        }
        if self.0.len() < MAX {
            self.0.insert(event.cookie, event);
        }
        None
    }

    /// Something is sent on a socket. Returns what was told of it before, with its number.
    pub fn sent(&mut self, event: &IoEvent) -> Option<FactEvent> {
        if self.0.is_empty() || event.inode == 0 || event.direction != EGRESS {
            return None;
        }
        let told = self.0.remove(&(INODE_IDENTITY | event.inode))?;
        let fits = told.tgid == event.unit.tgid && event.time.saturating_sub(told.time) <= SOON;
        fits.then_some(FactEvent { cookie: event.cookie, ..told })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirespan_common::UnitId;

    fn relayed(cookie: u64, time: u64) -> FactEvent {
        FactEvent { what: FactKind::Relayed as u8, tgid: 7, cookie, time, ..FactEvent::default() }
    }

    fn sends(inode: u64, tgid: u32, time: u64) -> IoEvent {
        // SAFETY: integers and arrays of integers only.
        let event: IoEvent = unsafe { std::mem::zeroed() };
        IoEvent { direction: EGRESS, inode, time, cookie: 99, unit: UnitId { tgid, ..UnitId::default() }, ..event }
    }

    #[test]
    fn what_is_told_of_a_socket_without_a_number_waits_for_its_first_bytes() {
        let mut unnamed = Unnamed::default();
        assert!(unnamed.told(relayed(5, 1)).is_some(), "it has one");
        assert!(unnamed.told(relayed(INODE_IDENTITY | 5, 1)).is_none());
        assert!(unnamed.sent(&sends(6, 7, 2)).is_none());
        assert_eq!(unnamed.sent(&sends(5, 7, 2)).map(|told| (told.cookie, told.time)), Some((99, 1)));
        assert!(unnamed.sent(&sends(5, 7, 3)).is_none(), "once");
    }

    #[test]
    fn what_is_sent_late_or_by_another_is_something_else() {
        for (tgid, time) in [(8, 2), (7, 2 + SOON)] {
            let mut unnamed = Unnamed::default();
            assert!(unnamed.told(relayed(INODE_IDENTITY | 5, 1)).is_none());
            assert!(unnamed.sent(&sends(5, tgid, time)).is_none());
        }
    }

    #[test]
    fn it_is_bounded() {
        let mut unnamed = Unnamed::default();
        for n in 0..2 * MAX as u64 {
            assert!(unnamed.told(relayed(INODE_IDENTITY | n, 1)).is_none());
        }
        assert_eq!(unnamed.0.len(), MAX);
    }
}
