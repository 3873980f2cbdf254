//! One direction of a connection: positions, and operations that arrived before their turn.

use wirespan_protocols::exchange::Mark;

/// Most operations held back per direction; the oldest gap is then taken as a fact.
const MAX_HELD: usize = 32;

/// Bytes that an operation moved, some of them captured.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Position of the first byte, extended to 64 bits.
    pub start: u64,
    /// Bytes moved.
    pub len: u64,
    /// The first of them, as far as captured.
    pub bytes: Vec<u8>,
    /// When, by whom, and how far the other direction had come (extended).
    pub mark: Mark,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Stream {
    /// The next byte to be handed on; `None` before the first operation.
    next: Option<u64>,
    held: Vec<Segment>,
    /// The direction ended.
    pub ended: bool,
}

/// What to do with an operation.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// Its turn: skip this many bytes at its front, which were handed on before.
    Now { skip: u64 },
    /// Everything in it was handed on before.
    Past,
    /// Bytes before it are still missing.
    Early,
}

impl Stream {
    /// Extends a 32-bit TCP sequence number to the 64-bit position nearest to where the stream is.
    ///
    /// The first one starts in the second 4 GiB, so that positions a little before it stay positive.
    pub fn extend(&self, sequence: u32) -> u64 {
        match self.next {
            None => (1 << 32) | u64::from(sequence),
            Some(next) => next.wrapping_add_signed(i64::from(sequence.wrapping_sub(next as u32) as i32)),
        }
    }

    /// The next byte to be handed on.
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// Where `start .. start + len` belongs.
    pub fn place(&self, start: u64, len: u64) -> Place {
        match self.next {
            Some(next) if start > next => Place::Early,
            Some(next) if start + len <= next && len > 0 => Place::Past,
            Some(next) => Place::Now { skip: next - start },
            None => Place::Now { skip: 0 },
        }
    }

    /// Everything before `position` has been handed on, or will never come.
    pub fn advance_to(&mut self, position: u64) {
        self.next = Some(position);
    }

    /// Keeps an operation for later. Returns false if too many are kept already.
    pub fn hold(&mut self, segment: Segment) -> bool {
        let at = self.held.partition_point(|s| s.start <= segment.start);
        self.held.insert(at, segment);
        self.held.len() <= MAX_HELD
    }

    /// Takes the first held operation that `ready` accepts, if it is the oldest position.
    pub fn take_first(&mut self, ready: impl Fn(&Segment) -> bool) -> Option<Segment> {
        self.held.first().is_some_and(ready).then(|| self.held.remove(0))
    }

    /// The oldest held position.
    pub fn first_held(&self) -> Option<&Segment> {
        self.held.first()
    }

    /// Bytes held back.
    pub fn held_bytes(&self) -> usize {
        self.held.iter().map(|s| s.bytes.len() + size_of::<Segment>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_the_wrap_of_the_sequence_number() {
        let mut stream = Stream::default();
        let start = stream.extend(0xffff_fff0);
        stream.advance_to(start);
        assert_eq!(stream.extend(0x10) - start, 0x20);
        assert_eq!(start - stream.extend(0xffff_ff00), 0xf0);
    }

    #[test]
    fn an_operation_that_overlaps_what_was_handed_on_is_trimmed() {
        let mut stream = Stream::default();
        stream.advance_to(100);
        assert_eq!(stream.place(90, 20), Place::Now { skip: 10 });
        assert_eq!(stream.place(90, 10), Place::Past);
        assert_eq!(stream.place(100, 1), Place::Now { skip: 0 });
        assert_eq!(stream.place(101, 1), Place::Early);
    }

    #[test]
    fn held_operations_come_out_by_position() {
        let mut stream = Stream::default();
        let segment = |start| Segment { start, len: 1, bytes: vec![0], mark: Mark::default() };
        assert!(stream.hold(segment(30)) && stream.hold(segment(10)) && stream.hold(segment(20)));
        let order: Vec<_> = std::iter::from_fn(|| stream.take_first(|_| true)).map(|s| s.start).collect();
        assert_eq!(order, [10, 20, 30]);
    }
}
